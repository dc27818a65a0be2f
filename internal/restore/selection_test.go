package restore

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/backup/backuptest"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
	"github.com/sitekeep/sitekeep/internal/store"
)

// choosing is a fixture with more to choose from.
func choosing(t *testing.T) (*fixture, *world) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"a/1.txt", "a/2.txt", "a/deep/3", "b[1]", "b1", "raw\xff/x", "wp-config.php"} {
		must(t, os.MkdirAll(filepath.Join(dir, "site", filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "site", name), []byte(name), 0o644))
	}
	shelf, err := store.OpenLocal(filepath.Join(dir, "store"), store.Options{})
	must(t, err)
	l := &list{}
	maker := backup.New(backup.Deps{
		Agents: &backuptest.Agents{Dir: filepath.Join(dir, "site"), Tables: []backuptest.Table{{Name: "wp_posts"}, {Name: "wp_postmeta"}, {Name: "users"}}},
		Store:  shelf, Catalogue: l, Server: hclog.NewNullLogger(), Now: time.Now,
	})
	_, err = maker.Make(t.Context(), backup.Request{Site: quirks{}.site(), Task: "T0", Format: store.TarZst}, &notebook{})
	must(t, err)
	return &fixture{shelf: shelf, backup: l.b}, newWorld(sagatest.NewFaults(), quirks{})
}

func chosen(f *fixture, paths, tables []string) Request {
	return Request{Site: siteName, Backup: f.backup.ID, Part: Selected, Paths: rawPaths(paths), Tables: tables}
}

// TestWhatIsChosen resolves names and globs, and keeps bytes that are no UTF-8 through the journal.
func TestWhatIsChosen(t *testing.T) {
	f, w := choosing(t)
	for _, c := range []struct {
		paths, tables         []string
		wantPaths, wantTables string
		entries               uint64
		carry                 bool
	}{
		{[]string{"a"}, nil, "./a", "", 5, false},
		{[]string{"./a/deep/", "/a"}, nil, "./a", "", 5, false},
		{[]string{"a/*.txt"}, nil, "./a/1.txt ./a/2.txt", "", 2, false},
		{[]string{"b[1]"}, nil, "./b[1]", "", 1, false},
		{[]string{"b?"}, nil, "./b1", "", 1, false},
		{[]string{"raw\xff"}, nil, "./raw\xff", "", 2, false},
		{[]string{"wp-config.php"}, nil, "./wp-config.php", "", 1, true},
		{nil, []string{"wp_post*"}, "", "wp_posts wp_postmeta", 0, false},
		{[]string{"b1"}, []string{"users", "wp_posts"}, "./b1", "wp_posts users", 1, false},
	} {
		b, err := f.restorer(w).Plan(t.Context(), newTask, chosen(f, c.paths, c.tables))
		must(t, err)
		text, err := json.Marshal(b)
		must(t, err)
		var kept Basis
		must(t, json.Unmarshal(text, &kept))
		if got := strings.Join(kept.paths(), " "); got != c.wantPaths || strings.Join(kept.Tables, " ") != c.wantTables || kept.Entries != c.entries || kept.Carry != c.carry {
			t.Errorf("%q %q: %q %q, %d entries, carry %v", c.paths, c.tables, got, kept.Tables, kept.Entries, kept.Carry)
		}
	}
}

// TestChoicesThatAreRefused: nothing was changed, and the error says what to do.
func TestChoicesThatAreRefused(t *testing.T) {
	f, w := choosing(t)
	before := w.Snapshot()
	for _, c := range []struct {
		paths, tables []string
		kind          errs.Kind
		says          string
	}{
		{nil, nil, errs.Usage, "nothing is chosen"},
		{[]string{"a", "nowhere"}, nil, errs.NotFound, `matches "nowhere"`},
		{[]string{"a/*.php"}, nil, errs.NotFound, "a/*.php"},
		{[]string{"database.sql"}, nil, errs.NotFound, "database.sql"},
		{[]string{"."}, nil, errs.Usage, "whole site"},
		{[]string{"[x"}, nil, errs.Usage, "[x"},
		{nil, []string{"wp_posts", "nothing"}, errs.NotFound, `matches "nothing"`},
		{nil, []string{"[x"}, errs.Usage, "[x"},
	} {
		_, err := f.restorer(w).Plan(t.Context(), newTask, chosen(f, c.paths, c.tables))
		if !errs.Is(err, c.kind) || errs.HintOf(err) == "" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q %q: %v (%s)", c.paths, c.tables, err, errs.HintOf(err))
		}
	}
	if now := w.Snapshot(); now != before {
		t.Errorf("it has changed\n%s", now)
	}
}

// boundDB says that foreign keys bind tables of a database.
type boundDB struct {
	DB
	database string
}

func (b boundDB) InspectTables(ctx context.Context, database string, tables []string) ([]model.TableDetail, error) {
	out, err := b.DB.InspectTables(ctx, database, tables)
	for i := range out {
		if database == b.database && out[i].Name == "posts" {
			out[i].Related = []string{"users", "elsewhere.t"}
		}
	}
	return out, err
}

type boundAgents struct {
	*world
	database string
}

func (a boundAgents) DB(ctx context.Context, server string) (DB, error) {
	db, err := a.world.DB(ctx, server)
	return boundDB{db, a.database}, err
}

// TestForeignKeysKeepTablesTogether: in the live database they are seen by the check, in the restored one after the import; both
// before the site is touched.
func TestForeignKeysKeepTablesTogether(t *testing.T) {
	r := newRig(t)
	for _, database := range []string{oldDB, "new"} {
		g := r.newGame(quirks{part: Selected, tables: "posts"})
		if database == "new" {
			database = databaseName(siteName, g.first())
		}
		before := g.now()
		_, err := g.until(func(m *Restorer) (*Outcome, error) {
			m.deps.Agents = boundAgents{g.world, database}
			return m.restore(g.Context(), g.first(), g.q.request(g.rig.f.backup.ID, grace), g.log)
		})
		if !errs.Is(err, errs.Precondition) || !strings.Contains(errs.HintOf(err), "--table users --table elsewhere.t") {
			t.Errorf("%s: %v (%s)", database, err, errs.HintOf(err))
		}
		g.is("refused", before)
		if len(g.safety) != 0 {
			t.Errorf("%s: the site was backed up before it was refused", database)
		}
	}
}

// TestChosenPartsGoThroughTheirLife restores paths and tables, takes them back, restores again, and finishes.
func TestChosenPartsGoThroughTheirLife(t *testing.T) {
	r := newRig(t)
	g := r.newGame(quirks{part: Selected, paths: "files", tables: "posts"})
	before := g.Snapshot()
	g.restored(grace)
	after := g.Snapshot()
	if !strings.Contains(after, "live "+siteName+`: "restored" with file`) || !strings.Contains(after, "database "+oldDB+": restored") ||
		!strings.Contains(after, "_old: old "+siteName) {
		t.Errorf("restored it is\n%s", after)
	}
	if _, err := g.undo(g.second(), g.first()); err != nil {
		t.Fatal(err)
	}
	if now := g.Snapshot(); now != before {
		t.Errorf("taken back it is\n%s\nin place of\n%s", now, before)
	}
	if _, err := g.restore(g.third(), 0); err != nil {
		t.Fatal(err)
	}
	now := strings.Split(g.Snapshot(), "\n")
	if slices.ContainsFunc(now, func(l string) bool {
		return strings.Contains(l, g.third()) || strings.Contains(l, databaseName(siteName, g.third()))
	}) {
		t.Errorf("finished there is still\n%s", strings.Join(now, "\n"))
	}
}

// TestNobodyComesInBeforeTablesAreBack: with the paths taken back and the tables not yet, the lease does not run out by itself.
func TestNobodyComesInBeforeTablesAreBack(t *testing.T) {
	f := newFixture(t)
	for tables, want := range map[string]string{"users": "held", "": "short"} {
		w := f.worlds(t, quirks{part: Selected, paths: "files", tables: tables}, false)(sagatest.NewFaults()).(*sagaWorld)
	steps:
		for _, stage := range w.Plan().Stages {
			for _, step := range stage {
				m, err := step.Prepare(t.Context())
				must(t, err)
				must(t, step.Do(t.Context(), m))
				if step.Name() != (exchangePaths{}).Name() {
					continue
				}
				must(t, step.Undo(t.Context(), m))
				if got := w.webs["web1"].flags[siteName][newTask]; got != want {
					t.Errorf("tables %q: the lease is %q", tables, got)
				}
				break steps
			}
		}
	}
}
