package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

// Figures of a restore's downtime, in seconds.
const (
	downSeen  = "down s, page" // from the first page that was not served to the next that was
	downTold  = "down s, task" // what the task says
	downExtra = "down s beyond the dump"
)

const aegirSide = "Aegir"

func rowRestore(ctx context.Context, w *world) (*row, error) {
	r := newRow(downSeen, downTold, downExtra, onDisk)
	if !w.options.peers {
		s, err := ourRestore(ctx, w)
		r.add(ours, s, err)
	}
	s, err := aegirRestore(ctx, w, func(context.Context, *aegir) error { return nil })
	r.add(aegirSide, s, err)
	r.want(ratio(wall, ours, aegirSide, 0.60), ratio(wall, ours, aegirSide, 0.45).named("with the parallel import"),
		within(downExtra, ours, 2))
	return r, nil
}

// ourRestore restores a backup made here and now over the live site. A dump of
// its own, the same as the safety backup's, is what downtime is held against.
func ourRestore(ctx context.Context, w *world) (*side, error) {
	s, id, err := ourBackup(ctx, w, w.domain)
	if err != nil {
		return nil, err
	}
	before, err := bed.Tree(w.site, anySettings)
	if err != nil {
		return nil, err
	}
	var dump float64
	var pages *pageWatch
	return &side{
		prepare: func(ctx context.Context) (err error) {
			dump, err = w.dumpSeconds(ctx)
			return err
		},
		work: func(ctx context.Context, m *meter) error {
			pages = watchPage(ctx, w)
			err := s.restore(ctx, m, w.domain, id)
			pages.stop()
			return err
		},
		check: func(ctx context.Context, m *meter) error {
			if err := noteDowntime(ctx, s, m, pages, dump); err != nil {
				return err
			}
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

func noteDowntime(ctx context.Context, s *sitekeep, m *meter, pages *pageWatch, dump float64) error {
	told, err := s.downtime(ctx, s.w.domain)
	if err != nil {
		return err
	}
	m.note(downTold, told)
	m.note(downSeen, pages.longest.Seconds())
	m.note(downExtra, max(told, pages.longest.Seconds())-dump)
	return nil
}

// ourBackup makes a full backup of a site for a restore, and returns its id.
func ourBackup(ctx context.Context, w *world, site string) (*sitekeep, string, error) {
	s, err := w.openSitekeep(ctx)
	if err != nil {
		return nil, "", err
	}
	if err := s.backupFull(ctx, newMeter(), site); err != nil {
		return nil, "", err
	}
	b, err := s.newest(ctx, site)
	return s, b.ID, err
}

// graceTime is how long the old site stays after a restore. With the default, a
// day, as here, its removal is no part of the restore; here it goes before the next
// side begins, so that the disk does not fill.
const graceTime = 10 * time.Second

func (s *sitekeep) restore(ctx context.Context, m *meter, site, id string, more ...string) error {
	return s.run(ctx, m, append([]string{"restore", site, id, "--yes", "--grace", graceTime.String()}, more...)...)
}

// graceIsOver waits until what the last restore replaced is gone.
func (w *world) graceIsOver(ctx context.Context) error {
	for {
		kept, err := filepath.Glob(filepath.Join(filepath.Dir(w.site), ".sitekeep-*"))
		if err != nil || len(kept) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%v: %w", kept, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// aegirRestore is Aegir's whole restore; target makes the empty directory ready
// that the files go to.
func aegirRestore(ctx context.Context, w *world, target func(context.Context, *aegir) error) (*side, error) {
	a, err := w.aegirBackup(ctx)
	if err != nil {
		return nil, err
	}
	n := 0
	database := func() string { return fmt.Sprintf("aegir_restored_%d", n) }
	return &side{
		prepare: func(ctx context.Context) error {
			n++
			if err := w.db.Exec(ctx, "CREATE DATABASE "+database()+" CHARACTER SET utf8mb4"); err != nil {
				return err
			}
			if err := a.prepareRestore(); err != nil {
				return err
			}
			return target(ctx, a)
		},
		work: func(ctx context.Context, m *meter) error { return a.restore(ctx, m, database()) },
		check: func(ctx context.Context, _ *meter) error {
			if err := w.sameSite(ctx, a.target, database()); err != nil {
				return err
			}
			return w.db.Exec(ctx, "DROP DATABASE "+database())
		},
	}, nil
}
