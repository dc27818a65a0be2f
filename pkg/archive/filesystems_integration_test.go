//go:build integration

package archive

import (
	"os"
	"testing"
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
