package tasks_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

func TestASiteThatIsHeld(t *testing.T) {
	b, g := newBed(t), newGate()
	q := b.start(tasks.Config{Kinds: kinds{
		model.TaskBackup: {Handler: g.handle}, model.TaskVerify: {Handler: quick}, model.TaskCheck: {Handler: quick, Reads: true},
	}})
	first := q.submit(backupOf("a.example"))
	g.next(t)
	for _, kind := range []model.TaskKind{model.TaskBackup, model.TaskVerify} {
		_, err := q.Submit(t.Context(), tasks.SubmitRequest{Kind: kind, Site: "a.example"})
		wants(t, err, errs.Busy)
		if !strings.Contains(err.Error(), first.ID) || !strings.Contains(errs.HintOf(err), "sitekeep task log -f "+first.ID) || !strings.Contains(errs.HintOf(err), "--queue") {
			t.Fatalf("error %q, hint %q", err, errs.HintOf(err))
		}
	}
	q.ends(q.submit(tasks.SubmitRequest{Kind: model.TaskCheck, Site: "a.example"}).ID, model.TaskSucceeded)
	q.ends(q.submit(tasks.SubmitRequest{Kind: model.TaskVerify, Site: "b.example"}).ID, model.TaskSucceeded)
	q.ends(q.submit(tasks.SubmitRequest{Kind: model.TaskVerify}).ID, model.TaskSucceeded)
	var rest []string
	for range 3 {
		rest = append(rest, q.submit(waiting(backupOf("a.example"))).ID)
	}
	g.quiet(t)
	for _, id := range rest {
		g.let <- nil
		if got := g.next(t); got != id {
			t.Fatalf("%s begins before %s", got, id)
		}
		g.quiet(t)
	}
	g.let <- nil
	q.ends(rest[2], model.TaskSucceeded)
	q.ends(q.submit(tasks.SubmitRequest{Kind: model.TaskVerify, Site: "a.example"}).ID, model.TaskSucceeded)
}

func TestOfManyOneGetsTheSite(t *testing.T) {
	b, g := newBed(t), newGate()
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: g.handle}}})
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, err := q.Submit(context.Background(), backupOf("a.example"))
			if err == nil {
				won.Add(1)
			} else if !errs.Is(err, errs.Busy) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d have the site", won.Load())
	}
	g.next(t)
	g.quiet(t)
	g.let <- nil
}

// TestNeverTwoOnASite runs many tasks on few sites and counts inside the handlers.
func TestNeverTwoOnASite(t *testing.T) {
	b := newBed(t)
	var mu sync.Mutex
	busy, most := map[string]int{}, 0
	total := 0
	met, together := make(chan struct{}), sync.Once{}
	var trouble bytes.Buffer // the schema would refuse a second writer too, but it must not come to that
	q := b.start(tasks.Config{Log: hclog.New(&hclog.LoggerOptions{Output: &trouble}), Limits: tasks.Limits{Total: 4}, Kinds: kinds{model.TaskBackup: {Handler: func(_ context.Context, run *tasks.Run) (any, error) {
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			busy[run.Task.Site] += n
			total += n
			most = max(most, total)
			if busy[run.Task.Site] > 1 {
				t.Errorf("two tasks on %s", run.Task.Site)
			}
			if total == 2 {
				together.Do(func() { close(met) })
			}
		}
		count(1)
		select { // nobody is done before there are two
		case <-met:
		case <-t.Context().Done():
		}
		run.Info("working")
		count(-1)
		return nil, nil
	}}}})
	var ids []string
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			one, err := q.Submit(context.Background(), waiting(backupOf(fmt.Sprintf("s%d.example", i%7))))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			ids = append(ids, one.ID)
		})
	}
	wg.Wait()
	for _, id := range ids {
		q.ends(id, model.TaskSucceeded)
	}
	fatal(t, q.stop())
	if most < 2 || most > 4 || trouble.Len() > 0 {
		t.Fatalf("%d tasks at once, with a limit of 4; %s", most, &trouble)
	}
}

func TestLimitsByKey(t *testing.T) {
	b, g := newBed(t), newGate()
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: g.handle}}, Limits: tasks.Limits{
		Keys:   func(_ context.Context, one model.Task) []string { k := one.Site[:1]; return []string{k, "all", k} },
		PerKey: func(key string) int { return map[string]int{"a": 2, "all": 4}[key] },
	}})
	var as, bs []string
	for i := range 4 {
		as = append(as, q.submit(backupOf(fmt.Sprintf("a%d.example", i))).ID)
	}
	for i := range 4 {
		bs = append(bs, q.submit(backupOf(fmt.Sprintf("b%d.example", i))).ID)
	}
	got := []string{g.next(t), g.next(t), g.next(t), g.next(t)}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(append(slices.Clone(as[:2]), bs[:2]...)))
	if !slices.Equal(got, want) { // the a's that wait hold up no b
		t.Fatalf("begun %v, want %v", got, want)
	}
	g.quiet(t)
	for range 4 {
		g.let <- nil
		g.next(t)
	}
	for range 4 {
		g.let <- nil
	}
	for _, id := range append(as, bs...) {
		q.ends(id, model.TaskSucceeded)
	}
}

func TestPriorities(t *testing.T) {
	b, g := newBed(t), newGate()
	q := b.start(tasks.Config{Limits: tasks.Limits{Total: 1}, Kinds: kinds{
		model.TaskBackup: {Handler: g.handle}, model.TaskRestore: {Handler: g.handle, Priority: 10}, model.TaskDelete: {Handler: g.handle, Priority: -1},
	}})
	first := q.submit(backupOf("first.example")).ID
	if got := g.next(t); got != first {
		t.Fatal(got)
	}
	submit := func(kind model.TaskKind, site string) string {
		return q.submit(tasks.SubmitRequest{Kind: kind, Site: site}).ID
	}
	low := submit(model.TaskDelete, "a.example")
	mid1, mid2 := submit(model.TaskBackup, "b.example"), submit(model.TaskBackup, "c.example")
	high := submit(model.TaskRestore, "d.example")
	for _, want := range []string{high, mid1, mid2, low} {
		g.let <- nil
		if got := g.next(t); got != want {
			t.Fatalf("%s begins, want %s", got, want)
		}
	}
	g.let <- nil
	q.ends(low, model.TaskSucceeded)
}

func TestCancelOfAQueuedTask(t *testing.T) {
	b, g := newBed(t), newGate()
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: g.handle}}})
	first := q.submit(backupOf("a.example"))
	g.next(t)
	second, third := q.submit(waiting(backupOf("a.example"))), q.submit(waiting(backupOf("a.example")))
	got, err := q.Cancel(t.Context(), second.ID, "alice")
	fatal(t, err)
	if got.State != model.TaskCancelled || !got.CancelAsked || got.FinishedAt.IsZero() {
		t.Fatalf("%+v", got)
	}
	stored := b.task(second.ID)
	if stored.State != model.TaskCancelled || !strings.Contains(stored.Error, "alice") || !stored.StartedAt.IsZero() {
		t.Fatalf("%+v", stored)
	}
	_, err = q.Cancel(t.Context(), second.ID, "alice")
	wants(t, err, errs.Precondition)
	g.let <- nil
	if id := g.next(t); id != third.ID {
		t.Fatalf("%s begins", id)
	}
	g.let <- nil
	q.ends(first.ID, model.TaskSucceeded)
	q.ends(third.ID, model.TaskSucceeded)
}

func TestCancelOfARunningTask(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(ctx context.Context) error
		state  model.TaskState
		text   string
	}{
		"gives way":           {func(ctx context.Context) error { return fmt.Errorf("send: %w", ctx.Err()) }, model.TaskCancelled, "cancelled by alice"},
		"gives the cause":     {context.Cause, model.TaskCancelled, "cancelled by alice"},
		"is done anyway":      {func(context.Context) error { return nil }, model.TaskSucceeded, ""},
		"cannot undo":         {func(context.Context) error { return &tasks.NeedsOperator{Err: errPlain} }, model.TaskNeedsOperator, "it broke"},
		"fails for other":     {func(context.Context) error { return errPlain }, model.TaskFailed, "it broke"},
		"temporary, no retry": {func(context.Context) error { return errs.New(errs.Unreachable, "", "away") }, model.TaskFailed, "away"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			begun := make(chan error, 9)
			q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Retry: again(time.Hour, time.Second, 0), Handler: func(ctx context.Context, _ *tasks.Run) (any, error) {
				begun <- nil
				<-ctx.Done()
				begun <- context.Cause(ctx)
				return nil, c.answer(ctx)
			}}}})
			one := q.submit(backupOf("a.example"))
			<-begun
			_, err := q.Cancel(t.Context(), one.ID, "alice")
			fatal(t, err)
			got := q.ends(one.ID, c.state)
			if !strings.Contains(got.Error, c.text) || !got.CancelAsked || got.Attempt != 1 {
				t.Fatalf("%+v", got)
			}
			cause := <-begun
			wants(t, cause, errs.Cancelled)
			if !strings.Contains(cause.Error(), "alice") || !slices.Contains(b.log(one.ID), "cancelled by alice") {
				t.Fatalf("cause %v, log %q", cause, b.log(one.ID))
			}
		})
	}
}

// TestCancelAtAnyMoment cancels tasks at random points of their way: each ends
// as cancelled, and none is lost in between.
func TestCancelAtAnyMoment(t *testing.T) {
	b := newBed(t)
	q := b.start(tasks.Config{Limits: tasks.Limits{Total: 2}, Kinds: kinds{model.TaskBackup: {Handler: untilTold}}})
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			one, err := q.Submit(context.Background(), waiting(backupOf("a.example")))
			if err == nil {
				_, err = q.Cancel(context.Background(), one.ID, "alice")
			}
			if err == nil {
				one, err = q.Wait(context.Background(), one.ID)
			}
			if err != nil || one.State != model.TaskCancelled {
				t.Errorf("%s %v", one.State, err)
			}
		})
	}
	wg.Wait()
}

func TestAgain(t *testing.T) {
	b := newBed(t)
	var fail atomic.Bool
	fail.Store(true)
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: func(_ context.Context, run *tasks.Run) (any, error) {
		var text string
		if err := run.Spec(&text); err != nil || fail.Load() {
			return nil, fmt.Errorf("%q: %w", text, errPlain)
		}
		return text, nil
	}}}})
	one := q.submit(tasks.SubmitRequest{Kind: model.TaskBackup, Site: "a.example", Spec: "hello"})
	q.ends(one.ID, model.TaskFailed)
	fail.Store(false)
	again, err := q.Again(t.Context(), one.ID, false)
	fatal(t, err)
	if again.ID == one.ID {
		t.Fatal("the ended task was changed")
	}
	if got := q.ends(again.ID, model.TaskSucceeded); string(got.Result) != `"hello"` {
		t.Fatalf("%s", got.Result)
	}
}
