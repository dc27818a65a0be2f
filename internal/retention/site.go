package retention

import "time"

// decideSite fills in the decisions for one site's backups, newest first.
func decideSite(now time.Time, p Policy, backups []Backup, out []Decision) {
	s := site{now: now, policy: p, slots: slotsOf(p), said: make([]Reason, 0, len(backups))}
	for i := range backups {
		out[i] = Decision{Backup: &backups[i], Reasons: s.reasons(&backups[i])}
	}
	if s.whole == 0 {
		s.keepNewest(out)
	}
	expired := []Reason{{Rule: Expired}}
	for i := range out {
		if out[i].Keep = len(out[i].Reasons) > 0; !out[i].Keep {
			out[i].Reasons = expired
		}
	}
}

// site goes over the backups of one site, newest first.
type site struct {
	now    time.Time
	policy Policy
	slots  []slot
	whole  int      // whole backups seen, those of the future left out
	said   []Reason // of all backups so far: an allocation for each would cost more than the rest
}

// reasons returns all that keeps a backup; none if nothing does.
func (s *site) reasons(b *Backup) []Reason {
	from := len(s.said)
	future := b.At.After(s.now.Add(tolerance))
	s.keep(b.Pinned, Pinned)
	s.keep(future, Future)
	s.keep(!future && s.now.Sub(b.At) < s.policy.MinAge, Young)
	s.keep(!s.policy.Counts(), NoPolicy)
	switch {
	case future:
	case b.whole():
		s.keep(s.whole == 0, LastGood)
		s.whole++
		s.take(b.At)
	case b.Safety:
		s.keep(s.now.Sub(b.At) < s.safety(), Recent)
	default:
		s.keep(s.whole < max(s.policy.Last, 1), Waiting)
	}
	return s.said[from:len(s.said):len(s.said)]
}

func (s *site) keep(when bool, r Rule) {
	if when {
		s.said = append(s.said, Reason{Rule: r})
	}
}

func (s *site) safety() time.Duration {
	if s.policy.Safety > 0 {
		return s.policy.Safety
	}
	return DefaultSafety
}

// take gives a whole backup the periods of which it is the newest.
func (s *site) take(at time.Time) {
	if s.policy.Location != nil {
		at = at.In(s.policy.Location)
	} else {
		at = at.UTC()
	}
	for i := range s.slots {
		slot := &s.slots[i]
		if slot.used == slot.most {
			continue
		}
		period := slot.period(at)
		if slot.used > 0 && period == slot.last {
			continue
		}
		slot.used, slot.last = slot.used+1, period
		s.said = append(s.said, Reason{Rule: slot.rule, Nth: slot.used, Of: slot.most})
	}
}

// keepNewest keeps the newest backup of a site that has no whole one, dates in the future aside.
func (s *site) keepNewest(out []Decision) {
	for i := range out {
		if !out[i].Backup.At.After(s.now.Add(tolerance)) {
			out[i].Reasons = append(out[i].Reasons, Reason{Rule: Newest})
			return
		}
	}
}

// slot counts the periods of one rule.
type slot struct {
	rule   Rule
	most   int
	used   int
	last   int64
	period func(time.Time) int64
}

func slotsOf(p Policy) []slot {
	var slots []slot
	add := func(rule Rule, most int, period func(time.Time) int64) {
		if most > 0 {
			slots = append(slots, slot{rule: rule, most: most, period: period})
		}
	}
	number := int64(0)
	add(Last, p.Last, func(time.Time) int64 { number++; return number })
	add(Hourly, p.Hourly, func(t time.Time) int64 { return day(t)*24 + int64(t.Hour()) })
	add(Daily, p.Daily, day)
	add(Weekly, p.Weekly, func(t time.Time) int64 { year, week := t.ISOWeek(); return int64(year)*100 + int64(week) })
	add(Monthly, p.Monthly, func(t time.Time) int64 { return int64(t.Year())*12 + int64(t.Month()) })
	add(Yearly, p.Yearly, func(t time.Time) int64 { return int64(t.Year()) })
	return slots
}

// day numbers the days of a calendar; the numbers only grow.
func day(t time.Time) int64 { return int64(t.Year())*366 + int64(t.YearDay()) }
