package staging

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// PathState is what lies at a path, relative to the site's directory and to the staged tree. An inode is 0 where
// nothing is.
type PathState struct {
	Name         string
	Live, Staged uint64
}

// InspectPaths looks at each path in turn. Where directories above it are missing in the live tree, the topmost of them stands for it.
// A link or a file in place of such a directory is refused: what was restored would not be where it was.
func (s *Stager) InspectPaths(site *guard.Site, task string, names []string) ([]PathState, error) {
	p, err := openPair(site, task)
	if err != nil {
		return nil, err
	}
	defer p.close()
	var out []PathState
	for _, name := range names {
		state, err := p.state(name)
		if err != nil {
			return nil, err
		}
		out = append(out, state)
	}
	return out, nil
}

// ExchangePaths swaps paths of the live and of the staged tree. The states are those from before, in both directions.
// Forward all of them must be as they were, or be swapped already. Back the old ones get their places whatever has taken these; that
// goes to the staged tree, so nothing is lost. Both may be repeated.
func (s *Stager) ExchangePaths(ctx context.Context, site *guard.Site, task string, swaps []PathState, back bool) error {
	release, err := s.acquire(ctx, site, task)
	if err != nil {
		return err
	}
	defer release()
	p, err := openPair(site, task)
	if err != nil {
		return err
	}
	defer p.close()
	if err := sitekind.SettleTime(p.live, p.notes); err != nil {
		return err
	}
	plan := p.forward
	if back {
		plan = p.backward
	}
	var todo []swap
	for _, was := range swaps {
		one, err := plan(was)
		if err != nil {
			return err
		}
		if one.needed {
			todo = append(todo, one)
		}
	}
	for _, one := range todo {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := p.act(one); err != nil {
			return err
		}
	}
	return nil
}

// pair is the live directory beside the staged one; either may be missing.
type pair struct {
	site         *guard.Site
	live, staged *os.Root
	notes        *os.Root // the staging directory; nil if there is none
}

func openPair(site *guard.Site, task string) (*pair, error) {
	p := &pair{site: site}
	live, err := site.OpenRoot()
	if err != nil && !errs.Is(err, errs.NotFound) && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		p.live = live
	}
	if p.live == nil {
		return nil, errs.New(errs.Precondition, "restore the site as a whole", "root %s is not there", site.Root)
	}
	a, err := look(site, task)
	if err != nil {
		p.close()
		return nil, err
	}
	defer a.close()
	if a.dir == nil {
		return p, nil
	}
	if p.notes, err = a.dir.OpenRoot("."); err != nil {
		p.close()
		return nil, err
	}
	inode, err := a.staged()
	if err == nil && inode != 0 {
		p.staged, err = a.dir.OpenRoot(site.Base())
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *pair) close() {
	for _, dir := range []*os.Root{p.live, p.staged, p.notes} {
		if dir != nil {
			_ = dir.Close() // it was only looked through
		}
	}
}

// state finds what stands for a path.
func (p *pair) state(name string) (PathState, error) {
	parts := strings.Split(name, "/")
	for i := range len(parts) - 1 {
		above := strings.Join(parts[:i+1], "/")
		info, err := p.live.Lstat(above)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return p.both(above)
		case err != nil:
			return PathState{}, err
		case !info.IsDir():
			return PathState{}, errs.New(errs.Precondition, "put a directory in its place, or restore "+above+" itself with --path",
				"%s below %s is no directory, so %q cannot be restored below it", above, p.site.Root, name)
		}
	}
	return p.both(name)
}

func (p *pair) both(name string) (PathState, error) {
	live, err := inodeAt(p.live, name)
	if err != nil {
		return PathState{}, err
	}
	staged, err := inodeAt(p.staged, name)
	return PathState{Name: name, Live: live, Staged: staged}, err
}

// inodeAt returns the inode of what lies at a path of a tree, 0 if nothing does. It follows no link.
func inodeAt(tree *os.Root, name string) (uint64, error) {
	if tree == nil {
		return 0, nil
	}
	info, err := tree.Lstat(name)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Sys().(*syscall.Stat_t).Ino, nil
}

// swap is one rename.
type swap struct {
	name   string
	needed bool
	flags  uint
	out    bool // from the live tree into the staged one
}

func (p *pair) forward(was PathState) (swap, error) {
	now, err := p.both(was.Name)
	if err != nil || now.Live == was.Staged && now.Staged == was.Live {
		return swap{}, err
	}
	if now != was || was.Staged == 0 {
		return swap{}, p.changed(was, now)
	}
	if was.Live == 0 {
		return swap{was.Name, true, unix.RENAME_NOREPLACE, false}, nil
	}
	return swap{was.Name, true, unix.RENAME_EXCHANGE, false}, nil
}

func (p *pair) backward(was PathState) (swap, error) {
	now, err := p.both(was.Name)
	switch {
	case err != nil || now.Live == was.Live:
		return swap{}, err
	case was.Live == 0 && now.Staged != 0: // the restored one never went live; what lives there is somebody's own
		return swap{}, nil
	case was.Live == 0:
		return swap{was.Name, true, unix.RENAME_NOREPLACE, true}, nil
	case now.Staged != was.Live:
		return swap{}, p.changed(was, now)
	case now.Live == 0:
		return swap{was.Name, true, unix.RENAME_NOREPLACE, false}, nil
	}
	return swap{was.Name, true, unix.RENAME_EXCHANGE, false}, nil
}

func (p *pair) changed(was, now PathState) error {
	return errs.New(errs.Precondition, "look which of the two is the site's before anything is moved",
		"exchange of %q in %s: the live one has inode %d and the staged one %d, in place of %d and %d",
		was.Name, p.site.Root, now.Live, now.Staged, was.Live, was.Staged)
}

// act renames, and brings it to stable storage. The directory's time stays what it was: nothing is added to the site
// that was not there before, or will be after.
func (p *pair) act(s swap) error {
	dir, base := path.Split(s.name)
	live, err := openDir(p.live, dir)
	if err != nil {
		return err
	}
	defer live.Close()
	staged, err := openDir(p.staged, dir)
	if err != nil {
		return err
	}
	defer staged.Close()
	from, to := staged, live
	if s.out {
		from, to = live, staged
	}
	return sitekind.KeepTime(p.live, p.notes, path.Clean("./"+dir), func() error {
		if err := unix.Renameat2(int(from.Fd()), base, int(to.Fd()), base, s.flags); err != nil {
			return p.explain(s.name, err)
		}
		return staged.Sync()
	})
}

// openDir opens a directory of a tree without following a link on the way.
func openDir(tree *os.Root, name string) (*os.File, error) {
	if tree == nil {
		return nil, errs.New(errs.Failed, "run the restore again", "the staged tree is gone")
	}
	var file *os.File
	err := withFD(tree, func(fd int) error {
		how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
		at, err := unix.Openat2(fd, path.Clean("./"+name), &how)
		if err == nil {
			file = os.NewFile(uintptr(at), name)
		}
		return err
	})
	return file, err
}

func (p *pair) explain(name string, err error) error {
	switch {
	case errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.EBUSY):
		return errs.New(errs.Precondition, "restore what is below it, path by path",
			"exchange of %q in %s: it is a mount point or lies on another file system: %w", name, p.site.Root, err)
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS):
		return errs.New(errs.Precondition, "move the site to a file system such as ext4, XFS or Btrfs",
			"exchange of %q in %s: its file system cannot exchange two files atomically: %w", name, p.site.Root, err)
	}
	return errs.New(errs.Failed, "", "exchange of %q in %s: %w", name, p.site.Root, err)
}
