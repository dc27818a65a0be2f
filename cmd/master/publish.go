package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// publish makes a temporary file durable and gives it its name. Without force it never replaces a file.
func publish(temporary *os.File, target string, force bool) error {
	if err := temporary.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	if err := temporary.Close(); err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	if err := rename(temporary.Name(), target, force); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(target))
}

func rename(from, to string, force bool) error {
	if force {
		return os.Rename(from, to)
	}
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EEXIST):
		return existsError(to)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS): // a file system that cannot do it
		return os.Rename(from, to)
	case err != nil:
		return fmt.Errorf("rename %s to %s: %w", from, to, err)
	}
	return nil
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // it was only synced
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// discard removes a temporary file that came to nothing.
func discard(temporary *os.File) error {
	if err := temporary.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	if err := os.Remove(temporary.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
