package staging

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
)

// Exchange swaps the live and the staged tree, atomically. It acts only if
// their inodes are live and staged, and does nothing if they are swapped
// already. Inode 0 stands for a directory that is not there: the other one is
// then moved to its place. When it returns nil, the names are durable.
func (s *Stager) Exchange(ctx context.Context, site *guard.Site, task string, live, staged uint64) error {
	if live == 0 && staged == 0 {
		return errs.New(errs.Usage, "give the inodes that InspectTree tells", "exchange of %s: neither directory is named", site.Root)
	}
	release, err := s.acquire(ctx, site, task)
	if err != nil {
		return err
	}
	defer release()
	a, err := open(site, task)
	if err != nil {
		return err
	}
	defer a.close()
	return a.exchange(live, staged)
}

func (a *area) exchange(live, staged uint64) error {
	nowLive, nowStaged, err := a.inodes()
	switch {
	case err != nil:
		return err
	case nowLive == staged && nowStaged == live: // an earlier call may have died before it had ended
		return errors.Join(a.endSwap(), a.sync())
	case nowLive != live || nowStaged != staged:
		return errs.New(errs.Precondition, "look which of the two directories is the site before anything is moved",
			"exchange of %s: the live directory has inode %d and the staged one %d, in place of %d and %d",
			a.site.Root, nowLive, nowStaged, live, staged)
	}
	if err := a.make(); err != nil {
		return err
	}
	if err := a.swap(live, staged); err != nil {
		return err
	}
	return a.sync()
}

// swap renames relative to the two open directories.
func (a *area) swap(live, staged uint64) error {
	from, to, flags := a.dir, a.parent, uint(unix.RENAME_EXCHANGE)
	switch {
	case live == 0:
		flags = unix.RENAME_NOREPLACE
	case staged == 0:
		from, to, flags = a.parent, a.dir, unix.RENAME_NOREPLACE
	}
	if err := a.beginSwap(); err != nil {
		return err
	}
	if err := rename(from, to, a.site.Base(), flags); err != nil {
		return errors.Join(a.explainSwap(err), a.endSwap())
	}
	return a.endSwap()
}

func rename(from, to *os.Root, name string, flags uint) error {
	return withFD(from, func(fromFD int) error {
		return withFD(to, func(toFD int) error { return unix.Renameat2(fromFD, name, toFD, name, flags) })
	})
}

func (a *area) explainSwap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EXDEV):
		return errs.New(errs.Precondition,
			"let the site's root be a directory below the mount point, on the file system of the directory that holds it",
			"exchange of %s: it and %s lie on different file systems: %w", a.site.Root, a.name, err)
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.ENOTSUP):
		return errs.New(errs.Precondition, "move the site to a file system such as ext4, XFS or Btrfs",
			"exchange of %s: its file system cannot exchange two directories atomically: %w", a.site.Root, err)
	case errors.Is(err, syscall.EBUSY):
		return errs.New(errs.Precondition, "let the site's root be a directory below the mount point",
			"exchange of %s: it is a mount point or in use by the system: %w", a.site.Root, err)
	}
	return a.explain("exchange", fmt.Errorf("rename: %w", err))
}

func (a *area) sync() error {
	err := syncDir(a.parent)
	if a.dir != nil {
		err = errors.Join(err, syncDir(a.dir))
	}
	return err
}
