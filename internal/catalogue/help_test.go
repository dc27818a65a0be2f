package catalogue_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

var epoch = time.Date(2026, 11, 23, 0, 13, 36, 123456789, time.UTC)

func open(t testing.TB) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Open(t.Context(), filepath.Join(t.TempDir(), "data", "catalogue.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

// wants checks an error's kind, and that an operator is told something.
func wants(t testing.TB, err error, kind errs.Kind) {
	t.Helper()
	if !errs.Is(err, kind) {
		t.Fatalf("error is %v (%s), want kind %s", err, errs.KindOf(err), kind)
	}
}

func same[T any](t testing.TB, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
}

// race calls f at the same time n times and returns the errors.
func race(n int, f func(i int) error) []error {
	failed := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { failed[i] = f(i) })
	}
	wg.Wait()
	return failed
}

func succeeded(failed []error) (n int) {
	for _, err := range failed {
		if err == nil {
			n++
		}
	}
	return n
}

func addServers(t testing.TB, c *catalogue.Catalogue, names ...string) {
	t.Helper()
	for _, name := range names {
		ok(t, c.CreateServer(t.Context(), model.Server{Name: name, Roles: []model.Role{model.RoleWeb, model.RoleDB}, JoinedAt: epoch}))
	}
}

func site(name string) model.Site {
	return model.Site{
		Name: name, Kind: "wordpress", WebServers: []string{"web1"}, DBServer: "db1", Root: "/var/www/" + name, Docroot: "/var/www/" + name,
		Database: model.Database{Name: "db_" + name, User: "user_" + name, Host: "db1:3306"}, Vhost: model.VhostManaged, CreatedAt: epoch,
	}
}

func withSites(t testing.TB, sites ...model.Site) *catalogue.Catalogue {
	t.Helper()
	c := open(t)
	addServers(t, c, "web1", "web2", "db1", "db2")
	for _, s := range sites {
		ok(t, c.CreateSite(t.Context(), s))
	}
	return c
}

func backup(site string, n int) model.Backup {
	at := epoch.Add(time.Duration(n) * time.Hour)
	return model.Backup{
		ID: model.BackupID(site, at, 0), Site: site, CreatedAt: at, Description: fmt.Sprintf("backup %d", n), Format: "tar.zst",
		Size: int64(1000 + n), NewBytes: int64(n), PlainSize: 5000, Files: 12, Digest: "sha256:00", Origin: model.OriginManual,
		Tables: 3, Rows: 99, TaskID: "task",
	}
}

func insert(t testing.TB, c *catalogue.Catalogue, backups ...model.Backup) {
	t.Helper()
	for _, b := range backups {
		ok(t, c.InsertBackup(t.Context(), b))
	}
}

func task(id, site string) model.Task {
	return model.Task{ID: id, Kind: model.TaskBackup, Site: site, State: model.TaskQueued, Spec: []byte(`{"x":1}`), CreatedAt: epoch}
}

func addTask(t testing.TB, c *catalogue.Catalogue, one model.Task) {
	t.Helper()
	if holder := must(c.AddTask(t.Context(), one, true, true))(t); holder != "" {
		t.Fatalf("task %s was refused for %s", one.ID, holder)
	}
}

// move brings a task into a state, through running.
func move(t testing.TB, c *catalogue.Catalogue, id string, to model.TaskState, finished time.Time) {
	t.Helper()
	one := must(c.Task(context.Background(), id))(t)
	from := one.State
	one.State, one.FinishedAt = to, finished
	if moved := must(c.MoveTask(t.Context(), one, from))(t); !moved {
		t.Fatalf("task %s did not move from %s to %s", id, from, to)
	}
}
