package catalogue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

func TestTaskRoundTrip(t *testing.T) {
	c := open(t)
	one := task("t1", "a.example")
	addTask(t, c, one)
	same(t, must(c.Task(t.Context(), "t1"))(t), one)
	_, err := c.AddTask(t.Context(), one, false, true)
	wants(t, err, errs.Exists)
	_, err = c.Task(t.Context(), "t2")
	wants(t, err, errs.NotFound)

	one.Progress = model.Progress{Step: "sending", Done: 1, Total: 2, Files: 3}
	ok(t, c.SetProgress(t.Context(), "t1", one.Progress))
	one.CancelAsked = true
	same(t, must(c.AskCancel(t.Context(), "t1"))(t), one)
	one.State, one.Result, one.Error, one.ErrorKind, one.Hint = model.TaskFailed, []byte(`{}`), "e", "failed", "h"
	one.Attempt, one.StartedAt, one.FinishedAt = 2, epoch.Add(time.Second), epoch.Add(time.Minute)
	if !must(c.MoveTask(t.Context(), one, model.TaskQueued))(t) {
		t.Fatal("did not move")
	}
	same(t, must(c.Task(t.Context(), "t1"))(t), one)
	if must(c.MoveTask(t.Context(), one, model.TaskRunning))(t) {
		t.Fatal("moved from a state that it did not have")
	}
}

func TestOneHolderASite(t *testing.T) {
	c := open(t)
	holders := make([]string, 16)
	failed := race(16, func(i int) (err error) {
		holders[i], err = c.AddTask(t.Context(), task(fmt.Sprintf("t%02d", i), "a.example"), true, false)
		return err
	})
	if n := succeeded(failed); n != 16 {
		t.Fatal(failed)
	}
	unfinished := must(c.UnfinishedTasks(t.Context()))(t)
	if len(unfinished) != 1 {
		t.Fatalf("%d tasks hold the site", len(unfinished))
	}
	for i, holder := range holders {
		if won := unfinished[0].ID == fmt.Sprintf("t%02d", i); won != (holder == "") || (!won && holder != unfinished[0].ID) {
			t.Fatalf("task %d was told that %q holds the site", i, holder)
		}
	}
	same(t, must(c.AddTask(t.Context(), task("reader", "a.example"), false, false))(t), "")
	same(t, must(c.AddTask(t.Context(), task("waiter", "a.example"), true, true))(t), "")
	same(t, must(c.AddTask(t.Context(), task("elsewhere", "b.example"), true, false))(t), "")
	same(t, must(c.AddTask(t.Context(), task("siteless1", ""), true, false))(t), "")
	same(t, must(c.AddTask(t.Context(), task("siteless2", ""), true, false))(t), "")
}

func TestTheSchemaAllowsOneRunningWriterASite(t *testing.T) {
	c := open(t)
	for _, id := range []string{"t1", "t2"} {
		addTask(t, c, task(id, "a.example"))
	}
	must(c.AddTask(t.Context(), task("reader", "a.example"), false, true))(t)
	move(t, c, "t1", model.TaskRunning, time.Time{})
	move(t, c, "reader", model.TaskRunning, time.Time{})
	second := must(c.Task(t.Context(), "t2"))(t)
	second.State = model.TaskRunning
	if _, err := c.MoveTask(t.Context(), second, model.TaskQueued); err == nil {
		t.Fatal("two writers run on one site")
	}
	move(t, c, "t1", model.TaskSucceeded, epoch)
	move(t, c, "t2", model.TaskRunning, time.Time{})
}

func TestARunningTaskIsNamedBeforeAQueuedOne(t *testing.T) {
	c := open(t)
	addTask(t, c, task("first", "a.example"))
	addTask(t, c, task("second", "a.example"))
	move(t, c, "second", model.TaskRunning, time.Time{})
	same(t, must(c.AddTask(t.Context(), task("third", "a.example"), true, false))(t), "second")
}

func TestTaskLists(t *testing.T) {
	a := site("a.example")
	a.Client = "acme"
	c := withSites(t, a, site("b.example"))
	for i := range 10 {
		addTask(t, c, task(fmt.Sprintf("x%d", 9-i), []string{"a.example", "b.example"}[i%2])) // ids run against the order
	}
	move(t, c, "x9", model.TaskRunning, time.Time{})
	move(t, c, "x9", model.TaskWarning, epoch)
	ids := func(f catalogue.TaskFilter) (got []string) {
		f.Limit = 3
		for first := true; first || f.After != ""; first = false {
			page, next, err := c.Tasks(t.Context(), f)
			ok(t, err)
			for _, one := range page {
				got = append(got, one.ID)
			}
			f.After = next
		}
		return got
	}
	same(t, ids(catalogue.TaskFilter{}), []string{"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9"})
	same(t, ids(catalogue.TaskFilter{Site: "a.example"}), []string{"x1", "x3", "x5", "x7", "x9"})
	same(t, ids(catalogue.TaskFilter{Client: "acme"}), []string{"x1", "x3", "x5", "x7", "x9"})
	same(t, ids(catalogue.TaskFilter{States: []model.TaskState{model.TaskWarning, model.TaskFailed}}), []string{"x9"})
	if n := len(must(c.UnfinishedTasks(t.Context()))(t)); n != 9 {
		t.Fatalf("%d unfinished", n)
	}
	_, _, err := c.Tasks(t.Context(), catalogue.TaskFilter{After: "nonsense"})
	wants(t, err, errs.Usage)
}

func TestLogLines(t *testing.T) {
	c := open(t)
	failed := race(40, func(i int) error {
		_, err := c.AppendLog(t.Context(), fmt.Sprintf("t%d", i%2), epoch, model.LevelWarn, fmt.Sprint(i))
		return err
	})
	if n := succeeded(failed); n != 40 {
		t.Fatal(failed)
	}
	lines := must(c.LogLines(t.Context(), "t1", 1, 1000))(t)
	if len(lines) != 20 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, l := range lines {
		if l.Seq != int64(i+1) || !l.Time.Equal(epoch) || l.Level != model.LevelWarn {
			t.Fatalf("line %d is %+v", i, l)
		}
	}
	same(t, must(c.LogLines(t.Context(), "t1", 18, 2))(t), lines[17:19])
	same(t, must(c.LogLines(t.Context(), "t1", 21, 2))(t), []model.LogLine(nil))
}

func TestCancelOfAnEndedTaskIsNotNoted(t *testing.T) {
	c := open(t)
	addTask(t, c, task("t1", ""))
	move(t, c, "t1", model.TaskFailed, epoch)
	if got := must(c.AskCancel(t.Context(), "t1"))(t); got.CancelAsked || got.State != model.TaskFailed {
		t.Fatalf("%+v", got)
	}
	_, err := c.AskCancel(t.Context(), "t2")
	wants(t, err, errs.NotFound)
}

func TestStuckTask(t *testing.T) {
	c := open(t)
	for _, id := range []string{"t1", "t2"} {
		addTask(t, c, task(id, "a.example"))
	}
	same(t, must(c.StuckTask(t.Context(), "a.example"))(t), "")
	move(t, c, "t2", model.TaskNeedsOperator, epoch)
	same(t, must(c.StuckTask(t.Context(), "a.example"))(t), "t2")
	same(t, must(c.StuckTask(t.Context(), "b.example"))(t), "")
}

func TestPurge(t *testing.T) {
	c := withSites(t, site("a.example"))
	ended := func(id string, state model.TaskState, at time.Time) {
		addTask(t, c, task(id, ""))
		must(c.AppendLog(t.Context(), id, epoch, model.LevelInfo, "line"))(t)
		ok(t, c.AppendJournal(t.Context(), id, []byte("record")))
		if state != model.TaskQueued {
			move(t, c, id, state, at)
		}
	}
	var many []model.Task // more than one batch
	for i := range 1100 {
		one := task(fmt.Sprintf("old%d", i), "")
		one.State, one.FinishedAt = model.TaskFailed, epoch
		many = append(many, one)
	}
	ok(t, c.Bulk(t.Context(), nil, nil, many))
	ended("old", model.TaskSucceeded, epoch)
	ended("young", model.TaskSucceeded, epoch.Add(time.Hour))
	ended("stuck", model.TaskNeedsOperator, epoch)
	ended("waits", model.TaskQueued, epoch)
	ended("graced", model.TaskSucceeded, epoch)
	ok(t, c.CommitRestore(t.Context(), catalogue.RestoreCommit{TaskID: "graced", Site: "a.example", Old: site("a.example").Database,
		New: site("a.example").Database, Record: []byte("committed"), Grace: &catalogue.Grace{TaskID: "graced", Site: "a.example", Due: epoch, State: catalogue.GraceWaiting}}))

	limit := epoch.Add(time.Minute)
	same(t, must(c.PurgeTasks(t.Context(), limit))(t), int64(1101))
	page, _, err := c.Tasks(t.Context(), catalogue.TaskFilter{})
	ok(t, err)
	var left []string
	for _, one := range page {
		left = append(left, one.ID)
	}
	same(t, left, []string{"graced", "waits", "stuck", "young"})
	if n := len(must(c.JournalRecords(t.Context(), "old"))(t)) + len(must(c.LogLines(t.Context(), "old", 1, 10))(t)); n != 0 {
		t.Fatalf("%d records and lines of a task that is forgotten", n)
	}
	same(t, must(c.PurgeLogs(t.Context(), limit))(t), int64(1))
	for id, want := range map[string]int{"graced": 0, "waits": 1, "stuck": 1, "young": 1} {
		if got := len(must(c.LogLines(t.Context(), id, 1, 10))(t)); got != want {
			t.Errorf("task %s has %d lines, want %d", id, got, want)
		}
	}
	same(t, len(must(c.JournalRecords(t.Context(), "graced"))(t)), 2)
}
