package tasks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// WatchAll yields tasks as they are now, and each again when its state or
// progress has changed, until all have ended; an ended one comes once. Of
// changes between two looks the newest comes. Ids that nobody knows are left
// out. An error ends it.
func (m *Manager) WatchAll(ctx context.Context, ids []string) iter.Seq2[model.Task, error] {
	return func(yield func(model.Task, error) bool) {
		news := m.changes.follow(ids) // before looking, so that nothing falls in between
		defer m.changes.leave(news)
		open := make(map[string]*model.Task, len(ids))
		for _, id := range ids {
			open[id] = nil
		}
		for due := ids; ; due = news.take() {
			for _, id := range due {
				if err := m.lookAt(ctx, open, id, yield); err != nil {
					if !errors.Is(err, errEnough) {
						yield(model.Task{}, fmt.Errorf("watch tasks: %w", err))
					}
					return
				}
			}
			if len(open) == 0 {
				return
			}
			select {
			case <-news.wake:
			case <-ctx.Done():
				yield(model.Task{}, fmt.Errorf("watch tasks: %w", context.Cause(ctx)))
				return
			}
		}
	}
}

// errEnough ends a look whose caller wants no more.
var errEnough = errors.New("enough")

// lookAt yields one of the open tasks if it is not what was seen last, and drops it when it has ended.
func (m *Manager) lookAt(ctx context.Context, open map[string]*model.Task, id string, yield func(model.Task, error) bool) error {
	last, is := open[id]
	if !is {
		return nil
	}
	t, err := m.cfg.Catalogue.Task(ctx, id)
	switch {
	case errs.Is(err, errs.NotFound):
		delete(open, id)
		return nil
	case err != nil:
		return err
	case last != nil && !differ(last, &t):
		return nil
	}
	if open[id] = &t; t.State.Final() {
		delete(open, id)
	}
	if !yield(t, nil) {
		return errEnough
	}
	return nil
}

// group is told which of its tasks have changed.
type group struct {
	wake chan struct{} // something is to be taken

	mu  sync.Mutex
	ids map[string]bool // true: changed since the last take
	due []string
}

func (c *changes) follow(ids []string) *group {
	g := &group{wake: make(chan struct{}, 1), ids: make(map[string]bool, len(ids))}
	for _, id := range ids {
		g.ids[id] = false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.groups[g] = true
	return g
}

func (c *changes) leave(g *group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.groups, g)
}

// tell notes that a task has changed, if it is one of the group's.
func (g *group) tell(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if changed, ours := g.ids[id]; !ours || changed {
		return
	}
	g.ids[id] = true
	g.due = append(g.due, id)
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// take returns the tasks that have changed since it was called last.
func (g *group) take() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	due := g.due
	g.due = nil
	for _, id := range due {
		g.ids[id] = false
	}
	return due
}
