package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// staged is what a Delta has made of a tarball and a live tree.
type staged struct {
	dir      string
	summary  DeltaSummary
	runs     []FrameRun
	warnings []Warning
}

// delta stages a tarball next to a live directory, or to none.
func (m *made) delta(t testing.TB, live string, o DeltaOptions) staged {
	t.Helper()
	out, err := m.tryDelta(t, live, o, m.open(t).BaseFrames(0))
	check(t, err)
	return out
}

func (m *made) tryDelta(t testing.TB, live string, o DeltaOptions, index iter.Seq2[BaseFrame, error]) (out staged, err error) {
	t.Helper()
	out.dir = t.TempDir()
	r := m.open(t)
	var other *os.Root
	if live != "" {
		other = rootOf(t, live)
	}
	o.Format, o.Warn = r.Format(), func(w Warning) { out.warnings = append(out.warnings, w) }
	if o.WalkStarted.IsZero() {
		o.WalkStarted = m.tree.StartedAt
	}
	d, err := NewDelta(rootOf(t, out.dir), other, o)
	check(t, err)
	defer d.Close()
	err = d.Match(t.Context(), index, func(first, count uint64) error {
		out.runs = append(out.runs, FrameRun{first, count})
		return nil
	})
	if err != nil {
		return out, err
	}
	next, stop := iter.Pull2(r.ReadRuns(t.Context(), out.runs))
	defer stop()
	if err := d.Extract(t.Context(), pulled(next)); err != nil {
		return out, err
	}
	out.summary, err = d.Finish(t.Context(), r.OtherEntries())
	return out, err
}

func pulled(next func() (Frame, error, bool)) func() (Frame, error) {
	return func() (Frame, error) {
		f, err, ok := next()
		if !ok {
			return f, io.EOF
		}
		return f, err
	}
}

func rootOf(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	check(t, err)
	t.Cleanup(func() { root.Close() })
	return root
}

// trusting lets times prove that a file was not touched, however young they are.
func (m *made) trusting() DeltaOptions {
	return DeltaOptions{WalkStarted: m.tree.StartedAt.Add(time.Hour)}
}

// pause outlasts the step of the clock that gives inodes their times.
func pause() { time.Sleep(25 * time.Millisecond) }

// TestDeltaOfTheSameTree takes a site with one of everything over from itself.
func TestDeltaOfTheSameTree(t *testing.T) {
	eachCodec(t, func(t *testing.T, c Codec) {
		s := richSite(t)
		m := s.make(makeOptions{codec: c, dump: smallDump()})
		want := listing(t, s.dir)
		for name, o := range map[string]DeltaOptions{"read": {}, "not read": m.trusting()} {
			got := m.delta(t, s.dir, o)
			compareTrees(t, want, listing(t, got.dir))
			if len(got.runs) > 0 || got.summary.Totals != m.tree.Totals || got.summary.TakenFiles != m.tree.Files || got.summary.TakenBytes != m.tree.Bytes {
				t.Errorf("%s: %+v, asked for %v; stored %+v", name, got.summary, got.runs, m.tree.Totals)
			}
			if len(got.warnings) > 0 {
				t.Errorf("%s: warnings: %v", name, got.warnings)
			}
		}
		compareTrees(t, want, listing(t, s.dir))
	})
}

// TestDeltaWithoutALiveTree is a full push by another way.
func TestDeltaWithoutALiveTree(t *testing.T) {
	s := richSite(t)
	m := s.make(makeOptions{codec: Zstd(), dump: smallDump()})
	for _, live := range []string{"", t.TempDir()} {
		got := m.delta(t, live, DeltaOptions{})
		compareTrees(t, listing(t, s.dir), listing(t, got.dir))
		if got.summary.TakenBytes != 0 {
			t.Errorf("taken out of nothing: %+v", got.summary)
		}
	}
}

// TestDeltaIsTheFullPush: random trees, random differences. What is staged out of
// both is what the tarball alone gives, which is what was backed up.
func TestDeltaIsTheFullPush(t *testing.T) {
	const seeds = 8
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 4))
			s := randomSite(t, r)
			m := s.make(makeOptions{codec: Zstd(), dump: smallDump()})
			want := listing(t, s.dir)
			pause()
			s.disturb(r)
			changed := listing(t, s.dir)
			full, _, _ := m.extract(t, ExtractOptions{})
			compareTrees(t, want, listing(t, full))
			for _, o := range []DeltaOptions{{Workers: 1}, {Workers: 3}, m.trusting()} {
				got := m.delta(t, s.dir, o)
				compareTrees(t, want, listing(t, got.dir))
				if got.summary.Totals != m.tree.Totals {
					t.Errorf("staged %+v, stored %+v", got.summary.Totals, m.tree.Totals)
				}
			}
			compareTrees(t, changed, listing(t, s.dir))
		})
	}
}

// randomSite is a tree in which every kind of entry is met.
func randomSite(t testing.TB, r *rand.Rand) *site {
	s := newSite(t)
	dirs := []string{"."}
	for i := range 12 {
		dir := filepath.Join(dirs[r.IntN(len(dirs))], fmt.Sprintf("d%d", i))
		s.mkdir(dir)
		dirs = append(dirs, dir)
	}
	sizes := []int{0, 1, 511, 5000, 60000, SmallFile - 1, SmallFile, SliceSize + 5, 2 * SliceSize}
	var files []string
	for i := range 120 {
		name := filepath.Join(dirs[r.IntN(len(dirs))], fmt.Sprintf("f%d", i))
		size := sizes[r.IntN(5)]
		if r.IntN(20) == 0 {
			size = sizes[r.IntN(len(sizes))]
		}
		s.write(name, noise(r.Uint64(), size))
		s.dress(r, name)
		files = append(files, name)
	}
	for i := range 6 {
		check(t, os.Link(s.path(files[r.IntN(len(files))]), s.path(filepath.Join(dirs[r.IntN(len(dirs))], fmt.Sprintf("h%d", i)))))
		check(t, os.Symlink(fmt.Sprintf("../f%d", r.IntN(200)), s.path(filepath.Join(dirs[r.IntN(len(dirs))], fmt.Sprintf("l%d", i)))))
	}
	s.sparse("hole", 3<<20)
	s.write("database.sql", []byte("the site's own"))
	check(t, os.Link(s.path("database.sql"), s.path("zz")))
	for _, dir := range dirs {
		s.dress(r, dir)
	}
	return s
}

// dress gives a file or directory some metadata.
func (s *site) dress(r *rand.Rand, name string) {
	t, path := s.t, s.path(name)
	if r.IntN(3) == 0 {
		check(t, unix.Setxattr(path, "user.note", fmt.Appendf(nil, "%d", r.IntN(100)), 0))
	}
	if r.IntN(3) == 0 && os.Getuid() == 0 {
		check(t, os.Lchown(path, r.IntN(70000), r.IntN(70000)))
	}
	check(t, os.Chmod(path, []fs.FileMode{0o755, 0o700, 0o750 | os.ModeSetgid, 0o775}[r.IntN(4)]))
	at := testTime.Add(time.Duration(r.Int64N(int64(time.Hour))))
	check(t, os.Chtimes(path, at, at))
}

// disturb changes a site in ways that a restore must see.
func (s *site) disturb(r *rand.Rand) {
	entries := slices.DeleteFunc(slices.Sorted(maps.Keys(listing(s.t, s.dir))), func(p string) bool { return p == "." })
	for range 3 + r.IntN(30) {
		s.disturbOne(r, entries[r.IntN(len(entries))])
	}
}

func (s *site) disturbOne(r *rand.Rand, name string) {
	t, path := s.t, s.path(name)
	info, err := os.Lstat(path)
	if err != nil {
		return // something above it is gone
	}
	file := info.Mode().IsRegular()
	switch what := r.IntN(9); {
	case what == 0:
		check(t, os.RemoveAll(path))
	case what == 1 && file && info.Size() > 0: // nothing but the bytes and the change time differ
		flipBit(t, path, r.Int64N(info.Size()))
		check(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
	case what == 2 && file:
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		check(t, err)
		_, err = f.WriteString("more")
		check(t, errors.Join(err, f.Close()))
	case what == 3 && file: // touched and the same
		now := time.Now()
		check(t, os.Chtimes(path, now, now))
	case what == 4: // something of another type
		check(t, os.RemoveAll(path))
		check(t, os.Symlink("/etc/passwd", path))
	case what == 5 && file:
		check(t, os.Remove(path))
		check(t, os.Mkdir(path, 0o755))
	case what == 6 && info.IsDir(): // a whole directory is somewhere else, and a link leads there
		check(t, os.Rename(path, path+".moved"))
		check(t, os.Symlink(path+".moved", path))
	case what == 7 && file: // by another inode: what editors do
		b, err := os.ReadFile(path)
		check(t, err)
		check(t, os.Remove(path))
		check(t, os.WriteFile(path, b, 0o600))
	default:
		check(t, os.WriteFile(path+".new", []byte("new"), 0o644))
		if info.Mode()&os.ModeSymlink == 0 {
			s.dress(r, name)
		}
	}
}

func flipBit(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	check(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	check(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	check(t, err)
}

// TestDeltaAsksForWhatDiffers: one changed file of many costs its frame.
func TestDeltaAsksForWhatDiffers(t *testing.T) {
	s := newSite(t)
	for i := range 300 {
		s.write(fmt.Sprintf("d%d/f%03d", i%7, i), text(uint64(i), 20000))
	}
	s.write("large", noise(1, 3*SliceSize))
	m := s.make(makeOptions{codec: Zstd()})
	want := listing(t, s.dir)
	flipBit(t, s.path("d3/f150"), 10)
	got := m.delta(t, s.dir, DeltaOptions{})
	compareTrees(t, want, listing(t, got.dir))
	if len(got.runs) != 1 || got.runs[0].Count != 1 || got.summary.TakenFiles < 250 {
		t.Errorf("asked for %v of %d frames, taken over %+v", got.runs, m.result.Frames, got.summary)
	}
	check(t, os.Truncate(s.path("large"), 2*SliceSize))
	got = m.delta(t, s.dir, DeltaOptions{})
	compareTrees(t, want, listing(t, got.dir))
	if len(got.runs) != 2 {
		t.Errorf("asked for %v", got.runs)
	}
}

// TestDeltaSharesNoInode: a write into a live file, which some programs do in
// place, changes nothing in what was staged, nor the reverse.
func TestDeltaSharesNoInode(t *testing.T) {
	s := newSite(t)
	s.write("a", text(1, 5000))
	s.write("b", noise(2, SliceSize))
	check(t, os.Link(s.path("a"), s.path("c")))
	m := s.make(makeOptions{codec: Zstd()})
	want := listing(t, s.dir)
	got := m.delta(t, s.dir, m.trusting())
	for _, name := range []string{"a", "b"} {
		flipBit(t, s.path(name), 100)
	}
	compareTrees(t, want, listing(t, got.dir))
}

// TestDeltaOfUnknownOwners uses their numbers and says so, once for all workers.
func TestDeltaOfUnknownOwners(t *testing.T) {
	s := newSite(t)
	for i := range 60 {
		s.write(fmt.Sprintf("f%02d", i), noise(uint64(i), 30000))
	}
	m := s.make(makeOptions{codec: Zstd()})
	nobody := func(e *Entry) { e.Uname = "nobody-here" }
	got, err := m.tryDelta(t, s.dir, DeltaOptions{Workers: 4}, changed(m.open(t), nobody))
	check(t, err)
	compareTrees(t, listing(t, s.dir), listing(t, got.dir))
	if len(got.warnings) != 1 || got.warnings[0].Kind != WarnOwner || got.summary.Warnings != 1 {
		t.Errorf("warnings: %v", got.warnings)
	}
}

// TestFilesThatChangeMeanwhile come from the tarball.
func TestFilesThatChangeMeanwhile(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"written in place": func(p string) error { return os.WriteFile(p, []byte("THE SAME LENGTH"), 0o644) },
		"replaced": func(p string) error {
			return errors.Join(os.WriteFile(p+"~", []byte("THE SAME LENGTH"), 0o644), os.Rename(p+"~", p))
		},
		"truncated": func(p string) error { return os.Truncate(p, 3) },
		"gone":      os.Remove,
		"a pipe now": func(p string) error {
			return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o600))
		},
		"a link now": func(p string) error {
			return errors.Join(os.Rename(p, p+"~"), os.Symlink(filepath.Base(p)+"~", p))
		},
	} {
		for _, trusted := range []bool{true, false} {
			t.Run(fmt.Sprint(name, trusted), func(t *testing.T) {
				s := newSite(t)
				s.write("a", []byte("the same length"))
				m := s.make(makeOptions{codec: Zstd()})
				o := DeltaOptions{WalkStarted: m.tree.StartedAt}
				if trusted {
					o = m.trusting()
				}
				pause()
				d, err := NewDelta(rootOf(t, t.TempDir()), s.root(), o)
				check(t, err)
				defer d.Close()
				k := newTaker(t.Context(), d)
				defer k.close()
				e := m.fileEntries(t)[0]
				var before unix.Stat_t
				src, ok := k.find(&e, &before)
				if !ok {
					t.Fatal("the file is not found")
				}
				defer unix.Close(src)
				check(t, change(s.path("a")))
				fd, err := openNew(d.staged.fd, "a", 0o600)
				check(t, err)
				defer unix.Close(fd)
				same, err := k.content(fd, src, &e, &before)
				if got, _ := os.ReadFile(filepath.Join(d.target.Name(), "a")); same && string(got) != "the same length" || err != nil {
					t.Errorf("taken over: %q, %v, %v", got, same, err)
				}
			})
		}
	}
}

// fileEntries returns the regular files of a tarball.
func (m *made) fileEntries(t testing.TB) []Entry {
	t.Helper()
	var files []Entry
	for e, err := range m.open(t).Entries() {
		check(t, err)
		if e.Type == TypeRegular {
			files = append(files, e)
		}
	}
	return files
}

// TestDeltaNeverLooksElsewhere: a live tree full of links, and an index that says
// what no walk finds.
func TestDeltaNeverLooksElsewhere(t *testing.T) {
	s := newSite(t)
	s.write("d/secret", []byte("what was backed up"))
	m := s.make(makeOptions{codec: Zstd()})
	outside := newSite(t)
	outside.write("secret", []byte("what was backed up"))
	check(t, os.RemoveAll(s.path("d")))
	check(t, os.Symlink(outside.dir, s.path("d")))
	if got := m.delta(t, s.dir, m.trusting()); got.summary.TakenFiles != 0 {
		t.Errorf("taken over through a link: %+v", got.summary)
	}
	check(t, os.Remove(s.path("d")))
	s.mkdir("d")
	check(t, os.Symlink(outside.path("secret"), s.path("d/secret")))
	if got := m.delta(t, s.dir, m.trusting()); got.summary.TakenFiles != 0 {
		t.Errorf("taken over through a link: %+v", got.summary)
	}
}

// TestHostileIndexes: nothing outside is read or written, and nobody hangs.
func TestHostileIndexes(t *testing.T) {
	s := newSite(t)
	s.write("a", []byte("content"))
	m := s.make(makeOptions{codec: Zstd()})
	outside := filepath.Join(filepath.Dir(s.dir), "outside")
	check(t, os.WriteFile(outside, []byte("content"), 0o600))
	for name, change := range map[string]func(*Entry){
		"upwards":            func(e *Entry) { e.Path = "./../outside" },
		"absolute":           func(e *Entry) { e.Path = outside },
		"upwards inside":     func(e *Entry) { e.Path = "./x/../../outside" },
		"another site path":  func(e *Entry) { e.SitePath = "./../outside" },
		"a name for the sql": func(e *Entry) { e.SitePath = "./b" },
		"a file as the root": func(e *Entry) { e.Path = "./" },
		"a link upwards":     func(e *Entry) { e.Type, e.LinkTarget = TypeHardlink, "./../outside" },
		"no owner":           func(e *Entry) { e.UID = ^uint32(0) },
		"an empty component": func(e *Entry) { e.Path = ".//a" },
		"frames are missing": func(e *Entry) { e.Span = 3 },
		"a label":            func(e *Entry) { e.Xattrs = []Xattr{{"security.selinux", "x"}} },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := m.tryDelta(t, s.dir, m.trusting(), changed(m.open(t), change))
			if !errors.Is(err, ErrUnsafe) && !errors.Is(err, ErrCorrupt) {
				t.Errorf("error = %v", err)
			}
		})
	}
	t.Run("listed twice", func(t *testing.T) {
		twice := func(yield func(BaseFrame, error) bool) {
			for f, err := range m.open(t).BaseFrames(0) {
				f.Entries = append(f.Entries, f.Entries[len(f.Entries)-1])
				if !yield(f, err) {
					return
				}
			}
		}
		if _, err := m.tryDelta(t, s.dir, m.trusting(), twice); !errors.Is(err, ErrCorrupt) {
			t.Errorf("error = %v", err)
		}
	})
}

// changed is the index with each regular file changed.
func changed(r *Reader, change func(*Entry)) iter.Seq2[BaseFrame, error] {
	return func(yield func(BaseFrame, error) bool) {
		for f, err := range r.BaseFrames(0) {
			for i := range f.Entries {
				if f.Entries[i].Type == TypeRegular {
					change(&f.Entries[i])
				}
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

// TestDeltaThatLacksSomething fails: it is never a tree with holes.
func TestDeltaThatLacksSomething(t *testing.T) {
	s := newSite(t)
	s.write("a", []byte("content"))
	check(t, os.Symlink("a", s.path("l")))
	m := s.make(makeOptions{codec: Zstd()})
	r := m.open(t)
	none := func(uint64, uint64) error { return nil }
	open := func(live *os.Root) *Delta {
		d, err := NewDelta(rootOf(t, t.TempDir()), live, DeltaOptions{Format: r.Format()})
		check(t, err)
		t.Cleanup(d.Close)
		return d
	}
	d := open(nil)
	check(t, d.Match(t.Context(), r.BaseFrames(0), none))
	next, stop := iter.Pull2(r.ReadRuns(t.Context(), nil))
	defer stop()
	if err := d.Extract(t.Context(), pulled(next)); !errors.Is(err, ErrIncomplete) {
		t.Errorf("without the frames: %v", err)
	}
	s.write("large", noise(1, SliceSize))
	two := s.make(makeOptions{codec: Zstd()}).open(t)
	var runs []FrameRun
	d = open(nil)
	check(t, d.Match(t.Context(), two.BaseFrames(0), func(first, count uint64) error {
		runs = append(runs, FrameRun{first, count})
		return nil
	}))
	one, stopOne := iter.Pull2(two.ReadRuns(t.Context(), runs[:1]))
	defer stopOne()
	if err := d.Extract(t.Context(), pulled(one)); !errors.Is(err, ErrIncomplete) || len(runs) != 2 {
		t.Errorf("with one of %v: %v", runs, err)
	}
	check(t, os.Remove(s.path("large")))
	d = open(s.root())
	check(t, d.Match(t.Context(), r.BaseFrames(0), none))
	if _, err := d.Finish(t.Context(), func(func(Entry, error) bool) {}); !errors.Is(err, ErrIncomplete) {
		t.Errorf("without the links: %v", err)
	}
	d = open(s.root())
	check(t, d.Match(t.Context(), r.BaseFrames(0), none))
	if _, err := d.Finish(t.Context(), r.Entries()); !errors.Is(err, ErrUnsafe) {
		t.Errorf("a file among the links: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := open(s.root()).Match(ctx, r.BaseFrames(0), none); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
