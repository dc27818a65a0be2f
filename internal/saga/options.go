package saga

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Retry bounds how often something is tried again. Between two attempts the
// engine waits Base, doubled each time up to Max, of which a random half is
// taken away (jitter).
type Retry struct {
	// Attempts is how often an act is tried in all when its error is not
	// temporary. 1 is no retry.
	Attempts int
	// Patience is for how long an act whose error is temporary is tried again.
	Patience time.Duration
	// Base and Max are the first and the longest wait.
	Base, Max time.Duration
}

// Options of an Engine. The zero value is usable: every field has a default.
type Options struct {
	// Do is for Prepare and Do, Undo and Finish for these.
	// Do by default: one attempt, 30 s of patience.
	// Undo and Finish by default: 4 attempts, 2 min of patience.
	Do, Undo, Finish Retry
	// Parallel is how many steps of a stage run at once; 4 by default.
	Parallel int
	// ActTimeout bounds one call of Undo or Finish; 15 min by default. Running
	// into it counts as temporary. Do is bounded by its caller's context alone.
	ActTimeout time.Duration
	// JournalTimeout bounds one Append or Records; 30 s by default.
	JournalTimeout time.Duration
	// Temporary says whether an error may pass by itself (an agent that is
	// away); errs.Temporary by default.
	Temporary func(error) bool
	// Passing is Temporary for Undo and Finish, which may wait for longer than
	// what has not been committed to; Temporary by default.
	Passing func(error) bool
	// Observer is told what happens; may be nil.
	Observer Observer
	// Now is the clock for records; time.Now by default.
	Now func() time.Time
	// Sleep waits for d or until ctx ends, and then returns ctx's error.
	Sleep func(ctx context.Context, d time.Duration) error
	// Random returns a number in [0,1) for jitter; math/rand/v2 by default.
	Random func() float64
}

func (o Options) withDefaults() Options {
	o.Do = o.Do.withDefaults(1, 30*time.Second)
	o.Undo = o.Undo.withDefaults(4, 2*time.Minute)
	o.Finish = o.Finish.withDefaults(4, 2*time.Minute)
	setDefault(&o.Parallel, 4)
	setDefault(&o.ActTimeout, 15*time.Minute)
	setDefault(&o.JournalTimeout, 30*time.Second)
	if o.Temporary == nil {
		o.Temporary = errs.Temporary
	}
	if o.Passing == nil {
		o.Passing = o.Temporary
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return o
}

func (r Retry) withDefaults(attempts int, patience time.Duration) Retry {
	setDefault(&r.Attempts, attempts)
	setDefault(&r.Patience, patience)
	setDefault(&r.Base, 200*time.Millisecond)
	setDefault(&r.Max, 10*time.Second)
	return r
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// wait is how long to wait after the given failed attempt (1 is the first).
func (r Retry) wait(attempt int, random float64) time.Duration {
	d := r.Base
	for range attempt - 1 {
		d = min(2*d, r.Max)
	}
	d = min(d, r.Max)
	return d - time.Duration(random*float64(d)/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
