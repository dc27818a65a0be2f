//go:build integration

package e2e_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDrill restores the last good backup beside a live site, with the master killed in the middle once, and finds a
// backup that cannot be restored. Each time the servers are what they were.
func TestDrill(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.refused(3, []string{"no such backup"}, "drill", siteName)
	id := s.backup()
	s.change(1) // nothing of it may help the drill
	before, inventory := s.fingerprint(), s.inventory()
	untouched := func() {
		t.Helper()
		s.isNow(before)
		if d := inventory.Diff(s.inventory()); d != "" {
			t.Errorf("a drill left something, or took it:\n%s", d)
		}
	}
	if out := s.ok("drill", siteName); !strings.Contains(out, id) {
		t.Errorf("the drill said %q", out)
	}
	untouched()
	if shown := s.ok("site", "show", siteName); !strings.Contains(shown, "passed with "+id) {
		t.Error(shown)
	}
	log := s.ok("task", "log", read[[]taskInfo](s, "task", "list", siteName)[0].ID)
	if !strings.Contains(log, "have the sums that were recorded") || strings.Contains(log, "the rows of 0 tables") {
		t.Errorf("no sums were compared:\n%s", log)
	}

	cut := s.ok("drill", siteName, "--detach")
	eventually(t, "the scratch database", func() error {
		if d := inventory.Added(s.inventory()); len(d) == 0 && !s.task(cut).final() {
			return fmt.Errorf("the drill has made nothing yet")
		}
		return nil
	})
	s.must(s.master.Kill())
	s.must(s.master.Start(t.Context()))
	s.ended(cut)
	untouched()

	path := s.tarball(id)
	whole, err := os.ReadFile(path)
	s.must(err)
	broken := slices.Clone(whole)
	for i := 2000; i < 2040; i++ {
		broken[i] ^= 0xff
	}
	s.must(os.WriteFile(path, broken, 0o600))
	s.refused(1, []string{id}, "drill", siteName)
	untouched()
	if shown := s.ok("site", "show", siteName); !strings.Contains(shown, "FAILED with "+id) {
		t.Error(shown)
	}
}
