package archive

import (
	"iter"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// moved stages a tarball out of a tree that is nobody's, and returns how many frames had to be sent, and what was taken.
func (m *made) moved(t *testing.T, dir, ahead string) (frames uint64, sum DeltaSummary) {
	t.Helper()
	r := m.open(t)
	d, err := NewDelta(rootOf(t, dir), rootOf(t, ahead), DeltaOptions{Format: r.Format(), WalkStarted: m.tree.StartedAt, Resume: true, Move: true})
	check(t, err)
	defer d.Close()
	var runs []FrameRun
	check(t, d.Match(t.Context(), r.BaseFrames(0), func(first, count uint64) error {
		runs = AddRun(runs, FrameRun{first, count})
		return nil
	}))
	next, stop := iter.Pull2(r.ReadRuns(t.Context(), runs))
	defer stop()
	check(t, d.Extract(t.Context(), pulled(next)))
	sum, err = d.Finish(t.Context(), r.OtherEntries())
	check(t, err)
	return framesOf(runs), sum
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Lstat(path, &st))
	return st.Ino
}

// TestDeltaThatMoves makes the very tree of the second backup, out of the files of the first: those that are the same are
// the same files. What has another name too, other attributes or other content is never shared.
func TestDeltaThatMoves(t *testing.T) {
	s := richSite(t)
	s.write("one", text(7, 900))
	check(t, os.Link(s.path("one"), s.path("two")))
	first := s.make(makeOptions{codec: Zstd()})
	ahead, _, _ := first.extract(t, ExtractOptions{})

	s.write("index.php", []byte("<?php // new\n"))
	check(t, os.RemoveAll(s.path("wp-includes.old")))
	s.write("wp-includes.old/now-a-directory", []byte("x"))
	check(t, os.RemoveAll(s.path("wp-includes-x")))
	s.write("wp-includes-x", []byte("now a file"))
	check(t, os.Remove(s.path("two")))
	s.write("two", text(7, 900)) // a file of its own now
	check(t, os.Chmod(s.path("wp-includes/f003.php"), 0o600))
	second := s.again(first, makeOptions{codec: Zstd()})

	big := inodeOf(t, ahead+"/wp-content/exact.bin")
	dir := t.TempDir() + "/site"
	check(t, os.Mkdir(dir, 0o755))
	frames, sum := second.moved(t, dir, ahead)
	compareTrees(t, listing(t, s.dir), listing(t, dir))
	if inodeOf(t, dir+"/wp-content/exact.bin") != big {
		t.Error("a file that is the same was copied")
	}
	if inodeOf(t, dir+"/one") == inodeOf(t, dir+"/two") {
		t.Error("two files are one")
	}
	if all := uint64(second.tree.Frames); frames == 0 || frames*3 > all || sum.TakenFiles < 100 {
		t.Errorf("%d of %d frames were sent, %d files taken", frames, all, sum.TakenFiles)
	}
}
