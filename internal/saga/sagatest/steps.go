package sagatest

import (
	"context"
	"testing"

	"github.com/sitekeep/sitekeep/internal/saga"
)

// StepSuite holds each step of a plan to its contract, alone: that Prepare
// changes nothing, that Do, Undo and Finish may be repeated and may be broken
// off at each of their places, and that Undo, by a step made anew, brings back
// what was there, whatever became of Do.
func StepSuite(t *testing.T, newWorld func(f *Faults) World) {
	for i, name := range stepNames(newWorld(NewFaults()).Plan()) {
		b := bench{newWorld: newWorld, index: i}
		t.Run(name, func(t *testing.T) {
			t.Run("prepare changes nothing", b.prepareChangesNothing)
			t.Run("undo of nothing", b.undoOfNothing)
			t.Run("do and undo twice", b.twice)
			t.Run("do broken off", b.doBrokenOff)
			t.Run("undo broken off", b.undoBrokenOff)
			t.Run("finish", b.finish)
		})
	}
}

func stepNames(p saga.Plan) []string {
	var names []string
	for _, s := range steps(p) {
		names = append(names, s.Name())
	}
	return names
}

func steps(p saga.Plan) []saga.Step {
	var out []saga.Step
	for _, stage := range p.Stages {
		out = append(out, stage...)
	}
	return out
}

// bench makes worlds in which the steps before the index-th have been done.
type bench struct {
	newWorld func(f *Faults) World
	index    int
}

// piece is the step under test in such a world.
type piece struct {
	*testing.T
	bench
	f      *Faults
	world  World
	all    []saga.Step
	memos  []saga.Memo // of the steps before and of this one
	step   saga.Step
	memo   saga.Memo
	before string
}

func (b bench) prepared(t *testing.T) *piece {
	t.Helper()
	f := NewFaults()
	p := &piece{T: t, bench: b, f: f, world: b.newWorld(f)}
	p.all = steps(p.world.Plan())
	for _, s := range p.all[:b.index] {
		p.prepare(s)
		p.must("do "+s.Name(), s.Do(context.Background(), p.memo))
	}
	p.step = p.all[b.index]
	p.prepare(p.step)
	p.before = p.world.Snapshot()
	return p
}

func (p *piece) prepare(s saga.Step) {
	p.Helper()
	memo, err := s.Prepare(context.Background())
	p.must("prepare "+s.Name(), err)
	p.memo, p.memos = memo, append(p.memos, memo)
}

func (p *piece) must(what string, err error) {
	p.Helper()
	if err != nil {
		p.Fatalf("%s: %v", what, err)
	}
}

// anew is the step as a restarted program has it.
func (p *piece) anew() saga.Step { return steps(p.world.Plan())[p.index] }

func (p *piece) do() error   { return p.step.Do(context.Background(), p.memos[p.index]) }
func (p *piece) undo() error { return p.anew().Undo(context.Background(), p.memos[p.index]) }

func (p *piece) is(what, want string) {
	p.Helper()
	if is := p.world.Snapshot(); is != want {
		p.Errorf("%s the world is\n%s\ninstead of\n%s", what, is, want)
	}
}

func (b bench) prepareChangesNothing(t *testing.T) {
	p := b.prepared(t)
	_, err := p.step.Prepare(context.Background())
	p.must("prepare again", err)
	p.is("after Prepare", p.before)
}

func (b bench) undoOfNothing(t *testing.T) {
	p := b.prepared(t)
	p.must("undo", p.undo())
	p.is("after an Undo without a Do", p.before)
}

func (b bench) twice(t *testing.T) {
	p := b.prepared(t)
	p.must("do", p.do())
	done := p.world.Snapshot()
	p.must("do again", p.do())
	p.is("after a second Do", done)
	p.must("undo", p.undo())
	p.is("after Undo", p.before)
	p.must("undo again", p.undo())
	p.is("after a second Undo", p.before)
}

// broken calls try with a world for each place that act comes to, at which it is
// broken off. It returns when act comes to no more.
func (b bench) broken(t *testing.T, act func(p *piece) error, try func(p *piece)) {
	for n := 1; ; n++ {
		p := b.prepared(t)
		p.f.light(n)
		err := act(p)
		if !p.f.out() {
			p.must("with no place left to break it at", err)
			break
		}
		if err == nil {
			t.Errorf("broken off at %v, it returned no error", p.f.Visits()[len(p.f.Visits())-1])
		}
		try(p)
	}
}

func (b bench) doBrokenOff(t *testing.T) {
	whole := b.prepared(t)
	whole.must("do", whole.do())
	done := whole.world.Snapshot()
	b.broken(t, (*piece).do, func(p *piece) {
		p.must("undo", p.undo())
		p.is("after the Undo of a Do that was broken off", p.before)
		p.must("undo again", p.undo())
		p.is("after a second Undo of a Do that was broken off", p.before)
	})
	b.broken(t, (*piece).do, func(p *piece) {
		p.must("do", p.do())
		p.is("after the repetition of a Do that was broken off", done)
	})
}

func (b bench) undoBrokenOff(t *testing.T) {
	doAndUndo := func(p *piece) error {
		fuse := p.f.fuse
		p.f.light(0)
		p.must("do", p.do())
		p.f.light(fuse)
		return p.undo()
	}
	b.broken(t, doAndUndo, func(p *piece) {
		p.must("undo", p.undo())
		p.is("after the repetition of an Undo that was broken off", p.before)
	})
}

func (b bench) finish(t *testing.T) {
	if _, does := b.prepared(t).step.(saga.Finisher); !does {
		return
	}
	whole := b.prepared(t)
	whole.commit()
	whole.must("finish", whole.finish())
	finished := whole.world.Snapshot()
	whole.must("finish again", whole.finish())
	whole.is("after a second Finish", finished)

	commitAndFinish := func(p *piece) error {
		fuse := p.f.fuse
		p.f.light(0)
		p.commit()
		p.f.light(fuse)
		return p.finish()
	}
	b.broken(t, commitAndFinish, func(p *piece) {
		p.must("finish", p.finish())
		p.is("after the repetition of a Finish that was broken off", finished)
	})
}

func (p *piece) finish() error {
	return p.anew().(saga.Finisher).Finish(context.Background(), p.memos[p.index])
}

// commit does the step and all behind it, and finishes those before it.
func (p *piece) commit() {
	p.must("do", p.do())
	for _, s := range p.all[p.index+1:] {
		p.prepare(s)
		p.must("do "+s.Name(), s.Do(context.Background(), p.memo))
	}
	for i, s := range p.all[:p.index] {
		if f, does := s.(saga.Finisher); does {
			p.must("finish "+s.Name(), f.Finish(context.Background(), p.memos[i]))
		}
	}
}
