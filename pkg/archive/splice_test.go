package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

// later is a start of a walk after which nothing in a test's site is racy.
func later() time.Time { return time.Now().Add(time.Hour) }

// again makes a tarball with m as its base.
func (s *site) again(m *made, o makeOptions) *made {
	s.t.Helper()
	r := m.open(s.t)
	o.source.Base, o.bases = r.BaseFrames(0), []*Reader{r}
	if o.source.BaseStarted.IsZero() {
		o.source.BaseStarted = later()
	}
	o.dumpRef = true
	return s.make(o)
}

// plain returns the tar stream of a tarball, the part of the dump left out.
func (m *made) plain(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	dec := must[*decompressor](t)(newDecompressor(m.open(t).Format()))
	defer dec.close()
	for f, err := range m.open(t).ReadFrames(context.Background()) {
		check(t, err)
		b.Write(must[[]byte](t)(dec.plain(nil, &f)))
	}
	return b.Bytes()
}

// TestUnchangedSiteIsReferences reads and sends nothing of a site that did not change.
func TestUnchangedSiteIsReferences(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := richSite(t)
		first := s.make(makeOptions{codec: c, dump: smallDump(), align: 4096})
		second := s.again(first, makeOptions{codec: c, dump: smallDump(), align: 4096})
		if second.tree.ReadBytes != 0 || second.tree.SentBytes != 0 || second.tree.References != second.tree.Frames {
			t.Errorf("second backup: %+v", second.tree)
		}
		if second.dump.SentBytes != 0 || second.dump.References != second.dump.Frames {
			t.Errorf("second dump: %+v", second.dump)
		}
		if len(second.items) > 20 {
			t.Errorf("%d messages where a few suffice", len(second.items))
		}
		if first.result.Digest == (Hash{}) || second.tree.Totals != first.tree.Totals || second.tree.PlainBytes != first.tree.PlainBytes {
			t.Errorf("summaries differ: %+v, %+v", first.tree, second.tree)
		}
		if !bytes.Equal(first.plain(t), second.plain(t)) {
			t.Error("the tar streams differ")
		}
		verifyMade(t, second)
		checkSections(t, second.open(t))
		if second.result.CopiedBytes == 0 || second.result.NewBytes > 70000 {
			t.Errorf("second result: %+v", second.result)
		}
	})
}

func verifyMade(t testing.TB, m *made) {
	t.Helper()
	f := must[*os.File](t)(os.Open(m.path))
	defer f.Close()
	if _, err := Verify(context.Background(), f, m.result.Size, VerifyOptions{ReadData: true}); err != nil {
		t.Fatalf("verify: %v", err)
	}
}

// TestSpliceUnderRandomChange compares an incremental backup with a full one of
// the same state, over many generations of random changes.
func TestSpliceUnderRandomChange(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSite(t)
			r := rand.New(rand.NewPCG(seed, 7))
			for i := range 300 {
				s.write(fmt.Sprintf("d%d/f%03d", i%7, i), text(uint64(i), r.IntN(20000)))
			}
			s.write("d3/large", noise(5, 2*SliceSize+50))
			m := s.make(makeOptions{codec: Zstd()})
			for gen := range 8 {
				s.churn(r, gen)
				m = s.again(m, makeOptions{codec: Zstd()})
				full := s.make(makeOptions{codec: Zstd()})
				if !sameEntries(t, m, full) {
					t.Fatalf("generation %d: the spliced index differs from the full one", gen)
				}
				verifyMade(t, m)
			}
		})
	}
}

// churn changes, adds and removes some files at random.
func (s *site) churn(r *rand.Rand, gen int) {
	s.t.Helper()
	for range 1 + r.IntN(6) {
		name := fmt.Sprintf("d%d/f%03d", r.IntN(7), r.IntN(300))
		switch r.IntN(6) {
		case 0, 1:
			s.write(name, text(r.Uint64(), r.IntN(30000)))
		case 2:
			_ = os.Remove(s.path(name)) // it may be gone already
		case 3:
			s.write(fmt.Sprintf("d%d/new%d-%d", r.IntN(7), gen, r.IntN(1000)), text(r.Uint64(), r.IntN(200000)))
		case 4:
			f, err := os.OpenFile(s.path("d3/large"), os.O_WRONLY, 0)
			check(s.t, err)
			_, err = f.WriteAt(noise(r.Uint64(), 100), r.Int64N(2*SliceSize))
			check(s.t, err)
			check(s.t, f.Close())
		case 5:
			check(s.t, os.RemoveAll(s.path(fmt.Sprintf("d%d", r.IntN(7)))))
			s.write("d3/large", noise(5, 2*SliceSize+50))
		}
	}
}

// sameEntries compares what two tarballs say of the site, frames left out.
func sameEntries(t testing.TB, a, b *made) bool {
	t.Helper()
	list := func(m *made) [][]byte {
		var out [][]byte
		for e, err := range m.open(t).Entries() {
			check(t, err)
			p := EntryToProto(&e)
			p.Offset, p.Span = 0, 0
			out = append(out, must[[]byte](t)(proto.Marshal(p)))
		}
		return out
	}
	x, y := list(a), list(b)
	if len(x) != len(y) || !bytes.Equal(bytes.Join(x, nil), bytes.Join(y, nil)) {
		return false
	}
	return bytes.Equal(a.plain(t), b.plain(t))
}

// TestOneChangeSendsOneFrame changes, adds and removes one file in the middle.
func TestOneChangeSendsOneFrame(t *testing.T) {
	changes := map[string]func(s *site){
		"change": func(s *site) { s.write("d/f0500", text(1, 5000)) },
		"grow":   func(s *site) { s.write("d/f0500", text(1, 90000)) },
		"add":    func(s *site) { s.write("d/f0500x", text(1, 5000)) },
		"remove": func(s *site) { check(s.t, os.Remove(s.path("d/f0500"))) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			for i := range 1000 {
				s.write(fmt.Sprintf("d/f%04d", i), text(uint64(i), 5000))
			}
			s.age("d")
			first := s.make(makeOptions{codec: Zstd()})
			change(s)
			s.age("d")
			second := s.again(first, makeOptions{codec: Zstd()})
			// The directory's own entry has a new ctime, so its frame is read, but its
			// bytes are the same.
			if sent := second.tree.Frames - second.tree.References; sent < 1 || sent > 2 {
				t.Errorf("%d frames were sent", sent)
			}
			if second.tree.ReadBytes > 3*groupMost {
				t.Errorf("%d bytes were read", second.tree.ReadBytes)
			}
			verifyMade(t, second)
		})
	}
}

// TestLargeFileSendsChangedSlices changes, appends to and cuts a large file.
func TestLargeFileSendsChangedSlices(t *testing.T) {
	const size = 5*SliceSize + 1000
	whole := noise(1, size+SliceSize)
	changes := map[string]struct {
		content []byte
		sent    int64
	}{
		"touched":  {whole[:size], 0},
		"middle":   {slices.Concat(whole[:3*SliceSize], []byte("x"), whole[3*SliceSize+1:size]), 1},
		"appended": {whole[:size+10], 2}, // the first slice has the header, which has the size
		"cut":      {whole[:size-10], 2},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.write("big", whole[:size])
			s.age(".")
			first := s.make(makeOptions{codec: Zstd()})
			s.write("big", change.content)
			s.age(".")
			second := s.again(first, makeOptions{codec: Zstd()})
			if sent := second.tree.Frames - second.tree.References; sent != change.sent {
				t.Errorf("%d frames were sent", sent)
			}
			verifyMade(t, second)
			third := s.again(second, makeOptions{codec: Zstd()})
			if third.tree.ReadBytes != 0 || third.tree.SentBytes != 0 {
				t.Errorf("third backup: %+v", third.tree)
			}
		})
	}
}

// TestResumeFramesContinue yields of the old base only what lies behind the partial one.
func TestResumeFramesContinue(t *testing.T) {
	s := smallSite(t)
	old := s.make(makeOptions{codec: Zstd()}).open(t)
	for cut := range 3 {
		a, _ := newAssembler(t, Zstd())
		check(t, a.AppendReference(context.Background(), old, Reference{Kind: KindTree, Count: uint64(cut) + 1}))
		partial := must[*Reader](t)(a.SuspendTree())
		last, behind := "", 0
		for b, err := range ResumeFrames(partial, old) {
			check(t, err)
			for _, e := range b.Entries {
				if last != "" && ComparePaths(last, e.Name()) >= 0 {
					t.Errorf("cut %d: %q comes behind %q", cut, e.Name(), last)
				}
				last = e.Name()
			}
			behind += int(b.Base)
		}
		if last != "./c/last.txt" || behind == 0 {
			t.Errorf("cut %d: the last entry is %q, %d frames are of the old base", cut, last, behind)
		}
	}
}

// TestTouchedSiteIsReadAndNotSent gives every file a new inode: nothing can be
// trusted, and nothing need be sent.
func TestTouchedSiteIsReadAndNotSent(t *testing.T) {
	s := smallSite(t)
	first := s.make(makeOptions{codec: Zstd()})
	for _, dir := range []string{"a", "b", "c"} {
		run(t, "cp", "-a", s.path(dir), s.path(dir+".copy"))
		check(t, os.RemoveAll(s.path(dir)))
		check(t, os.Rename(s.path(dir+".copy"), s.path(dir)))
	}
	s.age(".")
	second := s.again(first, makeOptions{codec: Zstd()})
	if second.tree.SentBytes != 0 || second.tree.ReadBytes != second.tree.Bytes {
		t.Errorf("second backup: %+v", second.tree)
	}
	third := s.again(second, makeOptions{codec: Zstd()})
	if third.tree.ReadBytes != 0 {
		t.Errorf("third backup read %d bytes: the index kept the old inodes", third.tree.ReadBytes)
	}
	verifyMade(t, third)
}

// TestRacyEntriesAreRead does not trust a change that is as recent as the base.
func TestRacyEntriesAreRead(t *testing.T) {
	s := smallSite(t)
	first := s.make(makeOptions{codec: Zstd()})
	second := s.again(first, makeOptions{codec: Zstd(), source: SourceOptions{BaseStarted: first.tree.StartedAt}})
	if second.tree.ReadBytes != second.tree.Bytes || second.tree.SentBytes != 0 {
		t.Errorf("read %d of %d bytes, sent %d", second.tree.ReadBytes, second.tree.Bytes, second.tree.SentBytes)
	}
}

// TestEveryFieldMakesDirty changes what is compared, one at a time.
func TestEveryFieldMakesDirty(t *testing.T) {
	base := Entry{
		Path: "./a", Type: TypeRegular, Mode: 0o644, Size: 5, ModTime: testTime, ChangeTime: testTime, Inode: 7,
		Uname: "u", Gname: "g",
	}
	p := &planner{opts: &SourceOptions{BaseStarted: testTime.Add(racyWindow + 1)}}
	if !p.unchanged(&base, &base) {
		t.Fatal("an entry differs from itself")
	}
	changes := map[string]func(*Entry){
		"path": func(e *Entry) { e.Path += "~site" }, "type": func(e *Entry) { e.Type = TypeSymlink },
		"mode": func(e *Entry) { e.Mode = 0o600 }, "size": func(e *Entry) { e.Size++ },
		"mtime": func(e *Entry) { e.ModTime = e.ModTime.Add(1) }, "ctime": func(e *Entry) { e.ChangeTime = e.ChangeTime.Add(-1) },
		"inode": func(e *Entry) { e.Inode++ }, "uid": func(e *Entry) { e.UID++ }, "gid": func(e *Entry) { e.GID++ },
		"uname": func(e *Entry) { e.Uname = "v" }, "gname": func(e *Entry) { e.Gname = "v" },
	}
	for what, change := range changes {
		e := base
		change(&e)
		if p.unchanged(&e, &base) {
			t.Errorf("a change of %s goes unnoticed", what)
		}
	}
	p.opts.BaseStarted = testTime.Add(racyWindow)
	if p.unchanged(&base, &base) {
		t.Error("a racy entry is trusted")
	}
	p.opts.BaseStarted = later()
	zero := base
	zero.ChangeTime = time.Time{}
	if p.unchanged(&zero, &zero) {
		t.Error("an entry without ctime is trusted")
	}
}

// TestResumeSendsNothingTwice breaks the stream at every item and goes on.
func TestResumeSendsNothingTwice(t *testing.T) {
	for _, c := range codecs() {
		s := smallSite(t)
		s.write("a/second.bin", noise(8, SliceSize*2))
		s.age("a")
		old := s.make(makeOptions{codec: c})
		s.write("a/f10.php", text(77, 9000))
		s.write("b/big.jpg", noise(9, 3*SliceSize+5))
		s.age("a")
		s.age("b")
		whole := s.again(old, makeOptions{codec: c, source: SourceOptions{Clock: fixedClock}})
		for cut := 1; cut < len(whole.items); cut++ {
			s.resume(t, c, old, whole, cut)
		}
	}
}

var errCut = errors.New("the connection broke")

func (s *site) resume(t *testing.T, c Codec, old, whole *made, cut int) {
	t.Helper()
	dir := t.TempDir()
	f := must[*os.File](t)(os.Create(filepath.Join(dir, "partial")))
	defer f.Close()
	a := must[*Assembler](t)(NewAssembler(AssemblerOptions{File: f, SpoolDir: dir, Codec: c}))
	defer a.Abort()
	oldReader := old.open(t)
	src := must[*Source](t)(NewSource(s.root(), SourceOptions{Codec: c, Base: oldReader.BaseFrames(0), BaseStarted: later()}))
	partial := &made{}
	sink := partial.sink(a, []*Reader{oldReader})
	sent := int64(0)
	_, err := src.Run(context.Background(), func(ctx context.Context, it Item) error {
		if it.Frame != nil {
			sent += int64(len(it.Frame.Data))
		}
		if err := sink(ctx, it); err != nil {
			return err
		}
		if len(partial.items) == cut {
			return errCut
		}
		return nil
	})
	if !errors.Is(err, errCut) {
		t.Fatalf("cut at %d: %v", cut, err)
	}
	base := must[*Reader](t)(a.SuspendTree())
	rest := s.make(makeOptions{
		codec: c, bases: []*Reader{base, oldReader},
		source: SourceOptions{Base: ResumeFrames(base, oldReader), BaseStarted: later(), Partial: true, PartialStarted: later(), Clock: fixedClock},
	})
	if total := sent + rest.tree.SentBytes; total != whole.tree.SentBytes {
		t.Errorf("cut at %d: %d bytes were sent in all, %d without the cut", cut, total, whole.tree.SentBytes)
	}
	if rest.result.Digest != whole.result.Digest {
		t.Errorf("cut at %d: another digest", cut)
	}
	verifyMade(t, rest)
}

func fixedClock() time.Time { return testTime }
