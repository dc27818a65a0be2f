package restore

import (
	"context"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// beginMaintenance makes every web server answer 503, under a lease that runs
// out by itself if the master dies before anything was exchanged.
type beginMaintenance struct{ *run }

func (beginMaintenance) Name() string { return "begin_maintenance" }

// UndoAfter: on each server by itself, see undoEach; but nobody may come in anywhere before all tables are back, nor at the
// old place of a migrated site before the new one is closed.
func (s beginMaintenance) UndoAfter() []string {
	switch {
	case s.basis.WithTables():
		return []string{exchangeTables{}.Name()}
	case s.basis.Migrates():
		return []string{endMaintenance{}.Name()}
	}
	return nil
}

func (beginMaintenance) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s beginMaintenance) Do(ctx context.Context, _ saga.Memo) error {
	if err := s.eachWebOf(ctx, s.basis.bothPlaces(), s.shut); err != nil {
		return err
	}
	s.lease.Keep(context.WithoutCancel(ctx)) // the handler stops it
	return nil
}

// shut begins the maintenance of one web server. What visitors could still write there a migration would lose.
func (s beginMaintenance) shut(ctx context.Context, server string, web Web) error {
	closing, err := web.BeginMaintenance(ctx, s.refOn(server), s.task, leaseTime)
	switch {
	case err != nil:
	case closing.Warning == "":
		s.closedBy(server, closing)
	case s.basis.wasOn(server):
		return notClosed(s.basis.Site.Name, closing.Warning)
	case !s.basis.fresh(server): // its virtual host comes later, and finds the maintenance begun
		s.log.Warn("%s: %s", server, closing.Warning)
	}
	return err
}

// closedBy says what keeps visitors out where that is not the virtual host.
func (r *run) closedBy(server string, c model.Closing) {
	if c.By != "" {
		r.log.Log(model.LevelInfo, "%s: visitors are kept out by %s", server, c.By)
	}
}

// begin lets one web server answer 503 again.
func (r *run) begin(lease time.Duration) onWebServer {
	return func(ctx context.Context, server string, web Web) error {
		closing, err := web.BeginMaintenance(ctx, r.ref(), r.task, lease)
		if err == nil && closing.Warning != "" && !r.basis.fresh(server) {
			r.log.Warn("%s: %s", server, closing.Warning)
		}
		return err
	}
}

func (s beginMaintenance) Undo(ctx context.Context, _ saga.Memo) error {
	s.lease.Stop()
	return s.undoEachOf(ctx, s.basis.bothPlaces(), s.Name(), func(ctx context.Context, server string, web Web) error {
		if s.basis.Migrates() && !s.basis.wasOn(server) {
			return s.forget(ctx, server, web)
		}
		return s.end(ctx, server, web)
	})
}

// end lets visitors of one web server in, unless the site is disabled.
func (r *run) end(ctx context.Context, server string, web Web) error {
	if err := r.keepDisabled(ctx, server, web); err != nil {
		return err
	}
	return web.EndMaintenance(ctx, r.refOn(server), r.task)
}

func (s beginMaintenance) Manual(saga.Memo) []string {
	var lines []string
	for _, server := range s.basis.bothPlaces() {
		flag := quote(s.basis.Site.Name + ".maintenance")
		lines = append(lines, "# on "+server+", in the agent's vhost_dir:")
		if s.external() {
			lines = append(lines, "cat "+flag+" # what it names under \"switch\" lies in the site: remove that first")
		}
		lines = append(lines, "rm -f "+flag)
	}
	return lines
}
