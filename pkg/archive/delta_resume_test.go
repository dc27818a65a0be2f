package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// cutDelta stages m into dir until so many frames have come, and returns what was asked for and what was taken. With cut
// set to -1 it comes to its end.
func (m *made) cutDelta(t *testing.T, dir, live string, cut int) (runs []FrameRun, sum DeltaSummary) {
	t.Helper()
	r := m.open(t)
	var other *os.Root
	if live != "" {
		other = rootOf(t, live)
	}
	d, err := NewDelta(rootOf(t, dir), other, DeltaOptions{Format: r.Format(), WalkStarted: m.tree.StartedAt, Resume: true})
	check(t, err)
	defer d.Close()
	check(t, d.Match(t.Context(), r.BaseFrames(0), func(first, count uint64) error {
		runs = append(runs, FrameRun{first, count})
		return nil
	}))
	next, stop := iter.Pull2(r.ReadRuns(t.Context(), runs))
	defer stop()
	pull, got := pulled(next), 0
	err = d.Extract(t.Context(), func() (Frame, error) {
		if got == cut {
			return Frame{}, errCut
		}
		got++
		return pull()
	})
	if cut >= 0 {
		if !errors.Is(err, errCut) {
			t.Fatalf("cut after %d frames: %v", cut, err)
		}
		return runs, sum
	}
	check(t, err)
	sum, err = d.Finish(t.Context(), r.OtherEntries())
	check(t, err)
	return runs, sum
}

func framesOf(runs []FrameRun) (n uint64) {
	for _, r := range runs {
		n += r.Count
	}
	return n
}

// TestDeltaThatIsResumed goes on with what came before the connection broke, once and again: less is asked for each time,
// and the tree is that of one that was never broken, whatever a crash has torn of it.
func TestDeltaThatIsResumed(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := richSite(t)
		for i := range 40 {
			s.write(fmt.Sprintf("many/%02d", i), noise(uint64(i), 20_000+i))
		}
		m := s.make(makeOptions{codec: c, dump: smallDump()})
		dir := t.TempDir()
		asked, _ := m.cutDelta(t, dir, "", 14) // some of them are on their way when it breaks
		again, _ := m.cutDelta(t, dir, "", 0)
		if framesOf(again) >= framesOf(asked) {
			t.Errorf("asked for %d frames, and then for %d", framesOf(asked), framesOf(again))
		}
		tear(t, dir)
		_, sum := m.cutDelta(t, dir, "", -1)
		compareTrees(t, listing(t, s.dir), listing(t, dir))
		if sum.Totals != m.tree.Totals {
			t.Errorf("%+v; stored %+v", sum.Totals, m.tree.Totals)
		}
		last, sum := m.cutDelta(t, dir, "", -1) // cut off after everything had been made
		compareTrees(t, listing(t, s.dir), listing(t, dir))
		if framesOf(last) > 0 || sum.TakenFiles != m.tree.Files {
			t.Errorf("asked for %d frames of a tree that is there; %+v", framesOf(last), sum)
		}
	})
}

// tear shortens one file and fills another with zeros, as a power cut does.
func tear(t *testing.T, dir string) {
	t.Helper()
	var files []string
	check(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil && info.Size() > 100 {
				files = append(files, path)
			}
		}
		return err
	}))
	slices.Sort(files)
	if len(files) < 2 {
		t.Fatalf("only %d files had come", len(files))
	}
	check(t, os.Truncate(files[0], 10))
	info, err := os.Stat(files[1])
	check(t, err)
	check(t, os.WriteFile(files[1], make([]byte, info.Size()), 0o600))
}

// TestPartialExtractionCountsWhatItMade: files that are there already stay as they are, and are not counted.
func TestPartialExtractionCountsWhatItMade(t *testing.T) {
	s := richSite(t)
	m := s.make(makeOptions{codec: Zstd()})
	dir := t.TempDir()
	m.cutDelta(t, dir, "", -1)
	r := m.open(t)
	x, err := NewExtractor(context.Background(), rootOf(t, dir), r.Format(), ExtractOptions{WithDump: true, partial: true})
	check(t, err)
	next, stop := iter.Pull2(r.ReadFrames(t.Context()))
	defer stop()
	for pull := pulled(next); ; {
		f, err := pull()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		check(t, x.Put(t.Context(), f))
	}
	sum, err := x.Finish(t.Context())
	if err != nil || sum.Files != 0 {
		t.Errorf("made %d files of a tree that was there, %v", sum.Files, err)
	}
	compareTrees(t, listing(t, s.dir), listing(t, dir))
}
