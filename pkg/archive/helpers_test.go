package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"

	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

var testTime = time.Date(2026, 11, 23, 0, 13, 36, 123456789, time.UTC)

func codecs() map[string]Codec { return map[string]Codec{"zstd": Zstd(), "gzip": Gzip()} }

// eachCodec runs a test with every codec.
func eachCodec(t *testing.T, fn func(t *testing.T, c Codec)) {
	for name, c := range codecs() {
		t.Run(name, func(t *testing.T) { fn(t, c) })
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

// site is a directory under test.
type site struct {
	t   testing.TB
	dir string
}

func newSite(t testing.TB) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	check(t, os.Mkdir(dir, 0o755))
	return &site{t, dir}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write makes a file, and the directories above it, as old as testTime.
func (s *site) write(name string, content []byte) {
	s.t.Helper()
	s.mkdir(filepath.Dir(name))
	check(s.t, os.WriteFile(s.path(name), content, 0o644))
	s.age(name)
}

func (s *site) mkdir(name string) { check(s.t, os.MkdirAll(s.path(name), 0o755)) }

func (s *site) age(name string) {
	s.t.Helper()
	ts := []unix.Timespec{unix.NsecToTimespec(testTime.UnixNano()), unix.NsecToTimespec(testTime.UnixNano())}
	check(s.t, unix.UtimesNanoAt(unix.AT_FDCWD, s.path(name), ts, unix.AT_SYMLINK_NOFOLLOW))
}

func (s *site) root() *os.Root {
	s.t.Helper()
	root, err := os.OpenRoot(s.dir)
	check(s.t, err)
	s.t.Cleanup(func() { root.Close() })
	return root
}

// text returns n bytes that compress like PHP.
func text(seed uint64, n int) []byte {
	words := strings.Fields("function return array public static $this -> if else foreach as echo class namespace use new null true false => == string int // /* */ wp_options get_header drupal")
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 0, n+32)
	for len(b) < n {
		b = append(append(b, words[r.IntN(len(words))]...), ' ')
		b = append(strconv.AppendInt(b, int64(r.IntN(1000)), 10), ' ')
	}
	return b[:n]
}

// noise returns n bytes that do not compress.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// richSite has one of everything that a site can hold.
func richSite(t testing.TB) *site {
	t.Helper()
	s := newSite(t)
	s.write("index.php", []byte("<?php\n"))
	s.write("empty", nil)
	s.write("wp-content/big.jpg", noise(1, 3*SliceSize+777))
	s.write("wp-content/exact.bin", text(2, SliceSize))
	s.write("wp-content/edge.bin", text(3, SmallFile))
	s.write("wp-content/medium.php", text(4, SmallFile-1))
	for i := range 150 {
		s.write(fmt.Sprintf("wp-includes/f%03d.php", i), text(uint64(100+i), 100+i*97))
	}
	s.write("wp-includes.old", []byte("sorts behind the directory"))
	s.write("wp-includes-x/a", []byte("sorts before it but for the slash"))
	s.write("bad\xff\xfename", []byte("not UTF-8"))
	s.write("Grüße/Ünïcode ☃", []byte("UTF-8"))
	s.write(strings.Repeat("d", 120)+"/"+strings.Repeat("e", 130)+"/"+strings.Repeat("f", 200), []byte("long"))
	s.write(strings.Repeat("g", 120)+"/"+strings.Repeat("\xf0", 200), []byte("long and not UTF-8"))
	s.write("new\nline\ttab \"quote\" \\back", []byte("odd"))
	s.write("-rf", []byte("dash"))
	s.write("database.sql", []byte("the site's own"))
	s.write("database.sql~site", []byte("and another"))
	s.mkdir("emptydir")
	check(t, os.Symlink("../elsewhere", s.path("wp-content/link")))
	check(t, os.Symlink(strings.Repeat("t/", 150)+"x", s.path("longlink")))
	check(t, os.Symlink("to\xff", s.path("badlink")))
	check(t, os.Link(s.path("index.php"), s.path("wp-content/hard.php")))
	check(t, os.Link(s.path("wp-content/big.jpg"), s.path("zz-hard.jpg")))
	check(t, os.Link(s.path("database.sql"), s.path("zz-own.sql")))
	s.special()
	return s
}

// special adds what depends on rights: owners, modes and attributes.
func (s *site) special() {
	t := s.t
	check(t, os.Chmod(s.path("wp-content"), 0o775|os.ModeSetgid))
	check(t, os.Chmod(s.path("emptydir"), 0o777|os.ModeSticky))
	s.write("setuid", []byte("x"))
	s.write("owned", []byte("y"))
	if os.Getuid() == 0 {
		check(t, os.Lchown(s.path("owned"), 33, 12345))
		check(t, os.Lchown(s.path("wp-content/link"), 33, 33))
		check(t, os.Lchown(s.path("emptydir"), 4000000, 5000000))
	}
	check(t, os.Chmod(s.path("setuid"), 0o755|os.ModeSetuid))
	s.write("attributes", []byte("z"))
	check(t, unix.Setxattr(s.path("attributes"), "user.comment", []byte("a\x00b\nc=d"), 0))
	check(t, unix.Setxattr(s.path("wp-content"), "user.dir", []byte("dir"), 0))
	check(t, unix.Setxattr(s.path("attributes"), aclAccessXattr, testACL(), 0))
	s.sparse("sparse.img", 40<<20)
	for _, name := range []string{"wp-content", "wp-includes", "emptydir", "setuid", "owned", "attributes", "wp-content/link", "Grüße", "."} {
		s.age(name)
	}
}

// testACL is u::rw-,u:33:r--,g::r--,m::r--,o::r--.
func testACL() []byte {
	b := []byte{2, 0, 0, 0}
	for _, e := range [][3]byte{{1, 6, 0xff}, {2, 4, 33}, {4, 4, 0xff}, {16, 4, 0xff}, {32, 4, 0xff}} {
		id := []byte{0xff, 0xff, 0xff, 0xff}
		if e[2] != 0xff {
			id = []byte{e[2], 0, 0, 0}
		}
		b = append(append(b, e[0], 0, e[1], 0), id...)
	}
	return b
}

func (s *site) sparse(name string, size int64) {
	f, err := os.Create(s.path(name))
	check(s.t, err)
	defer f.Close()
	check(s.t, f.Truncate(size))
	_, err = f.WriteAt(text(9, 10000), 1<<20)
	check(s.t, err)
	_, err = f.WriteAt([]byte("end"), size-3)
	check(s.t, err)
}

// made is a finished tarball.
type made struct {
	path     string
	result   Result
	tree     Summary
	dump     Summary
	warnings []Warning
	items    []Item
}

type makeOptions struct {
	codec   Codec
	source  SourceOptions
	dump    []section // nil: no dump
	align   int64
	bases   []*Reader
	noTree  bool
	dumpRef bool
}

type section struct {
	kind       SectionKind
	name       string
	statements []string
}

func smallDump() []section {
	return []section{
		{SectionHead, "", []string{"-- head\n", "SET NAMES utf8mb4;\n"}},
		{SectionTable, "t`1", []string{"CREATE TABLE `t``1` (a int);\n"}},
		{SectionData, "t`1", []string{"INSERT INTO `t``1` VALUES (1),(2);\n"}},
		{SectionData, "big", bigStatements(1, 1500)},
		{SectionTail, "", []string{"-- Dump completed\n"}},
	}
}

func bigStatements(seed uint64, n int) []string {
	out, rows := make([]string, n), text(seed, n*900)
	for i := range out {
		out[i] = fmt.Sprintf("INSERT INTO `big` VALUES (%d,'%s');\n", i, rows[i*900:(i+1)*900])
	}
	return out
}

func sqlOf(sections []section) []byte {
	var b bytes.Buffer
	for _, s := range sections {
		for _, st := range s.statements {
			b.WriteString(st)
		}
	}
	return b.Bytes()
}

func testManifest(withDump bool) *archivev1.Manifest {
	m := &archivev1.Manifest{
		Site: "example.com", SiteKind: "wordpress", BackupId: "example.com-20261123.001336",
		CreatedAt: timestamppb.New(testTime), Description: "test", Software: "test",
		Labels: map[string]string{"a": "1", "b": "2"},
	}
	if withDump {
		m.Dump = &archivev1.Dump{Charset: "utf8mb4"}
	}
	return m
}

func (s *site) make(o makeOptions) *made {
	s.t.Helper()
	m, err := s.tryMake(context.Background(), o)
	check(s.t, err)
	return m
}

func (s *site) tryMake(ctx context.Context, o makeOptions) (*made, error) {
	s.t.Helper()
	dir := s.t.TempDir()
	f, err := os.Create(filepath.Join(dir, "x"+o.codec.Format().Suffix()))
	check(s.t, err)
	defer f.Close()
	a, err := NewAssembler(AssemblerOptions{File: f, SpoolDir: dir, Codec: o.codec, Align: o.align})
	check(s.t, err)
	defer a.Abort()
	m := &made{path: f.Name()}
	if err := m.fill(ctx, s, a, o); err != nil {
		return m, err
	}
	m.result, err = a.Finish(ctx, testManifest(o.dump != nil))
	check(s.t, f.Close()) // XFS gives back only then what it allocated ahead
	return m, err
}

func (m *made) fill(ctx context.Context, s *site, a *Assembler, o makeOptions) error {
	if !o.noTree {
		o.source.Codec = o.codec
		src, err := NewSource(s.root(), o.source)
		if err != nil {
			return err
		}
		if m.tree, err = src.Run(ctx, m.sink(a, o.bases)); err != nil {
			return err
		}
		if err := a.CloseTree(m.tree); err != nil {
			return err
		}
	}
	if o.dump == nil {
		return nil
	}
	var err error
	if m.dump, err = m.frameDump(ctx, a, o); err != nil {
		return err
	}
	return a.CloseDump(m.dump)
}

func (m *made) frameDump(ctx context.Context, a *Assembler, o makeOptions) (Summary, error) {
	opts := DumpOptions{Codec: o.codec}
	if o.dumpRef {
		opts.Base = o.bases[0].BaseDumpFrames(0)
	}
	f, err := NewDumpFramer(ctx, opts, m.sink(a, o.bases))
	if err != nil {
		return Summary{}, err
	}
	defer f.Abort()
	for _, sec := range o.dump {
		if err := f.BeginSection(sec.kind, sec.name); err != nil {
			return Summary{}, err
		}
		for _, st := range sec.statements {
			if _, err := io.WriteString(f, st); err != nil {
				return Summary{}, err
			}
			if err := f.EndStatement(1); err != nil {
				return Summary{}, err
			}
		}
	}
	return f.Close()
}

// sink passes items to an assembler, and keeps them without their data.
func (m *made) sink(a *Assembler, bases []*Reader) func(context.Context, Item) error {
	return func(ctx context.Context, it Item) error {
		switch {
		case it.Warning != nil:
			m.warnings = append(m.warnings, *it.Warning)
		case it.Reference != nil:
			m.items = append(m.items, it)
			return a.AppendReference(ctx, bases[it.Reference.Base], *it.Reference)
		case it.Frame != nil:
			kept := *it.Frame
			kept.Data = nil
			m.items = append(m.items, Item{Frame: &kept})
			return a.Append(ctx, *it.Frame)
		}
		return nil
	}
}

func (m *made) open(t testing.TB) *Reader {
	t.Helper()
	r, err := OpenFile(m.path)
	check(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

// listing describes a tree in full, to be compared.
func listing(t testing.TB, dir string) map[string]string {
	t.Helper()
	out, first := map[string]string{}, map[uint64]string{}
	check(t, filepath.Walk(dir, func(p string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		out[rel] = describe(t, p, rel, first)
		return nil
	}))
	return out
}

func describe(t testing.TB, p, rel string, first map[uint64]string) string {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Lstat(p, &st))
	d := fmt.Sprintf("mode %o owner %d:%d mtime %d.%09d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		b, err := os.ReadFile(p)
		check(t, err)
		d += fmt.Sprintf(" size %d %x", st.Size, sha256.Sum256(b))
		if st.Nlink > 1 {
			if first[st.Ino] == "" {
				first[st.Ino] = rel
			}
			d += " same as " + first[st.Ino]
		}
	case unix.S_IFLNK:
		target, err := os.Readlink(p)
		check(t, err)
		return d + " -> " + target
	}
	fd, err := unix.Open(p, openRead, 0)
	check(t, err)
	defer unix.Close(fd)
	xattrs, problem := readXattrs(fd)
	if problem != "" {
		t.Fatal(problem)
	}
	return d + fmt.Sprintf(" %q", xattrs)
}

func compareTrees(t testing.TB, want, got map[string]string) {
	t.Helper()
	names := map[string]bool{}
	for n := range want {
		names[n] = true
	}
	for n := range got {
		names[n] = true
	}
	sorted := make([]string, 0, len(names))
	for n := range names {
		sorted = append(sorted, n)
	}
	sort.Strings(sorted)
	for _, n := range sorted {
		if want[n] != got[n] {
			t.Errorf("%q:\n want %s\n got  %s", n, want[n], got[n])
		}
	}
}

// extract extracts a tarball with an Extractor and returns the directory.
func (m *made) extract(t testing.TB, o ExtractOptions) (string, Summary, []Warning) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	check(t, err)
	defer root.Close()
	var warnings []Warning
	o.Warn = func(w Warning) { warnings = append(warnings, w) }
	r := m.open(t)
	x, err := NewExtractor(context.Background(), root, r.Format(), o)
	check(t, err)
	defer x.Abort()
	for f, err := range r.ReadFrames(context.Background()) {
		check(t, err)
		check(t, x.Put(context.Background(), f))
	}
	sum, err := x.Finish(context.Background())
	check(t, err)
	return dir, sum, warnings
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func itoa(n int64) string { return fmt.Sprint(n) }

func newHash() hash.Hash { return sha256.New() }

func hashOf(b []byte) Hash { return sha256.Sum256(b) }
