package sagatest

import (
	"math/rand/v2"
	"testing"

	"github.com/sitekeep/sitekeep/internal/saga"
)

// Config says what CrashTable breaks.
type Config struct {
	// New makes a world in its old state. Everything in it that changes
	// something asks f first; see Faults.At and Faults.Act.
	New func(f *Faults) World
	// Engine makes the engine; saga.New by default. The options' waits take no
	// time and must be kept.
	Engine func(saga.Options) *saga.Engine
	// Parallel is how many steps of a stage run at once; 1 by default, which
	// makes each game the same each time.
	Parallel int
	// Depth is up to how many faults strike one saga; 3 by default.
	Depth int
	// Budget is how many games are played at each depth from the second on:
	// first those with crashes alone, then others, chosen at random but always
	// the same. 1500 by default. With one fault all are played.
	Budget int
	// StopAfter is after how many violations the table is given up; 100 by default.
	StopAfter int
}

func (c Config) withDefaults() Config {
	if c.Engine == nil {
		c.Engine = saga.New
	}
	if c.Parallel == 0 {
		c.Parallel = 1
	}
	if c.Depth == 0 {
		c.Depth = 3
	}
	if c.Budget == 0 {
		c.Budget = 1500
	}
	if c.StopAfter == 0 {
		c.StopAfter = 100
	}
	return c
}

// Report is what came of a crash table.
type Report struct {
	// Games counts the sagas that were played, by the number of their faults.
	Games []int
	// Places are the distinct places at which a fault struck.
	Places int
	// Violations says what went wrong, faults first.
	Violations []string
}

// Total is the number of all games.
func (r Report) Total() int {
	n := 0
	for _, g := range r.Games {
		n += g
	}
	return n
}

// CrashTable breaks a plan in every place and way (see Mode), then breaks the
// undoing, the finishing and the recovery from that, and again, and fails the
// test unless each time the world ends wholly old or wholly new, as the outcome
// and the journal say, with nothing left over.
func CrashTable(t testing.TB, c Config) Report {
	t.Helper()
	r := Check(c)
	for i, v := range r.Violations {
		if i == 5 {
			t.Errorf("and %d more", len(r.Violations)-i)
			break
		}
		t.Error(v)
	}
	if t.Failed() {
		return r
	}
	t.Logf("%d sagas ended well: %v with 0, 1, 2... faults, at %d places", r.Total(), r.Games, r.Places)
	return r
}

// Check is CrashTable without a test to fail.
func Check(c Config) Report {
	c = c.withDefaults()
	want, err := c.learn()
	if err != nil {
		return Report{Violations: []string{err.Error()}}
	}
	t := &table{c: c, want: want, places: map[string]bool{}, random: rand.New(rand.NewPCG(1, 2))}
	level := []node{{ending: noGrace}, {ending: graceFinish}, {ending: graceRollback}, {ending: graceTooLate}}
	for depth := 0; depth <= c.Depth && len(level) > 0; depth++ {
		level = t.playLevel(depth, level)
	}
	t.report.Places = len(t.places)
	return t.report
}

// node is a game to be played.
type node struct {
	ending ending
	faults []Fault
}

type table struct {
	c      Config
	want   expected
	places map[string]bool
	random *rand.Rand
	report Report
}

// playLevel plays all nodes, and returns those with one more fault.
func (t *table) playLevel(depth int, level []node) []node {
	var crashes, others []node
	t.report.Games = append(t.report.Games, len(level))
	for _, n := range level {
		g := t.c.newGame(n.ending, t.want, n.faults...)
		g.play()
		if t.report.Violations = append(t.report.Violations, g.wrong...); len(t.report.Violations) >= t.c.StopAfter {
			return nil
		}
		for _, f := range n.faults {
			t.places[f.Place] = true
		}
		if depth < t.c.Depth {
			c, o := g.children(n)
			crashes = append(crashes, t.some(c, depth, len(level))...)
			others = append(others, t.some(o, depth, len(level))...)
		}
	}
	if depth == 0 {
		return append(crashes, others...)
	}
	t.random.Shuffle(len(crashes), func(i, j int) { crashes[i], crashes[j] = crashes[j], crashes[i] })
	t.random.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	// Crashes take at most two thirds, so that there is room for both.
	crashes = crashes[:min(len(crashes), max(t.c.Budget*2/3, t.c.Budget-len(others)))]
	return append(crashes, others[:min(len(others), t.c.Budget-len(crashes))]...)
}

// some shuffles the children of one game, and keeps as many of them as could be
// wanted where not all will be played.
func (t *table) some(children []node, depth, parents int) []node {
	if depth == 0 {
		return children
	}
	t.random.Shuffle(len(children), func(i, j int) { children[i], children[j] = children[j], children[i] })
	return children[:min(len(children), 1+2*t.c.Budget/parents)]
}

// children are the same game with one more fault, somewhere behind the last.
func (g *game) children(n node) (crashes, others []node) {
	for _, v := range g.faults.rest() {
		for _, mode := range []Mode{Crash, Fail, Flaky, Cancel, Broken, Away} {
			child := node{n.ending, append(n.faults[:len(n.faults):len(n.faults)], Fault{v.Life, v.Place, mode})}
			if mode == Crash {
				crashes = append(crashes, child)
			} else {
				others = append(others, child)
			}
		}
	}
	return crashes, others
}
