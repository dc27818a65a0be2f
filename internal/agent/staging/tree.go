package staging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
)

// incoming is the tree's name while it is being made: one that was not
// finished is never taken for a staged tree.
const incoming = ".incoming"

// Fill makes the task's staged tree: what an earlier try has left is removed,
// fill gets a new empty directory, and when it returns nil, with everything it
// wrote on stable storage, the tree appears in its place. Otherwise, and if ctx
// has ended, the staging directory is removed again. It returns the tree's inode.
func (s *Stager) Fill(ctx context.Context, site *guard.Site, task string, fill func(dir *os.Root) error) (uint64, error) {
	return s.stage(ctx, site, task, false, (*area).renew, fill)
}

// Refill is Fill for a tree that comes over a connection that may break: then
// what fill has made stays, and the next Refill's fill gets it in place of an
// empty directory. It may be torn at any place, as a crash leaves it.
func (s *Stager) Refill(ctx context.Context, site *guard.Site, task string, fill func(dir *os.Root) error) (uint64, error) {
	return s.stage(ctx, site, task, true, (*area).reopen, fill)
}

// stage lets prepare make room for the tree, then fill make it.
func (s *Stager) stage(ctx context.Context, site *guard.Site, task string, resume bool, prepare func(*area) error, fill func(dir *os.Root) error) (uint64, error) {
	if err := guard.CheckTask(task); err != nil {
		return 0, err
	}
	release, err := s.acquire(ctx, site, task)
	if err != nil {
		return 0, err
	}
	defer release()
	parent, err := site.MakeParent()
	if err != nil {
		return 0, err
	}
	defer parent.Close()
	a, err := open(site, task)
	if err != nil {
		return 0, err
	}
	defer a.close()
	if err := prepare(a); err != nil {
		return 0, err
	}
	inode, err := a.fill(ctx, fill)
	if err != nil && !(resume && brokenOff(ctx, err)) {
		err = errors.Join(err, a.clear())
	}
	return inode, err
}

// brokenOff reports whether a fill failed because nothing came any more.
func brokenOff(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errs.Is(err, errs.Unreachable) || errs.Is(err, errs.Cancelled)
}

// reopen keeps of the staging directory what a fill that was broken off has made; anything else goes.
func (a *area) reopen() error {
	if a.dir == nil {
		return a.make()
	}
	left, err := a.dir.OpenRoot(a.incoming())
	if err != nil {
		return a.renew()
	}
	defer left.Close()
	openUp(left)
	return a.dir.RemoveAll(a.site.Base())
}

// incoming is the tree's name while it is being made.
func (a *area) incoming() string {
	if a.site.Base() == incoming {
		return incoming + "-tree"
	}
	return incoming
}

// renew makes the staging directory anew and empty.
func (a *area) renew() error {
	if a.dir != nil {
		err := a.clear()
		_ = a.dir.Close()
		if a.dir = nil; err != nil {
			return err
		}
	}
	return a.make()
}

func (a *area) fill(ctx context.Context, fill func(dir *os.Root) error) (uint64, error) {
	name := a.incoming()
	if err := a.into(name, fill); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("staged tree of %s: %w", a.site.Root, err)
	}
	if err := a.dir.Rename(name, a.site.Base()); err != nil {
		return 0, a.explain("name staged tree", err)
	}
	if err := errors.Join(syncDir(a.dir), a.dropAhead()); err != nil {
		return 0, a.explain("sync staging directory", err)
	}
	return a.staged()
}

func (a *area) into(name string, fill func(dir *os.Root) error) error {
	if err := a.dir.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // a tarball without an entry for it leaves it so
		return a.explain("make staged tree", err)
	}
	dir, err := a.dir.OpenRoot(name)
	if err != nil {
		return a.explain("make staged tree", err)
	}
	defer dir.Close()
	return fill(dir)
}

// Open opens the task's staged tree, and the staging directory around it for notes. The caller closes both.
func (s *Stager) Open(site *guard.Site, task string) (tree, around *os.Root, err error) {
	a, err := open(site, task)
	if err != nil {
		return nil, nil, err
	}
	defer a.close()
	inode, err := a.staged()
	if err != nil {
		return nil, nil, err
	}
	if inode == 0 {
		return nil, nil, errs.New(errs.NotFound, "push the files again", "there is no staged tree of %s for task %s", site.Root, task)
	}
	if tree, err = a.dir.OpenRoot(site.Base()); err != nil {
		return nil, nil, err
	}
	around, a.dir = a.dir, nil
	return tree, around, nil
}
