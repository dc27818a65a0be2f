package clock

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func TestWatch(t *testing.T) {
	const minute, hour, day = time.Minute, time.Hour, 24 * time.Hour
	type look struct {
		wall, elapsed time.Duration // since noon
		want          bool
	}
	for _, c := range []struct {
		name  string
		mark  time.Duration // before noon; 0 for none
		looks []look
	}{
		{"a first start", 0, []look{{minute, minute, true}}},
		{"a restart", hour, []look{{minute, minute, true}}},
		{"after a weekend", 3 * day, []look{{minute, minute, true}}},
		{"after a month", 30 * day, []look{{minute, minute, false}, {23 * hour, 23 * hour, false}, {day, day, true}}},
		{"before the mark", -hour, []look{{minute, minute, false}, {day, day, true}}},
		{"set forward", hour, []look{{minute, minute, true}, {400 * day, 2 * minute, false}, {401 * day, day + 2*minute, true}}},
		{"set back", hour, []look{{minute, minute, true}, {-day, 2 * minute, false}, {-minute, day, false}, {10 * minute, day + 10*minute, true}}},
		{"set forward and back", hour, []look{{300 * day, minute, false}, {2 * minute, 2 * minute, false}, {day + minute, day + minute, false}, {day + 2*minute, day + 2*minute, true}}},
		{"drifting a little", hour, []look{{hour, hour + minute, true}, {2 * hour, 2*hour + 2*minute, true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mark := noon.Add(-c.mark)
			if c.mark == 0 {
				mark = time.Time{}
			}
			w := New(Reading{Wall: noon}, mark)
			for i, l := range c.looks {
				got, why := w.Look(Reading{Wall: noon.Add(l.wall), Elapsed: l.elapsed})
				if got != l.want || got != (why == "") || got != w.TrustedFrom().IsZero() {
					t.Errorf("look %d: trusted %v, because %q, from %s on", i, got, why, w.TrustedFrom())
				}
			}
		})
	}
}

func TestTrustedFrom(t *testing.T) {
	w := New(Reading{Wall: noon}, noon.Add(time.Hour))
	w.Look(Reading{Wall: noon.Add(6 * time.Hour), Elapsed: 6 * time.Hour})
	if got, want := w.TrustedFrom(), noon.Add(Calm); !got.Equal(want) {
		t.Errorf("trusted from %s on, want %s", got, want)
	}
}
