//go:build integration

package archive

import (
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestFileSystems has what a site can hold come back, holes stay holes, and
// backups be spliced and resumed, on each file system that sites and stores are
// on, with each codec. sharesBlocks is what ProbeSharedBlocks must find there; it
// is the one difference there may be.
func TestFileSystems(t *testing.T) {
	for _, fs := range []struct {
		name         string
		mkfs         []string // nil: it needs no image
		sharesBlocks bool
	}{
		{"ext4", []string{"mkfs.ext4", "-q", "-F"}, false},
		{"xfs", []string{"mkfs.xfs", "-q", "-m", "reflink=1"}, true},
		{"btrfs", []string{"mkfs.btrfs", "-q"}, true},
		{"tmpfs", nil, false},
	} {
		t.Run(fs.name, func(t *testing.T) {
			dir := mountedTmpfs
			if fs.mkfs != nil {
				dir = func(t *testing.T) string { return mounted(t, fs.mkfs...) }
			}
			t.Setenv("TMPDIR", dir(t))
			align := must[int64](t)(ProbeSharedBlocks(os.TempDir()))
			if (align > 0) != fs.sharesBlocks {
				t.Errorf("blocks to share are of %d bytes", align)
			}
			conformance(t)
			if fs.name == "ext4" { // where bytes are copied, by way of the page cache
				t.Run("page cache", splicedBasesLeaveThePageCache)
			}
		})
	}
}

// conformance runs the tests that hold on every file system in os.TempDir.
func conformance(t *testing.T) {
	t.Run("round trip", TestRoundTripExtractor)
	t.Run("GNU tar", TestGNUTar)
	t.Run("holes", TestSparseStaysSparse)
	t.Run("many holes", TestManyHoles)
	t.Run("splice", TestUnchangedSiteIsReferences)
	t.Run("slices", TestLargeFileSendsChangedSlices)
	t.Run("resume", TestResumeSendsNothingTwice)
}

func mountedTmpfs(t *testing.T) string {
	t.Helper()
	dir := must[string](t)(os.MkdirTemp("", ""))
	t.Cleanup(func() { os.RemoveAll(dir) })
	run(t, "mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", dir)
	t.Cleanup(func() { run(t, "umount", dir) })
	return dir
}

// splicedBasesLeaveThePageCache looks at what is left there of a base that was copied.
func splicedBasesLeaveThePageCache(t *testing.T) {
	s := newSite(t)
	s.write("a.jpg", noise(1, 40<<20))
	s.age(".")
	first := s.make(makeOptions{codec: Zstd()})
	must[[]byte](t)(os.ReadFile(first.path)) // writing may have given some of it back already
	if n := resident(t, first.path); n < 40<<20/4096 {
		t.Errorf("%d pages before", n) // the test would show nothing
	}
	base := first.open(t)
	second := s.make(makeOptions{codec: Zstd(), bases: []*Reader{base}, source: SourceOptions{Base: base.BaseFrames(0), BaseStarted: later()}})
	if n := resident(t, first.path); second.result.CopiedBytes < 40<<20 || n > 10<<20/4096 {
		t.Errorf("%d pages after %d bytes were copied", n, second.result.CopiedBytes)
	}
	verifyMade(t, second)
}

// resident counts the pages of a file that are in the page cache.
func resident(t *testing.T, path string) int {
	t.Helper()
	f := must[*os.File](t)(os.Open(path))
	defer f.Close()
	st := must[os.FileInfo](t)(f.Stat())
	b := must[[]byte](t)(unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED))
	defer unix.Munmap(b)
	pages := make([]byte, (len(b)+4095)/4096)
	check(t, mincore(b, pages))
	n := 0
	for _, p := range pages {
		n += int(p & 1)
	}
	return n
}

// mincore is mincore(2).
func mincore(b, pages []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&pages[0])))
	if errno != 0 {
		return errno
	}
	return nil
}
