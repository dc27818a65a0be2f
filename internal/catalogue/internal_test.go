package catalogue

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

func raw(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(filepath.Join(t.TempDir(), "raw.db"), "synchronous(FULL)"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestMigrationsGoForward(t *testing.T) {
	db := raw(t)
	files := fstest.MapFS{"0001_a.sql": file(`CREATE TABLE a (x INTEGER)`)}
	for range 2 {
		if err := migrate(t.Context(), db, files); err != nil {
			t.Fatal(err)
		}
	}
	files["0002_b.sql"] = file(`CREATE TABLE b (x INTEGER); INSERT INTO a VALUES (1);`)
	if err := migrate(t.Context(), db, files); err != nil {
		t.Fatal(err)
	}
	if v, err := schemaVersion(t.Context(), db); err != nil || v != 2 {
		t.Fatalf("version %d, %v", v, err)
	}
	delete(files, "0002_b.sql")
	err := migrate(t.Context(), db, files)
	if !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
		t.Fatalf("a newer schema gives %v", err)
	}
}

func TestAMigrationIsAllOrNothing(t *testing.T) {
	db := raw(t)
	files := fstest.MapFS{
		"0001_a.sql": file(`CREATE TABLE a (x INTEGER)`),
		"0002_b.sql": file(`CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1)`),
	}
	if err := migrate(t.Context(), db, files); err == nil || !strings.Contains(err.Error(), "0002_b.sql") {
		t.Fatal(err)
	}
	if v, err := schemaVersion(t.Context(), db); err != nil || v != 1 {
		t.Fatalf("version %d, %v", v, err)
	}
	if _, err := db.Exec(`SELECT x FROM b`); err == nil {
		t.Fatal("half of the migration is there")
	}
	files["0002_b.sql"] = file(`CREATE TABLE b (x INTEGER)`)
	if err := migrate(t.Context(), db, files); err != nil {
		t.Fatal(err)
	}
}

func TestAGapInTheMigrationsIsRefused(t *testing.T) {
	files := fstest.MapFS{"0001_a.sql": file(``), "0003_c.sql": file(``)}
	if err := migrate(t.Context(), raw(t), files); err == nil {
		t.Fatal("0003 was taken for 0002")
	}
}

func TestAForeignDatabaseIsRefused(t *testing.T) {
	db := raw(t)
	if _, err := db.Exec(`CREATE TABLE recipes (x INTEGER)`); err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), db, migrations()); !errs.Is(err, errs.Precondition) {
		t.Fatal(err)
	}
}

func openInternal(t *testing.T) *Catalogue {
	t.Helper()
	c, err := Open(t.Context(), filepath.Join(t.TempDir(), "c.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestPragmas(t *testing.T) {
	c := openInternal(t)
	for db, want := range map[*sql.DB]map[string]string{
		c.write: {"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"},
		c.read:  {"journal_mode": "wal", "query_only": "1"},
	} {
		for pragma, value := range want {
			var got string
			if err := db.QueryRow(`PRAGMA ` + pragma).Scan(&got); err != nil || got != value {
				t.Errorf("%s is %q, want %q (%v)", pragma, got, value, err)
			}
		}
	}
}

// TestNoColumnIsForSecrets looks at the names of all columns, so that whoever
// adds one for a secret has to think again.
func TestNoColumnIsForSecrets(t *testing.T) {
	names, err := collect(t.Context(), openInternal(t).read, scanString,
		`SELECT t.name || '.' || c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'`)
	if err != nil || len(names) < 50 {
		t.Fatalf("%d columns, %v", len(names), err)
	}
	for _, name := range names {
		_, column, _ := strings.Cut(name, ".")
		for _, word := range []string{"pass", "secret", "token", "key", "credential"} {
			if strings.Contains(column, word) {
				t.Errorf("%s seems to hold a secret", name)
			}
		}
	}
}

// TestListsUseIndexes asks SQLite how it would run what must stay fast with
// 10,000 sites and 300,000 backups: through an index, and without sorting.
func TestListsUseIndexes(t *testing.T) {
	c := openInternal(t)
	type plan struct {
		where func() (string, []any, error)
		query string
		order string
	}
	backups := func(f BackupFilter) plan {
		return plan{f.where, `SELECT ` + backupColumns + ` FROM backups`, ` ORDER BY created_at DESC, id DESC LIMIT 10`}
	}
	tasks := func(f TaskFilter) plan {
		return plan{f.where, `SELECT ` + taskColumns + ` FROM tasks`, ` ORDER BY seq DESC LIMIT 10`}
	}
	sites := func(f SiteFilter) plan {
		return plan{func() (string, []any, error) { w, a := f.where(); return w, a, nil }, selectSite, ` ORDER BY s.name LIMIT 10`}
	}
	for name, p := range map[string]plan{
		"all backups":          backups(BackupFilter{}),
		"all backups, further": backups(BackupFilter{After: "1/x"}),
		"a site's":             backups(BackupFilter{Site: "a"}),
		"a site's, further":    backups(BackupFilter{Site: "a", After: "1/x"}),
		"a client's":           backups(BackupFilter{Client: "a", After: "1/x"}),
		"all tasks":            tasks(TaskFilter{After: "7"}),
		"a site's tasks":       tasks(TaskFilter{Site: "a", After: "7"}),
		"failed tasks":         tasks(TaskFilter{States: []model.TaskState{model.TaskFailed}}),
		"all sites":            sites(SiteFilter{After: "a"}),
		"a client's sites":     sites(SiteFilter{Client: "a"}),
	} {
		where, args, err := p.where()
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range explain(t, c, p.query+where+p.order, args) {
			byOrder := strings.Contains(line, "USING") || strings.Contains(line, "json_each") || strings.Contains(line, "SCAN tasks") && strings.Contains(p.order, "seq")
			if strings.HasPrefix(line, "SCAN") && !byOrder || strings.Contains(line, "B-TREE FOR ORDER BY") && name != "failed tasks" {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

func explain(t *testing.T, c *Catalogue, query string, args []any) []string {
	t.Helper()
	lines, err := collect(context.Background(), c.read, func(row scanner) (line string, err error) {
		var skip any
		err = row.Scan(&skip, &skip, &skip, &line)
		return line, err
	}, `EXPLAIN QUERY PLAN `+query, args...)
	if err != nil || len(lines) == 0 {
		t.Fatalf("%s: %d lines, %v", query, len(lines), err)
	}
	return lines
}
