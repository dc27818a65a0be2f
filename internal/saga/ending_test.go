package saga_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// graceful is a committed saga of two steps, with a day of grace.
type graceful struct {
	d    *diary
	a, b *scripted
	j    saga.Journal
	p    saga.Plan
	e    *saga.Engine
}

func newGraceful(t *testing.T) *graceful {
	t.Helper()
	g := &graceful{d: &diary{}, j: newJournal(), e: saga.New(saga.Options{})}
	g.a, g.b = &scripted{d: g.d, name: "a"}, &scripted{d: g.d, name: "b"}
	g.p = plan([]saga.Step{g.a}, []saga.Step{g.b})
	g.p.Grace = 24 * time.Hour
	if o, err := g.e.Run(t.Context(), g.j, g.p); o != saga.Committed || err != nil {
		t.Fatalf("%s, %v", o, err)
	}
	g.d.want(t, "do a, do b")
	return g
}

func (g *graceful) want(t *testing.T, o saga.Outcome, err error, want saga.Outcome, calls string) {
	t.Helper()
	if o != want || err != nil {
		t.Errorf("%s, %v instead of %s", o, err, want)
	}
	g.d.want(t, strings.TrimSuffix("do a, do b, "+calls, ", "))
}

func TestFinishWaitsForTheGraceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGraceful(t)
		time.Sleep(24*time.Hour - time.Second)
		o, err := g.e.Recover(t.Context(), g.j, g.p)
		g.want(t, o, err, saga.Committed, "")
		time.Sleep(time.Second)
		o, err = g.e.Recover(t.Context(), g.j, g.p)
		g.want(t, o, err, saga.Completed, "finish a, finish b")
		o, err = g.e.Finish(t.Context(), g.j, g.p)
		g.want(t, o, err, saga.Completed, "finish a, finish b")
	})
}

func TestFinishAtOnce(t *testing.T) {
	g := newGraceful(t)
	o, err := g.e.Finish(t.Context(), g.j, g.p)
	g.want(t, o, err, saga.Completed, "finish a, finish b")
	if o, err := g.e.Rollback(t.Context(), g.j, g.p); o != saga.Completed || !errors.Is(err, saga.ErrFinishing) {
		t.Errorf("%s, %v", o, err)
	}
}

func TestRollbackWithinTheGraceTime(t *testing.T) {
	g := newGraceful(t)
	o, err := g.e.Rollback(t.Context(), g.j, g.p)
	g.want(t, o, err, saga.RolledBack, "undo b, undo a")
	o, err = g.e.Rollback(t.Context(), g.j, g.p)
	g.want(t, o, err, saga.RolledBack, "undo b, undo a")
	if o, err := g.e.Finish(t.Context(), g.j, g.p); o != saga.RolledBack || !errors.Is(err, saga.ErrNotCommitted) {
		t.Errorf("%s, %v", o, err)
	}
}

func TestRollbackIsRecordedBeforeItActs(t *testing.T) {
	g := newGraceful(t)
	g.b.undo = func(context.Context) error {
		if k := kinds(t, g.j); !strings.HasSuffix(k, "committed, rolling_back, undoing b") {
			t.Errorf("undone with %s", k)
		}
		return nil
	}
	o, err := g.e.Rollback(t.Context(), g.j, g.p)
	g.want(t, o, err, saga.RolledBack, "undo b, undo a")
}

func TestFinishIsNotCutShort(t *testing.T) {
	g := newGraceful(t)
	ctx, cancel := context.WithCancel(t.Context())
	g.a.finish = func(ctx context.Context) error { cancel(); return ctx.Err() }
	if o, err := g.e.Finish(ctx, g.j, g.p); o != saga.Waiting || !errors.Is(err, context.Canceled) {
		t.Errorf("%s, %v", o, err)
	}
	g.d.want(t, "do a, do b, finish a")
	o, err := g.e.Recover(t.Context(), g.j, g.p)
	g.want(t, o, err, saga.Completed, "finish a, finish b")
	if o, err := g.e.Recover(ctx, g.j, g.p); o != saga.Completed || err != nil {
		t.Errorf("what is over is over, whatever the context: %s, %v", o, err)
	}
}

func TestFinishThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGraceful(t)
		g.a.finish = failing(away())
		o, err := g.e.Finish(t.Context(), g.j, g.p)
		if o != saga.Waiting || errs.KindOf(err) != errs.Unreachable || strings.Contains(g.d.read(), "finish b") {
			t.Errorf("%s, %v: %s", o, err, g.d.read())
		}
		if o, err := g.e.Rollback(t.Context(), g.j, g.p); o != saga.Waiting || !errors.Is(err, saga.ErrFinishing) {
			t.Errorf("%s, %v", o, err)
		}
		g.a.finish = nil
		if o, err = g.e.Recover(t.Context(), g.j, g.p); o != saga.Completed || err != nil {
			t.Errorf("%s, %v", o, err)
		}
		if !strings.HasSuffix(g.d.read(), "finish a, finish b") || strings.Contains(g.d.read(), "undo") {
			t.Error(g.d.read())
		}
	})
}

func TestFinishThatNeedsAnOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGraceful(t)
		g.b.finish = failing(errors.New("not permitted"))
		o, err := g.e.Finish(t.Context(), g.j, g.p)
		for range 2 {
			var stuck *saga.StuckError
			if o != saga.NeedsOperator || !errors.As(err, &stuck) || stuck.Cause != nil || stuck.Act != saga.ActFinish ||
				!slices.Equal(stuck.Commands, []string{"mend b"}) || !slices.Equal(stuck.Remaining, []string{"b"}) {
				t.Fatalf("%s, %+v", o, err)
			}
			o, err = g.e.Finish(t.Context(), g.j, g.p)
		}
		g.b.finish = nil
		if o, err = g.e.Resume(t.Context(), g.j, g.p); o != saga.Completed || err != nil {
			t.Errorf("%s, %v", o, err)
		}
	})
}

// brokenJournal fails for the records it is told to, before or after keeping them.
type brokenJournal struct {
	saga.Journal
	refuse   func(saga.Record) bool
	deafness func(saga.Record) bool // kept, but an error all the same
	blind    bool
}

func (j *brokenJournal) Append(ctx context.Context, r saga.Record) error {
	if j.refuse != nil && j.refuse(r) {
		return errors.New("disk full")
	}
	if err := j.Journal.Append(ctx, r); err != nil {
		return err
	}
	if j.deafness != nil && j.deafness(r) {
		return errors.New("disk full")
	}
	return nil
}

func (j *brokenJournal) Records(ctx context.Context) ([]saga.Record, error) {
	if j.blind {
		return nil, errors.New("disk gone")
	}
	return j.Journal.Records(ctx)
}

func is(kind saga.Kind) func(saga.Record) bool {
	return func(r saga.Record) bool { return r.Kind == kind }
}

func always(saga.Record) bool { return true }

func TestUndoDoesNotNeedTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, j := &diary{}, &brokenJournal{Journal: newJournal()}
		a := &scripted{d: d, name: "a"}
		b := &scripted{d: d, name: "b", do: func(context.Context) error { j.refuse = always; return errors.New("no") }}
		p := plan([]saga.Step{a}, []saga.Step{b})
		e := saga.New(saga.Options{})
		o, err := e.Run(t.Context(), j, p)
		if o != saga.Waiting || err == nil {
			t.Errorf("%s, %v", o, err)
		}
		d.want(t, "do a, do b, undo b, undo a")
		j.refuse = nil
		if o, err := e.Recover(t.Context(), j, p); o != saga.RolledBack || err != nil {
			t.Errorf("%s, %v", o, err)
		}
		d.want(t, "do a, do b, undo b, undo a, undo b, undo a")
	})
}

func TestCommitThatMayBeRecorded(t *testing.T) {
	tests := []struct {
		name    string
		journal brokenJournal
		want    saga.Outcome
		calls   string
		later   saga.Outcome
	}{
		{"refused", brokenJournal{refuse: is(saga.KindCommitted)}, saga.RolledBack, "do a, undo a", saga.RolledBack},
		{"kept with an error", brokenJournal{deafness: is(saga.KindCommitted)}, saga.Completed, "do a, finish a", saga.Completed},
		{"unknown, kept", brokenJournal{deafness: is(saga.KindCommitted)}, saga.Waiting, "do a", saga.Completed},
		{"unknown, not kept", brokenJournal{refuse: is(saga.KindCommitted)}, saga.Waiting, "do a", saga.RolledBack},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, j := &diary{}, &test.journal
				j.Journal = newJournal()
				a := &scripted{d: d, name: "a", do: func(context.Context) error {
					j.blind = strings.HasPrefix(test.name, "unknown")
					return nil
				}}
				e := saga.New(saga.Options{})
				o, err := e.Run(t.Context(), j, plan([]saga.Step{a}))
				if o != test.want {
					t.Errorf("%s, %v", o, err)
				}
				d.want(t, test.calls)
				j.blind, j.refuse, j.deafness = false, nil, nil
				if o, err := e.Recover(t.Context(), j, plan([]saga.Step{a})); o != test.later || err != nil {
					t.Errorf("later %s, %v", o, err)
				}
			})
		})
	}
}

func TestNothingActsWithoutItsRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tests := []struct {
			refuse saga.Kind
			call   func(g *graceful) (saga.Outcome, error)
		}{
			{saga.KindRollingBack, func(g *graceful) (saga.Outcome, error) { return g.e.Rollback(t.Context(), g.j, g.p) }},
			{saga.KindFinishing, func(g *graceful) (saga.Outcome, error) { return g.e.Finish(t.Context(), g.j, g.p) }},
		}
		for _, test := range tests {
			g := newGraceful(t)
			g.j = &brokenJournal{Journal: g.j, refuse: is(test.refuse)}
			if o, err := test.call(g); o != saga.Waiting || err == nil {
				t.Errorf("%s: %s, %v", test.refuse, o, err)
			}
			g.d.want(t, "do a, do b")
		}
	})
}

func TestJournalThatCannotBeReadWaits(t *testing.T) {
	g := newGraceful(t)
	g.j = &brokenJournal{Journal: g.j, blind: true}
	if o, err := g.e.Recover(t.Context(), g.j, g.p); o != saga.Waiting || err == nil {
		t.Errorf("%s, %v", o, err)
	}
}

func TestRecoverOfAnEmptyJournal(t *testing.T) {
	d := &diary{}
	p := plan([]saga.Step{&scripted{d: d, name: "a"}})
	e := saga.New(saga.Options{})
	if o, err := e.Recover(t.Context(), newJournal(), p); o != saga.NotStarted || err != nil {
		t.Errorf("%s, %v", o, err)
	}
	d.want(t, "")
}

func TestRunWantsAnEmptyJournal(t *testing.T) {
	g := newGraceful(t)
	o, err := g.e.Run(t.Context(), g.j, g.p)
	if o != saga.Committed || !errors.Is(err, saga.ErrStarted) {
		t.Errorf("%s, %v", o, err)
	}
	g.d.want(t, "do a, do b")
}

func TestAnotherPlanTouchesNothing(t *testing.T) {
	g := newGraceful(t)
	version := g.p
	version.Version++
	name := g.p
	name.Name = "deploy"
	for _, p := range []saga.Plan{version, name, plan([]saga.Step{g.a}), plan([]saga.Step{g.a, g.b})} {
		for _, call := range []func(context.Context, saga.Journal, saga.Plan) (saga.Outcome, error){
			g.e.Recover, g.e.Rollback, g.e.Finish, g.e.Resume,
		} {
			if o, err := call(t.Context(), g.j, p); o != saga.NeedsOperator || !errors.Is(err, saga.ErrPlanMismatch) {
				t.Errorf("%s, %v", o, err)
			}
		}
	}
	g.d.want(t, "do a, do b")
}

func TestWrongPlansAreRefused(t *testing.T) {
	d := &diary{}
	a, b := &scripted{d: d, name: "a"}, &scripted{d: d, name: "b"}
	misspelt := independent{&scripted{d: d, name: "c", after: []string{"bb"}}}
	earlier := independent{&scripted{d: d, name: "c", after: []string{"a"}}}
	for name, p := range map[string]saga.Plan{
		"no steps":      plan(),
		"empty stage":   plan([]saga.Step{a}, nil),
		"name twice":    plan([]saga.Step{a}, []saga.Step{&scripted{d: d, name: "a"}}),
		"no name":       plan([]saga.Step{&scripted{d: d}}),
		"unknown after": plan([]saga.Step{misspelt}, []saga.Step{b}),
		"earlier after": plan([]saga.Step{a}, []saga.Step{earlier}),
	} {
		if o, err := saga.New(saga.Options{}).Run(t.Context(), newJournal(), p); o != saga.NotStarted || err == nil {
			t.Errorf("%s: %s, %v", name, o, err)
		}
	}
	d.want(t, "")
}

func TestReplayRefusesNonsense(t *testing.T) {
	r := func(k saga.Kind, step string) saga.Record { return saga.Record{Kind: k, Step: step} }
	p := saga.Record{Kind: saga.KindPlan, Plan: "x", Stages: [][]string{{"a"}}}
	other := saga.Record{Kind: saga.KindPlan, Plan: "y", Stages: [][]string{{"a"}}}
	for name, records := range map[string][]saga.Record{
		"no plan":                {r(saga.KindBegun, "a")},
		"two plans":              {p, other},
		"unknown step":           {p, r(saga.KindBegun, "b")},
		"done before begun":      {p, r(saga.KindDone, "a")},
		"unknown kind":           {p, r("dancing", "")},
		"finishing uncommitted":  {p, r(saga.KindFinishing, "")},
		"completed at once":      {p, r(saga.KindCommitted, ""), r(saga.KindCompleted, "")},
		"commit after rollback":  {p, r(saga.KindRollingBack, ""), r(saga.KindCommitted, "")},
		"rollback after finish":  {p, r(saga.KindCommitted, ""), r(saga.KindFinishing, ""), r(saga.KindRollingBack, "")},
		"rolled back out of one": {p, r(saga.KindCommitted, ""), r(saga.KindRolledBack, "")},
	} {
		if s, err := saga.Replay(records); !errors.Is(err, saga.ErrJournal) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestReplayAcceptsRepetition(t *testing.T) {
	once := []saga.Record{
		{Kind: saga.KindPlan, Plan: "x", Stages: [][]string{{"a"}}},
		{Kind: saga.KindBegun, Step: "a"}, {Kind: saga.KindDone, Step: "a"}, {Kind: saga.KindCommitted},
		{Kind: saga.KindFinishing}, {Kind: saga.KindFinished, Step: "a"}, {Kind: saga.KindCompleted},
	}
	var twice []saga.Record
	for _, r := range once {
		twice = append(twice, r, r)
	}
	s, err := saga.Replay(twice)
	if err != nil || s.Phase != saga.PhaseCompleted || len(s.Steps) != 1 || !s.Steps[0].Finished {
		t.Errorf("%+v, %v", s, err)
	}
}
