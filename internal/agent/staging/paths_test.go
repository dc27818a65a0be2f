package staging_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/agent/staging"
	"github.com/sitekeep/sitekeep/internal/errs"
)

// lay writes files below a directory, each with its name in it; one that ends with / is a directory, one with -> a link.
func lay(t *testing.T, dir, content string, names ...string) {
	t.Helper()
	for _, name := range names {
		if name, target, ok := strings.Cut(name, "->"); ok {
			check(t, os.Symlink(target, filepath.Join(dir, name)))
			continue
		}
		check(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(content+" "+name), 0o644))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newPair has a live tree and a staged one with some paths of it.
func newPair(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	lay(t, p.www+"/x", "old", "a", "dir/extra", "dir/same", "deep/er/file", "raw\xff", "out->/etc", "file")
	_, err := p.stager.Fill(t.Context(), p.site, task, func(dir *os.Root) error {
		lay(t, dir.Name(), "new", "a", "dir/same", "dir/new", "deep/er/file", "gone/sub/one", "gone/two", "raw\xff", "out/passwd", "file/x")
		return nil
	})
	check(t, err)
	return p
}

// contents lists the files of the live tree.
func (p *place) contents() string {
	p.t.Helper()
	var out []string
	check(p.t, filepath.WalkDir(p.www+"/x", func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		out = append(out, string(text))
		return err
	}))
	slices.Sort(out)
	return strings.Join(out, ", ")
}

const (
	oldContents = "old a, old deep/er/file, old dir/extra, old dir/same, old file, old raw\xff"
	newContents = "new a, new dir/new, new dir/same, new gone/sub/one, new gone/two, new raw\xff, old deep/er/file, old file"
)

func (p *place) pathStates() []staging.PathState {
	p.t.Helper()
	states, err := p.stager.InspectPaths(p.site, task, []string{"a", "dir", "gone/sub/one", "raw\xff"})
	check(p.t, err)
	return states
}

// TestExchangePaths swaps files, directories and what was not there, each call twice, and takes it back.
func TestExchangePaths(t *testing.T) {
	p := newPair(t)
	at := time.Unix(1e9, 5)
	check(t, os.Chtimes(p.www+"/x", at, at))
	states := p.pathStates()
	if states[2].Name != "gone" || states[2].Live != 0 || states[2].Staged == 0 {
		t.Errorf("for a path below what is missing stands %+v", states[2])
	}
	for _, back := range []bool{false, true, false} {
		for range 2 {
			check(t, p.stager.ExchangePaths(t.Context(), p.site, task, states, back))
		}
		if got, want := p.contents(), map[bool]string{false: newContents, true: oldContents}[back]; got != want {
			t.Errorf("back %v: %q\nin place of %q", back, got, want)
		}
	}
	if info, err := os.Stat(p.www + "/x"); err != nil || !info.ModTime().Equal(at) {
		t.Errorf("the directory's time is %v, %v", info.ModTime(), err)
	}
}

// TestExchangePathsBrokenOff goes on, or back, from every place at which it may have been broken off.
func TestExchangePathsBrokenOff(t *testing.T) {
	for n := range 4 {
		for _, back := range []bool{false, true} {
			p := newPair(t)
			states := p.pathStates()
			check(t, p.stager.ExchangePaths(t.Context(), p.site, task, states[:n], false))
			// The agent that was killed had noted the directory's time, and not brought it back.
			check(t, os.WriteFile(p.stagingDir()+"/.directory-time", []byte(`{"directory":"Lg==","nanoseconds":5000000007}`), 0o600))
			check(t, p.stager.ExchangePaths(t.Context(), p.site, task, states, back))
			if info, err := os.Stat(p.www + "/x"); err != nil || info.ModTime().UnixNano() != 5000000007 {
				t.Errorf("after %d, back %v: the directory's time is %v, %v", n, back, info.ModTime(), err)
			}
			if got, want := p.contents(), map[bool]string{false: newContents, true: oldContents}[back]; got != want {
				t.Errorf("after %d, back %v: %q\nin place of %q", n, back, got, want)
			}
		}
	}
}

// TestExchangePathsActsOnWhatItKnows: forward it moves nothing if one path is another; back it brings the old ones back all the same.
func TestExchangePathsActsOnWhatItKnows(t *testing.T) {
	p := newPair(t)
	states := p.pathStates()
	check(t, os.Rename(p.www+"/x/raw\xff", p.www+"/elsewhere"))
	lay(t, p.www+"/x", "somebody's", "raw\xff")
	if err := p.stager.ExchangePaths(t.Context(), p.site, task, states, false); !errs.Is(err, errs.Precondition) {
		t.Errorf("another file is live: %v", err)
	}
	if got := p.contents(); !strings.Contains(got, "old a") || !strings.Contains(got, "old dir/extra") {
		t.Errorf("it has moved something: %q", got)
	}
	states = p.pathStates()
	check(t, p.stager.ExchangePaths(t.Context(), p.site, task, states, false))
	check(t, os.Remove(p.www+"/x/a"))
	lay(t, p.www+"/x", "later", "a2")
	check(t, os.Rename(p.www+"/x/a2", p.www+"/x/raw\xff"))
	check(t, p.stager.ExchangePaths(t.Context(), p.site, task, states, true))
	if got, want := p.contents(), "old a, old deep/er/file, old dir/extra, old dir/same, old file, somebody's raw\xff"; got != want {
		t.Errorf("back: %q\nin place of %q", got, want)
	}
}

// TestPathsStayInTheSite: what is above a path must be directories, not links or files.
func TestPathsStayInTheSite(t *testing.T) {
	p := newPair(t)
	for _, name := range []string{"out/passwd", "file/x"} {
		if _, err := p.stager.InspectPaths(p.site, task, []string{name}); !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	ino := inode(t, "/etc/passwd")
	if err := p.stager.ExchangePaths(t.Context(), p.site, task, []staging.PathState{{Name: "out/passwd", Live: ino, Staged: inode(t, p.stagingDir()+"/x/out/passwd")}}, false); err == nil {
		t.Error("it followed a link out of the site")
	}
	// One that was put there after the look, and stays in the site, is not followed either.
	check(t, os.Symlink("dir", p.www+"/x/ln"))
	lay(t, p.stagingDir()+"/x", "new", "ln/extra")
	inner := staging.PathState{Name: "ln/extra", Live: inode(t, p.www+"/x/dir/extra"), Staged: inode(t, p.stagingDir()+"/x/ln/extra")}
	if err := p.stager.ExchangePaths(t.Context(), p.site, task, []staging.PathState{inner}, false); err == nil || p.contents() != oldContents {
		t.Errorf("it followed a link: %v, %q", err, p.contents())
	}
}
