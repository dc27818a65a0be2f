package archive

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// tree keeps the directories open that lead to the entry being extracted. A
// directory's own metadata is set when it is left, because what is made in it
// changes its time. Each is opened below the one above and must be a directory:
// so no symbolic link is ever followed.
type tree struct {
	levels []*level
	leave  func(fd int, e *Entry) error
	// await is called before a directory is made that no entry describes.
	await func() error
}

// level is one open directory. It is left when the last who holds it lets go.
type level struct {
	name  string
	fd    int
	holds atomic.Int32
	entry *Entry // what the tarball says of it; nil if nothing yet
	// kept is the state of a directory that was there already.
	kept *unix.Stat_t
}

func newTree(root *beneath, leave func(int, *Entry) error, await func() error) *tree {
	t := &tree{levels: []*level{{fd: root.fd}}, leave: leave, await: await}
	t.top().holds.Store(1)
	return t
}

// impliedMode is the mode of a directory that entries lie in and no entry describes.
const impliedMode = 0o755

// enter opens the directory of a path of the site and returns it with the path's
// last component. Directories that are missing are made.
func (t *tree) enter(path string) (dir *level, name string, err error) {
	parts := strings.Split(strings.TrimPrefix(path, "./"), "/")
	parents := parts[:len(parts)-1]
	same := 0
	for same < len(parents) && same+1 < len(t.levels) && t.levels[same+1].name == parents[same] {
		same++
	}
	if err := t.popTo(same + 1); err != nil {
		return nil, "", err
	}
	if same < len(parents) {
		if err := t.await(); err != nil {
			return nil, "", err
		}
	}
	for _, p := range parents[same:] {
		if err := t.push(p, nil); err != nil {
			return nil, "", fmt.Errorf("%q: %w", path, err)
		}
	}
	return t.top(), parts[len(parts)-1], nil
}

func (t *tree) top() *level { return t.levels[len(t.levels)-1] }

// push makes or opens a directory in the last one. With an entry, what is there
// and is not a directory is replaced, because the tarball says that it is one.
func (t *tree) push(name string, e *Entry) error {
	dir := t.top().fd
	err := unix.Mkdirat(dir, name, 0o700)
	made := err == nil
	if errors.Is(err, unix.EEXIST) && e != nil {
		made, err = replaceByDirectory(dir, name)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make directory %q: %w", name, err)
	}
	fd, err := openAt(dir, name, openDir)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("%q is in the way and is not a directory: %w", name, ErrUnsafe)
	}
	if err != nil {
		return fmt.Errorf("open directory %q: %w", name, err)
	}
	l := &level{name: name, fd: fd, entry: e}
	l.holds.Store(1)
	if !made {
		l.kept = new(unix.Stat_t)
		if err := unix.Fstat(fd, l.kept); err != nil {
			_ = unix.Close(fd)
			return fmt.Errorf("look at directory %q: %w", name, err)
		}
	}
	t.levels = append(t.levels, l)
	return nil
}

func replaceByDirectory(dir int, name string) (made bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return false, nil
	}
	if err := unix.Unlinkat(dir, name, 0); err != nil {
		return false, err
	}
	return true, unix.Mkdirat(dir, name, 0o700)
}

// popTo leaves directories until n are left.
func (t *tree) popTo(n int) error {
	for len(t.levels) > n {
		l := t.top()
		t.levels = t.levels[:len(t.levels)-1]
		if err := t.release(l); err != nil {
			return err
		}
	}
	return nil
}

// release lets go of a level. It may be called from any goroutine.
func (t *tree) release(l *level) error {
	if l.holds.Add(-1) > 0 {
		return nil
	}
	err := t.settle(l)
	if cerr := unix.Close(l.fd); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("directory %q: %w", l.name, err)
	}
	return nil
}

// settle gives a directory that is left what it shall have.
func (t *tree) settle(l *level) error {
	switch {
	case l.entry != nil:
		return t.leave(l.fd, l.entry)
	case l.kept != nil:
		times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, l.kept.Mtim}
		return unix.UtimesNanoAt(l.fd, ".", times, 0)
	}
	return unix.Fchmod(l.fd, impliedMode)
}

// close leaves all directories, which nobody else holds any more. The root's
// descriptor stays its owner's.
func (t *tree) close() error {
	err := t.popTo(1)
	for _, l := range t.levels[1:] {
		_ = unix.Close(l.fd) // an error has been found before
	}
	t.levels = t.levels[:1]
	if err == nil && t.levels[0].entry != nil {
		err = t.leave(t.levels[0].fd, t.levels[0].entry)
	}
	return err
}
