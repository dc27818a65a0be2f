package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/sitekeep/sitekeep/test/bed"
)

func rowBackup(ctx context.Context, w *world) (*row, error) {
	r := &row{}
	if !w.options.peers {
		s, err := w.openSitekeep(ctx)
		if err != nil {
			return nil, err
		}
		r.sides = append(r.sides, &side{name: "sitekeep", work: s.backup, check: s.checked})
	}
	a, err := newAegir(ctx, w, "aegir")
	if err != nil {
		return nil, err
	}
	restic, err := newRestic(w)
	if err != nil {
		return nil, err
	}
	borg, err := newBorg(w)
	if err != nil {
		return nil, err
	}
	r.sides = append(r.sides,
		a.side("Aegir, staging in step", 0.25, "gzip", "-c"),
		a.side("the same, pigz", 0, "pigz", "-c"),
		a.side("the same, zstd -3 -T0", 0, "zstd", "-q", "-3", "-T0", "-c"),
		restic.backupSide(), borg.backupSide())
	return r, nil
}

func rowRestore(ctx context.Context, w *world) (*row, error) {
	r := &row{}
	if !w.options.peers {
		s, err := ourRestore(ctx, w)
		if err != nil {
			return nil, err
		}
		r.sides = append(r.sides, s)
	}
	a, target, err := aegirToRestore(ctx, w)
	if err != nil {
		return nil, err
	}
	n := 0
	database := func() string { return fmt.Sprintf("aegir_restored_%d", n) }
	r.sides = append(r.sides, &side{
		name: "Aegir", goal: 0.85,
		prepare: func(ctx context.Context) error {
			n++
			if err := w.db.Exec(ctx, "CREATE DATABASE "+database()+" CHARACTER SET utf8mb4"); err != nil {
				return err
			}
			return a.prepareRestore(target)
		},
		work: func(ctx context.Context, m *meter) error { return a.restore(ctx, m, database(), target) },
		check: func(ctx context.Context) (int64, error) {
			if err := w.sameSite(ctx, target, database()); err != nil {
				return 0, err
			}
			return 0, w.db.Exec(ctx, "DROP DATABASE "+database())
		},
	})
	return r, nil
}

// ourRestore restores a backup made here and now over the live site.
func ourRestore(ctx context.Context, w *world) (*side, error) {
	s, err := w.openSitekeep(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.backup(ctx, &meter{}); err != nil {
		return nil, err
	}
	id, _, err := s.newest(ctx)
	if err != nil {
		return nil, err
	}
	before, err := bed.Tree(w.site, anySettings)
	if err != nil {
		return nil, err
	}
	return &side{
		name: "sitekeep",
		work: func(ctx context.Context, m *meter) error {
			return s.run(ctx, m, "restore", w.domain, id, "--yes", "--grace", "0s")
		},
		check: func(ctx context.Context) (int64, error) {
			after, err := bed.Tree(w.site, anySettings)
			if err != nil {
				return 0, err
			}
			if d := before.Diff(after); d != "" {
				return 0, fmt.Errorf("the restored tree differs:\n%s", d)
			}
			return 0, s.served(ctx)
		},
	}, nil
}

// aegirToRestore has a tarball in the making of which nothing was measured, and
// the directory on the web server that it goes to.
func aegirToRestore(ctx context.Context, w *world) (*aegir, string, error) {
	a, err := newAegir(ctx, w, "aegir-restore")
	if err != nil {
		return nil, "", err
	}
	target := filepath.Join(w.web.Root, "aegir-restored")
	return a, target, a.backup(ctx, &meter{}, "pigz", "-c")
}

func (a *aegir) prepareRestore(target string) error {
	if err := a.w.aside(a.staging); err != nil {
		return err
	}
	return a.w.aside(target)
}

func rowRestoreFiles(ctx context.Context, w *world) (*row, error) {
	a, target, err := aegirToRestore(ctx, w)
	if err != nil {
		return nil, err
	}
	restic, err := newRestic(w)
	if err != nil {
		return nil, err
	}
	borg, err := newBorg(w)
	if err != nil {
		return nil, err
	}
	fromRestic, err := restic.restoreSide(ctx)
	if err != nil {
		return nil, err
	}
	fromBorg, err := borg.restoreSide(ctx)
	if err != nil {
		return nil, err
	}
	return &row{sides: []*side{
		{
			name: "Aegir: untar and push", prepare: func(context.Context) error { return a.prepareRestore(target) },
			work: func(ctx context.Context, m *meter) error {
				if err := a.untar(ctx, m); err != nil {
					return err
				}
				return a.push(ctx, m, target)
			},
			check: func(ctx context.Context) (int64, error) { return 0, w.sameSite(ctx, target, "") },
		}, fromRestic, fromBorg,
	}}, nil
}
