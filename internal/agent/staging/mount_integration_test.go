//go:build integration

package staging_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

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

// XFS changes the time of a directory that gets another parent: it is brought back, there and with the undo.
func TestExchangeKeepsTimesOnXFS(t *testing.T) {
	p := newPlace(t)
	onXFS(t, p.www)
	live, staged := p.live("old"), p.staged("new")
	of := map[string]time.Time{"old": time.Unix(1e9, 1), "new": time.Unix(1e9, 2)}
	times := func(live, staged string) {
		t.Helper()
		for path, want := range map[string]time.Time{p.www + "/x": of[live], p.stagingDir() + "/x": of[staged]} {
			if info, err := os.Stat(path); err != nil || !info.ModTime().Equal(want) {
				t.Errorf("%s: %v, %v; want %v", path, info.ModTime(), err, want)
			}
		}
	}
	fatal(t, os.Chtimes(p.www+"/x", time.Time{}, of["old"]))
	fatal(t, os.Chtimes(p.stagingDir()+"/x", time.Time{}, of["new"]))
	fatal(t, p.stager.Exchange(t.Context(), p.site, task, live, staged))
	times("new", "old")
	fatal(t, p.stager.Exchange(t.Context(), p.site, task, staged, live))
	times("old", "new")
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// onXFS mounts a new XFS until the end of the test.
func onXFS(t *testing.T, dir string) {
	t.Helper()
	image := t.TempDir() + "/image"
	fatal(t, os.WriteFile(image, nil, 0o600))
	fatal(t, os.Truncate(image, 512<<20))
	for _, argv := range [][]string{{"mkfs.xfs", "-q", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", argv[0], err, out)
		}
	}
	t.Cleanup(func() { fatal(t, syscall.Unmount(dir, 0)) })
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
