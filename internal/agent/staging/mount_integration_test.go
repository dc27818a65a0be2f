//go:build integration

package staging_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// A site whose directory is a mount point cannot be renamed: it is said so, and nothing is moved.
func TestMountPointsAreRefused(t *testing.T) {
	p := newPlace(t)
	if err := os.Mkdir(p.www+"/x", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", p.www+"/x", "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(p.www+"/x", 0); err != nil {
			t.Error(err)
		}
	})
	live := p.live("old")
	staged := p.staged("new")
	err := p.stager.Exchange(t.Context(), p.site, task, live, staged)
	if !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
		t.Errorf("error = %v (%v, hint %q)", err, errs.KindOf(err), errs.HintOf(err))
	}
	t.Log(err)
	p.want("old", "new")
}

// A full file system is said to be one, and nothing is left in it.
func TestFullFileSystem(t *testing.T) {
	p := newPlace(t)
	if err := syscall.Mount("tmpfs", p.www, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(p.www, 0); err != nil {
			t.Error(err)
		}
	})
	_, err := p.stager.Fill(t.Context(), p.site, task, func(dir *os.Root) error { return dir.WriteFile("big", make([]byte, 1<<20), 0o644) })
	if err == nil {
		t.Fatal("a megabyte fits in 64 KiB")
	}
	if st, err := p.stager.Inspect(p.site, task); err != nil || st.Staged != 0 || st.FreeBytes < 32<<10 {
		t.Errorf("state = %+v, %v", st, err)
	}
}
