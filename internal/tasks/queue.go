package tasks

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
)

// entry is what the queue itself needs of an unfinished task. The rest stays
// in the catalogue, so ten thousand waiting tasks cost little.
type entry struct {
	id       string
	site     string // empty if it holds none
	owner    string
	twin     [sha256.Size]byte // equal tasks have the same
	keys     []string
	priority int
	order    int64
	resumed  bool      // it goes by its journal
	after    time.Time // not before; zero for now
	failing  time.Time // since when its attempts have failed; zero if none has
	tries    int       // attempts since the master started: those that a restart cut off were not the task's fault

	running bool
	cancel  context.CancelCauseFunc // of the handler's context
	cause   error                   // why it shall end, if that was said before it began
}

func (k Kind) holds(t model.Task) bool { return !k.Reads && t.Site != "" }

// resumes reports whether a task has a journal to go by, as far as anybody knows.
func (k Kind) resumes(t model.Task) bool { return k.Recovery == Resume && t.Attempt > 0 }

// newEntry asks for the task's keys, which may read the catalogue.
func (m *Manager) newEntry(ctx context.Context, t model.Task) *entry {
	kind := m.cfg.Kinds[t.Kind]
	e := &entry{id: t.ID, priority: kind.Priority, resumed: kind.resumes(t), twin: twinOf(t)}
	if m.cfg.Urgency != nil {
		e.priority += m.cfg.Urgency(t)
	}
	if m.cfg.Owner != nil {
		e.owner = m.cfg.Owner(ctx, t)
	}
	if kind.holds(t) {
		e.site = t.Site
	}
	if m.cfg.Limits.Keys != nil {
		e.keys = slices.Compact(slices.Sorted(slices.Values(m.cfg.Limits.Keys(ctx, t))))
	}
	return e
}

// twinOf returns what two tasks have in common that ask for the same thing.
func twinOf(t model.Task) [sha256.Size]byte {
	return sha256.Sum256(slices.Concat([]byte(t.Kind), []byte{0}, []byte(t.Site), []byte{0}, t.Spec))
}

// waiting returns the id of a task that asks for the same thing and has not begun, or "".
func (m *Manager) waiting(t model.Task) string {
	twin := twinOf(t)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.queue {
		if e.twin == twin && !e.resumed && e.cause == nil {
			return e.id
		}
	}
	return ""
}

// enqueue adds a task that is not known yet.
func (m *Manager) enqueue(e *entry) {
	m.mu.Lock()
	if m.known[e.id] == nil {
		m.next++
		e.order = m.next
		m.known[e.id] = e
		m.insert(e)
	}
	m.mu.Unlock()
	m.poke()
}

// insert puts an entry where it belongs: tasks with a journal first, then
// by priority, then in the order of asking. The lock is held.
func (m *Manager) insert(e *entry) {
	at, _ := slices.BinarySearchFunc(m.queue, e, compare)
	m.queue = slices.Insert(m.queue, at, e)
}

func compare(a, b *entry) int {
	switch {
	case a.resumed != b.resumed && a.resumed:
		return -1
	case a.resumed != b.resumed:
		return 1
	case a.priority != b.priority:
		return b.priority - a.priority
	}
	return int(a.order - b.order)
}

// holder returns the id of a task that holds a site or waits for it, or "".
func (m *Manager) holder(site string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.sites[site]; e != nil {
		return e.id
	}
	for _, e := range m.queue {
		if e.site == site && site != "" {
			return e.id
		}
	}
	return ""
}

// LimitsChanged lets tasks begin that limits held back until now.
func (m *Manager) LimitsChanged() { m.poke() }

// poke makes Serve look at the queue.
func (m *Manager) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// forget drops a queued task.
func (m *Manager) forget(id string) {
	m.mu.Lock()
	if e := m.known[id]; e != nil && !e.running {
		delete(m.known, id)
		m.queue = slices.DeleteFunc(m.queue, func(q *entry) bool { return q == e })
	}
	m.mu.Unlock()
	m.poke()
}

// interrupt ends the context of a running task, or of one that is about to run.
func (m *Manager) interrupt(id string, cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.known[id]
	if e == nil {
		return
	}
	e.cause = cause
	if e.cancel != nil {
		e.cancel(cause)
	}
}

// startable takes out of the queue what may run now, the fairest first, and says
// when to look again if nothing happens before; zero for never.
func (m *Manager) startable(now time.Time) (start []*entry, again time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for !m.full() {
		next, later := m.pick(now)
		if again = later; next == nil {
			break
		}
		m.queue = slices.DeleteFunc(m.queue, func(e *entry) bool { return e == next })
		m.occupy(next)
		start = append(start, next)
	}
	return start, again
}

// pick returns the entry that may run now and should: of the first ones in the
// queue that are worth the same, that of the owner with the fewest running
// tasks. If there is none it says when one comes that has to wait. The lock is held.
func (m *Manager) pick(now time.Time) (best *entry, again time.Time) {
	taken := map[string]bool{} // sites whose turn belongs to an earlier task in the queue
	for _, e := range m.queue {
		if best != nil && (best.resumed != e.resumed || best.priority != e.priority) {
			break
		}
		if e.site != "" && taken[e.site] {
			continue
		}
		if e.site != "" {
			taken[e.site] = true
		}
		if e.after.After(now) {
			if again.IsZero() || e.after.Before(again) {
				again = e.after
			}
			continue
		}
		if m.room(e) && (best == nil || m.owners[e.owner] < m.owners[best.owner]) {
			best = e
		}
	}
	return best, again
}

// full reports whether no task at all may begin. The lock is held.
func (m *Manager) full() bool { return m.cfg.Limits.Total > 0 && m.running >= m.cfg.Limits.Total }

// room reports whether its site and its keys allow an entry to run. The lock is held.
func (m *Manager) room(e *entry) bool {
	if e.site != "" && m.sites[e.site] != nil {
		return false
	}
	if m.cfg.Limits.PerKey == nil {
		return true
	}
	for _, key := range e.keys {
		if most := m.cfg.Limits.PerKey(key); most > 0 && m.load[key] >= most {
			return false
		}
	}
	return true
}

// occupy counts an entry as running. The lock is held.
func (m *Manager) occupy(e *entry) {
	e.running = true
	m.running++
	m.owners[e.owner]++
	for _, key := range e.keys {
		m.load[key]++
	}
	if e.site != "" {
		m.sites[e.site] = e
	}
}

// release ends what occupy began; a task that is to be tried again goes back
// into the queue at the same moment, so that nobody takes its site.
func (m *Manager) release(e *entry, again bool) {
	m.mu.Lock()
	e.running, e.cancel = false, nil
	m.running--
	if m.owners[e.owner]--; m.owners[e.owner] == 0 {
		delete(m.owners, e.owner)
	}
	for _, key := range e.keys {
		if m.load[key]--; m.load[key] == 0 {
			delete(m.load, key)
		}
	}
	if e.site != "" {
		delete(m.sites, e.site)
	}
	if again {
		if e.cause != nil {
			e.after = time.Time{} // it was cancelled meanwhile: its next attempt only says so
		}
		m.insert(e)
	} else {
		delete(m.known, e.id)
	}
	m.mu.Unlock()
	m.poke()
}
