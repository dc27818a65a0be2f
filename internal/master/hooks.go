package master

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/hooks"
	"github.com/sitekeep/sitekeep/internal/hub"
	"github.com/sitekeep/sitekeep/internal/hub/fleet"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
)

// hooks runs what operators have put before and after tasks.
func (m *Master) hooks() *hooks.Runner {
	return &hooks.Runner{
		Agents: hub.Agents[hooks.Web, any]{Fleet: m.fleet, Of: func(a *fleet.Agent) (hooks.Web, any) { return a, nil }},
		Site:   m.hookedSite,
		Backup: func(t *model.Task) string { backup, _ := restore.Reading(t); return backup },
	}
}

// hookedSite is a task's site as it is recorded, or as the task is to make it.
func (m *Master) hookedSite(ctx context.Context, t *model.Task) (model.Site, error) {
	site, err := m.catalogue.Site(ctx, t.Site)
	if made := restore.Target(t); errs.Is(err, errs.NotFound) && made != nil {
		return *made, nil
	}
	return site, err
}
