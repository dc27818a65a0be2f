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

// releasesShape is Laravel as Capistrano and Deployer lay it out: the docroot lies below a link to one of several releases,
// and the .env file is one that they share.
func releasesShape() shape {
	laravel := shapes()[2]
	sh := shape{label: "releases", kind: laravel.kind, version: laravel.version, root: ".", docroot: "current/public", settings: "shared/.env",
		files: map[string]string{"releases/1/public/index.php": "<?php echo 'an old release';"},
		links: map[string]string{"current": "releases/2", "releases/2/.env": "../../shared/.env"}}
	for name, text := range laravel.files {
		if name = "releases/2/" + name; strings.HasSuffix(name, "/.env") {
			name = sh.settings
		}
		sh.files[name] = text
	}
	return sh
}

// TestKindsMove takes every shape on every kind of web server through a clone under another name, of which the first site
// sees nothing, and then to the other kind of web server and another database server.
func TestKindsMove(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	s := &stage{T: b, t: t, db: b.MariaDB("db1"), web: b.Web("web1"), master: b.Master("master")}
	far := &stage{T: b, t: t, db: b.MariaDB("db2"), web: b.Apache("web2"), master: s.master}
	for i, at := range []*stage{s, far} {
		at.onWeb = s.Agent(s.master, fmt.Sprintf("web%d", i+1), bed.AgentOptions{Web: at.web})
		at.onDB = s.Agent(s.master, fmt.Sprintf("db%d", i+1), bed.AgentOptions{DB: at.db})
	}
	places := []place{{s, "web1", "db1"}, {far, "web2", "db2"}}
	for i, from := range places {
		to := places[1-i]
		var examples []*example
		for _, sh := range shapes() {
			examples = append(examples, from.layExample(sh, from.web, from.server))
		}
		examples = append(examples, from.layExample(releasesShape(), from.web, from.server), from.layWordPress(from.web, from.server))
		s.must(from.web.Reload(t.Context()))
		if r := s.CLI(s.master, "site", "discover", from.server, "--add"); r.Code != 6 || !strings.Contains(r.Stderr, "1 left out") {
			t.Fatalf("site discover %s: %s", from.server, r)
		}
		for _, e := range examples {
			e.manage()
			twin := e.cloned()
			e.moves(from, to)
			twin.shows()
		}
	}
}

// TestCloakedCredentialsMove, from one Apache to another, which read the virtual host as root.
func TestCloakedCredentialsMove(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	s := &stage{T: b, t: t, db: b.MariaDB("db1"), web: b.Apache("web1"), master: b.Master("master")}
	far := &stage{T: b, t: t, db: b.MariaDB("db2"), web: b.Apache("web2"), master: s.master}
	for i, at := range []*stage{s, far} {
		at.onWeb = s.Agent(s.master, fmt.Sprintf("web%d", i+1), bed.AgentOptions{Web: at.web})
		at.onDB = s.Agent(s.master, fmt.Sprintf("db%d", i+1), bed.AgentOptions{DB: at.db})
	}
	e := s.layCloaked(s.web, "web1")
	s.must(s.web.Reload(t.Context()))
	s.done("site", "discover", "web1", "--add")
	e.cloakedMoves(place{far, "web2", "db2"})
}

// place is a web server and a database server with their names.
type place struct {
	*stage
	server, dbServer string
}

// manage lets Sitekeep write the virtual host in place of the operator's.
func (e *example) manage() {
	e.t.Helper()
	e.must(e.vhost.Remove(e.t.Context()))
	e.ok("site", "set", e.name, "--vhost", "managed")
	e.done("site", "verify", e.name)
	e.shows()
}

// whole is all of a site: its tree, byte for byte, and its database.
func (e *example) whole() (files, tables bed.Print) {
	e.t.Helper()
	return bed.Must(bed.Tree(e.path(e.root)))(e.t), bed.Must(e.db.Tables(e.t.Context(), e.site().Database))(e.t)
}

// cloned makes another site of it on the same servers.
func (e *example) cloned() *example {
	e.t.Helper()
	files, tables := e.whole()
	twin := *e
	twin.name = "twin-of-" + e.name
	if e.kind != "generic" { // of which nobody knows where it keeps addresses
		twin.says = twin.name
	}
	args := []string{"clone", e.name, twin.name, "--yes"}
	if e.root == "." {
		twin.dir = filepath.Join(e.web.Root, twin.name)
	} else { // one more site of the same code base
		args = append(args, "--root", twin.path(e.root), "--docroot", e.path(e.docroot))
	}
	e.done(args...)
	twin.shows()
	twin.isIts(e)
	nowFiles, nowTables := e.whole()
	if d := files.Diff(nowFiles) + tables.Diff(nowTables); d != "" {
		e.t.Errorf("%s has changed while it was cloned:\n%s", e.name, d)
	}
	e.shows()
	return &twin
}

// isIts fails the test unless the clone has settings of its own, and names the first site nowhere in them: but for the bed's
// WordPress, where the name stands in a comment and in an expression, both of which stay.
func (e *example) isIts(first *example) {
	e.t.Helper()
	text := string(bed.Must(os.ReadFile(e.path(e.settings)))(e.t))
	own := strings.ReplaceAll(text, e.name, "")
	if database := e.site().Database; database == first.site().Database || !strings.Contains(text, database) {
		e.t.Errorf("%s uses the database %s", e.name, database)
	}
	if e.kind != "wordpress" && strings.Contains(own, first.name) || strings.Contains(string(bed.Must(os.ReadFile(first.path(first.settings)))(e.t)), e.name) {
		e.t.Errorf("%s and %s are in each other's settings", e.name, first.name)
	}
}

// moves takes the site to other servers for good. Of a code base with several sites the rest is there already.
func (e *example) moves(from, to place) {
	e.t.Helper()
	root, database := e.path(e.root), e.site().Database
	e.stage, e.web, e.server, e.dir = to.stage, to.web, to.server, filepath.Join(to.web.Root, e.name)
	if e.root != "." {
		e.layCodeBase()
	}
	e.done("migrate", e.name, "--yes", "--web", to.server, "--db", to.dbServer, "--root", e.path(e.root), "--docroot", e.path(e.docroot), "--grace", "0s")
	e.shows()
	if text := string(bed.Must(os.ReadFile(e.path(e.settings)))(e.t)); !strings.Contains(text, to.db.Addr.Addr().String()) || !strings.Contains(text, e.site().Database) {
		e.t.Errorf("%s does not say the database on %s in its settings", e.name, to.dbServer)
	}
	if _, err := os.Lstat(root); !os.IsNotExist(err) {
		e.t.Errorf("%s is at its old place still: %v", e.name, err)
	}
	left := bed.Must(bed.TakeInventory(e.t.Context(), []*bed.MariaDB{from.db}, []*bed.Web{from.web}))(e.t)
	for _, line := range append(left.Databases, left.Vhosts...) {
		if strings.HasSuffix(line, " "+database) || strings.HasSuffix(line, " "+e.name+".conf") {
			e.t.Errorf("of %s is left: %s", e.name, line)
		}
	}
}

// layCodeBase writes what is the code base's and no site's.
func (e *example) layCodeBase() {
	e.t.Helper()
	e.must(os.MkdirAll(filepath.Dir(e.path(e.root)), 0o755))
	for name, text := range e.files {
		if strings.HasPrefix(name, "sites/") {
			continue
		}
		e.must(os.MkdirAll(filepath.Dir(e.path(name)), 0o755))
		e.must(os.WriteFile(e.path(name), []byte(text), 0o644))
	}
}
