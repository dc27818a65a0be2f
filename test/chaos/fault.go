package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// operation is what is struck.
type operation struct {
	name     string
	args     []string // of sitekeep restore, beside site and backup
	undo     bool     // a restore comes first, unstruck, and its --undo is struck
	cancelAt string   // the record at which it is cancelled, so that what is struck is its undoing
	kept     bool     // the old site is kept for a while, and brought back after the judgement
}

// operations are all that a restore can be asked for.
func operations() []operation {
	return []operation{
		{name: "restore", args: []string{"--grace", "0s"}},
		{name: "with grace", args: []string{"--grace", "24h"}, kept: true},
		{name: "undo", args: []string{"--grace", "24h"}, undo: true, kept: true},
		{name: "cancelled", args: []string{"--grace", "0s"}, cancelAt: "done write_vhost"},
		{name: "files only", args: []string{"--files-only", "--grace", "0s"}},
		{name: "db only", args: []string{"--db-only", "--grace", "0s"}},
	}
}

func operationOf(name string) operation {
	all := operations()
	return all[slices.IndexFunc(all, func(o operation) bool { return o.name == name })]
}

// after is what the site is when the operation has succeeded.
func (o operation) after(now state) state {
	target := 1 - now.tree
	switch o.name {
	case "files only":
		return state{target, now.tables}
	case "db only":
		return state{now.tree, 1 - now.tables}
	}
	return state{target, target}
}

// backup is the version that the operation restores.
func (o operation) backup(now state) int {
	if o.name == "db only" {
		return 1 - now.tables
	}
	return 1 - now.tree
}

// target is a task that is struck, and the one whose journal it goes on with:
// an undo's is that of the restore before it.
type target struct{ task, journal string }

// strike does harm to a task and mends what it has broken.
type strike func(ctx context.Context, r *rig, f *fault, t target) error

// fault is one row's one strike. Its random numbers are its own, so that it is
// the same wherever and whenever it is struck.
type fault struct {
	kind
	number int
	op     operation
	random *rand.Rand
	said   string // where it struck
}

func (f *fault) String() string { return fmt.Sprintf("%s #%d (%s)", f.row, f.number, f.op.name) }

// instant is a random moment of an undisturbed run of the operation.
func (f *fault) instant(r *rig) time.Duration {
	d := time.Duration(f.random.Int64N(int64(r.tasks[f.op.name]) * 11 / 10))
	f.said = fmt.Sprintf("%v after its start", d.Round(time.Millisecond))
	return d
}

// round strikes one operation and judges what comes of it.
func (r *rig) round(ctx context.Context, f *fault) (*verdict, error) {
	first := r.now
	t, err := r.begin(ctx, f)
	if err != nil {
		return nil, err
	}
	old, goal := r.now, f.op.after(r.now)
	if f.op.undo {
		goal = first
	}
	stop := r.cancelAt(ctx, f.op.cancelAt, t)
	err = f.strike(ctx, r, f, t)
	if err = errors.Join(err, stop()); err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	v := &verdict{outcome: wasMixed}
	if err := r.ended(ctx, t.task); err != nil {
		v.problem("%v", err)
		return v, nil
	}
	if err := r.retryByHand(ctx, f, t.task); err != nil {
		v.problem("%v", err)
		return v, nil
	}
	if v, err = r.judge(ctx, t.task, old, goal, f.op.kept); err != nil || !f.op.kept || len(v.problems) > 0 {
		return v, err
	}
	return v, r.bringBack(ctx, f, v, first)
}

// retryByHand does what an operator does when the harm is mended and the task
// has asked for that.
func (r *rig) retryByHand(ctx context.Context, f *fault, task string) error {
	if !f.hand {
		return nil
	}
	t, err := read[taskInfo](ctx, r, "task", "show", task)
	if err != nil || t.State != "needs_operator" {
		return err
	}
	f.said += ", retried by hand"
	if res, err := r.master.CLI(ctx, "task", "retry", task); err != nil || res.Code > 6 {
		return fmt.Errorf("task retry: %w: %s", err, res)
	}
	return r.ended(ctx, task)
}

// begin starts what is struck. What is undone was restored before.
func (r *rig) begin(ctx context.Context, f *fault) (t target, err error) {
	backup := r.versions[f.op.backup(r.now)].backup
	if f.from != nil {
		backup = f.from(r)
	}
	args := append([]string{"restore", siteName, backup, "--yes", "--detach"}, f.op.args...)
	if t.task, err = r.run(ctx, args...); err != nil || !f.op.undo {
		t.journal = t.task
		return t, err
	}
	t.journal = t.task
	if err := r.ended(ctx, t.journal); err != nil {
		return t, err
	}
	if before, err := read[taskInfo](ctx, r, "task", "show", t.journal); err != nil || !before.good() {
		return t, errors.Join(fmt.Errorf("the restore that is to be undone, and that nothing struck: %+v", before), err)
	}
	r.now = f.op.after(r.now)
	t.task, err = r.run(ctx, "restore", "--undo", siteName, "--yes", "--detach")
	return t, err
}

// bringBack ends the grace time of a restore by its undo, which must bring back
// exactly the site before it and leave nothing.
func (r *rig) bringBack(ctx context.Context, f *fault, v *verdict, first state) error {
	if v.task.good() != f.op.undo { // something is kept
		if _, err := r.run(ctx, "restore", "--undo", siteName, "--yes"); err != nil {
			return err
		}
		r.now = first
	}
	after := &verdict{}
	err := r.settle()
	for _, check := range []func(context.Context, *verdict, state) error{r.judgeTrees, r.judgeTables, r.judgePages, r.judgeRecords} {
		err = errors.Join(err, check(ctx, after, r.now))
	}
	err = errors.Join(err, r.judgeLeftovers(ctx, after))
	for _, p := range after.problems {
		v.problem("after the grace time was ended by an undo: %s", p)
		v.outcome = wasMixed
	}
	return err
}

// cancelAt asks a task to end when its journal has a record. What it returns
// waits until that was done.
func (r *rig) cancelAt(ctx context.Context, label string, t target) (wait func() error) {
	if label == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- r.cancelOn(ctx, label, t) }()
	return func() error { return <-done }
}

func (r *rig) cancelOn(ctx context.Context, label string, t target) error {
	w, err := r.watch()
	if err != nil {
		return err
	}
	found, err := w.await(ctx, t, label)
	if err = errors.Join(err, w.close()); err != nil || !found {
		return err
	}
	_, err = r.master.CLI(ctx, "task", "cancel", t.task) // a master that is away has another end of it
	return err
}

// calibrate runs an operation undisturbed, before the first fault that strikes
// it: how long it takes, and what its journal says.
func (r *rig) calibrate(ctx context.Context, op operation) error {
	if r.journals[op.name] != nil {
		return nil
	}
	f := &fault{op: op, kind: kind{row: "nothing", strike: func(ctx context.Context, r *rig, f *fault, t target) error {
		began := time.Now()
		if err := r.ended(ctx, t.task); err != nil {
			return err
		}
		r.tasks[op.name] = time.Since(began)
		w, err := r.watch()
		if err != nil {
			return err
		}
		labels, err := w.journal(ctx, t.journal)
		if op.undo {
			labels = labels[1+slices.Index(labels, "committed"):]
		}
		r.journals[op.name] = labels
		return errors.Join(err, w.close())
	}}}
	var mixed error
	return errors.Join(patiently(func() error {
		v, err := r.round(ctx, f)
		switch {
		case err != nil:
			return err
		case v.outcome == wasMixed:
			mixed = fmt.Errorf("%s without a fault: %+v, %q", op.name, v.task, v.problems)
			return nil
		case v.task.good() != (op.cancelAt == ""):
			return fmt.Errorf("%s without a fault: %+v", op.name, v.task)
		}
		return nil
	}), mixed)
}

// recover prepares the rig for the next fault.
func (r *rig) recover(ctx context.Context, f *fault) error {
	if f.rest != nil {
		if err := f.rest(ctx, r); err != nil {
			return err
		}
	}
	if len(r.taken) > 8 {
		return r.tidy(ctx)
	}
	return nil
}

// tidy removes the safety backups that rounds have left.
func (r *rig) tidy(ctx context.Context) error {
	if len(r.taken) == 0 {
		return nil
	}
	for _, verb := range []string{"unpin", "delete"} {
		if _, err := r.run(ctx, append([]string{verb, "--yes"}[:1+len(verb)/6], r.taken...)...); err != nil {
			return err
		}
	}
	r.taken = nil
	return nil
}
