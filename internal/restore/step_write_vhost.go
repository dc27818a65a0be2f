package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// writeVhost writes the site's virtual host anew, tests the configuration and
// reloads web server and PHP. A vhost that the operator owns is left alone.
type writeVhost struct {
	*run
	independent
}

func (writeVhost) Name() string { return "write_vhost" }

func (writeVhost) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s writeVhost) Do(ctx context.Context, _ saga.Memo) error {
	return s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		if s.external() {
			return s.reload(ctx, server, web)
		}
		warning, err := web.WriteVhost(ctx, s.ref(), s.task)
		s.notePHP(server, warning, err)
		return err
	})
}

func (s writeVhost) Undo(ctx context.Context, _ saga.Memo) error {
	if s.external() {
		return nil
	}
	return s.undoEach(ctx, s.Name(), func(ctx context.Context, _ string, web Web) error {
		return web.RevertVhost(ctx, s.ref(), s.task)
	})
}

func (s writeVhost) Finish(ctx context.Context, _ saga.Memo) error {
	if s.external() {
		return nil
	}
	return s.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error {
		return web.ForgetVhost(ctx, s.ref(), s.task)
	})
}

// Manual is for a web server whose configuration does not pass its test, for whatever reason: the old virtual host is in
// its place then, and only not loaded.
func (s writeVhost) Manual(saga.Memo) []string {
	var lines []string
	for _, server := range s.basis.Site.WebServers {
		lines = append(lines, "# on "+server+", when what the test complains of is mended:", "nginx -t && nginx -s reload")
	}
	return lines
}

func (r *run) external() bool { return r.basis.Site.Vhost == model.VhostExternal }

// reload lets web server and PHP forget what they have read.
func (r *run) reload(ctx context.Context, server string, web Web) error {
	warning, err := web.Reload(ctx)
	r.notePHP(server, warning, err)
	return err
}

// notePHP keeps why PHP on a server may go on with files as they were; empty: it does not.
func (r *run) notePHP(server, warning string, err error) {
	if err != nil {
		return
	}
	if warning != "" {
		r.log.Warn("%s: %s", server, warning)
	}
	r.stale.set(server, warning)
}
