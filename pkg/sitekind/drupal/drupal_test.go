package drupal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// lay makes a site of files and opens it.
func lay(t *testing.T, site, docroot string, files map[string]string) (string, sitekind.Place) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o640)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return dir, sitekind.Place{Root: root, Site: site, Docroot: docroot}
}

func text(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const core = "<?php\nclass Drupal { const VERSION = '10.2.3'; }\n"

const plain = "<?php\n$databases['default']['default'] = ['driver' => 'mysql', 'database' => 'main', 'username' => 'u', 'password' => 'p', 'host' => 'db1'];\n"

func TestSettingsSplitOverFiles(t *testing.T) {
	const local = "<?php\n$databases['default']['default']['password'] = \"local\"; # mine\n$databases['default']['default']['host'] = 'db2';\n"
	for name, include := range map[string]string{
		"guarded":            "if (file_exists($app_root . '/' . $site_path . '/settings.local.php')) {\n  include $app_root . '/' . $site_path . '/settings.local.php';\n}\n",
		"own directory":      "require __DIR__ . '/settings.local.php';\n",
		"old directory":      "@include_once(dirname(__FILE__) . '/settings.local.php');\n",
		"from the code base": "include DRUPAL_ROOT . '/sites/default/settings.local.php';\n",
		"relative":           "include './sites/default/settings.local.php';\n",
		"beside":             "include 'settings.local.php';\n",
		"absolute, Aegir's":  "if (is_readable('/var/aegir/platforms/d/sites/default/settings.local.php')) { include_once('/var/aegir/platforms/d/sites/default/settings.local.php'); }\n",
		"the host's after":   "include __DIR__ . '/settings.local.php';\nif (is_readable('/var/aegir/config/includes/global.inc')) { include_once('/var/aegir/config/includes/global.inc'); }\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir, p := lay(t, "", "web", map[string]string{"web/core/lib/Drupal.php": core,
				"web/sites/default/settings.php": plain + include, "web/sites/default/settings.local.php": local})
			s, err := New().ReadSettings(t.Context(), p)
			if err != nil || s.Name != "main" || s.Password.Reveal() != "local" || s.Host != "db2" {
				t.Fatalf("got %+v, %v", s, err)
			}
			s.Name, s.Password, s.Port = "other", sitekind.NewSecret("it's"), 3307
			if err := New().WriteSettings(t.Context(), p, s); err != nil {
				t.Fatal(err)
			}
			main := strings.Replace(strings.Replace(plain, "'main'", "'other'", 1), "'db1']", "'db1', 'port' => '3307']", 1) + include
			if got := text(t, dir, "web/sites/default/settings.php"); got != main {
				t.Errorf("settings.php is\n%s\nwant\n%s", got, main)
			}
			if got, want := text(t, dir, "web/sites/default/settings.local.php"), strings.Replace(local, `"local"`, `'it\'s'`, 1); got != want {
				t.Errorf("settings.local.php is\n%s\nwant\n%s", got, want)
			}
			if again, err := New().ReadSettings(t.Context(), p); err != nil || again != s {
				t.Errorf("read back %+v, %v", again, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		settings string
		problem  sitekind.Problem
		words    string
	}{
		"Drupal 6":           {"<?php $db_url = 'mysqli://u:hunter2@localhost/db';", sitekind.Refused, "Drupal 6"},
		"PostgreSQL":         {strings.Replace(plain, "'mysql'", "'pgsql'", 1), sitekind.Refused, "MariaDB"},
		"not installed":      {"<?php\n$databases = [];\n", sitekind.Missing, "not be installed"},
		"computed":           {plain + "$databases['default']['default']['password'] = file_get_contents('/run/secret');", sitekind.NotLiteral, "result of a function"},
		"condition":          {plain + "if ($_SERVER['HTTP_HOST'] == 'x') { $databases['default']['default']['host'] = 'x'; }", sitekind.Ambiguous, "line 3"},
		"include of a name":  {plain + "include $file;", sitekind.Ambiguous, "line 3"},
		"include in a loop":  {plain + "foreach (glob('conf.d/*.php') as $f) { include $f; }", sitekind.Ambiguous, "path is computed"},
		"include of outside": {plain + "require '/var/www/site-php/settings.inc';", sitekind.Ambiguous, "outside of the site"},
		"include above":      {plain + "require __DIR__ . '/../../../../x.php';", sitekind.Ambiguous, "outside of the site"},
		"a replica":          {"<?php $databases['default']['default'] = [['database' => 'a'], ['database' => 'b']];", sitekind.Missing, "no database"},
		"port":               {strings.Replace(plain, "'host'", "'port' => 'x', 'host'", 1), sitekind.Broken, "65535"},
		"array":              {strings.Replace(plain, "'main'", "['main']", 1), sitekind.NotLiteral, "an array"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			dir, p := lay(t, "", "", map[string]string{"core/lib/Drupal.php": core, "sites/default/settings.php": c.settings})
			_, readErr := New().ReadSettings(t.Context(), p)
			writeErr := New().WriteSettings(t.Context(), p, sitekind.Settings{Name: "n", User: "u", Host: "h"})
			for _, err := range []error{readErr, writeErr} {
				if problemOf(err) != c.problem || !strings.Contains(err.Error(), c.words) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %v", err)
				}
			}
			if text(t, dir, "sites/default/settings.php") != c.settings {
				t.Error("the file was changed")
			}
		})
	}
}

func TestSocketGivesWayToAddress(t *testing.T) {
	socket := strings.Replace(plain, "'host' => 'db1'", "'host' => 'localhost', 'unix_socket' => '/run/x.sock'", 1)
	dir, p := lay(t, "", "", map[string]string{"core/lib/Drupal.php": core, "sites/default/settings.php": socket})
	s, err := New().ReadSettings(t.Context(), p)
	if err != nil || s.Socket != "/run/x.sock" {
		t.Fatalf("got %+v, %v", s, err)
	}
	s.Socket, s.Host = "", "db2"
	if err := New().WriteSettings(t.Context(), p, s); err != nil {
		t.Fatal(err)
	}
	// Drupal 7 asks isset(), for which an empty socket would be one.
	want := strings.NewReplacer("'localhost'", "'db2'", "'/run/x.sock'", "NULL").Replace(socket)
	if got := text(t, dir, "sites/default/settings.php"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// aegir is in the shape of the settings.php that Aegir makes for cloaked sites.
const aegir = `<?php
if (isset($_SERVER['db_name'])) {
  /** The credentials are kept in the vhost. */
  $databases['default']['default'] = array(
    'driver' => $_SERVER['db_type'],
    'database' => $_SERVER['db_name'],
    'username' => $_SERVER['db_user'],
    'password' => $_SERVER['db_passwd'],
    'host' => $_SERVER['db_host'],
    'port' => (string) $_SERVER['db_port'],
    'prefix' => '',
  );
  $db_url['default'] = $_SERVER['db_type'] . '://' . $_SERVER['db_user'];
}
unset($_SERVER['db_passwd'], $_ENV['db_passwd']);
$profile = "minimal";
if (is_readable('/var/aegir/platforms/d7/sites/a.example/local.settings.php')) {
  include_once('/var/aegir/platforms/d7/sites/a.example/local.settings.php');
}
`

const drushrc = "<?php\n$options['db_type'] = 'mysql';\n$options['db_host'] = 'db1';\n$options['db_port'] = '3306';\n" +
	"$options['db_passwd'] = 'cloaked';\n$options['db_name'] = 'aexample';\n$options['db_user'] = 'aexample';\n$options['packages'] = array('x' => array('y' => 1));\n# end\n"

func TestCloaked(t *testing.T) {
	dir, p := lay(t, "", "", map[string]string{"settings.php": aegir, "drushrc.php": drushrc, "local.settings.php": "<?php $conf['x'] = 1;"})
	s, err := New().ReadSettings(t.Context(), p)
	env := sitekind.EnvNames{Host: "db_host", Port: "db_port", Name: "db_name", User: "db_user", Password: "db_passwd", Driver: "db_type"}
	want := sitekind.Settings{Host: "db1", Port: 3306, Name: "aexample", User: "aexample", Password: sitekind.NewSecret("cloaked"), Env: env}
	if err != nil || s != want || !s.Cloaked() {
		t.Fatalf("got %+v, %v", s, err)
	}
	want.Name, want.User, want.Password = "other", "who", sitekind.NewSecret(`n'e\w`)
	for range 2 {
		if err := New().WriteSettings(t.Context(), p, want); err != nil {
			t.Fatal(err)
		}
	}
	if text(t, dir, "settings.php") != aegir {
		t.Error("settings.php was changed")
	}
	drush := strings.NewReplacer("'cloaked'", `'n\'e\\w'`, "_name'] = 'aexample'", "_name'] = 'other'", "_user'] = 'aexample'", "_user'] = 'who'").Replace(drushrc)
	if got := text(t, dir, "drushrc.php"); got != drush {
		t.Errorf("drushrc.php is\n%s\nwant\n%s", got, drush)
	}
	var pairs []string
	for _, pair := range env.Pairs(want) {
		pairs = append(pairs, pair.Name+"="+pair.Value.Reveal())
	}
	if got := strings.Join(pairs, " "); got != `db_host=db1 db_port=3306 db_name=other db_user=who db_passwd=n'e\w db_type=mysql` {
		t.Errorf("pairs are %s", got)
	}
	if again, err := New().ReadSettings(t.Context(), p); err != nil || again != want {
		t.Errorf("read back %+v, %v", again, err)
	}
}

func TestCloakedWithoutDrush(t *testing.T) {
	_, p := lay(t, "", "", map[string]string{"settings.php": aegir})
	if s, err := New().ReadSettings(t.Context(), p); err != nil || s.Env.Password != "db_passwd" || s.Name != "" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestManySitesInOneCodeBase(t *testing.T) {
	files := map[string]string{"core/lib/Drupal.php": core, "sites/a/settings.php": plain, "sites/b/settings.php": plain}
	_, p := lay(t, "", "", files)
	_, err := New().ReadSettings(t.Context(), p)
	if problemOf(err) != sitekind.Ambiguous || !strings.Contains(err.Error(), "sites/a") || !strings.Contains(err.Error(), "sites/b") {
		t.Errorf("got %v", err)
	}
	_, p = lay(t, "sites/b", ".", files)
	if s, err := New().ReadSettings(t.Context(), p); err != nil || s.Name != "main" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestWhatIsNotDrupal(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"another settings.php": {"settings.php": "<?php $user = 'x';"},
		"nothing":              {"index.html": "x"},
		"binary":               {"settings.php": "\x00"},
	} {
		_, p := lay(t, "", "", files)
		if d, err := New().Detect(t.Context(), p); err != nil || d.Found {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

func TestVersions(t *testing.T) {
	for version, files := range map[string]map[string]string{
		"10.2.3": {"core/lib/Drupal.php": core},
		"7.98":   {"includes/bootstrap.inc": "<?php\ndefine('VERSION', '7.98');"},
		"6.38":   {"includes/bootstrap.inc": "<?php", "modules/system/system.module": "<?php\ndefine('VERSION', '6.38');"},
		"":       {"core/lib/Drupal.php": "<?php class Drupal { const VERSION = X; }"},
	} {
		_, p := lay(t, "", "", files)
		if d, err := New().Detect(t.Context(), p); err != nil || !d.Found || d.Version != version {
			t.Errorf("%q: %+v, %v", version, d, err)
		}
	}
	if a, b := New().CacheHint("7.98"), New().CacheHint("10.2.3"); a == b || !strings.Contains(b, "rebuild") {
		t.Errorf("hints are %q and %q", a, b)
	}
}

func TestPermissions(t *testing.T) {
	dir, p := lay(t, "sites/a", ".", map[string]string{"core/lib/Drupal.php": core, "sites/a/settings.php": plain, "sites/a/local.settings.php": "<?php",
		"sites/a/files/deep/x.txt": "x", "sites/a/private/y": "y", "sites/a/modules/m/m.module": "m"})
	rules, err := New().Rules(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]fs.FileMode{}
	report := func(d sitekind.Drift) error {
		found[d.Path] = d.WantMode
		return sitekind.MendPermission(p, d)
	}
	web := sitekind.WebAccess{GID: os.Getgid()}
	if os.Geteuid() == 0 {
		web.GID = 34567
	}
	if err := sitekind.CheckPermissions(t.Context(), p, rules, web, report); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{
		"sites/a/settings.php": 0o440, "sites/a/local.settings.php": 0o440, "sites/a/files": fs.ModeSetgid | 0o770,
		"sites/a/files/deep": fs.ModeSetgid | 0o770, "sites/a/private": fs.ModeSetgid | 0o770, "sites/a/modules": fs.ModeSetgid | 0o775,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || found[name] != mode || info.Mode()&^fs.ModeDir != mode {
			t.Errorf("%s: reported %v, is %v, want %v (%v)", name, found[name], info.Mode(), mode, err)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Gid) != web.GID {
			t.Errorf("%s does not belong to the web group", name)
		}
	}
	clear(found)
	err = sitekind.CheckPermissions(context.Background(), p, rules, web, report)
	if err != nil || len(found) != 0 {
		t.Errorf("after mending: %v, %v", found, err)
	}
}

func TestPermissionsOfNamedDirectories(t *testing.T) {
	const named = "$settings['file_public_path'] = 'sites/a/media';\n$settings['file_private_path'] = '../private';\n"
	for settings, want := range map[string]string{
		plain + named: "web/sites/a/media private web/sites/a/files web/sites/a/private",
		plain + "$settings['file_public_path'] = '../../..'; $conf['file_private_path'] = 'sites/a';": "web/sites/a/files web/sites/a/private",
		plain + "$settings['file_public_path'] = f(); $settings['file_private_path'] = '/srv/x';":     "web/sites/a/files web/sites/a/private",
		"<?php broken(": "web/sites/a/files web/sites/a/private",
	} {
		_, p := lay(t, "", "web", map[string]string{"web/core/lib/Drupal.php": core, "web/sites/a/settings.php": settings})
		rules, err := New().Rules(t.Context(), p)
		var got []string
		for _, rule := range rules.Modes {
			if rule.Below {
				got = append(got, rule.Path)
			}
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, %v; want %s", settings, got, err, want)
		}
	}
}

// What visitors and administrators would miss is in every backup.
func TestStructureOnly(t *testing.T) {
	if list := New().StructureOnly(); strings.Join(list, " ") != "cache cache_*" {
		t.Errorf("got %v", list)
	}
}
