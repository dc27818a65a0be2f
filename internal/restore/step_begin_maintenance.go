package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/saga"
)

// beginMaintenance makes every web server answer 503, under a lease that runs
// out by itself if the master dies before anything was exchanged.
type beginMaintenance struct{ *run }

func (beginMaintenance) Name() string { return "begin_maintenance" }

func (beginMaintenance) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s beginMaintenance) Do(ctx context.Context, _ saga.Memo) error {
	s.downtime.begin()
	if err := s.beginEverywhere(ctx); err != nil {
		return err
	}
	s.lease.Keep(context.WithoutCancel(ctx)) // the handler stops it
	return nil
}

func (r *run) beginEverywhere(ctx context.Context) error {
	return r.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		warning, err := web.BeginMaintenance(ctx, r.ref(), r.task, leaseTime)
		if warning != "" {
			r.log.Warn("%s: %s", server, warning)
		}
		return err
	})
}

func (s beginMaintenance) Undo(ctx context.Context, _ saga.Memo) error {
	s.lease.Stop()
	defer s.downtime.end()
	return s.endEverywhere(ctx)
}

func (r *run) endEverywhere(ctx context.Context) error {
	return r.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error {
		return web.EndMaintenance(ctx, r.ref(), r.task)
	})
}

func (s beginMaintenance) Manual(saga.Memo) []string {
	var lines []string
	for _, server := range s.basis.Site.WebServers {
		lines = append(lines, "# on "+server+", in the agent's vhost_dir:", "rm -f "+quote(s.basis.Site.Name+".maintenance"))
	}
	return lines
}
