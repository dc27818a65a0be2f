//go:build integration

package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// shape is a site in the shape of some program: a page shows a row of the
// database that the settings name. A new kind is a line in shapes.
type shape struct {
	label, kind, version string
	// root and docroot are below the directory of the site's domain; DOMAIN in
	// them, and in the names of files, is the domain.
	root, docroot, settings string
	files                   map[string]string
	links                   map[string]string // targets by name
}

const showRow = `echo '<h1>', mysqli_connect($h, $u, $p, $n, (int) $o)->query('SELECT body FROM node')->fetch_row()[0], '</h1>';`

// drupalPage has the directory of the site to be filled in; hostDirectory is that of the name that is asked for.
const drupalPage = "<?php\n$app_root = __DIR__; $site_path = 'sites/' . %s;\nrequire \"$app_root/$site_path/settings.php\";\n" +
	"['host' => $h, 'username' => $u, 'password' => $p, 'database' => $n, 'port' => $o] = $databases['default']['default'];\n" + showRow

const hostDirectory = `preg_replace('/:.*/', '', $_SERVER['HTTP_HOST'])`

// In settings stand the database and user, the password, the host, the port.
const drupalSettings = "<?php\n// $databases['default']['default']['password'] = 'no';\n" +
	"$databases['default']['default'] = array (\n  'database' => '%[1]s',\n  'username' => '%[1]s',\n  'password' => \"%[2]s\",\n" +
	"  'host' => '%[3]s',\n  'port' => '%[4]s',\n  'driver' => 'mysql',\n);\n"

func shapes() []shape {
	return []shape{
		{
			label: "drupal10", kind: "drupal", version: "10.2.3", root: ".", docroot: "web", settings: "web/sites/default/settings.php",
			files: map[string]string{
				"composer.json": "{}", "web/core/lib/Drupal.php": "<?php\nclass Drupal { const VERSION = '10.2.3'; }\n",
				"web/index.php":                  fmt.Sprintf(drupalPage, "'default'"),
				"web/sites/default/settings.php": drupalSettings + "$settings['hash_salt'] = 'kept';\n$settings['trusted_host_patterns'] = ['^DOMAIN$'];\n", "web/sites/default/files/a.txt": "a file\n",
			},
		},
		{
			label: "drupal7", kind: "drupal", version: "7.98", root: "sites/DOMAIN", docroot: ".", settings: "sites/DOMAIN/settings.php",
			files: map[string]string{
				"includes/bootstrap.inc": "<?php\ndefine('VERSION', '7.98');\n", "index.php": fmt.Sprintf(drupalPage, hostDirectory),
				"sites/DOMAIN/settings.php":  drupalSettings + "$conf['kept'] = TRUE;\n$base_url = 'http://DOMAIN';\n",
				"sites/DOMAIN/files/a.txt":   "a file\n",
				"sites/DOMAIN/private/b.txt": "a private file\n", "sites/other.example/settings.php": "<?php\n$databases = array();\n",
			},
		},
		{
			label: "laravel", kind: "dotenv", version: "11.9.2", root: ".", docroot: "public", settings: ".env",
			files: map[string]string{
				"artisan": "#!/usr/bin/env php\n",
				"vendor/laravel/framework/src/Illuminate/Foundation/Application.php": "<?php\nclass Application { const VERSION = '11.9.2'; }\n",
				"public/index.php": "<?php\npreg_match_all('/^DB_(\\w+)=[\"\\']?(.*?)[\"\\']?$/m', file_get_contents(__DIR__ . '/../.env'), $m);\n" +
					"['HOST' => $h, 'USERNAME' => $u, 'PASSWORD' => $p, 'DATABASE' => $n, 'PORT' => $o] = array_combine($m[1], $m[2]);\n" + showRow,
				".env": "APP_NAME=\"The Garden\"\nAPP_URL=http://DOMAIN\n# DB_PASSWORD=no\nDB_CONNECTION=mysql\nDB_HOST=%[3]s\nDB_PORT=%[4]s\nDB_DATABASE=%[1]s\n" +
					"DB_USERNAME=%[1]s\nDB_PASSWORD=\"%[2]s\"\nMAIL_FROM=\"${APP_NAME}\"\n",
				"storage/app/a.txt": "a file\n",
			},
		},
		{
			label: "generic", kind: "generic", root: ".", docroot: ".", settings: "conf/db.php",
			files: map[string]string{
				".sitekeep.yaml": "settings: {file: conf/db.php, format: php, name: $n, user: $u, password: $p, host: $h, port: $o}\n",
				"index.php":      "<?php\nrequire __DIR__ . '/conf/db.php';\n" + showRow,
				"conf/db.php":    "<?php\n// $p = 'no';\n$n = '%[1]s'; $u = '%[1]s'; $p = \"%[2]s\";\n$h = '%[3]s'; $o = '%[4]s';\n",
				"data/a.txt":     "a file\n",
			},
		},
	}
}

// example is a shape that has become a site on a web server.
type example struct {
	shape
	*stage
	web            *bed.Web
	server         string
	name, database string
	secret, says   string // the password that it begins with; the name that its page shows
	dir            string
	vhost          bed.Vhost
}

func (s *stage) layExample(sh shape, web *bed.Web, server string) *example {
	e := &example{shape: sh, stage: s, web: web, server: server, name: sh.label + "." + server + ".example", database: sh.label + server}
	e.secret, e.says = e.database+"secret", e.name
	e.dir = filepath.Join(web.Root, e.name)
	e.vhost = bed.Vhost{Web: web, Name: e.name, Aliases: []string{"www." + e.name}, Docroot: e.path(sh.docroot)}
	for name, text := range sh.files {
		text = strings.ReplaceAll(text, "DOMAIN", e.name)
		if name == sh.settings {
			text = fmt.Sprintf(text, e.database, e.password(), s.db.Addr.Addr(), fmt.Sprint(s.db.Addr.Port()))
		}
		s.must(os.MkdirAll(filepath.Dir(e.path(name)), 0o755))
		s.must(os.WriteFile(e.path(name), []byte(text), 0o644))
	}
	for name, target := range sh.links {
		s.must(os.Symlink(target, e.path(name)))
	}
	node := bed.Ident(e.database) + ".node"
	s.must(s.db.CreateDatabase(s.t.Context(), e.database, e.database, e.password()))
	s.must(s.db.Exec(s.t.Context(), "CREATE TABLE "+node+" (id INT PRIMARY KEY, body TEXT) CHARACTER SET utf8mb4", "INSERT INTO "+node+" VALUES (1, 'Körbe of http://"+e.name+"/')"))
	s.must(e.vhost.Write())
	return e
}

func (e *example) password() string { return e.secret }

func (e *example) path(name string) string {
	return filepath.Join(e.dir, strings.ReplaceAll(name, "DOMAIN", e.name))
}

// TestKindsOnWebServers takes every shape on every web server through being
// discovered, added with all others by one command, backed up, wrecked and
// restored: first behind the operator's virtual host, then behind a managed one.
func TestKindsOnWebServers(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	s := &stage{T: b, t: t, db: b.MariaDB("db1"), web: b.Web("web1"), master: b.Master("master")}
	apache := b.Apache("web2")
	s.onWeb, s.onDB = s.Agent(s.master, "web1", bed.AgentOptions{Web: s.web}), s.Agent(s.master, "db1", bed.AgentOptions{DB: s.db})
	s.Agent(s.master, "web2", bed.AgentOptions{Web: apache})
	servers := map[string]*bed.Web{"web1": s.web, "web2": apache}
	var examples []*example
	var cloaked *example
	for _, server := range slices.Sorted(maps.Keys(servers)) {
		for _, sh := range shapes() {
			examples = append(examples, s.layExample(sh, servers[server], server))
		}
		examples = append(examples, s.layWordPress(servers[server], server))
		if server == "web2" {
			cloaked = s.layCloaked(apache, server)
			examples = append(examples, cloaked)
		}
		s.must(servers[server].Reload(t.Context()))
		s.discoverAll(server, examples)
	}
	cloaked.cloakedCredentials()
	for _, e := range examples {
		if e == cloaked {
			continue
		}
		e.shows()
		e.external()
		if e.kind == "wordpress" {
			e.closedByItself()
		}
		e.managed()
		if e.label == "drupal7" {
			e.hardened()
		}
	}
}

// discoverAll finds and adds what is on a server, and compares what was found.
func (s *stage) discoverAll(server string, examples []*example) {
	s.t.Helper()
	found := map[string]discovered{}
	r := s.CLI(s.master, "site", "discover", server, "--sizes", "--add", "-o", "json")
	if r.Code != 6 || !strings.Contains(r.Stderr, "1 left out") { // other.example has no settings
		s.t.Fatalf("site discover %s: %s", server, r)
	}
	for _, d := range decode[[]discovered](s, r.Stdout) {
		found[d.Site.Name] = d
	}
	for _, e := range examples {
		d := found[e.name]
		if e.server != server {
			continue
		}
		if d.KnownAs != e.name || d.Site.Kind != e.kind || !e.hasVersion(d.Version) || d.Site.Root != e.path(e.root) || d.Site.DBServer != "db1" ||
			d.Site.Database != e.database || d.Site.Vhost != "external" || d.VhostFile != e.vhost.Path() || d.FileBytes == 0 || d.DatabaseBytes == 0 ||
			strings.Join(d.Site.Aliases, " ") != "www."+e.name {
			s.t.Errorf("%s was found to be %+v", e.name, d)
		}
	}
	if other := found["other.example"]; !strings.Contains(other.Obstacle, "says no database") || other.KnownAs != "" {
		s.t.Errorf("a site without settings: %+v", other)
	}
}

// external restores behind the operator's own virtual host: before it includes
// Sitekeep's line for maintenance there is a warning with that line, then none.
// A WordPress that is wrecked cannot keep visitors out by itself.
func (e *example) external() {
	e.t.Helper()
	before := bed.Must(os.ReadFile(e.vhost.Path()))(e.t)
	e.done("site", "verify", e.name) // the modes are those that the kind wants
	id := e.ok("backup", e.name)
	r := e.restored(id)
	include := filepath.Join(e.web.VhostDir, e.name+".inc")
	if r.Code != 6 || !strings.Contains(r.Stderr, include) {
		e.t.Errorf("%s: nobody was told of maintenance: %s", e.name, r)
	}
	if after := bed.Must(os.ReadFile(e.vhost.Path()))(e.t); string(after) != string(before) {
		e.t.Errorf("%s: the operator's virtual host was changed", e.name)
	}
	e.vhost.Includes = []string{include}
	e.must(e.vhost.Publish(e.t.Context()))
	if r := e.restored(id); r.Code != 0 {
		e.t.Errorf("%s: with maintenance included: %s", e.name, r)
	}
}

// managed restores behind a virtual host that Sitekeep writes.
func (e *example) managed() {
	e.t.Helper()
	e.must(e.vhost.Remove(e.t.Context()))
	e.ok("site", "set", e.name, "--vhost", "managed")
	e.drift(6, "there is no virtual host")
	e.done("site", "verify", e.name)
	e.drift(0, "")
	e.shows()
	if r := e.restored(e.ok("backup", e.name)); r.Code != 0 {
		e.t.Errorf("%s: behind a managed virtual host: %s", e.name, r)
	}
}

// drift has a dry run of verify end with a status, and say what differs.
func (e *example) drift(status int, what string) {
	e.t.Helper()
	r := e.CLI(e.master, "site", "verify", e.name, "--dry-run")
	if r.Code != status || !strings.Contains(r.Stderr, what) {
		e.t.Errorf("%s: what would be mended: %s", e.name, r)
	}
}

// restored wrecks the site and restores it: the page is back, and all of the
// tree but the credentials.
func (e *example) restored(id string) *bed.Result {
	e.t.Helper()
	root, settings := e.path(e.root), e.path(e.settings)
	before, old := bed.Must(bed.Tree(root))(e.t), bed.Must(os.ReadFile(settings))(e.t)
	e.must(e.db.Exec(e.t.Context(), "DROP TABLE "+bed.Ident(e.site().Database)+"."+e.table()))
	e.wreckFiles(root)
	r := e.CLI(e.master, "restore", e.name, id, "--yes", "--grace", "0s")
	if r.Code != 0 && r.Code != 6 {
		e.t.Fatalf("restore of %s: %s", e.name, r)
	}
	e.shows()
	if text := string(bed.Must(os.ReadFile(settings))(e.t)); text == string(old) || strings.Contains(text, e.password()) {
		e.t.Errorf("%s: the settings were not given the new database and password:\n%s", e.name, text)
	}
	e.sameButSettings(root, settings, before, old)
	return r
}

// wreckFiles leaves the program and the settings, so that the database stays known as the site's.
func (e *example) wreckFiles(root string) {
	e.t.Helper()
	e.must(filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if name := d.Name(); err != nil || name != "index.php" && !strings.HasSuffix(name, ".txt") {
			return err
		}
		return os.Remove(path)
	}))
	e.must(os.WriteFile(filepath.Join(root, "wrecked"), nil, 0o600))
}

type siteInfo struct {
	Database string `json:"database"`
}

func (e *example) site() siteInfo {
	e.t.Helper()
	return read[siteInfo](e.stage, "site", "show", e.name)
}

func (e *example) shows() {
	e.t.Helper()
	if e.kind == "wordpress" {
		e.must((&bed.WordPress{Name: e.name, Web: e.web, Root: e.dir}).CheckPages(e.t.Context()))
		e.opensGate(e.web, e.name)
		return
	}
	page := bed.Must(e.web.Get(e.t.Context(), e.name, "/"))(e.t)
	if page.Status != 200 || !strings.Contains(page.Body, "of http://"+e.says+"/</h1>") {
		e.t.Fatalf("%s: the page is %d %q", e.name, page.Status, page.Body)
	}
}

// sameButSettings compares the tree with what it was, the settings put back.
func (e *example) sameButSettings(root, path string, before bed.Print, settings []byte) {
	e.t.Helper()
	now, mode := bed.Must(os.ReadFile(path))(e.t), bed.Must(os.Stat(path))(e.t)
	e.must(os.WriteFile(path, settings, mode.Mode()))
	e.must(os.Chtimes(path, mode.ModTime(), mode.ModTime()))
	rel, _ := filepath.Rel(root, path)
	var other []string
	for _, line := range strings.Split(before.Diff(bed.Must(bed.Tree(root))(e.t)), "\n") {
		if line != "" && !strings.Contains(line, rel) {
			other = append(other, line)
		}
	}
	if len(other) > 0 {
		e.t.Errorf("%s: the restored tree differs:\n%s", e.name, strings.Join(other, "\n"))
	}
	e.must(os.WriteFile(path, now, mode.Mode()))
}

// wordpressShape is the real WordPress, which the bed lays out.
func wordpressShape() shape {
	return shape{label: "wordpress", kind: "wordpress", root: ".", docroot: ".", settings: "wp-config.php"}
}

func (s *stage) layWordPress(web *bed.Web, server string) *example {
	s.t.Helper()
	w := s.WordPress(web, s.db, "wordpress."+server+".example")
	at := *s
	at.site = w
	at.plantGate()
	e := &example{shape: wordpressShape(), stage: s, web: web, server: server, name: w.Name, database: w.Database, secret: w.Password, dir: w.Root, vhost: w.Vhost()}
	e.vhost.Aliases = []string{"www." + e.name}
	s.must(e.vhost.Write())
	return e
}

// table is one that the page needs.
func (e *example) table() string {
	if e.kind == "wordpress" {
		return "wp_posts"
	}
	return "node"
}

// hasVersion reports whether the version is the site's. That of WordPress is what was installed.
func (e *example) hasVersion(version string) bool {
	if e.kind != "wordpress" {
		return version == e.version
	}
	text := string(bed.Must(os.ReadFile(e.path("wp-includes/version.php")))(e.t))
	return version != "" && strings.Contains(text, "$wp_version = '"+version+"'")
}
