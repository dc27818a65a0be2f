//go:build integration

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestMigrate moves a site to another web server, another database server and another directory: broken off, taken back
// with what was written meanwhile kept, and for good.
func TestMigrate(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	db, web := s.MariaDB("db2"), s.Web("web2")
	s.Agent(s.master, "web2", bed.AgentOptions{Web: web})
	s.Agent(s.master, "db2", bed.AgentOptions{DB: db})
	s.plant(s.site.Database, addresses(siteName, s.site.Root))
	far := &bed.WordPress{Name: siteName, Web: web, DB: db, Root: filepath.Join(web.Root, "elsewhere")}
	args := []string{"migrate", siteName, "--yes", "--web", "web2", "--db", "db2", "--root", far.Root}
	before, inventory, empty := s.fingerprint(), s.inventory(), s.vacancy(far)

	s.refused(2, []string{"is there already"}, "migrate", siteName, "--yes", "--db", "db1")
	s.refused(2, []string{"is on web1 already"}, "migrate", siteName, "--yes", "--db", "db2", "--root", far.Root)
	s.brokenOff(args, "import_dump: done", before, inventory)
	if d := empty.Diff(s.vacancy(far)); d != "" {
		t.Errorf("after a migration that was broken off there is at the new place:\n%s", d)
	}

	s.done(args...)
	s.servesAt(far)
	s.closed()
	s.must(db.Exec(t.Context(), fmt.Sprintf("UPDATE %s.wp_posts SET post_title = 'Written there' WHERE post_title = '%s'",
		bed.Ident(far.Database), bed.FirstPost)))
	s.done("restore", "--undo", siteName, "--yes")
	s.isNow(before)
	s.leftNothing(inventory)
	if d := empty.Diff(s.vacancy(far)); d != "" {
		t.Errorf("after the undo there is at the new place:\n%s", d)
	}
	if dump := s.ok("cat", s.backups()[0].ID, "database.sql"); !strings.Contains(dump, "Written there") {
		t.Error("what was written at the new place is not in the backup that the undo has made")
	}

	s.done(append(args, "--grace", "0s")...)
	s.servesAt(far)
	s.cleared()
	s.ok("backup", siteName)
}

// TestMigrateInPart moves a site to another database server and then to another web server, each by itself. The master is
// killed once the directory was exchanged.
func TestMigrateInPart(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	db, web := s.MariaDB("db2"), s.Web("web2")
	s.Agent(s.master, "web2", bed.AgentOptions{Web: web})
	s.Agent(s.master, "db2", bed.AgentOptions{DB: db})
	s.plant(s.site.Database, addresses(siteName, s.site.Root))
	near := &bed.WordPress{Name: siteName, Web: s.web, DB: db, Root: s.site.Root}
	args := []string{"migrate", siteName, "--yes", "--db", "db2"}
	before, inventory, empty := s.fingerprint(), s.inventory(), s.vacancy(&bed.WordPress{Web: web, DB: db})

	s.brokenOff(args, "exchange_trees: done", before, inventory)
	s.done(args...)
	s.servesAt(near)
	s.done("restore", "--undo", siteName, "--yes")
	s.isNow(before)
	s.leftNothing(inventory)
	if d := empty.Diff(s.vacancy(&bed.WordPress{Web: web, DB: db})); d != "" {
		t.Errorf("after the undo there is at the new place:\n%s", d)
	}

	s.done(append(args, "--grace", "0s")...)
	s.servesAt(near)
	if left := strings.Join(s.inventory().Databases, " "); strings.Contains(left, s.site.Database) {
		t.Errorf("on the old database server are: %s", left)
	}

	far := &bed.WordPress{Name: siteName, Web: web, DB: db, Root: filepath.Join(web.Root, "elsewhere")}
	s.done("migrate", siteName, "--yes", "--web", "web2", "--root", far.Root, "--grace", "0s")
	s.servesAt(far)
	s.cleared()
	if on := s.vacancy(far).Databases; len(on) != len(empty.Databases)+1 {
		t.Errorf("on the database server that has not changed are: %q", on)
	}
}

// vacancy is what lies on the servers that a site moves to.
func (s *stage) vacancy(far *bed.WordPress) *bed.Inventory {
	s.t.Helper()
	return bed.Must(bed.TakeInventory(s.t.Context(), []*bed.MariaDB{far.DB}, []*bed.Web{far.Web}))(s.t)
}

// brokenOff kills the master after a line of the log, and wants everything as it was when it is back.
func (s *stage) brokenOff(args []string, line string, before *bed.Fingerprint, inventory *bed.Inventory) {
	s.t.Helper()
	task := s.ok(append(args, "--detach")...)
	s.awaitLine(task, line)
	s.must(s.master.Kill())
	s.must(s.master.Start(s.t.Context()))
	if end := s.ended(task); end.good() {
		s.t.Fatalf("it was killed before its commit, and is %s", end.State)
	}
	s.isNow(before)
	s.leftNothing(inventory)
}

func (s *stage) leftNothing(inventory *bed.Inventory) {
	s.t.Helper()
	if d := inventory.Diff(s.inventory()); d != "" {
		s.t.Errorf("on the old servers something came or went:\n%s", d)
	}
}

// servesAt fails the test unless the site serves at its new place, with a database and a directory of there.
func (s *stage) servesAt(far *bed.WordPress) {
	s.t.Helper()
	c := bed.Must(far.ReadConfig())(s.t)
	far.Database, far.User, far.Password = c["DB_NAME"], c["DB_USER"], c["DB_PASSWORD"]
	s.must(far.CheckPages(s.t.Context()))
	for name, want := range addresses(siteName, far.Root) {
		var got string
		err := far.DB.Root().QueryRowContext(s.t.Context(), "SELECT option_value FROM "+bed.Ident(far.Database)+".wp_options WHERE option_name = ?", name).Scan(&got)
		if err != nil || got != want {
			s.t.Errorf("option %s (%v):\ngot  %q\nwant %q", name, err, got, want)
		}
	}
	if show := s.ok("site", "show", siteName); !strings.Contains(show, far.Root) || !strings.Contains(show, "db2") {
		s.t.Errorf("recorded is:\n%s", show)
	}
}

// closed fails the test unless the old place keeps visitors out.
func (s *stage) closed() {
	s.t.Helper()
	page := bed.Must(s.web.Get(s.t.Context(), siteName, "/"))(s.t)
	if page.Status != 503 {
		s.t.Errorf("the old place answers %d in place of 503", page.Status)
	}
}

// cleared fails the test unless nothing of the site is left at its old place.
func (s *stage) cleared() {
	s.t.Helper()
	if _, err := os.Lstat(s.site.Root); !os.IsNotExist(err) {
		s.t.Errorf("the old directory is there: %v", err)
	}
	left := fmt.Sprintf("%+v", *s.inventory())
	for _, what := range []string{s.site.Database, siteName} {
		if strings.Contains(left, what) {
			s.t.Errorf("on the old servers is %q still:\n%s", what, left)
		}
	}
}

// TestMigrateWithinACluster gives a site a second web server, and then another one in that one's place: what stays goes on
// serving, what was left does not.
func TestMigrateWithinACluster(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	s.onWeb, s.onDB = s.Agent(s.master, "web1", bed.AgentOptions{Web: s.web}), s.Agent(s.master, "db1", bed.AgentOptions{DB: s.db})
	s.addSite("web1", "db1")
	second, third := s.neighbour("web2"), s.neighbour("web3")
	inventory := s.inventory()

	s.done("migrate", siteName, "--yes", "--web", "web1,web2", "--grace", "0s")
	s.must(s.site.CheckPages(t.Context()))
	s.must(second.CheckPages(t.Context()))

	s.done("migrate", siteName, "--yes", "--web", "web1,web3")
	s.must(s.site.CheckPages(t.Context()))
	s.must(third.CheckPages(t.Context()))
	s.refusesAt(second)
	s.done("restore", "--undo", siteName, "--yes")
	s.must(second.CheckPages(t.Context()))
	s.refusesAt(third)

	s.done("migrate", siteName, "--yes", "--web", "web1,web3", "--grace", "0s")
	s.must(s.site.CheckPages(t.Context()))
	s.must(third.CheckPages(t.Context()))
	if left := bed.Must(os.ReadDir(filepath.Join(s.Dir(), "web2", "www")))(t); len(left) > 0 {
		t.Errorf("on the web server that was left lies %v", left)
	}
	if now := s.inventory(); len(now.Databases) != len(inventory.Databases) {
		t.Errorf("there are the databases %q, and were %q", now.Databases, inventory.Databases)
	}
	s.done("site", "verify", siteName)
}

// neighbour starts one more web server that has a directory of its own where the first one has its sites.
func (s *stage) neighbour(name string) *bed.WordPress {
	s.t.Helper()
	s.Shadow(name, s.web.Root, filepath.Join(s.Dir(), name, "www"))
	web := s.Web(name)
	agent := s.Agent(s.master, name, bed.AgentOptions{Web: web})
	agent.Config.Allow.Roots = []string{s.web.Root}
	s.must(agent.WriteConfig())
	s.must(agent.Stop())
	s.must(agent.Start(s.t.Context()))
	return &bed.WordPress{Name: siteName, Web: web, DB: s.db, Root: s.site.Root}
}

// refusesAt fails the test if a web server shows the site.
func (s *stage) refusesAt(w *bed.WordPress) {
	s.t.Helper()
	if page := bed.Must(w.Web.Get(s.t.Context(), siteName, "/"))(s.t); page.Status == 200 {
		s.t.Errorf("where the site is not it answers %d", page.Status)
	}
}
