package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// frameSQL frames statements and returns the plain bytes of each frame.
func frameSQL(t testing.TB, statements []string, pieces int) ([][]byte, []Section) {
	t.Helper()
	dec := must[*decompressor](t)(newDecompressor(TarZstd))
	defer dec.close()
	var frames [][]byte
	var sections []Section
	f := must[*DumpFramer](t)(NewDumpFramer(context.Background(), DumpOptions{Codec: Zstd()}, func(_ context.Context, it Item) error {
		frames = append(frames, must[[]byte](t)(dec.plain(nil, it.Frame)))
		sections = append(sections, it.Frame.Sections...)
		return nil
	}))
	defer f.Abort()
	check(t, f.BeginSection(SectionData, "t"))
	for _, s := range statements {
		for piece := range slices.Chunk([]byte(s), max(len(s)/pieces, 1)) {
			_, err := f.Write(piece)
			check(t, err)
		}
		check(t, f.EndStatement(1))
	}
	sum := must[Summary](t)(f.Close())
	whole := bytes.Join(frames, nil)
	if sum.DumpHash != sha256.Sum256(whole) || sum.PlainBytes != int64(len(whole)) || sum.Frames != int64(len(frames)) {
		t.Errorf("summary: %+v", sum)
	}
	return frames, sections
}

// TestFramesHoldWholeStatements cuts at the ends of statements and nowhere else.
func TestFramesHoldWholeStatements(t *testing.T) {
	statements := bigStatements(3, 8000)
	ends := map[int]bool{}
	total := 0
	for _, s := range statements {
		total += len(s)
		ends[total] = true
	}
	frames, sections := frameSQL(t, statements, 3)
	at := 0
	for i, f := range frames {
		at += len(f)
		if !ends[at] {
			t.Errorf("frame %d ends within a statement, at %d", i, at)
		}
		if len(f) > dumpMost || (len(f) < dumpLeast && i < len(frames)-1) {
			t.Errorf("frame %d has %d bytes", i, len(f))
		}
	}
	if at != total || len(frames) < 5 {
		t.Errorf("%d frames with %d bytes of %d", len(frames), at, total)
	}
	want := Section{Kind: SectionData, Name: "t", Length: int64(total), Rows: 8000}
	if len(sections) != 1 || sections[0] != want {
		t.Errorf("sections: %+v", sections)
	}
}

// TestInsertedRowMovesBordersBesideItOnly compares frames before and after.
func TestInsertedRowMovesBordersBesideItOnly(t *testing.T) {
	statements := bigStatements(4, 9000)
	before, _ := frameSQL(t, statements, 1)
	for _, at := range []int{0, 4000, 8999} {
		after, _ := frameSQL(t, slices.Insert(slices.Clone(statements), at, "INSERT INTO `big` VALUES (-1,'new');\n"), 1)
		if n := newFrames(before, after); n < 1 || n > 2 {
			t.Errorf("a row at %d: %d of %d frames are new", at, n, len(after))
		}
	}
}

func newFrames(before, after [][]byte) int {
	known := map[Hash]bool{}
	for _, f := range before {
		known[sha256.Sum256(f)] = true
	}
	n := 0
	for _, f := range after {
		if !known[sha256.Sum256(f)] {
			n++
		}
	}
	return n
}

// TestHugeStatement cuts a statement that no frame can hold, at places that an
// insertion does not move.
func TestHugeStatement(t *testing.T) {
	row := text(5, 16<<20)
	before, _ := frameSQL(t, []string{"a;\n", string(row), "b;\n"}, 1000)
	if whole := bytes.Join(before, nil); !bytes.Equal(whole, slices.Concat([]byte("a;\n"), row, []byte("b;\n"))) {
		t.Fatal("bytes were lost")
	}
	for i, f := range before {
		if len(f) > dumpMost {
			t.Errorf("frame %d has %d bytes", i, len(f))
		}
	}
	if string(before[0]) != "a;\n" {
		t.Error("the statement before was cut with it")
	}
	after, _ := frameSQL(t, []string{"a;\n", string(slices.Insert(slices.Clone(row), 9<<20+1, []byte("inserted")...)), "b;\n"}, 1)
	if n := newFrames(before, after); n > 6 {
		t.Errorf("%d of %d frames are new", n, len(after))
	}
}

// TestFramerProperties frames random statements: what comes out is what went in.
func TestFramerProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 4 {
		sections := make([]section, 1+r.IntN(12))
		for i := range sections {
			sections[i] = section{SectionData, fmt.Sprint("t", i), nil}
			for range r.IntN(40) {
				size := r.IntN(200)
				if r.IntN(8) == 0 {
					size = r.IntN(2 * dumpMost)
				}
				sections[i].statements = append(sections[i].statements, string(noise(r.Uint64(), size))+";\n")
			}
		}
		m := newSite(t).make(makeOptions{codec: Zstd(), dump: sections, noTree: true})
		verifyMade(t, m)
		checkRandomSections(t, m.open(t), sections)
	}
}

func checkRandomSections(t *testing.T, r *Reader, sections []section) {
	t.Helper()
	sections = slices.DeleteFunc(sections, func(s section) bool { return len(s.statements) == 0 })
	i := 0
	for s, err := range r.Sections() {
		check(t, err)
		rc := must[io.ReadCloser](t)(r.OpenSection(context.Background(), s))
		got := must[[]byte](t)(io.ReadAll(rc))
		check(t, rc.Close())
		if s.Name != sections[i].name || !bytes.Equal(got, sqlOf(sections[i:i+1])) {
			t.Errorf("section %d: %s with %d bytes", i, s.Name, len(got))
		}
		i++
	}
	if i != len(sections) {
		t.Errorf("%d sections of %d", i, len(sections))
	}
}

// TestFramerFailures brings the receiver's error back, and uses after the end.
func TestFramerFailures(t *testing.T) {
	boom := errors.New("boom")
	f := must[*DumpFramer](t)(NewDumpFramer(context.Background(), DumpOptions{Codec: Gzip()}, func(context.Context, Item) error { return boom }))
	_, err := f.Write(make([]byte, 20*dumpMost))
	_, cerr := f.Close()
	if !errors.Is(cerr, boom) && !errors.Is(err, boom) {
		t.Errorf("write: %v, close: %v", err, cerr)
	}
	if _, err := f.Write([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
	f = must[*DumpFramer](t)(NewDumpFramer(context.Background(), DumpOptions{Codec: Zstd()}, func(context.Context, Item) error {
		t.Error("something is emitted after Abort")
		return nil
	}))
	_, err = f.Write([]byte("x;\n"))
	check(t, err)
	f.Abort()
	if _, err := f.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("close after abort: %v", err)
	}
	bad := func(yield func(BaseDumpFrame, error) bool) { yield(BaseDumpFrame{}, boom) }
	if _, err := NewDumpFramer(context.Background(), DumpOptions{Codec: Zstd(), Base: bad}, nil); !errors.Is(err, boom) {
		t.Errorf("base fails: %v", err)
	}
}

// TestPlainReader reads a dump's frames as the agent of a database server does.
func TestPlainReader(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		m := newSite(t).make(makeOptions{codec: c, dump: smallDump(), noTree: true})
		r := m.open(t)
		var frames []Frame
		for f, err := range r.ReadDump(context.Background()) {
			check(t, err)
			f.Data = bytes.Clone(f.Data)
			frames = append(frames, f)
		}
		read := func(frames []Frame, last error) ([]byte, error) {
			i := 0
			p := must[*PlainReader](t)(NewPlainReader(context.Background(), c.Format(), func() (Frame, error) {
				if i == len(frames) {
					return Frame{}, last
				}
				i++
				return frames[i-1], nil
			}))
			defer p.Close()
			return io.ReadAll(p)
		}
		if got, err := read(frames, io.EOF); err != nil || !bytes.Equal(got, sqlOf(smallDump())) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		boom := errors.New("boom")
		if _, err := read(frames, boom); !errors.Is(err, boom) {
			t.Errorf("next fails: %v", err)
		}
		frames[1].PlainHash[0]++
		if _, err := read(frames, io.EOF); !errors.Is(err, ErrCorrupt) {
			t.Errorf("wrong hash: %v", err)
		}
		if err := must[*PlainReader](t)(NewPlainReader(context.Background(), c.Format(), func() (Frame, error) { return frames[0], nil })).Close(); err != nil {
			t.Errorf("close before the end: %v", err)
		}
	})
}
