package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// writeSettings puts the new credentials into the staged trees. Its undo is
// that of pushFiles.
type writeSettings struct{ *run }

func (writeSettings) Name() string { return "write_settings" }

func (writeSettings) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s writeSettings) Do(ctx context.Context, _ saga.Memo) error {
	return s.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error {
		return web.WriteSettings(ctx, s.ref(), s.task, s.newSettings(), s.password.Reveal())
	})
}

// newSettings are what the site uses once the restore is committed.
func (r *run) newSettings() model.DatabaseSettings {
	return model.DatabaseSettings{Host: r.basis.NewHost, Name: r.basis.NewDatabase, User: r.basis.NewDatabase}
}

// Undo has nothing to do: pushFiles' removes the staged tree with all that is in it.
func (writeSettings) Undo(context.Context, saga.Memo) error { return nil }
