package sitekind

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var long = time.Unix(1_600_000_000, 123456789)

// twoRoots opens a tree, with a directory changed long ago, and a place for notes.
func twoRoots(t *testing.T, dir string) (root, notes *os.Root) {
	t.Helper()
	site := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(site, dir), 0o755), os.Chtimes(filepath.Join(site, dir), long, long)); err != nil {
		t.Fatal(err)
	}
	open := func(name string) *os.Root {
		r, err := os.OpenRoot(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		return r
	}
	return open(site), open(t.TempDir())
}

func checkTime(t *testing.T, root, notes *os.Root, dir string) {
	t.Helper()
	if info, err := root.Stat(dir); err != nil || !info.ModTime().Equal(long) {
		t.Errorf("the directory changed: %v, %v", info.ModTime(), err)
	}
	if _, err := notes.Lstat(timeNote); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the note is left over: %v", err)
	}
}

// dies runs a change that does not come back, before or after its file is there.
func dies(root, notes *os.Root, dir string, after bool) {
	defer func() { _ = recover() }()
	_ = KeepTime(root, notes, dir, func() error {
		if after {
			_ = root.WriteFile(filepath.Join(dir, "new"), nil, 0o600)
		}
		panic("killed")
	})
}

func TestKeepTime(t *testing.T) {
	root, notes := twoRoots(t, "a/b")
	for _, want := range []error{nil, errors.New("full")} {
		err := KeepTime(root, notes, "a/b", func() error { return errors.Join(root.WriteFile("a/b/f", nil, 0o600), want) })
		if !errors.Is(err, want) {
			t.Errorf("error = %v, want %v", err, want)
		}
		checkTime(t, root, notes, "a/b")
	}
	if err := KeepTime(root, nil, "a/b", func() error { return root.Remove("a/b/f") }); err != nil {
		t.Error(err)
	}
	checkTime(t, root, notes, "a/b")
}

// TestTimeOfADirectorySurvivesACrash: the next call brings it back, whether it comes to change the same, or another directory.
func TestTimeOfADirectorySurvivesACrash(t *testing.T) {
	for _, dir := range []string{".", "sites/x\xff"} {
		for _, after := range []bool{false, true} {
			for name, next := range map[string]func(root, notes *os.Root) error{
				"settled": SettleTime,
				"again": func(root, notes *os.Root) error {
					return KeepTime(root, notes, dir, func() error { return root.WriteFile(filepath.Join(dir, "new"), nil, 0o600) })
				},
				"another": func(root, notes *os.Root) error {
					return errors.Join(root.Mkdir("other", 0o755), KeepTime(root, notes, "other", func() error { return nil }),
						root.Chtimes(".", long, long))
				},
			} {
				root, notes := twoRoots(t, dir)
				dies(root, notes, dir, after)
				if _, err := notes.Lstat(timeNote); err != nil {
					t.Fatalf("nothing was noted: %v", err)
				}
				if err := next(root, notes); err != nil {
					t.Errorf("%q %s: %v", dir, name, err)
				}
				checkTime(t, root, notes, dir)
			}
		}
	}
}

func TestNotesThatSayNothing(t *testing.T) {
	root, notes := twoRoots(t, "d")
	for _, text := range []string{"", `{"directory":"Z29u`, `{"directory":"Z29uZQ==","nanoseconds":5}`} { // torn, torn, of a directory that is gone
		if err := notes.WriteFile(timeNote, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := SettleTime(root, notes); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		checkTime(t, root, notes, "d")
	}
	if err := SettleTime(root, nil); err != nil {
		t.Error(err)
	}
}
