package restore

import (
	"context"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// exchangeTrees swaps the live and the staged directory on every web server.
// The inodes in its memo tell which of the two lies where, whatever happened.
type exchangeTrees struct{ *run }

type exchangeMemo map[string]inodes // by server

type inodes struct{ Live, Staged uint64 }

func (exchangeTrees) Name() string { return "exchange_trees" }

// UndoAfter: on each server by itself, see undoEach; but after its undo a web server that a migrated site stays on may open
// by itself, and must not while any server is open at the new place.
func (s exchangeTrees) UndoAfter() []string {
	if s.basis.Migrates() {
		return []string{endMaintenance{}.Name()}
	}
	return nil
}

func (s exchangeTrees) Prepare(ctx context.Context) (saga.Memo, error) {
	var found perServer[inodes]
	err := s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		state, err := web.InspectTree(ctx, s.ref(), s.task)
		if err != nil {
			return err
		}
		if state.StagedInode == 0 {
			return errs.New(errs.Failed, "run the restore again", "the staged tree of %s is gone", s.basis.Site.Name)
		}
		found.set(server, inodes{Live: state.LiveInode, Staged: state.StagedInode})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return memo(exchangeMemo(found.m))
}

// Do holds the maintenance lease open first: from here on only this saga ends it.
func (s exchangeTrees) Do(ctx context.Context, m saga.Memo) error {
	known, err := remember[exchangeMemo](m)
	if err != nil {
		return err
	}
	return s.eachWeb(ctx, known.each(func(ctx context.Context, _ string, web Web, i inodes) error {
		if err := s.holdLease(ctx, web); err != nil {
			return err
		}
		return web.ExchangeTree(ctx, s.ref(), s.task, i.Live, i.Staged)
	}))
}

// Undo reloads PHP too: its cache would go on with the settings of the tree that was exchanged.
func (s exchangeTrees) Undo(ctx context.Context, m saga.Memo) error {
	known, err := remember[exchangeMemo](m)
	if err != nil {
		return err
	}
	return s.undoEach(ctx, s.Name(), known.each(func(ctx context.Context, server string, web Web, i inodes) error {
		if err := s.back(ctx, web, i); err != nil {
			return err
		}
		if err := s.reload(ctx, server, web); err != nil {
			return err
		}
		return s.letGo(ctx, web)
	}))
}

// back puts the old tree in its place, if it is not there. The staging directory may be gone then: an undo of this step
// that the journal does not know of was followed by that of pushFiles. A live directory that somebody has removed
// since is no hindrance; one that somebody has put there is, and the agent says so. An exchange that is over is asked for
// all the same: the agent may have died before it had brought back the directories' times.
func (s exchangeTrees) back(ctx context.Context, web Web, i inodes) error {
	state, err := web.InspectTree(ctx, s.ref(), s.task)
	if err != nil {
		return err
	}
	now := i.Staged
	switch {
	case state.LiveInode == 0 && i.Live == 0:
		return nil
	case state.LiveInode == 0 && state.StagedInode == 0:
		return s.unmounted()
	case state.LiveInode == 0, state.LiveInode == i.Live && state.StagedInode == 0:
		now = 0
	case state.LiveInode == i.Live && state.StagedInode != i.Staged:
		return nil
	}
	return web.ExchangeTree(ctx, s.ref(), s.task, now, i.Live)
}

// Finish removes the old tree, which lies in the staging directory now. Anything else that lies there stays.
func (s exchangeTrees) Finish(ctx context.Context, m saga.Memo) error {
	known, err := remember[exchangeMemo](m)
	if err != nil {
		return err
	}
	return s.eachWeb(ctx, known.each(func(ctx context.Context, server string, web Web, i inodes) error {
		state, err := web.InspectTree(ctx, s.ref(), s.task)
		switch {
		case err != nil:
			return err
		case state.LiveInode == 0 && state.StagedInode == 0 && i.Live != 0:
			return s.unmounted()
		case state.StagedInode != 0 && state.StagedInode != i.Live:
			s.log.Warn("%s: %s stays: what lies in it is not the old directory; look at it and remove it by hand", server, s.stagingDir())
			return nil
		}
		return web.RemoveStaging(ctx, s.ref(), s.task, state.LiveInode)
	}))
}

// each hands every server its inodes.
func (m exchangeMemo) each(f func(context.Context, string, Web, inodes) error) onWebServer {
	return func(ctx context.Context, server string, web Web) error {
		i, ok := m[server]
		if !ok {
			return errs.New(errs.Failed, "", "the journal knows no inodes for it")
		}
		return f(ctx, server, web, i)
	}
}

// Manual names what brings the old directory back by hand.
func (s exchangeTrees) Manual(saga.Memo) []string {
	var lines []string
	for _, server := range s.basis.Site.WebServers {
		lines = append(lines, fmt.Sprintf("# on %s, if %s is not the old site:", server, s.basis.Site.Root),
			fmt.Sprintf("mv -T %s %s", quote(s.basis.Site.Root), quote(s.stagedPath()+".new")),
			fmt.Sprintf("mv -T %s %s", quote(s.stagedPath()), quote(s.basis.Site.Root)),
			fmt.Sprintf("mv -T %s %s", quote(s.stagedPath()+".new"), quote(s.stagedPath())))
	}
	return lines
}
