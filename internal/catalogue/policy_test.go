package catalogue_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/retention"
)

func TestSchedules(t *testing.T) {
	c := open(t)
	ctx := t.Context()
	spread := time.Hour
	nightly := model.Schedule{Name: "nightly", Cron: "0 3 * * *", Zone: "Europe/Berlin", Window: "22:00-06:00", Spread: &spread, Skip: true,
		Scope: model.Scope{Sites: []string{"a.example", "b.example"}}, Format: "tar.gz", CreatedAt: epoch}
	ok(t, c.PutSchedule(ctx, nightly))
	ok(t, c.PutSchedule(ctx, model.Schedule{Name: "hourly", Cron: "@hourly", Scope: model.Scope{All: true}, Disabled: true, Kind: model.TaskDrill, CreatedAt: epoch}))
	state := model.ScheduleState{Schedule: "nightly", Site: "a.example", Handled: epoch, Pending: epoch.Add(1), TaskID: "T", RunAt: epoch, Missed: 3, MissedAt: epoch, Why: "x"}
	ok(t, c.PutScheduleStates(ctx, []model.ScheduleState{state, {Schedule: "gone", Site: "a.example"}}))

	changed := nightly
	changed.Cron, changed.Spread, changed.Scope = "0 4 * * *", nil, model.Scope{Client: "acme"}
	later := changed
	later.CreatedAt = epoch.Add(time.Hour)
	ok(t, c.PutSchedule(ctx, later))
	got, err := c.Schedule(ctx, "nightly")
	ok(t, err)
	if diff := cmp.Diff(changed, got); diff != "" {
		t.Error(diff)
	}
	states, err := c.ScheduleStates(ctx, "nightly")
	ok(t, err)
	if diff := cmp.Diff([]model.ScheduleState{state}, states); diff != "" {
		t.Error("a changed schedule has lost how far it had come", diff)
	}
	all, err := c.Schedules(ctx)
	ok(t, err)
	if len(all) != 2 || all[0].Name != "hourly" || !all[0].Scope.All || !all[0].Disabled || all[0].Kind != model.TaskDrill {
		t.Errorf("%+v", all)
	}
	ok(t, c.DeleteSchedule(ctx, "nightly"))
	if states, err = c.ScheduleStates(ctx, "nightly"); err != nil || len(states) > 0 {
		t.Error("states outlive their schedule", states, err)
	}
	for _, err := range []error{c.DeleteSchedule(ctx, "nightly"), second(c.Schedule(ctx, "nightly"))} {
		if !errs.Is(err, errs.NotFound) {
			t.Error(err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestRetentions(t *testing.T) {
	c := open(t)
	ctx := t.Context()
	all := model.Retention{Last: 1, Hourly: 2, Daily: 3, Weekly: 4, Monthly: 5, Yearly: 6, MinAge: time.Hour, Safety: time.Minute, Zone: "Asia/Tokyo", MaxSize: 7}
	ok(t, c.PutRetention(ctx, model.Retention{Last: 9}))
	ok(t, c.PutRetention(ctx, all))
	ok(t, c.PutRetention(ctx, model.Retention{Site: "a.example", Daily: 30}))
	ok(t, c.PutRetention(ctx, model.Retention{Client: "acme", Daily: 14}))
	got, err := c.Retentions(ctx)
	ok(t, err)
	if diff := cmp.Diff([]model.Retention{all, {Client: "acme", Daily: 14}, {Site: "a.example", Daily: 30}}, got); diff != "" {
		t.Error(diff)
	}
	ok(t, c.DeleteRetention(ctx, "", "a.example"))
	if err := c.DeleteRetention(ctx, "", "a.example"); !errs.Is(err, errs.NotFound) {
		t.Error(err)
	}
}

func TestRetentionBackups(t *testing.T) {
	c := open(t)
	ctx := t.Context()
	addServers(t, c, "web1", "db1")
	s := site("a.example")
	s.WebServers, s.DBServer, s.Client = []string{"web1"}, "db1", "acme"
	ok(t, c.CreateSite(ctx, s))
	one := backup("a.example", 1)
	one.Origin, one.Warnings, one.Pinned = model.OriginSafety, []string{"the database is missing"}, true
	two := backup("a.example", 2)
	two.Origin, two.Warnings, two.Pinned = model.OriginScheduled, []string{"vanished"}, false
	three := backup("b.example", 3)
	three.Origin, three.Warnings, three.Pinned = model.OriginManual, nil, false
	for _, b := range []model.Backup{one, two, three} {
		ok(t, c.InsertBackup(ctx, b))
	}
	ok(t, c.MarkChecked(ctx, three.ID, epoch, "a bit is flipped"))
	got, err := c.RetentionBackups(ctx)
	ok(t, err)
	want := [][]retention.Backup{{
		{ID: two.ID, Site: "a.example", Client: "acme", At: two.CreatedAt, Size: two.Size},
		{ID: one.ID, Site: "a.example", Client: "acme", At: one.CreatedAt, Size: one.Size, Pinned: true, Safety: true, Lacking: true},
	}, {
		{ID: three.ID, Site: "b.example", At: three.CreatedAt, Size: three.Size, Lacking: true},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	odd := site("odd.example")
	odd.WebServers, odd.DBServer, odd.Client = []string{"web1"}, "db1", "a\x1fb"
	ok(t, c.CreateSite(ctx, odd))
	ok(t, c.InsertBackup(ctx, backup("odd.example", 4)))
	if got, err = c.RetentionBackups(ctx); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a client's name that parts a record: %v, %v", got, err)
	}
}

func TestTheLastDrillIsRemembered(t *testing.T) {
	c := open(t)
	_, err := c.LastDrill(t.Context(), "a.example")
	wants(t, err, errs.NotFound)
	one := model.Drill{Site: "a.example", Backup: "b1", At: epoch, TaskID: "T1", Problem: "a row is missing"}
	two := model.Drill{Site: "a.example", Backup: "b2", At: epoch.Add(time.Hour), TaskID: "T2"}
	other := model.Drill{Site: "b.example", Backup: "b3", At: epoch, TaskID: "T3"}
	for _, d := range []model.Drill{one, two, other} {
		ok(t, c.RecordDrill(t.Context(), d))
	}
	same(t, must(c.LastDrill(t.Context(), "a.example"))(t), two)
	same(t, must(c.LastDrills(t.Context()))(t), []model.Drill{two, other})
}

func TestADrillEndsWithItsSite(t *testing.T) {
	c := withSites(t, site("a.example"))
	for _, name := range []string{"a.example", "b.example"} {
		ok(t, c.RecordDrill(t.Context(), model.Drill{Site: name, Backup: "b1", At: epoch, TaskID: "T1"}))
	}
	ok(t, c.DeleteSite(t.Context(), "a.example"))
	_, err := c.LastDrill(t.Context(), "a.example")
	wants(t, err, errs.NotFound)
	must(c.LastDrill(t.Context(), "b.example"))(t)
}

func TestMarks(t *testing.T) {
	c := open(t)
	if at, err := c.Marked(t.Context(), "clock"); err != nil || !at.IsZero() {
		t.Error(at, err)
	}
	for _, at := range []time.Time{epoch, epoch.Add(time.Second)} {
		ok(t, c.Mark(t.Context(), "clock", at))
		if got, err := c.Marked(t.Context(), "clock"); err != nil || !got.Equal(at) {
			t.Error(got, err)
		}
	}
}

func TestScopeSites(t *testing.T) {
	c := open(t)
	ctx := t.Context()
	addServers(t, c, "web1", "web2", "db1")
	for name, client := range map[string]string{"a.example": "acme", "b.example": "acme", "c.example": "", "d.example": "acme"} {
		s := site(name)
		s.Client, s.Disabled, s.WebServers, s.DBServer = client, name == "d.example", []string{"web1"}, "db1"
		ok(t, c.CreateSite(ctx, s))
	}
	for _, tc := range []struct {
		scope model.Scope
		want  []string
	}{
		{model.Scope{All: true}, []string{"a.example", "b.example", "c.example"}},
		{model.Scope{Client: "acme"}, []string{"a.example", "b.example"}},
		{model.Scope{Sites: []string{"c.example", "gone.example", "a.example"}}, []string{"a.example", "c.example"}},
		{model.Scope{}, nil},
	} {
		got, err := c.ScopeSites(ctx, tc.scope)
		ok(t, err)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Error(tc.scope, diff)
		}
	}
}

func TestPruneSparesTheLastGoodBackup(t *testing.T) {
	c := open(t)
	ctx := t.Context()
	put := func(n int, origin model.Origin, pinned bool) string {
		b := backup("a.example", n)
		b.Origin, b.Pinned, b.CreatedAt = origin, pinned, epoch.Add(time.Duration(n)*time.Hour)
		ok(t, c.InsertBackup(ctx, b))
		return b.ID
	}
	old, pinned, last, safety := put(1, model.OriginScheduled, false), put(2, model.OriginManual, true), put(3, model.OriginScheduled, false), put(4, model.OriginSafety, false)
	for id, want := range map[string]errs.Kind{pinned: errs.Precondition, last: errs.Precondition, safety: errs.Precondition, "x": errs.NotFound} {
		if err := c.PruneBackup(ctx, id); !errs.Is(err, want) {
			t.Errorf("%s: %v", id, err)
		}
	}
	ok(t, c.MarkChecked(ctx, last, epoch, "a bit is flipped"))
	if err := c.PruneBackup(ctx, old); err != nil { // the pinned one is whole and newer
		t.Error(err)
	}
	if _, err := c.Backup(ctx, old); !errs.Is(err, errs.NotFound) {
		t.Error(err)
	}
}
