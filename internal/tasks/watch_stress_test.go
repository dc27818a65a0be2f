package tasks_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// TestNoWatcherMissesAnEnd has hundreds of short tasks watched in both ways from the moment they are asked for, while
// other callers break off their reads of the catalogue half way. Each watcher must see the end of its task.
func TestNoWatcherMissesAnEnd(t *testing.T) {
	const each, lots = 25, 8
	b := newBed(t)
	q := b.start(tasks.Config{Limits: tasks.Limits{Total: 8}, Kinds: kinds{model.TaskVerify: {Reads: true, Handler: func(_ context.Context, run *tasks.Run) (any, error) {
		run.Progress("checking", 1, 2, 0)
		run.Info("checked")
		return nil, nil
	}}}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var rude, watchers sync.WaitGroup
	busy, calm := context.WithCancel(ctx)
	for range 2 {
		rude.Go(func() { breakOff(busy, b) })
	}
	for range lots {
		watchers.Go(func() {
			for range each {
				seesTheEnd(ctx, t, q)
			}
		})
	}
	watchers.Wait()
	calm()
	rude.Wait()
}

// breakOff reads with contexts that end at any moment.
func breakOff(ctx context.Context, b *bed) {
	for n := 0; ctx.Err() == nil; n++ {
		short, cancel := context.WithTimeout(ctx, time.Duration(n%40)*10*time.Microsecond)
		_, _ = b.cat.UnfinishedTasks(short) // its error is wanted
		cancel()
	}
}

func seesTheEnd(ctx context.Context, t *testing.T, q *queue) {
	one, err := q.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskVerify, Site: "a.example"})
	if err != nil {
		t.Error(err)
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		last := tasks.Event{}
		for e, err := range q.Watch(ctx, one.ID, 1) {
			if err != nil {
				t.Errorf("the end of task %s does not come: %v", one.ID, err)
				return
			}
			last = e
		}
		if last.Task == nil || last.Task.State != model.TaskSucceeded {
			t.Errorf("task %s: the last event is %+v", one.ID, last)
		}
	})
	both.Go(func() {
		for got, err := range q.WatchAll(ctx, []string{one.ID}) {
			if err != nil {
				t.Errorf("task %s: the end does not come to those who watch many: %v", got.ID, err)
			}
		}
	})
	both.Wait()
}
