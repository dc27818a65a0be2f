package schedule

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func must(t testing.TB, spec Spec) *Schedule {
	t.Helper()
	s, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func when(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC()
}

func TestWhatIsWrongIsRefused(t *testing.T) {
	day := 25 * time.Hour
	for _, spec := range []Spec{
		{Cron: ""}, {Cron: "every day"}, {Cron: "0 3 * *"}, {Cron: "61 3 * * *"}, {Cron: "0 3 31 2 *"}, {Cron: "* * * * * *"}, {Cron: "@reboot"},
		{Cron: "0 3 * * * 2031"}, {Cron: "@never"},
		{Cron: "@daily", Window: "22-6"}, {Cron: "@daily", Window: "06:00-06:00"}, {Cron: "@daily", Window: "22:00-24:30"},
		{Cron: "@daily", Window: "Mon-Foo 22:00-06:00"}, {Cron: "@daily", Window: "25:00-26:00"}, {Cron: "@daily", Spread: &day},
	} {
		if _, err := New(spec); !errs.Is(err, errs.Usage) {
			t.Errorf("%+v: %v", spec, err)
		} else if errs.HintOf(err) == "" {
			t.Errorf("%+v: no hint", spec)
		}
	}
}

// ticks returns the ticks from one time up to another, in the schedule's zone.
func ticks(s *Schedule, from, to time.Time) (out []string) {
	for t := s.next(from); !t.IsZero() && t.Before(to); t = s.next(t) {
		out = append(out, t.In(s.zone).Format("02T15:04-07"))
	}
	return out
}

func TestChangesOfTheClocks(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for _, c := range []struct{ cron, from, to, want string }{
		{"30 2 * * *", "2026-03-28T00:00:00Z", "2026-03-31T12:00:00Z", "[28T02:30+01 29T03:30+02 30T02:30+02 31T02:30+02]"},
		{"30 2 * * *", "2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z", "[24T02:30+02 25T02:30+02 26T02:30+01]"},
		{"0 * * * *", "2026-10-24T23:30:00Z", "2026-10-25T03:30:00Z", "[25T02:00+02 25T02:00+01 25T03:00+01 25T04:00+01]"},
		{"0 * * * *", "2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z", "[29T01:00+01 29T03:00+02 29T04:00+02]"},
		{"0 12 * * 1", "2026-03-20T00:00:00Z", "2026-04-01T00:00:00Z", "[23T12:00+01 30T12:00+02]"},
	} {
		s := must(t, Spec{Cron: c.cron, Location: berlin})
		if got := fmt.Sprint(ticks(s, when(t, c.from), when(t, c.to))); got != c.want {
			t.Errorf("%s: %s, want %s", c.cron, got, c.want)
		}
	}
}

// TestNextAndLastAgree goes through a year in zones with odd clocks: the tick
// after a time is the last one before any time up to the one after that.
func TestNextAndLastAgree(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu"} {
		for _, expr := range []string{"0 3 * * *", "15 */6 * * *", "30 2 * * 0", "*/20 1,2,3 * * *", "0 0 1 * *", "7 * * * *"} {
			s := must(t, Spec{Cron: expr, Location: zone(t, name)})
			at := when(t, "2026-01-01T00:00:00Z")
			for range 120 {
				next := s.next(at)
				if !next.After(at) {
					t.Fatalf("%s in %s: %s comes after %s", expr, name, next, at)
				}
				if got := s.last(next); !got.Equal(next) {
					t.Fatalf("%s in %s: the last tick at %s is %s", expr, name, next, got)
				}
				if got := s.last(next.Add(-time.Second)); got.After(at) {
					t.Fatalf("%s in %s: %s lies between %s and %s", expr, name, got, at, next)
				}
				at = next
			}
		}
	}
}

func TestWindows(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for _, c := range []struct{ window, at, opens, closes string }{
		{"22:00-06:00", "2026-11-23T03:00:00+01:00", "2026-11-22T22:00:00+01:00", "2026-11-23T06:00:00+01:00"},
		{"22:00-06:00", "2026-11-23T06:00:00+01:00", "2026-11-23T22:00:00+01:00", "2026-11-24T06:00:00+01:00"},
		{"01:00-02:00", "2026-11-23T12:00:00+01:00", "2026-11-24T01:00:00+01:00", "2026-11-24T02:00:00+01:00"},
		{"Fri 22:00-06:00", "2026-11-28T05:59:00+01:00", "2026-11-27T22:00:00+01:00", "2026-11-28T06:00:00+01:00"}, // open on Saturday morning
		{"Fri 22:00-06:00", "2026-11-28T06:00:00+01:00", "2026-12-04T22:00:00+01:00", "2026-12-05T06:00:00+01:00"},
		{"sat-mon,wednesday 00:00-24:00", "2026-11-24T10:00:00+01:00", "2026-11-25T00:00:00+01:00", "2026-11-26T00:00:00+01:00"},
		{"22:00-06:00", "2026-10-25T00:00:00+02:00", "2026-10-24T22:00:00+02:00", "2026-10-25T06:00:00+01:00"}, // an hour longer
		{"02:00-03:00", "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", ""},                          // an hour that does not exist
	} {
		w, err := ParseWindow(c.window)
		if err != nil {
			t.Fatal(err)
		}
		opens, closes := w.around(when(t, c.at).In(berlin))
		if c.closes == "" {
			if !closes.After(opens) {
				t.Errorf("%s: from %s to %s", c.window, opens, closes)
			}
			continue
		}
		if !opens.Equal(when(t, c.opens)) || !closes.Equal(when(t, c.closes)) {
			t.Errorf("%s at %s: from %s to %s, want %s to %s", c.window, c.at, opens, closes, c.opens, c.closes)
		}
	}
}

func TestSitesAreSpreadAndStayInTheWindow(t *testing.T) {
	s := must(t, Spec{Name: "nightly", Cron: "0 3 * * *", Window: "22:00-06:00"})
	at := when(t, "2026-11-23T03:00:00Z")
	hours := map[int]int{}
	for i := range 1000 {
		site := fmt.Sprintf("site%d.example", i)
		tick := s.tick(at, site)
		if tick.Begin.Before(at) || !tick.Begin.Before(tick.Latest) || !tick.Latest.Equal(when(t, "2026-11-23T06:00:00Z")) {
			t.Fatalf("%s: %+v", site, tick)
		}
		if again := s.tick(at.AddDate(0, 0, 1), site); !again.Begin.Equal(tick.Begin.AddDate(0, 0, 1)) {
			t.Fatalf("%s: %s today, %s tomorrow", site, tick.Begin, again.Begin)
		}
		hours[tick.Begin.Hour()]++
	}
	for hour, least := range map[int]int{3: 300, 4: 300, 5: 180} {
		if hours[hour] < least {
			t.Errorf("%d of 1000 sites begin in hour %d", hours[hour], hour)
		}
	}
}

func TestATickOutsideTheWindowWaitsForIt(t *testing.T) {
	none := time.Duration(0)
	s := must(t, Spec{Cron: "0 12 * * *", Window: "22:00-06:00", Spread: &none})
	tick := s.tick(when(t, "2026-11-23T12:00:00Z"), "a.example")
	if !tick.Begin.Equal(when(t, "2026-11-23T22:00:00Z")) || !tick.Latest.Equal(when(t, "2026-11-24T06:00:00Z")) {
		t.Errorf("%+v", tick)
	}
}

func TestDecide(t *testing.T) {
	const nightly = "0 3 * * *"
	for _, c := range []struct {
		name, cron, window string
		skip               bool
		handled, now       string
		want               string // run, missed, handled, next
	}{
		{"not yet", nightly, "", false, "23T03:00", "23T12:00", "- 0 23T03:00 24T03:00"},
		{"now", nightly, "", false, "22T03:00", "23T03:00", "23T03:00 0 23T03:00 24T03:00"},
		{"a little late", nightly, "", false, "22T03:00", "23T03:29", "23T03:00 0 23T03:00 24T03:00"},
		{"too late, made up for", nightly, "", false, "20T03:00", "23T09:00", "23T03:00 2 23T03:00 24T03:00"},
		{"too late, left out", nightly, "", true, "20T03:00", "23T09:00", "- 3 23T03:00 24T03:00"},
		{"too late, the window is closed", nightly, "02:00-06:00", false, "21T03:00", "23T09:00", "- 0 21T03:00 24T02:00"},
		{"made up for as the window opens", nightly, "02:00-06:00", false, "21T03:00", "24T02:10", "23T03:00 1 23T03:00 24T03:00"},
		{"in time, with missed ones before", nightly, "", true, "20T03:00", "23T03:01", "23T03:00 2 23T03:00 24T03:00"},
		{"the window opens later", "0 12 * * *", "22:00-06:00", false, "22T12:00", "23T13:00", "- 0 22T12:00 23T22:00"},
		{"many ticks wait for one window", "0 * * * *", "22:00-06:00", false, "23T06:00", "23T21:30", "- 0 23T20:00 23T22:00"},
		{"and are one run", "0 * * * *", "22:00-06:00", false, "23T20:00", "23T22:10", "23T22:00 0 23T22:00 23T23:00"},
		{"the clock was set back", nightly, "", false, "27T03:00", "23T12:00", "- 0 23T12:00 24T03:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			none := time.Duration(0)
			s := must(t, Spec{Cron: c.cron, Window: c.window, Skip: c.skip, Spread: &none})
			at := func(text string) time.Time { return when(t, "2026-11-"+text+":00Z") }
			v := s.Decide(at(c.now), "a.example", at(c.handled))
			run := "-"
			if v.Run {
				run = v.Tick.At.Format("02T15:04")
			}
			got := fmt.Sprint(run, " ", v.Missed, " ", v.Handled.Format("02T15:04"), " ", v.Next.Format("02T15:04"))
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if again := s.Decide(at(c.now), "a.example", v.Handled); again.Run && v.Handled.After(at(c.handled)) || again.Missed > 0 {
				t.Errorf("asked again: %+v", again)
			}
		})
	}
}

// TestEachTickRunsOrIsReported asks at random times, with gaps and clocks that
// go wrong, and adds up: between two times that were handled, each tick is one run
// or one that was missed, but those that waited together for a window to open.
func TestEachTickRunsOrIsReported(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		cron := []string{"0 3 * * *", "*/30 * * * *", "0 */4 * * *", "15 9 * * 1-5"}[r.IntN(4)]
		s := must(t, Spec{Name: "x", Cron: cron, Skip: r.IntN(2) == 0, Location: zone(t, "Europe/Berlin")})
		now := when(t, "2026-03-01T00:00:00Z")
		handled := now
		for range 200 {
			step := time.Duration(r.Int64N(int64(20 * time.Minute)))
			if r.IntN(20) == 0 {
				step = time.Duration(r.Int64N(int64(12 * 24 * time.Hour)))
			}
			now = now.Add(step)
			v := s.Decide(now, "a.example", handled)
			runs := 0
			if v.Run {
				runs++
			}
			due := 0
			for tick := s.next(handled); !tick.IsZero() && !tick.After(v.Handled); tick = s.next(tick) {
				due++
			}
			if v.Missed < maxMissed && runs+v.Missed != due {
				t.Fatalf("seed %d, %s at %s: %d ticks since %s, %d ran and %d were reported", seed, cron, now, due, handled, runs, v.Missed)
			}
			if v.Handled.Before(handled) || v.Handled.After(now) || !v.Next.After(now) {
				t.Fatalf("seed %d, %s at %s: %+v", seed, cron, now, v)
			}
			handled = v.Handled
		}
	}
}

// TestNothingIsLeftOutInAWindow asks every few minutes for thirty days.
func TestNothingIsLeftOutInAWindow(t *testing.T) {
	for _, c := range []struct {
		cron, window string
		want         int // runs
	}{
		{"0 12 * * *", "22:00-06:00", 30},
		{"*/10 * * * *", "22:00-06:00", 30 * 48},
		{"0 */6 * * *", "22:00-06:00", 30},
		{"0 3 * * *", "Mon-Fri 02:00-05:00", 22},
		{"0 12 * * *", "Mon-Fri 02:00-05:00", 22},
	} {
		s := must(t, Spec{Name: "x", Cron: c.cron, Window: c.window, Skip: true})
		begin := when(t, "2026-03-01T12:00:00Z").Add(-time.Minute) // a Sunday
		for i := range 3 {
			site := fmt.Sprintf("site%d.example", i)
			runs, handled := 0, begin
			for now := begin; now.Before(begin.AddDate(0, 0, 30)); now = now.Add(4 * time.Minute) {
				v := s.Decide(now, site, handled)
				if v.Run {
					runs++
					if !s.window.Open(now) {
						t.Fatalf("%+v runs at %s", c, now)
					}
				}
				if v.Missed > 0 {
					t.Fatalf("%+v at %s: %+v", c, now, v)
				}
				handled = v.Handled
			}
			if runs != c.want {
				t.Errorf("%+v: %d runs of %s", c, runs, site)
			}
		}
	}
}

func TestARunBeginsBeforeTheNextTick(t *testing.T) {
	s := must(t, Spec{Name: "x", Cron: "*/10 * * * *", Window: "22:00-06:00"})
	for _, at := range []string{"2026-11-23T12:00:00Z", "2026-11-23T23:10:00Z"} {
		for i := range 50 {
			tick := s.tick(when(t, at), fmt.Sprint(i))
			from := tick.Begin.Truncate(10 * time.Minute)
			if opens := when(t, "2026-11-23T22:00:00Z"); !from.Equal(tick.At) && !from.Equal(opens) {
				t.Errorf("%+v", tick)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	s := must(b, Spec{Name: "nightly", Cron: "0 3 * * *", Window: "22:00-06:00"})
	now := when(b, "2026-11-23T12:00:00Z")
	for b.Loop() {
		for i := range 10_000 {
			s.Decide(now, "site"+string(rune(i)), now.Add(-30*time.Hour))
		}
	}
}
