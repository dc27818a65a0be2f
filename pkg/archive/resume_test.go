package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cutter assembles one tarball over a connection that breaks again and again.
type cutter struct {
	t       *testing.T
	site    *site
	codec   Codec
	file    *os.File
	a       *Assembler
	old     *Reader // nil: none
	partial *Reader // nil before the first cut
	source  SourceOptions
	sent    int64 // bytes of frames that came
	read    int64 // bytes of files that were read in the attempt that ended
	made    *made
}

func (s *site) cutter(t *testing.T, c Codec, old *made, align int64) *cutter {
	t.Helper()
	dir := t.TempDir()
	f := must[*os.File](t)(os.Create(filepath.Join(dir, "x"+c.Format().Suffix())))
	t.Cleanup(func() { f.Close() })
	a := must[*Assembler](t)(NewAssembler(AssemblerOptions{File: f, SpoolDir: dir, Codec: c, Align: align}))
	t.Cleanup(a.Abort)
	k := &cutter{t: t, site: s, codec: c, file: f, a: a, source: SourceOptions{BaseStarted: later(), PartialStarted: later()}}
	if old != nil {
		k.old = old.open(t)
	}
	return k
}

// attempt reads the site until most items have come; a negative number means all.
func (k *cutter) attempt(most int) error {
	k.t.Helper()
	o := k.source
	o.Codec, o.Clock = k.codec, fixedClock
	bases := []*Reader{k.old}
	if k.old != nil {
		o.Base = k.old.BaseFrames(0)
	}
	if k.partial != nil {
		o.Base, o.Partial, bases = ResumeFrames(k.partial, k.old), true, []*Reader{k.partial, k.old}
	}
	k.made = &made{path: k.file.Name()}
	sink := k.made.sink(k.a, bases)
	src := must[*Source](k.t)(NewSource(k.site.root(), o))
	sum, err := src.Run(context.Background(), func(ctx context.Context, it Item) error {
		if len(k.made.items) == most {
			return errCut
		}
		if it.Frame != nil {
			k.sent += int64(len(it.Frame.Data))
		}
		return sink(ctx, it)
	})
	k.made.tree = sum
	return err
}

// cut breaks the stream behind so many items, and reports whether there were more.
func (k *cutter) cut(most int) bool {
	k.t.Helper()
	err := k.attempt(most)
	if err != nil && !errors.Is(err, errCut) {
		k.t.Fatal(err)
	}
	k.partial = must[*Reader](k.t)(k.a.SuspendTree())
	return err != nil
}

// finish lets the stream come to its end.
func (k *cutter) finish() *made {
	k.t.Helper()
	check(k.t, k.attempt(-1))
	check(k.t, k.a.CloseTree(k.made.tree))
	k.made.result = must[Result](k.t)(k.a.Finish(context.Background(), testManifest(false)))
	return k.made
}

// manySmall is a site of so many files that there are some dozens of frames.
func manySmall(t *testing.T, files int) *site {
	s := newSite(t)
	for i := range files {
		s.write(fmt.Sprintf("d%d/f%03d.php", i%7, i), text(uint64(i), 3000+i*7))
	}
	s.write("d3/large.jpg", noise(5, 4*SliceSize+99))
	s.write("d4/sliced.txt", text(6, 2*SliceSize))
	for i := range 7 {
		s.age(fmt.Sprintf("d%d", i))
	}
	s.age(".")
	return s
}

// TestAHundredCuts breaks one stream a hundred times, at items of chance: what
// came is not sent again, and the tarball is the very one that comes uncut.
func TestAHundredCuts(t *testing.T) {
	s := manySmall(t, 150)
	for _, row := range []struct {
		codec Codec
		base  bool
		align int64
	}{{Zstd(), false, 0}, {Zstd(), true, 4096}, {Gzip(), true, 0}} {
		t.Run(fmt.Sprintf("%s/base=%v/align=%d", row.codec.Format(), row.base, row.align), func(t *testing.T) {
			var base *made
			if row.base {
				base = s.make(makeOptions{codec: row.codec, align: row.align})
				s.write("d2/f002.php", text(uint64(99+row.align), 5000))
				s.write("d5/new.php", text(uint64(98+row.align), 5000))
				s.age("d5")
			}
			s.hundredCuts(t, row.codec, base, row.align)
		})
	}
}

func (s *site) hundredCuts(t *testing.T, c Codec, base *made, align int64) {
	o := makeOptions{codec: c, align: align, source: SourceOptions{Clock: fixedClock, BaseStarted: later()}}
	if base != nil {
		o.bases = []*Reader{base.open(t)}
		o.source.Base = o.bases[0].BaseFrames(0)
	}
	whole := s.make(o)
	k := s.cutter(t, c, base, align)
	r := rand.New(rand.NewPCG(7, uint64(align)))
	for range 100 {
		k.cut(r.IntN(len(whole.items) + 1))
	}
	m := k.finish()
	if k.sent != whole.tree.SentBytes || m.result != whole.result {
		t.Errorf("with a hundred cuts %d bytes came and made %+v, without %d and %+v", k.sent, m.result, whole.tree.SentBytes, whole.result)
	}
	if k.a.earlier.side != nil {
		t.Errorf("%d bytes were put aside, though nothing took their place", k.a.earlier.size-k.a.earlier.split)
	}
	verifyMade(t, m)
}

// TestTheSiteChangesBetweenCuts mends, adds and removes files while the
// connection is away: what is there at the end is in the tarball.
func TestTheSiteChangesBetweenCuts(t *testing.T) {
	s := manySmall(t, 60)
	old := s.make(makeOptions{codec: Zstd()})
	for _, base := range []*made{nil, old} {
		k := s.cutter(t, Zstd(), base, 512)
		r := rand.New(rand.NewPCG(3, 3))
		for n := range 20 {
			k.cut(r.IntN(15))
			s.change(r, n)
		}
		m := k.finish()
		verifyMade(t, m)
		dir, _, _ := m.extract(t, ExtractOptions{})
		compareTrees(t, listing(t, s.dir), listing(t, dir))
		if m.result.NewBytes+m.result.CopiedBytes != m.result.Size {
			t.Errorf("sizes do not add up: %+v", m.result)
		}
		if base == nil && m.result.CopiedBytes != 0 {
			t.Errorf("without a base %d bytes are said to be copied", m.result.CopiedBytes)
		}
	}
}

// change does something to the site; n tells the changes apart.
func (s *site) change(r *rand.Rand, n int) {
	dir := fmt.Sprintf("d%d", r.IntN(7))
	switch n % 5 {
	case 0:
		s.write(fmt.Sprintf("%s/new%d.php", dir, n), text(uint64(1000+n), 4000))
	case 1:
		s.write("d3/large.jpg", noise(uint64(50+n), 4*SliceSize+n))
	case 2:
		names, _ := filepath.Glob(s.path(dir) + "/f*")
		check(s.t, os.Remove(names[r.IntN(len(names))]))
	case 3:
		names, _ := filepath.Glob(s.path(dir) + "/f*")
		rel, _ := filepath.Rel(s.dir, names[r.IntN(len(names))])
		s.write(rel, text(uint64(2000+n), 9000))
	case 4:
		s.write(fmt.Sprintf("%s/big%d", dir, n), text(uint64(n), 2*SliceSize))
	}
	s.age(dir)
}

// TestResumeIsRacy reads again what changed when, or after, the broken walk began.
func TestResumeIsRacy(t *testing.T) {
	s := smallSite(t)
	for what, started := range map[string]time.Time{"not known": {}, "before the last change": changedAt(t, s.path("c/last.txt"))} {
		k := s.cutter(t, Zstd(), nil, 0)
		k.source.PartialStarted = started
		k.cut(1 << 20)
		m := k.finish()
		if m.tree.ReadBytes != m.tree.Bytes || m.tree.SentBytes != 0 {
			t.Errorf("%s: read %d of %d bytes, sent %d", what, m.tree.ReadBytes, m.tree.Bytes, m.tree.SentBytes)
		}
	}
	k := s.cutter(t, Zstd(), nil, 0)
	k.cut(1 << 20)
	if m := k.finish(); m.tree.ReadBytes != 0 {
		t.Errorf("old files: read %d bytes", m.tree.ReadBytes)
	}
}

func changedAt(t *testing.T, path string) time.Time {
	var st unix.Stat_t
	check(t, unix.Stat(path, &st))
	return time.Unix(st.Ctim.Unix())
}

// TestNoReferenceToWhatDidNotCome refuses frames that neither attempt has.
func TestNoReferenceToWhatDidNotCome(t *testing.T) {
	s := smallSite(t)
	k := s.cutter(t, Zstd(), nil, 0)
	k.cut(2)
	for _, ref := range []Reference{{Kind: KindTree, First: 2, Count: 1}, {Kind: KindTree, First: 1, Count: 2}, {Kind: KindDump, Count: 1}} {
		if err := k.a.AppendReference(context.Background(), k.partial, ref); err == nil {
			t.Errorf("%+v was taken", ref)
		}
	}
}

// TestADumpIsResumed has the dump come anew, of which only what is new is sent,
// while the tree goes on.
func TestADumpIsResumed(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := smallSite(t)
		whole := s.make(makeOptions{codec: c, dump: smallDump(), align: 4096, source: SourceOptions{Clock: fixedClock}})
		k := s.cutter(t, c, nil, 4096)
		check(t, k.attempt(-1))
		check(t, k.a.CloseTree(k.made.tree))
		sent, got := int64(0), &made{}
		sum := Summary{}
		for cut := 1; ; cut++ {
			received := must[*Reader](t)(k.a.SuspendDump())
			items, sink := 0, got.sink(k.a, []*Reader{received})
			err := dumpTo(c, received.BaseDumpFrames(0), &sum, func(ctx context.Context, it Item) error {
				if items++; items > cut {
					return errCut
				}
				if it.Frame != nil {
					sent += int64(len(it.Frame.Data))
				}
				return sink(ctx, it)
			})
			if err == nil {
				break
			}
			if !errors.Is(err, errCut) {
				t.Fatal(err)
			}
		}
		check(t, k.a.CloseDump(sum))
		k.made.dump = sum
		k.made.result = must[Result](t)(k.a.Finish(context.Background(), testManifest(true)))
		if sent != whole.dump.SentBytes || k.made.result != whole.result {
			t.Errorf("with cuts %d bytes came and made %+v, without %d and %+v", sent, k.made.result, whole.dump.SentBytes, whole.result)
		}
		verifyMade(t, k.made)
	})
}

func dumpTo(c Codec, base iter.Seq2[BaseDumpFrame, error], sum *Summary, emit func(context.Context, Item) error) error {
	f, err := NewDumpFramer(context.Background(), DumpOptions{Codec: c, Base: base}, emit)
	if err != nil {
		return err
	}
	defer f.Abort()
	for _, sec := range smallDump() {
		if err := f.BeginSection(sec.kind, sec.name); err != nil {
			return err
		}
		for _, st := range sec.statements {
			if _, err := f.Write([]byte(st)); err != nil {
				return err
			}
			if err := f.EndStatement(1); err != nil {
				return err
			}
		}
	}
	*sum, err = f.Close()
	return err
}

// TestReadAll reads what seems unchanged, and names what is not what it was: here it is the base that is another one.
func TestReadAll(t *testing.T) {
	s := smallSite(t)
	check(t, os.Symlink("f01.php", s.path("a/link")))
	s.age("a")
	first := s.make(makeOptions{codec: Zstd()})
	base := first.open(t)
	other := func(yield func(BaseFrame, error) bool) {
		for b, err := range base.BaseFrames(0) {
			for i := range b.Entries {
				switch e := &b.Entries[i]; e.Path {
				case "./a/f07.php", "./b/big.jpg":
					e.ContentHash[0] ^= 1
				case "./a/link":
					e.LinkTarget = "elsewhere"
				}
			}
			if !yield(b, err) {
				return
			}
		}
	}
	for _, sendAll := range []bool{false, true} {
		m := s.make(makeOptions{codec: Zstd(), bases: []*Reader{base}, source: SourceOptions{
			Base: other, BaseStarted: later(), ReadAll: true, SendAll: sendAll,
		}})
		var unseen []string
		for _, w := range m.warnings {
			if w.Kind != WarnUnseen {
				t.Errorf("warning: %v", w)
			}
			unseen = append(unseen, w.Path)
		}
		if fmt.Sprint(unseen) != "[./a/f07.php ./a/link ./b/big.jpg]" {
			t.Errorf("unseen changes: %q", unseen)
		}
		twice := m.tree.ReadBytes - m.tree.Bytes // what was compared first, and then differed
		if (twice == 0) != sendAll || twice < 0 || twice > m.tree.Bytes || (m.tree.SentBytes == 0) == sendAll || (m.tree.References == 0) != sendAll {
			t.Errorf("send all %v: %+v", sendAll, m.tree)
		}
		verifyMade(t, m)
	}
	// What was too recent to be trusted, or did change, is no news.
	s.write("b/big.jpg", noise(4, 2*SliceSize+100))
	s.write("a/f07.php", text(70, 9000))
	s.age("a")
	m := s.make(makeOptions{codec: Zstd(), bases: []*Reader{base}, source: SourceOptions{Base: base.BaseFrames(0), BaseStarted: later(), ReadAll: true}})
	if len(m.warnings) != 0 {
		t.Errorf("warnings: %v", m.warnings)
	}
}

// TestAFullBackupIsResumed compares with the earlier tarball, and takes back what came of this one unread.
func TestAFullBackupIsResumed(t *testing.T) {
	s := manySmall(t, 60)
	old := s.make(makeOptions{codec: Zstd()})
	k := s.cutter(t, Zstd(), old, 0)
	k.source.ReadAll, k.source.SendAll = true, true
	k.cut(6)
	k.cut(1)
	m := k.finish()
	if k.sent != old.tree.SentBytes || m.result.CopiedBytes != 0 || m.tree.ReadBytes >= m.tree.Bytes || m.tree.References != 6 {
		t.Errorf("%d bytes came of %d: %+v, %+v", k.sent, old.tree.SentBytes, m.tree, m.result)
	}
}
