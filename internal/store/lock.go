package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// lockName is the lock's file in the data directory. It stays when the lock goes.
const lockName = "lock"

// Lock keeps other masters off a data directory until it is released, or its
// process ends in whatever way.
type Lock struct{ file *os.File }

// LockDir locks a data directory, and makes it (0700) if it is not there. If
// another process holds it the error is errs.Precondition and names the process.
func LockDir(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errs.New(errs.Permission, "run as the user that owns the data directory", "lock the data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err = refused(dir, f, err)
		return nil, errors.Join(err, f.Close())
	}
	_ = writePid(f) // only for the other one's error message; a full disk must not keep the master down
	return &Lock{file: f}, nil
}

func refused(dir string, f *os.File, err error) error {
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	holder := "another process"
	if text, err := io.ReadAll(io.LimitReader(f, 32)); err == nil && len(text) > 0 {
		holder = "process " + strings.TrimSpace(string(text))
	}
	return errs.New(errs.Precondition, "stop that one first, or give another --data-dir", "%s is in use by %s", dir, holder)
}

func writePid(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// Release gives the data directory free.
func (l *Lock) Release() error { return l.file.Close() }
