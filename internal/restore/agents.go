package restore

import (
	"context"
	"iter"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// Frames is a run of frames out of a tarball, in its order.
type Frames = iter.Seq2[*archive.Frame, error]

type trees interface {
	InspectTree(ctx context.Context, site model.SiteRef, task string) (model.TreeState, error)
	ExchangeTree(ctx context.Context, site model.SiteRef, task string, liveInode, stagedInode uint64) error
	RemoveStaging(ctx context.Context, site model.SiteRef, task string, liveInode uint64) error
	// CompareTree says how the live tree differs from a backup's index. It names so many paths of each sort. If only names
	// any, only they and what is below them count.
	CompareTree(ctx context.Context, site model.SiteRef, only [][]byte, paths int, index iter.Seq2[archive.BaseFrame, error]) (model.TreeDifferences, error)
}

type treeWriter interface {
	// WriteTree makes the task's staged tree anew, out of frames alone, and returns its inode and warnings.
	WriteTree(ctx context.Context, site model.SiteRef, task, format string, frames Frames) (inode uint64, warnings []string, err error)
	// WriteDelta makes the task's staged tree out of the live one, if there is one, and those frames that hold what is not
	// in it. If the connection breaks, the next call of the task goes on with what has come.
	WriteDelta(ctx context.Context, site model.SiteRef, task, format string, from DeltaSource) (model.StagedTree, error)
}

// DeltaSource is a tarball whose tree is made out of a live one; see archive.Reader.
type DeltaSource = interface {
	WalkStarted() time.Time
	Counts() archive.Counts
	BaseFrames(base uint32) iter.Seq2[archive.BaseFrame, error]
	ReadRuns(ctx context.Context, runs []archive.FrameRun) iter.Seq2[archive.Frame, error]
	OtherEntries() iter.Seq2[archive.Entry, error]
	// Ahead says that the task has staged another tree like it already, whose files are moved where they are the same.
	Ahead() bool
}

type paths interface {
	// WritePaths makes a staged tree of some paths alone, with what is below them.
	WritePaths(ctx context.Context, site model.SiteRef, task, format string, paths [][]byte, frames Frames) (warnings []string, err error)
	// InspectPaths tells of each path what lies there; a directory above it that is missing stands for it.
	InspectPaths(ctx context.Context, site model.SiteRef, task string, paths [][]byte) ([]model.PathState, error)
	// ExchangePaths swaps them, or takes that back. It may be repeated.
	ExchangePaths(ctx context.Context, site model.SiteRef, task string, paths []model.PathState, back bool) error
}

type settings interface {
	// ReadSettings reads the live tree's settings, or with a task the staged tree's. Nil: the kind keeps none.
	ReadSettings(ctx context.Context, site model.SiteRef, task string) (*model.DatabaseSettings, error)
	ObserveAddress(ctx context.Context, databaseAddress string) (host string, err error)
}

type stagedSettings interface {
	WriteSettings(ctx context.Context, site model.SiteRef, task string, s model.DatabaseSettings, password string) error
	// CarrySettings puts the live credentials into the staged settings. No password comes here.
	CarrySettings(ctx context.Context, site model.SiteRef, task string) error
}

type liveSettings interface {
	// SwitchSettings puts credentials into the live settings and keeps the old file in the task's staging directory.
	SwitchSettings(ctx context.Context, site model.SiteRef, task string, s model.DatabaseSettings, password string) error
	// RevertSettings brings the kept file back. Without one it does nothing.
	RevertSettings(ctx context.Context, site model.SiteRef, task string) error
}

type vhosts interface {
	// WriteVhost gives a warning if PHP may go on with files as they were.
	WriteVhost(ctx context.Context, site model.SiteRef, task string) (warning string, err error)
	RevertVhost(ctx context.Context, site model.SiteRef, task string) error
	ForgetVhost(ctx context.Context, site model.SiteRef, task string) error
	// RemoveVhost removes a managed one for good. One that is gone already is no error.
	RemoveVhost(ctx context.Context, site model.SiteRef) error
}

type maintenance interface {
	BeginMaintenance(ctx context.Context, site model.SiteRef, task string, lease time.Duration) (model.Closing, error)
	RenewMaintenance(ctx context.Context, site model.SiteRef, task string, lease time.Duration) error
	EndMaintenance(ctx context.Context, site model.SiteRef, task string) error
}

type mover interface {
	// RewriteSettings puts a new name and directory into the staged settings, and names the settings that changed.
	RewriteSettings(ctx context.Context, site model.SiteRef, task string, m model.Move) (changed []string, err error)
	InspectVhost(ctx context.Context, site model.SiteRef) (model.VhostState, error)
}

type prober interface {
	ProbeSite(ctx context.Context, site model.SiteRef, task, path string) (model.PageProbe, error)
	ProbeDatabase(ctx context.Context, site model.SiteRef) (model.DatabaseProbe, error)
	// Reload gives a warning if PHP may go on with files as they were.
	Reload(ctx context.Context) (warning string, err error)
}

type inspector interface {
	Info(ctx context.Context) (model.AgentInfo, error)
}

type permissions interface {
	CheckPermissions(ctx context.Context, site model.SiteRef, mend bool) (model.Permissions, error)
}

// Web is the agent of a web server.
type Web interface {
	inspector
	trees
	treeWriter
	paths
	settings
	stagedSettings
	liveSettings
	vhosts
	maintenance
	prober
	permissions
	mover
}

type databases interface {
	InspectDatabase(ctx context.Context, name string, collations []string) (model.DatabaseState, error)
	// CountRows counts the rows of every table, which may take long.
	CountRows(ctx context.Context, name string) (model.DatabaseState, error)
	CreateDatabase(ctx context.Context, db model.NewDatabase) error
	// DropDatabase drops a database and the accounts of the user that have no rights elsewhere; it tells of those it
	// leaves. Either may be empty, or gone already.
	DropDatabase(ctx context.Context, name, user string) (warnings []string, err error)
}

type importer interface {
	Import(ctx context.Context, db model.NewDatabase, format string, frames Frames) (model.ImportSummary, error)
}

type dumper interface {
	// Dump streams a database up; see backup.DB.
	Dump(ctx context.Context, r model.DumpRequest, base iter.Seq2[archive.BaseDumpFrame, error],
		emit func(ctx context.Context, item archive.Item) error) (model.DumpSummary, archive.Summary, error)
}

type tables interface {
	// InspectTables tells of each table what is there.
	InspectTables(ctx context.Context, database string, tables []string) ([]model.TableDetail, error)
	// ExchangeTables puts tables of one database in place of those of another, or takes that back. It may be repeated.
	ExchangeTables(ctx context.Context, x model.TableExchange) error
	// RewriteTables puts a new name and directory into a database that was just imported. It must not be repeated.
	RewriteTables(ctx context.Context, db model.NewDatabase, m model.Move) (tables []model.RewrittenTable, warnings []string, err error)
}

// DB is the agent of a database server.
type DB interface {
	inspector
	databases
	importer
	dumper
	tables
}

// Agents finds the agents of servers. Errors are of the kinds Unreachable, NotFound and Permission (revoked).
type Agents interface {
	Web(ctx context.Context, server string) (Web, error)
	DB(ctx context.Context, server string) (DB, error)
}
