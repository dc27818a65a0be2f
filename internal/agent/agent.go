// Package agent serves what a master asks of a web or database server: trees,
// settings, virtual hosts and databases, through the packages under pkg/. It
// keeps no backup data and no inventory, and touches nothing that its
// allow-list (package guard) has not passed. It refuses to know what a backup,
// a restore or a task is for, and how connections are made.
package agent

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/agent/gentle"
	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/agent/staging"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	"github.com/sitekeep/sitekeep/pkg/webserver"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// Options are what an Agent is made of.
type Options struct {
	Config *config.Config
	// Name of the server and its roles, as the master gave them.
	Name  string
	Roles []model.Role
	// Host is where other servers reach this one; empty if nobody knows.
	Host string
	// CertificateNotAfter tells the end of the certificate; nil: nobody knows.
	CertificateNotAfter func() time.Time
	Version             string
	Log                 hclog.Logger
	// Gate says how backups give way to visitors; nil: they need not.
	Gate *gentle.Gate
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Agent is one server's agent. Its services may be called at the same time.
type Agent struct {
	opts   Options
	cfg    *config.Config
	log    hclog.Logger
	now    func() time.Time
	guard  *guard.List
	stager staging.Stager
	web    *webserver.Server // nil without a section webserver
	gate   *gentle.Gate
}

// New makes an agent. It changes nothing yet; templates that cannot be used are logged.
func New(o Options) (*Agent, error) {
	a := &Agent{opts: o, cfg: o.Config, log: o.Log, now: o.Now, gate: o.Gate}
	if a.now == nil {
		a.now = time.Now
	}
	a.guard = guard.New(a.cfg.Allow.Roots, a.cfg.Allow.Databases, dbdump.IsSystemDatabase)
	if a.cfg.Webserver == nil {
		return a, nil
	}
	var err error
	if a.web, err = webserver.New(*a.cfg.Webserver, webserver.Deps{Now: a.now, SwitchOff: a.switchOff}); err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	if err := a.web.CheckTemplates(); err != nil { // The sites that need none of them are served all the same.
		a.log.Error("templates of virtual hosts cannot be used; correct them", "error", err)
	}
	return a, nil
}

func (a *Agent) hasRole(r model.Role) bool { return slices.Contains(a.opts.Roles, r) }

// webServer returns the web server, or what to do where there is none.
func (a *Agent) webServer() (*webserver.Server, error) {
	if a.web == nil {
		return nil, errs.New(errs.Precondition, "add the section webserver to agent.yaml there and restart sitekeep-agent",
			"agent.yaml of server %s has no section webserver", a.opts.Name)
	}
	return a.web, nil
}

// site checks a reference against the allow-list: nothing is touched without.
func (a *Agent) site(ref *agentv1.SiteRef) (*guard.Site, error) {
	return a.guard.Site(model.SiteRef{
		Name: ref.GetName(), Kind: ref.GetKind(), Root: ref.GetRoot(), Docroot: ref.GetDocroot(), Aliases: ref.GetAliases(),
	})
}

// siteAndTask is site for calls that name a task.
func (a *Agent) siteAndTask(ref *agentv1.SiteRef, task string) (*guard.Site, error) {
	if err := guard.CheckTask(task); err != nil {
		return nil, err
	}
	return a.site(ref)
}
