// Package verify brings a site's surroundings into the state that its kind and
// the inventory want: permissions, vhost, and a page and a database that
// answer. It touches neither the site's content nor its settings.
package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// Web is the agent of a web server.
type Web interface {
	CheckPermissions(ctx context.Context, site model.SiteRef, mend bool) (model.Permissions, error)
	vhosts
	probes
}

type vhosts interface {
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
	var found []error
	for _, server := range site.WebServers {
		if err := v.server(ctx, t, &site, server); err != nil {
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

func (v *Verifier) server(ctx context.Context, t *tasks.Run, site *model.Site, server string) error {
	web, err := v.Agents.Web(ctx, server)
	if err != nil {
		return err
	}
	if err := v.permissions(ctx, t, web, site, server); err != nil {
		return err
	}
	if site.Vhost == model.VhostManaged {
		if err := v.vhost(ctx, t, web, site, server); err != nil {
			return err
		}
	}
	if err := v.database(ctx, t, web, site, server); err != nil {
		return err
	}
	return v.page(ctx, t, web, site, server)
}

func (v *Verifier) permissions(ctx context.Context, t *tasks.Run, web Web, site *model.Site, server string) error {
	p, err := web.CheckPermissions(ctx, site.Ref(), true)
	if err != nil {
		return err
	}
	for _, d := range p.Differences {
		t.Log(model.LevelInfo, "%s: mended: %s", server, d)
	}
	if rest := p.Count - int64(len(p.Differences)); rest > 0 {
		t.Log(model.LevelInfo, "%s: mended %d more", server, rest)
	}
	return nil
}

// vhost leaves what was there if the configuration test fails.
func (v *Verifier) vhost(ctx context.Context, t *tasks.Run, web Web, site *model.Site, server string) error {
	warning, err := web.WriteVhost(ctx, site.Ref(), t.Task.ID)
	if err != nil {
		return errors.Join(err, web.RevertVhost(context.WithoutCancel(ctx), site.Ref(), t.Task.ID))
	}
	if warning != "" {
		t.Warn("%s: %s", server, warning)
	}
	t.Log(model.LevelInfo, "%s: the vhost is written and serves", server)
	return web.ForgetVhost(ctx, site.Ref(), t.Task.ID)
}

func (v *Verifier) database(ctx context.Context, t *tasks.Run, web Web, site *model.Site, server string) error {
	if site.DBServer == "" {
		return nil
	}
	p, err := web.ProbeDatabase(ctx, site.Ref())
	if err != nil {
		return err
	}
	switch {
	case p.Problem != "":
		t.Warn("%s: database: %s", server, p.Problem)
	case p.Settings.Name != site.Database.Name:
		t.Warn("%s: the settings name the database %q, the inventory %q; a restore will not drop either", server, p.Settings.Name, site.Database.Name)
	default:
		t.Log(model.LevelInfo, "%s: the database %s answers, with %d tables", server, p.Settings.Name, p.Tables)
	}
	return nil
}

func (v *Verifier) page(ctx context.Context, t *tasks.Run, web Web, site *model.Site, server string) error {
	p, err := web.ProbeSite(ctx, site.Ref(), "", "/")
	if err != nil {
		return err
	}
	if p.Status == 0 {
		return errs.New(errs.Failed, "look at the web server's log there", "the page does not answer: %s", p.Problem)
	}
	if p.Problem != "" {
		t.Warn("%s: page: %s", server, p.Problem)
		return nil
	}
	t.Log(model.LevelInfo, "%s: the page answers %d (%d bytes)", server, p.Status, p.BodyBytes)
	return nil
}
