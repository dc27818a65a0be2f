package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// Names of what every run is asked for; rows add figures of their own.
const (
	wall      = "wall s"
	cpu       = "CPU s"      // of the programs, user and system; the database server left out
	peak      = "peak MiB"   // largest resident set of one process
	archiveMB = "archive MB" // of what the run left behind
	onDisk    = "on disk s"  // from the same beginning until nothing is left to be written
)

// sample is what one run came to, by the names of its figures.
type sample map[string]float64

// row is a comparison of sides, and what ours should reach in it.
type row struct {
	sides   []*side
	goals   []goal
	columns []string // figures to print beside those that every row has
	// before, if set, is called at the start of each round; it is not measured.
	before func(ctx context.Context, round int) error

	results  map[string][]sample // by side
	failures map[string]error    // the first one of a side, which then runs no more
}

// side is one way to do a row's work.
type side struct {
	name string
	// prepare makes ready for a run; it is not measured. It may be nil.
	prepare func(ctx context.Context) error
	// work is measured.
	work func(ctx context.Context, m *meter) error
	// check looks whether the work was done, and notes what it came to; it is not
	// measured.
	check func(ctx context.Context, m *meter) error
}

func newRow(columns ...string) *row {
	return &row{columns: columns, results: map[string][]sample{}, failures: map[string]error{}}
}

// add takes a side, or notes why there is none: the others run all the same.
func (r *row) add(name string, s *side, err error) {
	if err != nil {
		r.failures[name] = err
		s = &side{}
	}
	s.name = name
	r.sides = append(r.sides, s)
}

// want adds goals.
func (r *row) want(goals ...goal) { r.goals = append(r.goals, goals...) }

// measure runs all sides in turn, A B C and then C B A, so that what drifts on
// the machine meets all of them. Only the end of ctx stops it.
func (r *row) measure(ctx context.Context, rounds int, logf func(string, ...any)) error {
	for round := range rounds {
		if err := r.round(ctx, round, logf); err != nil {
			return err
		}
	}
	return nil
}

func (r *row) round(ctx context.Context, round int, logf func(string, ...any)) error {
	if r.before != nil {
		if err := r.before(ctx, round); err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	for i := range r.sides {
		if round%2 == 1 {
			i = len(r.sides) - 1 - i
		}
		s := r.sides[i]
		if r.failures[s.name] != nil {
			continue
		}
		took, err := s.run(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			r.failures[s.name] = fmt.Errorf("round %d: %w", round+1, err)
			logf("round %d, %s failed: %v", round+1, s.name, err)
			continue
		}
		r.results[s.name] = append(r.results[s.name], took)
		logf("round %d, %s: %.2f s", round+1, s.name, took[wall])
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
			return nil, fmt.Errorf("prepare: %w", err)
		}
	}
	// What the last side left to be written is not this one's to pay.
	syscall.Sync()
	m := newMeter()
	began := time.Now()
	if err := s.work(ctx, m); err != nil {
		return nil, err
	}
	m.note(wall, time.Since(began).Seconds())
	if err := m.finish(); err != nil {
		return nil, err
	}
	syscall.Sync()
	m.note(onDisk, time.Since(began).Seconds())
	if s.check != nil {
		if err := s.check(ctx, m); err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
	}
	return m.figures, nil
}
