//go:build integration

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
	"github.com/sitekeep/sitekeep/test/bed"
)

const cloneName = "orchard.garden.example" // the old name is in it

// addresses are values of a WordPress, with the site's name and directory for
// @ and #, that a clone must have its own of.
func addresses(name, root string) map[string]string {
	fill := func(text string) string { return strings.NewReplacer("@", name, "#", root).Replace(text) }
	str := func(text string) string { return fmt.Sprintf(`s:%d:"%s";`, len(text), text) }
	inner := `a:2:{s:3:"url";` + str(fill("http://@/ü")) + `s:4:"path";` + str(fill("#/wp-content")) + `}`
	return map[string]string{
		"bed_plain": fill("see http://@/a, https://www.@/b and //@"),
		"bed_other": "http://sub." + siteName + " http://" + siteName + ".org me@" + siteName + " /backup" + siteName,
		"bed_array": `a:1:{i:0;` + inner + `}`,
		"bed_twice": str(`a:1:{i:0;` + inner + `}`),
		"bed_json":  fill(`{"u":"http:\/\/@\/x","p":"` + strings.ReplaceAll(root, "/", `\/`) + `\/y"}`),
		"bed_whole": fill("@"),
	}
}

// plant writes addresses into a site's options, and into the first post.
func (s *stage) plant(database string, values map[string]string) {
	s.t.Helper()
	for name, value := range values {
		_, err := s.db.Root().ExecContext(s.t.Context(), "INSERT INTO "+bed.Ident(database)+
			".wp_options (option_name, option_value, autoload) VALUES (?, ?, 'no')", name, value)
		s.must(err)
	}
	s.plantGate()
}

// plantGate writes an address of the stage's site into its first post.
func (s *stage) plantGate() {
	s.t.Helper()
	s.must(s.db.Exec(s.t.Context(), fmt.Sprintf("UPDATE %s.wp_posts SET post_content = CONCAT(post_content, '<p><a href=\"http://%s/gate\">gate</a></p>') WHERE post_title = '%s'",
		bed.Ident(s.site.Database), s.site.Name, bed.FirstPost)))
}

// opensGate fails the test unless the pages of a WordPress show that address, and no other site's.
func (s *stage) opensGate(web *bed.Web, name string) {
	s.t.Helper()
	page := bed.Must(web.Get(s.t.Context(), name, "/?s=Spring"))(s.t)
	post := bed.Must(web.Get(s.t.Context(), name, "/?name=spring-in-the-garden"))(s.t)
	all := page.Body + post.Body
	if n := strings.Count(all, "/gate\""); n == 0 || strings.Count(all, "http://"+name+"/gate\"") != n {
		s.t.Errorf("the pages of %s do not link to it:\n%.3000s", name, all)
	}
}

// twin is a site that was made of the bed's, on its servers, and has its own credentials.
func (s *stage) twin(name string) *bed.WordPress {
	s.t.Helper()
	w := *s.site
	w.Name, w.Root = name, filepath.Join(s.web.Root, name)
	c := bed.Must(w.ReadConfig())(s.t)
	w.Database, w.User, w.Password = c["DB_NAME"], c["DB_USER"], c["DB_PASSWORD"]
	return &w
}

// isTwin fails the test unless the site serves under its name, with addresses of its own.
func (s *stage) isTwin(w *bed.WordPress) {
	s.t.Helper()
	s.must(w.CheckPages(s.t.Context()))
	s.opensGate(s.web, w.Name)
	for name, want := range addresses(w.Name, w.Root) {
		var got string
		err := s.db.Root().QueryRowContext(s.t.Context(), "SELECT option_value FROM "+bed.Ident(w.Database)+".wp_options WHERE option_name = ?", name).Scan(&got)
		if name == "bed_plain" { // www. is no alias of the new site
			want = strings.ReplaceAll(want, "www."+w.Name, w.Name)
		}
		if err != nil || got != want {
			s.t.Errorf("option %s of %s (%v):\ngot  %q\nwant %q", name, w.Name, err, got, want)
		}
	}
}

// nothingNew fails the test unless the servers are what they were.
func (s *stage) nothingNew(before *bed.Inventory, name string) {
	s.t.Helper()
	if d := before.Diff(s.inventory()); d != "" {
		s.t.Errorf("on the servers something came or went:\n%s", d)
	}
	s.refused(3, []string{name}, "site", "show", name)
}

// TestClone makes a second site of one, kills the master meanwhile, and makes sites of a backup through the API.
func TestClone(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.plant(s.site.Database, addresses(siteName, s.site.Root))
	before, inventory := s.fingerprint(), s.inventory()

	for _, line := range []string{"push_files: done", "exchange_trees: done", "write_vhost: done"} {
		task := s.ok("clone", siteName, cloneName, "--yes", "--detach")
		s.refused(4, []string{"held"}, "clone", siteName, cloneName, "--yes")
		s.awaitLine(task, line)
		s.must(s.master.Kill())
		s.must(s.master.Start(t.Context()))
		end := s.ended(task)
		t.Logf("killed after %q: %s", line, end.State)
		if end.good() {
			t.Fatalf("it was killed before its commit, and is %s", end.State)
		}
		s.nothingNew(inventory, cloneName)
		s.isNow(before)
	}

	s.done("clone", siteName, cloneName, "--yes")
	s.isTwin(s.twin(cloneName))
	s.isNow(before)
	s.refused(1, []string{"already"}, "clone", siteName, cloneName, "--yes")
	s.refused(1, []string{"belongs to"}, "clone", siteName, "other.example", "--yes", "--alias", cloneName)
	s.refused(1, []string{"around it"}, "clone", siteName, "other.example", "--yes", "--root", filepath.Join(s.site.Root, "sub"))
	s.ok("backup", cloneName)

	s.deploys(before)
	s.clonesElsewhere(before)
}

// clonesElsewhere makes a clone on another web server and another database server, in a directory of another name.
func (s *stage) clonesElsewhere(before *bed.Fingerprint) {
	s.t.Helper()
	db, web := s.MariaDB("db2"), s.Web("web2")
	s.Agent(s.master, "web2", bed.AgentOptions{Web: web})
	s.Agent(s.master, "db2", bed.AgentOptions{DB: db})
	root := filepath.Join(web.Root, "elsewhere")
	s.done("clone", siteName, "far.example", "--yes", "--web", "web2", "--db", "db2", "--root", root, "--alias", "www.far.example")
	far := &bed.WordPress{Name: "far.example", Web: web, DB: db, Root: root}
	s.must(far.CheckPages(s.t.Context()))
	c := bed.Must(far.ReadConfig())(s.t)
	var plain string
	err := db.Root().QueryRowContext(s.t.Context(), "SELECT option_value FROM "+bed.Ident(c["DB_NAME"])+".wp_options WHERE option_name = 'bed_plain'").Scan(&plain)
	if want := addresses(far.Name, root)["bed_plain"]; err != nil || plain != want {
		s.t.Errorf("on the other servers (%v): %q, want %q", err, plain, want)
	}
	s.isNow(before)
}

// deploys makes sites out of a backup: one that cannot be, one that is new, and one in place of another.
func (s *stage) deploys(before *bed.Fingerprint) {
	s.t.Helper()
	id := s.backup()
	inventory := s.inventory()
	const name = "meadow.example"
	broken := filepath.Join(s.web.OwnVhosts, "zz-broken.conf")
	s.must(os.WriteFile(broken, []byte("no_such_directive on;\n"), 0o644))
	task := s.ended(s.deploy(id, name, true))
	s.must(os.Remove(broken))
	if task.State != "failed" || !strings.Contains(task.Error, "no_such_directive") {
		s.t.Errorf("a site whose vhost cannot be served: %+v", task)
	}
	s.nothingNew(inventory, name)

	occupied := filepath.Join(s.web.Root, name)
	s.must(os.MkdirAll(filepath.Join(occupied, "somebody's"), 0o755))
	if task = s.ended(s.deploy(id, name, true)); task.State != "failed" || !strings.Contains(task.Error, "is something already") {
		s.t.Errorf("a site in an occupied directory: %+v", task)
	}
	s.must(os.Remove(filepath.Join(occupied, "somebody's")))

	if task = s.ended(s.deploy(id, name, true)); !task.good() {
		s.t.Fatalf("%+v\n%s", task, s.ok("task", "log", task.ID))
	}
	s.isTwin(s.twin(name))
	s.isNow(before)

	// The backup of another site in place of this one, and back.
	made := s.twin(name)
	s.must(s.db.Exec(s.t.Context(), "UPDATE "+bed.Ident(made.Database)+".wp_posts SET post_title = 'Lost'"))
	s.must(os.Remove(filepath.Join(made.Root, "wp-content", "uploads", "rose.jpg")))
	if task = s.ended(s.deploy(id, name, false)); !task.good() || task.Safety == "" {
		s.t.Fatalf("%+v\n%s", task, s.ok("task", "log", task.ID))
	}
	s.isTwin(s.twin(name))
	s.done("restore", "--undo", name, "--yes")
	if now := s.twin(name); now.Database != made.Database {
		s.t.Errorf("after the undo the database is %s, not %s", now.Database, made.Database)
	}
	s.isNow(before)
}

// deploy starts a task by the API: of a new site, or of one under care.
func (s *stage) deploy(id, name string, isNew bool) (task string) {
	s.t.Helper()
	site := &sitekeepv1.Site{Name: name}
	if isNew {
		site.WebServers, site.DbServer, site.Root = []string{"web1"}, "db1", filepath.Join(s.web.Root, name)
	}
	r, err := sitekeepv1.NewRestoreServiceClient(s.dialLocal()).DeployBackup(context.Background(), &sitekeepv1.DeployBackupRequest{Backup: id, Site: site})
	s.must(err)
	return r.GetTask().GetId()
}
