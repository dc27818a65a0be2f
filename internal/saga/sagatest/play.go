package sagatest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/saga"
)

// World is what a plan changes, and outlives the crashes of the program that
// changes it.
type World interface {
	// Plan makes the plan anew, as a program does that has been restarted: it
	// must share nothing with an earlier one but the World. Its Grace is
	// ignored.
	Plan() saga.Plan
	// Snapshot describes the whole world, of neighbours too, leaving out only
	// what a plan is meant to leave behind either way (a safety backup). It is
	// the same for worlds that are equal in what matters.
	Snapshot() string
}

// maxLives is after how many restarts without a fault a saga must be over.
const maxLives = 3

// ending is what is done with a saga within its grace time.
type ending int

const (
	noGrace       ending = iota // it has none: Run finishes
	graceFinish                 // Finish is called
	graceRollback               // Rollback is called
	graceTooLate                // Finish is called, and Rollback if that did not come to its end
)

func (e ending) String() string {
	return [...]string{
		"", "finish after the grace time: ", "rollback within the grace time: ", "rollback in the middle of the finishing: ",
	}[e]
}

// expected are the worlds that a saga may end in.
type expected struct{ old, committed, new string }

// game is one saga under a list of faults, from its start to its end.
type game struct {
	c       Config
	faults  *Faults
	world   World
	journal *Journal
	ending  ending
	want    expected
	armed   []Fault
	wrong   []string // what must not have happened
	finish  bool     // Finish was called
	undo    bool     // Rollback was called
}

func (c Config) newGame(e ending, want expected, armed ...Fault) *game {
	f := NewFaults(armed...)
	return &game{c: c, faults: f, world: c.New(f), journal: NewJournal(f), ending: e, want: want, armed: armed}
}

func (g *game) engine() *saga.Engine {
	retry := saga.Retry{Attempts: 2, Patience: 2 * time.Second, Base: time.Second, Max: time.Second}
	once := retry
	once.Attempts = 1
	return g.c.Engine(saga.Options{
		Do: once, Undo: retry, Finish: retry, Parallel: g.c.Parallel,
		Sleep:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Now:    func() time.Time { return time.Unix(1e9, 0) },
		Random: func() float64 { return 0 },
	})
}

func (g *game) plan() saga.Plan {
	p := g.world.Plan()
	p.Grace = 0
	if g.ending != noGrace {
		p.Grace = time.Hour
	}
	return p
}

// play goes on until the saga is over.
func (g *game) play() {
	o, err := g.live(g.engine().Run)
	for quiet := 0; !o.Final(); {
		if quiet++; quiet > maxLives {
			g.complain("it is not over after %d restarts without a fault: %s, %v", maxLives, o, err)
			return
		}
		before := len(g.faults.Unhit())
		g.faults.Restart()
		o, err = g.live(g.next(o))
		if len(g.faults.Unhit()) < before {
			quiet = 0
		}
	}
	g.judgeEnd(o)
}

// live is one life of the process: a call of the engine, and a look at the
// world if it lived to return.
func (g *game) live(call func(context.Context, saga.Journal, saga.Plan) (saga.Outcome, error)) (saga.Outcome, error) {
	ctx, cancel := g.faults.begin()
	defer cancel()
	calls := g.journal.count(saga.KindNeedsOperator)
	o, err := call(ctx, g.journal, g.plan())
	if g.faults.Dead() {
		return saga.Waiting, ErrCrashed
	}
	g.judge(o, err)
	repeated := o == saga.NeedsOperator && calls > 0 && calls == g.journal.count(saga.KindNeedsOperator)
	if !o.Final() && o != saga.Committed && !repeated && !g.faults.mayStick() && !errors.Is(err, saga.ErrFinishing) {
		g.complain("outcome %s, %v, though nothing keeps it from ending", o, err)
	}
	return o, err
}

// next is what somebody would call for a saga that stands there.
func (g *game) next(o saga.Outcome) func(context.Context, saga.Journal, saga.Plan) (saga.Outcome, error) {
	switch {
	case o == saga.NeedsOperator:
		return g.engine().Resume
	case o == saga.Committed && (g.ending == graceFinish || g.ending == graceTooLate && !g.finish):
		g.finish = true
		return g.engine().Finish
	case o == saga.Committed && (g.ending == graceRollback || g.ending == graceTooLate), g.finish && g.ending == graceTooLate && !g.undo:
		g.undo = true
		return g.engine().Rollback
	}
	return g.engine().Recover
}

// judge compares the world with an outcome.
func (g *game) judge(o saga.Outcome, err error) {
	is := g.world.Snapshot()
	want := is
	switch o {
	case saga.NotStarted, saga.RolledBack:
		want = g.want.old
	case saga.Committed:
		want = g.want.committed
	case saga.Completed:
		want = g.want.new
	case saga.Waiting, saga.NeedsOperator:
		if err == nil {
			g.complain("outcome %s comes without an error", o)
		}
	default:
		g.complain("unknown outcome %q", o)
	}
	if is != want {
		g.complain("outcome %s, %v, but the world is\n%s\ninstead of\n%s", o, err, is, want)
	}
}

// judgeEnd checks that the end is the one that the journal promised, and that
// another Recover changes nothing.
func (g *game) judgeEnd(o saga.Outcome) {
	committed := g.journal.count(saga.KindCommitted) > 0
	switch {
	case g.journal.count(saga.KindFinishing) > 0 && o != saga.Completed:
		g.complain("its finishing had begun and it ended as %s", o)
	case committed && !g.undo && o != saga.Completed:
		g.complain("it was committed and ended as %s", o)
	case !committed && o == saga.Completed:
		g.complain("it was completed without a commit")
	case g.undo && g.journal.count(saga.KindRollingBack) > 0 && o != saga.RolledBack:
		g.complain("its rollback was recorded and it ended as %s", o)
	}
	g.faults.Restart()
	if again, err := g.live(g.engine().Recover); again != o || err != nil {
		g.complain("it ended as %s, and another Recover says %s, %v", o, again, err)
	}
	if unhit := g.faults.Unhit(); len(unhit) > 0 && g.c.Parallel == 1 {
		g.complain("these faults never happened: %v", unhit)
	}
}

func (g *game) complain(format string, args ...any) {
	g.wrong = append(g.wrong, fmt.Sprintf("%s%v: %s", g.ending, g.armed, fmt.Sprintf(format, args...)))
}

// learn plays undisturbed games to see which worlds are right.
func (c Config) learn() (expected, error) {
	want := expected{}
	c.Engine = saga.New
	g := c.newGame(graceFinish, want)
	want.old = g.world.Snapshot()
	o, err := g.live(g.engine().Run)
	if o != saga.Committed {
		return want, fmt.Errorf("without any fault the plan ends as %s: %w", o, err)
	}
	want.committed = g.world.Snapshot()
	if o, err = g.live(g.engine().Finish); o != saga.Completed {
		return want, fmt.Errorf("without any fault the finishing ends as %s: %w", o, err)
	}
	want.new = g.world.Snapshot()
	if want.old == want.new || want.committed == want.old {
		return want, fmt.Errorf("the plan changes nothing: %s", want.old)
	}
	return want, nil
}
