package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// Register is the inventory in which it stands whether a site is offline.
type Register interface {
	Sites
	UpdateSite(ctx context.Context, name string, change func(*model.Site) error) (model.Site, error)
}

// Switch takes sites offline, and lets visitors in again.
type Switch struct {
	Agents Agents
	Sites  Register
}

// Disable is the handler of disable tasks. It may be repeated: what an interrupted one has closed stays closed. Where
// visitors cannot be kept out on one of the site's web servers, those that were closed are opened, and nothing is recorded.
func (s *Switch) Disable(ctx context.Context, t *tasks.Run) (any, error) {
	return s.turn(ctx, t, true, s.shut, s.open)
}

// Enable is the handler of enable tasks. It may be repeated. If one of the site's web servers cannot be reached, the others
// are closed again.
func (s *Switch) Enable(ctx context.Context, t *tasks.Run) (any, error) {
	return s.turn(ctx, t, false, s.open, s.shut)
}

// onServer is what is done on one web server.
type onServer func(ctx context.Context, c *check) error

// turn does something on every web server, then records it; or undoes it where it was begun. Doing what is recorded already
// mends what somebody has changed by hand, and is not undone.
func (s *Switch) turn(ctx context.Context, t *tasks.Run, disabled bool, do, undo onServer) (any, error) {
	site, err := s.Sites.Site(ctx, t.Task.Site)
	if err != nil {
		return nil, err
	}
	var begun []string
	for _, server := range site.WebServers {
		begun = append(begun, server)
		if err = s.on(ctx, t, &site, server, do); err != nil {
			break
		}
	}
	if err == nil {
		_, err = s.Sites.UpdateSite(ctx, site.Name, func(now *model.Site) error { now.Disabled = disabled; return nil })
	}
	if err != nil && site.Disabled != disabled && !errors.Is(context.Cause(ctx), tasks.ErrShutdown) {
		err = s.back(context.WithoutCancel(ctx), t, &site, begun, undo, err)
	}
	if err != nil {
		return nil, err
	}
	return struct{}{}, s.look(ctx, t, site.Name)
}

func (s *Switch) on(ctx context.Context, t *tasks.Run, site *model.Site, server string, do onServer) error {
	web, err := s.Agents.Web(ctx, server)
	if err == nil {
		err = do(ctx, &check{Run: t, web: web, site: site, server: server})
	}
	if err != nil {
		return fmt.Errorf("server %s: %w", server, err)
	}
	return nil
}

// back undoes what was begun. A server on which that fails is named: its state is not the recorded one.
func (s *Switch) back(ctx context.Context, t *tasks.Run, site *model.Site, servers []string, undo onServer, cause error) error {
	for _, server := range servers {
		if err := s.on(ctx, t, site, server, undo); err != nil {
			t.Warn("%s may not be as it was; when the server answers: sitekeep site verify %s: %v", site.Name, site.Name, err)
		}
	}
	return cause
}

// shut keeps visitors out until open, and refuses where they would get through.
func (*Switch) shut(ctx context.Context, c *check) error {
	closing, err := c.web.BeginMaintenance(ctx, c.ref(), model.HolderDisabled, model.Forever)
	if err != nil || closing.Warning == "" {
		c.closedBy(closing)
		return err
	}
	return errs.New(errs.Precondition, "let its virtual host answer 503 during maintenance; see what this says: sitekeep site verify "+c.site.Name,
		"visitors cannot be kept out: %s", closing.Warning)
}

func (*Switch) open(ctx context.Context, c *check) error {
	return c.web.EndMaintenance(ctx, c.ref(), model.HolderDisabled)
}

// look asks for the page as a visitor does, and warns if that is not what is recorded now.
func (s *Switch) look(ctx context.Context, t *tasks.Run, name string) error {
	site, err := s.Sites.Site(ctx, name)
	if err != nil {
		return err
	}
	for _, server := range site.WebServers {
		if err := s.on(ctx, t, &site, server, func(ctx context.Context, c *check) error { return c.page(ctx) }); err != nil {
			t.Warn("%v", err)
		}
	}
	return nil
}
