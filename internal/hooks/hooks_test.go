package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/hooks"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

const soon = 20 * time.Second

// bed is a queue with one kind of task, and agents that write down what they are asked.
type bed struct {
	t    *testing.T
	cat  *catalogue.Catalogue
	mu   sync.Mutex
	log  []string                                                     // what happened, in its order
	fail map[string]error                                             // by server and event
	hook func(ctx context.Context, say func(hook, line string)) error // what every hook does; nil: nothing
}

func newBed(t *testing.T) *bed {
	t.Helper()
	c, err := catalogue.Open(context.Background(), filepath.Join(t.TempDir(), "c.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &bed{t: t, cat: c, fail: map[string]error{}}
}

func (b *bed) note(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, line)
}

func (b *bed) want(lines ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if diff := cmp.Diff(lines, b.log); diff != "" {
		b.t.Errorf("what happened (-want +got):\n%s", diff)
	}
	b.log = nil
}

// Web finds agents.
func (b *bed) Web(_ context.Context, server string) (hooks.Web, error) { return web{b, server}, nil }

type web struct {
	*bed
	server string
}

func (w web) RunHooks(ctx context.Context, site model.SiteRef, h model.Hook, say func(hook, line string)) error {
	w.note(strings.TrimSpace(strings.Join([]string{w.server, h.Event, site.Name, h.Backup, h.Outcome}, " ")))
	if err := w.fail[w.server+" "+h.Event]; err != nil || w.hook == nil {
		return err
	}
	return w.hook(ctx, say)
}

func (b *bed) kinds(kind model.TaskKind, k tasks.Kind) map[model.TaskKind]tasks.Kind {
	r := &hooks.Runner{
		Agents: b,
		Site: func(_ context.Context, t *model.Task) (model.Site, error) {
			if t.Site == "gone.example" {
				return model.Site{}, errs.New(errs.NotFound, "", "no site")
			}
			return model.Site{Name: t.Site, WebServers: []string{"web1", "web2"}}, nil
		},
		Backup: func(t *model.Task) string {
			var q struct{ Backup string }
			_ = json.Unmarshal(t.Spec, &q)
			return q.Backup
		},
	}
	inner := k.Handler
	k.Handler = func(ctx context.Context, t *tasks.Run) (any, error) {
		b.note("the task")
		return inner(ctx, t)
	}
	return r.Around(map[model.TaskKind]tasks.Kind{kind: k})
}

// serve runs a queue until stop, or the end of the test.
func (b *bed) serve(kind model.TaskKind, k tasks.Kind) (m *tasks.Manager, stop func()) {
	b.t.Helper()
	m, err := tasks.New(tasks.Config{Catalogue: b.cat, Kinds: b.kinds(kind, k)})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = m.Serve(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	b.t.Cleanup(stop)
	return m, stop
}

func (b *bed) submit(m *tasks.Manager, q tasks.SubmitRequest) string {
	b.t.Helper()
	if q.Site == "" {
		q.Site = "a.example"
	}
	t, err := m.Submit(context.Background(), q)
	if err != nil {
		b.t.Fatal(err)
	}
	return t.ID
}

func (b *bed) ends(m *tasks.Manager, id string, state model.TaskState) model.Task {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	t, err := m.Wait(ctx, id)
	if err != nil || t.State != state {
		b.t.Fatalf("the task ended as %s (%s), want %s; %v", t.State, t.Error, state, err)
	}
	return t
}

// run runs one task to its end.
func (b *bed) run(kind model.TaskKind, h tasks.Handler, q tasks.SubmitRequest, state model.TaskState) model.Task {
	b.t.Helper()
	m, stop := b.serve(kind, tasks.Kind{Handler: h})
	defer stop()
	q.Kind = kind
	return b.ends(m, b.submit(m, q), state)
}

func (b *bed) said(id string) (lines []string) {
	b.t.Helper()
	log, err := b.cat.LogLines(context.Background(), id, 1, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, l := range log {
		lines = append(lines, string(l.Level)+" "+l.Text)
	}
	return lines
}

type spec struct {
	Backup string
	DryRun bool
}

func gives(result any, err error) tasks.Handler {
	return func(context.Context, *tasks.Run) (any, error) { return result, err }
}

var errBroke = errors.New("it broke")

func TestHooksStandAroundATask(t *testing.T) {
	b := newBed(t)
	b.run(model.TaskRestore, gives(struct{}{}, nil), tasks.SubmitRequest{Spec: spec{Backup: "B1"}}, model.TaskSucceeded)
	b.want("web1 before-restore a.example B1", "web2 before-restore a.example B1", "the task",
		"web1 after-restore a.example B1 succeeded", "web2 after-restore a.example B1 succeeded")

	b.run(model.TaskBackup, gives(map[string]string{"backup": "B2"}, nil), tasks.SubmitRequest{}, model.TaskSucceeded)
	b.want("web1 before-backup a.example", "the task", "web1 after-backup a.example B2 succeeded")
}

func TestNoHooks(t *testing.T) {
	b := newBed(t)
	b.run(model.TaskCheck, gives(nil, nil), tasks.SubmitRequest{}, model.TaskSucceeded)
	b.want("the task")
	b.run(model.TaskVerify, gives(nil, nil), tasks.SubmitRequest{Spec: spec{DryRun: true}}, model.TaskSucceeded)
	b.want("the task")
	b.run(model.TaskVerify, gives(nil, errBroke), tasks.SubmitRequest{Site: "gone.example"}, model.TaskFailed)
	b.want("the task")
}

func TestAHookBeforeThatFailsFailsTheTask(t *testing.T) {
	b := newBed(t)
	b.fail["web2 before-restore"] = errs.New(errs.Failed, "look", "hook 10-x: exit status 3")
	got := b.run(model.TaskRestore, gives(nil, nil), tasks.SubmitRequest{}, model.TaskFailed)
	b.want("web1 before-restore a.example", "web2 before-restore a.example",
		"web1 after-restore a.example  failed", "web2 after-restore a.example  failed")
	if got.Error != "before-restore hooks on web2: hook 10-x: exit status 3" || got.Hint != "look" {
		t.Errorf("error %q, hint %q", got.Error, got.Hint)
	}
}

func TestAHookAfterThatFailsIsAWarning(t *testing.T) {
	b := newBed(t)
	b.fail["web1 after-restore"] = errs.New(errs.Failed, "look", "hook 10-x: exit status 3")
	got := b.run(model.TaskRestore, gives(map[string]int{"n": 7}, nil), tasks.SubmitRequest{}, model.TaskWarning)
	if string(got.Result) != `{"n":7}` || got.Error != "" {
		t.Errorf("result %s, error %q", got.Result, got.Error)
	}
	if said := b.said(got.ID); !slices.Contains(said, "warning after-restore hooks on web1: hook 10-x: exit status 3; look") {
		t.Errorf("said %q", said)
	}
	b.want("web1 before-restore a.example", "web2 before-restore a.example", "the task",
		"web1 after-restore a.example  succeeded", "web2 after-restore a.example  succeeded")
}

func TestHooksAreToldOfAFailure(t *testing.T) {
	b := newBed(t)
	b.fail["web1 after-backup"] = errs.New(errs.Unreachable, "", "web1 is away")
	got := b.run(model.TaskBackup, gives(nil, errBroke), tasks.SubmitRequest{}, model.TaskFailed)
	b.want("web1 before-backup a.example", "the task", "web1 after-backup a.example  failed")
	if said := b.said(got.ID); got.Error != "it broke" || slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "warning") }) {
		t.Errorf("error %q, said %q", got.Error, said)
	}
	b.run(model.TaskRestore, gives(nil, &tasks.NeedsOperator{Err: errBroke}), tasks.SubmitRequest{}, model.TaskNeedsOperator)
	b.want("web1 before-restore a.example", "web2 before-restore a.example", "the task")
}

func TestAServerThatIsAway(t *testing.T) {
	b := newBed(t)
	away := errs.New(errs.Unreachable, "", "web1 is away")
	b.fail["web1 before-verify"], b.fail["web1 before-restore"] = away, away
	b.run(model.TaskVerify, gives(nil, nil), tasks.SubmitRequest{}, model.TaskWarning)
	b.want("web1 before-verify a.example", "web2 before-verify a.example", "the task",
		"web1 after-verify a.example  succeeded", "web2 after-verify a.example  succeeded")
	got := b.run(model.TaskRestore, gives(nil, nil), tasks.SubmitRequest{}, model.TaskFailed)
	if got.ErrorKind != errs.Unreachable.String() {
		t.Errorf("kind %s", got.ErrorKind)
	}
}

// Of an agent that is away a task says so once, and not what it would have been asked.
func TestAServerThatIsAwayIsSaidOnce(t *testing.T) {
	b := newBed(t)
	away := errs.New(errs.Unreachable, "", "web1 is away")
	b.fail["web1 before-backup"], b.fail["web1 after-backup"] = away, away
	got := b.run(model.TaskBackup, gives(nil, nil), tasks.SubmitRequest{}, model.TaskFailed)
	if said := b.said(got.ID); got.Error != "web1 is away" || !slices.Equal(said, []string{"error web1 is away"}) {
		t.Errorf("error %q, said %q", got.Error, said)
	}
}

// TestHooksAfterACancel are not cancelled too.
func TestHooksAfterACancel(t *testing.T) {
	b := newBed(t)
	begun := make(chan struct{})
	m, _ := b.serve(model.TaskRestore, tasks.Kind{Handler: func(ctx context.Context, _ *tasks.Run) (any, error) {
		close(begun)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	b.hook = func(ctx context.Context, say func(hook, line string)) error {
		say("x/y", "\x1b[31mred\xff")
		return ctx.Err()
	}
	id := b.submit(m, tasks.SubmitRequest{Kind: model.TaskRestore})
	<-begun
	if _, err := m.Cancel(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	b.ends(m, id, model.TaskCancelled)
	b.want("web1 before-restore a.example", "web2 before-restore a.example", "the task",
		"web1 after-restore a.example  cancelled", "web2 after-restore a.example  cancelled")
	said := b.said(id)
	if !slices.Contains(said, `info hook x/y on web2: \x1b[31mred\xff`) || strings.Contains(strings.Join(said, "\n"), "hooks on web") {
		t.Errorf("said %q", said)
	}
}

// TestACancelEndsTheHook that runs before a task.
func TestACancelEndsTheHook(t *testing.T) {
	b := newBed(t)
	begun := make(chan struct{}, 9)
	b.hook = func(ctx context.Context, _ func(hook, line string)) error {
		begun <- struct{}{}
		<-ctx.Done()
		b.note("ended")
		return ctx.Err()
	}
	m, stop := b.serve(model.TaskRestore, tasks.Kind{Handler: gives(nil, nil)})
	id := b.submit(m, tasks.SubmitRequest{Kind: model.TaskRestore})
	<-begun
	if _, err := m.Cancel(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	<-begun // the one after it, which the end of the master ends
	stop()
	b.want("web1 before-restore a.example", "ended", "web1 after-restore a.example  cancelled", "ended",
		"web2 after-restore a.example  cancelled", "ended")
}

// TestARestart: hooks before a task that is gone on with have run, those after it have not.
func TestARestart(t *testing.T) {
	b := newBed(t)
	begun := make(chan struct{})
	m, stop := b.serve(model.TaskRestore, tasks.Kind{Recovery: tasks.Resume, Handler: func(ctx context.Context, _ *tasks.Run) (any, error) {
		close(begun)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	id := b.submit(m, tasks.SubmitRequest{Kind: model.TaskRestore, Spec: spec{Backup: "B1"}})
	<-begun
	stop()
	b.want("web1 before-restore a.example B1", "web2 before-restore a.example B1", "the task")
	m, _ = b.serve(model.TaskRestore, tasks.Kind{Recovery: tasks.Resume, Handler: gives(nil, nil)})
	b.ends(m, id, model.TaskSucceeded)
	b.want("the task", "web1 after-restore a.example B1 succeeded", "web2 after-restore a.example B1 succeeded")
}
