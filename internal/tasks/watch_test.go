package tasks_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// seen is what a watcher saw.
type seen struct {
	lines  []int64
	states []model.TaskState
	last   tasks.Event
}

func watch(t *testing.T, m *tasks.Manager, id string, from int64, pause time.Duration) (s seen) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for e, err := range m.Watch(ctx, id, from) {
		if err != nil {
			t.Error(err)
			return s
		}
		if (e.Line == nil) == (e.Task == nil) {
			t.Errorf("an event with both or neither: %+v", e)
		}
		if e.Line != nil {
			s.lines = append(s.lines, e.Line.Seq)
		}
		if e.Task != nil && !slices.Contains(s.states, e.Task.State) {
			s.states = append(s.states, e.Task.State)
		}
		s.last = e
		time.Sleep(pause)
	}
	return s
}

func numbers(from, to int64) (list []int64) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

// TestWatchLosesNothing lets many goroutines log while watchers come at all
// times, some of them slow: each sees every line once, in order, and the end last.
func TestWatchLosesNothing(t *testing.T) {
	b := newBed(t)
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: func(_ context.Context, run *tasks.Run) (any, error) {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 100 {
					run.Info("%d %d", w, i)
					run.Progress("logging", int64(i), 100, 0)
				}
			})
		}
		wg.Wait()
		return nil, nil
	}}}})
	one := q.submit(backupOf("a.example"))
	var watchers sync.WaitGroup
	for w := range 6 {
		watchers.Go(func() {
			time.Sleep(time.Duration(w) * 20 * time.Millisecond)
			s := watch(t, q.Manager, one.ID, 0, time.Duration(w%2)*time.Millisecond)
			if !slices.Equal(s.lines, numbers(1, 400)) {
				t.Errorf("watcher %d saw %d lines: %v", w, len(s.lines), s.lines)
			}
			if s.last.Task == nil || s.last.Task.State != model.TaskSucceeded {
				t.Errorf("watcher %d saw last %+v", w, s.last)
			}
		})
	}
	watchers.Wait()
}

func TestAWatcherThatStandsStillHoldsUpNobody(t *testing.T) {
	b := newBed(t)
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: func(_ context.Context, run *tasks.Run) (any, error) {
		for i := range 50 {
			run.Info("%d", i)
		}
		return nil, nil
	}}}})
	one := q.submit(backupOf("a.example"))
	lines := 0
	for e, err := range q.Watch(t.Context(), one.ID, 1) {
		fatal(t, err)
		if e.Line == nil {
			continue
		}
		if lines++; lines == 1 {
			q.ends(one.ID, model.TaskSucceeded) // it ends although its watcher does not move
		}
	}
	if lines != 50 {
		t.Fatalf("%d lines", lines)
	}
}

// lateReader lets something happen right after lines were read.
type lateReader struct {
	tasks.Catalogue
	after func()
}

func (r *lateReader) LogLines(ctx context.Context, id string, from int64, limit int) ([]model.LogLine, error) {
	lines, err := r.Catalogue.LogLines(ctx, id, from, limit)
	if after := r.after; after != nil {
		r.after = nil
		after()
	}
	return lines, err
}

// TestTheEndBetweenTwoLooks: a task logs and ends while its watcher looks. The
// line must not be lost because the end was seen.
func TestTheEndBetweenTwoLooks(t *testing.T) {
	b, g := newBed(t), newGate()
	reader := &lateReader{Catalogue: b.cat}
	q := b.start(tasks.Config{Catalogue: reader, Kinds: kinds{model.TaskBackup: {Handler: func(ctx context.Context, run *tasks.Run) (any, error) {
		result, err := g.handle(ctx, run)
		run.Info("last words")
		return result, err
	}}}})
	one := q.submit(backupOf("a.example"))
	g.next(t)
	reader.after = func() {
		g.let <- nil
		q.ends(one.ID, model.TaskSucceeded)
	}
	if s := watch(t, q.Manager, one.ID, 1, 0); !slices.Equal(s.lines, []int64{1}) {
		t.Fatalf("lines %v, states %v", s.lines, s.states)
	}
}

// TestAChangeThatNobodyTells is seen all the same: a watcher that missed one would wait for ever.
func TestAChangeThatNobodyTells(t *testing.T) {
	b := newBed(t)
	m := b.make(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: func(context.Context, *tasks.Run) (any, error) { return nil, nil }}}, LookAgain: 10 * time.Millisecond})
	task := model.Task{ID: "01KACQ4J7XK0VJ7N3YH2M3T5QZ", Kind: model.TaskBackup, Site: "a.example", State: model.TaskQueued, CreatedAt: time.Now()}
	_, err := b.cat.AddTask(t.Context(), task, true, false)
	fatal(t, err)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if s := watch(t, m, task.ID, 0, 0); s.last.Task == nil || s.last.Task.State != model.TaskFailed {
			t.Errorf("the watcher saw last %+v", s.last)
		}
	})
	waiting.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if ended, err := m.Wait(ctx, task.ID); err != nil || ended.State != model.TaskFailed {
			t.Errorf("who waits got %s, %v", ended.State, err)
		}
	})
	time.Sleep(50 * time.Millisecond) // both have looked
	task.State = model.TaskFailed
	_, err = b.cat.MoveTask(t.Context(), task, model.TaskQueued)
	fatal(t, err)
	waiting.Wait()
}

func TestWatchFromTheMiddleAndAfterARestart(t *testing.T) {
	b := newBed(t)
	cfg := tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: func(_ context.Context, run *tasks.Run) (any, error) {
		for i := range 450 { // more than two pages
			run.Info("%d", i)
		}
		return nil, nil
	}}}}
	q := b.start(cfg)
	one := q.submit(backupOf("a.example"))
	q.ends(one.ID, model.TaskSucceeded)
	fatal(t, q.stop())
	later := b.make(cfg)
	for _, from := range []int64{0, 1, 200, 201, 450, 451, 1000} {
		s := watch(t, later, one.ID, from, 0)
		if want := numbers(max(from, 1), 450); !slices.Equal(s.lines, want) || !slices.Equal(s.states, []model.TaskState{model.TaskSucceeded}) {
			t.Errorf("from %d: %d lines, states %v", from, len(s.lines), s.states)
		}
	}
}

func TestWatchSeesTheStates(t *testing.T) {
	b, g := newBed(t), newGate()
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: func(ctx context.Context, run *tasks.Run) (any, error) {
		run.Progress("half", 1, 2, 0)
		return g.handle(ctx, run)
	}}}})
	first := q.submit(backupOf("a.example"))
	g.next(t)
	second := q.submit(waiting(backupOf("a.example")))
	var steps []string
	for e, err := range q.Watch(t.Context(), second.ID, 1) {
		fatal(t, err)
		if e.Task == nil {
			continue
		}
		steps = append(steps, fmt.Sprint(e.Task.State, " ", e.Task.Progress.Step))
		switch {
		case e.Task.State == model.TaskQueued:
			g.let <- nil
		case e.Task.Progress.Step == "half" && e.Task.State == model.TaskRunning:
			g.let <- nil
		}
	}
	if want := []string{"queued ", "running ", "running half", "succeeded half"}; !slices.Equal(steps, want) {
		t.Fatalf("saw %q", steps)
	}
	q.ends(first.ID, model.TaskSucceeded)
}

func TestWatchEnds(t *testing.T) {
	b := newBed(t)
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: untilTold}}})
	one := q.submit(backupOf("a.example"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for e, err := range q.Watch(ctx, one.ID, 1) {
		if last = err; err == nil && e.Task != nil {
			cancel()
		}
	}
	wants(t, last, errs.Cancelled)
	for _, err := range q.Watch(t.Context(), "nothing", 1) {
		last = err
	}
	wants(t, last, errs.NotFound)
	for range q.Watch(t.Context(), one.ID, 1) {
		break
	}
	if got := b.task(one.ID).State; got.Final() {
		t.Fatalf("the task ended with its watcher: %s", got)
	}
}
