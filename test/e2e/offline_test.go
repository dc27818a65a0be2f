//go:build integration

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestOfflineAndBlanked takes a site offline, and lets everything happen to it that could let visitors in again: a reload,
// a verification, a restore, a move to another server. Its backups are without its password, and bring it back all the
// same.
func TestOfflineAndBlanked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	web := s.Web("web2")
	s.Agent(s.master, "web2", bed.AgentOptions{Web: web})
	far := &bed.WordPress{Name: siteName, Web: web, DB: s.db, Root: filepath.Join(web.Root, siteName)}

	plain := s.backup()
	s.ok("site", "set", siteName, "--blank-credentials")
	s.blankedBackups(plain)

	s.ok("site", "disable", siteName)
	s.closed()
	if list := s.ok("site", "list"); !strings.Contains(list, "disabled") {
		t.Errorf("the list does not show it:\n%s", list)
	}
	s.must(s.web.Reload(t.Context()))
	s.closed()
	id := s.backup()
	s.ok("site", "verify", siteName)
	s.must(s.site.Wreck(t.Context()))
	s.done("restore", siteName, id, "--yes", "--grace", "0s")
	s.closed()

	before := s.inventory()
	plan := s.ok("migrate", siteName, "--web", "web2", "--root", far.Root, "--dry-run")
	for _, want := range []string{"send_ahead", "final_backup", "expected downtime", "database"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan lacks %q:\n%s", want, plan)
		}
	}
	s.leftNothing(before)
	s.done("migrate", siteName, "--yes", "--web", "web2", "--root", far.Root, "--grace", "0s")
	s.sentLittle()
	if page := bed.Must(web.Get(t.Context(), siteName, "/"))(t); page.Status != 503 {
		t.Errorf("at its new place a disabled site answers %d", page.Status)
	}
	s.ok("site", "enable", siteName)
	s.must(far.CheckPages(t.Context()))

	s.ok("site", "remove", siteName, "--yes")
	if last := s.backups()[0]; last.Description != "Pre-delete backup" {
		t.Errorf("the last backup is %+v", last)
	}
	s.refused(3, nil, "site", "show", siteName)
	s.must(far.CheckPages(t.Context()))
}

// blankedBackups makes a backup after a plain one, looks for the password in all of it, and restores it, whole and in part.
func (s *stage) blankedBackups(plain string) {
	s.t.Helper()
	config := filepath.Join(s.site.Root, "wp-config.php")
	live := bed.Must(os.ReadFile(config))(s.t)
	id := s.backup()
	if !s.inTarball(plain, s.site.Password) || s.inTarball(id, s.site.Password) {
		s.t.Error("the password is in the tarball, or was never in one")
	}
	if now := bed.Must(os.ReadFile(config))(s.t); string(now) != string(live) {
		s.t.Error("the live settings have changed")
	}
	if text := s.ok("cat", id, "wp-config.php"); !strings.Contains(text, "DB_NAME") || strings.Contains(text, s.site.Password) {
		s.t.Errorf("blanked settings:\n%s", text)
	}
	s.ok("check", id)
	if again := s.backups()[0]; again.NewBytes*5 > again.Size {
		s.t.Errorf("%d of %d bytes were sent, for one file", again.NewBytes, again.Size)
	}
	s.done("restore", siteName, id, "--yes", "--path", "wp-config.php", "--grace", "0s")
	s.must(s.site.CheckPages(s.t.Context()))
	s.must(s.site.Wreck(s.t.Context()))
	s.done("restore", siteName, id, "--yes", "--grace", "0s")
	s.settle()
	s.must(s.site.CheckPages(s.t.Context()))
}

// inTarball reports whether a text is anywhere in what a tarball holds, the dump too.
func (s *stage) inTarball(id, text string) bool {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), id+".tar.zst")
	s.ok("download", id, "-O", file)
	out, err := exec.CommandContext(s.t.Context(), "zstd", "-dcq", file).Output()
	s.must(err)
	return strings.Contains(string(out), text)
}

// takenFiles is what is said of files that came ahead.
var takenFiles = regexp.MustCompile(`web2: staged .*: (\d+) \([^)]*\) taken over`)

// sentLittle fails the test unless the second pass of a migration took most of what came ahead.
func (s *stage) sentLittle() {
	s.t.Helper()
	task := s.lastTask("migrate")
	log := s.ok("task", "log", task.ID)
	_, after, found := strings.Cut(log, "begin_maintenance: done")
	taken := takenFiles.FindStringSubmatch(after)
	if !found || taken == nil || !strings.Contains(after, "was in maintenance for") {
		s.t.Fatalf("log of the migration:\n%s", log)
	}
	last := read[struct {
		Downtime int64 `json:"downtime_ms"`
	}](s, "task", "show", task.ID)
	if n, err := strconv.Atoi(taken[1]); err != nil || n < 2000 || last.Downtime == 0 {
		s.t.Errorf("%d files were not sent again, and the site was down for %d ms:\n%s", n, last.Downtime, log)
	}
}
