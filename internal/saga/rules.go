package saga

import (
	"context"
	"slices"
)

// rules are the decisions that keep a world whole. They stand apart so that
// tests can break them one at a time and see that the crash table notices.
type rules struct {
	// undoOrder puts the entries, given in the order of the plan, in the order of undoing.
	undoOrder func([]*entry)
	// undoContext is the context of the undoing that follows a failure.
	undoContext func(context.Context) context.Context
	// owesUndo says whether an entry must be undone.
	owesUndo func(*entry) bool
	// begin puts the durable record of a beginning before the act.
	begin func(record, act func() error) error
	// phase is the phase that a journal's state stands for.
	phase func(State) Phase
	// pointOfNoReturn writes the record behind which nothing can be undone.
	pointOfNoReturn func(record func() error) error
}

func soundRules() rules {
	return rules{
		undoOrder:   slices.Reverse[[]*entry],
		undoContext: context.WithoutCancel,
		owesUndo:    func(en *entry) bool { return en.begun && !en.undone },
		begin: func(record, act func() error) error {
			if err := record(); err != nil {
				return err
			}
			return act()
		},
		phase:           func(s State) Phase { return s.Phase },
		pointOfNoReturn: func(record func() error) error { return record() },
	}
}
