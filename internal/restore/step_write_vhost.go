package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// writeVhost writes the site's virtual host anew, tests the configuration and
// reloads web server and PHP. A vhost that the operator owns is left alone.
type writeVhost struct{ *run }

func (writeVhost) Name() string { return "write_vhost" }

func (writeVhost) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s writeVhost) Do(ctx context.Context, _ saga.Memo) error {
	return s.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error {
		if s.external() {
			return web.Reload(ctx)
		}
		return web.WriteVhost(ctx, s.ref(), s.task)
	})
}

func (s writeVhost) Undo(ctx context.Context, _ saga.Memo) error {
	return s.managed(ctx, Web.RevertVhost)
}

func (s writeVhost) Finish(ctx context.Context, _ saga.Memo) error {
	return s.managed(ctx, Web.ForgetVhost)
}

func (s writeVhost) managed(ctx context.Context, f func(Web, context.Context, model.SiteRef, string) error) error {
	if s.external() {
		return nil
	}
	return s.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error {
		return f(web, ctx, s.ref(), s.task)
	})
}

func (r *run) external() bool { return r.basis.Site.Vhost == model.VhostExternal }
