package saga_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

// diary is what scripted steps were called for, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) read() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, ", ")
}

func (d *diary) want(t *testing.T, lines string) {
	t.Helper()
	if got := d.read(); got != lines {
		t.Errorf("called:\n%s\ninstead of\n%s", got, lines)
	}
}

// scripted is a step whose calls are written down, and answered by functions if it has them.
type scripted struct {
	d                *diary
	name             string
	memo             string
	do, undo, finish func(ctx context.Context) error
	after            []string
}

func (s *scripted) Name() string { return s.name }

func (s *scripted) Prepare(context.Context) (saga.Memo, error) {
	if s.memo == "" {
		return nil, nil
	}
	return saga.Memo(s.memo), nil
}

func (s *scripted) call(ctx context.Context, what string, f func(ctx context.Context) error) error {
	s.d.write(what + " " + s.name)
	if f == nil {
		return ctx.Err()
	}
	return f(ctx)
}

func (s *scripted) Do(ctx context.Context, _ saga.Memo) error   { return s.call(ctx, "do", s.do) }
func (s *scripted) Undo(ctx context.Context, _ saga.Memo) error { return s.call(ctx, "undo", s.undo) }
func (s *scripted) Finish(ctx context.Context, _ saga.Memo) error {
	return s.call(ctx, "finish", s.finish)
}
func (s *scripted) Manual(saga.Memo) []string { return []string{"mend " + s.name} }

// independent is a scripted step that says what its undo waits for.
type independent struct{ *scripted }

func (s independent) UndoAfter() []string { return s.after }

func plan(stages ...[]saga.Step) saga.Plan {
	return saga.Plan{Name: "test", Version: 1, Stages: stages}
}

func newJournal() *sagatest.Journal { return sagatest.NewJournal(sagatest.NewFaults()) }

func kinds(t *testing.T, j saga.Journal) string {
	t.Helper()
	records, err := j.Records(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range records {
		out = append(out, strings.TrimSpace(string(r.Kind)+" "+r.Step))
	}
	return strings.Join(out, ", ")
}

func away() error { return errs.New(errs.Unreachable, "", "agent web1 is away") }

func failing(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// times fails n times with err and then succeeds.
func times(n int, err error) func(context.Context) error {
	return func(context.Context) error {
		if n--; n >= 0 {
			return err
		}
		return nil
	}
}

func TestRecordsComeBeforeActs(t *testing.T) {
	d, j := &diary{}, newJournal()
	a := &scripted{d: d, name: "a", memo: `{"x":1}`}
	a.do = func(context.Context) error { d.write("[" + kinds(t, j) + "]"); return nil }
	a.finish = a.do
	b := &scripted{d: d, name: "b", do: failing(errors.New("no room"))}
	a.undo = a.do
	o, err := saga.New(saga.Options{}).Run(t.Context(), j, plan([]saga.Step{a}, []saga.Step{b}))
	if o != saga.RolledBack || err == nil || !strings.Contains(err.Error(), "do b: no room") {
		t.Errorf("%s, %v", o, err)
	}
	d.want(t, "do a, [plan, begun a], do b, undo b, undo a, "+
		"[plan, begun a, done a, begun b, rolling_back, undoing b, undone b, undoing a]")
	s, err := saga.Inspect(t.Context(), j)
	if err != nil || s.Phase != saga.PhaseRolledBack || s.Reason != "do b: no room" || string(s.Steps[0].Memo) != `{"x":1}` {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestTemporaryErrorsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		a := &scripted{d: d, name: "a", do: times(3, away())}
		began := time.Now()
		o, err := saga.New(saga.Options{Random: func() float64 { return 0 }}).Run(t.Context(), newJournal(), plan([]saga.Step{a}))
		if o != saga.Completed || err != nil {
			t.Fatalf("%s, %v", o, err)
		}
		d.want(t, "do a, do a, do a, do a, finish a")
		if took := time.Since(began); took != (200+400+800)*time.Millisecond {
			t.Errorf("waited %s", took)
		}
	})
}

func TestOtherErrorsAreNotTriedAgainGoingForward(t *testing.T) {
	d := &diary{}
	a := &scripted{d: d, name: "a", do: times(1, errors.New("no"))}
	if o, _ := saga.New(saga.Options{}).Run(t.Context(), newJournal(), plan([]saga.Step{a})); o != saga.RolledBack {
		t.Errorf("%s", o)
	}
	d.want(t, "do a, undo a")
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &scripted{d: &diary{}, name: "a", do: failing(away())}
		began := time.Now()
		o, err := saga.New(saga.Options{}).Run(t.Context(), newJournal(), plan([]saga.Step{a}))
		if took := time.Since(began); o != saga.RolledBack || took < 30*time.Second || took > 41*time.Second {
			t.Errorf("%s, %v after %s", o, err, took)
		}
		if errs.KindOf(err) != errs.Unreachable {
			t.Errorf("the kind of %v is lost", err)
		}
	})
}

func TestUndoWaitsForWhatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, j := &diary{}, newJournal()
		a := &scripted{d: d, name: "a"}
		b := &scripted{d: d, name: "b", undo: failing(away())}
		c := &scripted{d: d, name: "c", do: failing(errors.New("no"))}
		p := plan([]saga.Step{a}, []saga.Step{b}, []saga.Step{c})
		e := saga.New(saga.Options{})
		o, err := e.Run(t.Context(), j, p)
		var stuck *saga.StuckError
		if o != saga.Waiting || !errors.As(err, &stuck) {
			t.Fatalf("%s, %v", o, err)
		}
		if stuck.Step != "b" || stuck.Act != saga.ActUndo || !slices.Equal(stuck.Remaining, []string{"b", "a"}) {
			t.Errorf("%+v", stuck)
		}
		if errs.KindOf(err) != errs.Unreachable || !strings.Contains(err.Error(), "do c: no") {
			t.Errorf("%v", err)
		}
		if strings.Contains(d.read(), "undo a") {
			t.Error("a was undone before b")
		}
		b.undo = nil
		if o, err = e.Recover(t.Context(), j, p); o != saga.RolledBack || err != nil {
			t.Errorf("%s, %v", o, err)
		}
		if !strings.HasSuffix(d.read(), "undo b, undo a") {
			t.Error(d.read())
		}
	})
}

func TestUndoGoesAheadWhereItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, after := range []struct {
			step string
			want bool
		}{{"c", true}, {"b", false}} {
			d := &diary{}
			a := independent{&scripted{d: d, name: "a", after: []string{after.step}}}
			b := &scripted{d: d, name: "b", undo: failing(away())}
			c := &scripted{d: d, name: "c", do: failing(errors.New("no"))}
			o, err := saga.New(saga.Options{}).Run(t.Context(), newJournal(), plan([]saga.Step{a}, []saga.Step{b}, []saga.Step{c}))
			if o != saga.Waiting {
				t.Errorf("%s, %v", o, err)
			}
			if undone := strings.Contains(d.read(), "undo a"); undone != after.want {
				t.Errorf("after %s: undone is %t", after.step, undone)
			}
		}
	})
}

func TestAnUndoThatCannotBeDoneStopsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, j := &diary{}, newJournal()
		a := independent{&scripted{d: d, name: "a", after: []string{"c"}}}
		b := &scripted{d: d, name: "b", undo: failing(errors.New("read-only file system"))}
		c := &scripted{d: d, name: "c", do: failing(errors.New("no"))}
		p := plan([]saga.Step{a}, []saga.Step{b}, []saga.Step{c})
		e := saga.New(saga.Options{})
		o, err := e.Run(t.Context(), j, p)
		d.want(t, "do a, do b, do c, undo c, undo b, undo b, undo b, undo b")
		for range 2 {
			var stuck *saga.StuckError
			if o != saga.NeedsOperator || !errors.As(err, &stuck) {
				t.Fatalf("%s, %v", o, err)
			}
			if !slices.Equal(stuck.Commands, []string{"mend b"}) || !slices.Equal(stuck.Remaining, []string{"b", "a"}) || stuck.Step != "b" {
				t.Errorf("%+v", stuck)
			}
			if hint := errs.HintOf(err); !strings.Contains(hint, "mend b") {
				t.Errorf("hint %q", hint)
			}
			calls := d.read()
			o, err = e.Recover(t.Context(), j, p)
			d.want(t, calls)
		}
		b.undo = nil
		if o, err = e.Resume(t.Context(), j, p); o != saga.RolledBack || err != nil {
			t.Errorf("%s, %v", o, err)
		}
	})
}

func TestSiblingsAreCancelledAndWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &diary{}
		slow := &scripted{d: d, name: "slow", do: func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(time.Minute) // it takes its time to stop
			d.write("slow has stopped")
			return ctx.Err()
		}}
		bad := &scripted{d: d, name: "bad", do: func(context.Context) error {
			time.Sleep(time.Second)
			return errors.New("disk full")
		}}
		never := &scripted{d: d, name: "never"}
		o, err := saga.New(saga.Options{Parallel: 2}).Run(t.Context(), newJournal(), plan([]saga.Step{slow, bad, never}))
		if o != saga.RolledBack || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s, %v", o, err)
		}
		got := d.read()
		if strings.Contains(got, "never") || !strings.HasSuffix(got, "slow has stopped, undo bad, undo slow") {
			t.Error(got)
		}
	})
}

func TestStepsOfAStageRunSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []saga.Step
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			steps = append(steps, &scripted{d: &diary{}, name: name, do: func(context.Context) error {
				time.Sleep(time.Second)
				return nil
			}})
		}
		began := time.Now()
		o, err := saga.New(saga.Options{Parallel: 2}).Run(t.Context(), newJournal(), plan(steps))
		if took := time.Since(began); o != saga.Completed || err != nil || took != 3*time.Second {
			t.Errorf("%s, %v after %s", o, err, took)
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	d := &diary{}
	a := &scripted{d: d, name: "a", do: func(context.Context) error { panic("oh") }}
	o, err := saga.New(saga.Options{}).Run(t.Context(), newJournal(), plan([]saga.Step{a}))
	var p *saga.PanicError
	if o != saga.RolledBack || !errors.As(err, &p) || len(p.Stack) == 0 {
		t.Errorf("%s, %v", o, err)
	}
	d.want(t, "do a, undo a")
}

func TestMemoMustBeJSON(t *testing.T) {
	d := &diary{}
	a := &scripted{d: d, name: "a", memo: "not json"}
	o, err := saga.New(saga.Options{}).Run(t.Context(), newJournal(), plan([]saga.Step{a}))
	if o != saga.RolledBack || err == nil {
		t.Errorf("%s, %v", o, err)
	}
	d.want(t, "")
}

// watcher writes down events.
type watcher struct{ diary }

func (w *watcher) Observe(e saga.Event) {
	line := string(e.Kind) + " " + string(e.Act) + string(e.Phase) + " " + e.Step
	if e.Kind == saga.Retrying {
		line += " in " + e.Wait.String()
	}
	if e.Kind == saga.Done || e.Kind == saga.Failed {
		line += " after " + e.Elapsed.String()
	}
	w.write(strings.TrimSpace(line))
}

func TestObserverIsToldEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{}
		flaky := times(1, away())
		a := &scripted{d: &diary{}, name: "a", do: func(ctx context.Context) error { time.Sleep(time.Second); return flaky(ctx) }}
		b := &scripted{d: &diary{}, name: "b", do: failing(errors.New("no"))}
		o := saga.Options{Observer: w, Random: func() float64 { return 0 }}
		saga.New(o).Run(t.Context(), newJournal(), plan([]saga.Step{a}, []saga.Step{b}))
		w.want(t, "entered running, "+
			"started prepare a, done prepare a after 0s, started do a, retrying do a in 200ms, done do a after 2.2s, "+
			"started prepare b, done prepare b after 0s, started do b, failed do b after 0s, entered rolling_back, "+
			"started undo b, done undo b after 0s, started undo a, done undo a after 0s, entered rolled_back")
	})
}
