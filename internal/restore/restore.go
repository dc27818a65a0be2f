// Package restore puts a backup in place of a live site: the plan, its steps
// (one file each, step_*.go) and what becomes of them after a crash. It runs on
// the master and reaches web and database servers through the agents it is
// given. How a saga is journalled is internal/saga's business, how a task is
// queued and logged internal/tasks'.
//
// Sinks stage, steps publish: everything slow happens in a staging directory
// and a new database beside the live site, and nothing that a visitor can see
// changes outside a step.
package restore

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/lease"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
)

// planVersion is that of the journal: a plan of another one cannot be carried on.
const planVersion = 1

// DefaultGrace is how long what a restore replaced stays for an undo.
const DefaultGrace = 24 * time.Hour

// Part is what of a backup is restored.
type Part string

// The parts.
const (
	Whole        Part = ""
	FilesOnly    Part = "files"    // they go on with the live database
	DatabaseOnly Part = "database" // the live files go on with it
	Drill        Part = "drill"    // both, into a scratch place that goes again; the site is not touched
	Selected     Part = "selected" // some paths and some tables; everything else stays
)

// Request is what somebody asked for. It holds no secret.
type Request struct {
	Site   string
	Backup string // an id
	Grace  time.Duration
	Part   Part `json:",omitempty"`
	// Names and globs, with Selected. Those of paths are of any bytes.
	Paths  [][]byte `json:",omitempty"`
	Tables []string `json:",omitempty"`
	// Deploy asks for another site than that of the backup.
	Deploy *Deployment `json:",omitempty"`
	// Migrate asks for another place. Backup is then only what is looked at before the last one is made.
	Migrate *Place `json:",omitempty"`
}

// Basis is everything a plan is made from. It is the memo of the first step, so
// that a restarted master makes the very same plan again.
type Basis struct {
	Site        model.Site // as it was when the restore began
	Part        Part       `json:",omitempty"`
	Backup      string
	Format      string
	Digest      string
	TreeBytes   uint64 // of the tar stream
	DumpBytes   uint64
	Entries     uint64
	HasDump     bool
	Charset     string
	Collation   string
	Collations  []string
	PageStatus  int           // what the site answered when it was backed up; see backup.Facts
	NewDatabase string        // name of the new database and of its user
	NewHost     string        // host:port of the database server for web servers
	Grace       time.Duration // 0: what was replaced goes at once
	// With Selected: what the names and globs mean in the backup. TreeBytes, Entries and DumpBytes are theirs then.
	Paths  [][]byte `json:",omitempty"` // "./a/b"
	Tables []string `json:",omitempty"`
	// ChosenViews are those whose definitions are replaced; "Views" was another thing in older journals.
	ChosenViews []string `json:",omitempty"`
	Bare        []string `json:",omitempty"` // tables without rows in the backup that globs match; they stay as they are
	Carry       bool     `json:",omitempty"` // the settings file is among the paths
	// Of a deployment: New sites are not recorded before the commit, and with MoveTables the database is told of Move.
	New        bool       `json:",omitempty"`
	Move       model.Move `json:",omitzero"`
	MoveTables bool       `json:",omitempty"`
	// Of a migration: the site as it was. Site is it as it will be, recorded with the commit.
	From *model.Site `json:",omitempty"`
	// Ahead sends files while the site serves; older journals have no such step.
	Ahead bool `json:",omitempty"`
}

// WithDatabase reports whether the restore brings a database back.
func (b *Basis) WithDatabase() bool {
	return b.HasDump && b.Site.DBServer != "" && b.Part != FilesOnly && b.Part != Selected
}

// WithFiles reports whether the restore brings files back.
func (b *Basis) WithFiles() bool { return b.Part != DatabaseOnly && b.Part != Selected }

// WithPaths reports whether the restore brings single paths back.
func (b *Basis) WithPaths() bool { return len(b.Paths) > 0 }

// WithTables reports whether the restore brings single tables or views back.
func (b *Basis) WithTables() bool { return len(b.Tables)+len(b.ChosenViews) > 0 }

// Sites is the inventory as restores need it.
type Sites interface {
	Site(ctx context.Context, name string) (model.Site, error)
	// SitesUsingDatabase names the sites that are recorded as using a database.
	SitesUsingDatabase(ctx context.Context, server, database string) ([]string, error)
	// RootFree refuses (errs.Exists) a directory that is another site's, lies in it or around it.
	RootFree(ctx context.Context, site model.Site) error
}

// Backups are what restores read, and what they make before they touch anything.
type Backups interface {
	Backup(ctx context.Context, id string) (model.Backup, error)
	Open(ctx context.Context, b *model.Backup) (*backup.Tarball, error)
	// Newest finds the site's newest backup, whatever it was made for; nil if there is none.
	Newest(ctx context.Context, site string) (*model.Backup, error)
	// Safety backs up the site as it is, whatever its state, and pins the backup. Calls with the same task give one backup.
	Safety(ctx context.Context, site *model.Site, task, description string, log Log) (*model.Backup, error)
	// Final is Safety for a site that goes on with it elsewhere: what cannot be backed up fails it.
	Final(ctx context.Context, site *model.Site, task, description string, log Log) (*model.Backup, error)
	// SafetyOf finds the backup that Safety or Final made for a task; nil if there is none.
	SafetyOf(ctx context.Context, site, task string) (*model.Backup, error)
	UnpinSafety(ctx context.Context, site, task string) error
}

// Log is where a task's lines go; *tasks.Run is one.
type Log interface {
	Log(level model.Level, format string, args ...any)
	Warn(format string, args ...any)
	Progress(step string, done, total, files int64)
}

// Deps are what a Restorer works with.
type Deps struct {
	Agents   Agents
	Sites    Sites
	Backups  Backups
	Journals Journals
	Graces   Graces
	Drills   Drills       // nil: there are none
	History  History      // nil: nothing is on record
	Copies   Copier       // for clones
	Engine   saga.Options // Observer, Temporary and Now are filled in
	Now      func() time.Time
	// RetryFor is how long an upload whose connection broke is tried again without getting on. 0: not beyond the
	// engine's own patience.
	RetryFor time.Duration
	// Serving ends when the master stops: nothing waits for an agent any longer then. Nil: it never does.
	Serving context.Context
}

// Restorer makes plans and runs them.
type Restorer struct{ deps Deps }

// New returns a Restorer.
func New(d Deps) *Restorer { return &Restorer{deps: d} }

// run is one restore while this process works on it.
type run struct {
	task     string
	basis    Basis
	agents   Agents
	sites    Sites
	backups  Backups
	log      Log
	password dbdump.Secret
	parallel int // web servers at the same time; 0: all
	lease    *lease.Keeper
	meter    *meter
	outcome  *Outcome
	graces   Graces
	backlog  backlog // servers on which an undo has not been possible yet
	stale    perServer[string]
	told     told
	mending  mending
	retryFor time.Duration
	now      func() time.Time
	pause    func(ctx context.Context, d time.Duration) error
}

// Outcome is what a task's result tells.
type Outcome struct {
	Backup       string        `json:"backup,omitempty"`
	SafetyBackup string        `json:"safety_backup,omitempty"`
	Downtime     time.Duration `json:"downtime,omitempty"`
	Due          time.Time     `json:"due,omitzero"` // until when it can be undone
}

func (o *Outcome) setSafety(id string) { o.SafetyBackup = id }

// Plan looks a request up and says what would be done. It changes nothing.
func (r *Restorer) Plan(ctx context.Context, task string, q Request) (*Basis, error) {
	switch {
	case q.Deploy != nil:
		return r.planDeployment(ctx, task, q)
	case q.Migrate != nil:
		return r.planMigration(ctx, task, q)
	}
	site, err := r.deps.Sites.Site(ctx, q.Site)
	if err != nil {
		return nil, err
	}
	b, err := r.deps.Backups.Backup(ctx, q.Backup)
	if err != nil {
		return nil, err
	}
	if b.Site != site.Name {
		return nil, errs.New(errs.Usage, "list the site's own with: sitekeep backups "+site.Name,
			"backup %s is one of %s, not of %s", b.ID, b.Site, site.Name)
	}
	return r.basis(ctx, task, q, &site, &b)
}

func (r *Restorer) basis(ctx context.Context, task string, q Request, site *model.Site, b *model.Backup) (*Basis, error) {
	t, err := r.deps.Backups.Open(ctx, b)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	f := t.Facts()
	if f.Digest != b.Digest {
		return nil, errs.New(errs.Corrupt, "check it with: sitekeep check "+b.ID+"; restore another backup",
			"backup %s is not the one that was recorded: its digest is %s, not %s", b.ID, f.Digest, b.Digest)
	}
	out := &Basis{
		Site: *site, Backup: b.ID, Format: b.Format, Digest: f.Digest, TreeBytes: f.TreeBytes, DumpBytes: f.DumpBytes,
		Entries: f.Entries, HasDump: f.HasDump, Charset: f.Charset, Collation: f.Collation, Collations: f.Collations,
		PageStatus: f.PageStatus, NewDatabase: databaseName(site.Name, task), Grace: q.Grace, Part: q.Part,
	}
	if err := errors.Join(out.check(), out.checkPasswords(f.Blanked)); err != nil {
		return nil, err
	}
	if q.Part == Selected {
		if err := r.choose(ctx, out, q, t); err != nil {
			return nil, err
		}
	}
	return out, r.findDatabaseServer(ctx, out)
}

// findDatabaseServer learns under which address web servers reach the database server.
func (r *Restorer) findDatabaseServer(ctx context.Context, b *Basis) error {
	if !b.WithDatabase() && !b.WithTables() {
		return nil
	}
	db, err := r.deps.Agents.DB(ctx, b.Site.DBServer)
	if err != nil {
		return err
	}
	info, err := db.Info(ctx)
	b.NewHost = info.DatabaseAddress
	return err
}

// checkPasswords refuses files whose blanked settings nothing would write a password into.
func (b *Basis) checkPasswords(blanked []string) error {
	if len(blanked) == 0 || !b.WithFiles() || b.WithDatabase() || b.carries() || b.Part == Drill {
		return nil
	}
	return errs.New(errs.Precondition, "name the site's database server, or take the files out of the tarball and write the password yourself",
		"in backup %s the password in %s is blanked, and %s has no database server whose password could be written there",
		b.Backup, strings.Join(blanked, ", "), b.Site.Name)
}

// check refuses what no plan can be made of.
func (b *Basis) check() error {
	switch {
	case b.Part == DatabaseOnly && b.Site.DBServer == "":
		return errs.New(errs.Precondition, "restore its files: sitekeep restore "+b.Site.Name+" "+b.Backup,
			"site %s has no database server", b.Site.Name)
	case b.Site.DBServer != "" && !b.HasDump && b.Part != FilesOnly && b.Part != Selected:
		return errs.New(errs.Precondition, "restore another backup, or the files alone with --files-only; sitekeep ls shows what is in one",
			"backup %s holds no database, and %s has one", b.Backup, b.Site.Name)
	}
	return nil
}

// databaseName ends with the last letters of the task, which are random: a name is never used twice.
func databaseName(site, task string) string {
	const suffix = 6
	tail := strings.ToLower(task)
	if len(tail) > suffix {
		tail = tail[len(tail)-suffix:]
	}
	return dbdump.DatabaseName(site, tail)
}

func (r *run) ref() model.SiteRef { return r.basis.Site.Ref() }

// withTarball opens the backup for f.
func (r *run) withTarball(ctx context.Context, f func(*backup.Tarball) error) error {
	b, err := r.backups.Backup(ctx, r.basis.Backup)
	if err != nil {
		return err
	}
	t, err := r.backups.Open(ctx, &b)
	if err != nil {
		return fmt.Errorf("backup %s: %w", b.ID, err)
	}
	defer t.Close()
	return f(t)
}

// stagingDir is where an agent stages; see the comment of TreeService.
func (r *run) stagingDir() string {
	return path.Join(path.Dir(r.basis.Site.Root), ".sitekeep-"+r.task)
}

func (r *run) stagedPath() string { return path.Join(r.stagingDir(), path.Base(r.basis.Site.Root)) }
