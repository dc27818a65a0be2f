package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

// kill ends processes as a power cut does, and starts them again as a
// supervisor does.
func kill(ctx context.Context, processes []*bed.Process, between time.Duration) error {
	for _, p := range processes {
		if err := p.Kill(); err != nil {
			return err
		}
	}
	time.Sleep(between)
	for _, p := range processes {
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// killAtRandom kills a victim at any moment of the operation.
func killAtRandom(victim string, times int) strike {
	return func(ctx context.Context, r *rig, f *fault, _ target) error {
		time.Sleep(f.instant(r))
		for n := range times {
			if n > 0 {
				time.Sleep(time.Duration(f.random.Int64N(int64(800 * time.Millisecond))))
			}
			if err := kill(ctx, r.processes(victim), 0); err != nil {
				return err
			}
		}
		return nil
	}
}

// killAtRecord kills a victim when a record of the journal has just been
// written, or while the master cannot write it: after its act and before its
// record. Which record it is, its number says.
func killAtRecord(victim string, before bool) strike {
	return func(ctx context.Context, r *rig, f *fault, t target) error {
		labels := r.journals[f.op.name]
		n := f.number % len(labels)
		if before && n == 0 {
			n = 1
		}
		w, err := r.watch()
		if err != nil {
			return err
		}
		if before {
			err = w.killBefore(ctx, r, f, t, victim, labels[n-1], labels[n])
		} else {
			err = w.killAfter(ctx, r, f, t, victim, labels[n])
		}
		return errors.Join(err, w.close())
	}
}

func (w *watcher) killAfter(ctx context.Context, r *rig, f *fault, t target, victim, label string) error {
	f.said = "after " + label
	if _, err := w.await(ctx, t, label); err != nil {
		return err
	}
	if err := w.close(); err != nil {
		return err
	}
	return kill(ctx, r.processes(victim), 0)
}

// killBefore holds the record back for as long as the act before it may take.
func (w *watcher) killBefore(ctx context.Context, r *rig, f *fault, t target, victim, last, label string) error {
	f.said = fmt.Sprintf("after %s, before %s", last, label)
	found, err := w.await(ctx, t, last)
	if err != nil {
		return err
	}
	if err := w.close(); err != nil {
		return err
	}
	if !found {
		return kill(ctx, r.processes(victim), 0)
	}
	release, err := w.hold(ctx)
	if err != nil {
		return err
	}
	time.Sleep(time.Duration(f.random.Int64N(int64(1200 * time.Millisecond))))
	for _, p := range r.processes(victim) {
		err = errors.Join(err, p.Kill())
	}
	release()
	for _, p := range r.processes(victim) {
		err = errors.Join(err, p.Start(ctx))
	}
	return err
}

// cancelAtRandom asks the task to end.
func cancelAtRandom(ctx context.Context, r *rig, f *fault, t target) error {
	time.Sleep(f.instant(r))
	_, err := r.master.CLI(ctx, "task", "cancel", t.task) // one that has ended cannot be cancelled
	return err
}
