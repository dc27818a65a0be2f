package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// smallSite has group and slice frames and is quickly made.
func smallSite(t testing.TB) *site {
	s := newSite(t)
	for i := range 40 {
		s.write(fmt.Sprintf("a/f%02d.php", i), text(uint64(i), 9000))
	}
	s.write("b/big.jpg", noise(1, 2*SliceSize+100))
	s.write("c/last.txt", []byte("last"))
	s.age(".")
	s.age("a")
	s.age("b")
	s.age("c")
	return s
}

func verifyBytes(t *testing.T, b []byte, data bool) (VerifyReport, error) {
	t.Helper()
	return Verify(context.Background(), bytes.NewReader(b), int64(len(b)), VerifyOptions{ReadData: data})
}

// TestEveryFlippedBitIsFound flips bits all over a tarball: at least one in each
// region and in each frame, and checks that the frame is named.
func TestEveryFlippedBitIsFound(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		m := smallSite(t).make(makeOptions{codec: c, dump: smallDump()[:3], align: 4096})
		whole := must[[]byte](t)(os.ReadFile(m.path))
		var frames []FrameInfo
		for f, err := range m.open(t).Frames() {
			check(t, err)
			frames = append(frames, f)
		}
		for _, f := range frames {
			for _, at := range []int64{f.Offset, f.Offset + f.Length/2, f.Offset + f.Length - 1, f.End() - 1} {
				whole[at] ^= 2
				report, err := verifyBytes(t, whole, false)
				whole[at] ^= 2
				if !errors.Is(err, ErrCorrupt) || report.Found != 1 || report.Problems[0].Frame != int64(f.Number) {
					t.Errorf("bit at %d in frame %d: %v", at, f.Number, err)
				}
				if f.Kind == KindTree && len(report.Problems[0].Paths) == 0 {
					t.Errorf("bit at %d in frame %d: no path is named", at, f.Number)
				}
			}
		}
		for at := frames[len(frames)-1].End(); at < int64(len(whole)); at++ {
			for _, bit := range []int{0, 3, 7} {
				whole[at] ^= 1 << bit
				_, err := verifyBytes(t, whole, false)
				whole[at] ^= 1 << bit
				if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
					t.Fatalf("bit %d of byte %d in index or trailer: %v", bit, at, err)
				}
			}
		}
	})
}

func flip(b []byte, at int64, bit int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1 << bit
	return b
}

// TestFlippedBitNamesTheFile checks the names, with and without decompression.
func TestFlippedBitNamesTheFile(t *testing.T) {
	m := smallSite(t).make(makeOptions{codec: Zstd()})
	whole := must[[]byte](t)(os.ReadFile(m.path))
	r := m.open(t)
	for path, frame := range map[string]uint64{"./b/big.jpg": 1, "./c/last.txt": 0, "./a/f07.php": 0} {
		e := must[Entry](t)(r.Lookup(path))
		info := frameNumber(t, r, e.Frame+frame)
		for _, data := range []bool{false, true} {
			report, err := verifyBytes(t, flip(whole, info.Offset+info.Length/2, 2), data)
			if !errors.Is(err, ErrCorrupt) || !slices.Contains(report.Problems[0].Paths, path) {
				t.Errorf("%s, data %v: %v", path, data, err)
			}
			if len(report.Problems) != 1 {
				t.Errorf("%s, data %v: %d problems", path, data, len(report.Problems))
			}
		}
	}
}

func frameNumber(t *testing.T, r *Reader, n uint64) FrameInfo {
	t.Helper()
	for f, err := range r.Frames() {
		check(t, err)
		if f.Number == n {
			return f
		}
	}
	t.Fatalf("no frame %d", n)
	return FrameInfo{}
}

// TestSwappedFramesAreFound swaps two frames of the same length.
func TestSwappedFramesAreFound(t *testing.T) {
	s := newSite(t)
	s.write("a.jpg", noise(1, SliceSize+5000))
	s.write("b.jpg", noise(2, SliceSize+5000))
	m := s.make(makeOptions{codec: Zstd()})
	r := m.open(t)
	a := frameNumber(t, r, must[Entry](t)(r.Lookup("a.jpg")).Frame)
	b := frameNumber(t, r, must[Entry](t)(r.Lookup("b.jpg")).Frame)
	if a.Length != b.Length {
		t.Fatalf("frames of %d and %d bytes cannot be swapped", a.Length, b.Length)
	}
	whole := must[[]byte](t)(os.ReadFile(m.path))
	swapped := bytes.Clone(whole)
	copy(swapped[a.Offset:], whole[b.Offset:b.Offset+b.Length])
	copy(swapped[b.Offset:], whole[a.Offset:a.Offset+a.Length])
	report, err := verifyBytes(t, swapped, false)
	if !errors.Is(err, ErrCorrupt) || report.Found != 2 {
		t.Fatalf("%d problems, %v", report.Found, err)
	}
	if report.Problems[0].Frame != int64(a.Number) || report.Problems[1].Frame != int64(b.Number) {
		t.Errorf("named %v", report.Problems)
	}
	if report.Problems[0].Paths[0] != "./a.jpg" || report.Problems[1].Paths[0] != "./b.jpg" {
		t.Errorf("named %v", report.Problems)
	}
}

// TestCutsAreFound cuts a tarball in every region: the frame and the entry where
// it ends are named.
func TestCutsAreFound(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		m := smallSite(t).make(makeOptions{codec: c, dump: smallDump(), align: 4096})
		whole := must[[]byte](t)(os.ReadFile(m.path))
		r := m.open(t)
		big := must[Entry](t)(r.Lookup("b/big.jpg"))
		for f, err := range r.Frames() {
			check(t, err)
			for _, at := range []int64{f.Offset + 1, f.Offset + f.Length/2, f.Offset + f.Length - 1} {
				report, err := verifyBytes(t, whole[:at], false)
				if !errors.Is(err, ErrNoIndex) || !errors.Is(err, ErrCorrupt) && at > frameNumber(t, r, 0).End() {
					t.Fatalf("cut at %d in frame %d: %v", at, f.Number, err)
				}
				if f.Number > 0 && report.Problems[0].Frame != int64(f.Number) {
					t.Errorf("cut at %d in frame %d: named %v", at, f.Number, report.Problems[0])
				}
				if f.Number > big.Frame && f.Number <= big.Frame+big.Span && report.Problems[0].Paths[0] != big.Path {
					t.Errorf("cut in %s: named %v", big.Path, report.Problems[0])
				}
			}
		}
		for _, n := range []int{1, 10, 50, 111, 130, 300} {
			if _, err := verifyBytes(t, whole[:len(whole)-n], true); !errors.Is(err, ErrNoIndex) {
				t.Errorf("cut %d bytes before the end: %v", n, err)
			}
		}
	})
}

// TestAppendedTailIsFound appends to a tarball.
func TestAppendedTailIsFound(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		m := smallSite(t).make(makeOptions{codec: c})
		whole := must[[]byte](t)(os.ReadFile(m.path))
		for _, tail := range [][]byte{{0}, []byte("x"), make([]byte, 5000), noise(3, 3<<20), whole[:100]} {
			report, err := verifyBytes(t, append(bytes.Clone(whole), tail...), true)
			var p *CorruptError
			if !errors.As(err, &p) || p.Offset != int64(len(whole)) || !strings.Contains(p.Detail, fmt.Sprint(len(tail))) {
				t.Errorf("tail of %d bytes: %v", len(tail), err)
			}
			if report.Found != 1 {
				t.Errorf("tail of %d bytes: %d problems", len(tail), report.Found)
			}
		}
	})
}

// TestForeignTarballsHaveNoIndex opens tarballs that are not ours.
func TestForeignTarballsHaveNoIndex(t *testing.T) {
	s := smallSite(t)
	m := s.make(makeOptions{codec: Zstd()})
	dir := t.TempDir()
	run(t, "sh", "-c", `cd "$1" && tar -cf "$2/a.tar" . && gzip -k "$2/a.tar" && zstd -q -k "$2/a.tar"`, "sh", s.dir, dir)
	run(t, "sh", "-c", `zstd -q -d -c "$1" | zstd -q -o "$2/b.tar.zst"`, "sh", m.path, dir)
	for _, name := range []string{"a.tar", "a.tar.gz", "a.tar.zst", "b.tar.zst"} {
		b := must[[]byte](t)(os.ReadFile(dir + "/" + name))
		if _, err := Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrNoIndex) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := verifyBytes(t, b, true); !errors.Is(err, ErrNoIndex) || errors.Is(err, ErrCorrupt) {
			t.Errorf("verify %s: %v", name, err)
		}
	}
	for _, n := range []int{0, 1, 50, 200} {
		if _, err := verifyBytes(t, make([]byte, n), true); !errors.Is(err, ErrNoIndex) {
			t.Errorf("%d zero bytes: %v", n, err)
		}
	}
}

// TestReadDataFindsALyingIndex has an index that is sound in itself and tells
// of other contents.
func TestReadDataFindsALyingIndex(t *testing.T) {
	s := smallSite(t)
	lies := map[string]func(*Entry){
		"hash":   func(e *Entry) { e.ContentHash[0]++ },
		"offset": func(e *Entry) { e.Offset += blockSize },
		"mode":   func(e *Entry) { e.Mode ^= 0o111 },
		"path":   func(e *Entry) { e.Path += "x" },
		"owner":  func(e *Entry) { e.UID++ },
		"time":   func(e *Entry) { e.ModTime = e.ModTime.Add(1) },
	}
	for what, lie := range lies {
		m := s.makeAltered(t, func(f *Frame) {
			for i := range f.Entries {
				if e := &f.Entries[i]; e.Path == "./a/f05.php" {
					lie(e)
				}
			}
		})
		if _, err := verifyBytes(t, m, false); err != nil {
			t.Errorf("%s: without data: %v", what, err)
		}
		report, err := verifyBytes(t, m, true)
		if !errors.Is(err, ErrCorrupt) || !strings.HasPrefix(report.Problems[0].Paths[0], "./a/f05.php") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// makeAltered makes a tarball of frames that were altered on their way.
func (s *site) makeAltered(t *testing.T, alter func(*Frame)) []byte {
	t.Helper()
	f := must[*os.File](t)(os.CreateTemp(t.TempDir(), ""))
	defer f.Close()
	a := must[*Assembler](t)(NewAssembler(AssemblerOptions{File: f, SpoolDir: t.TempDir(), Codec: Zstd()}))
	defer a.Abort()
	src := must[*Source](t)(NewSource(s.root(), SourceOptions{Codec: Zstd()}))
	sum, err := src.Run(context.Background(), func(ctx context.Context, it Item) error {
		alter(it.Frame)
		return a.Append(ctx, *it.Frame)
	})
	check(t, err)
	check(t, a.CloseTree(sum))
	_, err = a.Finish(context.Background(), testManifest(false))
	check(t, err)
	return must[[]byte](t)(os.ReadFile(f.Name()))
}
