package fleet

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// Agent calls one server's agent. Its methods say what the services of the agent API say.
type Agent struct {
	server   string
	brake    *rate.Limiter // nil: none
	info     agentv1.AgentServiceClient
	tree     agentv1.TreeServiceClient
	settings agentv1.SettingsServiceClient
	vhost    agentv1.VhostServiceClient
	database agentv1.DatabaseServiceClient
	finding  agentv1.DiscoveryServiceClient
	hooks    agentv1.HookServiceClient
}

func newAgent(server string, conn grpc.ClientConnInterface, brake *rate.Limiter) *Agent {
	return &Agent{
		server: server, brake: brake, info: agentv1.NewAgentServiceClient(conn), tree: agentv1.NewTreeServiceClient(conn),
		settings: agentv1.NewSettingsServiceClient(conn), vhost: agentv1.NewVhostServiceClient(conn),
		database: agentv1.NewDatabaseServiceClient(conn), finding: agentv1.NewDiscoveryServiceClient(conn),
		hooks: agentv1.NewHookServiceClient(conn),
	}
}

// quickCall bounds calls that move no bulk. Reloads and tests of configurations are the slowest of them.
const quickCall = 2 * time.Minute

// named adds the server to an error, and to one of reaching it what to do. A call that was broken off although its
// caller still waits was so by the end of the connection, or of the agent: either may come back.
func (a *Agent) named(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	broken := errs.Is(err, errs.Cancelled) && ctx.Err() == nil
	if broken || errs.Is(err, errs.Unreachable) && errs.HintOf(err) == "" {
		return errs.New(errs.Unreachable, "start sitekeep-agent there and look at: sitekeep server check "+a.server,
			"the agent of %s cannot be reached: %w", a.server, err)
	}
	return fmt.Errorf("agent of %s: %w", a.server, err)
}

// call runs one short call.
func call[Q, A any](ctx context.Context, a *Agent, f func(context.Context, Q, ...grpc.CallOption) (A, error), q Q) (A, error) {
	short, cancel := context.WithTimeout(ctx, quickCall)
	defer cancel()
	reply, err := f(short, q)
	return reply, a.named(ctx, err)
}

func ref(s model.SiteRef) *agentv1.SiteRef {
	return &agentv1.SiteRef{Name: s.Name, Kind: s.Kind, Root: s.Root, Docroot: s.Docroot, Aliases: s.Aliases, External: s.External,
		Maintenance: string(s.Maintenance)}
}

// Info asks the agent what it is, what it has and what is wrong there.
func (a *Agent) Info(ctx context.Context) (model.AgentInfo, error) { return a.getInfo(ctx, false) }

// BriefInfo asks the agent who it is, which costs it nothing: the version, its clock, its roles and what it may touch. An
// agent that is too old looks at all that Info tells.
func (a *Agent) BriefInfo(ctx context.Context) (model.AgentInfo, error) { return a.getInfo(ctx, true) }

func (a *Agent) getInfo(ctx context.Context, brief bool) (model.AgentInfo, error) {
	p, err := call(ctx, a, a.info.GetInfo, &agentv1.GetInfoRequest{Brief: brief})
	if err != nil {
		return model.AgentInfo{}, err
	}
	info := model.AgentInfo{
		Version: p.Version, Hostname: p.Hostname, Roles: p.Roles, Now: p.Now.AsTime(), Databases: p.Databases,
		Webserver: p.Webserver, DatabaseServer: p.DatabaseServer, DatabaseAddress: p.DatabaseAddress,
		DumpProgram: p.DumpProgram, CertNotAfter: p.CertificateNotAfter.AsTime(), Problems: p.Problems,
		Load: p.Load, Processors: p.Processors,
	}
	for _, r := range p.Roots {
		info.Roots = append(info.Roots, model.AllowedRoot{Path: r.Path, FreeBytes: r.FreeBytes, FreeInodes: r.FreeInodes})
	}
	return info, nil
}

// DetectSite finds out of what kind a directory is.
func (a *Agent) DetectSite(ctx context.Context, site model.SiteRef) (model.Detection, error) {
	p, err := call(ctx, a, a.settings.DetectSite, &agentv1.DetectSiteRequest{Site: ref(site)})
	if err != nil {
		return model.Detection{}, err
	}
	return model.Detection{Kind: p.Kind, Version: p.Version, Settings: settingsOf(p.Settings), Problem: p.Problem, RootExists: p.RootExists}, nil
}

func settingsOf(p *agentv1.DatabaseSettings) *model.DatabaseSettings {
	if p == nil {
		return nil
	}
	return &model.DatabaseSettings{Host: p.Host, Name: p.Name, User: p.User, File: p.File, RebuiltTables: p.RebuiltTables}
}

// ReadSettings reads the live settings, or with a task those of its staged tree; nil if the kind keeps none.
func (a *Agent) ReadSettings(ctx context.Context, site model.SiteRef, task string) (*model.DatabaseSettings, error) {
	p, err := call(ctx, a, a.settings.ReadSettings, &agentv1.ReadSettingsRequest{Site: ref(site), Task: task})
	if err != nil {
		return nil, err
	}
	return settingsOf(p.Settings), nil
}

// WriteSettings puts credentials into the settings of a staged tree.
func (a *Agent) WriteSettings(ctx context.Context, site model.SiteRef, task string, s model.DatabaseSettings, password string) error {
	_, err := call(ctx, a, a.settings.WriteSettings, &agentv1.WriteSettingsRequest{
		Site: ref(site), Task: task, Settings: &agentv1.DatabaseSettings{Host: s.Host, Name: s.Name, User: s.User}, Password: password,
	})
	return err
}

// CarrySettings puts the live settings' credentials into those of a staged tree.
func (a *Agent) CarrySettings(ctx context.Context, site model.SiteRef, task string) error {
	_, err := call(ctx, a, a.settings.CarrySettings, &agentv1.CarrySettingsRequest{Site: ref(site), Task: task})
	return err
}

// SwitchSettings puts credentials into the live settings and keeps the file as it was.
func (a *Agent) SwitchSettings(ctx context.Context, site model.SiteRef, task string, s model.DatabaseSettings, password string) error {
	_, err := call(ctx, a, a.settings.SwitchSettings, &agentv1.SwitchSettingsRequest{
		Site: ref(site), Task: task, Settings: &agentv1.DatabaseSettings{Host: s.Host, Name: s.Name, User: s.User}, Password: password,
	})
	return err
}

// RevertSettings brings back the file that SwitchSettings has kept.
func (a *Agent) RevertSettings(ctx context.Context, site model.SiteRef, task string) error {
	_, err := call(ctx, a, a.settings.RevertSettings, &agentv1.RevertSettingsRequest{Site: ref(site), Task: task})
	return err
}

// ObserveAddress tells as which host a database server sees this agent.
func (a *Agent) ObserveAddress(ctx context.Context, address string) (string, error) {
	p, err := call(ctx, a, a.settings.ObserveAddress, &agentv1.ObserveAddressRequest{Address: address})
	return p.GetHost(), err
}

// ProbeDatabase logs in as the live site would.
func (a *Agent) ProbeDatabase(ctx context.Context, site model.SiteRef) (model.DatabaseProbe, error) {
	p, err := call(ctx, a, a.settings.ProbeDatabase, &agentv1.ProbeDatabaseRequest{Site: ref(site)})
	if err != nil {
		return model.DatabaseProbe{}, err
	}
	out := model.DatabaseProbe{Problem: p.Problem, Tables: p.Tables, MissingPrivileges: p.MissingPrivileges}
	if s := settingsOf(p.Settings); s != nil {
		out.Settings = *s
	}
	return out, nil
}

// CheckPermissions compares modes and owners with what the kind wants.
func (a *Agent) CheckPermissions(ctx context.Context, site model.SiteRef, mend bool) (model.Permissions, error) {
	p, err := a.settings.CheckPermissions(ctx, &agentv1.CheckPermissionsRequest{Site: ref(site), Mend: mend})
	return model.Permissions{Differences: p.GetDifferences(), Count: p.GetCount()}, a.named(ctx, err)
}

// WriteVhost writes the managed vhost, tests and reloads. The warning says why PHP may go on with files as they were.
func (a *Agent) WriteVhost(ctx context.Context, site model.SiteRef, task string) (warning string, err error) {
	p, err := call(ctx, a, a.vhost.WriteVhost, &agentv1.WriteVhostRequest{Site: ref(site), Task: task})
	return p.GetWarning(), err
}

// CompareVhost says how the managed vhost differs from what WriteVhost would write.
func (a *Agent) CompareVhost(ctx context.Context, site model.SiteRef) (model.VhostDrift, error) {
	p, err := call(ctx, a, a.vhost.CompareVhost, &agentv1.CompareVhostRequest{Site: ref(site)})
	return model.VhostDrift{Reason: p.GetReason(), Lines: p.GetLines()}, err
}

// RevertVhost brings back what WriteVhost replaced.
func (a *Agent) RevertVhost(ctx context.Context, site model.SiteRef, task string) error {
	_, err := call(ctx, a, a.vhost.RevertVhost, &agentv1.RevertVhostRequest{Site: ref(site), Task: task})
	return err
}

// RemoveVhost removes a managed virtual host for good, and reloads.
func (a *Agent) RemoveVhost(ctx context.Context, site model.SiteRef) error {
	_, err := call(ctx, a, a.vhost.RemoveVhost, &agentv1.RemoveVhostRequest{Site: ref(site)})
	return err
}

// ForgetVhost removes what WriteVhost has kept.
func (a *Agent) ForgetVhost(ctx context.Context, site model.SiteRef, task string) error {
	_, err := call(ctx, a, a.vhost.ForgetVhost, &agentv1.ForgetVhostRequest{Site: ref(site), Task: task})
	return err
}

// BeginMaintenance makes the vhost answer 503.
func (a *Agent) BeginMaintenance(ctx context.Context, site model.SiteRef, task string, lease time.Duration) (model.Closing, error) {
	p, err := call(ctx, a, a.vhost.BeginMaintenance, &agentv1.BeginMaintenanceRequest{Site: ref(site), Task: task, Lease: durationpb.New(lease)})
	return model.Closing{Warning: p.GetWarning(), By: p.GetBy()}, err
}

// RenewMaintenance prolongs the lease; errs.NotFound when it has run out.
func (a *Agent) RenewMaintenance(ctx context.Context, site model.SiteRef, task string, lease time.Duration) error {
	_, err := call(ctx, a, a.vhost.RenewMaintenance, &agentv1.RenewMaintenanceRequest{Site: ref(site), Task: task, Lease: durationpb.New(lease)})
	return err
}

// EndMaintenance ends it if the task holds it.
func (a *Agent) EndMaintenance(ctx context.Context, site model.SiteRef, task string) error {
	_, err := call(ctx, a, a.vhost.EndMaintenance, &agentv1.EndMaintenanceRequest{Site: ref(site), Task: task})
	return err
}

// Reload tests the configuration and reloads web server and PHP. The warning is that of WriteVhost.
func (a *Agent) Reload(ctx context.Context) (warning string, err error) {
	p, err := call(ctx, a, a.vhost.Reload, &agentv1.ReloadRequest{})
	return p.GetWarning(), err
}

// ProbeSite asks the web server for a page, past the maintenance page of the task if one is named.
func (a *Agent) ProbeSite(ctx context.Context, site model.SiteRef, task, path string) (model.PageProbe, error) {
	p, err := call(ctx, a, a.vhost.ProbeSite, &agentv1.ProbeSiteRequest{Site: ref(site), Task: task, Path: path})
	if err != nil {
		return model.PageProbe{}, err
	}
	return model.PageProbe{
		Status: int(p.Status), Location: p.Location, BodyBytes: p.BodyBytes, Problem: p.Problem,
		Took: p.Took.AsDuration(), Maintenance: p.Maintenance,
	}, nil
}

// InspectTree looks at the live and the staged tree.
func (a *Agent) InspectTree(ctx context.Context, site model.SiteRef, task string) (model.TreeState, error) {
	p, err := call(ctx, a, a.tree.InspectTree, &agentv1.InspectTreeRequest{Site: ref(site), Task: task})
	return model.TreeState{
		LiveInode: p.GetLiveInode(), StagedInode: p.GetStagedInode(), FreeBytes: p.GetFreeBytes(), FreeInodes: p.GetFreeInodes(),
		Empty: p.GetEmpty(), NoParent: p.GetNoParent(),
	}, err
}

// ExchangeTree swaps the live and the staged tree.
func (a *Agent) ExchangeTree(ctx context.Context, site model.SiteRef, task string, liveInode, stagedInode uint64) error {
	_, err := call(ctx, a, a.tree.ExchangeTree, &agentv1.ExchangeTreeRequest{
		Site: ref(site), Task: task, LiveInode: liveInode, StagedInode: stagedInode,
	})
	return err
}

// RemoveStaging removes a task's staging directory. It may take long.
func (a *Agent) RemoveStaging(ctx context.Context, site model.SiteRef, task string, liveInode uint64) error {
	_, err := a.tree.RemoveStaging(ctx, &agentv1.RemoveStagingRequest{Site: ref(site), Task: task, LiveInode: liveInode})
	return a.named(ctx, err)
}

// InspectDatabase looks at a database.
func (a *Agent) InspectDatabase(ctx context.Context, name string, collations []string) (model.DatabaseState, error) {
	p, err := call(ctx, a, a.database.InspectDatabase, &agentv1.InspectDatabaseRequest{Name: name, Collations: collations})
	return databaseState(p), err
}

// CountRows looks at a database and counts the rows of every table. It may take long.
func (a *Agent) CountRows(ctx context.Context, name string) (model.DatabaseState, error) {
	p, err := a.database.InspectDatabase(ctx, &agentv1.InspectDatabaseRequest{Name: name, CountRows: true})
	return databaseState(p), a.named(ctx, err)
}

func databaseState(p *agentv1.InspectDatabaseResponse) model.DatabaseState {
	return model.DatabaseState{
		Exists: p.GetExists(), Charset: p.GetCharset(), Collation: p.GetCollation(), Tables: tables(p.GetTables()), Bytes: p.GetBytes(),
		FreeBytes: p.GetFreeBytes(), Server: p.GetServer(), UnknownCollations: p.GetUnknownCollations(),
	}
}

func tables(list []*agentv1.TableInfo) []model.Table {
	var out []model.Table
	for _, t := range list {
		out = append(out, model.Table{Name: t.Name, View: t.View, Rows: t.Rows, Engine: t.Engine, Checksum: t.Checksum, StructureOnly: t.StructureOnly})
	}
	return out
}

// CreateDatabase makes a database with its user.
func (a *Agent) CreateDatabase(ctx context.Context, db model.NewDatabase) error {
	_, err := call(ctx, a, a.database.CreateDatabase, &agentv1.CreateDatabaseRequest{
		Name: db.Name, Charset: db.Charset, Collation: db.Collation, User: db.User, Password: db.Password, Hosts: db.Hosts, Adopt: db.Adopt,
	})
	return err
}

// DropDatabase drops a database and the accounts of the user that have no rights elsewhere. The warnings name those it
// leaves. It may take long.
func (a *Agent) DropDatabase(ctx context.Context, name, user string) (warnings []string, err error) {
	p, err := a.database.DropDatabase(ctx, &agentv1.DropDatabaseRequest{Name: name, User: user})
	return p.GetWarnings(), a.named(ctx, err)
}
