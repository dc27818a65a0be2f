package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// rowEntry is one line of the registry: build lays out what the row needs, and
// is called only when the row is chosen.
type rowEntry struct {
	name, what string
	build      func(ctx context.Context, w *world) (*row, error)
}

// rows is the registry: a new row is one function and one line here.
func rows() []rowEntry {
	return []rowEntry{
		{"backup", "a whole backup, nothing reused: files and database", rowBackup},
		{"restore", "a whole restore: files and database", rowRestore},
		{"restore-files", "the files alone, out of the archive into an empty directory", rowRestoreFiles},
	}
}

// row is a comparison. Ratios are those of the first side, which is ours unless
// -peers left it out, to each of the others.
type row struct {
	sides   []*side
	results map[*side][]sample
}

// side is one way to do a row's work.
type side struct {
	name string
	goal float64 // the ratio that our side should reach against this one; 0 for none
	// prepare makes ready for a run; it is not measured. It may be nil.
	prepare func(ctx context.Context) error
	// work is measured.
	work func(ctx context.Context, m *meter) error
	// check looks whether the work was done and says how many bytes its archive
	// has, 0 for none; it is not measured.
	check func(ctx context.Context) (int64, error)
}

// sample is what one run cost.
type sample struct {
	wall  time.Duration
	cpu   time.Duration // of the programs, user and system
	peak  int64         // largest resident set of one process, in bytes
	bytes int64         // of the archive
}

// measure runs all sides in turn, A B C and then C B A, so that what drifts on
// the machine meets all of them.
func (r *row) measure(ctx context.Context, w *world) error {
	for round := range w.options.rounds {
		if err := r.round(ctx, round, w.bed.Logf); err != nil {
			return err
		}
	}
	return nil
}

func (r *row) round(ctx context.Context, round int, logf func(string, ...any)) error {
	if r.results == nil {
		r.results = map[*side][]sample{}
	}
	for i := range r.sides {
		if round%2 == 1 {
			i = len(r.sides) - 1 - i
		}
		s := r.sides[i]
		took, err := s.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.results[s] = append(r.results[s], took)
		logf("round %d, %s: %.2f s", round+1, s.name, took.wall.Seconds())
	}
	return nil
}

// runTimeout ends a run that hangs.
const runTimeout = 20 * time.Minute

func (s *side) run(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	if s.prepare != nil {
		if err := s.prepare(ctx); err != nil {
			return sample{}, fmt.Errorf("prepare: %w", err)
		}
	}
	// What the last side left to be written is not this one's to pay.
	syscall.Sync()
	var m meter
	began := time.Now()
	if err := s.work(ctx, &m); err != nil {
		return sample{}, err
	}
	took := sample{wall: time.Since(began)}
	if err := m.finish(&took); err != nil {
		return sample{}, err
	}
	size, err := s.check(ctx)
	if err != nil {
		return sample{}, fmt.Errorf("check: %w", err)
	}
	took.bytes = size
	return took, nil
}
