package saga

import (
	"errors"
	"fmt"
	"slices"
)

// errPlan is for plans that contradict themselves: a mistake of ours, found
// before anything is touched.
var errPlan = errors.New("the plan is wrong")

// names lists the steps of each stage.
func (p Plan) names() [][]string {
	stages := make([][]string, len(p.Stages))
	for i, steps := range p.Stages {
		for _, s := range steps {
			stages[i] = append(stages[i], s.Name())
		}
	}
	return stages
}

// check refuses what could not be run, or not be read back from a journal.
func (p Plan) check() error {
	stageOf := map[string]int{}
	for i, steps := range p.Stages {
		if len(steps) == 0 {
			return fmt.Errorf("%w: stage %d of %s is empty", errPlan, i+1, p.Name)
		}
		for _, s := range steps {
			name := s.Name()
			if _, twice := stageOf[name]; twice || name == "" {
				return fmt.Errorf("%w: step name %q of %s is empty or stands twice", errPlan, name, p.Name)
			}
			stageOf[name] = i
		}
	}
	if len(stageOf) == 0 {
		return fmt.Errorf("%w: %s has no steps", errPlan, p.Name)
	}
	return p.checkUndoAfter(stageOf)
}

// checkUndoAfter finds names that a misspelling would make mean "nothing".
func (p Plan) checkUndoAfter(stageOf map[string]int) error {
	for i, steps := range p.Stages {
		for _, s := range steps {
			u, ok := s.(UndoAfter)
			if !ok {
				continue
			}
			for _, name := range u.UndoAfter() {
				if stage, known := stageOf[name]; !known || stage <= i {
					return fmt.Errorf("%w: %s is to be undone after %q, which is not in a later stage", errPlan, s.Name(), name)
				}
			}
		}
	}
	return nil
}

// matches compares the plan with the one that a journal was begun for.
func (p Plan) matches(s State) error {
	names := p.names()
	if p.Name == s.Plan && p.Version == s.Version && slices.EqualFunc(names, s.Stages, slices.Equal[[]string]) {
		return nil
	}
	return fmt.Errorf("%w: it is for %s version %d %v, this is %s version %d %v",
		ErrPlanMismatch, s.Plan, s.Version, s.Stages, p.Name, p.Version, names)
}
