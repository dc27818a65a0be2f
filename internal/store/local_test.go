package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

const id = "a.example-20261123.001336"

func openLocal(t testing.TB) *Local {
	t.Helper()
	l, err := OpenLocal(filepath.Join(t.TempDir(), "store"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func begin(t testing.TB, l *Local, id, format string) Pending {
	t.Helper()
	p, err := l.Create(t.Context(), id, format, 0)
	fatal(t, err)
	_, err = p.File().WriteString("tarball")
	fatal(t, err)
	return p
}

func put(t testing.TB, l *Local, id, format string) {
	t.Helper()
	fatal(t, begin(t, l, id, format).Commit(t.Context(), []byte("sidecar"), func(context.Context) error { return nil }))
}

// tree names all files below the store.
func tree(t testing.TB, l *Local) (names []string) {
	t.Helper()
	fatal(t, filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(l.dir, path)
			names = append(names, rel)
		}
		return err
	}))
	return names
}

func listed(ids ...string) Known {
	return func(_ context.Context, id string) (bool, error) { return slices.Contains(ids, id), nil }
}

func TestNamesAndModes(t *testing.T) {
	l := openLocal(t)
	put(t, l, id, TarZst)
	want := []string{"a.example/" + id + ".manifest.json", "a.example/" + id + ".tar.zst"}
	if got := tree(t, l); !slices.Equal(got, want) {
		t.Fatalf("files %v", got)
	}
	fatal(t, filepath.WalkDir(l.dir, func(path string, d fs.DirEntry, err error) error {
		fatal(t, err)
		info, err := d.Info()
		fatal(t, err)
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	}))
	info, err := os.Stat(filepath.Join(l.dir, want[1]))
	fatal(t, err)
	if links := info.Sys().(*syscall.Stat_t).Nlink; links != 1 {
		t.Errorf("the tarball has %d names: removing one would not give its room back", links)
	}
}

func TestAWideDirectoryIsNarrowed(t *testing.T) {
	dir := t.TempDir()
	fatal(t, os.Chmod(dir, 0o755))
	_, err := OpenLocal(dir, Options{})
	fatal(t, err)
	info, err := os.Stat(dir)
	fatal(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Fatalf("%o", info.Mode().Perm())
	}
}

// TestCommitSyncsInOrder watches what is brought to stable storage, and when:
// the bytes, the sidecar, their names, and only then the record.
func TestCommitSyncsInOrder(t *testing.T) {
	l := openLocal(t)
	p := begin(t, l, id, TarZst)
	var order []string
	l.sync = func(f *os.File) error {
		order = append(order, filepath.Base(f.Name()))
		return f.Sync()
	}
	l.reached = func(point string) {
		if strings.HasSuffix(point, "in place") {
			order = append(order, point)
		}
	}
	fatal(t, p.Commit(t.Context(), nil, func(context.Context) error {
		order = append(order, "record")
		return nil
	}))
	want := []string{id + ".tar.zst.partial", id + ".manifest.json.partial", "sidecar in place", "tarball in place", "a.example", "record", "a.example"}
	if !slices.Equal(order, want) {
		t.Fatalf("order %q\n want %q", order, want)
	}
}

func TestDeleteSyncsTheMarkFirst(t *testing.T) {
	l := openLocal(t)
	put(t, l, id, TarZst)
	var order []string
	l.sync = func(f *os.File) error {
		order = append(order, filepath.Base(f.Name()))
		return f.Sync()
	}
	fatal(t, l.Delete(t.Context(), id, func(context.Context) error {
		order = append(order, "forget")
		return nil
	}))
	if want := []string{"a.example", "forget", "a.example"}; !slices.Equal(order, want) {
		t.Fatalf("order %q", order)
	}
}

// TestEveryFailedSyncFailsTheCommit lets each sync fail in turn: before the
// record that is the end of the backup, after it it is not.
func TestEveryFailedSyncFailsTheCommit(t *testing.T) {
	for bad := range 4 {
		l := openLocal(t)
		p := begin(t, l, id, TarZst)
		_, err := p.Spool("dump")
		fatal(t, err)
		n, recorded := 0, false
		l.sync = func(f *os.File) error {
			if n++; n == bad+1 {
				return syscall.EIO
			}
			return f.Sync()
		}
		err = p.Commit(t.Context(), []byte("sidecar"), func(context.Context) error { recorded = true; return nil })
		switch files := tree(t, l); {
		case bad == 3 && (err != nil || !recorded || len(files) != 2):
			t.Fatalf("a listed backup was failed: %v, %v", err, files)
		case bad < 3 && (!errors.Is(err, syscall.EIO) || recorded || len(files) != 0):
			t.Fatalf("sync %d: error %v, recorded %v, left %v", bad, err, recorded, files)
		}
	}
}

func TestCommitReplacesNothing(t *testing.T) {
	for _, name := range []string{".tar.zst", ".manifest.json"} {
		l := openLocal(t)
		p := begin(t, l, id, TarZst)
		other := filepath.Join(l.dir, "a.example", id+name)
		fatal(t, os.WriteFile(other, []byte("precious"), 0o600))
		err := p.Commit(t.Context(), []byte("sidecar"), func(context.Context) error { t.Error("recorded"); return nil })
		if !errs.Is(err, errs.Exists) {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(other); err != nil || string(got) != "precious" {
			t.Fatalf("%s is %q now (%v)", name, got, err)
		}
		if files := tree(t, l); len(files) != 1 {
			t.Fatalf("left %v", files)
		}
	}
}

func TestWriteErrors(t *testing.T) {
	for errno, kind := range map[error]errs.Kind{syscall.ENOSPC: errs.NoSpace, syscall.EDQUOT: errs.NoSpace, syscall.EROFS: errs.Precondition, syscall.EIO: errs.Failed} {
		err := WriteError("it", &fs.PathError{Op: "write", Path: "x", Err: errno})
		if !errs.Is(err, kind) || !errors.Is(err, errno) || (kind != errs.Failed) != (errs.HintOf(err) != "") {
			t.Errorf("%v becomes %v, hint %q", errno, err, errs.HintOf(err))
		}
	}
	if WriteError("it", nil) != nil {
		t.Error("nil is an error")
	}
}

func TestReserve(t *testing.T) {
	dir := t.TempDir()
	l, err := OpenLocal(dir, Options{})
	fatal(t, err)
	free, err := l.Free(t.Context())
	fatal(t, err)
	l, err = OpenLocal(dir, Options{Reserve: free.Bytes / 2})
	fatal(t, err)
	if _, err := l.Create(t.Context(), id, TarZst, free.Bytes/10*7); !errs.Is(err, errs.NoSpace) {
		t.Fatal(err)
	}
	p, err := l.Create(t.Context(), id, TarZst, free.Bytes/10)
	fatal(t, err)
	fatal(t, p.Abort())
}

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	lock, err := LockDir(dir)
	fatal(t, err)
	_, err = LockDir(dir)
	if !errs.Is(err, errs.Precondition) || !strings.Contains(err.Error(), "process ") || errs.HintOf(err) == "" {
		t.Fatalf("%v, hint %q", err, errs.HintOf(err))
	}
	fatal(t, lock.Release())
	lock, err = LockDir(dir)
	fatal(t, err)
	fatal(t, lock.Release())
}

func TestParseName(t *testing.T) {
	for name, want := range map[string]what{
		id + ".tar.zst": isTarball, id + ".tar.gz": isTarball, id + "_2.tar.gz": isTarball,
		id + ".tar.zst.partial": isMade, id + ".tar.gz.deleted": isGoing,
		id + ".manifest.json": isSidecar, id + ".manifest.json.partial": isScratch, id + ".dump.spool": isScratch,
		id + ".tar": isForeign, id: isForeign, id + ".spool": isForeign, "b.example-20261123.001336.tar.zst": isForeign,
		"notes.txt": isForeign, ".spool": isForeign, ".partial": isForeign, "": isForeign, "a.example.tar.zst": isForeign,
	} {
		if got := parseName("a.example", name); got.what != want {
			t.Errorf("%q is %d, want %d", name, got.what, want)
		}
	}
}
