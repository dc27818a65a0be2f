package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
	"time"
)

// heapMost is what the live heap and its garbage may come to: several times what two
// workers need, and a fraction of what is put through.
const heapMost = 64 << 20

// heapGauge watches the heap's high water from where it was made.
type heapGauge struct {
	before, most uint64
}

func newHeapGauge() *heapGauge {
	runtime.GC()
	g := &heapGauge{}
	g.look()
	g.before = g.most
	return g
}

func (g *heapGauge) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	g.most = max(g.most, m.HeapAlloc)
}

// slowReceiver has what is made before it is taken pile up, if it can.
func (g *heapGauge) slowReceiver() {
	g.look()
	time.Sleep(3 * time.Millisecond)
}

func (g *heapGauge) check(t *testing.T) {
	t.Helper()
	if rise := g.most - g.before; rise > heapMost {
		t.Errorf("the heap rose by %d MiB", rise>>20)
	}
}

// TestARowOf100MBIsFramedInPieces with no more memory than small ones take, and no
// frame is larger than it may be.
func TestARowOf100MBIsFramedInPieces(t *testing.T) {
	const row = 100 << 20
	piece := text(5, 64<<10)
	g := newHeapGauge()
	frames, plain := 0, int64(0)
	f := must[*DumpFramer](t)(NewDumpFramer(context.Background(), DumpOptions{Codec: must[Codec](t)(NewCodec(TarZstd, 1)), Workers: 2}, func(_ context.Context, it Item) error {
		frames++
		plain += it.Frame.PlainLength
		g.slowReceiver()
		if it.Frame.PlainLength > dumpMost {
			return fmt.Errorf("frame of %d bytes", it.Frame.PlainLength)
		}
		return nil
	}))
	check(t, f.BeginSection(SectionData, "blobs"))
	for range row / len(piece) {
		_, err := f.Write(piece)
		check(t, err)
	}
	check(t, f.EndStatement(1))
	sum := must[Summary](t)(f.Close())
	if plain != row || sum.Rows != 1 || sum.Sections != 1 || frames < row/dumpMost {
		t.Errorf("%d bytes in %d frames: %+v", plain, frames, sum)
	}
	g.check(t)
}

// hugeSize is of files whose contents could not be held.
const hugeSize = 50 << 30

// huge makes a file of hugeSize that is nothing but a hole.
func (s *site) huge(name string) *os.File {
	s.write(name, nil)
	f := must[*os.File](s.t)(os.OpenFile(s.path(name), os.O_RDWR, 0))
	s.t.Cleanup(func() { f.Close() })
	check(s.t, f.Truncate(hugeSize))
	return f
}

// TestAFileOf50GBIsReadInSlices watches the memory over the first of them. The file
// has more holes than a map of holes may have, so that the last, almost all of it,
// is read like data.
func TestAFileOf50GBIsReadInSlices(t *testing.T) {
	s := newSite(t)
	f := s.huge("dense.img")
	for i := range int64(maxSegments + 1) {
		_, err := f.WriteAt([]byte{1}, i*128<<10)
		check(t, err)
	}
	errEnough := errors.New("enough")
	g := newHeapGauge()
	frames := 0
	src := must[*Source](t)(NewSource(s.root(), SourceOptions{Codec: must[Codec](t)(NewCodec(TarZstd, 1)), Workers: 2}))
	_, err := src.Run(context.Background(), func(_ context.Context, it Item) error {
		if it.Frame == nil {
			return fmt.Errorf("item %+v", it)
		}
		g.slowReceiver()
		if frames++; frames == 300 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("after %d frames: %v", frames, err)
	}
	g.check(t)
}

// TestMemoryDoesNotDependOnTheIndex reads and writes one that would not fit twice.
func TestMemoryDoesNotDependOnTheIndex(t *testing.T) {
	const frames, entries = 2500, 80
	a, file := newAssembler(t, Zstd())
	frame := frameOf(t, KindTree, "x")
	sum, g := Summary{}, newHeapGauge()
	for n := range frames {
		frame.Entries = frame.Entries[:0]
		for i := range entries {
			frame.Entries = append(frame.Entries, Entry{
				Path: fmt.Sprintf("./wp-content/uploads/%08d/%04d.jpg", n, i), Type: TypeRegular, ModTime: testTime,
				ContentHash: Hash(bytes.Repeat([]byte{byte(n), byte(i)}, 16)), ChangeTime: testTime.Add(time.Duration(n)),
			})
		}
		sum.addEntries(frame.Entries)
		sum.Frames++
		sum.PlainBytes += frame.PlainLength
		check(t, a.Append(context.Background(), frame))
		if n%100 == 0 {
			g.look()
		}
	}
	check(t, a.CloseTree(sum))
	_, err := a.Finish(context.Background(), testManifest(false))
	check(t, err)
	r := must[*Reader](t)(OpenFile(file.Name()))
	defer r.Close()
	n := 0
	for b, err := range r.BaseFrames(0) {
		check(t, err)
		if n += len(b.Entries); n%8000 == 0 {
			g.look()
		}
	}
	if n != frames*entries {
		t.Errorf("%d entries", n)
	}
	if rise := g.most - g.before; rise > heapMost/2 {
		t.Errorf("the heap rose by %d MiB", rise>>20)
	}
	const few = 8 * blockPlain
	if garbage := allocated(func() {
		for _, err := range r.index.records(0) {
			check(t, err)
		}
	}); garbage > few {
		t.Errorf("reading %d blocks of the index made %d KiB of garbage", len(r.index.blocks), garbage>>10)
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// touched notes which bytes of a tarball were read.
type touched struct {
	*bytes.Reader
	ranges [][2]int64
}

func (r *touched) ReadAt(b []byte, off int64) (int, error) {
	n, err := r.Reader.ReadAt(b, off)
	r.ranges = append(r.ranges, [2]int64{off, off + int64(n)})
	return n, err
}

// frames counts those that something was read of.
func (r *touched) frames(t *testing.T, all *Reader) int {
	n := 0
	for f, err := range all.Frames() {
		check(t, err)
		for _, x := range r.ranges {
			if x[0] < f.End() && x[1] > f.Offset {
				n++
				break
			}
		}
	}
	return n
}

// TestOneFileTakesOneFrame out of a tarball of many, from its opening to the file's last byte.
func TestOneFileTakesOneFrame(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := newSite(t)
		for i := range 300 {
			s.write(fmt.Sprintf("d%02d/f%03d.php", i/20, i), text(uint64(i), 20000))
		}
		s.write("d07/two.jpg", noise(1, SliceSize+1000))
		m := s.make(makeOptions{codec: c})
		whole := must[[]byte](t)(os.ReadFile(m.path))
		if n := m.open(t).Counts().Frames; n < 15 {
			t.Fatalf("only %d frames", n)
		}
		for path, most := range map[string]int{"d00/f000.php": 1, "d07/f150.php": 1, "d14/f299.php": 1, "d07/two.jpg": 2} {
			in := &touched{Reader: bytes.NewReader(whole)}
			r := must[*Reader](t)(Open(in, int64(len(whole))))
			e := must[Entry](t)(r.Lookup(path))
			rc := must[io.ReadCloser](t)(r.OpenEntry(context.Background(), e))
			got := must[[]byte](t)(io.ReadAll(rc))
			check(t, rc.Close())
			if want := must[[]byte](t)(os.ReadFile(s.path(path))); !bytes.Equal(got, want) {
				t.Errorf("%s: other bytes", path)
			}
			if n := in.frames(t, m.open(t)); n > most {
				t.Errorf("%s: %d frames were read", path, n)
			}
		}
	})
}
