// Package clock notices that the machine's clock was set, so that nothing is
// removed because of it. It keeps no record itself and removes nothing.
package clock

import (
	"sync"
	"time"
)

// Bounds of what counts as a clock that was set.
const (
	// Slack is by how much the wall clock may differ from the time that passed, between two looks.
	Slack = 2 * time.Minute
	// Absence is how long a master may have been away before its clock is in doubt at the start.
	Absence = 7 * 24 * time.Hour
	// Calm is how long the clock must go as it should before it is trusted again.
	Calm = 24 * time.Hour
)

// Reading is what the clocks show at one moment.
type Reading struct {
	Wall    time.Time     // what the wall clock shows
	Elapsed time.Duration // time that passed since some moment, which no setting of the clock moves
}

// Now reads the clocks of this machine, with the time that passed since start.
// Start must come from time.Now in this process.
func Now(start time.Time) Reading {
	now := time.Now()
	return Reading{Wall: now.Round(0), Elapsed: now.Sub(start)}
}

// Watch compares readings. It is safe for concurrent use.
type Watch struct {
	mu      sync.Mutex
	last    Reading
	doubted bool
	since   time.Duration // Elapsed at which the doubt began
	why     string
}

// New returns a Watch that begins with a reading. Mark is what the wall clock
// showed when the master before this one was last sure of it; zero if there was none.
func New(first Reading, mark time.Time) *Watch {
	w := &Watch{last: first}
	switch away := first.Wall.Sub(mark); {
	case mark.IsZero():
	case away < -Slack:
		w.doubt(first, "the clock shows a time before the one at which the master ran last")
	case away > Absence:
		w.doubt(first, "the master did not run for a long time, or its clock was set forward")
	}
	return w
}

func (w *Watch) doubt(at Reading, why string) {
	w.doubted, w.since, w.why = true, at.Elapsed, why
}

// Look takes a reading and reports whether the wall clock can be trusted; if
// not, why. Look often: a clock that was set forth and back between two looks
// goes unseen.
func (w *Watch) Look(r Reading) (trusted bool, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	off := r.Wall.Sub(w.last.Wall) - (r.Elapsed - w.last.Elapsed)
	w.last = r
	switch {
	case off > Slack:
		w.doubt(r, "the clock was set forward, or the machine was asleep")
	case off < -Slack:
		w.doubt(r, "the clock was set back")
	case w.doubted && r.Elapsed-w.since >= Calm:
		w.doubted, w.why = false, ""
	}
	return !w.doubted, w.why
}

// TrustedFrom returns when the clock is trusted again if nothing happens to it,
// by the wall clock; zero if it is trusted.
func (w *Watch) TrustedFrom() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.doubted {
		return time.Time{}
	}
	return w.last.Wall.Add(Calm - (w.last.Elapsed - w.since))
}
