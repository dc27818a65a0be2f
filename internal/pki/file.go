package pki

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/errs"
)

type existing bool

const (
	keepOld    existing = false // a file that is there is an error, fs.ErrExist
	replaceOld existing = true
)

// writeFile puts a whole file of mode 0600 in place, or leaves what was there,
// also when the machine loses power. What a crash leaves of the temporary file
// the next call removes. Processes that write in one directory take turns.
func writeFile(path string, text []byte, old existing) error {
	dir := filepath.Dir(path)
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // gives back the lock
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	tmp := filepath.Join(dir, "."+filepath.Base(path)+".tmp")
	if err := writeSynced(tmp, text); err != nil {
		return err
	}
	if err := publish(tmp, path, old); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return d.Sync()
}

func writeSynced(path string, text []byte) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func publish(tmp, path string, old existing) error {
	if old == replaceOld {
		return os.Rename(tmp, path)
	}
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	return os.Remove(tmp)
}

// readPrivate reads a file that nobody but its owner may read.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, errs.New(errs.Permission, fmt.Sprintf("if nobody else has read it: chmod 600 %s", path),
			"%s holds a private key and others may read it (mode %04o)", path, perm)
	}
	return os.ReadFile(path)
}
