//go:build integration

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sitekeep/sitekeep/test/bed"
)

// cloakedShape is Drupal 7 as Aegir sets it up: the settings hold no credentials.
func cloakedShape() shape {
	const names = "  'database' => $_SERVER['db_name'],\n  'username' => $_SERVER['db_user'],\n  'password' => $_SERVER['db_passwd'],\n" +
		"  'host' => $_SERVER['db_host'],\n  'port' => $_SERVER['db_port'],\n  'driver' => $_SERVER['db_type'],\n"
	drupal7 := shapes()[1]
	sh := shape{label: "cloaked", kind: "drupal", version: "7.98", root: ".", docroot: ".", settings: "sites/default/settings.php", files: map[string]string{
		"includes/bootstrap.inc":    drupal7.files["includes/bootstrap.inc"],
		"index.php":                 fmt.Sprintf(drupalPage, "'default'"),
		"sites/default/files/a.txt": "a file\n",
	}}
	sh.files[sh.settings] = "<?php\n$databases['default']['default'] = array(\n" + names + ");\n"
	return sh
}

// layCloaked makes the site, its credentials in its virtual host alone.
func (s *stage) layCloaked(web *bed.Web, server string) *example {
	sh := cloakedShape()
	settings := sh.settings
	sh.settings = "" // nothing is filled in
	e := s.layExample(sh, web, server)
	e.settings = settings
	e.vhost.Env = map[string]string{
		"db_name": e.database, "db_user": e.database, "db_passwd": e.password(), "db_type": "mysql",
		"db_host": s.db.Addr.Addr().String(), "db_port": portOf(s.db.Addr.String()),
	}
	s.must(e.vhost.Write())
	return e
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// cloakedCredentials takes it through a restore: refused while the virtual host
// is the operator's, and then the new credentials are in the managed one alone.
func (e *example) cloakedCredentials() {
	e.t.Helper()
	e.shows()
	old := bed.Must(os.ReadFile(e.path(e.settings)))(e.t)
	e.done("site", "verify", e.name)
	id := e.ok("backup", e.name)
	e.refused(1, []string{"db_passwd", "not ours to write", "--vhost managed"}, "restore", e.name, id, "--yes")
	e.shows()

	managed := e.manageCloaked()
	e.knows(managed, e.database, e.password())

	e.must(e.db.Exec(e.t.Context(), "DROP TABLE "+bed.Ident(e.database)+".node"))
	e.wreckFiles(e.path(e.root))
	if r := e.CLI(e.master, "restore", e.name, id, "--yes", "--grace", "0s"); r.Code != 0 {
		e.t.Fatalf("restore of %s: %s", e.name, r)
	}
	e.shows()
	database := e.site().Database
	e.knows(managed, database, "")
	if text := string(bed.Must(os.ReadFile(e.path(e.settings)))(e.t)); text != string(old) || database == e.database {
		e.t.Errorf("%s uses %s, and its settings are\n%s", e.name, database, text)
	}
	e.nothingOf(e.path(e.root), e.password())
}

// manageCloaked has Sitekeep take the credentials over from the operator's virtual host, and returns its own.
func (e *example) manageCloaked() (managed string) {
	e.t.Helper()
	e.ok("site", "set", e.name, "--vhost", "managed")
	// Of two virtual hosts with one name the first is taken; the old one is needed until the credentials are taken over.
	after := filepath.Join(e.web.VhostDir, "zz-"+e.name+".conf")
	e.must(os.Rename(e.vhost.Path(), after))
	e.done("site", "verify", e.name)
	e.must(os.Remove(after))
	e.must(e.web.Reload(e.t.Context()))
	e.shows()
	return filepath.Join(e.web.VhostDir, e.name+".conf")
}

// cloakedMoves clones it under another name and takes the clone to other servers: the settings stay as they are, and only the
// virtual hosts know the new credentials.
func (e *example) cloakedMoves(to place) {
	e.t.Helper()
	e.manageCloaked()
	settings := bed.Must(os.ReadFile(e.path(e.settings)))(e.t)
	twin := *e
	twin.name = "twin-of-" + e.name
	twin.says, twin.dir = twin.name, filepath.Join(e.web.Root, twin.name)
	e.done("clone", e.name, twin.name, "--yes")
	twin.shows()
	e.shows()
	twin.aloneKnows(settings, e.site().Database)
	cloned := twin.site().Database
	twin.stage, twin.web, twin.server, twin.dir = to.stage, to.web, to.server, filepath.Join(to.web.Root, twin.name)
	e.done("migrate", twin.name, "--yes", "--web", to.server, "--db", to.dbServer, "--root", twin.dir, "--docroot", twin.dir, "--grace", "0s")
	twin.shows()
	e.shows()
	twin.aloneKnows(settings, cloned)
}

// aloneKnows checks that only the site's virtual host names its database, which is not another one.
func (e *example) aloneKnows(settings []byte, other string) {
	e.t.Helper()
	file, database := filepath.Join(e.web.VhostDir, e.name+".conf"), e.site().Database
	text, mode := string(bed.Must(os.ReadFile(file))(e.t)), bed.Must(os.Stat(file))(e.t).Mode()
	if database == other || !strings.Contains(text, database) || strings.Contains(text, e.password()) || mode.Perm() != 0o600 {
		e.t.Errorf("%s uses %s, and its virtual host, mode %04o, is\n%s", e.name, database, mode.Perm(), text)
	}
	if now := bed.Must(os.ReadFile(e.path(e.settings)))(e.t); string(now) != string(settings) {
		e.t.Errorf("the settings of %s are\n%s", e.name, now)
	}
}

// knows checks that a virtual host that nobody else may read gives a database, and a password if one is named.
func (e *example) knows(file, database, password string) {
	e.t.Helper()
	text, mode := string(bed.Must(os.ReadFile(file))(e.t)), bed.Must(os.Stat(file))(e.t).Mode()
	if !strings.Contains(text, `SetEnv db_name "`+database+`"`) || !strings.Contains(text, password) || mode.Perm() != 0o600 {
		e.t.Errorf("the virtual host, mode %04o, is\n%s", mode.Perm(), text)
	}
	if password == "" && strings.Contains(text, e.password()) {
		e.t.Errorf("the virtual host has the old password:\n%s", text)
	}
}

// nothingOf checks that no file of the site, nor anything beside it or of the master, holds a password.
func (e *example) nothingOf(root, password string) {
	e.t.Helper()
	for _, dir := range []string{filepath.Dir(root), e.master.DataDir} {
		e.must(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if strings.Contains(string(text), password) {
				e.t.Errorf("%s holds the password", path)
			}
			return err
		}))
	}
}
