package tasks_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// bed is a catalogue that outlives the queues that run on it.
type bed struct {
	t   *testing.T
	cat *catalogue.Catalogue
}

func newBed(t *testing.T) *bed {
	t.Helper()
	c, err := catalogue.Open(context.Background(), filepath.Join(t.TempDir(), "c.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bed{t: t, cat: c}
}

type kinds map[model.TaskKind]tasks.Kind

// queue is a running Manager.
type queue struct {
	*tasks.Manager
	t    *testing.T
	stop func() error // ends Serve and waits for it; may be called again
}

// make makes a queue that does not run yet.
func (b *bed) make(cfg tasks.Config) *tasks.Manager {
	b.t.Helper()
	if cfg.Catalogue == nil {
		cfg.Catalogue = b.cat
	}
	m, err := tasks.New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// start runs a queue until the test ends or stop is called.
func (b *bed) start(cfg tasks.Config) *queue {
	b.t.Helper()
	return serve(b.t, b.make(cfg))
}

func serve(t *testing.T, m *tasks.Manager) *queue {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ctx) }()
	var once sync.Once
	var result error
	q := &queue{Manager: m, t: t, stop: func() error {
		once.Do(func() {
			cancel()
			result = <-ended
		})
		return result
	}}
	t.Cleanup(func() {
		if err := q.stop(); err != nil && !t.Failed() {
			t.Logf("Serve: %v", err)
		}
	})
	return q
}

func (q *queue) submit(r tasks.SubmitRequest) model.Task {
	q.t.Helper()
	t, err := q.Submit(context.Background(), r)
	fatal(q.t, err)
	return t
}

// ends waits for a task and checks its state.
func (q *queue) ends(id string, want model.TaskState) model.Task {
	q.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	t, err := q.Wait(ctx, id)
	fatal(q.t, err)
	if t.State != want {
		q.t.Fatalf("task ended as %s (%s), want %s", t.State, t.Error, want)
	}
	return t
}

func (b *bed) task(id string) model.Task {
	b.t.Helper()
	t, err := b.cat.Task(context.Background(), id)
	fatal(b.t, err)
	return t
}

// log returns the texts of a task's log.
func (b *bed) log(id string) (texts []string) {
	b.t.Helper()
	lines, err := b.cat.LogLines(context.Background(), id, 1, 1000)
	fatal(b.t, err)
	for _, l := range lines {
		texts = append(texts, l.Text)
	}
	return texts
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err error, kind errs.Kind) {
	t.Helper()
	if !errs.Is(err, kind) {
		t.Fatalf("error is %v (%s), want kind %s", err, errs.KindOf(err), kind)
	}
}

// quick does nothing, well.
func quick(context.Context, *tasks.Run) (any, error) { return nil, nil }

// untilTold runs until its context ends, and gives that as its error.
func untilTold(ctx context.Context, _ *tasks.Run) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// gate is a handler that says when it has begun, and waits to be let go.
type gate struct {
	begun chan string
	let   chan error
}

func newGate() *gate { return &gate{begun: make(chan string, 100), let: make(chan error, 100)} }

func (g *gate) handle(ctx context.Context, run *tasks.Run) (any, error) {
	g.begun <- run.Task.ID
	select {
	case err := <-g.let:
		return nil, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// next waits for a task to begin.
func (g *gate) next(t *testing.T) string {
	t.Helper()
	select {
	case id := <-g.begun:
		return id
	case <-time.After(20 * time.Second):
		t.Fatal("nothing begins")
		return ""
	}
}

// quiet fails if a task begins although it must not.
func (g *gate) quiet(t *testing.T) {
	t.Helper()
	select {
	case id := <-g.begun:
		t.Fatalf("task %s begins", id)
	case <-time.After(50 * time.Millisecond):
	}
}

var errPlain = errors.New("it broke")

func backupOf(site string) tasks.SubmitRequest {
	return tasks.SubmitRequest{Kind: model.TaskBackup, Site: site}
}

func waiting(r tasks.SubmitRequest) tasks.SubmitRequest {
	r.Queue = true
	return r
}
