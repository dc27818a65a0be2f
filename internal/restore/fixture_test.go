package restore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/backup/backuptest"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
	"github.com/sitekeep/sitekeep/internal/store"
)

// fixture is a real tarball in a real store, and who can restore it.
type fixture struct {
	shelf  *store.Local
	backup model.Backup
	newer  func() (*model.Backup, error) // nil: there is none
	again  func() model.Backup           // backs the same site up once more
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// list is where the one backup is listed.
type list struct{ b model.Backup }

func (l *list) InsertBackup(_ context.Context, b model.Backup) error {
	l.b = b
	return nil
}

func (*list) LatestBase(context.Context, string, string) (model.Backup, error) {
	return model.Backup{}, errs.New(errs.NotFound, "", "there is none")
}

func newFixture(t testing.TB, change ...func(*model.Site)) *fixture {
	t.Helper()
	return newFixtureOf(t, []backuptest.Table{{Name: "posts", Rows: []string{"a", "b"}}, {Name: "users", Rows: []string{"c"}}}, change...)
}

// newViewFixture has a view that is in the live database too, and one that is not.
func newViewFixture(t testing.TB) *fixture {
	t.Helper()
	return newFixtureOf(t, []backuptest.Table{
		{Name: "posts", Rows: []string{"a", "b"}}, {Name: "users", Rows: []string{"c"}},
		{Name: "view_old", View: "`view_old` AS SELECT x FROM posts"}, {Name: "view_new", View: "`view_new` AS SELECT x FROM users"},
	})
}

func newFixtureOf(t testing.TB, tables []backuptest.Table, change ...func(*model.Site)) *fixture {
	t.Helper()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "site", "files"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "site", "files", "a.php"), []byte("<?php"), 0o644))
	shelf, err := store.OpenLocal(filepath.Join(dir, "store"), store.Options{})
	must(t, err)
	l := &list{}
	maker := backup.New(backup.Deps{
		Agents: &backuptest.Agents{Dir: filepath.Join(dir, "site"), Page: model.PageProbe{Status: 200},
			Tables: tables},
		Store: shelf, Catalogue: l, Server: hclog.NewNullLogger(), Now: func() time.Time { return time.Date(2026, 11, 23, 0, 13, 36, 0, time.UTC) },
	})
	site := quirks{}.site()
	for _, f := range change {
		f(&site)
	}
	again := func() model.Backup {
		_, err = maker.Make(t.Context(), backup.Request{Site: site, Task: "T0", Format: store.TarZst}, &notebook{})
		must(t, err)
		return l.b
	}
	return &fixture{shelf: shelf, backup: again(), again: again}
}

// library is what a restore reads and makes, in a world.
type library struct {
	*fixture
	*world
}

func (l library) Backup(_ context.Context, id string) (model.Backup, error) {
	if id != l.backup.ID {
		return model.Backup{}, errs.New(errs.NotFound, "", "no backup %s", id)
	}
	return l.backup, nil
}

func (l library) Open(ctx context.Context, b *model.Backup) (*backup.Tarball, error) {
	return backup.OpenTarball(ctx, l.shelf, b)
}

// Newest gives the one that newer has made, if there is one, else the one that is restored.
func (l library) Newest(context.Context, string) (*model.Backup, error) {
	if l.newer != nil {
		return l.newer()
	}
	return &l.backup, nil
}

func (l library) Safety(ctx context.Context, _ *model.Site, task, _ string, _ Log) (*model.Backup, error) {
	err := l.act(ctx, "safety backup", func() error {
		if !slices.Contains(l.safety, task) {
			l.safety = append(l.safety, task)
			l.pinned[task] = true
		}
		return nil
	})
	return &model.Backup{ID: "safety of " + task}, err
}

// Final gives the one backup that there is.
func (l library) Final(ctx context.Context, site *model.Site, task, description string, log Log) (*model.Backup, error) {
	_, err := l.Safety(ctx, site, task, description, log)
	return &l.backup, err
}

func (l library) SafetyOf(_ context.Context, _, task string) (*model.Backup, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.safety, task) {
		return nil, nil
	}
	return &model.Backup{ID: "safety of " + task}, nil
}

func (l library) UnpinSafety(ctx context.Context, _, task string) error {
	return l.act(ctx, "unpin safety backup", func() error { delete(l.pinned, task); return nil })
}

// noGraces is for tests without a catalogue.
type noGraces struct{}

func (noGraces) OpenGraces(context.Context, string) ([]catalogue.Grace, error) { return nil, nil }
func (noGraces) Grace(context.Context, string) (catalogue.Grace, error) {
	return catalogue.Grace{}, nil
}
func (noGraces) MoveGrace(context.Context, string, catalogue.GraceState, catalogue.GraceState) (bool, error) {
	return true, nil
}

// diary is a log that can be read.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) Log(level model.Level, format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, string(level)+": "+fmt.Sprintf(format, args...))
}

func (d *diary) Warn(format string, args ...any) { d.Log("WARNED", format, args...) }

func (*diary) Progress(string, int64, int64, int64) {}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

// restorer makes one for a world without a catalogue. Servers are worked on one after the other, so that each game is
// the same each time.
func (f *fixture) restorer(w *world) *Restorer {
	return New(Deps{Agents: w, Sites: w, Backups: library{f, w}, Graces: noGraces{}, Engine: saga.Options{Parallel: 1},
		Now: func() time.Time { return time.Unix(1e9, 0) }})
}

// request asks for what the world is about.
func (q quirks) request(id string, grace time.Duration) Request {
	out := Request{Site: siteName, Backup: id, Grace: grace, Part: q.part}
	if q.migrate {
		out.Migrate = q.place()
	}
	if q.deploy {
		out.Deploy = &Deployment{OldName: formerName}
	}
	if q.fresh {
		site := q.site()
		site.Database = model.Database{}
		out.Deploy.New = &site
	}
	if q.paths != "" {
		out.Paths = [][]byte{[]byte(q.paths)}
	}
	if q.tables != "" {
		out.Tables = []string{q.tables}
	}
	return out
}

// basis is what every restore of a world begins with.
func (f *fixture) basis(t testing.TB, q quirks) Basis {
	t.Helper()
	w := newWorld(sagatest.NewFaults(), q)
	b, err := f.restorer(w).Plan(t.Context(), newTask, q.request(f.backup.ID, 0))
	must(t, err)
	return *b
}

// sagaWorld is a world as the crash table wants it.
type sagaWorld struct {
	*world
	f      *fixture
	basis  Basis
	hidden bool
}

func (w *sagaWorld) Snapshot() string { return w.snapshot(w.hidden) }

// Plan makes everything anew, as a restarted master does.
func (w *sagaWorld) Plan() saga.Plan {
	r, err := w.f.restorer(w.world).newRun(newTask, w.basis, &notebook{})
	if err != nil {
		panic(err)
	}
	return r.plan()
}

func (f *fixture) worlds(t testing.TB, q quirks, hidden bool) func(*sagatest.Faults) sagatest.World {
	basis := f.basis(t, q)
	return func(faults *sagatest.Faults) sagatest.World {
		return &sagaWorld{world: newWorld(faults, q), f: f, basis: basis, hidden: hidden}
	}
}
