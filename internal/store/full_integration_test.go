//go:build integration

package store_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/internal/store/storetest"
)

// mount gives a small file system of its own. It needs root.
func mount(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount a tmpfs (this test needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func openIn(t *testing.T, dir string) *store.Local {
	t.Helper()
	l, err := store.OpenLocal(filepath.Join(dir, "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func recorded(context.Context) error { return nil }

// fill writes to a pending backup until there is no room left.
func fill(t *testing.T, p store.Pending) {
	t.Helper()
	var err error
	for i := 0; i < 1000 && err == nil; i++ {
		_, err = p.File().Write(make([]byte, 64<<10))
	}
	if err := store.WriteError("the tarball", err); !errs.Is(err, errs.NoSpace) || errs.HintOf(err) == "" {
		t.Fatalf("writing gives %v, hint %q", err, errs.HintOf(err))
	}
}

func files(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAFullDisk(t *testing.T) {
	dir := mount(t, "size=4m")
	l := openIn(t, dir)
	good, bad := storetest.ID("a.example", 1), storetest.ID("a.example", 2)
	storetest.Put(t, l, good, store.TarZst)

	if _, err := l.Create(t.Context(), bad, store.TarZst, 5<<20); !errs.Is(err, errs.NoSpace) || errs.HintOf(err) == "" {
		t.Fatalf("an estimate that does not fit gives %v", err)
	}
	p, err := l.Create(t.Context(), bad, store.TarZst, 0)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, p)
	if err := p.Commit(t.Context(), make([]byte, 64<<10), recorded); !errs.Is(err, errs.NoSpace) {
		t.Fatalf("a sidecar that does not fit gives %v", err)
	}
	storetest.Check(t, l, good, store.TarZst)
	if n := files(t, dir); n != 2 {
		t.Fatalf("%d files are left", n)
	}
	storetest.Put(t, l, bad, store.TarZst) // the room is there again
}

func TestAFullDiskCanBeEmptied(t *testing.T) {
	dir := mount(t, "size=4m")
	l := openIn(t, dir)
	good := storetest.ID("a.example", 1)
	storetest.Put(t, l, good, store.TarZst)
	p, err := l.Create(t.Context(), storetest.ID("a.example", 2), store.TarZst, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort()
	fill(t, p)
	l = openIn(t, dir) // a master that starts on a full disk
	lock, err := store.LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	storetest.Check(t, l, good, store.TarZst)
	if err := l.Delete(t.Context(), good, recorded); err != nil {
		t.Fatal(err)
	}
}

func TestNoInodes(t *testing.T) {
	dir := mount(t, "size=4m,nr_inodes=64")
	l := openIn(t, dir)
	good := storetest.ID("a.example", 1)
	storetest.Put(t, l, good, store.TarZst)
	p, err := l.Create(t.Context(), storetest.ID("a.example", 2), store.TarZst, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; err == nil; i++ {
		err = os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600)
	}
	if _, err := l.Create(t.Context(), storetest.ID("a.example", 3), store.TarZst, 0); !errs.Is(err, errs.NoSpace) {
		t.Fatalf("beginning without inodes gives %v", err)
	}
	if err := p.Commit(t.Context(), nil, recorded); !errs.Is(err, errs.NoSpace) {
		t.Fatalf("committing without inodes gives %v", err)
	}
	storetest.Check(t, l, good, store.TarZst)
	for i := range 2 { // the aborted backup gave one back
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("again", i)), nil, 0o600); err != nil {
			break
		}
	}
	if err := l.Delete(t.Context(), good, recorded); err != nil {
		t.Fatalf("a store without inodes cannot be emptied: %v", err)
	}
}

func TestAReadOnlyStoreIsRefused(t *testing.T) {
	dir := mount(t, "size=4m")
	openIn(t, dir)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := store.OpenLocal(filepath.Join(dir, "store"), store.Options{})
	if err == nil || errs.HintOf(err) == "" {
		t.Fatalf("opening a read-only store gives %v", err)
	}
}
