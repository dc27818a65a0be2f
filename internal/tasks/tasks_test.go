package tasks_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

func TestATaskFromStartToEnd(t *testing.T) {
	b := newBed(t)
	type spec struct{ Text string }
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: func(ctx context.Context, run *tasks.Run) (any, error) {
		var s spec
		if err := run.Spec(&s); err != nil {
			return nil, err
		}
		run.Info("got %s", s.Text)
		run.Progress("sending", 7, 9, 2)
		return map[string]string{"id": s.Text}, nil
	}}}})
	one := q.submit(tasks.SubmitRequest{Kind: model.TaskBackup, Site: "a.example", Spec: spec{"hello"}})
	if one.State != model.TaskQueued || one.ID == "" || one.CreatedAt.IsZero() {
		t.Fatalf("%+v", one)
	}
	got := q.ends(one.ID, model.TaskSucceeded)
	if string(got.Result) != `{"id":"hello"}` || got.Attempt != 1 || got.Error != "" || got.Progress != (model.Progress{Step: "sending", Done: 7, Total: 9, Files: 2}) {
		t.Fatalf("%+v", got)
	}
	if got.StartedAt.Before(got.CreatedAt) || got.FinishedAt.Before(got.StartedAt) {
		t.Fatalf("times %v %v %v", got.CreatedAt, got.StartedAt, got.FinishedAt)
	}
	if log := b.log(one.ID); !slices.Equal(log, []string{"got hello"}) {
		t.Fatalf("log %q", log)
	}
}

func TestOutcomes(t *testing.T) {
	unfit := func() {}
	for name, c := range map[string]struct {
		handler tasks.Handler
		state   model.TaskState
		kind    errs.Kind
		hint    string
		log     []string
	}{
		"warning": {handler: func(_ context.Context, run *tasks.Run) (any, error) {
			run.Warn("a file changed")
			return nil, nil
		}, state: model.TaskWarning, log: []string{"a file changed"}},
		"failure": {handler: func(context.Context, *tasks.Run) (any, error) {
			return nil, fmt.Errorf("backup: %w", errs.New(errs.NoSpace, "free room", "disk full"))
		}, state: model.TaskFailed, kind: errs.NoSpace, hint: "free room", log: []string{"backup: disk full"}},
		"failure after a warning": {handler: func(_ context.Context, run *tasks.Run) (any, error) {
			run.Warn("odd")
			return nil, errPlain
		}, state: model.TaskFailed, kind: errs.Failed, log: []string{"odd", "it broke"}},
		"cancelled, but nobody asked": {handler: func(context.Context, *tasks.Run) (any, error) {
			return nil, context.Canceled
		}, state: model.TaskFailed, kind: errs.Cancelled, log: []string{"context canceled"}},
		"needs an operator": {handler: func(context.Context, *tasks.Run) (any, error) {
			return nil, fmt.Errorf("restore: %w", &tasks.NeedsOperator{Err: errPlain, Commands: []string{"mv a b", "rm c"}})
		}, state: model.TaskNeedsOperator, kind: errs.Failed, hint: "run the commands", log: []string{"it broke", "run by hand: mv a b", "run by hand: rm c"}},
		"a result that is no JSON": {handler: func(context.Context, *tasks.Run) (any, error) {
			return unfit, nil
		}, state: model.TaskFailed, kind: errs.Failed, log: []string{"result of the task: json: unsupported type: func()"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: c.handler}}})
			got := q.ends(q.submit(backupOf("a.example")).ID, c.state)
			if c.state != model.TaskWarning && (got.Error == "" || got.ErrorKind != c.kind.String() || !strings.HasPrefix(got.Hint, c.hint) || (c.hint == "") != (got.Hint == "")) {
				t.Fatalf("error %q, kind %q, hint %q", got.Error, got.ErrorKind, got.Hint)
			}
			if log := b.log(got.ID); !slices.Equal(log, c.log) {
				t.Fatalf("log %q", log)
			}
		})
	}
}

func TestAPanicShowsItsStackToTheServerAlone(t *testing.T) {
	b := newBed(t)
	var out bytes.Buffer
	q := b.start(tasks.Config{
		Log: hclog.New(&hclog.LoggerOptions{Output: &out}),
		Kinds: kinds{model.TaskBackup: {Handler: func(context.Context, *tasks.Run) (any, error) {
			panic("secret detail")
		}}},
	})
	got := q.ends(q.submit(backupOf("a.example")).ID, model.TaskFailed)
	fatal(t, q.stop())
	shown := got.Error + strings.Join(b.log(got.ID), "\n")
	if strings.Contains(shown, "secret detail") || strings.Contains(shown, ".go:") {
		t.Fatalf("the operator sees %q", shown)
	}
	if !strings.Contains(out.String(), "secret detail") || !strings.Contains(out.String(), "tasks_test.go:") {
		t.Fatalf("the server's log has %q", out.String())
	}
}

func TestAPanicIsMended(t *testing.T) {
	for name, c := range map[string]struct {
		mend  func(ctx context.Context) error
		state model.TaskState
	}{
		"undone":         {func(ctx context.Context) error { return ctx.Err() }, model.TaskFailed},
		"had committed":  {func(context.Context) error { return nil }, model.TaskSucceeded},
		"cannot be done": {func(context.Context) error { return &tasks.NeedsOperator{Err: errPlain} }, model.TaskNeedsOperator},
		"panics again":   {func(context.Context) error { panic("again") }, model.TaskNeedsOperator},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			var calls []bool
			q := b.start(tasks.Config{Kinds: kinds{model.TaskRestore: {Recovery: tasks.Resume, Handler: func(ctx context.Context, run *tasks.Run) (any, error) {
				calls = append(calls, run.Resumed)
				if !run.Resumed {
					panic("half way")
				}
				if ctx.Err() == nil {
					t.Error("the call that mends is not told to stop")
				}
				return nil, c.mend(ctx)
			}}}})
			got := q.ends(q.submit(tasks.SubmitRequest{Kind: model.TaskRestore, Site: "a.example"}).ID, c.state)
			if !slices.Equal(calls, []bool{false, true}) {
				t.Fatalf("calls %v", calls)
			}
			if c.state == model.TaskFailed && !strings.Contains(got.Error, "mistake of the program") {
				t.Fatalf("error %q", got.Error)
			}
		})
	}
}

func TestBadRequests(t *testing.T) {
	b := newBed(t)
	m := b.make(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: quick}}})
	_, err := m.Submit(t.Context(), tasks.SubmitRequest{Kind: "nonsense"})
	wants(t, err, errs.Usage)
	if _, err := m.Submit(t.Context(), tasks.SubmitRequest{Kind: model.TaskBackup, Spec: func() {}}); err == nil {
		t.Fatal("a request that is no JSON passed")
	}
	_, err = m.Wait(t.Context(), "nothing")
	wants(t, err, errs.NotFound)
	_, err = m.Cancel(t.Context(), "nothing", "me")
	wants(t, err, errs.NotFound)
	_, err = m.Again(t.Context(), "nothing", false)
	wants(t, err, errs.NotFound)
	for name, cfg := range map[string]tasks.Config{
		"no handler":         {Catalogue: b.cat, Kinds: kinds{model.TaskBackup: {}}},
		"no catalogue":       {Kinds: kinds{model.TaskBackup: {Handler: quick}}},
		"journal and retry":  {Catalogue: b.cat, Kinds: kinds{model.TaskRestore: {Handler: quick, Recovery: tasks.Resume, Retry: again(time.Hour, time.Second, 0)}}},
		"nothing whatsoever": {},
	} {
		if _, err := tasks.New(cfg); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestTextsAreFitToBeShown(t *testing.T) {
	b := newBed(t)
	long := strings.Repeat("é", 10_000)
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: func(_ context.Context, run *tasks.Run) (any, error) {
		run.Info("a\xff\xfe\x1b[31mb\u009bc\ufffd\td")
		run.Info("%s", long)
		run.Progress("\x00", 0, 0, 0)
		return nil, fmt.Errorf("bad \xff")
	}}}})
	got := q.ends(q.submit(backupOf("")).ID, model.TaskFailed)
	log := b.log(got.ID)
	if want := `a\xff\xfe\x1b[31mb\x9bc` + "\ufffd\td"; log[0] != want {
		t.Fatalf("line %q, want %q", log[0], want)
	}
	if n := len(log[1]); n > 9<<10 || !strings.HasSuffix(log[1], "é…") {
		t.Fatalf("line of %d bytes", n)
	}
	if got.Error != `bad \xff` || got.Progress.Step != `\x00` {
		t.Fatalf("error %q, step %q", got.Error, got.Progress.Step)
	}
}
