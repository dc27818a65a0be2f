package saga

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Phase is how far a journal has come.
type Phase string

// Phases.
const (
	PhaseEmpty       Phase = "empty"
	PhaseRunning     Phase = "running"
	PhaseCommitted   Phase = "committed"
	PhaseRollingBack Phase = "rolling_back"
	PhaseRolledBack  Phase = "rolled_back"
	PhaseFinishing   Phase = "finishing"
	PhaseCompleted   Phase = "completed"
)

// State is what a journal says about its saga.
type State struct {
	Phase   Phase
	Plan    string
	Version int
	// Stages are the names of the plan's steps.
	Stages [][]string
	// Steps has what is known of each step that began, in that order.
	Steps []StepState
	// Due is when a committed saga may be finished.
	Due time.Time
	// Reason is why it is or was rolled back.
	Reason string
	// Stuck is the record that called for an operator, until somebody resumed.
	Stuck *Record
}

// StepState is what a journal says about one step that began.
type StepState struct {
	Name                   string
	Memo                   Memo
	Done, Undone, Finished bool
}

// ErrJournal says that the journal's records make no sense; nothing was done.
var ErrJournal = errors.New("the journal cannot be understood")

// Inspect reads a journal and says where its saga stands.
func Inspect(ctx context.Context, j Journal) (State, error) {
	records, err := j.Records(ctx)
	if err != nil {
		return State{}, fmt.Errorf("read the journal: %w", err)
	}
	return Replay(records)
}

// Replay says what the records of one journal mean. Records that stand twice
// mean the same as once. Its error is ErrJournal.
func Replay(records []Record) (State, error) {
	s := State{Phase: PhaseEmpty}
	for i, r := range records {
		if err := s.apply(r); err != nil {
			return State{}, fmt.Errorf("%w: record %d (%s): %w", ErrJournal, i, r.Kind, err)
		}
	}
	return s, nil
}

func (s *State) apply(r Record) error {
	if s.Phase == PhaseEmpty && r.Kind != KindPlan {
		return errors.New("there is no plan before it")
	}
	switch r.Kind {
	case KindPlan:
		return s.applyPlan(r)
	case KindBegun:
		return s.applyBegun(r)
	case KindDone, KindUndoing, KindUndone, KindFinished:
		return s.applyStep(r)
	case KindNeedsOperator:
		s.Stuck = &r
		return nil
	case KindResumed:
		s.Stuck = nil
		return nil
	}
	return s.applyPhase(r)
}

func (s *State) applyPlan(r Record) error {
	if s.Phase != PhaseEmpty {
		if s.Phase != PhaseRunning || !s.describes(r) {
			return errors.New("it is the second plan")
		}
		return nil
	}
	s.Phase, s.Plan, s.Version, s.Stages = PhaseRunning, r.Plan, r.Version, r.Stages
	return nil
}

func (s *State) describes(r Record) bool {
	same := slices.EqualFunc(s.Stages, r.Stages, slices.Equal[[]string])
	return same && s.Plan == r.Plan && s.Version == r.Version
}

func (s *State) applyBegun(r Record) error {
	if !slices.ContainsFunc(s.Stages, func(st []string) bool { return slices.Contains(st, r.Step) }) {
		return fmt.Errorf("step %q is not in the plan", r.Step)
	}
	if s.step(r.Step) == nil {
		s.Steps = append(s.Steps, StepState{Name: r.Step, Memo: r.Memo})
	}
	return nil
}

func (s *State) applyStep(r Record) error {
	st := s.step(r.Step)
	if st == nil {
		// The record of its beginning could not be written: it has not acted.
		if r.Kind == KindUndoing || r.Kind == KindUndone {
			return nil
		}
		return fmt.Errorf("step %q has not begun", r.Step)
	}
	switch r.Kind {
	case KindDone:
		st.Done = true
	case KindUndone:
		st.Undone = true
	case KindFinished:
		st.Finished = true
	}
	return nil
}

// applyPhase moves on to the phase that a record of its kind opens.
func (s *State) applyPhase(r Record) error {
	switch r.Kind {
	case KindCommitted:
		s.Due = r.Due
		return s.enter(PhaseCommitted, PhaseRunning)
	case KindRollingBack:
		s.Reason = r.Reason
		return s.enter(PhaseRollingBack, PhaseRunning, PhaseCommitted)
	case KindRolledBack:
		return s.enter(PhaseRolledBack, PhaseRunning, PhaseRollingBack)
	case KindFinishing:
		return s.enter(PhaseFinishing, PhaseCommitted)
	case KindCompleted:
		return s.enter(PhaseCompleted, PhaseFinishing)
	}
	return errors.New("its kind is unknown: it was written by a newer version")
}

func (s *State) enter(to Phase, from ...Phase) error {
	if s.Phase != to && !slices.Contains(from, s.Phase) {
		return fmt.Errorf("it cannot follow the phase %s", s.Phase)
	}
	s.Phase = to
	return nil
}

// AllDone reports whether every step of the plan was done, undone since or not.
// A rehearsal has succeeded then, whatever came after.
func (s *State) AllDone() bool {
	for _, stage := range s.Stages {
		for _, name := range stage {
			if st := s.step(name); st == nil || !st.Done {
				return false
			}
		}
	}
	return len(s.Stages) > 0
}

func (s *State) step(name string) *StepState {
	for i := range s.Steps {
		if s.Steps[i].Name == name {
			return &s.Steps[i]
		}
	}
	return nil
}
