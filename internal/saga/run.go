package saga

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// run is one saga in the hands of one call of the Engine.
type run struct {
	*Engine
	journal Journal
	plan    Plan
	phase   Phase
	entries []*entry // of every step, in the order of the plan
	due     time.Time
	cause   error // why it is rolled back
	stuck   *Record
	mute    bool // the journal does not take notes any more
}

// entry is what is known of one step. While a stage runs, its entry belongs to
// the goroutine of the step.
type entry struct {
	Step
	name                          string
	stage                         int
	memo                          Memo
	begun, done, undone, finished bool
}

func (e *Engine) open(ctx context.Context, j Journal, p Plan) (*run, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.o.JournalTimeout)
	defer cancel()
	s, err := Inspect(ctx, j)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	if s.Phase != PhaseEmpty {
		if err := p.matches(s); err != nil {
			return nil, err
		}
	}
	r := &run{Engine: e, journal: j, plan: p, phase: e.rules.phase(s), due: s.Due, stuck: s.Stuck}
	r.load(s)
	return r, nil
}

func (r *run) load(s State) {
	for i, steps := range r.plan.Stages {
		for _, step := range steps {
			en := &entry{Step: step, name: step.Name(), stage: i}
			if st := s.step(en.name); st != nil {
				en.begun, en.memo = true, st.Memo
				en.done, en.undone, en.finished = st.Done, st.Undone, st.Finished
			}
			r.entries = append(r.entries, en)
		}
	}
	r.cause = ErrInterrupted
	if s.Reason != "" {
		r.cause = errors.New(s.Reason)
	}
}

func (r *run) enter(p Phase) {
	r.phase = p
	if r.o.Observer != nil {
		r.o.Observer.Observe(Event{Kind: Entered, Phase: p})
	}
}

// outcome is how the journal stood when it was opened.
func (r *run) outcome() Outcome {
	switch {
	case r.stuck != nil:
		return NeedsOperator
	case r.phase == PhaseEmpty:
		return NotStarted
	case r.phase == PhaseRolledBack:
		return RolledBack
	case r.phase == PhaseCommitted:
		return Committed
	case r.phase == PhaseCompleted:
		return Completed
	}
	return Waiting
}

// carryOn goes the way that the journal says, to its end.
func (r *run) carryOn(ctx context.Context) (Outcome, error) {
	switch {
	case r.stuck != nil:
		return r.operatorNeeded()
	case r.phase == PhaseRunning, r.phase == PhaseRollingBack:
		o, err := r.rollBack(ctx, r.cause)
		if o == RolledBack {
			err = nil
		}
		return o, err
	case r.phase == PhaseCommitted && r.o.Now().Before(r.due):
		return Committed, nil
	case r.phase == PhaseCommitted, r.phase == PhaseFinishing:
		return r.finish(ctx)
	}
	return r.outcome(), nil
}

// operatorNeeded repeats what the journal says.
func (r *run) operatorNeeded() (Outcome, error) {
	act, remaining := ActUndo, r.toUndo()
	if r.phase == PhaseFinishing {
		act, remaining = ActFinish, r.toFinish()
	}
	s := &StuckError{
		Outcome: NeedsOperator, Step: r.stuck.Step, Act: act, Err: errors.New(r.stuck.Reason),
		Commands: r.stuck.Commands, Remaining: namesOf(remaining),
	}
	if act == ActUndo {
		s.Cause = r.cause
	}
	return NeedsOperator, s.withHint()
}

func namesOf(entries []*entry) []string {
	var names []string
	for _, en := range entries {
		names = append(names, en.name)
	}
	return names
}
