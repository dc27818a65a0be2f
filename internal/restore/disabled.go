package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// keepDisabled keeps visitors of a disabled site out of one web server, before the task's own maintenance ends there: the
// server may be one to which the site moves, or may have been set up anew. It goes by what is recorded now, not when the
// restore began: between the two the site may have been disabled, or enabled.
func (r *run) keepDisabled(ctx context.Context, server string, web Web) error {
	site, err := r.sites.Site(ctx, r.basis.Site.Name)
	switch {
	case errs.Is(err, errs.NotFound): // it is made only now
		return nil
	case err != nil:
		return err
	case !site.Disabled:
		return nil
	}
	closing, err := web.BeginMaintenance(ctx, r.refOn(server), model.HolderDisabled, model.Forever)
	if err == nil && closing.Warning != "" {
		r.log.Warn("%s: the site is disabled, and visitors may get through: %s", server, closing.Warning)
	}
	return err
}

// forget ends all that keeps visitors out of a web server on which there is no site to keep them out of.
func (r *run) forget(ctx context.Context, server string, web Web) error {
	if err := web.EndMaintenance(ctx, r.refOn(server), model.HolderDisabled); err != nil {
		return err
	}
	return web.EndMaintenance(ctx, r.refOn(server), r.task)
}
