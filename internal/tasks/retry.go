package tasks

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// Retry says how temporary errors are tried again.
type Retry struct {
	// For is for how long after its first failure a task is tried again; the last
	// attempt is at the end of it. A master that starts begins anew. nil: not at all.
	For     func(t model.Task) time.Duration
	Backoff time.Duration // before the second attempt; doubles from then on
	Most    time.Duration // the longest wait; 0 for no bound
}

// wait returns the time between an attempt (from 1) and the next.
func (r Retry) wait(attempt int) time.Duration {
	d := r.Backoff
	for range attempt - 1 {
		if d *= 2; r.Most > 0 && d >= r.Most {
			return r.Most
		}
	}
	return d
}

// timeLeft returns how long a task that failed with err may still be tried again.
func (m *Manager) timeLeft(e *entry, t model.Task, err error) time.Duration {
	retry := m.cfg.Kinds[t.Kind].Retry
	if retry.For == nil || !errs.Temporary(err) {
		return 0
	}
	if e.failing.IsZero() {
		e.failing = time.Now()
	}
	return retry.For(t) - time.Since(e.failing)
}

// tryAgain records that another attempt follows, and when.
func (m *Manager) tryAgain(ctx context.Context, e *entry, t model.Task, err error, left time.Duration) bool {
	wait := min(m.cfg.Shorten(m.cfg.Kinds[t.Kind].Retry.wait(e.tries)), left)
	m.note(ctx, t.ID, model.LevelInfo, fmt.Sprintf("attempt %d: %v; the next one follows in %s, and for another %s if need be",
		e.tries, err, short(wait), short(left)))
	t.State = model.TaskQueued
	t.Error, t.ErrorKind, t.Hint = clean(err.Error()), errs.KindOf(err).String(), errs.HintOf(err)
	m.putOff(e, wait)
	return m.record(ctx, t)
}

// short leaves out what nobody wants to know of a wait.
func short(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// putOff lets the next attempt wait. It is known before the task is recorded as queued, so that who reads of that finds it.
func (m *Manager) putOff(e *entry, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.after = time.Now().Add(wait)
}

// NextTry returns when a queued task is tried again that has failed; zero for any other.
func (m *Manager) NextTry(id string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.known[id]; e != nil && e.after.After(time.Now()) {
		return e.after
	}
	return time.Time{}
}

// Revive lets tasks that wait for their next attempt, and load one of the keys (see Limits.Keys), begin it now: what they
// failed for may have passed.
func (m *Manager) Revive(keys ...string) {
	m.revive(func(e *entry) bool {
		return slices.ContainsFunc(e.keys, func(key string) bool { return slices.Contains(keys, key) })
	})
}

// reviveLike revives the tasks that load nothing but what one that succeeded did: it is there.
func (m *Manager) reviveLike(done *entry) {
	m.revive(func(e *entry) bool {
		missing := func(key string) bool { return !slices.Contains(done.keys, key) }
		return len(e.keys) > 0 && !slices.ContainsFunc(e.keys, missing)
	})
}

func (m *Manager) revive(which func(*entry) bool) {
	m.mu.Lock()
	found := false
	for _, e := range m.queue {
		if !e.after.IsZero() && which(e) {
			e.after, found = time.Time{}, true
		}
	}
	m.mu.Unlock()
	if found {
		m.poke()
	}
}
