package gentle

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// machineOf is one on which something waits for the given share of the time.
func machineOf(share float64) Pressure {
	began := time.Now()
	return func() (time.Duration, bool) { return time.Duration(share * float64(time.Since(began))), true }
}

// worked is for how much of a minute a backup works that pauses every 10 ms.
func worked(t *testing.T, g *Gate) (share float64) {
	t.Helper()
	defer g.Begin()()
	began, silence := time.Now(), time.Duration(0)
	for time.Since(began) < time.Minute {
		time.Sleep(10 * time.Millisecond)
		before := time.Now()
		if err := g.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		silence += time.Since(before)
	}
	return 1 - float64(silence)/float64(time.Since(began))
}

func TestSilencesGrowWithPressure(t *testing.T) {
	for share, want := range map[float64][2]float64{0: {0.82, 0.85}, 0.25: {0.43, 0.52}, 1: {0.2, 0.22}} {
		synctest.Test(t, func(t *testing.T) {
			if got := worked(t, New(machineOf(share), nil)); got < want[0] || got > want[1] {
				t.Errorf("with a pressure of %.2f a backup works %.3f of the time, want %v", share, got, want)
			}
		})
	}
}

// A database server that others ask, too, is asked by the piece: it is at work for a dump for less than a twentieth of the
// time, so that it is not what one in twenty visitors waits for.
func TestServersAreAskedByThePiece(t *testing.T) {
	const piece = 2 * time.Millisecond // a mebibyte
	for share, want := range map[float64][2]float64{0: {0.80, 0.85}, 0.1: {0.4, 0.6}, 0.4: {0.01, 0.05}, 1: {0.005, 0.02}} {
		synctest.Test(t, func(t *testing.T) {
			g := New(machineOf(share), nil)
			defer g.Begin()()
			var pieces time.Duration
			began := time.Now()
			for time.Since(began) < time.Minute {
				time.Sleep(piece)
				pieces += piece
				if err := g.PauseForServer(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := pieces.Seconds() / time.Since(began).Seconds(); got < want[0] || got > want[1] {
				t.Errorf("with a pressure of %.2f the server works %.3f of the time, want %v", share, got, want)
			}
		})
	}
}

// A machine that cannot be heard counts as quiet.
func TestUnknownPressureIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(func() (time.Duration, bool) { return time.Hour, false }, nil)
		if got := worked(t, g); got < 0.82 || g.Busy() != 0 {
			t.Errorf("a backup works %.3f of the time; busy %.2f", got, g.Busy())
		}
	})
}

// While one call listens the others are silent, too.
func TestAllAreSilentTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(machineOf(1), nil)
		defer g.Begin()()
		defer g.Begin()()
		time.Sleep(workFor)
		began := time.Now()
		silent := make(chan time.Duration, 2)
		for range 2 {
			go func() {
				if err := g.Pause(t.Context()); err != nil {
					t.Error(err)
				}
				silent <- time.Since(began)
			}()
		}
		if a, b := <-silent, <-silent; a != leastSilence || b != leastSilence {
			t.Errorf("one was silent for %s, the other for %s", a, b)
		}
	})
}

func TestCallsBeginApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(nil, nil)
		began := time.Now()
		for i := range 5 {
			if err := g.Turn(t.Context()); err != nil || time.Since(began) != time.Duration(i)*callsApart {
				t.Errorf("call %d begins after %s: %v", i, time.Since(began), err)
			}
		}
		time.Sleep(time.Minute)
		if began = time.Now(); g.Turn(t.Context()) != nil || time.Since(began) != 0 {
			t.Errorf("after a quiet minute a call waits %s", time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Turn(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a call that nobody waits for: %v", err)
		}
	})
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(machineOf(1), nil)
		defer g.Begin()()
		time.Sleep(workFor)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if err := g.Pause(ctx); !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// Backups have the lowest priority, but not while somebody waits for a restore, and for a moment of every five seconds
// they have the usual one.
func TestPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var low bool
		var changes []time.Duration
		began := time.Now()
		g := New(nil, func(lowest bool) {
			if lowest == low {
				t.Error("nothing has changed")
			}
			low = lowest
			changes = append(changes, time.Since(began))
		})
		if expect(t, low, false, "at first"); len(changes) != 0 {
			t.Error("changed before there was a call")
		}
		done := g.Begin()
		expect(t, low, true, "during a backup")
		restored := g.Hurry()
		expect(t, low, false, "during a restore")
		time.Sleep(12 * time.Second)
		expect(t, low, false, "still")
		restored()
		expect(t, low, true, "after the restore")
		second := g.Begin()
		done()
		expect(t, low, true, "while there is one backup")
		changes, began = nil, time.Now()
		time.Sleep(10*time.Second + time.Millisecond)
		if len(changes) != 4 || changes[1]-changes[0] != liftFor || changes[3]-changes[2] != liftFor {
			t.Errorf("it is lifted and lowered at %v", changes)
		}
		second()
		expect(t, low, true, "just after the last one")
		time.Sleep(restFor / 2)
		g.Begin()()
		time.Sleep(restFor - time.Millisecond)
		expect(t, low, true, "less than a second after the last one")
		time.Sleep(time.Millisecond)
		synctest.Wait() // for the timer's goroutine
		expect(t, low, false, "after all")
		g.Begin()()
		g.Hurry()()
		expect(t, low, false, "after a restore that came just after a backup")
		changes = slices.Clip(changes[:0])
		time.Sleep(time.Minute)
		if len(changes) != 0 {
			t.Errorf("changes at %v, with nothing to do", changes)
		}
	})
}

func expect(t *testing.T, got, want bool, when string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: lowest %v", when, got)
	}
}
