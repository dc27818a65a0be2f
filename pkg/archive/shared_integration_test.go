//go:build integration

package archive

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// mounted returns a directory on a new file system in a loop file.
func mounted(t *testing.T, mkfs ...string) string {
	t.Helper()
	dir := must[string](t)(os.MkdirTemp("", "")) // t.TempDir shall be on the new file system
	t.Cleanup(func() { os.RemoveAll(dir) })
	image, mount := filepath.Join(dir, "image"), filepath.Join(dir, "mount")
	check(t, os.Mkdir(mount, 0o755))
	f := must[*os.File](t)(os.Create(image))
	check(t, f.Truncate(512<<20))
	check(t, f.Close())
	run(t, mkfs[0], append(mkfs[1:], image)...)
	run(t, "mount", "-o", "loop", image, mount)
	t.Cleanup(func() { run(t, "umount", mount) })
	return mount
}

// TestSharedBlocks splices on a file system that shares blocks: the second full
// tarball takes next to nothing.
func TestSharedBlocks(t *testing.T) {
	mount := mounted(t, "mkfs.xfs", "-q", "-m", "reflink=1")
	t.Setenv("TMPDIR", mount)
	align := must[int64](t)(ProbeSharedBlocks(mount))
	if align != 4096 {
		t.Fatalf("blocks to share are of %d bytes", align)
	}
	s := newSite(t)
	s.write("large", noise(1, 60<<20))
	for i := range 500 {
		s.write("small/"+itoa(int64(i)), noise(uint64(i), 20000))
	}
	first := s.make(makeOptions{codec: Zstd(), dump: smallDump(), align: align})
	before := freeBytes(t, mount)
	second := s.again(first, makeOptions{codec: Zstd(), dump: smallDump(), align: align})
	if used := before - freeBytes(t, mount); used > first.result.Size/20 {
		t.Errorf("a second tarball of %d bytes takes %d", second.result.Size, used)
	}
	if second.result.SharedBytes < second.result.Size*9/10 {
		t.Errorf("result: %+v", second.result)
	}
	verifyMade(t, second)
	third := s.again(second, makeOptions{codec: Zstd(), dump: smallDump()})
	verifyMade(t, third)
}

// TestDeltaSharesBlocks: on a file system that can, what was taken over costs no
// room, whether it was read or not, and is not the live file all the same.
func TestDeltaSharesBlocks(t *testing.T) {
	mount := mounted(t, "mkfs.xfs", "-q", "-m", "reflink=1")
	t.Setenv("TMPDIR", mount)
	s := newSite(t)
	s.write("large", noise(1, 60<<20))
	for i := range 200 {
		s.write("small/"+itoa(int64(i)), noise(uint64(i), 20000))
	}
	m := s.make(makeOptions{codec: Zstd()})
	want := listing(t, s.dir)
	for name, o := range map[string]DeltaOptions{"read": {}, "not read": m.trusting()} {
		before := freeBytes(t, mount)
		got := m.delta(t, s.dir, o)
		if used := before - freeBytes(t, mount); used > 6<<20 || got.summary.TakenFiles != 201 {
			t.Errorf("%s: %d bytes used for %+v", name, used, got.summary)
		}
		flipBit(t, filepath.Join(got.dir, "large"), 1<<20)
		compareTrees(t, want, listing(t, s.dir))
	}
}

func freeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	run(t, "sync", "-f", dir)
	var st unix.Statfs_t
	check(t, unix.Statfs(dir, &st))
	return int64(st.Bfree) * st.Bsize
}
