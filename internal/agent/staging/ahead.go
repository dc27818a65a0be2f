package staging

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
)

// aheadTree is the name of a tree that came ahead while the one is made that takes its place.
const aheadTree = ".ahead"

// RefillAhead is Refill for a tree whose task has staged another one already, which is much like it. Fill gets that, too,
// and may take away what it wants; nil: there is none. What it leaves goes with its success.
func (s *Stager) RefillAhead(ctx context.Context, site *guard.Site, task string, fill func(dir, ahead *os.Root) error) (uint64, error) {
	var ahead *os.Root
	defer func() {
		if ahead != nil {
			_ = ahead.Close()
		}
	}()
	open := func(a *area) (err error) {
		ahead, err = a.setAside()
		return err
	}
	return s.stage(ctx, site, task, true, func(a *area) error {
		if err := open(a); err != nil || ahead != nil {
			return errors.Join(err, a.openIncoming())
		}
		return a.reopen()
	}, func(dir *os.Root) error { return fill(dir, ahead) })
}

// aheadName is that of a tree that came ahead.
func (a *area) aheadName() string {
	if a.site.Base() == aheadTree {
		return aheadTree + "-tree"
	}
	return aheadTree
}

// setAside gives the staged tree another name and opens it. One that an earlier call has set aside is gone on with.
func (a *area) setAside() (*os.Root, error) {
	if a.dir == nil {
		return nil, nil
	}
	name := a.aheadName()
	switch inode, err := a.staged(); {
	case err != nil:
		return nil, err
	case inode != 0:
		if err := errors.Join(a.dropAhead(), a.dir.Rename(a.site.Base(), name), syncDir(a.dir)); err != nil {
			return nil, a.explain("set the staged tree aside", err)
		}
	}
	ahead, err := a.dir.OpenRoot(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, a.explain("open what came ahead", err)
	}
	openUp(ahead)
	return ahead, nil
}

// openIncoming lets the fill go on with what an earlier one has left.
func (a *area) openIncoming() error {
	left, err := a.dir.OpenRoot(a.incoming())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return a.explain("open what was left", err)
	}
	defer left.Close()
	openUp(left)
	return nil
}

// dropAhead removes what is left of a tree that came ahead.
func (a *area) dropAhead() error {
	ahead, err := a.dir.OpenRoot(a.aheadName())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return a.explain("remove what came ahead", err)
	}
	defer ahead.Close()
	openUp(ahead)
	if err := a.dir.RemoveAll(a.aheadName()); err != nil {
		return a.explain("remove what came ahead", err)
	}
	return nil
}
