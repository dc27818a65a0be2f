package schedule

import "time"

// Verdict is what is to be done about a site now.
type Verdict struct {
	// Run: the site's run is due; Tick says which.
	Run  bool
	Tick Tick
	// Missed counts the ticks that came to nothing since the last one that was
	// handled, maxMissed at most; the first of them is MissedFrom.
	Missed     int
	MissedFrom time.Time
	// Handled is the tick up to which all is done once the caller has started the
	// run and reported what was missed. It is what to give as handled next time.
	Handled time.Time
	// Next is when to ask again, at the latest.
	Next time.Time
	// ClockBack: handled lies after now, so the clock was set back.
	ClockBack bool
}

// maxMissed bounds how many missed ticks are counted.
const maxMissed = 1000

// Decide says what is due for a site at now, if all ticks up to handled have run
// or were reported. For a new schedule, or a new site, handled is when it became
// one. Asking again with the Handled it gave changes nothing.
func (s *Schedule) Decide(now time.Time, site string, handled time.Time) Verdict {
	last := s.last(now)
	v := Verdict{Handled: handled}
	if handled.After(now) {
		v.ClockBack, v.Handled = true, now
		return s.wait(v, site)
	}
	first := s.next(handled)
	if first.IsZero() || first.After(now) {
		return s.wait(v, site)
	}
	pending := s.tick(last, site)
	if now.Before(pending.Begin) {
		return s.beforeLast(v, now, site, first, pending)
	}
	v.Tick = pending
	v.missed(s, first, last)
	v.Handled = last
	if now.Before(pending.Latest) {
		v.Run = true
		return s.wait(v, site)
	}
	return s.tooLate(v, now, site, handled)
}

// beforeLast is for when the last tick has come and the site's moment after it
// has not. The tick before it may have its moment now.
func (s *Schedule) beforeLast(v Verdict, now time.Time, site string, first time.Time, pending Tick) Verdict {
	v.Next = pending.Begin
	if first.Equal(pending.At) {
		return v
	}
	before := s.last(pending.At.Add(-time.Minute))
	earlier := s.tick(before, site)
	switch {
	case now.Before(earlier.Begin): // both wait for the same window; one run is enough
		v.Handled = before
	case now.Before(earlier.Latest):
		v.Run, v.Tick = true, earlier
		v.missed(s, first, before)
		v.Handled = before
	default: // the run that comes makes up for those that did not
		v.missed(s, first, pending.At)
		v.Handled = before
	}
	return v
}

// missed counts the ticks from first to the one before end, but for those that
// came while the window was closed and waited for the same opening as end.
func (v *Verdict) missed(s *Schedule, first, end time.Time) {
	opens, _ := s.window.around(end.In(s.zone))
	for t := first; t.Before(end) && !t.IsZero() && v.Missed < maxMissed; t = s.next(t) {
		if waits, _ := s.window.around(t.In(s.zone)); waits.After(t) && waits.Equal(opens) {
			return
		}
		if v.Missed++; v.Missed == 1 {
			v.MissedFrom = first
		}
	}
}

// tooLate is for when the last tick's time is over: one run makes up for all,
// at once or when the window opens, or all are reported.
func (s *Schedule) tooLate(v Verdict, now time.Time, site string, handled time.Time) Verdict {
	if s.skip {
		if v.Missed++; v.Missed == 1 {
			v.MissedFrom = v.Tick.At
		}
		v.Tick = Tick{}
		return s.wait(v, site)
	}
	opens, closes := s.window.around(now.In(s.zone))
	begin := now
	if !s.window.Always() {
		begin = opens.Add(s.offset(site, opens, closes)).UTC()
	}
	if begin.After(now) {
		return Verdict{Handled: handled, Next: begin}
	}
	v.Run = true
	return s.wait(v, site)
}

// wait fills in when to ask again.
func (s *Schedule) wait(v Verdict, site string) Verdict {
	if next := s.next(v.Handled); !next.IsZero() {
		v.Next = s.tick(next, site).Begin
	}
	return v
}
