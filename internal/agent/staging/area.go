package staging

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
)

const dirMode = 0o700

// area is the staging directory of one task beside one site, by open directories.
type area struct {
	site   *guard.Site
	name   string   // of the staging directory, in the parent
	parent *os.Root // where the live directory lies
	dir    *os.Root // the staging directory; nil if there is none
}

// open opens the site's parent and, if it is there, the staging directory. A
// missing parent is errs.NotFound.
func open(site *guard.Site, task string) (*area, error) {
	if err := guard.CheckTask(task); err != nil {
		return nil, err
	}
	parent, err := site.OpenParent()
	if err != nil {
		return nil, err
	}
	a := &area{site: site, name: guard.StagingPrefix + task, parent: parent}
	if err := a.enter(); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// look is open for those who may have no task.
func look(site *guard.Site, task string) (*area, error) {
	if task != "" {
		return open(site, task)
	}
	parent, err := site.OpenParent()
	if err != nil {
		return nil, err
	}
	return &area{site: site, parent: parent}, nil
}

func (a *area) close() {
	if a.dir != nil {
		_ = a.dir.Close()
	}
	_ = a.parent.Close()
}

// enter opens the staging directory. One that is not ours alone is refused: somebody else made it.
func (a *area) enter() error {
	info, err := a.parent.Lstat(a.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("staging directory: %w", err)
	}
	if err := a.checkOwn(info); err != nil {
		return err
	}
	if a.dir, err = a.parent.OpenRoot(a.name); err != nil {
		return fmt.Errorf("staging directory: %w", err)
	}
	// What was looked at and what was opened must be the same.
	opened, err := a.dir.Stat(".")
	if err != nil {
		return fmt.Errorf("staging directory: %w", err)
	}
	return a.checkOwn(opened)
}

func (a *area) checkOwn(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && info.IsDir() && info.Mode().Perm() == dirMode && int(stat.Uid) == os.Geteuid() {
		return nil
	}
	return errs.New(errs.Precondition, "find out who made it, and remove it",
		"%s beside %s is not a staging directory of this agent (%s)", a.name, a.site.Root, info.Mode())
}

// make makes the staging directory, if it is not there.
func (a *area) make() error {
	if a.dir != nil {
		return nil
	}
	if err := a.parent.Mkdir(a.name, dirMode); err != nil {
		return a.explain("make staging directory", err)
	}
	// The umask may have taken bits away, a default ACL may have added some.
	if err := a.parent.Chmod(a.name, dirMode); err != nil {
		return a.explain("make staging directory", err)
	}
	if err := a.enter(); err != nil {
		return err
	}
	return syncDir(a.parent)
}

// staged returns the inode of the staged tree, 0 if there is none.
func (a *area) staged() (uint64, error) {
	if a.dir == nil {
		return 0, nil
	}
	return guard.DirInode(a.dir, a.site.Base())
}

func (a *area) live() (uint64, error) { return a.site.LiveInode(a.parent) }

// explain gives a failed operation a kind and, where the operator can act, a hint.
func (a *area) explain(what string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errs.New(errs.NoSpace, "make room on the file system of "+a.site.Root, "%s beside %s: %w", what, a.site.Root, err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return errs.New(errs.Permission, "let the agent's user write to the directory that holds "+a.site.Root, "%s beside %s: %w", what, a.site.Root, err)
	}
	return fmt.Errorf("%s beside %s: %w", what, a.site.Root, err)
}

// syncDir makes the names in a directory durable.
func syncDir(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return errors.Join(f.Sync(), f.Close())
}

// withFD lends the descriptor of an open directory.
func withFD(dir *os.Root, f func(fd int) error) error {
	file, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer file.Close()
	return f(int(file.Fd()))
}
