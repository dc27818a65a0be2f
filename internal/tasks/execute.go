package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// execute runs one attempt of a task from its start to its record. The entry
// is occupied when it is called.
func (m *Manager) execute(work context.Context, e *entry) {
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	m.arm(e, cancel)
	t, started, err := m.begin(ctx, e)
	if err != nil {
		m.cfg.Log.Error("begin task", "task", e.id, "error", err)
		m.putOff(e, recordRetry)
		m.release(e, true)
		return
	}
	if !started {
		m.release(e, false)
		return
	}
	if t.CancelAsked {
		cancel(ErrCancelled)
	}
	e.tries++
	out := m.call(ctx, t, e.resumed)
	m.release(e, m.finish(work, context.Cause(ctx), e, t, out))
}

// arm makes the handler's context known to interrupt.
func (m *Manager) arm(e *entry, cancel context.CancelCauseFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.cancel = cancel
	if e.cause != nil {
		cancel(e.cause)
	}
}

// begin records the task as running. It may have been cancelled since it was
// queued, and nothing begins once the master stops.
func (m *Manager) begin(ctx context.Context, e *entry) (t model.Task, started bool, err error) {
	if errors.Is(context.Cause(ctx), ErrShutdown) {
		return t, false, nil
	}
	record, cancel := detached(ctx)
	defer cancel()
	if t, err = m.cfg.Catalogue.Task(record, e.id); err != nil || t.State.Final() {
		return t, false, err
	}
	from := t.State
	refusal, err := m.refusal(record, e, t)
	if err != nil {
		return t, false, err
	}
	if refusal != nil {
		_, err := m.cfg.Catalogue.MoveTask(record, m.outcome(t, outcome{err: refusal}, ErrCancelled), from)
		m.changes.tell(e.id)
		return t, false, err
	}
	t.State = model.TaskRunning
	t.Attempt++
	t.Error, t.ErrorKind, t.Hint, t.FinishedAt = "", "", "", time.Time{}
	if t.StartedAt.IsZero() {
		t.StartedAt = m.cfg.Now().UTC()
	}
	moved, err := m.cfg.Catalogue.MoveTask(record, t, from)
	m.changes.tell(e.id)
	return t, moved, err
}

// refusal says why a task that has not begun shall not begin; nil if it shall.
func (m *Manager) refusal(ctx context.Context, e *entry, t model.Task) (refusal, err error) {
	switch {
	case e.resumed:
		return nil, nil
	case t.CancelAsked:
		return ErrCancelled, nil
	}
	return m.stuck(ctx, t.Kind, t.Site)
}

// stuck keeps kinds with a journal off a site that another task left half done.
func (m *Manager) stuck(ctx context.Context, kind model.TaskKind, site string) (refusal, err error) {
	if m.cfg.Kinds[kind].Recovery != Resume || site == "" {
		return nil, nil
	}
	id, err := m.cfg.Catalogue.StuckTask(ctx, site)
	if err != nil || id == "" {
		return nil, err
	}
	return errs.New(errs.Precondition, "do what the end of this says: sitekeep task log "+id+", then: sitekeep task retry "+id,
		"task %s on site %s needs an operator first", id, site), nil
}

func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
}

// outcome is what a handler gave.
type outcome struct {
	result any
	err    error
	warned bool
}

// panicked is the error of a handler that panicked.
type panicked struct {
	value any
	stack []byte
}

// Error is what the operator sees; the stack is for the server's log alone.
func (p *panicked) Error() string {
	return "the task failed for a mistake of the program; the master's log has the place"
}

// call calls the handler. One that goes by a journal and panics is called once
// more, told to mend: to undo what the journal says, or to go on if it has
// committed.
func (m *Manager) call(ctx context.Context, t model.Task, resumed bool) outcome {
	first := m.protect(ctx, t, resumed)
	var p *panicked
	if !errors.As(first.err, &p) || m.cfg.Kinds[t.Kind].Recovery != Resume {
		return first
	}
	mend, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	cancel(errPanicked)
	second := m.protect(mend, t, true)
	second.warned = second.warned || first.warned
	var operator *NeedsOperator
	switch {
	case second.err == nil, errors.As(second.err, &operator), errors.Is(second.err, ErrShutdown):
		return second
	case errors.As(second.err, &p):
		second.err = &NeedsOperator{Err: fmt.Errorf("twice, and so could not be undone: %w", p)}
		return second
	}
	return first
}

// protect calls the handler once and turns a panic into an error.
func (m *Manager) protect(ctx context.Context, t model.Task, resumed bool) (out outcome) {
	run := m.newRun(ctx, t, resumed)
	defer func() {
		if v := recover(); v != nil {
			p := &panicked{value: v, stack: debug.Stack()}
			m.cfg.Log.Error("a task's handler panicked", "task", t.ID, "kind", t.Kind, "panic", fmt.Sprint(v), "stack", string(p.stack))
			out.err = p
		}
		run.close()
		out.warned = run.warned
	}()
	out.result, out.err = m.cfg.Kinds[t.Kind].Handler(ctx, run)
	return out
}

// finish records what came of an attempt whose context ended for cause (nil if
// it did not), and reports whether there is another. The context is the queue's.
func (m *Manager) finish(ctx context.Context, cause error, e *entry, t model.Task, out outcome) (again bool) {
	var operator *NeedsOperator
	isOperator := errors.As(out.err, &operator)
	stopped := errors.Is(cause, ErrShutdown) || errors.Is(out.err, ErrShutdown)
	if out.err != nil && !isOperator && stopped {
		m.note(ctx, t.ID, model.LevelInfo, "the master stops; the task goes on when it starts again")
		return false
	}
	if left := m.timeLeft(e, t, out.err); cause == nil && left > 0 {
		return m.tryAgain(ctx, e, t, out.err, left)
	}
	if out.err == nil {
		m.reviveLike(e)
	}
	if isOperator {
		m.noteCommands(ctx, t.ID, operator)
	}
	ended := m.outcome(t, out, cause)
	if ended.Error != "" && !isOperator {
		m.note(ctx, t.ID, model.LevelError, ended.Error)
	}
	m.record(ctx, ended)
	return false
}

func (m *Manager) noteCommands(ctx context.Context, id string, e *NeedsOperator) {
	m.note(ctx, id, model.LevelError, e.Error())
	for _, command := range e.Commands {
		m.note(ctx, id, model.LevelError, "run by hand: "+command)
	}
}

// outcome returns the task as it ends, with the cause of its context's end if
// there was one.
func (m *Manager) outcome(t model.Task, out outcome, cause error) model.Task {
	t.FinishedAt = m.cfg.Now().UTC()
	t.State = stateOf(out, cause)
	if out.err == nil {
		result, err := json.Marshal(out.result)
		if err == nil {
			t.Result = result
			return t
		}
		out.err = fmt.Errorf("result of the task: %w", err)
		t.State = model.TaskFailed
	}
	err := out.err
	if t.State == model.TaskCancelled {
		err = cause
	}
	t.Error, t.ErrorKind, t.Hint = clean(err.Error()), errs.KindOf(err).String(), clean(errs.HintOf(err))
	if t.State == model.TaskNeedsOperator {
		t.Hint = "run the commands at the end of: sitekeep task log " + t.ID + ", then: sitekeep task retry " + t.ID
	}
	return t
}

func stateOf(out outcome, cause error) model.TaskState {
	var operator *NeedsOperator
	switch {
	case out.err == nil && out.warned:
		return model.TaskWarning
	case out.err == nil:
		return model.TaskSucceeded
	case errors.As(out.err, &operator):
		return model.TaskNeedsOperator
	case errors.Is(cause, ErrCancelled) && (errs.Is(out.err, errs.Cancelled) || errors.Is(out.err, context.Canceled)):
		return model.TaskCancelled
	}
	return model.TaskFailed
}

// record writes the end of an attempt. What cannot be written is tried again
// until the queue's context ends: until then the task is unfinished, and its
// site held. It reports whether it was written.
func (m *Manager) record(ctx context.Context, t model.Task) bool {
	for {
		write, cancel := detached(ctx)
		moved, err := m.cfg.Catalogue.MoveTask(write, t, model.TaskRunning)
		cancel()
		if err == nil {
			m.changes.tell(t.ID)
			return moved
		}
		m.cfg.Log.Error("record task", "task", t.ID, "state", t.State, "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(recordRetry):
		}
	}
}
