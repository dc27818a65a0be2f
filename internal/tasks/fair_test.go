package tasks_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// TestOwnersTakeTurns: one owner's hundred tasks do not keep another's single one waiting.
func TestOwnersTakeTurns(t *testing.T) {
	b, g := newBed(t), newGate()
	q := b.make(tasks.Config{
		Kinds:  kinds{model.TaskBackup: {Handler: g.handle}},
		Limits: tasks.Limits{Total: 2},
		Owner:  func(_ context.Context, task model.Task) string { return task.Site[:1] },
	})
	var big []string
	for i := range 6 {
		task, err := q.Submit(t.Context(), backupOf(fmt.Sprintf("big%d.example", i)))
		if err != nil {
			t.Fatal(err)
		}
		big = append(big, task.ID)
	}
	small, err := q.Submit(t.Context(), backupOf("small.example"))
	if err != nil {
		t.Fatal(err)
	}
	serve(t, q)
	begun := map[string]bool{g.next(t): true, g.next(t): true}
	if !begun[big[0]] || !begun[small.ID] {
		t.Errorf("%v begin first", begun)
	}
	for range 7 {
		g.let <- nil
	}
	for range 5 {
		g.next(t)
	}
}

// TestUrgency: within a kind, what is urgent goes before what was asked for earlier.
func TestUrgency(t *testing.T) {
	b, g := newBed(t), newGate()
	q := b.make(tasks.Config{
		Kinds:  kinds{model.TaskBackup: {Handler: g.handle}},
		Limits: tasks.Limits{Total: 1},
		Urgency: func(task model.Task) int {
			if task.Site == "now.example" {
				return 1
			}
			return 0
		},
	})
	var ids []string
	for _, site := range []string{"a.example", "now.example"} {
		task, err := q.Submit(t.Context(), backupOf(site))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, task.ID)
	}
	serve(t, q)
	for _, want := range []string{ids[1], ids[0]} {
		if got := g.next(t); got != want {
			t.Errorf("%s begins, want %s", got, want)
		}
		g.let <- nil
	}
}

// TestOfEqualTasksThatWaitOneIsEnough only for kinds that say so, and not with one that has begun.
func TestOfEqualTasksThatWaitOneIsEnough(t *testing.T) {
	b, g := newBed(t), newGate()
	q := b.start(tasks.Config{Kinds: kinds{model.TaskBackup: {Handler: g.handle, Once: true}, model.TaskVerify: {Handler: g.handle}}})
	ask := func(kind model.TaskKind, spec string) string {
		return q.submit(tasks.SubmitRequest{Kind: kind, Site: "a.example", Spec: spec, Queue: true}).ID
	}
	running := ask(model.TaskBackup, "x")
	g.next(t)
	second, again, other := ask(model.TaskBackup, "x"), ask(model.TaskBackup, "x"), ask(model.TaskBackup, "y")
	verify, verifyAgain := ask(model.TaskVerify, "x"), ask(model.TaskVerify, "x")
	if second == running || again != second || other == second || verify == verifyAgain {
		t.Errorf("%s runs; then %s, %s, %s; %s, %s", running, second, again, other, verify, verifyAgain)
	}
	if _, err := q.Cancel(t.Context(), second, "a test"); err != nil {
		t.Fatal(err)
	}
	if after := ask(model.TaskBackup, "x"); after == second {
		t.Error("a cancelled task stands for a new one")
	}
	for range 5 {
		g.let <- nil
	}
	for range 4 {
		g.next(t)
	}
}
