package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func newAssembler(t testing.TB, c Codec) (*Assembler, *os.File) {
	t.Helper()
	dir := t.TempDir()
	f := must[*os.File](t)(os.Create(filepath.Join(dir, "partial")))
	t.Cleanup(func() { f.Close() })
	a := must[*Assembler](t)(NewAssembler(AssemblerOptions{File: f, SpoolDir: dir, Codec: c}))
	t.Cleanup(a.Abort)
	return a, f
}

func frameOf(t testing.TB, kind Kind, plain string) Frame {
	t.Helper()
	c := must[*compressor](t)(newCompressor(Zstd(), 1<<20))
	return must[Frame](t)(c.frame(kind, nil, []byte(plain)))
}

// TestAssemblerNeedsSummaries finishes nothing that was not closed, or that does
// not add up.
func TestAssemblerNeedsSummaries(t *testing.T) {
	ctx := context.Background()
	tree, dump := frameOf(t, KindTree, strings.Repeat("\x00", 512)), frameOf(t, KindDump, "SELECT 1;\n")
	t.Run("tree not closed", func(t *testing.T) {
		a, _ := newAssembler(t, Zstd())
		check(t, a.Append(ctx, tree))
		if _, err := a.Finish(ctx, testManifest(false)); !errors.Is(err, ErrIncomplete) {
			t.Error(err)
		}
	})
	t.Run("dump not closed", func(t *testing.T) {
		a, _ := newAssembler(t, Zstd())
		check(t, a.Append(ctx, dump))
		if _, err := a.Finish(ctx, testManifest(false)); !errors.Is(err, ErrIncomplete) {
			t.Error(err)
		}
	})
	t.Run("dump did not come", func(t *testing.T) {
		a, _ := newAssembler(t, Zstd())
		if _, err := a.Finish(ctx, testManifest(true)); !errors.Is(err, ErrIncomplete) {
			t.Error(err)
		}
	})
	good := Summary{Frames: 1, PlainBytes: 512}
	for name, s := range map[string]Summary{
		"frames": {Frames: 2, PlainBytes: 512}, "bytes": {Frames: 1, PlainBytes: 511}, "references": {Frames: 1, PlainBytes: 512, References: 1},
		"totals": {Frames: 1, PlainBytes: 512, Totals: Totals{Files: 1}}, "nothing": {},
	} {
		a, _ := newAssembler(t, Zstd())
		check(t, a.Append(ctx, tree))
		if err := a.CloseTree(s); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%s: %v", name, err)
		}
		check(t, a.CloseTree(good))
		if err := a.Append(ctx, tree); err == nil {
			t.Error("a frame after the summary")
		}
	}
	a, _ := newAssembler(t, Zstd())
	check(t, a.Append(ctx, dump))
	for name, s := range map[string]Summary{
		"frames": {PlainBytes: 10}, "bytes": {Frames: 1}, "rows": {Frames: 1, PlainBytes: 10, Rows: 1}, "sections": {Frames: 1, PlainBytes: 10, Sections: 1},
	} {
		if err := a.CloseDump(s); !errors.Is(err, ErrIncomplete) {
			t.Errorf("dump %s: %v", name, err)
		}
	}
}

// TestAssemblerRefusesBadFrames compares bytes with their hash, and kinds.
func TestAssemblerRefusesBadFrames(t *testing.T) {
	ctx := context.Background()
	a, f := newAssembler(t, Zstd())
	bad := frameOf(t, KindTree, "x")
	bad.Hash[3]++
	if err := a.Append(ctx, bad); !errors.Is(err, ErrCorrupt) {
		t.Errorf("wrong hash: %v", err)
	}
	for _, fr := range []Frame{frameOf(t, KindGlue, "x"), frameOf(t, 9, "x"), {Kind: KindTree}, {Kind: KindTree, Data: make([]byte, MaxDataLength+1), Hash: sha256.Sum256(make([]byte, MaxDataLength+1))}} {
		if err := a.Append(ctx, fr); err == nil {
			t.Errorf("%s frame of %d bytes is taken", fr.Kind, len(fr.Data))
		}
	}
	if st := must[os.FileInfo](t)(f.Stat()); st.Size() != 0 {
		t.Errorf("%d bytes of refused frames were written", st.Size())
	}
	entry := frameOf(t, KindTree, "x")
	for _, e := range []Entry{{Path: "x", Type: TypeRegular}, {Path: "./x"}, {Path: "./x", Type: TypeRegular, Span: 1}, {Path: "./x", Type: TypeRegular, Size: -1}, {Path: "./x", Type: TypeRegular, Mode: 0o10000}} {
		entry.Entries = []Entry{e}
		a, _ := newAssembler(t, Zstd())
		if err := a.Append(ctx, entry); err == nil {
			t.Errorf("entry %+v is taken", e)
		}
	}
}

// TestAssemblerRefusesBadReferences checks them against the base.
func TestAssemblerRefusesBadReferences(t *testing.T) {
	ctx := context.Background()
	base := smallSite(t).make(makeOptions{codec: Zstd(), dump: smallDump()}).open(t)
	last := uint64(base.Counts().Frames - 1)
	for _, ref := range []Reference{
		{Kind: KindTree}, {Kind: KindTree, First: last + 1, Count: 1}, {Kind: KindTree, First: 1, Count: last + 1},
		{Kind: KindTree, First: 1, Count: 1 << 63}, {Kind: KindTree, First: last, Count: 1}, {Kind: KindTree, First: last - 1, Count: 1}, {Kind: KindDump, First: 0, Count: 1},
		{Kind: KindGlue, First: last, Count: 1}, {Kind: KindTree, Count: 2, Override: true},
	} {
		a, _ := newAssembler(t, Zstd())
		if err := a.AppendReference(ctx, base, ref); err == nil {
			t.Errorf("reference %+v is taken", ref)
		}
	}
	a, _ := newAssembler(t, Gzip())
	if err := a.AppendReference(ctx, base, Reference{Kind: KindTree, Count: 1}); err == nil {
		t.Error("zstd frames are spliced into a gzip tarball")
	}
	if err := a.AppendReference(ctx, nil, Reference{Kind: KindTree, Count: 1}); err == nil {
		t.Error("a reference into nothing")
	}
}

// TestAlignment splices between all kinds of alignment.
func TestAlignment(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := smallSite(t)
		m := s.make(makeOptions{codec: c, dump: smallDump()})
		want := m.plain(t)
		for _, align := range []int64{4096, 0, 512, 32768, 4096, 4096, 0, 0} {
			m = s.again(m, makeOptions{codec: c, dump: smallDump(), align: align})
			if m.tree.SentBytes != 0 {
				t.Errorf("aligned to %d: sent %d bytes", align, m.tree.SentBytes)
			}
			for f, err := range m.open(t).Frames() {
				check(t, err)
				if align > 0 && f.End()%align != 0 || align == 0 && f.Padding != 0 {
					t.Errorf("aligned to %d: frame %d ends at %d with %d bytes of padding", align, f.Number, f.End(), f.Padding)
				}
			}
			verifyMade(t, m)
			if !bytes.Equal(m.plain(t), want) {
				t.Errorf("aligned to %d: another tar stream", align)
			}
		}
	})
}

// TestOptionsAreChecked refuses what cannot work.
func TestOptionsAreChecked(t *testing.T) {
	f := must[*os.File](t)(os.Create(filepath.Join(t.TempDir(), "x")))
	defer f.Close()
	ok := AssemblerOptions{File: f, SpoolDir: t.TempDir(), Codec: Zstd()}
	for name, spoil := range map[string]func(*AssemblerOptions){
		"no file": func(o *AssemblerOptions) { o.File = nil }, "no codec": func(o *AssemblerOptions) { o.Codec = Codec{} },
		"odd alignment": func(o *AssemblerOptions) { o.Align = 1000 }, "large alignment": func(o *AssemblerOptions) { o.Align = 65536 },
		"no directory": func(o *AssemblerOptions) { o.SpoolDir = "/nonexistent" },
	} {
		o := ok
		spoil(&o)
		if _, err := NewAssembler(o); err == nil {
			t.Error(name)
		}
	}
	_, err := f.WriteString("x")
	check(t, err)
	if _, err := NewAssembler(ok); err == nil {
		t.Error("a file that is not empty")
	}
}

// TestEmptySite makes a tarball of nothing, and of a dump alone.
func TestEmptySite(t *testing.T) {
	for _, dump := range [][]section{nil, smallDump()} {
		m := newSite(t).make(makeOptions{codec: Gzip(), dump: dump, noTree: true})
		verifyMade(t, m)
		run(t, "tar", "-tzf", m.path)
	}
}

// TestSpoolsLeaveNoName finds no file but the tarball while one is assembled.
func TestSpoolsLeaveNoName(t *testing.T) {
	a, f := newAssembler(t, Zstd())
	check(t, a.Append(context.Background(), frameOf(t, KindDump, "x;\n")))
	names := must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(f.Name())))
	if len(names) != 1 {
		t.Errorf("found %v", names)
	}
}

// TestSelect sends only the frames of what is wanted, the target of a hard link too.
func TestSelect(t *testing.T) {
	s := richSite(t)
	m := s.make(makeOptions{codec: Zstd(), dump: smallDump()})
	r := m.open(t)
	wanted := map[string]bool{"./wp-content/big.jpg": true, "./wp-content/hard.php": true, "./database.sql": true}
	match := func(e Entry) bool { return e.SitePath == "" && wanted[e.Path] && e.Path != DumpPath }
	targets, err := r.LinkTargets(match)
	check(t, err)
	if len(targets) != 1 || targets[0] != "./index.php" {
		t.Errorf("targets: %q", targets)
	}
	dir := t.TempDir()
	root := must[*os.Root](t)(os.OpenRoot(dir))
	defer root.Close()
	x := must[*Extractor](t)(NewExtractor(context.Background(), root, TarZstd, ExtractOptions{
		Select: func(p string) bool { return wanted[p] && p != DumpPath || p == targets[0] },
	}))
	defer x.Abort()
	frames := 0
	for f, err := range r.SelectFrames(context.Background(), match) {
		check(t, err)
		frames++
		check(t, x.Put(context.Background(), f))
	}
	sum := must[Summary](t)(x.Finish(context.Background()))
	if frames > 8 || sum.Files != 2 || sum.Hardlinks != 1 {
		t.Errorf("%d frames, %+v", frames, sum)
	}
	want, got := listing(t, s.dir), listing(t, dir)
	for _, name := range []string{"wp-content/big.jpg", "index.php"} {
		if a, b := strings.Split(want[name], " same")[0], strings.Split(got[name], " same")[0]; strings.Fields(a)[7] != strings.Fields(b)[7] {
			t.Errorf("%s: %s, %s", name, a, b)
		}
	}
	if len(got) != 5 {
		t.Errorf("extracted %v", got)
	}
}

// TestExtractorEnds reports streams that end early or hold damaged frames.
func TestExtractorEnds(t *testing.T) {
	ctx := context.Background()
	r := smallSite(t).make(makeOptions{codec: Zstd()}).open(t)
	var frames []Frame
	for f, err := range r.ReadFrames(ctx) {
		check(t, err)
		f.Data = bytes.Clone(f.Data)
		frames = append(frames, f)
	}
	extract := func(frames []Frame) error {
		root := must[*os.Root](t)(os.OpenRoot(t.TempDir()))
		defer root.Close()
		x := must[*Extractor](t)(NewExtractor(ctx, root, TarZstd, ExtractOptions{}))
		defer x.Abort()
		for _, f := range frames {
			if err := x.Put(ctx, f); err != nil {
				return err
			}
		}
		_, err := x.Finish(ctx)
		return err
	}
	check(t, extract(frames))
	for n := range frames {
		if err := extract(frames[:n]); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%d of %d frames: %v", n, len(frames), err)
		}
	}
	frames[1].Data[len(frames[1].Data)/2] ^= 1
	var c *CorruptError
	if err := extract(frames); !errors.As(err, &c) || c.Frame != 1 {
		t.Errorf("damaged frame: %v", err)
	}
}

// TestReaderSeesDamage reads through the index what was damaged.
func TestReaderSeesDamage(t *testing.T) {
	m := smallSite(t).make(makeOptions{codec: Zstd()})
	whole := must[[]byte](t)(os.ReadFile(m.path))
	e := must[Entry](t)(m.open(t).Lookup("b/big.jpg"))
	f := frameNumber(t, m.open(t), e.Frame+1)
	damaged := flip(whole, f.Offset+100, 0)
	r := must[*Reader](t)(Open(bytes.NewReader(damaged), int64(len(damaged))))
	rc := must[io.ReadCloser](t)(r.OpenEntry(context.Background(), e))
	defer rc.Close()
	n, err := io.Copy(io.Discard, rc)
	var c *CorruptError
	if !errors.As(err, &c) || c.Frame != int64(e.Frame+1) || n == 0 || n >= e.Size {
		t.Errorf("%d bytes, then %v", n, err)
	}
	if _, err := r.Lookup("no/such"); !errors.Is(err, ErrNotFound) {
		t.Errorf("lookup: %v", err)
	}
	if _, err := r.OpenEntry(context.Background(), must[Entry](t)(r.Lookup("b"))); !errors.Is(err, ErrNotRegular) {
		t.Errorf("open a directory: %v", err)
	}
}
