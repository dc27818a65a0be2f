package tasks

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// maxStarts bounds how often a task is begun again after restarts, so that one
// that brings the master down does not do so for ever.
const maxStarts = 100

// Serve takes up what a master before this one left, then runs tasks until ctx
// ends. Then it tells the running handlers (ErrShutdown) and waits for them,
// for Config.Shutdown at most. Their tasks stay as running, for the next Serve.
// Call it once. Submit, Cancel and Watch work before, during and after it.
func (m *Manager) Serve(ctx context.Context) error {
	if err := m.recover(ctx); err != nil {
		return fmt.Errorf("take up unfinished tasks: %w", err)
	}
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var handlers sync.WaitGroup
	for ctx.Err() == nil {
		start, again := m.startable(time.Now())
		for _, e := range start {
			handlers.Go(func() { m.execute(work, e) })
		}
		m.pause(ctx, again)
	}
	close(m.stops)
	stop(ErrShutdown)
	return m.drain(&handlers)
}

// pause waits until there may be something to start.
func (m *Manager) pause(ctx context.Context, again time.Time) {
	var due <-chan time.Time
	if !again.IsZero() {
		timer := time.NewTimer(time.Until(again))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-m.wake:
	case <-due:
	case <-ctx.Done():
	}
}

func (m *Manager) drain(handlers *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { // ends with the last handler, or with the process
		handlers.Wait()
		close(done)
	}()
	timer := time.NewTimer(m.cfg.Shutdown)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		m.mu.Lock()
		defer m.mu.Unlock()
		return errs.New(errs.Failed, "they are taken up when the master starts again", "%d tasks did not stop within %s", m.running, m.cfg.Shutdown)
	}
}

// recover takes up the tasks that a master before this one did not finish.
func (m *Manager) recover(ctx context.Context) error {
	tasks, err := m.cfg.Catalogue.UnfinishedTasks(ctx)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if err := m.takeUp(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manager) takeUp(ctx context.Context, t model.Task) error {
	kind, ok := m.cfg.Kinds[t.Kind]
	switch {
	case !ok:
		return m.giveUp(ctx, t, errs.New(errs.Precondition, "start it with the version that made it", "this version has no tasks of kind %q", t.Kind))
	case t.State == model.TaskQueued:
		m.enqueue(m.newEntry(ctx, t))
		return nil
	case kind.Recovery == Resume:
		m.note(ctx, t.ID, model.LevelInfo, "the master was restarted; the task goes on where its journal ends")
		m.enqueue(m.newEntry(ctx, t))
		return nil
	case kind.Recovery == Requeue && t.Attempt < maxStarts:
		return m.requeue(ctx, t)
	}
	return m.giveUp(ctx, t, errs.New(errs.Failed, "run it again with: sitekeep task retry "+t.ID, "the master was restarted while the task ran"))
}

func (m *Manager) requeue(ctx context.Context, t model.Task) error {
	m.note(ctx, t.ID, model.LevelInfo, "the master was restarted; the task begins again")
	t.State = model.TaskQueued
	moved, err := m.cfg.Catalogue.MoveTask(ctx, t, model.TaskRunning)
	if err != nil || !moved {
		return err
	}
	m.enqueue(m.newEntry(ctx, t))
	m.changes.tell(t.ID)
	return nil
}

func (m *Manager) giveUp(ctx context.Context, t model.Task, why error) error {
	from := t.State
	m.note(ctx, t.ID, model.LevelError, why.Error())
	t.State, t.FinishedAt = model.TaskFailed, m.cfg.Now().UTC()
	t.Error, t.ErrorKind, t.Hint = why.Error(), errs.KindOf(why).String(), errs.HintOf(why)
	_, err := m.cfg.Catalogue.MoveTask(ctx, t, from)
	m.changes.tell(t.ID)
	return err
}
