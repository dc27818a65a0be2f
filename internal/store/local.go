package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// The names in a site's directory, after the backup's id. Of a complete backup
// there are ID.FORMAT and ID.manifest.json. The two marks are second links to
// the tarball: with markMade beside it nobody has been told that the backup is
// there; with markGoing somebody has asked for its removal.
const (
	sidecarSuffix = ".manifest.json"
	markMade      = ".partial"
	markGoing     = ".deleted"
	spoolSuffix   = ".spool"
)

const maxSidecar = 64 << 20 // bytes; a manifest is a few KiB, with a line for every table

// Local is a store in a directory: SITE/ID.tar.zst or SITE/ID.tar.gz, each
// with SITE/ID.manifest.json beside it. It is safe for use by many goroutines
// of one process; LockDir keeps other processes out.
type Local struct {
	dir     string
	reserve int64
	reached func(point string)   // tests stop the world here
	sync    func(*os.File) error // tests watch it, or let it fail

	mu      sync.Mutex
	pending map[string]*pending // by id
}

// Options tune a Local; the zero value is good.
type Options struct {
	// Reserve is how many bytes stay free on the file system: a backup that
	// might take them is refused before it begins.
	Reserve int64
}

// OpenLocal opens the store in dir and makes the directory (0700) if it is not
// there. The file system must have hard links.
func OpenLocal(dir string, o Options) (*Local, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the store: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, errs.New(errs.Permission, "run as the user that owns the data directory", "open the store: %w", err)
	}
	if err := probeLinks(dir); err != nil {
		return nil, errs.New(errs.Precondition, "put the store on ext4, XFS, Btrfs, ZFS or NFS",
			"the file system of %s must be writable and have hard links: %w", dir, err)
	}
	return &Local{dir: dir, reserve: o.Reserve, reached: func(string) {}, sync: (*os.File).Sync, pending: map[string]*pending{}}, nil
}

func probeLinks(dir string) error {
	f, err := os.CreateTemp(dir, "probe-*")
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return nil // a full store still has to give its backups back
	}
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // Sweep removes what is left
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Link(f.Name(), f.Name()+".link"); err != nil {
		return err
	}
	return os.Remove(f.Name() + ".link")
}

// siteDir returns the directory of a backup's site. It refuses ids that are
// not ids, so nothing that is built from one can leave the store.
func (l *Local) siteDir(id string) (string, error) {
	site, _, err := model.ParseBackupID(id)
	if err != nil {
		return "", err
	}
	return filepath.Join(l.dir, site), nil
}

func (l *Local) tarball(id, format string) (string, error) {
	if err := checkFormat(format); err != nil {
		return "", err
	}
	dir, err := l.siteDir(id)
	return filepath.Join(dir, id+"."+format), err
}

func missing(id string) error {
	return errs.New(errs.NotFound, "see what is there with: sitekeep backups", "the store has no tarball of backup %s", id)
}

// Open opens a tarball for reading; errs.NotFound if it is not there.
func (l *Local) Open(_ context.Context, id, format string) (Blob, error) {
	path, err := l.tarball(id, format)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing(id)
	}
	if err != nil {
		return nil, fmt.Errorf("open backup %s: %w", id, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open backup %s: %w", id, err), f.Close())
	}
	return &localBlob{file: f, size: info.Size()}, nil
}

// localBlob is a Blob and a Filer.
type localBlob struct {
	file *os.File
	size int64
}

func (b *localBlob) ReadAt(p []byte, off int64) (int, error) { return b.file.ReadAt(p, off) }
func (b *localBlob) Close() error                            { return b.file.Close() }
func (b *localBlob) Size() int64                             { return b.size }
func (b *localBlob) File() *os.File                          { return b.file }

// Sidecar returns what Commit was given; errs.NotFound if it is not there.
func (l *Local) Sidecar(_ context.Context, id string) ([]byte, error) {
	dir, err := l.siteDir(id)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, id+sidecarSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.NotFound, "the tarball's index has the same; see: sitekeep check "+id, "backup %s has no sidecar", id)
	}
	if err != nil {
		return nil, fmt.Errorf("open the sidecar of backup %s: %w", id, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSidecar+1))
	if err == nil && len(data) > maxSidecar {
		err = errs.New(errs.Corrupt, "", "it is longer than %d bytes", maxSidecar)
	}
	if err != nil {
		return nil, fmt.Errorf("read the sidecar of backup %s: %w", id, err)
	}
	return data, nil
}

// List goes over the complete tarballs by site and id; an error ends it.
// Backups that come or go meanwhile may be left out or be there.
func (l *Local) List(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		err := l.eachFile(ctx, func(f file) error {
			if f.what != isTarball {
				return nil
			}
			info, err := os.Lstat(filepath.Join(l.dir, f.path()))
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if !yield(Entry{ID: f.id, Format: f.format, Size: info.Size()}, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Entry{}, fmt.Errorf("list the store: %w", err))
		}
	}
}

var errStop = errors.New("the caller has seen enough")

// Free returns the room that is left for a process of this user.
func (l *Local) Free(_ context.Context) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(l.dir, &st); err != nil {
		return Space{}, fmt.Errorf("look for room in the store: %w", err)
	}
	free := Space{Bytes: int64(st.Bavail) * st.Bsize, Inodes: int64(st.Ffree)}
	if st.Files == 0 {
		free.Inodes = math.MaxInt64
	}
	return free, nil
}

func (l *Local) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(l.sync(f), f.Close())
}

// removeAll removes files that may or may not be there, in this order.
func removeAll(paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
