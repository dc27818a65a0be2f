package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOrder walks a site in the order that ComparePaths gives.
func TestOrder(t *testing.T) {
	m := richSite(t).make(makeOptions{codec: Zstd()})
	var names []string
	for e, err := range m.open(t).Entries() {
		check(t, err)
		names = append(names, e.Name())
	}
	if !slices.IsSortedFunc(names, ComparePaths) || names[0] != "./" || len(names) < 100 {
		t.Errorf("order: %q", names)
	}
	for _, pair := range [][2]string{{"./", "./a"}, {"./a", "./a/b"}, {"./a/b", "./a.b"}, {"./a/b", "./a\x01"}, {"./a", "./b"}, {"./a\xff", "./b"}} {
		if ComparePaths(pair[0], pair[1]) >= 0 || ComparePaths(pair[1], pair[0]) <= 0 || ComparePaths(pair[0], pair[0]) != 0 {
			t.Errorf("%q does not sort before %q", pair[0], pair[1])
		}
	}
}

// TestReservedNames maps names there and back without a clash.
func TestReservedNames(t *testing.T) {
	for site, want := range map[string]string{
		"./database.sql":           "./database.sql~site",
		"./database.sql~site":      "./database.sql~site~site",
		"./database.sql~site~site": "./database.sql~site~site~site",
		"./database.sql/x":         "./database.sql~site/x",
		"./database.sql~sit":       "./database.sql~sit",
		"./database.sql2":          "./database.sql2",
		"./a/database.sql":         "./a/database.sql",
		"./":                       "./",
	} {
		got := tarballPath(site)
		if got != want {
			t.Errorf("%s travels as %s", site, got)
		}
		if back, ok := unreserved(got); ok != (got != site) || ok && back != site {
			t.Errorf("%s comes back as %s", got, back)
		}
	}
}

// TestOwnDatabaseSQL keeps a site's own file and directory of that name.
func TestOwnDatabaseSQL(t *testing.T) {
	s := newSite(t)
	s.write("database.sql/inner", []byte("a directory of that name"))
	check(t, os.Link(s.path("database.sql/inner"), s.path("other")))
	m := s.make(makeOptions{codec: Zstd(), dump: smallDump()})
	dir, _, _ := m.extract(t, ExtractOptions{})
	compareTrees(t, listing(t, s.dir), listing(t, dir))

	s = newSite(t)
	s.write("database.sql", []byte("own"))
	m = s.make(makeOptions{codec: Zstd(), source: SourceOptions{NoDump: true}})
	if _, err := m.open(t).OpenDump(context.Background()); !errors.Is(err, ErrNotFound) {
		t.Errorf("open the dump that is not there: %v", err)
	}
	dir, _, _ = m.extract(t, ExtractOptions{WithDump: true})
	compareTrees(t, listing(t, s.dir), listing(t, dir))
	if _, err := s.tryMake(context.Background(), makeOptions{codec: Zstd(), dump: smallDump(), source: SourceOptions{NoDump: true}}); err == nil {
		t.Error("a tarball has two files of one name")
	}
}

// TestExcludes matches globs as SourceOptions describes them.
func TestExcludes(t *testing.T) {
	tests := []struct {
		glob, path string
		dir, want  bool
	}{
		{"*.log", "./a/b/x.log", false, true},
		{"*.log", "./x.logs", false, false},
		{"cache/", "./a/cache", true, true},
		{"cache/", "./a/cache", false, false},
		{"/cache", "./cache", true, true},
		{"/cache", "./a/cache", true, false},
		{"wp-content/cache", "./wp-content/cache", true, true},
		{"wp-content/cache", "./x/wp-content/cache", true, false},
		{"sites/*/files", "./sites/a/files", true, true},
		{"sites/*/files", "./sites/a/b/files", true, false},
		{"**/tmp/*.php", "./a/b/tmp/x.php", false, true},
		{"**/tmp/*.php", "./tmp/x.php", false, true},
		{"a/**/z", "./a/z", false, true},
		{"a/**/z", "./a/b/c/z", false, true},
		{"./a", "./a", false, true},
		{"[ab]?", "./ax", false, true},
		{"*", "./", true, false},
		{"\xff*", "./\xffx", false, true},
	}
	for _, test := range tests {
		rules, err := parseExcludes([]string{"other", test.glob})
		check(t, err)
		if got := rules.match(test.path, test.dir); got != test.want {
			t.Errorf("%q on %q: %v", test.glob, test.path, got)
		}
	}
	for _, bad := range []string{"", "/", "a[", "x/[b"} {
		if _, err := parseExcludes([]string{bad}); err == nil {
			t.Errorf("%q is taken for a glob", bad)
		}
	}
}

// TestExcludedAreLeftOut excludes files, a directory and what a cache tag marks.
func TestExcludedAreLeftOut(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"keep", "x.log", "cache/a/b", "tagged/x", "fake/x"} {
		s.write(name, []byte("x"))
	}
	s.write("tagged/CACHEDIR.TAG", []byte("Signature: 8a477f597d28d172789f06886806bc55\n# cache"))
	s.write("fake/CACHEDIR.TAG", []byte("Signature: none"))
	m := s.make(makeOptions{codec: Zstd(), source: SourceOptions{Exclude: []string{"*.log", "cache/"}, CacheDirTags: true}})
	var names []string
	for e, err := range m.open(t).Entries() {
		check(t, err)
		names = append(names, e.Path)
	}
	want := []string{"./", "./fake", "./fake/CACHEDIR.TAG", "./fake/x", "./keep", "./tagged", "./tagged/CACHEDIR.TAG"}
	if !slices.Equal(names, want) {
		t.Errorf("entries: %q", names)
	}
}

// TestSpecialFilesAreWarnings leaves out sockets, pipes and what cannot be read.
func TestSpecialFilesAreWarnings(t *testing.T) {
	s := newSite(t)
	s.write("ok", []byte("ok"))
	check(t, unix.Mkfifo(s.path("pipe"), 0o600))
	l := must[net.Listener](t)(net.Listen("unix", s.path("socket")))
	defer l.Close()
	m := s.make(makeOptions{codec: Zstd()})
	if len(m.warnings) != 2 || m.warnings[0] != (Warning{WarnSpecial, "./pipe", m.warnings[0].Detail}) || m.warnings[1].Path != "./socket" {
		t.Errorf("warnings: %v", m.warnings)
	}
	if m.tree.Entries != 2 || m.tree.Warnings != 2 {
		t.Errorf("summary: %+v", m.tree)
	}
	verifyMade(t, m)
}

// between builds a job of what the walk found, after the site has changed.
func (s *site) between(t *testing.T, change func()) *job {
	t.Helper()
	root := must[*beneath](t)(openBeneath(s.root()))
	defer root.close()
	j := &job{kind: KindTree}
	w := &walker{
		ctx: context.Background(), root: root, opts: &SourceOptions{}, owners: newOwnerNames(), links: map[inode]*firstName{}, limits: usualLimits(),
		visit: func(n *node) error { j.nodes = append(j.nodes, n); return nil },
		warn:  func(w Warning) error { j.warnings = append(j.warnings, w); return nil },
	}
	check(t, w.walk())
	change()
	g := newGrouper(newPipeline(context.Background(), 1, 1<<20), root, newOwnerNames(), TarZstd)
	defer g.close()
	g.build(j)
	return j
}

// TestChangesBetweenWalkAndRead has files vanish, change their type and grow.
func TestChangesBetweenWalkAndRead(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"gone", "grown", "hard", "kept", "linked", "refreshed"} {
		s.write(name, []byte("0123456789"))
	}
	s.mkdir("lostdir")
	check(t, os.Symlink("x", s.path("lostlink")))
	check(t, os.Link(s.path("hard"), s.path("harder")))
	j := s.between(t, func() {
		check(t, os.Remove(s.path("gone")))
		check(t, os.Remove(s.path("hard")))
		check(t, os.Remove(s.path("lostdir")))
		check(t, os.Remove(s.path("lostlink")))
		s.write("grown", make([]byte, SmallFile+1))
		s.write("refreshed", []byte("new and longer"))
		check(t, os.Remove(s.path("linked")))
		check(t, os.Symlink("/etc/passwd", s.path("linked")))
	})
	kinds := map[string]WarningKind{}
	for _, w := range j.warnings {
		kinds[w.Path] = w.Kind
	}
	want := map[string]WarningKind{
		"./gone": WarnVanished, "./grown": WarnChanged, "./hard": WarnUnreadable, "./linked": WarnUnreadable,
		"./lostdir": WarnVanished, "./lostlink": WarnVanished,
	}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("warnings: %v", j.warnings)
	}
	content := wellFormed(t, j)
	if content["./grown"] != strings.Repeat("\x00", 10) || content["./hard"] != strings.Repeat("\x00", 10) || content["./refreshed"] != "new and longer" {
		t.Errorf("contents: %q", content)
	}
	for _, e := range j.entries {
		if bad := e.Path == "./grown" || e.Path == "./hard"; bad != e.ChangeTime.IsZero() {
			t.Errorf("%s has ctime %v", e.Path, e.ChangeTime)
		}
	}
}

// wellFormed reads the job's plain bytes as a tar stream that agrees with its entries.
func wellFormed(t *testing.T, j *job) map[string]string {
	t.Helper()
	content := map[string]string{}
	i := 0
	stream := io.MultiReader(bytes.NewReader(j.plain), bytes.NewReader(make([]byte, endBlocks)))
	check(t, ScanTar(context.Background(), stream, func(e Entry, r io.Reader) error {
		if e.Path != j.entries[i].Path {
			t.Errorf("entry %d is %q in the stream and %q in the index", i, e.Path, j.entries[i].Path)
		}
		i++
		b, err := io.ReadAll(r)
		content[e.Path] = string(b)
		return err
	}))
	if i != len(j.entries) {
		t.Errorf("%d entries in the stream, %d in the index", i, len(j.entries))
	}
	return content
}

// TestReadProblems judges files that change between two looks.
func TestReadProblems(t *testing.T) {
	tests := map[string]struct {
		change  func(f *os.File)
		got     int64
		err     error
		kind    WarningKind
		mention string
	}{
		"nothing": {func(*os.File) {}, 10, nil, "", ""},
		"shrunk":  {func(f *os.File) { f.Truncate(4) }, 4, nil, WarnChanged, "from byte 4"},
		"grown":   {func(f *os.File) { f.WriteAt([]byte("x"), 20) }, 10, nil, WarnChanged, "cut to 10"},
		"written": {func(f *os.File) {
			f.WriteAt([]byte("x"), 0)
			unix.Futimes(int(f.Fd()), []unix.Timeval{{Sec: 1}, {Sec: 1}})
		}, 10, nil, WarnChanged, "changed"},
		"failed": {func(*os.File) {}, 3, unix.EIO, WarnUnreadable, "from byte 3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := must[*os.File](t)(os.Create(filepath.Join(t.TempDir(), "f")))
			defer f.Close()
			_, err := f.WriteString("0123456789")
			check(t, err)
			var before unix.Stat_t
			check(t, unix.Fstat(int(f.Fd()), &before))
			test.change(f)
			kind, detail := readProblem(int(f.Fd()), test.got, 10, &before, test.err)
			if kind != test.kind || !strings.Contains(detail, test.mention) || (detail == "") != (test.kind == "") {
				t.Errorf("%q %q", kind, detail)
			}
		})
	}
}

// TestSiteThatChangesAllTheTime makes a well-formed tarball of it.
func TestSiteThatChangesAllTheTime(t *testing.T) {
	s := newSite(t)
	names := []string{"a/small", "b/large", "c/comes-and-goes", "d"}
	s.mkdir("a")
	s.mkdir("b")
	s.mkdir("c")
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for i, name := range names {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				size := (n*7919 + i) % (3 * SliceSize)
				_ = os.WriteFile(s.path(name), noise(uint64(n), size/(1+7*(i%2))), 0o644) // racing is the point
				if n%3 == 0 {
					_ = os.Remove(s.path(name))
				}
			}
		})
	}
	for range 15 {
		verifyMade(t, s.make(makeOptions{codec: Zstd()}))
	}
	close(stop)
	writers.Wait()
}

// TestSparseStaysSparse stores and restores holes as holes.
func TestSparseStaysSparse(t *testing.T) {
	s := newSite(t)
	s.sparse("disk.img", 40<<20)
	check(t, os.Truncate(s.path("disk.img"), 60<<20))
	f := must[*os.File](t)(os.Create(s.path("empty.img")))
	check(t, f.Truncate(10<<20))
	check(t, f.Close())
	m := s.make(makeOptions{codec: Zstd()})
	if m.tree.PlainBytes > 1<<20 || m.tree.Bytes != 70<<20 {
		t.Errorf("summary: %+v", m.tree)
	}
	dir, _, _ := m.extract(t, ExtractOptions{})
	compareTrees(t, listing(t, s.dir), listing(t, dir))
	for _, name := range []string{"disk.img", "empty.img"} {
		var st unix.Stat_t
		check(t, unix.Stat(filepath.Join(dir, name), &st))
		if st.Blocks*512 > 1<<20 {
			t.Errorf("%s takes %d bytes on disk", name, st.Blocks*512)
		}
	}
	gnu := t.TempDir()
	run(t, "tar", "-xpf", m.path, "-C", gnu)
	compareTrees(t, listing(t, s.dir), listing(t, gnu))
	verifyMade(t, m)
}

// TestManyHoles keeps the map of a file with more holes than it may list short.
func TestManyHoles(t *testing.T) {
	s := newSite(t)
	f := must[*os.File](t)(os.Create(s.path("holes")))
	for i := range int64(maxSegments + 100) {
		_, err := f.WriteAt([]byte{1}, i*8192)
		check(t, err)
	}
	var st unix.Stat_t
	check(t, unix.Fstat(int(f.Fd()), &st))
	if n := len(dataSegments(int(f.Fd()), &st)); n != maxSegments+1 {
		t.Errorf("the map lists %d segments", n)
	}
	check(t, f.Close())
	m := s.make(makeOptions{codec: Zstd()})
	verifyMade(t, m)
	dir, _, _ := m.extract(t, ExtractOptions{})
	compareTrees(t, listing(t, s.dir), listing(t, dir))
}

// TestFailuresOfTheReceiver end the run with the receiver's error.
func TestFailuresOfTheReceiver(t *testing.T) {
	s := smallSite(t)
	boom := errors.New("boom")
	for fail := range 4 {
		src := must[*Source](t)(NewSource(s.root(), SourceOptions{Codec: Zstd(), Workers: 3}))
		n := 0
		_, err := src.Run(context.Background(), func(context.Context, Item) error {
			if n++; n > fail {
				return boom
			}
			return nil
		})
		if !errors.Is(err, boom) || n != fail+1 {
			t.Errorf("after %d items: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	src := must[*Source](t)(NewSource(s.root(), SourceOptions{Codec: Zstd()}))
	if _, err := src.Run(ctx, func(context.Context, Item) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	src = must[*Source](t)(NewSource(s.root(), SourceOptions{Codec: Zstd(), Base: func(yield func(BaseFrame, error) bool) { yield(BaseFrame{}, boom) }}))
	if _, err := src.Run(context.Background(), func(context.Context, Item) error { return nil }); !errors.Is(err, boom) {
		t.Errorf("base fails: %v", err)
	}
	if _, err := NewSource(s.root(), SourceOptions{}); err == nil {
		t.Error("a source without a codec")
	}
}

// TestStepwiseOpen follows no link, like openat2 that it stands in for.
func TestStepwiseOpen(t *testing.T) {
	s := newSite(t)
	s.write("a/b/c", []byte("x"))
	check(t, os.Symlink("a", s.path("link")))
	check(t, os.Symlink("c", s.path("a/b/l")))
	b := must[*beneath](t)(openBeneath(s.root()))
	defer b.close()
	for rel, want := range map[string]error{
		"a/b/c": nil, "a": nil, ".": nil, "link/b/c": unix.ENOTDIR, "a/b/l": unix.ELOOP,
		"../site/a": unix.EXDEV, "a/x": unix.ENOENT,
	} {
		fd, err := b.openStepwise(rel, openRead)
		if !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%s: %v", rel, err)
		}
		if err == nil {
			check(t, unix.Close(fd))
		}
		if fd, err2 := b.open("./"+rel, openRead); (err2 == nil) != (err == nil) {
			t.Errorf("%s: %v by openat2, %v stepwise", rel, err2, err)
		} else if err2 == nil {
			check(t, unix.Close(fd))
		}
	}
	deep := strings.Repeat("0123456789/", 500)
	if _, err := b.open("./"+deep+"x", openRead); !errors.Is(err, unix.ENOENT) {
		t.Errorf("path longer than PATH_MAX: %v", err)
	}
}
