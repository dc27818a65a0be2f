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
}

type treeWriter interface {
	// WriteTree makes the task's staged tree anew and returns its inode and warnings.
	WriteTree(ctx context.Context, site model.SiteRef, task, format string, frames Frames) (inode uint64, warnings []string, err error)
}

type settings interface {
	// ReadSettings reads the live tree's settings, or with a task the staged tree's. Nil: the kind keeps none.
	ReadSettings(ctx context.Context, site model.SiteRef, task string) (*model.DatabaseSettings, error)
	WriteSettings(ctx context.Context, site model.SiteRef, task string, s model.DatabaseSettings, password string) error
	ObserveAddress(ctx context.Context, databaseAddress string) (host string, err error)
}

type vhosts interface {
	WriteVhost(ctx context.Context, site model.SiteRef, task string) error
	RevertVhost(ctx context.Context, site model.SiteRef, task string) error
	ForgetVhost(ctx context.Context, site model.SiteRef, task string) error
}

type maintenance interface {
	BeginMaintenance(ctx context.Context, site model.SiteRef, task string, lease time.Duration) (warning string, err error)
	RenewMaintenance(ctx context.Context, site model.SiteRef, task string, lease time.Duration) error
	EndMaintenance(ctx context.Context, site model.SiteRef, task string) error
}

type prober interface {
	ProbeSite(ctx context.Context, site model.SiteRef, task, path string) (model.PageProbe, error)
	ProbeDatabase(ctx context.Context, site model.SiteRef) (model.DatabaseProbe, error)
	Reload(ctx context.Context) error
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
	settings
	vhosts
	maintenance
	prober
	permissions
}

type databases interface {
	InspectDatabase(ctx context.Context, name string, collations []string) (model.DatabaseState, error)
	CreateDatabase(ctx context.Context, db model.NewDatabase) error
	// DropDatabase drops a database and every account of the user. Either may be empty, or gone already.
	DropDatabase(ctx context.Context, name, user string) error
}

type importer interface {
	Import(ctx context.Context, db model.NewDatabase, format string, frames Frames) (model.ImportSummary, error)
}

// DB is the agent of a database server.
type DB interface {
	inspector
	databases
	importer
}

// Agents finds the agents of servers. Errors are of the kinds Unreachable, NotFound and Permission (revoked).
type Agents interface {
	Web(ctx context.Context, server string) (Web, error)
	DB(ctx context.Context, server string) (DB, error)
}
