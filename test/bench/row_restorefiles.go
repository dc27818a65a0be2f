package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sitekeep/sitekeep/test/bed"
)

const (
	aegirPush = "Aegir: untar and push"
	// oursPart restores the files of a site that has a database. Its safety backup has the dump of it, too.
	oursPart = "sitekeep, --files-only"
)

// rowRestoreFiles restores a site without a database, as the peers have none to
// save either. Ours alone returns only when what it wrote is on the disk: how long
// each side takes until then stands beside.
func rowRestoreFiles(ctx context.Context, w *world) (*row, error) {
	r := newRow(onDisk)
	if !w.options.peers {
		empty := func(context.Context, *sitekeep, string) error { return w.emptySite() }
		addFilesRestores(ctx, w, r, empty)
	}
	s, err := aegirFilesRestore(ctx, w)
	r.add(aegirPush, s, err)
	addRestore(ctx, w, r, "restic", newRestic)
	addRestore(ctx, w, r, "borg", newBorg)
	r.want(ratio(wall, ours, aegirPush, 0.30), ratio(wall, ours, "restic", 0.60), ratio(wall, ours, "borg", 0.50))
	return r, nil
}

// addFilesRestores adds both of our sides, which restore the same directory.
func addFilesRestores(ctx context.Context, w *world, r *row, spoil spoiler) {
	s, err := ourFilesRestore(ctx, w, w.static, spoil)
	r.add(ours, s, err)
	s, err = ourFilesRestore(ctx, w, w.domain, spoil, "--files-only")
	r.add(oursPart, s, err)
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
// The site is one under care: since its last restore it has been backed up, and
// changed after that. Aegir knows no other restore than the whole one.
func rowRestoreDelta(ctx context.Context, w *world) (*row, error) {
	r := newRow(onDisk)
	if !w.options.peers {
		addFilesRestores(ctx, w, r, w.nightThenChurn)
	}
	s, err := aegirRestore(ctx, w, func(ctx context.Context, a *aegir) error {
		// Both trees change alike; ours is the backup's again after its own restore.
		if err := bed.CopyTree(ctx, w.site, a.target); err != nil {
			return err
		}
		return w.churnTree(a.target)
	})
	r.add(aegirSide, s, err)
	r.want(ratio(wall, ours, aegirSide, 0.15))
	return r, nil
}

// nightThenChurn makes the nightly backup of a site, and then changes 1 % of its files.
func (w *world) nightThenChurn(ctx context.Context, s *sitekeep, site string) error {
	if err := settle(ctx); err != nil { // what a restore has just made is too young to be taken for unchanged later
		return err
	}
	if err := s.backup(ctx, newMeter(), site); err != nil {
		return err
	}
	return w.churnFiles(scattered)
}

// churnTree is churnFiles on another copy of the site.
func (w *world) churnTree(root string) error {
	site := w.site
	defer func() { w.site = site }()
	w.site = root
	return w.churnFiles(scattered)
}

// spoiler makes a site's live directory worth a restore.
type spoiler func(ctx context.Context, s *sitekeep, site string) error

// ourFilesRestore spoils the live site before each run and restores its files.
func ourFilesRestore(ctx context.Context, w *world, site string, spoil spoiler, more ...string) (*side, error) {
	s, id, err := ourBackup(ctx, w, site)
	if err != nil {
		return nil, err
	}
	before, err := bed.Tree(w.site, anySettings)
	if err != nil {
		return nil, err
	}
	return &side{
		prepare: func(ctx context.Context) error { return spoil(ctx, s, site) },
		work:    func(ctx context.Context, m *meter) error { return s.restore(ctx, m, site, id, more...) },
		check: func(ctx context.Context, _ *meter) error {
			after, err := bed.Tree(w.site, anySettings)
			if err != nil {
				return err
			}
			if d := before.Diff(after); d != "" {
				return fmt.Errorf("the restored tree differs:\n%s", d)
			}
			return errors.Join(s.served(ctx), w.graceIsOver(ctx))
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

// aegirFilesRestore untars and pushes into an empty directory.
func aegirFilesRestore(ctx context.Context, w *world) (*side, error) {
	a, err := w.aegirBackup(ctx)
	if err != nil {
		return nil, err
	}
	return &side{
		prepare: func(context.Context) error { return a.prepareRestore() },
		work: func(ctx context.Context, m *meter) error {
			if err := a.untar(ctx, m); err != nil {
				return err
			}
			return a.push(ctx, m)
		},
		check: func(ctx context.Context, _ *meter) error { return w.sameSite(ctx, a.target, "") },
	}, nil
}
