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

// framework is a site in the shape of a program that is not WordPress: a page
// shows a row of the database that the settings name.
type framework struct {
	name, kind, database string
	// docroot is below the root; files are of the root, with the settings.
	docroot, settings string
	files             map[string]string
}

// frameworks are the sites; %s is the database's name, the password, the host
// and the port.
func frameworks() []framework {
	const query = `echo '<h1>', mysqli_connect($h, $u, $p, $n, (int) $o)->query('SELECT body FROM node')->fetch_row()[0], '</h1>';`
	return []framework{
		{
			name: "drupal.example", kind: "drupal", database: "drupalexample", settings: "web/sites/default/settings.php", docroot: "web",
			files: map[string]string{
				"composer.json":           "{}",
				"web/core/lib/Drupal.php": "<?php\nclass Drupal { const VERSION = '10.2.3'; }\n",
				"web/index.php": "<?php\n$app_root = __DIR__; $site_path = 'sites/default';\nrequire \"$app_root/$site_path/settings.php\";\n" +
					"['host' => $h, 'username' => $u, 'password' => $p, 'database' => $n, 'port' => $o] = $databases['default']['default'];\n" + query,
				"web/sites/default/settings.php": "<?php\n// $databases['default']['default']['password'] = 'no';\n" +
					"$databases['default']['default'] = array (\n  'database' => '%[1]s',\n  'username' => '%[1]s',\n  'password' => \"%[2]s\",\n" +
					"  'host' => '%[3]s',\n  'port' => '%[4]s',\n  'driver' => 'mysql',\n);\n$settings['hash_salt'] = 'kept';\n",
				"web/sites/default/files/a.txt": "a file\n",
			},
		},
		{
			name: "laravel.example", kind: "dotenv", database: "laravelexample", settings: ".env", docroot: "public",
			files: map[string]string{
				"artisan": "#!/usr/bin/env php\n",
				"public/index.php": "<?php\npreg_match_all('/^DB_(\\w+)=[\"\\']?(.*?)[\"\\']?$/m', file_get_contents(__DIR__ . '/../.env'), $m);\n" +
					"['HOST' => $h, 'USERNAME' => $u, 'PASSWORD' => $p, 'DATABASE' => $n, 'PORT' => $o] = array_combine($m[1], $m[2]);\n" + query,
				".env": "APP_NAME=\"The Garden\"\n# DB_PASSWORD=no\nDB_CONNECTION=mysql\nDB_HOST=%[3]s\nDB_PORT=%[4]s\nDB_DATABASE=%[1]s\n" +
					"DB_USERNAME=%[1]s\nDB_PASSWORD=\"%[2]s\"\nMAIL_FROM=\"${APP_NAME}\"\n",
				"storage/app/a.txt": "a file\n",
			},
		},
	}
}

// TestFrameworks takes a Drupal and a Laravel through being found, backed up,
// wrecked and restored.
func TestFrameworks(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	s := &stage{T: b, t: t, db: b.MariaDB("db1"), web: b.Web("web1"), master: b.Master("master")}
	s.onWeb = s.Agent(s.master, "one", bed.AgentOptions{Web: s.web, DB: s.db})
	for _, f := range frameworks() {
		root := s.layFramework(f)
		s.ok("site", "add", f.name, "--web", "one", "--db", "one", "--root", root, "--docroot", filepath.Join(root, f.docroot))
		if site := s.ok("site", "show", f.name, "-o", "json"); !strings.Contains(site, `"`+f.kind+`"`) {
			t.Errorf("%s was not found to be of the kind %s: %s", f.name, f.kind, site)
		}
		s.done("site", "verify", f.name)
		s.showsRow(f)
		id := s.ok("backup", f.name)
		before := bed.Must(bed.Tree(root))(t)
		old := bed.Must(os.ReadFile(filepath.Join(root, f.settings)))(t)

		s.must(s.db.Exec(t.Context(), "DROP TABLE "+bed.Ident(f.database)+".node"))
		s.must(os.RemoveAll(filepath.Join(root, f.docroot)))
		s.must(os.WriteFile(filepath.Join(root, "wrecked"), nil, 0o600))
		s.done("restore", f.name, id, "--yes", "--grace", "0s")

		s.showsRow(f)
		text := string(bed.Must(os.ReadFile(filepath.Join(root, f.settings)))(t))
		if text == string(old) || strings.Contains(text, f.database+"secret") {
			t.Errorf("%s: the settings were not given the new database and password:\n%s", f.name, text)
		}
		s.sameButSettings(f, root, before, old)
	}
}

// layFramework makes a site's files and its database.
func (s *stage) layFramework(f framework) (root string) {
	s.t.Helper()
	root = filepath.Join(s.web.Root, f.name)
	password := f.database + `secret`
	for name, text := range f.files {
		path := filepath.Join(root, name)
		if name == f.settings {
			text = fmt.Sprintf(text, f.database, password, s.db.Addr.Addr(), fmt.Sprint(s.db.Addr.Port()))
		}
		s.must(os.MkdirAll(filepath.Dir(path), 0o755))
		s.must(os.WriteFile(path, []byte(text), 0o644))
	}
	node := bed.Ident(f.database) + ".node"
	s.must(s.db.CreateDatabase(s.t.Context(), f.database, f.database, password))
	s.must(s.db.Exec(s.t.Context(), "CREATE TABLE "+node+" (body TEXT) CHARACTER SET utf8mb4",
		"INSERT INTO "+node+" VALUES ('Körbe of "+f.name+"')"))
	return root
}

func (s *stage) showsRow(f framework) {
	s.t.Helper()
	page := bed.Must(s.web.Get(s.t.Context(), f.name, "/"))(s.t)
	if page.Status != 200 || !strings.Contains(page.Body, "of "+f.name+"</h1>") {
		s.t.Fatalf("%s: the page is %d %q", f.name, page.Status, page.Body)
	}
}

// sameButSettings compares the tree with what it was, the settings put back.
func (s *stage) sameButSettings(f framework, root string, before bed.Print, settings []byte) {
	s.t.Helper()
	path := filepath.Join(root, f.settings)
	mode := bed.Must(os.Stat(path))(s.t)
	s.must(os.WriteFile(path, settings, mode.Mode()))
	s.must(os.Chtimes(path, mode.ModTime(), mode.ModTime()))
	normal := bed.Must(bed.Tree(root))(s.t)
	var other []string
	for _, line := range strings.Split(before.Diff(normal), "\n") {
		if line != "" && !strings.Contains(line, f.settings) {
			other = append(other, line)
		}
	}
	if len(other) > 0 {
		s.t.Errorf("%s: the restored tree differs:\n%s", f.name, strings.Join(other, "\n"))
	}
}
