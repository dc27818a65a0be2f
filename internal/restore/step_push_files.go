package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// pushFiles makes the staged tree on every web server, beside the live one.
type pushFiles struct {
	*run
	independent
}

type pushMemo map[string]uint64 // inode of the live directory by server

func (pushFiles) Name() string { return "push_files" }

func (s pushFiles) Prepare(ctx context.Context) (saga.Memo, error) {
	var live perServer[uint64]
	err := s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		state, err := web.InspectTree(ctx, s.ref(), s.task)
		if err == nil {
			live.set(server, state.LiveInode)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return memo(live.m)
}

func (s pushFiles) Do(ctx context.Context, _ saga.Memo) error {
	return s.withTarball(ctx, func(t *backup.Tarball) error {
		return s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
			_, warnings, err := web.WriteTree(ctx, s.ref(), s.task, s.basis.Format, s.meter.count("push files", t.TreeFrames(ctx)))
			for _, w := range warnings {
				s.log.Warn("%s: %s", server, w)
			}
			return err
		})
	})
}

// Undo refuses to remove the directory that was live when the restore began, should it lie in staging.
func (s pushFiles) Undo(ctx context.Context, m saga.Memo) error {
	live, err := remember[pushMemo](m)
	if err != nil {
		return err
	}
	return s.undoEach(ctx, s.Name(), func(ctx context.Context, server string, web Web) error {
		state, err := web.InspectTree(ctx, s.ref(), s.task)
		if err != nil {
			return err
		}
		if state.StagedInode != 0 && state.StagedInode == live[server] {
			return errs.New(errs.Precondition, "", "the old directory of %s lies in %s", s.basis.Site.Name, s.stagingDir())
		}
		return web.RemoveStaging(ctx, s.ref(), s.task, state.LiveInode)
	})
}

func (s pushFiles) Manual(saga.Memo) []string {
	var lines []string
	for _, server := range s.basis.Site.WebServers {
		lines = append(lines, "# on "+server+", when "+s.basis.Site.Root+" is the old site:", "rm -rf "+quote(s.stagingDir()))
	}
	return lines
}
