//go:build integration

package e2e_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestRestoreOfAPart restores the files alone, which go on with the live
// database, and the database alone, which the live files go on with; each is
// taken back too, byte for byte.
func TestRestoreOfAPart(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tree := bed.Must(s.site.Tree())(t)
	id := s.backup()
	s.change(1)
	changed := s.fingerprint()
	inventory, database := s.inventory(), s.site.Database
	config := bed.Must(os.ReadFile(s.site.ConfigPath()))(t)

	for _, part := range []string{"--files-only", "--db-only"} {
		s.ok("restore", siteName, id, part, "--dry-run")
		s.done("restore", siteName, id, part, "--yes")
		s.done("restore", "--undo", siteName)
		s.isNow(changed)
		s.nothingLeft(inventory, database)
		if got := bed.Must(os.ReadFile(s.site.ConfigPath()))(t); string(got) != string(config) {
			t.Errorf("%s: the settings file is not what it was", part)
		}
	}

	s.done("restore", siteName, id, "--files-only", "--yes", "--grace", "0s")
	if d := tree.Diff(bed.Must(s.site.Tree())(t)); d != "" {
		t.Errorf("the files are not the backup's:\n%s", d)
	}
	if now := bed.Must(s.site.ReadConfig())(t); now["DB_NAME"] != database || strings.Join(s.inventory().Databases, " ") != strings.Join(inventory.Databases, " ") {
		t.Errorf("the database was touched: %v, %v", now["DB_NAME"], s.inventory().Databases)
	}

	s.done("restore", siteName, id, "--db-only", "--yes", "--grace", "0s")
	if now := bed.Must(s.site.ReadConfig())(t); now["DB_NAME"] == database {
		t.Errorf("the site still uses %s", database)
	}
	s.nothingLeft(inventory, database)
	s.must(s.site.CheckPages(t.Context()))

	s.must(s.site.BreakConfig())
	s.refused(1, []string{"live settings cannot be read", "together"}, "restore", siteName, id, "--files-only", "--yes")
	s.refused(1, []string{"live settings cannot be read", "together"}, "restore", siteName, id, "--db-only", "--yes")
	s.done("restore", siteName, id, "--yes", "--grace", "0s")
	s.must(s.site.CheckPages(t.Context()))
}
