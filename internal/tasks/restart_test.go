package tasks_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// leaveRunning makes a task that runs when its queue ends.
func leaveRunning(b *bed, kind model.TaskKind, how tasks.Kind) model.Task {
	b.t.Helper()
	g := newGate()
	var told error
	how.Handler = func(ctx context.Context, run *tasks.Run) (any, error) {
		g.begun <- run.Task.ID
		<-ctx.Done()
		told = context.Cause(ctx)
		return nil, told
	}
	q := b.start(tasks.Config{Kinds: kinds{kind: how}})
	one := q.submit(tasks.SubmitRequest{Kind: kind, Site: "a.example", Spec: "spec"})
	g.next(b.t)
	fatal(b.t, q.stop())
	if !errors.Is(told, tasks.ErrShutdown) {
		b.t.Fatalf("the handler was told %v", told)
	}
	if got := b.task(one.ID); got.State != model.TaskRunning {
		b.t.Fatalf("the task is left as %s", got.State)
	}
	return one
}

func TestRecovery(t *testing.T) {
	for _, c := range []struct {
		how     tasks.Recovery
		state   model.TaskState
		attempt int
		resumed bool
		log     string
	}{
		{tasks.Requeue, model.TaskSucceeded, 2, false, "begins again"},
		{tasks.Resume, model.TaskSucceeded, 2, true, "goes on"},
		{tasks.Fail, model.TaskFailed, 1, false, "restarted"},
	} {
		t.Run(c.log, func(t *testing.T) {
			b := newBed(t)
			one := leaveRunning(b, model.TaskRestore, tasks.Kind{Recovery: c.how})
			calls, resumed := 0, false
			m := b.make(tasks.Config{Kinds: kinds{model.TaskRestore: {Recovery: c.how, Handler: func(_ context.Context, run *tasks.Run) (any, error) {
				calls++
				resumed = run.Resumed
				return nil, nil
			}}}})
			_, err := m.Submit(t.Context(), tasks.SubmitRequest{Kind: model.TaskRestore, Site: "a.example"})
			wants(t, err, errs.Busy) // it holds its site although nobody works on it
			q := serve(t, m)
			got := q.ends(one.ID, c.state)
			if got.Attempt != c.attempt || calls != c.attempt-1 || resumed != c.resumed {
				t.Fatalf("attempt %d, calls %d, resumed %v", got.Attempt, calls, resumed)
			}
			if log := b.log(one.ID); !slices.ContainsFunc(log, func(l string) bool { return strings.Contains(l, c.log) }) {
				t.Fatalf("log %q", log)
			}
			if c.state == model.TaskFailed && (got.Hint == "" || !strings.Contains(got.Error, "restarted")) {
				t.Fatalf("error %q, hint %q", got.Error, got.Hint)
			}
			q.ends(q.submit(tasks.SubmitRequest{Kind: model.TaskRestore, Site: "a.example"}).ID, model.TaskSucceeded)
		})
	}
}

func TestCancelOutlivesARestart(t *testing.T) {
	for _, c := range []struct {
		how   tasks.Recovery
		calls int
	}{{tasks.Requeue, 0}, {tasks.Resume, 1}} {
		b := newBed(t)
		one := leaveRunning(b, model.TaskRestore, tasks.Kind{Recovery: c.how})
		_, err := b.cat.AskCancel(t.Context(), one.ID)
		fatal(t, err)
		calls := 0
		q := b.start(tasks.Config{Kinds: kinds{model.TaskRestore: {Recovery: c.how, Handler: func(ctx context.Context, run *tasks.Run) (any, error) {
			calls++
			if !run.Resumed || !errors.Is(context.Cause(ctx), tasks.ErrCancelled) {
				t.Errorf("resumed %v, cause %v", run.Resumed, context.Cause(ctx))
			}
			return nil, ctx.Err()
		}}}})
		q.ends(one.ID, model.TaskCancelled)
		if calls != c.calls {
			t.Errorf("recovery %d: %d calls", c.how, calls)
		}
	}
}

// TestWhatHasAJournalIsNotCancelledUnheard: it is told to undo, even if it
// only waits for its turn to go on.
func TestWhatHasAJournalIsNotCancelledUnheard(t *testing.T) {
	b, g := newBed(t), newGate()
	calls := 0
	q := b.start(tasks.Config{Kinds: kinds{
		model.TaskBackup: {Handler: g.handle},
		model.TaskRestore: {Recovery: tasks.Resume, Handler: func(ctx context.Context, run *tasks.Run) (any, error) {
			if calls++; calls == 1 {
				return nil, &tasks.NeedsOperator{Err: errPlain}
			}
			if !run.Resumed {
				t.Error("it does not go by its journal")
			}
			return nil, ctx.Err()
		}},
	}})
	one := q.submit(tasks.SubmitRequest{Kind: model.TaskRestore, Site: "a.example"})
	q.ends(one.ID, model.TaskNeedsOperator)
	q.submit(backupOf("a.example"))
	g.next(t)
	_, err := q.Again(t.Context(), one.ID, false)
	wants(t, err, errs.Busy)
	_, err = q.Again(t.Context(), one.ID, true)
	fatal(t, err)
	got, err := q.Cancel(t.Context(), one.ID, "alice")
	fatal(t, err)
	if got.State != model.TaskQueued {
		t.Fatalf("%+v", got)
	}
	g.let <- nil
	q.ends(one.ID, model.TaskCancelled)
	if calls != 2 {
		t.Fatalf("%d calls", calls)
	}
}

func TestQueuedTasksOutliveARestart(t *testing.T) {
	b := newBed(t)
	m := b.make(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: quick}, model.TaskVerify: {Handler: quick}}})
	var want []string
	for i := range 5 {
		one, err := m.Submit(t.Context(), waiting(backupOf(fmt.Sprintf("s%d.example", i%2))))
		fatal(t, err)
		want = append(want, one.ID)
	}
	foreign, err := m.Submit(t.Context(), tasks.SubmitRequest{Kind: model.TaskVerify, Site: "c.example"})
	fatal(t, err)

	g := newGate()
	q := b.start(tasks.Config{Limits: tasks.Limits{Total: 1}, Kinds: kinds{model.TaskBackup: {Handler: g.handle}}})
	for _, id := range want {
		if got := g.next(t); got != id {
			t.Fatalf("%s begins, want %s", got, id)
		}
		g.let <- nil
	}
	for _, id := range want {
		q.ends(id, model.TaskSucceeded)
	}
	if got := q.ends(foreign.ID, model.TaskFailed); got.ErrorKind != errs.Precondition.String() || got.Hint == "" {
		t.Fatalf("a task of a kind that is not there: %+v", got)
	}
}

func TestATaskThatEndsAtShutdownHasEnded(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		state model.TaskState
	}{
		"done": {nil, model.TaskSucceeded}, "cannot undo": {&tasks.NeedsOperator{Err: errPlain}, model.TaskNeedsOperator},
		"other error": {errPlain, model.TaskRunning},
	} {
		b := newBed(t)
		begun := make(chan bool, 1)
		q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: func(ctx context.Context, _ *tasks.Run) (any, error) {
			begun <- true
			<-ctx.Done()
			return nil, c.err
		}}}})
		one := q.submit(backupOf("a.example"))
		<-begun
		fatal(t, q.stop())
		if got := b.task(one.ID).State; got != c.state {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestAnUndoThatTheMasterInterrupts: a task was cancelled, or its handler
// panicked, and it undoes what it did when the master stops. It must go on
// undoing at the next start, not count as undone.
func TestAnUndoThatTheMasterInterrupts(t *testing.T) {
	for _, c := range []struct{ cancelled, panics bool }{{true, false}, {false, true}, {true, true}} {
		b := newBed(t)
		begun, undoing := make(chan bool, 2), make(chan bool, 1)
		calls := 0
		how := tasks.Kind{Recovery: tasks.Resume, Handler: func(ctx context.Context, run *tasks.Run) (any, error) {
			begun <- true
			if calls++; c.panics && calls == 1 {
				if c.cancelled {
					<-ctx.Done()
				}
				panic("half way")
			}
			<-ctx.Done()
			undoing <- true
			<-run.Stopping()
			return nil, fmt.Errorf("undo: %w", tasks.ErrShutdown)
		}}
		q := b.start(tasks.Config{Kinds: kinds{model.TaskRestore: how}})
		one := q.submit(tasks.SubmitRequest{Kind: model.TaskRestore, Site: "a.example"})
		<-begun
		if c.cancelled {
			_, err := q.Cancel(t.Context(), one.ID, "alice")
			fatal(t, err)
		}
		<-undoing
		fatal(t, q.stop())
		if got := b.task(one.ID).State; got != model.TaskRunning {
			t.Fatalf("%+v: the task is left as %s", c, got)
		}
		how.Handler = func(ctx context.Context, run *tasks.Run) (any, error) {
			if !run.Resumed {
				t.Error("it does not go by its journal")
			}
			return nil, context.Canceled
		}
		want := map[bool]model.TaskState{true: model.TaskCancelled, false: model.TaskFailed}[c.cancelled]
		b.start(tasks.Config{Kinds: kinds{model.TaskRestore: how}}).ends(one.ID, want)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t)
		let := make(chan bool)
		q := b.start(tasks.Config{Shutdown: 7 * time.Second, Kinds: kinds{model.TaskBackup: {Handler: func(context.Context, *tasks.Run) (any, error) {
			<-let
			return nil, nil
		}}}})
		q.submit(backupOf("a.example"))
		synctest.Wait()
		began := time.Now()
		if err := q.stop(); err == nil || !strings.Contains(err.Error(), "1 tasks") {
			t.Errorf("Serve gave %v", err)
		}
		if took := time.Since(began); took != 7*time.Second {
			t.Errorf("it took %s", took)
		}
		close(let)
		synctest.Wait()
	})
}

func TestAStuckSite(t *testing.T) {
	b := newBed(t)
	mended := false
	var resumed []bool
	both := make(chan bool) // closed when both are in the queue
	q := b.start(tasks.Config{Kinds: kinds{
		model.TaskBackup: {Handler: quick},
		model.TaskRestore: {Recovery: tasks.Resume, Handler: func(_ context.Context, run *tasks.Run) (any, error) {
			<-both
			resumed = append(resumed, run.Resumed)
			if !mended {
				return nil, &tasks.NeedsOperator{Err: errPlain, Commands: []string{"mv a b"}}
			}
			return nil, nil
		}},
	}})
	restore := tasks.SubmitRequest{Kind: model.TaskRestore, Site: "a.example", Queue: true}
	stuck, behind := q.submit(restore), q.submit(restore)
	close(both)
	q.ends(stuck.ID, model.TaskNeedsOperator)
	if got := q.ends(behind.ID, model.TaskFailed); got.ErrorKind != errs.Precondition.String() || !strings.Contains(got.Hint, stuck.ID) {
		t.Fatalf("the one behind it: %+v", got)
	}
	_, err := q.Submit(t.Context(), restore)
	wants(t, err, errs.Precondition)
	q.ends(q.submit(backupOf("a.example")).ID, model.TaskSucceeded)
	q.ends(q.submit(tasks.SubmitRequest{Kind: model.TaskRestore, Site: "b.example"}).ID, model.TaskNeedsOperator)

	mended = true
	again, err := q.Again(t.Context(), stuck.ID, false)
	fatal(t, err)
	if again.ID != stuck.ID || again.State != model.TaskQueued {
		t.Fatalf("%+v", again)
	}
	q.ends(stuck.ID, model.TaskSucceeded)
	q.ends(q.submit(restore).ID, model.TaskSucceeded)
	if !slices.Equal(resumed, []bool{false, false, true, false}) {
		t.Fatalf("resumed %v", resumed)
	}
}

// TestKill kills a process that works through a queue; the next one finishes
// every task that the first has acknowledged.
func TestKill(t *testing.T) {
	path := t.TempDir() + "/c.db"
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "TASKS_KILL="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	fatal(t, err)
	fatal(t, child.Start())
	var ids []string
	done := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word, id, _ := strings.Cut(lines.Text(), " ")
		if word == "submitted" {
			ids = append(ids, id)
		} else if done++; done == 10 {
			fatal(t, child.Process.Kill())
		}
	}
	_ = child.Wait() // it was killed
	if done < 10 || len(ids) < 30 {
		t.Fatalf("the child ended by itself: %d of %d done", done, len(ids))
	}
	c, err := catalogue.Open(t.Context(), path)
	fatal(t, err)
	defer c.Close()
	q := (&bed{t: t, cat: c}).start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: quick, Recovery: tasks.Requeue}}})
	again := 0
	for _, id := range ids {
		if q.ends(id, model.TaskSucceeded).Attempt > 1 {
			again++
		}
	}
	if again == 0 {
		t.Error("none was running when the process was killed: this proves nothing")
	}
	fatal(t, q.stop())
}

func TestMain(m *testing.M) {
	if path := os.Getenv("TASKS_KILL"); path != "" {
		workUntilKilled(path)
	}
	os.Exit(m.Run())
}

func workUntilKilled(path string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := catalogue.Open(ctx, path)
	if err != nil {
		panic(err)
	}
	m, err := tasks.New(tasks.Config{Catalogue: c, Limits: tasks.Limits{Total: 3}, Kinds: kinds{model.TaskBackup: {Handler: func(_ context.Context, run *tasks.Run) (any, error) {
		time.Sleep(20 * time.Millisecond)
		run.Info("done")
		fmt.Println("done", run.Task.ID)
		time.Sleep(5 * time.Millisecond)
		return nil, nil
	}}}})
	if err != nil {
		panic(err)
	}
	for i := range 40 {
		one, err := m.Submit(ctx, backupOf(fmt.Sprintf("s%d.example", i)))
		if err != nil {
			panic(err)
		}
		fmt.Println("submitted", one.ID)
	}
	fmt.Fprintln(os.Stderr, m.Serve(ctx))
	os.Exit(1)
}
