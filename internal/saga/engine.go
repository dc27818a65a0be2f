package saga

import (
	"context"
	"errors"
	"fmt"
)

// Engine runs sagas. It keeps no state between calls, and may be used by
// several goroutines for different journals at once.
type Engine struct {
	o     Options
	rules rules
}

// New returns an Engine.
func New(o Options) *Engine {
	return &Engine{o: o.withDefaults(), rules: soundRules()}
}

// Run carries out a plan whose journal is empty. A failure, or the end of ctx
// before the commit, undoes every step that began; the undoing is not bound to
// ctx. The error is nil with Committed and Completed, and the failure with
// RolledBack. With Waiting and NeedsOperator it wraps a *StuckError.
func (e *Engine) Run(ctx context.Context, j Journal, p Plan) (Outcome, error) {
	r, err := e.open(ctx, j, p)
	if err != nil {
		return NotStarted, err
	}
	if r.phase != PhaseEmpty {
		return r.outcome(), fmt.Errorf("run %s: %w", p.Name, ErrStarted)
	}
	if o, err := r.start(ctx); err != nil {
		return o, err
	}
	err = r.forward(ctx)
	switch {
	case err == nil && p.Rehearsal:
		err = ErrRehearsed
	case err == nil:
		err = r.commit(ctx)
	}
	switch {
	case errors.Is(err, errUnknown):
		return r.journalStuck(err)
	case err != nil:
		return r.rollBack(e.rules.undoContext(ctx), err)
	case p.Grace > 0:
		return Committed, nil
	}
	return r.finish(context.WithoutCancel(ctx))
}

// Recover goes on with a saga that a crash, or an outcome of Waiting, left
// behind, whichever way its journal says. What was not committed is undone;
// what was committed is finished if that is due. It may be called on any
// journal, at any time and again. The error is nil if the outcome is not
// Waiting or NeedsOperator; why a saga was rolled back, Inspect says.
//
// The end of ctx ends the waiting between attempts and starts nothing new, but
// does not stop an Undo or Finish that runs.
func (e *Engine) Recover(ctx context.Context, j Journal, p Plan) (Outcome, error) {
	r, err := e.open(ctx, j, p)
	if err != nil {
		return openFailed(err)
	}
	return r.carryOn(ctx)
}

// Resume is Recover for a saga that needed an operator, who has acted and asks
// to go on.
func (e *Engine) Resume(ctx context.Context, j Journal, p Plan) (Outcome, error) {
	r, err := e.open(ctx, j, p)
	if err != nil {
		return openFailed(err)
	}
	if r.stuck != nil {
		if err := r.append(ctx, Record{Kind: KindResumed}); err != nil {
			return r.journalStuck(err)
		}
		r.stuck = nil
	}
	return r.carryOn(ctx)
}

// Finish cleans up after the commit now, due or not. Outcome and error are as
// with Recover; ErrNotCommitted if the saga did not come so far.
func (e *Engine) Finish(ctx context.Context, j Journal, p Plan) (Outcome, error) {
	r, err := e.open(ctx, j, p)
	if err != nil {
		return openFailed(err)
	}
	switch {
	case r.stuck != nil:
		return r.operatorNeeded()
	case r.phase == PhaseCommitted, r.phase == PhaseFinishing:
		return r.finish(ctx)
	case r.phase == PhaseCompleted:
		return Completed, nil
	}
	return r.outcome(), fmt.Errorf("finish %s: %w", p.Name, ErrNotCommitted)
}

// Rollback undoes a saga that is committed but whose finishing has not begun,
// or that was interrupted before. The journal says so before anything is
// undone, so that after a crash Recover goes on with it. Outcome and error are
// as with Recover; ErrFinishing if it is too late.
func (e *Engine) Rollback(ctx context.Context, j Journal, p Plan) (Outcome, error) {
	r, err := e.open(ctx, j, p)
	if err != nil {
		return openFailed(err)
	}
	switch r.phase {
	case PhaseFinishing, PhaseCompleted:
		return r.outcome(), fmt.Errorf("roll back %s: %w", p.Name, ErrFinishing)
	case PhaseCommitted:
		if err := r.append(ctx, Record{Kind: KindRollingBack, Reason: "asked for"}); err != nil {
			return r.journalStuck(err)
		}
		r.enter(PhaseRollingBack)
		r.cause = errors.New("asked for")
	}
	return r.carryOn(ctx)
}

// openFailed turns an error of open into an outcome: a journal that cannot be
// read may be readable later, one that makes no sense needs a person.
func openFailed(err error) (Outcome, error) {
	s := &StuckError{Outcome: Waiting, Err: err}
	if errors.Is(err, ErrPlanMismatch) || errors.Is(err, ErrJournal) || errors.Is(err, errPlan) {
		s.Outcome = NeedsOperator
	}
	return s.Outcome, s.withHint()
}
