package tasks_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// flaky is a kind of backup that finds its agent away until it is back.
func flaky(back *bool, retry tasks.Retry) kinds {
	return kinds{model.TaskBackup: {Retry: retry, Handler: func(context.Context, *tasks.Run) (any, error) {
		if !*back {
			return nil, away
		}
		return nil, nil
	}}}
}

// An agent that is away for a quarter of an hour costs no backup, however often it was tried meanwhile; one that stays away
// fails it when the time is up, at a last attempt and not before.
func TestTriesGoOnUntilTheirTimeIsUp(t *testing.T) {
	for name, row := range map[string]struct {
		away  time.Duration
		state model.TaskState
	}{"it comes back": {15 * time.Minute, model.TaskSucceeded}, "it stays away": {24 * time.Hour, model.TaskFailed}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed(t)
				back := false
				began := time.Now()
				q := b.start(tasks.Config{Kinds: flaky(&back, again(30*time.Minute, 5*time.Second, time.Minute))})
				one := q.submit(backupOf("a.example"))
				time.Sleep(row.away)
				synctest.Wait()
				back = true
				time.Sleep(time.Minute) // the longest wait
				got := q.ends(one.ID, row.state)
				took := got.FinishedAt.Sub(began)
				if row.state == model.TaskFailed && took != 30*time.Minute {
					t.Errorf("given up after %s", took)
				}
				if row.state == model.TaskSucceeded && took > row.away+time.Minute {
					t.Errorf("done after %s", took)
				}
				if got.Attempt < 15 || got.Attempt > 80 {
					t.Errorf("%d attempts", got.Attempt)
				}
				fatal(t, q.stop())
			})
		})
	}
}

// Chance shortens a wait by half at most, and not always alike.
func TestWaitsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		back := false
		q := b.start(tasks.Config{Kinds: flaky(&back, again(time.Hour, time.Minute, time.Minute))})
		waits := map[time.Duration]bool{}
		for _, site := range []string{"a.example", "b.example", "c.example", "d.example"} {
			one := q.submit(backupOf(site))
			synctest.Wait()
			wait := time.Until(q.NextTry(one.ID))
			if wait < 30*time.Second || wait > time.Minute {
				t.Errorf("a wait of %s", wait)
			}
			waits[wait] = true
		}
		if len(waits) == 1 {
			t.Error("all come back together")
		}
		fatal(t, q.stop())
	})
}

// An agent that says it is there has its tasks tried at once, and nobody else's.
func TestAnAgentThatComesBackGetsItsTasksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		back := false
		keys := func(_ context.Context, t model.Task) []string { return []string{"agent of " + t.Site} }
		q := b.start(tasks.Config{Limits: tasks.Limits{Keys: keys}, Kinds: flaky(&back, again(9*time.Hour, time.Hour, 0))})
		one, other := q.submit(backupOf("a.example")), q.submit(backupOf("b.example"))
		synctest.Wait()
		if at := q.NextTry(one.ID); time.Until(at) < 30*time.Minute {
			t.Errorf("the next attempt is at %s", at)
		}
		back = true
		q.Revive("agent of a.example")
		synctest.Wait()
		if got := b.task(one.ID); got.State != model.TaskSucceeded || !q.NextTry(one.ID).IsZero() {
			t.Errorf("%+v", got)
		}
		if got := b.task(other.ID); got.State != model.TaskQueued {
			t.Errorf("another agent's: %+v", got)
		}
		fatal(t, q.stop())
	})
}

// A task that succeeds shows that its agent is there.
func TestOneThatSucceedsTakesTheOthersAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		back := false
		keys := func(_ context.Context, t model.Task) []string {
			if t.Site == "both.example" {
				return []string{"web1", "web2"}
			}
			return []string{"web1"}
		}
		q := b.start(tasks.Config{Limits: tasks.Limits{Keys: keys}, Kinds: flaky(&back, again(9*time.Hour, time.Hour, 0))})
		first, more := q.submit(backupOf("a.example")), q.submit(backupOf("both.example"))
		synctest.Wait()
		back = true
		q.submit(backupOf("b.example"))
		synctest.Wait()
		if got := b.task(first.ID); got.State != model.TaskSucceeded {
			t.Errorf("%+v", got)
		}
		if got := b.task(more.ID); got.State != model.TaskQueued {
			t.Errorf("one that needs another agent, too: %+v", got)
		}
		fatal(t, q.stop())
	})
}

// telling asks, whenever a task is recorded as queued again, when it is tried again: as those do who read of it at once.
type telling struct {
	tasks.Catalogue
	ask func(id string) time.Time
	got []time.Time
}

func (c *telling) MoveTask(ctx context.Context, t model.Task, from model.TaskState) (bool, error) {
	if t.State == model.TaskQueued {
		c.got = append(c.got, c.ask(t.ID))
	}
	return c.Catalogue.MoveTask(ctx, t, from)
}

// The next attempt is known as soon as anybody can read that there will be one.
func TestTheNextTryIsKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		back := false
		c := &telling{Catalogue: b.cat}
		var q *queue
		c.ask = func(id string) time.Time { return q.NextTry(id) }
		q = b.start(tasks.Config{Catalogue: c, Kinds: flaky(&back, again(time.Hour, time.Minute, 0))})
		q.submit(backupOf("a.example"))
		synctest.Wait()
		fatal(t, q.stop())
		if len(c.got) != 1 || c.got[0].IsZero() {
			t.Errorf("tried again at %s", c.got)
		}
	})
}
