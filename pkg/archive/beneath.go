package archive

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Flags of every open: no symbolic link is followed, no terminal taken, and
// nothing waited for if a pipe has taken a file's place.
const (
	openRead = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	openDir  = openRead | unix.O_DIRECTORY
)

// beneath opens what lies below a directory, and follows no symbolic link on the way.
type beneath struct{ fd int }

// openBeneath takes a directory of its own out of root.
func openBeneath(root *os.Root) (*beneath, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root.Name(), err)
	}
	defer dir.Close()
	fd, err := unix.FcntlInt(dir.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root.Name(), err)
	}
	return &beneath{fd: fd}, nil
}

func (b *beneath) close() { _ = unix.Close(b.fd) }

// open opens a path of the site ("./" before it).
func (b *beneath) open(name string, flags int) (int, error) {
	rel := strings.TrimPrefix(name, "./")
	if rel == "" {
		rel = "."
	}
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for range 100 { // EAGAIN: something was renamed on the way
		fd, err := unix.Openat2(b.fd, rel, &how)
		switch err {
		case nil:
			return fd, nil
		case unix.EINTR, unix.EAGAIN:
		case unix.ENOSYS, unix.EPERM, unix.ENAMETOOLONG:
			return b.openStepwise(rel, flags)
		default:
			return -1, err
		}
	}
	return b.openStepwise(rel, flags)
}

// openStepwise does the same without openat2: for kernels before 5.6, filters
// that forbid it, and paths longer than PATH_MAX.
func (b *beneath) openStepwise(rel string, flags int) (int, error) {
	at, owned := b.fd, false
	for {
		part, rest, more := strings.Cut(rel, "/")
		if part == ".." {
			return -1, unix.EXDEV
		}
		want := flags
		if more {
			want = openDir
		}
		fd, err := openAt(at, part, want)
		if owned {
			_ = unix.Close(at)
		}
		if err != nil || !more {
			return fd, err
		}
		at, owned, rel = fd, true, rest
	}
}

// openAt opens one component below a directory.
func openAt(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, 0)
		if err == nil || !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// readAt fills p from a file and returns how much there was.
func readAt(fd int, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(fd, p[done:], off+int64(done))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return done, err
		}
		done += n
	}
	return done, nil
}
