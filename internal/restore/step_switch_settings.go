package restore

import (
	"context"
	"fmt"
	"path"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// switchSettings lets the live files go on with a restored database: the new
// credentials go into the live settings. The agents keep the old file, and PHP
// is told to forget what it has compiled.
type switchSettings struct {
	*run
	independent
}

type switchMemo map[string]string // settings file, seen from the root, by server

func (switchSettings) Name() string { return "switch_settings" }

func (s switchSettings) Prepare(ctx context.Context) (saga.Memo, error) {
	var files perServer[string]
	err := s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		live, err := s.legible(ctx, web)
		if err != nil {
			return err
		}
		if live == nil {
			return errs.New(errs.Precondition, "name the settings file in the site's .sitekeep.yaml",
				"%s keeps no settings that are known, so it cannot be told of another database", s.basis.Site.Name)
		}
		files.set(server, live.File)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return memo(switchMemo(files.m))
}

// Do holds the maintenance lease open first: from here on only this saga ends it.
func (s switchSettings) Do(ctx context.Context, _ saga.Memo) error {
	return s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		if err := s.holdLease(ctx, web); err != nil {
			return err
		}
		if err := web.SwitchSettings(ctx, s.ref(), s.task, s.newSettings(), s.password.Reveal()); err != nil {
			return err
		}
		return s.reload(ctx, server, web)
	})
}

// Undo reloads PHP too: its cache would go on with the database that is about to go.
func (s switchSettings) Undo(ctx context.Context, _ saga.Memo) error {
	return s.undoEach(ctx, s.Name(), func(ctx context.Context, server string, web Web) error {
		if err := s.mounted(ctx, web); err != nil {
			return err
		}
		if err := web.RevertSettings(ctx, s.ref(), s.task); err != nil {
			return err
		}
		if err := s.reload(ctx, server, web); err != nil {
			return err
		}
		return s.letGo(ctx, web)
	})
}

// Finish removes the old file, the only thing in the staging directory.
func (s switchSettings) Finish(ctx context.Context, _ saga.Memo) error {
	return s.eachWeb(ctx, s.dropStaging)
}

// Manual names what brings the old file back by hand.
func (s switchSettings) Manual(m saga.Memo) []string {
	files, err := remember[switchMemo](m)
	if err != nil {
		return nil
	}
	var lines []string
	for _, server := range s.basis.Site.WebServers {
		kept := path.Join(s.stagingDir(), ".kept-settings")
		lines = append(lines, fmt.Sprintf("# on %s, if %s is there:", server, kept),
			fmt.Sprintf("mv -T %s %s", quote(kept), quote(path.Join(s.basis.Site.Root, files[server]))))
	}
	return lines
}
