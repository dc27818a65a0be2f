package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// member is an entry of a tar stream that Go's own writer makes.
type member struct {
	tar.Header
	content string
}

func file(name, content string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, content}
}

func link(flag byte, name, target string) member {
	return member{tar.Header{Typeflag: flag, Name: name, Linkname: target, Mode: 0o777}, ""}
}

func dir(name string) member {
	return member{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, ""}
}

func device(flag byte, name string) member {
	return member{tar.Header{Typeflag: flag, Name: name, Mode: 0o666, Devmajor: 1, Devminor: 3}, ""}
}

func tarOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		m.Size = int64(len(m.content))
		m.Uid, m.Gid = os.Getuid(), os.Getgid()
		check(t, w.WriteHeader(&m.Header))
		_, err := w.Write([]byte(m.content))
		check(t, err)
	}
	check(t, w.Close())
	return b.Bytes()
}

// prison is a directory to extract into, beside one that must stay as it is.
type prison struct {
	inside, outside string
}

func newPrison(t testing.TB) prison {
	t.Helper()
	base := t.TempDir()
	p := prison{filepath.Join(base, "inside"), filepath.Join(base, "outside")}
	check(t, os.Mkdir(p.inside, 0o755))
	check(t, os.Mkdir(p.outside, 0o755))
	check(t, os.WriteFile(filepath.Join(p.outside, "secret"), []byte("secret"), 0o600))
	return p
}

func (p prison) extract(t testing.TB, stream []byte, o ExtractOptions) (Summary, error) {
	t.Helper()
	root, err := os.OpenRoot(p.inside)
	check(t, err)
	defer root.Close()
	return ExtractTar(context.Background(), root, bytes.NewReader(stream), o)
}

// TestHostileTarballs tries every way out. Whatever happens, what is beside the
// directory is as it was.
func TestHostileTarballs(t *testing.T) {
	long := strings.Repeat("d/", maxDepth+5) + "f"
	tests := map[string]struct {
		members func(p prison) []member
		refused bool
	}{
		"absolute":            {func(p prison) []member { return []member{file(p.outside+"/x", "")} }, true},
		"upwards":             {func(prison) []member { return []member{file("../outside/x", "")} }, true},
		"upwards in the name": {func(prison) []member { return []member{file("a/../../outside/x", "")} }, true},
		"upwards at the end":  {func(prison) []member { return []member{dir("a/..")} }, true},
		"upwards after ./":    {func(prison) []member { return []member{file("./../outside/secret", "x")} }, true},
		"character device":    {func(prison) []member { return []member{device(tar.TypeChar, "null")} }, true},
		"block device":        {func(prison) []member { return []member{device(tar.TypeBlock, "disk")} }, true},
		"pipe":                {func(prison) []member { return []member{device(tar.TypeFifo, "pipe")} }, true},
		"through a link":      {func(p prison) []member { return []member{link(tar.TypeSymlink, "a", p.outside), file("a/x", "x")} }, true},
		"through a relative": {func(prison) []member {
			return []member{link(tar.TypeSymlink, "a", "../outside"), file("a/secret", "x")}
		}, true},
		"through a near link": {func(prison) []member { return []member{dir("b"), link(tar.TypeSymlink, "a", "b"), file("a/x", "x")} }, true},
		"through two links": {func(prison) []member {
			return []member{link(tar.TypeSymlink, "a", "."), link(tar.TypeSymlink, "b", "a/../.."), file("b/outside/x", "x")}
		}, true},
		"hard link upwards":  {func(prison) []member { return []member{link(tar.TypeLink, "a", "../outside/secret")} }, true},
		"hard link absolute": {func(p prison) []member { return []member{link(tar.TypeLink, "a", p.outside+"/secret")} }, true},
		"hard link to symlink": {func(p prison) []member {
			return []member{link(tar.TypeSymlink, "s", p.outside+"/secret"), link(tar.TypeLink, "a", "s")}
		}, true},
		"hard link by symlink": {func(p prison) []member {
			return []member{link(tar.TypeSymlink, "s", p.outside), link(tar.TypeLink, "a", "s/secret")}
		}, true},
		"hard link to dir":  {func(prison) []member { return []member{dir("d"), link(tar.TypeLink, "a", "d")} }, true},
		"file through file": {func(prison) []member { return []member{file("a", "x"), file("a/b", "y")} }, true},
		"root is a file":    {func(prison) []member { return []member{file(".", "x")} }, true},
		"root is a link":    {func(p prison) []member { return []member{link(tar.TypeSymlink, "./", p.outside)} }, true},
		"too deep":          {func(prison) []member { return []member{file(long, "")} }, true},
		"write over a link": {func(p prison) []member {
			return []member{link(tar.TypeSymlink, "a", p.outside+"/secret"), file("a", "x")}
		}, false},
		"directory over a link": {func(p prison) []member {
			return []member{link(tar.TypeSymlink, "a", p.outside), dir("a"), file("a/x", "x")}
		}, false},
		"link over a directory": {func(p prison) []member {
			return []member{dir("a"), link(tar.TypeSymlink, "a", p.outside)}
		}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPrison(t)
			before := listing(t, p.outside)
			stream := tarOf(t, test.members(p)...)
			_, err := p.extract(t, stream, ExtractOptions{})
			if test.refused && !errors.Is(err, ErrUnsafe) {
				t.Errorf("extracting: %v", err)
			}
			if !test.refused && err != nil {
				t.Errorf("extracting: %v", err)
			}
			compareTrees(t, before, listing(t, p.outside))
			if left := must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(p.inside))); len(left) != 2 {
				t.Errorf("beside the directory: %v", left)
			}
		})
	}
}

// TestScanRefusesBeforeAnythingIsMade finds what names and types give away.
func TestScanRefusesBeforeAnythingIsMade(t *testing.T) {
	for name, m := range map[string]member{
		"absolute": file("/etc/x", ""), "upwards": file("../x", ""), "device": device(tar.TypeChar, "x"),
		"hard link": link(tar.TypeLink, "a", "../x"),
	} {
		err := ScanTar(context.Background(), bytes.NewReader(tarOf(t, file("ok", "ok"), m)), func(Entry, io.Reader) error { return nil })
		if !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForeignOrder extracts tarballs whose entries come in any order, twice, and
// with no directories, as GNU tar would.
func TestForeignOrder(t *testing.T) {
	p := newPrison(t)
	old := tar.Header{Typeflag: tar.TypeDir, Name: "a", Mode: 0o750, ModTime: testTime.Truncate(1e9)}
	stream := tarOf(t,
		file("a/b/c", "1"), member{old, ""}, file("x", "old"), file("a/b/d", "2"), file("x", "new"),
		link(tar.TypeLink, "h", "a/b/c"), file("./y//z/./w", "3"))
	sum, err := p.extract(t, stream, ExtractOptions{})
	check(t, err)
	for name, want := range map[string]string{"a/b/c": "1", "a/b/d": "2", "x": "new", "h": "1", "y/z/w": "3"} {
		if got := must[[]byte](t)(os.ReadFile(filepath.Join(p.inside, name))); string(got) != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	st := must[os.FileInfo](t)(os.Stat(filepath.Join(p.inside, "a")))
	if st.Mode().Perm() != 0o750 || !st.ModTime().Equal(old.ModTime) {
		t.Errorf("a is %v of %v", st.Mode(), st.ModTime())
	}
	if st := must[os.FileInfo](t)(os.Stat(filepath.Join(p.inside, "y"))); st.Mode().Perm() != impliedMode {
		t.Errorf("y is %v", st.Mode())
	}
	if sum.Entries != 7 {
		t.Errorf("summary: %+v", sum)
	}
}

// TestStreamEnds fails when the end of the stream is not the end of the tarball.
func TestStreamEnds(t *testing.T) {
	whole := tarOf(t, file("a", strings.Repeat("\x00", 4096)), file("b", "x"))
	if _, err := newPrison(t).extract(t, whole, ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	// 4608 is behind a file of zeros, which look like an end mark.
	for _, n := range []int{0, 100, 512, 600, 4608, 5120, 5632, len(whole) - 512, len(whole) - 513} {
		if _, err := newPrison(t).extract(t, whole[:n], ExtractOptions{}); !errors.Is(err, ErrIncomplete) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}

// TestSetIDOfForeignTarballs drops what would let others act as the owner.
func TestSetIDOfForeignTarballs(t *testing.T) {
	p := newPrison(t)
	suid := file("suid", "x")
	suid.Mode = 0o6755
	sgid := dir("sgid")
	sgid.Mode = 0o2775
	var warnings []Warning
	_, err := p.extract(t, tarOf(t, suid, sgid), ExtractOptions{DropSetID: true, Warn: func(w Warning) { warnings = append(warnings, w) }})
	check(t, err)
	for name, want := range map[string]uint32{"suid": 0o755, "sgid": 0o2775} {
		var st unix.Stat_t
		check(t, unix.Lstat(filepath.Join(p.inside, name), &st))
		if st.Mode&0o7777 != want {
			t.Errorf("%s has mode %o", name, st.Mode&0o7777)
		}
	}
	if len(warnings) != 1 || warnings[0].Kind != WarnSetID || warnings[0].Path != "./suid" {
		t.Errorf("warnings: %v", warnings)
	}
}

// TestUnknownOwners fall back to numbers, with one warning for each name.
func TestUnknownOwners(t *testing.T) {
	p := newPrison(t)
	a, b := file("a", ""), file("b", "")
	a.Uname, b.Uname = "nobody-here", "nobody-here"
	var warnings []Warning
	_, err := p.extract(t, tarOf(t, a, b), ExtractOptions{Warn: func(w Warning) { warnings = append(warnings, w) }})
	check(t, err)
	if len(warnings) != 1 || warnings[0].Kind != WarnOwner || !strings.Contains(warnings[0].Detail, "nobody-here") {
		t.Errorf("warnings: %v", warnings)
	}
}

// TestDumpIsSkippedUnlessAsked keeps ./database.sql out of a site.
func TestDumpIsSkippedUnlessAsked(t *testing.T) {
	stream := tarOf(t, file("./database.sql", "dump"), file("./sub/database.sql", "own"))
	for _, with := range []bool{false, true} {
		p := newPrison(t)
		_, err := p.extract(t, stream, ExtractOptions{WithDump: with})
		check(t, err)
		_, err = os.Stat(filepath.Join(p.inside, "database.sql"))
		if (err == nil) != with {
			t.Errorf("with %v: %v", with, err)
		}
		if _, err := os.Stat(filepath.Join(p.inside, "sub/database.sql")); err != nil {
			t.Error(err)
		}
	}
}
