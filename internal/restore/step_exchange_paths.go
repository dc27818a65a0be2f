package restore

import (
	"context"
	"fmt"
	"path"
	"slices"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// exchangePaths swaps each chosen path of the live tree and the staged one, on
// every web server. The alternative, one exchange of the whole directory
// with a copy of it in which the paths are restored, would be a single rename,
// but costs a copy of the whole site for one file, and loses what is written to
// the live one while it is copied. Here each rename is atomic, all of them
// happen in maintenance under a lease that only this saga ends, and the inodes
// in the memo tell of each path which of the two lies where: so a crash between two
// renames is undone, or gone on from, like any other.
//
// A path becomes what it was in the backup: what is below a named directory
// and not in the backup goes with the old directory.
type exchangePaths struct {
	*run
	independent
}

type pathsMemo map[string][]model.PathState // by server

func (exchangePaths) Name() string { return "exchange_paths" }

func (s exchangePaths) Prepare(ctx context.Context) (saga.Memo, error) {
	var found perServer[[]model.PathState]
	err := s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		states, err := web.InspectPaths(ctx, s.ref(), s.task, s.basis.Paths)
		if err != nil {
			return err
		}
		// Paths below one directory that is missing are one.
		states = slices.CompactFunc(states, func(a, b model.PathState) bool { return string(a.Path) == string(b.Path) })
		for _, p := range states {
			if p.Staged == 0 {
				return errs.New(errs.Failed, "run the restore again", "the staged %q is gone", p.Path)
			}
		}
		found.set(server, states)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return memo(pathsMemo(found.m))
}

// Do holds the maintenance lease open first: from here on only this saga ends it.
func (s exchangePaths) Do(ctx context.Context, m saga.Memo) error {
	known, err := remember[pathsMemo](m)
	if err != nil {
		return err
	}
	return s.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		if err := s.holdLease(ctx, web); err != nil {
			return err
		}
		if err := web.ExchangePaths(ctx, s.ref(), s.task, known[server], false); err != nil {
			return err
		}
		return s.reload(ctx, server, web)
	})
}

// Undo reloads PHP too. The lease stays open as long as tables are still to be brought back.
func (s exchangePaths) Undo(ctx context.Context, m saga.Memo) error {
	known, err := remember[pathsMemo](m)
	if err != nil {
		return err
	}
	return s.undoEach(ctx, s.Name(), func(ctx context.Context, server string, web Web) error {
		if err := s.mounted(ctx, web); err != nil {
			return err
		}
		if err := web.ExchangePaths(ctx, s.ref(), s.task, known[server], true); err != nil {
			return err
		}
		if err := s.reload(ctx, server, web); err != nil || s.basis.WithTables() {
			return err
		}
		return s.letGo(ctx, web)
	})
}

// Finish removes what lay at the paths before.
func (s exchangePaths) Finish(ctx context.Context, _ saga.Memo) error {
	return s.eachWeb(ctx, s.dropStaging)
}

// Manual names what brings the old paths back by hand.
func (s exchangePaths) Manual(m saga.Memo) []string {
	known, err := remember[pathsMemo](m)
	if err != nil {
		return nil
	}
	var lines []string
	for _, server := range s.basis.Site.WebServers {
		for _, p := range known[server] {
			live, staged := path.Join(s.basis.Site.Root, string(p.Path)), path.Join(s.stagedPath(), string(p.Path))
			lines = append(lines, fmt.Sprintf("# on %s, if `ls -di` does not give %d for %s:", server, p.Live, quote(live)),
				fmt.Sprintf("mv -T %s %s", quote(live), quote(staged+".new")))
			if p.Live != 0 {
				lines = append(lines, fmt.Sprintf("mv -T %s %s", quote(staged), quote(live)))
			}
		}
	}
	return lines
}
