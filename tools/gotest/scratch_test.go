package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAvailable(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal:  2000 kB\nMemFree: 1000 kB\nMemAvailable:    1500 kB\n": 1500 << 10,
		"MemTotal: 2000 kB\n":  0,
		"MemAvailable: x kB\n": 0,
		"MemAvailable: 1500\n": 0,
		"":                     0,
	} {
		if got := available(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestADiskDoesNotFit(t *testing.T) {
	for _, path := range []string{"/proc", filepath.Join(t.TempDir(), "missing")} {
		if fits(path) {
			t.Errorf("%s fits", path)
		}
	}
}

func TestTheUsersTMPDIRStays(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	must(t, runIn(func(env []string) error {
		if !slices.Equal(env, os.Environ()) {
			t.Error("go test gets another environment")
		}
		return nil
	}, io.Discard))
}

// TestTheScratchEndsWithTheTests holds on machines with much memory and with little.
func TestTheScratchEndsWithTheTests(t *testing.T) {
	t.Setenv("TMPDIR", "")
	failed := errors.New("a test has failed")
	var dir string
	err := runIn(func(env []string) error {
		last := env[len(env)-1]
		if dir, _ = strings.CutPrefix(last, "TMPDIR="+memory); dir == last {
			dir = "" // not in memory
			return failed
		}
		dir = memory + dir
		if stat, err := os.Stat(dir); err != nil || stat.Mode() != fs.ModeDir|fs.ModeSticky|0o777 {
			t.Errorf("%s: %v, %v", dir, stat, err)
		}
		must(t, os.WriteFile(filepath.Join(dir, "left"), nil, 0o600))
		return failed
	}, io.Discard)
	if !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(dir); dir != "" && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", dir, err)
	}
	if dir == "" && os.Geteuid() == 0 && fits(memory) && hasAttributes(memory) {
		t.Error("memory would do, and is not used")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
