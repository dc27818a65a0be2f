package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSmallFilesKeepTheirOrder has entries depend on a file that is still being
// written when they come: a further one of its name, a hard link to it, and the
// time of its directory.
func TestSmallFilesKeepTheirOrder(t *testing.T) {
	const tries = 150
	old := strings.Repeat("old", smallContent/3)
	var members []member
	for i := range tries {
		name := fmt.Sprintf("d%03d", i)
		members = append(members,
			member{tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o750, ModTime: testTime.Truncate(1e9)}, ""},
			file(name+"/twice", old), file(name+"/twice", "new"),
			file(name+"/x", old), link(tar.TypeLink, name+"/y", name+"/x"))
	}
	p := newPrison(t)
	_, err := p.extract(t, tarOf(t, members...), ExtractOptions{})
	check(t, err)
	for i := range tries {
		dir := filepath.Join(p.inside, fmt.Sprintf("d%03d", i))
		for name, want := range map[string]string{"twice": "new", "x": old, "y": old} {
			if got := string(must[[]byte](t)(os.ReadFile(filepath.Join(dir, name)))); got != want {
				t.Fatalf("%s/%s has %d bytes instead of %d", dir, name, len(got), len(want))
			}
		}
		if st := must[os.FileInfo](t)(os.Stat(dir)); !st.ModTime().Equal(testTime.Truncate(1e9)) || st.Mode().Perm() != 0o750 {
			t.Fatalf("%s is %v of %v", dir, st.Mode(), st.ModTime())
		}
	}
}

// TestFileInTheWayOfADirectory refuses a directory that no entry describes where
// a file is still being written.
func TestFileInTheWayOfADirectory(t *testing.T) {
	stream := tarOf(t, file("a", strings.Repeat("x", smallContent)), file("a/b", "y"))
	for range 50 {
		p := newPrison(t)
		if _, err := p.extract(t, stream, ExtractOptions{}); !errors.Is(err, ErrUnsafe) {
			t.Fatalf("error: %v", err)
		}
	}
}

// TestFailedFileEndsTheExtraction has a file fail while others are written: the
// error names it and nothing stays open.
func TestFailedFileEndsTheExtraction(t *testing.T) {
	p := newPrison(t)
	check(t, os.MkdirAll(filepath.Join(p.inside, "m0100", "not empty"), 0o755))
	members := make([]member, 200)
	for i := range members {
		members[i] = file(fmt.Sprintf("m%04d", i), "content")
	}
	before := openFiles(t)
	_, err := p.extract(t, tarOf(t, members...), ExtractOptions{})
	if !errors.Is(err, unix.ENOTEMPTY) || !strings.Contains(err.Error(), `"./m0100"`) {
		t.Errorf("error: %v", err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	return len(must[[]os.DirEntry](t)(os.ReadDir("/proc/self/fd")))
}

// TestMetadataThatIsThereAlready sets what differs, and nothing else, whatever a
// new file has by itself.
func TestMetadataThatIsThereAlready(t *testing.T) {
	p := newPrison(t)
	check(t, os.Chmod(p.inside, 0o755|os.ModeSetgid)) // directories in it have it by themselves
	modes := []int64{0o644, 0o600, 0o000, 0o777, 0o4755, 0o2755, 0o6711, 0o1666}
	var members []member
	for _, m := range modes {
		members = append(members, member{tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("f%04o", m), Mode: m}, ""},
			member{tar.Header{Typeflag: tar.TypeDir, Name: fmt.Sprintf("g%04o", m), Mode: m}, ""})
	}
	_, err := p.extract(t, tarOf(t, members...), ExtractOptions{})
	check(t, err)
	for _, m := range members {
		var st unix.Stat_t
		check(t, unix.Lstat(filepath.Join(p.inside, m.Name), &st))
		if got := st.Mode & 0o7777; got != uint32(m.Mode) {
			t.Errorf("%s has mode %04o", m.Name, got)
		}
	}
}
