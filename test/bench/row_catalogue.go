package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	_ "modernc.org/sqlite" // the driver "sqlite"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
	"github.com/sitekeep/sitekeep/test/bed"
)

const (
	manySites     = 10_000
	backupsOfSite = 30
	// answerLimit is within how many seconds the master has to answer.
	answerLimit = 0.2
)

// fillCatalogue makes sites of 50 clients with daily backups in a catalogue that nobody has open.
const fillCatalogue = `
INSERT INTO servers VALUES ('web1', '["web"]', '127.0.0.1:1', 0, 0, '', 0, 1);
INSERT INTO sites (name, kind, db_server, root, docroot, database_name, database_user, database_host, client, excludes, vhost, disabled, created_at)
	WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < %[1]d)
	SELECT printf('site%%05d.example', i), 'generic', '', printf('/var/www/site%%05d', i), printf('/var/www/site%%05d', i), '', '', '',
	printf('client%%d', i %% 50), '[]', 'external', 0, 1 FROM n;
INSERT INTO site_names SELECT name, name, 0 FROM sites;
INSERT INTO site_web_servers SELECT name, 0, 'web1' FROM sites;
INSERT INTO backups (id, site, client, created_at, description, format, size, new_bytes, plain_size, files, digest, pinned, pin_reason,
	origin, warnings, tables, table_rows, task_id)
	WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %[2]d),
	b AS (SELECT name, client, unixepoch() - i * 86400 - unixepoch() %% 86400 + (abs(random()) %% 20000) AS at FROM sites, n)
	SELECT name || strftime('-%%Y%%m%%d.%%H%%M%%S', at, 'unixepoch'), name, client, at * 1000000000, 'Scheduled (nightly)', 'tar.zst', 1000000, 10000,
	3000000, 1000, 'sha256:00', 0, '', 'scheduled', '[]', 10, 1000, '' FROM b;
`

// rowCatalogue asks a master with many sites and backups what operators, pages and schedules ask all the time.
func rowCatalogue(ctx context.Context, w *world) (*row, error) {
	r := newRow(firstAnswer, "master CPU s", masterMiB)
	if w.options.peers {
		return r, nil
	}
	q, err := w.fullMaster(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range q.questions() {
		r.add(s.name, q.side(s), nil)
		r.want(within(firstAnswer, s.name, answerLimit))
	}
	return r, nil
}

// firstAnswer is until the first message has come; a plan is made as a whole before that.
const firstAnswer = "answer s"

// asked is a master with a full catalogue.
type asked struct {
	master    *bed.Master
	backups   sitekeepv1.BackupServiceClient
	sites     sitekeepv1.SiteServiceClient
	schedules sitekeepv1.ScheduleServiceClient
	retention sitekeepv1.RetentionServiceClient
}

func (w *world) fullMaster(ctx context.Context) (*asked, error) {
	m, err := w.bed.Master(ctx, "catalogue-master")
	if err != nil {
		return nil, err
	}
	w.atRowEnd(m.Stop)
	if err := m.Stop(); err != nil {
		return nil, err
	}
	if err := fill(ctx, filepath.Join(m.DataDir, "catalogue.db")); err != nil {
		return nil, err
	}
	if err := m.Start(ctx); err != nil {
		return nil, err
	}
	// Retention last: a master that starts with it removes what may go.
	for _, args := range [][]string{
		{"schedule", "set", "weekly", "--cron", "0 3 * * 0", "--window", "22:00-06:00", "--zone", "Europe/Berlin", "--all"},
		{"schedule", "set", "monthly", "--cron", "0 4 1 * *", "--spread", "4h", "--client", "client7"},
		{"retention", "set", "--keep-last", "3", "--keep-daily", "7", "--keep-weekly", "4", "--max-size", "1TB"},
	} {
		if _, err := m.Run(ctx, args...); err != nil {
			return nil, err
		}
	}
	conn, err := grpc.NewClient("unix:"+filepath.Join(m.DataDir, "sitekeep.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return nil, err
	}
	w.atRowEnd(conn.Close)
	return &asked{master: m, backups: sitekeepv1.NewBackupServiceClient(conn), sites: sitekeepv1.NewSiteServiceClient(conn),
		schedules: sitekeepv1.NewScheduleServiceClient(conn), retention: sitekeepv1.NewRetentionServiceClient(conn)}, nil
}

func fill(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, fmt.Sprintf(fillCatalogue, manySites, backupsOfSite))
	return errors.Join(err, db.Close())
}

// question is one call, or one stream that is read to its end. began is to be called with the first message.
type question struct {
	name string
	ask  func(ctx context.Context, began func()) error
}

func (q *asked) questions() []question {
	return []question{
		{name: "backups, first page", ask: func(ctx context.Context, _ func()) error {
			got, err := q.backups.ListBackups(ctx, &sitekeepv1.ListBackupsRequest{PageSize: 100})
			return enough(len(got.GetBackups()), 100, err)
		}},
		{name: "sites, all", ask: func(ctx context.Context, _ func()) error {
			got, err := q.sites.ListSites(ctx, &sitekeepv1.ListSitesRequest{})
			return enough(len(got.GetSites()), manySites, err)
		}},
		{name: "overview, first page", ask: func(ctx context.Context, _ func()) error {
			got, err := q.sites.ListOverview(ctx, &sitekeepv1.ListOverviewRequest{})
			return enough(len(got.GetSites()), 50, err)
		}},
		{name: "schedules, next due", ask: func(ctx context.Context, _ func()) error {
			got, err := q.schedules.ListSchedules(ctx, &sitekeepv1.ListSchedulesRequest{})
			return enough(len(got.GetSchedules()), 2, err)
		}},
		{name: "prune plan", ask: q.plan},
	}
}

func (q *asked) plan(ctx context.Context, began func()) error {
	stream, err := q.retention.PlanPrune(ctx, &sitekeepv1.PlanPruneRequest{Packed: true})
	decisions := 0
	for err == nil {
		var got *sitekeepv1.PlanPruneResponse
		if got, err = stream.Recv(); err == nil {
			began()
			decisions += len(got.GetPacked().GetKeep())
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return enough(decisions, manySites*backupsOfSite, err)
}

func enough(have, want int, err error) error {
	if err == nil && have != want {
		err = fmt.Errorf("%d came in place of %d", have, want)
	}
	return err
}

// side asks once: the first time of all is with nothing remembered, and is not measured.
func (q *asked) side(s question) *side {
	return &side{
		prepare: func(ctx context.Context) error { return s.ask(ctx, func() {}) },
		work: func(ctx context.Context, m *meter) error {
			if err := m.watch(daemon{pid: q.master.Pid(), label: "master"}); err != nil {
				return err
			}
			answered := m.stopwatch(firstAnswer)
			err := s.ask(ctx, answered)
			answered()
			return err
		},
	}
}
