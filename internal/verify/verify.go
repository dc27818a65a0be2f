// Package verify brings a site's surroundings into the state that its kind and
// the inventory want: permissions, vhost, and a page and a database that
// answer. It touches neither the site's content nor its settings.
package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// Web is the agent of a web server.
type Web interface {
	CheckPermissions(ctx context.Context, site model.SiteRef, mend bool) (model.Permissions, error)
	vhosts
	probes
	maintenance
}

type maintenance interface {
	// BeginMaintenance keeps visitors out in a holder's name. A warning says why they may get through.
	BeginMaintenance(ctx context.Context, site model.SiteRef, holder string, lease time.Duration) (model.Closing, error)
	EndMaintenance(ctx context.Context, site model.SiteRef, holder string) error
}

type vhosts interface {
	CompareVhost(ctx context.Context, site model.SiteRef) (model.VhostDrift, error)
	WriteVhost(ctx context.Context, site model.SiteRef, task string) (warning string, err error)
	RevertVhost(ctx context.Context, site model.SiteRef, task string) error
	ForgetVhost(ctx context.Context, site model.SiteRef, task string) error
}

type probes interface {
	ProbeSite(ctx context.Context, site model.SiteRef, task, path string) (model.PageProbe, error)
	ProbeDatabase(ctx context.Context, site model.SiteRef) (model.DatabaseProbe, error)
}

// Agents finds the agents of web servers.
type Agents interface {
	Web(ctx context.Context, server string) (Web, error)
}

// Sites is the inventory.
type Sites interface {
	Site(ctx context.Context, name string) (model.Site, error)
	// StuckTask names a task that has left the site half done and needs an operator; "" if there is none.
	StuckTask(ctx context.Context, site string) (string, error)
}

// Verifier is made of its parts.
type Verifier struct {
	Agents Agents
	Sites  Sites
}

// Request is what somebody asked for.
type Request struct {
	DryRun bool `json:",omitempty"` // say what would be mended, and change nothing
}

// check is one verification of a site on one of its servers.
type check struct {
	*tasks.Run
	web    Web
	site   *model.Site
	server string
	dryRun bool
}

// Handle is the handler of verify tasks. What is wrong with the site itself is
// a warning: verify is how an operator finds out.
func (v *Verifier) Handle(ctx context.Context, t *tasks.Run) (any, error) {
	site, err := v.Sites.Site(ctx, t.Task.Site)
	if err != nil {
		return nil, err
	}
	if err := v.mended(ctx, site.Name); err != nil {
		return nil, err
	}
	var q Request
	if err := t.Spec(&q); err != nil {
		return nil, err
	}
	var found []error
	for _, server := range site.WebServers {
		if err := v.server(ctx, &check{Run: t, site: &site, server: server, dryRun: q.DryRun}); err != nil {
			found = append(found, fmt.Errorf("server %s: %w", server, err))
		}
	}
	return struct{}{}, errors.Join(found...)
}

// mended refuses a site that a restore has left half done: what is right for it is for that to say.
func (v *Verifier) mended(ctx context.Context, site string) error {
	id, err := v.Sites.StuckTask(ctx, site)
	if err != nil || id == "" {
		return err
	}
	return errs.New(errs.Precondition, "do what the end of this says: sitekeep task log "+id+", then: sitekeep task retry "+id,
		"task %s on site %s needs an operator first", id, site)
}

func (v *Verifier) server(ctx context.Context, c *check) (err error) {
	if c.web, err = v.Agents.Web(ctx, c.server); err != nil {
		return err
	}
	steps := []func(context.Context) error{c.permissions}
	switch managed := c.site.Vhost == model.VhostManaged; {
	case c.dryRun && managed:
		steps = append(steps, c.compareVhost)
	case managed:
		steps = append(steps, c.vhost, c.access)
	case !c.dryRun:
		steps = append(steps, c.access)
	}
	for _, step := range append(steps, c.database, c.page) {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) ref() model.SiteRef { return c.site.Ref() }

// drifted says what is not as it should be and stays so.
func (c *check) drifted(format string, args ...any) {
	c.Warn("%s: %s", c.server, fmt.Sprintf(format, args...))
}

func (c *check) permissions(ctx context.Context) error {
	p, err := c.web.CheckPermissions(ctx, c.ref(), !c.dryRun)
	if err != nil {
		return err
	}
	rest := p.Count - int64(len(p.Differences))
	if c.dryRun {
		for _, d := range p.Differences {
			c.drifted("would mend: %s", d)
		}
		if rest > 0 {
			c.drifted("would mend %d more", rest)
		}
		return nil
	}
	for _, d := range p.Differences {
		c.Log(model.LevelInfo, "%s: mended: %s", c.server, d)
	}
	if rest > 0 {
		c.Log(model.LevelInfo, "%s: mended %d more", c.server, rest)
	}
	return nil
}

// compareVhost says what vhost would write.
func (c *check) compareVhost(ctx context.Context) error {
	drift, err := c.web.CompareVhost(ctx, c.ref())
	if err != nil || drift.Reason == "" {
		return err
	}
	c.drifted("%s", drift.Reason)
	for _, line := range drift.Lines {
		c.Log(model.LevelInfo, "%s:   %s", c.server, line)
	}
	return nil
}

// vhost leaves what was there if the configuration test fails.
func (c *check) vhost(ctx context.Context) error {
	warning, err := c.web.WriteVhost(ctx, c.ref(), c.Task.ID)
	if err != nil {
		return errors.Join(err, c.web.RevertVhost(context.WithoutCancel(ctx), c.ref(), c.Task.ID))
	}
	if warning != "" {
		c.drifted("%s", warning)
	}
	c.Log(model.LevelInfo, "%s: the vhost is written and serves", c.server)
	return c.web.ForgetVhost(ctx, c.ref(), c.Task.ID)
}

// access keeps visitors out of a site that is recorded as disabled, and of no other.
func (c *check) access(ctx context.Context) error {
	if !c.site.Disabled {
		return c.web.EndMaintenance(ctx, c.ref(), model.HolderDisabled)
	}
	closing, err := c.web.BeginMaintenance(ctx, c.ref(), model.HolderDisabled, model.Forever)
	if closing.Warning != "" {
		c.drifted("the site is disabled, and visitors may get through: %s", closing.Warning)
	}
	c.closedBy(closing)
	return err
}

// closedBy says what keeps visitors out where that is not the virtual host.
func (c *check) closedBy(closing model.Closing) {
	if closing.By != "" {
		c.Log(model.LevelInfo, "%s: visitors are kept out by %s", c.server, closing.By)
	}
}

func (c *check) database(ctx context.Context) error {
	if c.site.DBServer == "" {
		return nil
	}
	p, err := c.web.ProbeDatabase(ctx, c.ref())
	if err != nil {
		return err
	}
	switch {
	case p.Problem != "":
		c.drifted("database: %s", p.Problem)
	case p.Settings.Name != c.site.Database.Name:
		c.drifted("the settings name the database %q, the inventory %q; a restore will not drop either", p.Settings.Name, c.site.Database.Name)
	case len(p.MissingPrivileges) > 0:
		c.drifted("the user %s may not %s in the database %s; grant it as its administrator: GRANT ALL PRIVILEGES ON `%s`.* TO that account",
			p.Settings.User, strings.Join(p.MissingPrivileges, ", "), p.Settings.Name, p.Settings.Name)
	default:
		c.Log(model.LevelInfo, "%s: the database %s answers, with %d tables", c.server, p.Settings.Name, p.Tables)
	}
	return nil
}

func (c *check) page(ctx context.Context) error {
	p, err := c.web.ProbeSite(ctx, c.ref(), "", "/")
	if err != nil {
		return err
	}
	if p.Status == 0 {
		return errs.New(errs.Failed, "look at the web server's log there", "the page does not answer: %s", p.Problem)
	}
	switch {
	case p.Maintenance && c.site.Disabled:
		c.Log(model.LevelInfo, "%s: the site is disabled; visitors get the maintenance page", c.server)
		return nil
	case c.site.Disabled:
		c.drifted("page: answers %d to this machine, though the site is disabled: it is let in by maintenance_allow of agent.yaml, "+
			"or the virtual host does not keep visitors out", p.Status)
		return nil
	case p.Problem != "":
		c.drifted("page: %s", p.Problem)
		return nil
	}
	c.Log(model.LevelInfo, "%s: the page answers %d (%d bytes)", c.server, p.Status, p.BodyBytes)
	return nil
}
