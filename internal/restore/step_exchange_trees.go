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
	return memo(found.m)
}

// Do holds the maintenance lease open first: from here on only this saga ends it.
func (s exchangeTrees) Do(ctx context.Context, m saga.Memo) error {
	return s.exchange(ctx, m, func(ctx context.Context, web Web, i inodes) error {
		if err := s.holdLease(ctx, web); err != nil {
			return err
		}
		return web.ExchangeTree(ctx, s.ref(), s.task, i.Live, i.Staged)
	})
}

// Undo reloads PHP too: its cache would go on with the settings of the tree that was exchanged.
func (s exchangeTrees) Undo(ctx context.Context, m saga.Memo) error {
	return s.exchange(ctx, m, func(ctx context.Context, web Web, i inodes) error {
		if err := web.ExchangeTree(ctx, s.ref(), s.task, i.Staged, i.Live); err != nil {
			return err
		}
		return web.Reload(ctx)
	})
}

// Finish removes the old tree, which lies in the staging directory now.
func (s exchangeTrees) Finish(ctx context.Context, m saga.Memo) error {
	return s.exchange(ctx, m, func(ctx context.Context, web Web, i inodes) error {
		return web.RemoveStaging(ctx, s.ref(), s.task, i.Staged)
	})
}

func (s exchangeTrees) exchange(ctx context.Context, m saga.Memo, f func(context.Context, Web, inodes) error) error {
	known, err := remember[exchangeMemo](m)
	if err != nil {
		return err
	}
	return s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		i, ok := known[server]
		if !ok {
			return errs.New(errs.Failed, "", "the journal knows no inodes for it")
		}
		return f(ctx, web, i)
	})
}

// Manual names what brings the old directory back by hand.
func (s exchangeTrees) Manual(saga.Memo) []string {
	var lines []string
	for _, server := range s.basis.Site.WebServers {
		lines = append(lines, fmt.Sprintf("# on %s, if %s is not the old site:", server, s.basis.Site.Root),
			fmt.Sprintf("mv --exchange -T %s %s", s.stagedPath(), s.basis.Site.Root))
	}
	return lines
}
