package catalogue_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// TestStandings: each site has one thing wrong, and the worst comes first.
func TestStandings(t *testing.T) {
	c := open(t)
	addServers(t, c, "web1", "web2", "db1", "db2")
	stale := epoch.Add(-8 * 24 * time.Hour)
	one := func(name string, at time.Time, origin model.Origin, states ...model.TaskState) {
		t.Helper()
		s := site(name)
		s.Client, s.Aliases, s.Disabled = "Acme", []string{"alias." + name}, name == "disabled.example"
		ok(t, c.CreateSite(t.Context(), s))
		if !at.IsZero() {
			b := backup(name, 1)
			b.ID, b.CreatedAt, b.Origin = model.BackupID(name, at, 0), at, origin
			ok(t, c.InsertBackup(t.Context(), b))
		}
		for i, state := range states {
			id := fmt.Sprintf("%s-%d", name, i)
			must(c.AddTask(t.Context(), task(id, name), false, false))(t)
			moved := model.Task{ID: id, State: state}
			if state != model.TaskRunning {
				moved.FinishedAt = epoch
			}
			must(c.MoveTask(t.Context(), moved, model.TaskQueued))(t)
		}
	}
	one("fine.example", epoch, model.OriginManual, model.TaskFailed, model.TaskSucceeded)
	one("again.example", epoch, model.OriginManual, model.TaskFailed, model.TaskRunning)
	one("stale.example", stale.Add(-time.Second), model.OriginScheduled)
	one("exact.example", stale, model.OriginScheduled)
	one("safety.example", epoch, model.OriginSafety)
	one("damaged.example", epoch, model.OriginManual)
	one("disabled.example", time.Time{}, "", model.TaskFailed)
	one("stuck.example", epoch, model.OriginManual, model.TaskNeedsOperator, model.TaskSucceeded)
	one("undrilled.example", stale.Add(-time.Second), model.OriginManual, model.TaskSucceeded)
	for name, problem := range map[string]string{"fine.example": "", "undrilled.example": "2 tables lack rows"} {
		ok(t, c.RecordDrill(t.Context(), model.Drill{Site: name, Backup: name + "-1", At: epoch, Problem: problem}))
	}
	ok(t, c.MarkChecked(t.Context(), model.BackupID("damaged.example", epoch, 0), epoch, "a frame is gone"))
	want := []catalogue.Standing{
		{"stuck.example", catalogue.TroubleOperator}, {"again.example", catalogue.TroubleFailed},
		{"damaged.example", catalogue.TroubleNoBackup}, {"safety.example", catalogue.TroubleNoBackup},
		{"undrilled.example", catalogue.TroubleDrill}, {"stale.example", catalogue.TroubleStale},
		{"exact.example", catalogue.TroubleNone}, {"fine.example", catalogue.TroubleNone}, {"disabled.example", catalogue.TroubleDisabled},
	}
	same(t, must(c.Standings(t.Context(), "", "", stale))(t), want)
	for search, n := range map[string]int{"FINE": 1, "alias.stuck": 1, "acme": 9, "%": 0, "nothing": 0} {
		if got := must(c.Standings(t.Context(), "", search, stale))(t); len(got) != n {
			t.Errorf("%q: %v", search, got)
		}
	}
	if got := must(c.Standings(t.Context(), "other", "", stale))(t); len(got) != 0 {
		t.Errorf("another client: %v", got)
	}
	_, err := c.LatestGood(t.Context(), "safety.example")
	wants(t, err, errs.NotFound)
}

// TestStandingsAreOfThisMoment: what was read before is not told any more once anybody has written anything, in this process
// or in another.
func TestStandingsAreOfThisMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.db")
	c := must(catalogue.Open(t.Context(), path))(t)
	t.Cleanup(func() { ok(t, c.Close()) })
	addServers(t, c, "web1", "web2", "db1", "db2")
	ok(t, c.CreateSite(t.Context(), site("a.example")))
	told := func(client, search string) string {
		t.Helper()
		return fmt.Sprint(must(c.Standings(t.Context(), client, search, epoch.Add(-time.Hour)))(t))
	}
	is := func(want string) {
		t.Helper()
		for range 2 {
			if got := told("", ""); got != want {
				t.Errorf("told %s, want %s", got, want)
			}
		}
	}
	is("[{a.example no_backup}]")
	if got := told("", "b.") + told("nobody", ""); got != "[][]" {
		t.Errorf("another question has the same answer: %s", got)
	}
	b := backup("a.example", 1)
	b.CreatedAt = epoch
	ok(t, c.InsertBackup(t.Context(), b))
	is("[{a.example none}]")
	if got := fmt.Sprint(must(c.Standings(t.Context(), "", "", epoch.Add(time.Hour)))(t)); got != "[{a.example stale}]" {
		t.Errorf("a later moment: %s", got)
	}
	must(c.AddTask(t.Context(), task("1", "a.example"), false, false))(t)
	must(c.MoveTask(t.Context(), model.Task{ID: "1", State: model.TaskFailed, FinishedAt: epoch}, model.TaskQueued))(t)
	is("[{a.example failed}]")
	other := must(catalogue.Open(t.Context(), path))(t)
	ok(t, other.RecordDrill(t.Context(), model.Drill{Site: "a.example", Backup: b.ID, At: epoch, Problem: "rows lack"}))
	must(other.AddTask(t.Context(), task("2", "a.example"), false, false))(t)
	must(other.MoveTask(t.Context(), model.Task{ID: "2", State: model.TaskSucceeded, FinishedAt: epoch}, model.TaskQueued))(t)
	ok(t, other.Close())
	is("[{a.example drill_failed}]")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = c.Standings(gone, "", "", epoch) // whatever becomes of it
	for i := range 40 {
		told("", fmt.Sprint(i))
	}
	is("[{a.example drill_failed}]")
	ok(t, c.DeleteSite(t.Context(), "a.example"))
	is("[]")
}

// BenchmarkStandings is for 5,000 sites with 100,000 backups: go test -bench Standings -run NONE.
func BenchmarkStandings(b *testing.B) {
	c := fillWith(b, 5000, 20)
	for name, search := range map[string]string{"all": "", "search": "site0499"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Standings(b.Context(), "", search, epoch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
