//go:build integration

package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

const safetyDescription = "Generated before being restored to a previous version"

// TestWreckAndRestore does to a site what its owner fears, and brings it back
// with everything that was replaced gone at once.
func TestWreckAndRestore(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	before, inventory, database := s.fingerprint(), s.inventory(), s.site.Database
	id := s.backup("-m", "before the spring clean")
	s.must(s.site.Wreck(t.Context()))
	plan := s.inventory()
	s.ok("restore", siteName, id, "--dry-run")
	if d := plan.Diff(s.inventory()); d != "" {
		t.Errorf("--dry-run changed something:\n%s", d)
	}
	s.done("restore", siteName, id, "--yes", "--grace", "0s")
	s.isNow(before)
	s.nothingLeft(inventory, database)
	if now := bed.Must(s.site.ReadConfig())(t)["DB_NAME"]; now == database {
		t.Errorf("the restored site still uses %s", database)
	}
	s.refused(1, []string{"no restore of " + siteName}, "restore", "--undo", siteName)
	s.safetyIsListed(1)
	s.storeIsListed()
}

// safetyIsListed wants so many safety backups, none pinned any more.
func (s *stage) safetyIsListed(want int) {
	s.t.Helper()
	n := 0
	for _, b := range s.backups() {
		if b.Description == safetyDescription {
			n++
			if b.Pinned {
				s.t.Errorf("safety backup %s is pinned though the restore was confirmed", b.ID)
			}
		}
	}
	if n != want {
		s.t.Errorf("%d safety backups are listed, want %d", n, want)
	}
}

// TestUndo brings back, within the grace time, exactly what a restore
// replaced: first a wrecked site, then one that was in use.
func TestUndo(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	good, inventory, database := s.fingerprint(), s.inventory(), s.site.Database
	id := s.backup()
	s.change(1)
	changed := s.fingerprint()

	s.done("restore", siteName, id, "--yes")
	s.isNow(good)
	s.keptForUndo(inventory, database)
	s.done("restore", "--undo", siteName)
	s.isNow(changed)
	s.nothingLeft(inventory, database)
	s.refused(1, nil, "restore", "--undo", siteName)

	s.must(s.site.Wreck(t.Context()))
	wrecked := bed.Must(s.site.Tree())(t)
	tables := bed.Must(s.db.Tables(t.Context(), database))(t)
	s.done("restore", siteName, id, "--yes")
	s.isNow(good)
	s.done("restore", "--undo", siteName)
	if d := wrecked.Diff(bed.Must(s.site.Tree())(t)); d != "" {
		t.Errorf("the undone tree is not the wrecked one:\n%s", d)
	}
	if d := tables.Diff(bed.Must(s.db.Tables(t.Context(), database))(t)); d != "" {
		t.Errorf("the undone database is not the wrecked one:\n%s", d)
	}

	s.done("restore", siteName, id, "--yes", "--grace", "0s")
	s.isNow(good)
	s.nothingLeft(inventory, database)
}

// keptForUndo wants the old database, its user and the old directory.
func (s *stage) keptForUndo(before *bed.Inventory, database string) {
	s.t.Helper()
	now := s.inventory()
	if removed := before.Removed(now); len(removed) > 0 {
		s.t.Errorf("gone within the grace time: %q", removed)
	}
	staging := 0
	for _, added := range before.Added(now) {
		if strings.HasPrefix(added, "directories: ") {
			staging++
		}
	}
	if staging != 1 {
		s.t.Errorf("%d old directories are kept, want 1: %q", staging, before.Added(now))
	}
}

// TestGraceRunsOut has what a restore replaced go by itself, though the master
// was away when its time came.
func TestGraceRunsOut(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	before, inventory, database := s.fingerprint(), s.inventory(), s.site.Database
	id := s.backup()
	s.change(1)
	s.done("restore", siteName, id, "--yes", "--grace", "2s")
	s.must(s.master.Kill())
	time.Sleep(2 * time.Second)
	s.must(s.master.Start(t.Context()))
	eventually(t, "the end of the grace time", func() error { return s.gone(database) })
	s.isNow(before)
	s.nothingLeft(inventory, database)
	s.refused(1, []string{"grace time is over"}, "restore", "--undo", siteName)
	s.safetyIsListed(1)

	s.change(2)
	s.settle()
	database, inventory = s.site.Database, s.inventory()
	s.done("restore", siteName, id, "--yes", "--grace", "1s")
	eventually(t, "the end of the grace time", func() error { return s.gone(database) })
	s.isNow(before)
	s.nothingLeft(inventory, database)
}

// gone is an error as long as a database is there or a finish task runs.
func (s *stage) gone(database string) error {
	for _, d := range s.inventory().Databases {
		if d == "db1 "+database {
			return errStill("database " + database)
		}
	}
	for _, task := range read[[]taskInfo](s, "task", "list", siteName) {
		if !task.final() {
			return errStill("task " + task.Kind)
		}
	}
	return nil
}

type errStill string

func (e errStill) Error() string { return string(e) + " is still there" }
