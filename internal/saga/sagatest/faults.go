// Package sagatest breaks sagas on purpose: it lets a plan crash, fail, be
// cancelled and lose its servers at every place where that can happen, recovers
// it, and compares the world with what it was and what it should be. It knows
// nothing of what the steps do; they say where they can be broken.
package sagatest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Mode is a way to go wrong.
type Mode string

// Modes.
const (
	// Crash: the process dies. Nothing has an effect any more until it is
	// started again and recovers.
	Crash Mode = "crash"
	// Fail: the call returns an error once.
	Fail Mode = "fail"
	// Flaky: the call returns an error once that says it may pass.
	Flaky Mode = "flaky"
	// Cancel: the context of the saga ends; the call itself goes on.
	Cancel Mode = "cancel"
	// Broken: the call fails now and each time it is tried, until a restart.
	Broken Mode = "broken"
	// Away: the same with an error that says it may pass.
	Away Mode = "away"
)

// Fault is one thing that goes wrong: in the given life of the process (0 is
// the first), when place is come to.
type Fault struct {
	Life  int
	Place string
	Mode  Mode
}

func (f Fault) String() string { return fmt.Sprintf("%s at %q of life %d", f.Mode, f.Place, f.Life) }

// Errors that faults cause.
var (
	ErrCrashed  = errors.New("the process is dead")
	ErrInjected = errors.New("injected failure")
)

// Visit is a place that was come to.
type Visit struct {
	Life  int
	Place string
}

// Faults is handed to a World, which calls At (or Act) in everything that
// changes it. It may be used by several goroutines at once.
type Faults struct {
	mu     sync.Mutex
	armed  []Fault
	hit    []bool
	life   int
	dead   bool
	counts map[string]int
	visits []Visit
	after  int // number of visits when the last of the armed faults was hit
	cancel context.CancelFunc
	fuse   int // how many visits from now a call fails; 0 is never
}

// NewFaults returns faults that will happen, each once, in this order.
func NewFaults(armed ...Fault) *Faults {
	return &Faults{armed: armed, hit: make([]bool, len(armed)), counts: map[string]int{}}
}

// At is called wherever the world is about to change or has just changed. What
// calls it changes nothing after an error, and returns that error. In one life
// the second visit of a place is named place#2, and so on.
func (f *Faults) At(ctx context.Context, place string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return ErrCrashed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := f.lasting(place); err != nil {
		return err
	}
	f.counts[place]++
	name := place
	if n := f.counts[place]; n > 1 {
		name = fmt.Sprintf("%s#%d", place, n)
	}
	f.visits = append(f.visits, Visit{f.life, name})
	if f.burn() {
		return fmt.Errorf("%s: %w", place, ErrInjected)
	}
	for i, a := range f.armed {
		if !f.hit[i] && a.Life == f.life && a.Place == name {
			return f.strike(i, place)
		}
	}
	return nil
}

// light makes the n-th visit from now fail.
func (f *Faults) light(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fuse = n
}

// out ends a fuse, and reports whether it had done its work already.
func (f *Faults) out() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	burnt := f.fuse == 0
	f.fuse = 0
	return burnt
}

func (f *Faults) burn() bool {
	if f.fuse == 0 {
		return false
	}
	f.fuse--
	return f.fuse == 0
}

// lasting repeats a Broken or Away that was hit in this life.
func (f *Faults) lasting(place string) error {
	for i, a := range f.armed {
		if f.hit[i] && a.Life == f.life && (a.Place == place || f.counts[place] > 0 && a.Place == fmt.Sprintf("%s#%d", place, f.counts[place])) {
			switch a.Mode {
			case Broken:
				return ErrInjected
			case Away:
				return errs.New(errs.Unreachable, "", "away: %w", ErrInjected)
			}
		}
	}
	return nil
}

func (f *Faults) strike(i int, place string) error {
	f.hit[i] = true
	f.after = len(f.visits)
	switch f.armed[i].Mode {
	case Crash:
		f.dead = true
		return ErrCrashed
	case Cancel:
		if f.cancel != nil {
			f.cancel()
		}
		return nil
	case Flaky, Away:
		return errs.New(errs.Unreachable, "", "%s: %w", place, ErrInjected)
	}
	return fmt.Errorf("%s: %w", place, ErrInjected)
}

// Act carries out the parts of one change, with a place before each and one
// after the last: "name 0/2", "name 1/2", "name 2/2".
func (f *Faults) Act(ctx context.Context, name string, parts ...func() error) error {
	for i, part := range parts {
		if err := f.At(ctx, fmt.Sprintf("%s %d/%d", name, i, len(parts))); err != nil {
			return err
		}
		if err := part(); err != nil {
			return err
		}
	}
	return f.At(ctx, fmt.Sprintf("%s %d/%d", name, len(parts), len(parts)))
}

// Dead reports whether the process has crashed and was not restarted yet.
func (f *Faults) Dead() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// Restart begins the next life: what lasted is over.
func (f *Faults) Restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = false
	f.life++
	f.counts = map[string]int{}
	f.cancel = nil
}

// begin returns a context for the present life that Cancel ends.
func (f *Faults) begin() (context.Context, context.CancelFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	return ctx, cancel
}

// Visits returns the places that were come to, in order.
func (f *Faults) Visits() []Visit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Visit(nil), f.visits...)
}

// Unhit returns the faults that did not happen.
func (f *Faults) Unhit() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Fault
	for i, a := range f.armed {
		if !f.hit[i] {
			out = append(out, a)
		}
	}
	return out
}

// mayStick says whether what was hit in this life excuses a saga that does not
// come to its end: something that lasts, more failures than there are attempts,
// or, in a recovery, the end of its context.
func (f *Faults) mayStick() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	failures := 0
	for i, a := range f.armed {
		if !f.hit[i] || a.Life != f.life {
			continue
		}
		switch a.Mode {
		case Broken, Away:
			return true
		case Cancel:
			if f.life > 0 {
				return true
			}
		case Fail, Flaky:
			failures++
		}
	}
	return failures > 1
}

// rest are the visits since the last armed fault was hit.
func (f *Faults) rest() []Visit { return f.Visits()[f.after:] }
