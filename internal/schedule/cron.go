package schedule

import (
	"strings"
	"sync"
	"time"

	"github.com/adhocore/gronx"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// cron is an expression of five fields.
type cron struct {
	expr string
	// hourly: it comes in every hour, and so follows the time that passes; one
	// that names its hours follows the wall clock. At the end of summer time
	// "0 * * * *" comes in both of the two like hours, "30 2 * * *" in the first
	// of them; at the beginning the latter comes as the clock jumps over it.
	hourly bool
}

func parseCron(expr string) (cron, error) {
	fields, err := gronx.Segments(expr)
	// gronx gives a seconds field first and may give years last.
	if err != nil || !gronx.IsValid(expr) || len(strings.Fields(expr)) != 5 && !strings.HasPrefix(expr, "@") {
		return cron{}, errs.New(errs.Usage, `give five fields, such as "0 3 * * *" for three o'clock every night`, "%q is not a cron expression", expr)
	}
	if fields[0] != "0" {
		return cron{}, errs.New(errs.Usage, "use at most one run a minute", "%q comes more often than once a minute", expr)
	}
	return cron{expr: strings.Join(fields[1:6], " "), hourly: fields[2] == "*"}, nil
}

// next returns the first tick after a time; zero if there is none in the years to come.
func (s *Schedule) next(after time.Time) time.Time {
	after = after.Truncate(time.Minute)
	return s.memo.get(memoKey{after.Unix(), false}, func() time.Time {
		return s.step(after, gronx.NextTickAfter, func(t time.Time) bool { return t.After(after) })
	})
}

// last returns the last tick before a time, or at it; zero if there was none.
func (s *Schedule) last(before time.Time) time.Time {
	end := before.Truncate(time.Minute).Add(time.Minute)
	return s.memo.get(memoKey{end.Unix(), true}, func() time.Time {
		return s.step(end, gronx.PrevTickBefore, func(t time.Time) bool { return t.Before(end) })
	})
}

// memo keeps the last answers: thousands of sites ask for the same ticks.
type memo struct {
	mu    sync.Mutex
	known map[memoKey]time.Time
}

type memoKey struct {
	minute int64
	back   bool
}

const memoSize = 256

func (m *memo) get(key memoKey, work func() time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.known[key]; ok {
		return t
	}
	if len(m.known) >= memoSize || m.known == nil {
		m.known = make(map[memoKey]time.Time, memoSize)
	}
	t := work()
	m.known[key] = t
	return t
}

type stepper func(expr string, from time.Time, inclusive bool) (time.Time, error)

// step asks for ticks in the given direction until one is right in real time
// too, which near a change of the clocks may take some.
func (s *Schedule) step(from time.Time, step stepper, right func(time.Time) bool) time.Time {
	clock := s.face(from)
	for range 200 { // more than an hour has minutes
		tick, err := step(s.cron.expr, clock, false)
		if err != nil {
			return time.Time{}
		}
		if t := s.instant(tick, from); right(t) {
			return t
		}
		clock = tick
	}
	return time.Time{}
}

// face returns what the clock on the wall shows, as if it were UTC.
func (s *Schedule) face(t time.Time) time.Time {
	if s.cron.hourly {
		return t.UTC().Add(s.offsetAt(t))
	}
	l := t.In(s.zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
}

// instant is the reverse of face, near a time.
func (s *Schedule) instant(face, near time.Time) time.Time {
	if s.cron.hourly {
		t := face.Add(-s.offsetAt(near))
		if t.In(s.zone).Minute() != face.Minute() { // the clocks change by half an hour there
			t = face.Add(-s.offsetAt(t))
		}
		return t
	}
	t := time.Date(face.Year(), face.Month(), face.Day(), face.Hour(), face.Minute(), 0, 0, s.zone).UTC()
	if gain := s.offsetAt(t.Add(-twice)) - s.offsetAt(t); gain > 0 && s.face(t.Add(-gain)).Equal(s.face(t)) {
		return t.Add(-gain) // the first of two
	}
	return t
}

// twice is longer than any time that a wall clock shows twice.
const twice = 3 * time.Hour

func (s *Schedule) offsetAt(t time.Time) time.Duration {
	_, offset := t.In(s.zone).Zone()
	return time.Duration(offset) * time.Second
}
