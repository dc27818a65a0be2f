package webserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestIncludeOfAnExternalVhost(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		path := filepath.Join(b.dir, "example.com.inc")
		for range 2 {
			r, err := b.BeginExternalMaintenance(t.Context(), "example.com", "o", time.Minute)
			if err != nil || r.Ensured || !strings.Contains(r.Reason, b.IncludeLine("example.com")) {
				t.Fatalf("%+v, %v", r, err)
			}
		}
		if ran := b.runner.take(); len(ran) > 0 {
			t.Errorf("nobody includes it yet, and %v was run", ran)
		}
		if err := os.WriteFile(path, []byte("what it was before an upgrade"), 0o644); err != nil {
			t.Fatal(err)
		}
		b.runner.fail = func(command string) error {
			if command == "test" {
				return errors.New("exit status 1")
			}
			return nil
		}
		r, err := b.BeginExternalMaintenance(t.Context(), "example.com", "o", time.Minute)
		if err != nil || r.Ensured || !strings.Contains(r.Reason, "cannot be written") {
			t.Errorf("%+v, %v", r, err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "what it was before an upgrade" {
			t.Errorf("what did not pass its test is left: %q, %v", text, err)
		}
	})
}
