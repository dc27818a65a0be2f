package tasks

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
)

// watchPage is how many log lines a watcher holds at a time.
const watchPage = 200

// Event is one piece of news of a task: either a line of its log or, when
// state, progress or outcome have changed, the task. The other one is nil.
type Event struct {
	Line *model.LogLine
	Task *model.Task
}

// Watch yields a task's log from line fromSeq on (0 and 1 are the first) and
// the task as it changes, until it has ended; its last event is the ended task.
// Every line comes, in order, however old it is and however slow the caller;
// of changes of the task between two looks the newest comes. An error ends it.
func (m *Manager) Watch(ctx context.Context, id string, fromSeq int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := &watcher{m: m, id: id, seq: max(fromSeq, 1)}
		for {
			changed := m.changes.next(id) // before looking, so that nothing falls in between
			more, err := w.look(ctx, yield)
			if err != nil {
				yield(Event{}, fmt.Errorf("watch task %s: %w", id, err))
			}
			if err != nil || !more {
				return
			}
			if err := m.wait(ctx, changed); err != nil {
				yield(Event{}, fmt.Errorf("watch task %s: %w", id, err))
				return
			}
		}
	}
}

// wait waits for a change, and not for ever: see Config.LookAgain. The error is why ctx has ended.
func (m *Manager) wait(ctx context.Context, changed <-chan struct{}) error {
	again := time.NewTimer(m.cfg.LookAgain)
	defer again.Stop()
	select {
	case <-changed:
	case <-again.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

type watcher struct {
	m    *Manager
	id   string
	seq  int64 // the next line
	last *model.Task
}

// look yields what is new and reports whether there may be more.
func (w *watcher) look(ctx context.Context, yield func(Event, error) bool) (more bool, err error) {
	// The task before its lines: the last line is written before the last state.
	t, err := w.m.cfg.Catalogue.Task(ctx, w.id)
	if err != nil {
		return false, err
	}
	for full := true; full; {
		lines, err := w.m.cfg.Catalogue.LogLines(ctx, w.id, w.seq, watchPage)
		if err != nil {
			return false, err
		}
		for i := range lines {
			w.seq = lines[i].Seq + 1
			if !yield(Event{Line: &lines[i]}, nil) {
				return false, nil
			}
		}
		full = len(lines) == watchPage
	}
	if w.last == nil || differ(w.last, &t) {
		w.last = &t
		if !yield(Event{Task: &t}, nil) {
			return false, nil
		}
	}
	return !t.State.Final(), nil
}

func differ(a, b *model.Task) bool {
	return a.State != b.State || a.Progress != b.Progress || a.Attempt != b.Attempt || a.CancelAsked != b.CancelAsked
}

// changes wakes those who wait for news of a task. It carries no news itself,
// so nobody who is slow can hold up or miss anything.
type changes struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
	groups  map[*group]bool
}

func newChanges() *changes {
	return &changes{waiting: map[string]chan struct{}{}, groups: map[*group]bool{}}
}

// next returns a channel that closes at the next change of a task.
func (c *changes) next(id string) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[id] == nil {
		c.waiting[id] = make(chan struct{})
	}
	return c.waiting[id]
}

// tell wakes all that wait for a task.
func (c *changes) tell(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ch := c.waiting[id]; ch != nil {
		close(ch)
		delete(c.waiting, id)
	}
	for g := range c.groups {
		g.tell(id)
	}
}
