//go:build integration

package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// hook writes a program that runs at an event.
func (s *stage) hook(event, name, script string) {
	s.t.Helper()
	dir := filepath.Join(s.onWeb.Config.Hooks.Directory, event)
	s.must(os.MkdirAll(dir, 0o755))
	s.must(os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
}

// hooked has the web server's agent run hooks.
func (s *stage) hooked() {
	s.t.Helper()
	dir, err := os.MkdirTemp("", "hooks-") // where a site's owner may enter
	s.must(err)
	s.t.Cleanup(func() { os.RemoveAll(dir) })
	s.must(os.Chmod(dir, 0o755))
	s.onWeb.Config.Hooks = &bed.AgentHooks{Directory: dir, Timeout: "1m"}
	s.must(s.onWeb.WriteConfig())
	s.restart(s.onWeb.Process)
}

// TestHooks has programs run around a backup and a restore of a WordPress, as
// its owner; one that fails before a task keeps it from beginning, one that
// fails after it is a warning.
func TestHooks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.hooked()
	s.must(os.Chown(s.site.Root, 65534, 65534))
	s.hook("before-backup", "stop", `[ ! -e index.php ] || { echo "not now" >&2; exit 3; }`)
	s.refused(1, []string{"before-backup/stop: exit status 3"}, "backup", siteName)
	if n := len(s.backups()); n != 0 {
		t.Errorf("%d backups were made", n)
	}
	s.hook("before-backup", "stop", "exit 0")
	id := s.backup()
	before := s.fingerprint()

	s.must(s.site.Wreck(t.Context()))
	s.hook("after-restore", "10-tell", `echo "$(id -u) $SITEKEEP_SITE $SITEKEEP_KIND $SITEKEEP_BACKUP $SITEKEEP_OUTCOME"; ls index.php`)
	s.hook("after-restore", "30-fail", "exit 4")
	ready := bed.Must(os.ReadFile("../../deploy/hooks/wordpress"))(t)
	s.must(os.WriteFile(filepath.Join(s.onWeb.Config.Hooks.Directory, "after-restore", "20-wordpress"), ready, 0o755))
	if r := s.CLI(s.master, "restore", siteName, id, "--yes"); r.Code != 6 {
		t.Fatalf("a hook after it failed: %s", r)
	}
	s.settle()
	s.isNow(before)
	log := s.ok("task", "log", s.lastTask("restore").ID)
	for _, line := range []string{
		"after-restore/10-tell on web1: 65534 " + siteName + " wordpress " + id + " succeeded", "10-tell on web1: index.php",
		"20-wordpress on web1: nothing to do: wp-cli is not installed", "after-restore/30-fail: exit status 4",
	} {
		if !strings.Contains(log, line) {
			t.Errorf("the log lacks %q:\n%s", line, log)
		}
	}
}

// lastTask is the newest of a kind.
func (s *stage) lastTask(kind string) taskInfo {
	s.t.Helper()
	all := read[[]taskInfo](s, "task", "list", siteName)
	i := slices.IndexFunc(all, func(t taskInfo) bool { return t.Kind == kind })
	if i < 0 {
		s.t.Fatalf("no task of kind %s", kind)
	}
	return all[i]
}
