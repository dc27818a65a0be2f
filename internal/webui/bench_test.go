package webui_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // fills the catalogue faster than one backup at a time
)

// fill adds 5,000 sites with 20 backups and a task each.
func fill(t testing.TB, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "catalogue.db")+"?_pragma=busy_timeout(5000)")
	must(t, err)
	defer db.Close()
	const sites = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999), s(i, name) AS (SELECT i, printf('site%05d.example', i) FROM n) `
	for _, statement := range []string{
		`INSERT INTO sites (name, kind, db_server, root, docroot, database_name, database_user, database_host, client, excludes, vhost, disabled, created_at) ` + sites +
			`SELECT name, 'generic', '', '/var/www/' || name, '/var/www/' || name, '', '', '', 'client' || (i % 50), '[]', 'managed', 0, 1 FROM s`,
		`INSERT INTO site_names (name, site, position) ` + sites + `SELECT name, name, 0 FROM s`,
		`INSERT INTO site_web_servers (site, position, server) ` + sites + `SELECT name, 0, 'web1' FROM s`,
		`INSERT INTO backups (id, site, client, created_at, description, format, size, new_bytes, plain_size, files, digest, pinned, pin_reason, origin, warnings, tables, table_rows, task_id) ` +
			sites + `, m(j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM m WHERE j < 20) SELECT name || '-' || j, name, 'client' || (i % 50), 1795000000000000000 - j * 86400000000000 - i,
			'Scheduled (nightly)', 'tar.zst', 1000000 * j, 1000, 1, 1, 'sha256:00', 0, '', 'scheduled', '[]', 1, 1, '' FROM s, m`,
		`INSERT INTO tasks (id, kind, site, holds, state, error, error_kind, hint, attempt, cancel_asked, created_at, started_at, finished_at, progress_step, progress_done, progress_total, progress_files) ` +
			sites + `SELECT 'T' || name, 'backup', name, 1, iif(i % 100 = 7, 'failed', 'succeeded'), '', '', '', 1, 0, 1, 1, 1, '', 0, 0, 0 FROM s`,
	} {
		_, err := db.ExecContext(t.Context(), statement)
		must(t, err)
	}
}

// BenchmarkOverview is the whole way of a page, TLS included, for 5,000 sites with 100,000 backups:
// go test -run NONE -bench Overview ./internal/webui.
func BenchmarkOverview(b *testing.B) {
	r := newRig(b, fill)
	user := r.signedIn(b, "viewer")
	for name, path := range map[string]string{"first": "/", "middle": "/?page=50", "trouble": "/?show=any", "search": "/?q=site0421"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got := user.get(b, path); got.status != 200 {
					b.Fatal(got.status)
				}
			}
		})
	}
}
