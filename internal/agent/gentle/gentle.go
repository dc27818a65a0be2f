// Package gentle lets an agent's backups give way to the visitors of the sites
// on its machine: they run at the lowest priority, and are silent for a while
// after each stretch of work, the longer the busier the machine is with other
// things. It refuses to know what a backup does.
package gentle

import (
	"context"
	"sync"
	"time"
)

const (
	// workFor is a stretch of work; all backups of the agent are silent after it.
	workFor = 50 * time.Millisecond
	// leastSilence is that of a machine with nothing else to do: long enough to
	// hear whether it is so.
	leastSilence = 10 * time.Millisecond
	// mostSilence bounds that of a busy one: backups work a fifth of the time at least.
	mostSilence = 200 * time.Millisecond
	// pieceByPiece is how busy the machine is when a database server's work is asked for by the piece.
	pieceByPiece = 0.25
	// newest is the weight of the last silence in what is thought of the machine.
	newest = 0.3

	// callsApart is between the beginnings of two backups of the agent's: of many small sites each costs a database server
	// a login, and its thoughts about what there is, in which visitors wait. A thousand take a minute.
	callsApart = 50 * time.Millisecond

	// On a machine whose processors are never idle the lowest priority gets nothing
	// at all. So for liftFor of each liftEvery backups have the usual one.
	liftEvery = 5 * time.Second
	liftFor   = 200 * time.Millisecond

	// restFor is how long the lowest priority lasts after the last gentle call: its answer is still to be sent, and of
	// the many short calls of a backup the next one is about to come.
	restFor = time.Second
)

// Pressure tells for how long, since some moment in the past, anything on the
// machine has waited for a processor or a disk.
type Pressure func() (waited time.Duration, ok bool)

// Priority puts all threads of the process to the lowest priority, or back.
type Priority func(lowest bool)

// Gate counts an agent's calls and says how they may run. It is safe for
// concurrent use.
type Gate struct {
	pressure Pressure
	priority Priority

	mu      sync.Mutex
	gentle  int // calls that give way
	hurried int // calls that somebody waits for
	lowered bool
	lift    *time.Timer // runs while there are gentle calls
	rest    *time.Timer // runs after the last one

	next   time.Time     // when the next call may begin
	worked time.Duration // since the last silence
	since  time.Time     // when gentle work began; zero while there is none
	silent time.Time     // the end of the last silence
	busy   float64       // what the silences told: 0 nothing waits, 1 something always does
}

// New returns a gate. Either argument may be nil: then the machine counts as
// quiet, or priorities stay as they are.
func New(pressure Pressure, priority Priority) *Gate {
	if pressure == nil {
		pressure = func() (time.Duration, bool) { return 0, false }
	}
	if priority == nil {
		priority = func(bool) {}
	}
	return &Gate{pressure: pressure, priority: priority}
}

// Busy is how busy the machine was with other things lately, from 0 to 1.
func (g *Gate) Busy() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy
}

// Hurry marks a call that somebody waits for, such as a restore's: while there
// is one the process has its usual priority. Call done once.
func (g *Gate) Hurry() (done func()) {
	g.count(0, 1)
	return func() { g.count(0, -1) }
}

// Begin marks a call that gives way. Call done once.
func (g *Gate) Begin() (done func()) {
	g.count(1, 0)
	return func() { g.count(-1, 0) }
}

// Turn returns when a call that gives way may begin, so that many small ones do not come all at once; with the context's
// error if that ends.
func (g *Gate) Turn(ctx context.Context) error {
	g.mu.Lock()
	now := time.Now()
	at := g.next
	if at.Before(now) {
		at = now
	}
	g.next = at.Add(callsApart)
	g.mu.Unlock()
	return sleep(ctx, at.Sub(now))
}

func (g *Gate) count(gentle, hurried int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.note(time.Now())
	g.gentle += gentle
	g.hurried += hurried
	switch {
	case g.gentle > 0 && g.lift == nil:
		g.lift = time.AfterFunc(liftEvery, g.raise)
	case g.gentle == 0 && g.lift != nil:
		g.lift.Stop()
		g.lift, g.since = nil, time.Time{}
	}
	if g.rest != nil {
		g.rest.Stop()
		g.rest = nil
	}
	if g.lowered && g.gentle == 0 && g.hurried == 0 {
		g.rest = time.AfterFunc(restFor, g.rested)
		return
	}
	g.set(g.gentle > 0 && g.hurried == 0)
}

// rested gives the process its usual priority if no call has come meanwhile.
func (g *Gate) rested() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gentle == 0 {
		g.set(false)
	}
}

// note counts the work up to now. The lock is held.
func (g *Gate) note(now time.Time) {
	if g.gentle > 0 && !g.since.IsZero() {
		g.worked += now.Sub(g.since)
	}
	g.since = now
}

// set changes the priority if it is another one. The lock is held.
func (g *Gate) set(lowest bool) {
	if lowest != g.lowered {
		g.lowered = lowest
		g.priority(lowest)
	}
}

// raise gives backups the usual priority for a moment.
func (g *Gate) raise() { g.turn(false, liftFor, g.lower) }

func (g *Gate) lower() { g.turn(true, liftEvery, g.raise) }

func (g *Gate) turn(lowest bool, next time.Duration, then func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lift == nil {
		return // the last call has ended meanwhile
	}
	g.set(lowest && g.hurried == 0)
	g.lift = time.AfterFunc(next, then)
}

// Pause is called by gentle calls between two pieces of work. It returns at
// once, or after the silence that is due; with the context's error if that ends.
func (g *Gate) Pause(ctx context.Context) error {
	return g.pause(ctx, func(float64) time.Duration { return workFor })
}

// PauseForServer is Pause between two pieces of work that a database server does too, which has its usual priority: the
// busier the machine, the shorter the stretches, down to a piece.
func (g *Gate) PauseForServer(ctx context.Context) error {
	return g.pause(ctx, func(busy float64) time.Duration { return time.Duration((1 - busy/pieceByPiece) * float64(workFor)) })
}

// pause does so after a stretch, which depends on how busy the machine is.
func (g *Gate) pause(ctx context.Context, stretch func(busy float64) time.Duration) error {
	g.mu.Lock()
	now := time.Now()
	g.note(now)
	if now.Before(g.silent) { // somebody listens
		end := g.silent
		g.mu.Unlock()
		return sleep(ctx, time.Until(end))
	}
	if g.worked < stretch(g.busy) {
		g.mu.Unlock()
		return ctx.Err()
	}
	d := leastSilence + time.Duration(g.busy*float64(mostSilence-leastSilence))
	g.silent = now.Add(d)
	g.mu.Unlock()
	return g.listen(ctx, d)
}

// listen is silent, so as not to hear the agent itself, and learns how busy the machine is.
func (g *Gate) listen(ctx context.Context, d time.Duration) error {
	before, ok := g.pressure()
	began := time.Now()
	err := sleep(ctx, d)
	after, _ := g.pressure()
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if took := now.Sub(began); ok && err == nil && took > 0 {
		share := min(1, max(0, float64(after-before)/float64(took)))
		g.busy += newest * (share - g.busy)
	}
	g.worked, g.since = 0, now
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
