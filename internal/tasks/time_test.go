package tasks_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

var away = errs.New(errs.Unreachable, "start the agent", "web1 is away")

// again is a policy that is the same for all tasks.
func again(f, backoff, most time.Duration) tasks.Retry {
	return tasks.Retry{For: func(model.Task) time.Duration { return f }, Backoff: backoff, Most: most}
}

// whole leaves nothing to chance.
func whole(wait time.Duration) time.Duration { return wait }

func TestRetriesAndTheirWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		var at []time.Duration
		began := time.Now()
		q := b.start(tasks.Config{Shorten: whole, Kinds: kinds{
			model.TaskBackup: {Retry: again(time.Hour, 10*time.Second, 30*time.Second), Handler: func(_ context.Context, run *tasks.Run) (any, error) {
				if at = append(at, time.Since(began)); len(at) < 5 {
					return nil, away
				}
				return nil, nil
			}},
			model.TaskVerify: {Handler: quick},
		}})
		one := q.submit(backupOf("a.example"))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		got := b.task(one.ID)
		if got.State != model.TaskQueued || got.ErrorKind != "unreachable" || got.Hint != "start the agent" || got.Attempt != 1 {
			t.Errorf("between two attempts: %+v", got)
		}
		behind := q.submit(tasks.SubmitRequest{Kind: model.TaskVerify, Site: "a.example", Queue: true})
		if _, err := q.Submit(t.Context(), tasks.SubmitRequest{Kind: model.TaskVerify, Site: "a.example"}); !errs.Is(err, errs.Busy) {
			t.Errorf("a task that waits for its next attempt gave its site away: %v", err)
		}
		time.Sleep(2 * time.Minute)
		got = q.ends(one.ID, model.TaskSucceeded)
		want := []time.Duration{0, 10 * time.Second, 30 * time.Second, 60 * time.Second, 90 * time.Second}
		if !slices.Equal(at, want) || got.Error != "" || got.Attempt != 5 {
			t.Errorf("attempts at %v, then %+v", at, got)
		}
		if v := q.ends(behind.ID, model.TaskSucceeded); v.StartedAt.Before(got.FinishedAt) {
			t.Error("the one behind went first")
		}
		fatal(t, q.stop())
	})
}

// TestRestartsUseUpNoAttempts: a master that was killed three times while a task ran has not tried it three times.
func TestRestartsUseUpNoAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		queued := b.make(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: quick}}})
		one, err := queued.Submit(t.Context(), backupOf("a.example"))
		fatal(t, err)
		one.State, one.Attempt = model.TaskRunning, 3
		if _, err := b.cat.MoveTask(t.Context(), one, model.TaskQueued); err != nil {
			t.Fatal(err)
		}
		calls := 0
		q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {
			Recovery: tasks.Requeue, Retry: again(time.Minute, time.Second, 0),
			Handler: func(context.Context, *tasks.Run) (any, error) {
				if calls++; calls < 3 {
					return nil, away
				}
				return nil, nil
			},
		}}})
		time.Sleep(time.Minute)
		if got := q.ends(one.ID, model.TaskSucceeded); got.Attempt != 6 || calls != 3 {
			t.Errorf("%d calls, %+v", calls, got)
		}
		fatal(t, q.stop())
	})
}

func TestWhatIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for err, attempts := range map[error]int{errPlain: 1, away: 3} {
			b := newBed(t)
			calls := 0
			q := b.start(tasks.Config{Shorten: whole, Kinds: kinds{model.TaskBackup: {Retry: again(3*time.Minute, time.Minute, 0), Handler: func(context.Context, *tasks.Run) (any, error) {
				calls++
				return nil, err
			}}}})
			one := q.submit(backupOf("a.example"))
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := b.task(one.ID); got.State != model.TaskFailed || calls != attempts || got.Attempt != attempts {
				t.Errorf("%v: %d calls, %+v", err, calls, got)
			}
			fatal(t, q.stop())
		}
	})
}

func TestCancelBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Retry: again(9*time.Hour, time.Hour, 0), Handler: func(context.Context, *tasks.Run) (any, error) {
			return nil, away
		}}}})
		one := q.submit(backupOf("a.example"))
		synctest.Wait()
		got, err := q.Cancel(t.Context(), one.ID, "alice")
		fatal(t, err)
		if got.State != model.TaskCancelled {
			t.Errorf("%+v", got)
		}
		q.submit(backupOf("a.example")) // the site is free at once
		synctest.Wait()
		fatal(t, q.stop())
	})
}

// counting counts writes of progress, and fails moves while told to.
type counting struct {
	tasks.Catalogue
	writes atomic.Int32
	fails  atomic.Int32
}

func (c *counting) SetProgress(ctx context.Context, id string, p model.Progress) error {
	c.writes.Add(1)
	return c.Catalogue.SetProgress(ctx, id, p)
}

func (c *counting) MoveTask(ctx context.Context, t model.Task, from model.TaskState) (bool, error) {
	if c.fails.Add(-1) >= 0 {
		return false, errors.New("disk full")
	}
	return c.Catalogue.MoveTask(ctx, t, from)
}

func TestProgressIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		c := &counting{Catalogue: b.cat}
		q := b.start(tasks.Config{Catalogue: c, Kinds: kinds{model.TaskBackup: {Handler: func(_ context.Context, run *tasks.Run) (any, error) {
			for i := range 10_000 {
				run.Progress("sending", int64(i+1), 10_000, 0)
				time.Sleep(time.Millisecond)
			}
			return nil, nil
		}}}})
		got := q.ends(q.submit(backupOf("a.example")).ID, model.TaskSucceeded)
		if got.Progress.Done != 10_000 {
			t.Errorf("the last progress is %+v", got.Progress)
		}
		if n := c.writes.Load(); n < 35 || n > 42 {
			t.Errorf("%d writes in 10 s", n)
		}
		fatal(t, q.stop())
	})
}

// TestAnOutcomeIsNotLost lets the catalogue fail when a task begins and when
// it ends: the handler runs once, its site stays held, and its end is recorded.
func TestAnOutcomeIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		c := &counting{Catalogue: b.cat}
		c.fails.Store(2)
		calls := 0
		q := b.start(tasks.Config{Catalogue: c, Kinds: kinds{model.TaskBackup: {Handler: func(context.Context, *tasks.Run) (any, error) {
			calls++
			c.fails.Store(5)
			return nil, nil
		}}}})
		one := q.submit(backupOf("a.example"))
		time.Sleep(4 * time.Second)
		if _, err := q.Submit(t.Context(), backupOf("a.example")); !errs.Is(err, errs.Busy) {
			t.Errorf("the site was given away: %v", err)
		}
		q.ends(one.ID, model.TaskSucceeded)
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
		fatal(t, q.stop())
	})
}

// TestShutdownWhileTheCatalogueFails: not even a cancelled task whose end
// cannot be written keeps the master from stopping.
func TestShutdownWhileTheCatalogueFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		c := &counting{Catalogue: b.cat}
		q := b.start(tasks.Config{Catalogue: c, Kinds: kinds{model.TaskBackup: {Handler: func(ctx context.Context, _ *tasks.Run) (any, error) {
			<-ctx.Done()
			c.fails.Store(1 << 30)
			return nil, ctx.Err()
		}}}})
		one := q.submit(backupOf("a.example"))
		synctest.Wait()
		_, err := q.Cancel(t.Context(), one.ID, "alice")
		fatal(t, err)
		time.Sleep(time.Minute)
		fatal(t, q.stop())
		if got := b.task(one.ID).State; got != model.TaskRunning {
			t.Errorf("%s", got)
		}
	})
}
