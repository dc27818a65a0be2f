package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sitekeep/sitekeep/test/bed"
)

const aegirPush = "Aegir: untar and push"

func rowRestoreFiles(ctx context.Context, w *world) (*row, error) {
	r := newRow()
	if !w.options.peers {
		s, err := ourFilesRestore(ctx, w, w.emptySite)
		r.add(ours, s, err)
	}
	s, err := aegirFilesRestore(ctx, w, func(a *aegir) error { return w.aside(a.target) })
	r.add(aegirPush, s, err)
	addRestore(ctx, w, r, "restic", newRestic)
	addRestore(ctx, w, r, "borg", newBorg)
	r.want(ratio(wall, ours, aegirPush, 0.30), ratio(wall, ours, "restic", 0.60), ratio(wall, ours, "borg", 0.50))
	return r, nil
}

func addRestore(ctx context.Context, w *world, r *row, name string, open func(*world, string) (*archiver, error)) {
	a, err := open(w, name)
	if err != nil {
		r.add(name, nil, err)
		return
	}
	s, err := a.restoreSide(ctx)
	r.add(name, s, err)
}

// rowRestoreDelta gives both sides a live tree that is the backup's but for 1 %.
func rowRestoreDelta(ctx context.Context, w *world) (*row, error) {
	r := newRow()
	churn := func() error { return w.churnFiles(scattered) }
	if !w.options.peers {
		s, err := ourFilesRestore(ctx, w, churn)
		r.add(ours, s, err)
	}
	s, err := aegirFilesRestore(ctx, w, func(a *aegir) error {
		// Both trees change alike; ours is the backup's again after its own restore.
		if err := w.aside(a.target); err != nil {
			return err
		}
		if err := bed.CopyTree(ctx, w.site, a.target); err != nil {
			return err
		}
		return w.churnTree(a.target)
	})
	r.add(aegirPush, s, err)
	r.want(ratio(wall, ours, aegirPush, 0.15))
	return r, nil
}

// churnTree is churnFiles on another copy of the site.
func (w *world) churnTree(root string) error {
	site := w.site
	defer func() { w.site = site }()
	w.site = root
	return w.churnFiles(scattered)
}

// ourFilesRestore spoils the live site before each run and restores its files.
func ourFilesRestore(ctx context.Context, w *world, spoil func() error) (*side, error) {
	s, id, err := ourBackup(ctx, w)
	if err != nil {
		return nil, err
	}
	before, err := bed.Tree(w.site, anySettings)
	if err != nil {
		return nil, err
	}
	return &side{
		prepare: func(context.Context) error { return spoil() },
		work: func(ctx context.Context, m *meter) error {
			return s.restore(ctx, m, w.domain, id, "--files-only")
		},
		check: func(ctx context.Context, _ *meter) error {
			after, err := bed.Tree(w.site, anySettings)
			if err != nil {
				return err
			}
			if d := before.Diff(after); d != "" {
				return fmt.Errorf("the restored tree differs:\n%s", d)
			}
			return s.served(ctx)
		},
	}, nil
}

// emptySite leaves of the site no more than its page needs.
func (w *world) emptySite() error {
	entries, err := os.ReadDir(w.site)
	if err != nil {
		return err
	}
	kept := map[string]string{}
	for _, e := range entries {
		if e.Type().IsRegular() && w.makesPage(filepath.Join(w.site, e.Name())) {
			text, err := os.ReadFile(filepath.Join(w.site, e.Name()))
			if err != nil {
				return err
			}
			kept[e.Name()] = string(text)
		}
	}
	if err := w.aside(w.site); err != nil {
		return err
	}
	return w.writePage(kept)
}

// aegirFilesRestore untars and pushes; target makes the directory ready that
// the files go to.
func aegirFilesRestore(ctx context.Context, w *world, target func(*aegir) error) (*side, error) {
	a, err := w.aegirBackup(ctx)
	if err != nil {
		return nil, err
	}
	return &side{
		prepare: func(context.Context) error {
			if err := w.aside(a.staging); err != nil {
				return err
			}
			return target(a)
		},
		work: func(ctx context.Context, m *meter) error {
			if err := a.untar(ctx, m); err != nil {
				return err
			}
			return a.push(ctx, m)
		},
		check: func(ctx context.Context, _ *meter) error { return w.sameSite(ctx, a.target, "") },
	}, nil
}
