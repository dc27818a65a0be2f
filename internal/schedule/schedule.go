// Package schedule says when a site's backup is due. It is a calculation: it
// reads no clock, keeps no record and starts nothing.
//
// A cron expression gives the ticks, by the wall clock of a time zone. Each site
// has its own moment after a tick, always the same one, so that a thousand sites
// with one schedule do not begin at once. A window bounds when runs may begin.
package schedule

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Spec is a schedule as an operator writes it.
type Spec struct {
	Name     string
	Cron     string         // five fields, or @hourly, @daily, @weekly, @monthly, @yearly
	Location *time.Location // whose wall clock Cron and Window mean; nil is UTC
	Window   string         // such as "22:00-06:00" or "Mon-Fri 22:00-06:00"; empty for any time
	// Spread is over how long after a tick the sites' runs are spread. Nil: until
	// the window closes, or not at all where there is no window.
	Spread *time.Duration
	// Skip says what becomes of runs whose time passed while nothing could run:
	// they are reported and left out. Otherwise one run makes up for all of them.
	Skip bool
}

// Schedule is a Spec that was found to be right. It is safe for concurrent use.
type Schedule struct {
	name   string
	cron   cron
	zone   *time.Location
	window Window
	spread time.Duration // negative: until the window closes
	skip   bool
	memo   memo
}

// After returns the first tick after a time, for whatever site; zero if there is none.
func (s *Schedule) After(t time.Time) time.Time { return s.next(t) }

// calendarBegins is any day before which no master ran.
var calendarBegins = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// maxSpread keeps a run near its tick.
const maxSpread = 24 * time.Hour

// New checks a spec; what is wrong with it is errs.Usage.
func New(s Spec) (*Schedule, error) {
	c, err := parseCron(s.Cron)
	if err != nil {
		return nil, err
	}
	w, err := ParseWindow(s.Window)
	if err != nil {
		return nil, err
	}
	out := &Schedule{name: s.Name, cron: c, zone: s.Location, window: w, spread: -1, skip: s.Skip}
	if s.Location == nil {
		out.zone = time.UTC
	}
	if s.Spread != nil {
		if out.spread = *s.Spread; out.spread < 0 || out.spread > maxSpread {
			return nil, errs.New(errs.Usage, "give a time between 0s and 24h", "a spread of %s cannot be used", out.spread)
		}
	}
	if out.next(calendarBegins).IsZero() {
		return nil, errs.New(errs.Usage, "give days that the calendar has", "the schedule %q never comes", s.Cron)
	}
	return out, nil
}

// Tick is one coming of a schedule, for one site.
type Tick struct {
	At     time.Time // what the cron expression says; it identifies the tick
	Begin  time.Time // when the site's run is due
	Latest time.Time // from then on it is missed
}

// late is how long after it is due a run may begin where no window says it.
const late = 30 * time.Minute

// tick works out a site's moment. A tick outside the window waits for the next
// one: for the first tick in it, or for its opening where it has none.
func (s *Schedule) tick(at time.Time, site string) Tick {
	opens, closes := s.window.around(at.In(s.zone))
	begin := at
	if opens.After(at) {
		begin = opens.UTC()
		if inside := s.next(begin.Add(-time.Minute)); !inside.IsZero() && inside.Before(closes) {
			begin = inside
		}
	}
	t := Tick{At: at, Begin: begin.Add(s.offset(site, begin, closes))}
	if t.Latest = t.Begin.Add(late); !s.window.Always() {
		t.Latest = closes.UTC()
	}
	return t
}

// offset is a site's share of the spread after begin, the same for each tick. It
// ends before the next tick comes, and leaves the last tenth of a window free, so
// that the last runs do not begin as it closes.
func (s *Schedule) offset(site string, begin, closes time.Time) time.Duration {
	spread := s.spread
	if s.window.Always() {
		spread = max(spread, 0)
	} else if most := closes.Sub(begin) * 9 / 10; spread < 0 || spread > most {
		spread = most
	}
	if spread <= 0 {
		return 0
	}
	if next := s.next(begin); !next.IsZero() {
		spread = min(spread, next.Sub(begin)-time.Second)
	}
	h := fnv.New64a()
	h.Write([]byte(s.name + "\x00" + site)) //nolint:errcheck // never fails
	part := binary.BigEndian.Uint64(h.Sum(nil)) % uint64(spread/time.Second+1)
	return time.Duration(part) * time.Second
}
