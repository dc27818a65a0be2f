package bed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	_ "modernc.org/sqlite" // fills a catalogue faster than one backup at a time
)

// Crowd is how many there are of everything after [FillCatalogue].
const (
	CrowdSites   = 5_000
	CrowdBackups = 20 * CrowdSites
)

// FillCatalogue adds 5,000 sites of 50 clients, with 20 backups and a task each, to the catalogue of a master that does not
// run. They are on the list alone: there are no tarballs.
func FillCatalogue(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return fmt.Errorf("fill %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, statement := range crowd() {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("fill %s: %w", path, err)
		}
	}
	return nil
}

func crowd() []string {
	const sites = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999), s(i, name) AS (SELECT i, printf('site%05d.example', i) FROM n) `
	return []string{
		`INSERT OR IGNORE INTO servers (name, roles) SELECT 'web1', '["web"]'`,
		`INSERT INTO sites (name, kind, db_server, root, docroot, database_name, database_user, database_host, client, excludes, vhost, disabled, created_at) ` + sites +
			`SELECT name, 'generic', '', '/var/www/' || name, '/var/www/' || name, '', '', '', 'client' || (i % 50), '[]', 'managed', 0, 1 FROM s`,
		`INSERT INTO site_names (name, site, position) ` + sites + `SELECT name, name, 0 FROM s`,
		`INSERT INTO site_web_servers (site, position, server) ` + sites + `SELECT name, 0, 'web1' FROM s`,
		`INSERT INTO backups (id, site, client, created_at, description, format, size, new_bytes, plain_size, files, digest, pinned, pin_reason, origin, warnings, tables, table_rows, task_id) ` +
			sites + `, m(j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM m WHERE j < 20) SELECT name || '-' || j, name, 'client' || (i % 50), 1795000000000000000 - j * 86400000000000 - i,
			'Scheduled (nightly)', 'tar.zst', 1000000 * j, 1000, 1, 1, 'sha256:00', 0, '', 'scheduled', '[]', 1, 1, '' FROM s, m`,
		`INSERT INTO tasks (id, kind, site, holds, state, error, error_kind, hint, attempt, cancel_asked, created_at, started_at, finished_at, progress_step, progress_done, progress_total, progress_files) ` +
			sites + `SELECT 'T' || name, 'backup', name, 1, iif(i % 100 = 7, 'failed', 'succeeded'), '', '', '', 1, 0, 1, 1, 1, '', 0, 0, 0 FROM s`,
	}
}
