//go:build integration

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestRestoreThatCannotBe brings back, by itself, the site as it was when what
// was restored does not work.
func TestRestoreThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.must(s.fragile())
	id := s.backup()
	s.must(os.Remove(s.plugin()))
	s.change(1)
	before, inventory := s.fingerprint(), s.inventory()

	s.must(os.WriteFile(s.trigger(), nil, 0o644))
	s.undone(id, before, inventory, "500")
	s.must(os.Remove(s.trigger()))

	s.brokenConfiguration(id, before)

	s.onWeb.Config.Allow.Roots = []string{"/srv/elsewhere"}
	s.allow()
	s.refused(7, []string{s.site.Root}, "restore", siteName, id, "--yes", "--grace", "0s")
	s.isNow(before)
	s.nothingLeft(inventory, s.site.Database)
	s.onWeb.Config.Allow.Roots = []string{s.web.Root}
	s.allow()

	s.done("restore", siteName, id, "--yes", "--grace", "0s")
	s.must(s.site.CheckPages(t.Context()))
}

// brokenConfiguration has somebody else break the web server's configuration
// while the restore runs: the vhost cannot be served, and the undo must do with
// a web server that takes no configuration at all.
func (s *stage) brokenConfiguration(id string, before *bed.Fingerprint) {
	s.t.Helper()
	inventory, broken := s.inventory(), filepath.Join(s.web.OwnVhosts, "zz-broken.conf")
	task := s.ok("restore", siteName, id, "--yes", "--grace", "0s", "--detach")
	s.awaitLine(task, "write_settings: done")
	s.must(os.WriteFile(broken, []byte("no_such_directive on;\n"), 0o644))
	end := s.ended(task)
	s.must(os.Remove(broken))
	if end.State != "failed" || !strings.Contains(end.Error, "no_such_directive") || end.Hint == "" {
		s.t.Errorf("a restore that could not serve its vhost: %+v", end)
	}
	s.isNow(before)
	s.nothingLeft(inventory, s.site.Database)
}

func (s *stage) allow() {
	s.t.Helper()
	s.must(s.onWeb.WriteConfig())
	s.restart(s.onWeb.Process)
}

// undone is a restore that fails, leaves the site as it was, and says why.
func (s *stage) undone(id string, before *bed.Fingerprint, inventory *bed.Inventory, word string) {
	s.t.Helper()
	backups := len(s.backups())
	s.refused(1, []string{word, "as it was"}, "restore", siteName, id, "--yes", "--grace", "0s")
	s.isNow(before)
	s.nothingLeft(inventory, s.site.Database)
	if got := len(s.backups()); got != backups+1 {
		s.t.Errorf("%d backups are listed, want the safety backup beside the %d before", got, backups)
	}
	s.storeIsListed()
}

// fragile gives the site a plugin with which it answers 500 as long as a file
// outside of it is there.
func (s *stage) fragile() error {
	if err := os.MkdirAll(filepath.Dir(s.plugin()), 0o755); err != nil {
		return err
	}
	text := "<?php\nif (file_exists('" + s.trigger() + "')) { http_response_code(500); exit('out of order'); }\n"
	return os.WriteFile(s.plugin(), []byte(text), 0o644)
}

func (s *stage) plugin() string {
	return filepath.Join(s.site.Root, "wp-content", "mu-plugins", "fragile.php")
}

func (s *stage) trigger() string { return filepath.Join(s.web.Dir, "trigger") }
