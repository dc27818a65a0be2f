package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// A file that appears under the name while the download runs is not replaced either.
func TestPublishNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, force := range []bool{false, true} {
		temporary, err := os.CreateTemp(dir, "partial")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := temporary.WriteString("new"); err != nil {
			t.Fatal(err)
		}
		err = publish(temporary, target, force)
		content, readErr := os.ReadFile(target)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if want := map[bool]string{false: "precious", true: "new"}[force]; string(content) != want || errs.Is(err, errs.Exists) == force {
			t.Errorf("force %v: %q, %v", force, content, err)
		}
		if err := discard(temporary); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%d files are left (%v)", len(left), err)
	}
}
