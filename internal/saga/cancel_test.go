package saga_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sitekeep/sitekeep/internal/saga"
)

func TestCancelUndoesUnderALiveContext(t *testing.T) {
	d := &diary{}
	ctx, cancel := context.WithCancel(t.Context())
	a := &scripted{d: d, name: "a"}
	b := &scripted{d: d, name: "b", do: func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() }}
	o, err := saga.New(saga.Options{}).Run(ctx, newJournal(), plan([]saga.Step{a}, []saga.Step{b}))
	if o != saga.RolledBack || !errors.Is(err, context.Canceled) {
		t.Errorf("%s, %v", o, err)
	}
	d.want(t, "do a, do b, undo b, undo a")
}

func TestCancelInTheLastStepIsBeforeTheCommit(t *testing.T) {
	d := &diary{}
	ctx, cancel := context.WithCancel(t.Context())
	a := &scripted{d: d, name: "a", do: func(context.Context) error { cancel(); return nil }}
	o, err := saga.New(saga.Options{}).Run(ctx, newJournal(), plan([]saga.Step{a}))
	if o != saga.RolledBack || !errors.Is(err, context.Canceled) {
		t.Errorf("%s, %v", o, err)
	}
	d.want(t, "do a, undo a")
}

func TestNothingIsTriedAgainAfterACancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watcher{}
	a := &scripted{d: &diary{}, name: "a", do: func(context.Context) error { cancel(); return away() }}
	if o, err := saga.New(saga.Options{Observer: w}).Run(ctx, newJournal(), plan([]saga.Step{a})); o != saga.RolledBack {
		t.Errorf("%s, %v", o, err)
	}
	if strings.Contains(w.read(), "retrying") {
		t.Error(w.read())
	}
}

func TestUndoThatHangsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context) error { <-ctx.Done(); return errors.New("broken pipe") }
		a := &scripted{d: &diary{}, name: "a", do: failing(errors.New("no")), undo: hang}
		o, err := saga.New(saga.Options{ActTimeout: 3 * time.Minute}).Run(t.Context(), newJournal(), plan([]saga.Step{a}))
		if o != saga.Waiting {
			t.Errorf("%s, %v", o, err)
		}
	})
}

func TestRecoveryStopsWaitingWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, j := &diary{}, newJournal()
		a := &scripted{d: d, name: "a"}
		b := &scripted{d: d, name: "b", do: failing(errors.New("no")), undo: failing(away())}
		p := plan([]saga.Step{a}, []saga.Step{b})
		e := saga.New(saga.Options{})
		if o, err := e.Run(t.Context(), j, p); o != saga.Waiting {
			t.Fatalf("%s, %v", o, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		b.undo = func(ctx context.Context) error { cancel(); return ctx.Err() } // its own context lives on
		o, err := e.Recover(ctx, j, p)
		if o != saga.Waiting || !errors.Is(err, context.Canceled) {
			t.Errorf("%s, %v", o, err)
		}
		if strings.Contains(d.read(), "undo a") || !strings.Contains(kinds(t, j), "undone b") {
			t.Errorf("%s; %s", d.read(), kinds(t, j))
		}
		if o, err := e.Recover(t.Context(), j, p); o != saga.RolledBack || err != nil {
			t.Errorf("%s, %v", o, err)
		}
	})
}
