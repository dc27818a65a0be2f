// Package backup makes one tarball of a site: it takes the frames that the
// site's agents send, hands them to the assembler of pkg/archive, and lists the
// backup only when it is on stable storage. It neither compresses nor
// decompresses, and knows nothing of queues or schedules.
package backup

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// DefaultDescription is that of a backup for which nobody gave a reason, as Aegir words it.
const DefaultDescription = "Generated on request"

// DefaultFormat is that of a backup for which nobody chose one.
const DefaultFormat = store.TarZst

// Emit takes the items of a stream, one at a time and in order.
type Emit = func(ctx context.Context, item archive.Item) error

type maintenance interface {
	BeginMaintenance(ctx context.Context, site model.SiteRef, task string, lease time.Duration) (model.Closing, error)
	RenewMaintenance(ctx context.Context, site model.SiteRef, task string, lease time.Duration) error
	EndMaintenance(ctx context.Context, site model.SiteRef, task string) error
}

// Web is the agent of a web server.
type Web interface {
	maintenance
	BriefInfo(ctx context.Context) (model.AgentInfo, error)
	ReadTree(ctx context.Context, r model.TreeRequest, base iter.Seq2[archive.BaseFrame, error], emit Emit) (archive.Summary, error)
	ProbeSite(ctx context.Context, site model.SiteRef, task, path string) (model.PageProbe, error)
	// ReadSettings reads the site's settings; nil if its kind keeps none.
	ReadSettings(ctx context.Context, site model.SiteRef, task string) (*model.DatabaseSettings, error)
}

// DB is the agent of a database server.
type DB interface {
	BriefInfo(ctx context.Context) (model.AgentInfo, error)
	Dump(ctx context.Context, r model.DumpRequest, base iter.Seq2[archive.BaseDumpFrame, error], emit Emit) (model.DumpSummary, archive.Summary, error)
}

// Agents finds the agents of servers.
type Agents interface {
	Web(ctx context.Context, server string) (Web, error)
	DB(ctx context.Context, server string) (DB, error)
}

// Store is where tarballs go.
type Store interface {
	Create(ctx context.Context, id, format string, estimate int64) (store.Pending, error)
	Open(ctx context.Context, id, format string) (store.Blob, error)
}

// Catalogue lists backups.
type Catalogue interface {
	InsertBackup(ctx context.Context, b model.Backup) error
	// LatestBase returns the newest good backup of a site in a format; errs.NotFound if there is none.
	LatestBase(ctx context.Context, site, format string) (model.Backup, error)
}

// Log is where a task's lines go; *tasks.Run is one.
type Log interface {
	Log(level model.Level, format string, args ...any)
	Warn(format string, args ...any)
	Progress(step string, done, total, files int64)
}

// Deps are what a Maker works with.
type Deps struct {
	Agents    Agents
	Store     Store
	Catalogue Catalogue
	Software  string // name and version, for manifests
	ZstdLevel int    // of tar.zst; 0 for the codec's default
	Server    hclog.Logger
	Now       func() time.Time
	// RetryFor is how long a stream that broke is tried again without getting on. 0: not at all.
	RetryFor time.Duration
	// FullEvery is how many backups of a site there are from one that reads everything to the next. 0: only when asked for.
	FullEvery int
	// Wait, if not nil, takes the place of waiting: it returns after d, or with the context's error.
	Wait func(ctx context.Context, d time.Duration) error
}

// Request says what to back up, and why.
type Request struct {
	Site        model.Site
	Task        string
	Description string
	Format      string
	Origin      model.Origin
	Full        bool   // read everything, and take over nothing from an earlier backup
	Salvage     bool   // take what there is: for the safety backup of a broken site
	PinReason   string // pins the backup unless empty
	Gentle      bool   // the site serves meanwhile and nobody waits: its visitors go first
}

// Maker makes backups. It is safe for concurrent use.
type Maker struct{ deps Deps }

// New returns a Maker.
func New(d Deps) *Maker { return &Maker{deps: d} }

// Make backs a site up. On an error nothing is listed and nothing is left in the store.
func (m *Maker) Make(ctx context.Context, q Request, log Log) (*model.Backup, error) {
	if q.Gentle {
		ctx = model.GiveWay(ctx)
	}
	b, err := m.try(ctx, q, q.Site.DBServer != "", "", log)
	if q.Salvage && isDumpFailure(err) && ctx.Err() == nil {
		b, err = m.try(ctx, q, false, fmt.Sprintf("the database is left out of the backup: %v", err), log)
	}
	if err != nil {
		return nil, fmt.Errorf("back up %s: %w", q.Site.Name, err)
	}
	return b, nil
}

// dumpFailure marks what a salvaging backup goes on without.
type dumpFailure struct{ error }

func (d dumpFailure) Unwrap() error { return d.error }

func isDumpFailure(err error) bool {
	var d dumpFailure
	return errors.As(err, &d)
}

// try makes a backup with or, for the reason that is given, without a dump.
func (m *Maker) try(ctx context.Context, q Request, withDump bool, without string, log Log) (*model.Backup, error) {
	j := &job{deps: m.deps, q: q, withDump: withDump, log: log, started: m.deps.Now(), counts: newCounts()}
	if without != "" {
		j.counts.warn(log, without)
	}
	if err := j.create(ctx); err != nil {
		return nil, err
	}
	defer j.pending.Abort() //nolint:errcheck // Sweep removes what is left
	j.openBase(ctx)
	defer j.closeBase()
	return j.run(ctx)
}

const clashes = 20 // backups of one site that began in the same second

func (j *job) create(ctx context.Context) error {
	var err error
	for n := range clashes {
		id := model.BackupID(j.q.Site.Name, j.started, n)
		if j.pending, err = j.deps.Store.Create(ctx, id, j.q.Format, j.estimate(ctx)); !errs.Is(err, errs.Exists) {
			return err
		}
	}
	return err
}

// estimate is the size of the last backup: the store refuses to begin what will not fit.
func (j *job) estimate(ctx context.Context) int64 {
	last, err := j.deps.Catalogue.LatestBase(ctx, j.q.Site.Name, j.q.Format)
	if err != nil {
		return 0
	}
	j.lastPlain = last.PlainSize
	return last.Size
}
