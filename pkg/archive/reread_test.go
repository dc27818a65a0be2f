package archive

import (
	"fmt"
	"iter"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// touch gives a file a new change time and nothing else.
func (s *site) touch(name string) {
	s.t.Helper()
	var st unix.Stat_t
	check(s.t, unix.Stat(s.path(name), &st))
	check(s.t, unix.Chmod(s.path(name), st.Mode&0o7777))
}

// checkReread makes a tarball of s with m as its base and compares it with one
// that has none. It returns the one with the base.
func (s *site) checkReread(m *made, o makeOptions) *made {
	s.t.Helper()
	full := s.make(o)
	got := s.again(m, o)
	if !sameEntries(s.t, got, full) {
		s.t.Error("the tarball differs from one that was made without a base")
	}
	verifyMade(s.t, got)
	return got
}

// TestMovedSiteIsReferences sends nothing of a site whose files are new and the same.
func TestMovedSiteIsReferences(t *testing.T) {
	moves := map[string]func(s *site, m *made) *site{
		"copied": func(s *site, _ *made) *site { return s.copied(s.t) },
		"restored": func(s *site, m *made) *site {
			dir, _, _ := m.extract(s.t, ExtractOptions{})
			return &site{s.t, dir}
		},
	}
	eachCodec(t, func(t *testing.T, c Codec) {
		for name, move := range moves {
			t.Run(name, func(t *testing.T) {
				s := richSite(t)
				first := s.make(makeOptions{codec: c})
				moved := move(s, first)
				second := moved.checkReread(first, makeOptions{codec: c})
				if second.tree.SentBytes != 0 || second.tree.References != second.tree.Frames {
					t.Errorf("second backup: %+v", second.tree)
				}
				if second.tree.ReadBytes < 3*SliceSize {
					t.Errorf("only %d bytes were read to be sure", second.tree.ReadBytes)
				}
				third := moved.again(second, makeOptions{codec: c})
				if third.tree.ReadBytes != 0 || third.tree.SentBytes != 0 {
					t.Errorf("the index has not the new inodes and change times: %+v", third.tree)
				}
			})
		}
	})
}

// TestRereadMakesNoFrames takes frames over by the hashes of contents alone: no
// plain bytes are made whose hash could be the frame's.
func TestRereadMakesNoFrames(t *testing.T) {
	s := richSite(t)
	m := s.make(makeOptions{codec: Zstd()})
	moved, r := s.copied(t), m.open(t)
	other := func(base iter.Seq2[BaseFrame, error]) iter.Seq2[BaseFrame, error] {
		return func(yield func(BaseFrame, error) bool) {
			for f, err := range base {
				f.PlainHash[0] ^= 1
				if !yield(f, err) {
					return
				}
			}
		}
	}
	got := moved.make(makeOptions{codec: Zstd(), bases: []*Reader{r}, source: SourceOptions{Base: other(r.BaseFrames(0)), BaseStarted: later()}})
	if got.tree.SentBytes != 0 {
		t.Errorf("%d bytes were sent, %d of %d frames were references", got.tree.SentBytes, got.tree.References, got.tree.Frames)
	}
	verifyMade(t, got)
}

// moderate is a site of some group frames and some slices.
func moderate(t testing.TB) *site {
	s := newSite(t)
	for i := range 160 {
		s.write(fileNo(i), text(uint64(i), 5000))
	}
	s.write("large", noise(3, 3*SliceSize))
	s.write("medium", noise(4, SmallFile))
	check(t, os.Symlink("target1", s.path("link")))
	s.age("link")
	s.age(".")
	return s
}

// fileNo names the small files of a moderate site.
func fileNo(i int) string { return fmt.Sprintf("d%d/f%02d", i/40, i%40) }

// TestOneDiffersAmongTouched changes one thing behind size and times, while the
// change time of everything is new. It is found, and only its frame is sent.
func TestOneDiffersAmongTouched(t *testing.T) {
	changes := map[string]func(s *site){
		"content":       func(s *site) { s.overwrite(fileNo(100), 100) },
		"first byte":    func(s *site) { s.overwrite(fileNo(0), 0) },
		"last byte":     func(s *site) { s.overwrite(fileNo(100), 4999) },
		"slice":         func(s *site) { s.overwrite("large", SliceSize+5) },
		"end of slices": func(s *site) { s.overwrite("large", 3*SliceSize-1) },
		"medium":        func(s *site) { s.overwrite("medium", 70000) },
		"attribute":     func(s *site) { check(s.t, unix.Setxattr(s.path(fileNo(100)), "user.x", []byte("1"), 0)) },
		"of directory":  func(s *site) { check(s.t, unix.Setxattr(s.path("d2"), "user.x", []byte("1"), 0)) },
		"mode":          func(s *site) { check(s.t, os.Chmod(s.path(fileNo(100)), 0o600)) },
		"link": func(s *site) {
			check(s.t, os.Remove(s.path("link")))
			check(s.t, os.Symlink("target2", s.path("link")))
			s.age("link")
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s := moderate(t)
			first := s.make(makeOptions{codec: Zstd()})
			moved := s.copied(t)
			change(moved)
			moved.age(".")
			got := moved.checkReread(first, makeOptions{codec: Zstd()})
			if sent := got.tree.Frames - got.tree.References; sent != 1 {
				t.Errorf("%d frames were sent", sent)
			}
		})
	}
}

// overwrite changes a byte and brings the time back.
func (s *site) overwrite(name string, at int64) {
	s.t.Helper()
	f := must[*os.File](s.t)(os.OpenFile(s.path(name), os.O_RDWR, 0))
	b := make([]byte, 1)
	_, err := f.ReadAt(b, at)
	check(s.t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	check(s.t, err)
	check(s.t, f.Close())
	s.age(name)
}

// TestTouchedFiles have a new change time and nothing else.
func TestTouchedFiles(t *testing.T) {
	s := moderate(t)
	first := s.make(makeOptions{codec: Zstd()})
	time.Sleep(20 * time.Millisecond) // the clock's step: change times are to differ
	for _, name := range []string{fileNo(7), fileNo(133), "medium", "large", "d0"} {
		s.touch(name)
	}
	got := s.checkReread(first, makeOptions{codec: Zstd()})
	if got.tree.SentBytes != 0 {
		t.Errorf("%d bytes were sent", got.tree.SentBytes)
	}
	if read := got.tree.ReadBytes; read < 3*SliceSize+SmallFile || read > 3*SliceSize+SmallFile+3*groupMost {
		t.Errorf("%d bytes were read", read)
	}
}

// TestRereadIsSureOfTheState does not believe a hash when the file has changed
// since it was looked at.
func TestRereadIsSureOfTheState(t *testing.T) {
	s := newSite(t)
	s.write("f", text(1, 5000))
	m := s.make(makeOptions{codec: Zstd()})
	was := must[Entry](t)(m.open(t).Lookup("f"))
	r := newRereader(must[*beneath](t)(openBeneath(s.root())), newOwnerNames())
	defer r.close()
	f := must[*os.File](t)(os.Open(s.path("f")))
	defer f.Close()
	var st unix.Stat_t
	check(t, unix.Fstat(int(f.Fd()), &st))
	if !r.sameContent(int(f.Fd()), &st, &was) {
		t.Error("the content is not what it was")
	}
	st.Ctim.Nsec ^= 1
	if r.sameContent(int(f.Fd()), &st, &was) {
		t.Error("a file that changed while it was read is believed")
	}
	was.ContentHash = Hash{}
	check(t, unix.Fstat(int(f.Fd()), &st))
	if r.sameContent(int(f.Fd()), &st, &was) {
		t.Error("an entry without a hash is believed")
	}
}

// TestFullSendsTouchedFiles refers to nothing when everything is to be sent.
func TestFullSendsTouchedFiles(t *testing.T) {
	s := moderate(t)
	first := s.make(makeOptions{codec: Zstd()})
	got := s.copied(t).checkReread(first, makeOptions{codec: Zstd(), source: SourceOptions{ReadAll: true, SendAll: true}})
	if got.tree.References != 0 {
		t.Errorf("%d references", got.tree.References)
	}
}
