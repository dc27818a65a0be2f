package restore

import (
	"context"
	"strings"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// renameSettings puts the site's new name and directory into the staged
// settings, where its kind says them there. Its undo is that of pushFiles.
type renameSettings struct{ *run }

func (renameSettings) Name() string { return "rename_settings" }

func (renameSettings) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s renameSettings) Do(ctx context.Context, _ saga.Memo) error {
	return s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		changed, err := web.RewriteSettings(ctx, s.ref(), s.task, s.basis.Move)
		if len(changed) > 0 {
			s.log.Log(model.LevelInfo, "%s: settings rewritten: %s", server, strings.Join(changed, ", "))
		}
		return err
	})
}

// Undo has nothing to do: pushFiles' removes the staged tree with all that is in it.
func (renameSettings) Undo(context.Context, saga.Memo) error { return nil }

// Describe says what the step does.
func (s renameSettings) Describe() PreviewStep {
	return s.onWeb(false, "remove the staging directory", "write the site's name and directory into the staged settings")
}
