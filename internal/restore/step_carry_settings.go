package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// carrySettings lets restored files go on with the live database: on each web
// server, the live credentials go into the staged settings. No password leaves
// the server. Its undo is that of pushFiles.
type carrySettings struct{ *run }

func (carrySettings) Name() string { return "carry_settings" }

// Prepare finds out whether the live settings can be read at all.
func (s carrySettings) Prepare(ctx context.Context) (saga.Memo, error) {
	return nil, s.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error {
		_, err := s.legible(ctx, web)
		return err
	})
}

// legible reads the live settings, and refuses a site where they cannot be read: half of it cannot be restored then.
func (r *run) legible(ctx context.Context, web Web) (*model.DatabaseSettings, error) {
	live, err := web.ReadSettings(ctx, r.ref(), "")
	if err == nil || errs.Temporary(err) || errs.Is(err, errs.Cancelled) {
		return live, err
	}
	return nil, errs.New(errs.Precondition, "restore files and database together: sitekeep restore "+r.basis.Site.Name+" "+r.basis.Backup,
		"the live settings cannot be read: %w", err)
}

func (s carrySettings) Do(ctx context.Context, _ saga.Memo) error {
	return s.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error { return web.CarrySettings(ctx, s.ref(), s.task) })
}

// Undo has nothing to do: pushFiles' removes the staged tree with all that is in it.
func (carrySettings) Undo(context.Context, saga.Memo) error { return nil }
