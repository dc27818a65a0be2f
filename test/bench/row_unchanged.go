package main

import (
	"context"
)

func rowUnchanged(ctx context.Context, w *world) (*row, error) {
	r := newRow(masterCPU, "new MB")
	if !w.options.peers {
		if err := addUnchanged(ctx, w, r); err != nil {
			r.add(ours, nil, err)
		}
	}
	addLater(ctx, w, r, "restic", newRestic, (*archiver).backup)
	addLater(ctx, w, r, "borg", newBorg, (*archiver).backup)
	addLater(ctx, w, r, "borg, files alone", newBorg, (*archiver).backupFiles)
	r.want(
		ratio(wall, ours, "restic", 0.50), ratio(wall, ours, "borg", 0.55),
		ratio(wall, oursFiles, "borg, files alone", 0.6), within(masterCPU, ours, 0.5).named("all spliced"))
	return r, nil
}

// addUnchanged makes the backups that ours take over from.
func addUnchanged(ctx context.Context, w *world, r *row) error {
	s, err := w.openSitekeep(ctx)
	if err != nil {
		return err
	}
	for _, site := range []string{w.domain, w.files} {
		if err := s.backupFull(ctx, newMeter(), site); err != nil {
			return err
		}
	}
	r.add(ours, s.backupSide(w.domain, s.backup), nil)
	r.add(oursFiles, s.backupSide(w.files, s.backup), nil)
	return settle(ctx)
}

// addLater adds an archiver that has a backup already; its repository's place is
// named for the side.
func addLater(ctx context.Context, w *world, r *row, name string, open func(*world, string) (*archiver, error),
	backup func(*archiver, context.Context, *meter) error,
) {
	a, err := open(w, name)
	if err != nil {
		r.add(name, nil, err)
		return
	}
	s, err := a.laterSide(ctx, func(ctx context.Context, m *meter) error { return backup(a, ctx, m) })
	r.add(name, s, err)
}
