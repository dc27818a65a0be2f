package main

import (
	"context"
	"fmt"
)

// Figures of what went over the wire, as parts of what a first backup sends.
const (
	sentFiles    = "files sent %"
	sentDatabase = "database sent %"
)

// rowChanged changes the site at the start of each round, for all sides alike;
// each has the round before as what it takes over from.
func rowChanged(how spread) func(context.Context, *world) (*row, error) {
	return func(ctx context.Context, w *world) (*row, error) {
		r := newRow(sentFiles, sentDatabase, "new MB")
		if !w.options.peers {
			s, err := sentSide(ctx, w)
			r.add(ours, s, err)
		}
		addLater(ctx, w, r, "restic", newRestic, (*archiver).backup)
		addLater(ctx, w, r, "borg", newBorg, (*archiver).backup)
		r.before = func(ctx context.Context, round int) error {
			if err := w.churnRows(ctx, how, round); err != nil {
				return fmt.Errorf("change rows: %w", err)
			}
			return w.change(ctx, how)
		}
		r.want(
			ratio(wall, ours, "restic", 0.45), ratio(wall, ours, "restic", 0.35).named("with the native dump"),
			ratio(wall, ours, "borg", 0.55), within(sentFiles, ours, map[spread]float64{scattered: 5, together: 2}[how]))
		return r, nil
	}
}

// sentSide counts what our agents send, beside all else.
func sentSide(ctx context.Context, w *world) (*side, error) {
	s, err := w.openSitekeep(ctx)
	if err != nil {
		return nil, err
	}
	var before traffic
	count := func(ctx context.Context) (err error) {
		before, err = s.traffic(ctx)
		return err
	}
	sent := func(ctx context.Context) (traffic, error) {
		now, err := s.traffic(ctx)
		if err != nil {
			return now, err
		}
		return now.since(before)
	}
	if err := count(ctx); err != nil {
		return nil, err
	}
	if err := s.backupFull(ctx, newMeter(), w.domain); err != nil {
		return nil, err
	}
	first, err := sent(ctx)
	if err != nil {
		return nil, err
	}
	return &side{
		prepare: count,
		work:    func(ctx context.Context, m *meter) error { return s.backup(ctx, m, w.domain) },
		check: func(ctx context.Context, m *meter) error {
			later, err := sent(ctx)
			if err != nil {
				return err
			}
			m.note(sentFiles, percent(later.files, first.files))
			m.note(sentDatabase, percent(later.database, first.database))
			return s.checked(ctx, m, w.domain)
		},
	}, nil
}

func percent(part, whole int64) float64 { return 100 * float64(part) / float64(whole) }
