package master

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/policy"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// withSite has a master that does not serve, with one site on a server that nobody answers for.
func withSite(t *testing.T) *Master {
	t.Helper()
	m := opened(t, options(inited(t)))
	must(t, m.catalogue.CreateServer(t.Context(), model.Server{Name: "web1", Roles: []model.Role{model.RoleWeb}, Address: "127.0.0.1:1", JoinedAt: time.Now()}))
	must(t, m.catalogue.CreateSite(t.Context(), model.Site{Name: "a.example", Client: "acme", WebServers: []string{"web1"}, Root: "/var/www/a", Docroot: "/var/www/a", CreatedAt: time.Now()}))
	return m
}

func TestAScheduledRunIsATaskThatIsFoundAgain(t *testing.T) {
	m := withSite(t)
	ctx := t.Context()
	begin := time.Date(2026, 11, 23, 0, 30, 0, 0, time.UTC)
	must(t, m.catalogue.PutSchedule(ctx, model.Schedule{Name: "hourly", Cron: "0 * * * *", Scope: model.Scope{All: true}, Format: "tar.gz", CreatedAt: begin}))
	s := &policy.Scheduler{Records: m.catalogue, Sites: m.catalogue, Runs: runs{m}, Log: hclog.NewNullLogger()}
	for _, now := range []time.Time{begin, begin.Add(31 * time.Minute), begin.Add(32 * time.Minute)} {
		_, err := s.Look(ctx, now)
		must(t, err)
	}
	list, _, err := m.catalogue.Tasks(ctx, catalogue.TaskFilter{Site: "a.example"})
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("%d tasks", len(list))
	}
	var spec backup.Spec
	must(t, json.Unmarshal(list[0].Spec, &spec))
	if tick := begin.Add(30 * time.Minute); spec.Schedule != "hourly" || !spec.Tick.Equal(tick) || spec.Format != "tar.gz" || spec.Description != "Scheduled (hourly)" {
		t.Errorf("%+v", spec)
	}
	if urgency(list[0]) >= 0 || urgency(model.Task{Kind: model.TaskBackup, Spec: []byte(`{"Description":"x"}`)}) != 0 {
		t.Error("an operator's backup does not go before a schedule's")
	}
	one := model.Task{Kind: model.TaskBackup, Spec: []byte(`{"Description":"x"}`)}
	if m.patience(list[0]) != 30*time.Minute || m.patience(one) != impatience {
		t.Errorf("tried again for %s, and if somebody waits %s", m.patience(list[0]), m.patience(one))
	}
	m.config.Limits.WaitForAgents = 0
	if m.patience(list[0]) != 0 || m.patience(one) != 0 {
		t.Error("tried again though the operator does not want it")
	}
	if owner := m.ownerOf(ctx, list[0]); owner != "acme" {
		t.Errorf("the task is %q's", owner)
	}
	hourly := &model.Schedule{Name: "hourly"}
	if id, err := (runs{m}).FindRun(ctx, hourly, "a.example", spec.Tick); err != nil || id != list[0].ID {
		t.Errorf("found %q, %v", id, err)
	}
	if id, err := (runs{m}).FindRun(ctx, hourly, "a.example", spec.Tick.Add(time.Hour)); err != nil || id != "" {
		t.Errorf("found %q, %v", id, err)
	}
	for task, want := range map[string]bool{list[0].ID: false, "": true, "gone": true} {
		if ended, err := (runs{m}).RunEnded(ctx, task); err != nil || ended != want {
			t.Errorf("%q has ended: %v, %v", task, ended, err)
		}
	}
}

// put places a backup in the store and on the list.
func put(t *testing.T, m *Master, age time.Duration) string {
	t.Helper()
	b := model.Backup{ID: model.BackupID("a.example", time.Now().Add(-age), 0), Site: "a.example", CreatedAt: time.Now().Add(-age), Format: "tar.zst", Size: 4, Origin: model.OriginScheduled}
	p, err := m.store.Create(t.Context(), b.ID, b.Format, 4)
	must(t, err)
	_, err = p.File().WriteString("data")
	must(t, err)
	must(t, p.Commit(t.Context(), []byte("{}"), func(ctx context.Context) error { return m.catalogue.InsertBackup(ctx, b) }))
	return b.ID
}

func TestPrune(t *testing.T) {
	m := withSite(t)
	ctx := t.Context()
	old, last := put(t, m, 48*time.Hour), put(t, m, time.Hour)
	must(t, m.pruneDue(ctx))
	if list, _, err := m.catalogue.Tasks(ctx, catalogue.TaskFilter{}); err != nil || len(list) != 0 {
		t.Fatal("a prune without a retention", list, err)
	}
	must(t, m.catalogue.PutRetention(ctx, model.Retention{Last: 1}))
	must(t, m.pruneDue(ctx))
	must(t, m.pruneDue(ctx))
	list, _, err := m.catalogue.Tasks(ctx, catalogue.TaskFilter{})
	must(t, err)
	if len(list) != 1 || list[0].Kind != model.TaskPrune {
		t.Fatalf("%+v", list)
	}
	served(t, m)
	done, err := m.tasks.Wait(ctx, list[0].ID)
	must(t, err)
	if done.State != model.TaskSucceeded {
		t.Fatalf("%s: %s", done.State, done.Error)
	}
	for id, want := range map[string]bool{old: false, last: true} {
		_, err := m.store.Open(ctx, id, "tar.zst")
		listed, lerr := m.catalogue.HasBackup(ctx, id)
		must(t, lerr)
		if (err == nil) != want || listed != want {
			t.Errorf("%s: listed %v, %v", id, listed, err)
		}
	}
}

// served runs the master's queue until the test ends.
func served(t *testing.T, m *Master) {
	t.Helper()
	done := make(chan error, 1)
	ctx, stop := cancellable(t)
	go func() { done <- m.tasks.Serve(ctx) }()
	t.Cleanup(func() { stop(); must(t, <-done) })
}

// TestADoubtfulClockRemovesNothing: the master before this one was sure of a time that has not come yet.
func TestADoubtfulClockRemovesNothing(t *testing.T) {
	dir := inited(t)
	m, err := Open(t.Context(), options(dir))
	must(t, err)
	must(t, m.catalogue.Mark(t.Context(), clockMark, time.Now().Add(time.Hour)))
	must(t, m.Close())
	m = opened(t, options(dir))
	put(t, m, 48*time.Hour)
	put(t, m, time.Hour)
	must(t, m.catalogue.PutRetention(t.Context(), model.Retention{Last: 1}))
	must(t, m.pruneDue(t.Context()))
	served(t, m)
	for trust, want := range map[bool]model.TaskState{false: model.TaskFailed, true: model.TaskSucceeded} {
		task, err := m.tasks.Submit(t.Context(), tasks.SubmitRequest{Kind: model.TaskPrune, Spec: policy.PruneSpec{TrustClock: trust}})
		must(t, err)
		done, err := m.tasks.Wait(t.Context(), task.ID)
		must(t, err)
		if done.State != want || !trust && done.ErrorKind != errs.Precondition.String() {
			t.Errorf("trusted %v: %s, %s", trust, done.State, done.Error)
		}
	}
}

func cancellable(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(context.WithoutCancel(t.Context()))
}

// TestAScheduledDrillIsATaskThatIsFoundAgain, and one without a backup is reported.
func TestAScheduledDrillIsATaskThatIsFoundAgain(t *testing.T) {
	m := withSite(t)
	ctx := t.Context()
	begin := time.Date(2026, 11, 23, 0, 30, 0, 0, time.UTC)
	monthly := model.Schedule{Name: "drills", Kind: model.TaskDrill, Cron: "0 * * * *", Scope: model.Scope{All: true}, CreatedAt: begin}
	must(t, m.catalogue.PutSchedule(ctx, monthly))
	s := &policy.Scheduler{Records: m.catalogue, Sites: m.catalogue, Runs: runs{m}, Log: hclog.NewNullLogger()}
	look := func(after time.Duration) (model.ScheduleState, []model.Task) {
		t.Helper()
		_, err := s.Look(ctx, begin.Add(after))
		must(t, err)
		states, err := m.catalogue.ScheduleStates(ctx, "drills")
		must(t, err)
		list, _, err := m.catalogue.Tasks(ctx, catalogue.TaskFilter{Site: "a.example"})
		must(t, err)
		return states[0], list
	}
	look(0)
	if state, list := look(31 * time.Minute); state.Missed != 1 || state.Why == "" || len(list) != 0 {
		t.Fatalf("%+v, %d tasks", state, len(list))
	}
	must(t, m.catalogue.InsertBackup(ctx, model.Backup{ID: "a.example-1", Site: "a.example", Format: "tar.zst", CreatedAt: begin}))
	state, list := look(91 * time.Minute)
	if state.Missed != 1 || len(list) != 1 || list[0].Kind != model.TaskDrill || state.TaskID != list[0].ID {
		t.Fatalf("%+v, %+v", state, list)
	}
	tick := begin.Add(90 * time.Minute)
	if id, err := (runs{m}).FindRun(ctx, &monthly, "a.example", tick); err != nil || id != list[0].ID {
		t.Errorf("found %q, %v", id, err)
	}
	for _, wrong := range []model.Schedule{{Kind: model.TaskRestore}, {Kind: model.TaskDrill, Format: "tar.gz"}} {
		wrong.Name, wrong.Cron, wrong.Scope = "wrong", "@daily", model.Scope{All: true}
		if _, err := policy.CheckSchedule(&wrong); !errs.Is(err, errs.Usage) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}
