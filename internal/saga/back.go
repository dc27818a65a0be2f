package saga

import (
	"context"
	"errors"
	"slices"
)

// rollBack undoes every step that began, in reverse. The end of ctx ends the
// waiting for what is away, and nothing else. Without a commit in the journal a
// restart would roll back as well, so a journal that cannot be written keeps
// nothing from being undone; it only keeps the saga from being over.
func (r *run) rollBack(ctx context.Context, cause error) (Outcome, error) {
	r.cause = cause
	if r.phase != PhaseRollingBack {
		r.note(ctx, Record{Kind: KindRollingBack, Reason: cause.Error()})
		r.enter(PhaseRollingBack)
	}
	if s := r.sweep(ctx, ActUndo, r.toUndo(), undoBlocked, r.undo); s != nil {
		s.Cause, s.Remaining = cause, namesOf(r.toUndo())
		return r.halt(ctx, s)
	}
	if err := r.append(ctx, Record{Kind: KindRolledBack}); err != nil {
		return r.journalStuck(err)
	}
	r.enter(PhaseRolledBack)
	return RolledBack, cause
}

// finish cleans up after the commit, in the order of the plan.
func (r *run) finish(ctx context.Context) (Outcome, error) {
	if r.phase == PhaseCommitted {
		record := func() error { return r.append(ctx, Record{Kind: KindFinishing}) }
		if err := r.rules.pointOfNoReturn(record); err != nil {
			return r.journalStuck(err)
		}
		r.enter(PhaseFinishing)
	}
	if s := r.sweep(ctx, ActFinish, r.toFinish(), finishBlocked, r.finishStep); s != nil {
		s.Remaining = namesOf(r.toFinish())
		return r.halt(ctx, s)
	}
	if err := r.append(ctx, Record{Kind: KindCompleted}); err != nil {
		return r.journalStuck(err)
	}
	r.enter(PhaseCompleted)
	return Completed, nil
}

func (r *run) toUndo() []*entry {
	owing := slices.Clone(r.entries)
	r.rules.undoOrder(owing)
	return slices.DeleteFunc(owing, func(en *entry) bool { return !r.rules.owesUndo(en) })
}

func (r *run) toFinish() []*entry {
	return slices.DeleteFunc(slices.Clone(r.entries), func(en *entry) bool {
		_, does := en.Step.(Finisher)
		return !does || en.finished
	})
}

// sweep calls one for each entry. What waits blocks some of the later ones;
// what cannot be done stops everything. It returns what it first stumbled over.
func (r *run) sweep(ctx context.Context, act Act, entries []*entry,
	blocked func(en, by *entry) bool, one func(context.Context, *entry) *failure,
) *StuckError {
	var first *StuckError
	var waiting []*entry
	for _, en := range entries {
		if slices.ContainsFunc(waiting, func(w *entry) bool { return blocked(en, w) }) {
			waiting = append(waiting, en)
			continue
		}
		f := r.unlessEnded(ctx, act, en, one)
		switch {
		case f == nil:
			continue
		case !f.temporary:
			return r.cannot(en, f)
		case first == nil:
			first = &StuckError{Outcome: Waiting, Step: en.name, Act: act, Err: f.err.Err}
		}
		waiting = append(waiting, en)
	}
	return first
}

// unlessEnded starts no further act once ctx has ended.
func (r *run) unlessEnded(ctx context.Context, act Act, en *entry, one func(context.Context, *entry) *failure) *failure {
	if ctx.Err() != nil {
		return &failure{err: &StepError{Step: en.name, Act: act, Err: context.Cause(ctx)}, temporary: true}
	}
	return one(ctx, en)
}

// undoBlocked: a step waits for all of the later stages, unless it names for what.
func undoBlocked(en, by *entry) bool {
	if u, ok := en.Step.(UndoAfter); ok {
		return slices.Contains(u.UndoAfter(), by.name)
	}
	return by.stage > en.stage
}

func finishBlocked(en, by *entry) bool { return by.stage < en.stage }

func (r *run) undo(ctx context.Context, en *entry) *failure {
	r.note(ctx, Record{Kind: KindUndoing, Step: en.name})
	act := func(ctx context.Context) error { return en.Undo(ctx, en.memo) }
	if f := r.try(r.rules.undoContext(ctx), ctx, en.name, ActUndo, act); f != nil {
		return f
	}
	en.undone = true
	r.note(ctx, Record{Kind: KindUndone, Step: en.name})
	return nil
}

func (r *run) finishStep(ctx context.Context, en *entry) *failure {
	act := func(ctx context.Context) error { return en.Step.(Finisher).Finish(ctx, en.memo) }
	if f := r.try(context.WithoutCancel(ctx), ctx, en.name, ActFinish, act); f != nil {
		return f
	}
	en.finished = true
	r.note(ctx, Record{Kind: KindFinished, Step: en.name})
	return nil
}

// cannot asks the step what a person would have to do.
func (r *run) cannot(en *entry, f *failure) *StuckError {
	s := &StuckError{Outcome: NeedsOperator, Step: en.name, Act: f.err.Act, Err: f.err.Err}
	if op, ok := en.Step.(Operator); ok {
		s.Commands = op.Manual(en.memo)
	}
	return s
}

// halt leaves the saga as it is, and says so in the journal if it takes a person to go on.
func (r *run) halt(ctx context.Context, s *StuckError) (Outcome, error) {
	if s.Outcome == NeedsOperator {
		err := r.append(ctx, Record{Kind: KindNeedsOperator, Step: s.Step, Reason: s.Err.Error(), Commands: s.Commands})
		if err != nil {
			s.Err = errors.Join(s.Err, err)
		}
	}
	return s.Outcome, s.withHint()
}
