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
	to := model.DatabaseSettings{Host: s.basis.NewHost, Name: s.basis.NewDatabase, User: s.basis.NewDatabase}
	return s.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error {
		return web.WriteSettings(ctx, s.ref(), s.task, to, s.password.Reveal())
	})
}

// Undo has nothing to do: pushFiles' removes the staged tree with all that is in it.
func (writeSettings) Undo(context.Context, saga.Memo) error { return nil }
