package saga

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Errors that calls of the Engine may wrap.
var (
	// ErrPlanMismatch: the journal was written for another plan; nothing was done.
	ErrPlanMismatch = errors.New("the journal belongs to another plan")
	// ErrFinishing: a rollback was asked for after the cleaning up had begun.
	ErrFinishing = errors.New("cannot be undone any more: the cleaning up after the commit has begun")
	// ErrNotCommitted: Finish was asked for on a saga that is not committed.
	ErrNotCommitted = errors.New("not committed")
	// ErrStarted: Run was called with a journal that is not empty.
	ErrStarted = errors.New("the journal is not empty")
	// ErrRehearsed is the cause of the rollback with which a rehearsal ends well.
	ErrRehearsed = errors.New("rehearsed")
	// ErrInterrupted is the cause of a rollback that follows a crash.
	ErrInterrupted = errors.New("interrupted before the commit")
)

// StepError is the failure of one act of one step.
type StepError struct {
	Step string
	Act  Act
	Err  error
}

func (e *StepError) Error() string { return fmt.Sprintf("%s %s: %v", e.Act, e.Step, e.Err) }

// Unwrap returns the step's own error.
func (e *StepError) Unwrap() error { return e.Err }

// PanicError is a panic in a step, turned into a failure of that step.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// StuckError comes, inside an errs.Error with the hint for the operator, with the outcomes Waiting and NeedsOperator: an undo or a
// finish (or the journal) that did not succeed.
type StuckError struct {
	Outcome Outcome
	// Step and Act are empty if it was the journal that failed.
	Step string
	Act  Act
	Err  error
	// Cause is why the saga was rolled back; nil while finishing.
	Cause error
	// Commands are for the operator, if Step knows them (see Operator).
	Commands []string
	// Remaining are the steps that are still to be undone or finished, Step
	// included, in the order in which that will happen.
	Remaining []string
}

func (e *StuckError) Error() string {
	var b strings.Builder
	if e.Step == "" {
		fmt.Fprintf(&b, "journal: %v", e.Err)
	} else {
		fmt.Fprintf(&b, "%s %s: %v", e.Act, e.Step, e.Err)
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, " (rolling back because of: %v)", e.Cause)
	}
	return b.String()
}

// Unwrap returns the error of the act and the cause of the rollback.
func (e *StuckError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// withHint gives e its kind and its next action, as package errs carries them.
func (e *StuckError) withHint() error {
	switch {
	case e.Outcome == Waiting:
		return &errs.Error{Kind: errs.Unreachable, Hint: "it goes on by itself when what it needs is back", Err: e}
	case len(e.Commands) == 0:
		return &errs.Error{Kind: errs.Precondition, Hint: "mend what the error names, then retry the task", Err: e}
	}
	hint := "run these commands, then retry the task:\n  " + strings.Join(e.Commands, "\n  ")
	return &errs.Error{Kind: errs.Precondition, Hint: hint, Err: e}
}
