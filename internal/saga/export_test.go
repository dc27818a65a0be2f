package saga

import (
	"context"
	"errors"
)

// A Mutation breaks one rule of an engine.
type Mutation struct {
	Name  string
	apply func(*rules)
}

// NewMutant returns an engine with one broken rule.
func NewMutant(m Mutation) func(Options) *Engine {
	return func(o Options) *Engine {
		e := New(o)
		m.apply(&e.rules)
		return e
	}
}

// Mutations are the mistakes that a crash table must find.
func Mutations() []Mutation {
	return []Mutation{
		{"undo in forward order", func(r *rules) { r.undoOrder = func([]*entry) {} }},
		{"undo under the cancelled context", func(r *rules) {
			r.undoContext = func(ctx context.Context) context.Context { return ctx }
		}},
		{"undo only of finished steps", func(r *rules) {
			r.owesUndo = func(en *entry) bool { return en.done && !en.undone }
		}},
		{"undo of every step, begun or not", func(r *rules) {
			r.owesUndo = func(en *entry) bool { return !en.undone }
		}},
		{"record of the beginning after the act", func(r *rules) {
			r.begin = func(record, act func() error) error { return errors.Join(act(), record()) }
		}},
		{"no record of the beginning at all", func(r *rules) {
			r.begin = func(_, act func() error) error { return act() }
		}},
		{"commit ignored", func(r *rules) {
			r.phase = func(s State) Phase {
				if s.Phase == PhaseCommitted || s.Phase == PhaseFinishing {
					return PhaseRunning
				}
				return s.Phase
			}
		}},
		{"rollback of a commit ignored", func(r *rules) {
			r.phase = func(s State) Phase {
				if s.Phase == PhaseRollingBack && !s.Due.IsZero() {
					return PhaseCommitted
				}
				return s.Phase
			}
		}},
		{"no point of no return before the finishing", func(r *rules) {
			r.pointOfNoReturn = func(func() error) error { return nil }
		}},
	}
}
