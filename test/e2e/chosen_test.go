//go:build integration

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestRestoreOfChosenParts restores single paths and single tables of a real
// site, together and alone, takes them back, and holds everything else against
// what it was.
func TestRestoreOfChosenParts(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	uploads := filepath.Join(s.site.Root, "wp-content", "uploads")
	s.must(os.MkdirAll(filepath.Join(uploads, "x", "deep"), 0o755))
	s.must(os.WriteFile(filepath.Join(uploads, "x", "deep", "caf\xe9"), []byte("latin1"), 0o640))
	s.must(os.WriteFile(filepath.Join(uploads, "x", "kept.txt"), []byte("as it was"), 0o644))
	s.must(s.db.Exec(t.Context(), fmt.Sprintf("CREATE TRIGGER %s.chosen BEFORE INSERT ON %s.wp_posts FOR EACH ROW SET @chosen = NEW.ID",
		bed.Ident(s.site.Database), bed.Ident(s.site.Database))))
	good, goodTables := bed.Must(s.site.Tree())(t), bed.Must(s.db.Tables(t.Context(), s.site.Database))(t)
	id := s.backup()

	s.change(1)
	s.must(s.db.Exec(t.Context(), fmt.Sprintf("UPDATE %s.wp_options SET option_value = 'Changed' WHERE option_name = 'blogdescription'", bed.Ident(s.site.Database)),
		fmt.Sprintf("DROP TRIGGER %s.chosen", bed.Ident(s.site.Database))))
	s.must(os.RemoveAll(filepath.Join(uploads, "x", "deep")))
	s.must(os.WriteFile(filepath.Join(uploads, "x", "extra.php"), []byte("<?php // smuggled"), 0o644))
	s.must(os.WriteFile(filepath.Join(uploads, "x", "kept.txt"), []byte("overwritten"), 0o644))
	changed, inventory, database := s.fingerprint(), s.inventory(), s.site.Database
	config := bed.Must(os.ReadFile(s.site.ConfigPath()))(t)

	chosen := []string{"restore", siteName, id, "--path", "wp-content/uploads/x", "--path", "wp-config.php", "--table", "wp_post*"}
	plan := s.ok(append(chosen, "--dry-run")...)
	for _, want := range []string{"exchange_tables", "exchange_paths", "carry_settings", "wp_posts", "wp-content/uploads/x", "not in the backup goes"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan does not say %q:\n%s", want, plan)
		}
	}
	s.isNow(changed)
	s.refused(3, []string{"nothing in backup", "nowhere"}, "restore", siteName, id, "--path", "nowhere", "--path", "wp-content", "--yes")
	s.refused(3, []string{"no table", "nothing"}, "restore", siteName, id, "--table", "nothing", "--yes")
	s.isNow(changed)

	s.done(append(chosen, "--yes")...)
	s.chosenAreBack(good, goodTables, changed, database)
	if got := bed.Must(os.ReadFile(s.site.ConfigPath()))(t); string(got) != string(config) {
		t.Error("the settings file has other credentials than before")
	}
	s.must(s.site.CheckPages(t.Context()))
	s.done("restore", "--undo", siteName)
	s.isNow(changed)
	s.nothingLeft(inventory, database)

	s.done(append(chosen, "--yes", "--grace", "0s")...)
	s.chosenAreBack(good, goodTables, changed, database)
	s.nothingLeft(inventory, database)
}

// chosenAreBack wants the chosen paths and tables as they were in the backup, and all others as they were changed.
func (s *stage) chosenAreBack(good, goodTables bed.Print, changed *bed.Fingerprint, database string) {
	s.t.Helper()
	tree, tables := bed.Must(s.site.Tree())(s.t), bed.Must(s.db.Tables(s.t.Context(), database))(s.t)
	inX := func(line string) bool { return strings.Contains(line, "wp-content/uploads/x") }
	posts := func(line string) bool { return strings.Contains(line, "wp_post") || strings.Contains(line, "trigger") }
	s.same("the chosen paths", lines(good, inX, true), lines(tree, inX, true))
	s.same("the other paths", lines(changed.Tree, inX, false), lines(tree, inX, false))
	s.same("the chosen tables", lines(goodTables, posts, true), lines(tables, posts, true))
	s.same("the other tables", lines(changed.Tables, posts, false), lines(tables, posts, false))
}

// lines are those for which match says want.
func lines(p bed.Print, match func(string) bool, want bool) bed.Print {
	return slices.DeleteFunc(slices.Clone(p), func(line string) bool { return match(line) != want })
}

func (s *stage) same(what string, want, got bed.Print) {
	s.t.Helper()
	if len(want) == 0 {
		s.t.Errorf("%s: there are none", what)
	}
	if d := want.Diff(got); d != "" {
		s.t.Errorf("%s are not what they should be:\n%s", what, d)
	}
}
