package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// TestWatchAll: every task's end comes, once, whatever its fate and however many change at the same time.
func TestWatchAll(t *testing.T) {
	b := newBed(t)
	q := b.start(tasks.Config{Limits: tasks.Limits{Total: 7}, Kinds: kinds{model.TaskBackup: {Handler: func(_ context.Context, run *tasks.Run) (any, error) {
		run.Progress("reading", 1, 2, 3)
		if run.Task.Site == "site13.example" {
			return nil, errors.New("bad luck")
		}
		return nil, nil
	}}}})
	ids := []string{"unknown"}
	for i := range 60 {
		ids = append(ids, q.submit(backupOf(fmt.Sprintf("site%d.example", i))).ID)
	}
	stranger := q.submit(backupOf("stranger.example")).ID
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ended := map[string]model.TaskState{}
	for task, err := range q.WatchAll(ctx, ids) {
		fatal(t, err)
		if _, twice := ended[task.ID]; twice || task.ID == stranger {
			t.Fatalf("task %s of %s comes again, or was not asked for", task.ID, task.Site)
		}
		if task.State.Final() {
			ended[task.ID] = task.State
		}
	}
	for i, id := range ids[1:] {
		want := model.TaskSucceeded
		if i == 13 {
			want = model.TaskFailed
		}
		if ended[id] != want {
			t.Errorf("task %d: %q, want %s", i, ended[id], want)
		}
	}
}

// TestWatchAllEndsWithItsCaller: also while nothing happens.
func TestWatchAllEndsWithItsCaller(t *testing.T) {
	b := newBed(t)
	m := b.make(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: func(context.Context, *tasks.Run) (any, error) { return nil, nil }}}})
	task, err := m.Submit(t.Context(), backupOf("a.example"))
	fatal(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	for got, err := range m.WatchAll(ctx, []string{task.ID}) {
		switch {
		case err != nil && !errors.Is(err, context.Canceled):
			t.Error(err)
		case err == nil && got.State != model.TaskQueued:
			t.Errorf("%+v", got)
		}
		seen++
		cancel()
	}
	if seen != 2 {
		t.Errorf("%d events, want the task and the end", seen)
	}
	for range m.WatchAll(t.Context(), []string{task.ID}) {
		break // a caller that has seen enough
	}
}
