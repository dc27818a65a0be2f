package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// SubmitRequest asks for a task.
type SubmitRequest struct {
	Kind  model.TaskKind
	Site  string // empty if it is about no single site
	Spec  any    // the kind's own request, kept as JSON; no secret may be in it
	Queue bool   // wait for the site if another task holds it
}

// Submit puts a task into the queue and returns it. If another unfinished task
// holds the site and Queue is not set, the error is errs.Busy and names that
// task. Of two callers at the same time exactly one gets the site. Of a kind of
// which one is enough, a task that asks for the same thing and has not begun is
// returned in place of a second one that would wait.
func (m *Manager) Submit(ctx context.Context, r SubmitRequest) (model.Task, error) {
	kind, ok := m.cfg.Kinds[r.Kind]
	if !ok {
		return model.Task{}, errs.New(errs.Usage, "", "there are no tasks of kind %q", r.Kind)
	}
	if refusal, err := m.stuck(ctx, r.Kind, r.Site); refusal != nil || err != nil {
		return model.Task{}, errors.Join(refusal, err)
	}
	spec, err := json.Marshal(r.Spec)
	if err != nil {
		return model.Task{}, fmt.Errorf("request of a %s task: %w", r.Kind, err)
	}
	now := m.cfg.Now()
	id, err := ulid.New(ulid.Timestamp(now), ulid.DefaultEntropy())
	if err != nil {
		return model.Task{}, fmt.Errorf("id of a %s task: %w", r.Kind, err)
	}
	m.submitting.Lock()
	defer m.submitting.Unlock()
	t := model.Task{ID: id.String(), Kind: r.Kind, Site: r.Site, State: model.TaskQueued, Spec: spec, CreatedAt: now.UTC()}
	if twin, err := m.twin(ctx, kind, t, r.Queue); err != nil || twin.ID != "" {
		return twin, err
	}
	holder, err := m.cfg.Catalogue.AddTask(ctx, t, kind.holds(t), r.Queue)
	if err != nil {
		return model.Task{}, fmt.Errorf("queue a %s task: %w", r.Kind, err)
	}
	if holder != "" {
		return model.Task{}, busy(r.Site, holder)
	}
	m.enqueue(m.newEntry(context.WithoutCancel(ctx), t))
	return t, nil
}

// twin returns the task that stands for a new one: it asks for the same thing
// and has not begun. It has no id if there is none.
func (m *Manager) twin(ctx context.Context, kind Kind, t model.Task, queue bool) (model.Task, error) {
	if !kind.Once || kind.holds(t) && !queue {
		return model.Task{}, nil
	}
	id := m.waiting(t)
	if id == "" {
		return model.Task{}, nil
	}
	twin, err := m.cfg.Catalogue.Task(ctx, id)
	if err != nil || twin.State != model.TaskQueued || twin.CancelAsked {
		return model.Task{}, err
	}
	return twin, nil
}

// Again submits a task that has ended once more, with the same request. One
// that needs an operator goes on itself instead, by its journal: call it when
// the operator has done what the log says.
func (m *Manager) Again(ctx context.Context, id string, queue bool) (model.Task, error) {
	t, err := m.cfg.Catalogue.Task(ctx, id)
	if err != nil {
		return model.Task{}, err
	}
	if !t.State.Final() {
		return model.Task{}, errs.New(errs.Precondition, "follow it with: sitekeep task log -f "+id, "task %s has not ended", id)
	}
	if t.State == model.TaskNeedsOperator && m.cfg.Kinds[t.Kind].resumes(t) {
		return m.goOn(ctx, t, queue)
	}
	return m.Submit(ctx, SubmitRequest{Kind: t.Kind, Site: t.Site, Spec: json.RawMessage(t.Spec), Queue: queue})
}

// goOn puts a task that needed an operator back into the queue.
func (m *Manager) goOn(ctx context.Context, t model.Task, queue bool) (model.Task, error) {
	if holder := m.holder(t.Site); holder != "" && !queue {
		return model.Task{}, busy(t.Site, holder)
	}
	t.State, t.FinishedAt = model.TaskQueued, time.Time{}
	moved, err := m.cfg.Catalogue.MoveTask(ctx, t, model.TaskNeedsOperator)
	if err != nil {
		return model.Task{}, err
	}
	if !moved {
		return model.Task{}, errs.New(errs.Precondition, "follow it with: sitekeep task log -f "+t.ID, "task %s goes on already", t.ID)
	}
	m.enqueue(m.newEntry(context.WithoutCancel(ctx), t))
	m.changes.tell(t.ID)
	return t, nil
}

func busy(site, holder string) error {
	return errs.New(errs.Busy, "follow it with: sitekeep task log -f "+holder+" (or wait for your turn with --queue)",
		"site %s is held by task %s", site, holder)
}

// Cancel ends a task: at once if it is queued; if it runs its handler is told
// to, undoes what it did, and the task ends some time later. who is for the
// log. A task that has ended is errs.Precondition.
func (m *Manager) Cancel(ctx context.Context, id, who string) (model.Task, error) {
	t, err := m.cfg.Catalogue.AskCancel(ctx, id)
	if err != nil {
		return t, err
	}
	if t.State.Final() {
		return t, errs.New(errs.Precondition, "see what came of it with: sitekeep task show "+id, "task %s has ended as %s", id, t.State)
	}
	cause := errs.New(errs.Cancelled, "", "%w by %s", ErrCancelled, who)
	m.note(ctx, id, model.LevelInfo, "cancelled by "+who)
	if t.State == model.TaskQueued && !m.cfg.Kinds[t.Kind].resumes(t) {
		ended := t
		ended.State, ended.FinishedAt = model.TaskCancelled, m.cfg.Now().UTC()
		ended.Error, ended.ErrorKind = clean(cause.Error()), errs.Cancelled.String()
		moved, err := m.cfg.Catalogue.MoveTask(ctx, ended, model.TaskQueued)
		if err != nil {
			return t, err
		}
		if moved {
			m.forget(id)
			m.changes.tell(id)
			return ended, nil
		}
	}
	m.interrupt(id, cause)
	return m.cfg.Catalogue.Task(ctx, id)
}

// note adds a line to a task's log; what cannot be written there goes to the server's log.
func (m *Manager) note(ctx context.Context, id string, level model.Level, text string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if _, err := m.cfg.Catalogue.AppendLog(ctx, id, m.cfg.Now().UTC(), level, clean(text)); err != nil {
		m.cfg.Log.Error("task log", "task", id, "level", level, "text", text, "error", err)
		return
	}
	m.changes.tell(id)
}

// Wait returns the task once it has ended.
func (m *Manager) Wait(ctx context.Context, id string) (model.Task, error) {
	for {
		changed := m.changes.next(id)
		t, err := m.cfg.Catalogue.Task(ctx, id)
		if err != nil || t.State.Final() {
			return t, err
		}
		if err := m.wait(ctx, changed); err != nil {
			return t, fmt.Errorf("wait for task %s: %w", id, err)
		}
	}
}
