package main

import (
	"math"
	"time"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"

	"github.com/sitekeep/sitekeep/internal/bytesize"
)

// meter tells the rate of what is going on from the counts that come in.
type meter struct {
	step  string
	at    time.Time
	done  int64
	rate  float64 // bytes a second, smoothed; 0 while not known
	known bool    // at and done are set
}

const (
	meterMemory = 5 * time.Second        // how much of the past the rate remembers
	meterGrain  = 200 * time.Millisecond // counts closer together than this say nothing about a rate
)

// update takes the progress of a moment. A new step, or a count that falls back, begins anew.
func (m *meter) update(now time.Time, p *sitekeepv1.Progress) {
	if !m.known || p.GetStep() != m.step || p.GetDoneBytes() < m.done {
		*m = meter{step: p.GetStep(), at: now, done: p.GetDoneBytes(), known: true}
		return
	}
	passed := now.Sub(m.at)
	if passed < meterGrain {
		return
	}
	recent := float64(p.GetDoneBytes()-m.done) / passed.Seconds()
	weight := 1 - math.Exp(-passed.Seconds()/meterMemory.Seconds())
	if m.rate == 0 {
		weight = 1
	}
	m.rate += weight * (recent - m.rate)
	m.at, m.done = now, p.GetDoneBytes()
}

func (m *meter) rateText() string {
	if m.rate < 1 {
		return ""
	}
	return bytesize.Text(int64(m.rate)) + "/s"
}

// etaText is the time that is left, if that can be told.
func (m *meter) etaText(p *sitekeepv1.Progress) string {
	left := p.GetTotalBytes() - p.GetDoneBytes()
	seconds := float64(left) / m.rate
	if left <= 0 || m.rate < 1 || seconds > 99*3600 {
		return ""
	}
	return clockText(time.Duration(seconds * float64(time.Second)))
}
