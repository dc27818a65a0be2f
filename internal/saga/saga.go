// Package saga runs a plan of reversible steps and keeps a durable journal of
// it, so that whatever happens in the middle (a failing step, a cancelled
// context, a process that is killed) the world ends wholly as it was before or
// wholly as the plan wants it. It refuses to know what a step does, where the
// journal lies and who asked for the plan.
//
// The life of a saga, as its journal tells it:
//
//	plan → begun, done (each step) → committed → finishing → finished (each step) → completed
//	                │                    │
//	                └─────→ rolling_back ┘→ undoing, undone (each step, in reverse) → rolled_back
//
// Needs_operator may stand at the end of either branch; Resume goes on from there.
//
// One saga has one journal, and at most one call of an Engine works on a
// journal at a time: that is for the caller to ensure. A saga whose outcome is
// Waiting or NeedsOperator still owns what it has touched: no other saga may
// change the same things before it has ended.
package saga

import (
	"context"
	"encoding/json"
	"time"
)

// Memo is what a step must remember to be undone or finished: a small JSON
// value, written to the journal before the step acts. It must hold no secret:
// journals are kept, shown and copied. A nil Memo is written as null.
type Memo = json.RawMessage

// Step is one reversible part of a plan.
//
// The engine calls Prepare, writes the memo to the journal, and then calls Do
// with that memo. After a crash another process calls Undo (or Finish) on a
// Step of the same name that it has made anew: everything these need must be
// in the memo or in what the Step was made from.
type Step interface {
	// Name is unique in its plan and stable between versions of the program.
	Name() string
	// Prepare looks and changes nothing; it may be called again.
	// It returns what Do, Undo and Finish need to know.
	Prepare(ctx context.Context) (Memo, error)
	// Do acts. It may be called again after a failure or a success, with the
	// same memo, and ends in the same state.
	Do(ctx context.Context, memo Memo) error
	// Undo brings back what was there before Do. It copes with a Do that never
	// started, stopped half way, or was undone already, and it touches nothing
	// that Do did not make. Its context is not that of Do.
	Undo(ctx context.Context, memo Memo) error
}

// Finisher is a Step with cleaning up to do after the commit. Finish may be
// called again after a failure, a crash or a success. Once the first Finish of
// a plan may have begun, nothing of it is undone any more.
type Finisher interface {
	Finish(ctx context.Context, memo Memo) error
}

// Operator is a Step that can tell a person what to type when its Undo or
// Finish cannot be done: exact commands, one a line, without secrets. After
// they have been run, Undo (or Finish) must find its work done.
type Operator interface {
	Manual(memo Memo) []string
}

// UndoAfter is a Step whose Undo may go ahead while later stages still wait to
// be undone, as long as the named steps, if they began, have been undone. A
// Step without it waits for every step of every later stage. It lets what can
// be reached be undone while another server is away.
type UndoAfter interface {
	UndoAfter() []string
}

// Plan is what a saga does: stages one after the other, the steps of one stage
// at the same time. The commit point lies behind the last stage; what belongs
// after it is a Finish.
type Plan struct {
	// Name says what the plan is, for journals and errors: "restore".
	Name string
	// Version changes when a journal of an older Plan of this Name cannot be
	// carried on with this one.
	Version int
	// Stages run in order; the steps of one run concurrently, so they must not
	// depend on one another, neither in Do nor in Undo nor in Finish.
	Stages [][]Step
	// Grace is how long after the commit the finishing waits; until then
	// Rollback can undo everything. With zero, Run finishes at once.
	Grace time.Duration
	// Rehearsal: when all stages are done everything is undone, in place of a
	// commit. The outcome is RolledBack, with ErrRehearsed as its error.
	Rehearsal bool
}

// Journal keeps the records of one saga.
type Journal interface {
	// Append returns nil only after the record is on stable storage. After an
	// error the record may be there or not, and what Records then says must
	// stay true. Appending the same record twice is allowed. It is called from
	// several goroutines at once.
	Append(ctx context.Context, r Record) error
	// Records returns all records in the order of Append.
	Records(ctx context.Context) ([]Record, error)
}

// Kind is what a Record says. The values are part of the journal's format.
type Kind string

// Kinds of records.
const (
	KindPlan          Kind = "plan"           // Plan, Version, Stages: what will be run
	KindBegun         Kind = "begun"          // Step, Memo: from here on Step may have acted
	KindDone          Kind = "done"           // Step: Do returned without an error
	KindCommitted     Kind = "committed"      // Due: from here on nothing is undone unless asked for
	KindRollingBack   Kind = "rolling_back"   // Reason: from here on everything is undone
	KindUndoing       Kind = "undoing"        // Step: its Undo is about to be called
	KindUndone        Kind = "undone"         // Step: its Undo returned without an error
	KindRolledBack    Kind = "rolled_back"    // the end: the world is as it was
	KindFinishing     Kind = "finishing"      // from here on nothing can be undone
	KindFinished      Kind = "finished"       // Step: its Finish returned without an error
	KindCompleted     Kind = "completed"      // the end: committed and cleaned up
	KindNeedsOperator Kind = "needs_operator" // Step, Reason, Commands: a person must act
	KindResumed       Kind = "resumed"        // a person said: try again
)

// Record is one entry of a journal. It holds no secret.
// encoding/json writes and reads it without loss.
type Record struct {
	Kind     Kind       `json:"kind"`
	Time     time.Time  `json:"time"`
	Step     string     `json:"step,omitempty"`
	Memo     Memo       `json:"memo,omitempty"`
	Plan     string     `json:"plan,omitempty"`
	Version  int        `json:"version,omitempty"`
	Stages   [][]string `json:"stages,omitempty"`
	Due      time.Time  `json:"due,omitzero"`
	Reason   string     `json:"reason,omitempty"`
	Commands []string   `json:"commands,omitempty"`
}

// Outcome is where a saga stands when a call of the Engine returns.
type Outcome string

// Outcomes.
const (
	// NotStarted: the journal is empty; nothing was touched.
	NotStarted Outcome = "not_started"
	// RolledBack: the world is as it was. Final.
	RolledBack Outcome = "rolled_back"
	// Committed: the world is as the plan wants it; finishing is not yet due.
	Committed Outcome = "committed"
	// Completed: committed, and everything is cleaned up. Final.
	Completed Outcome = "completed"
	// Waiting: something that an undo or a finish needs is away. Call Recover
	// again when it may be back.
	Waiting Outcome = "waiting"
	// NeedsOperator: an undo or a finish cannot be done; the error (a
	// *StuckError) and the journal hold the commands. Then call Resume.
	NeedsOperator Outcome = "needs_operator"
)

// Final reports whether nothing is left to do for the saga.
func (o Outcome) Final() bool {
	return o == NotStarted || o == RolledBack || o == Completed
}
