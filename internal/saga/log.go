package saga

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// errUnknown: the journal does not say whether the commit is in it.
var errUnknown = errors.New("whether the commit was recorded cannot be found out")

// journalAttempts bounds the attempts for one record.
const journalAttempts = 3

// append writes one record durably. Neither a cancelled context nor one failure
// keeps it from doing so; a record that is written twice does no harm.
func (r *run) append(ctx context.Context, rec Record) error {
	rec.Time = r.o.Now().UTC()
	ctx = context.WithoutCancel(ctx)
	retry := Retry{}.withDefaults(journalAttempts, 0)
	for n := 1; ; n++ {
		err := r.appendOnce(ctx, rec)
		if err == nil {
			return nil
		}
		if n == retry.Attempts {
			return fmt.Errorf("journal of %s: record %q %s: %w", r.plan.Name, rec.Kind, rec.Step, err)
		}
		if err := r.o.Sleep(ctx, retry.wait(n, r.o.Random())); err != nil {
			return err
		}
	}
}

// note writes a record that a later one, or doing the thing again, makes up for.
// Once one could not be written the next are not tried: a journal that hangs
// must not hold up an undoing.
func (r *run) note(ctx context.Context, rec Record) {
	if !r.mute {
		r.mute = r.append(ctx, rec) != nil
	}
}

func (r *run) appendOnce(ctx context.Context, rec Record) error {
	ctx, cancel := context.WithTimeout(ctx, r.o.JournalTimeout)
	defer cancel()
	return r.journal.Append(ctx, rec)
}

// start writes the plan. If that fails nothing was touched, but a record that is
// there all the same must be closed, or it would be found after a restart.
func (r *run) start(ctx context.Context) (Outcome, error) {
	failed := r.append(ctx, Record{Kind: KindPlan, Plan: r.plan.Name, Version: r.plan.Version, Stages: r.plan.names()})
	if failed == nil {
		r.enter(PhaseRunning)
		return "", nil
	}
	there, err := r.recorded(ctx, KindPlan)
	switch {
	case err != nil:
		return r.journalStuck(errors.Join(failed, err))
	case there:
		return r.rollBack(ctx, failed)
	}
	return NotStarted, failed
}

// commit writes the record behind which nothing is undone by itself. If that
// fails the journal is asked: what it says is what a restart would find.
func (r *run) commit(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("before the commit: %w", context.Cause(ctx))
	}
	r.due = r.o.Now().Add(r.plan.Grace).UTC()
	failed := r.append(ctx, Record{Kind: KindCommitted, Due: r.due})
	if failed != nil {
		there, err := r.recorded(ctx, KindCommitted)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", errUnknown, errors.Join(failed, err))
		case !there:
			return failed
		}
	}
	r.enter(PhaseCommitted)
	return nil
}

func (r *run) recorded(ctx context.Context, kind Kind) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.o.JournalTimeout)
	defer cancel()
	records, err := r.journal.Records(ctx)
	return slices.ContainsFunc(records, func(rec Record) bool { return rec.Kind == kind }), err
}

// journalStuck leaves everything as it is until the journal works again.
func (r *run) journalStuck(err error) (Outcome, error) {
	s := &StuckError{Outcome: Waiting, Err: err}
	return Waiting, s.withHint()
}
