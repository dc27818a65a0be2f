package bed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Cached returns the directory of a template that is made once for a machine:
// make fills an empty directory, which then gets its name under the user's
// cache. Processes that ask at the same time wait for the one that makes it.
// What make leaves half done is never seen. What the template depends on
// belongs into the key.
func (b *Bed) Cached(ctx context.Context, key string, make func(ctx context.Context, dir string) error) (string, error) {
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, key)
	unlock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	b.Logf("making the template %s, once for this machine", key)
	if err := b.makeTemplate(ctx, dir, make); err != nil {
		return "", fmt.Errorf("template %s: %w", key, err)
	}
	return dir, nil
}

// makeTemplate works in the bed, which servers can enter as the cache may not
// be, and publishes the result under its name by a rename.
func (b *Bed) makeTemplate(ctx context.Context, dir string, make func(ctx context.Context, dir string) error) error {
	work, err := os.MkdirTemp(b.dir, "template-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	if err := make(ctx, work); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := CopyTree(ctx, work, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// cacheRoot is sitekeep-bed in the user's cache, or in TMPDIR where there is
// no home directory.
func cacheRoot() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	root := filepath.Join(base, "sitekeep-bed")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("cache of the bed: %w", err)
	}
	return root, nil
}

// lockFile takes an exclusive lock that ends with the process at the latest.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if err := pause(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s is held by another process: %w", path, err), f.Close())
		}
	}
}

// CopyTree copies a directory with everything that belongs to it: owners,
// times, links, holes, extended attributes.
func CopyTree(ctx context.Context, from, to string) error {
	_, err := run(ctx, exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", "--sparse=auto", "-T", from, to))
	return err
}
