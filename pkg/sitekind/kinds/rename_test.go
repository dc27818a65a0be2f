package kinds

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/moved"
)

// renamings are settings before and after a site got another name and place, by kind.
var renamings = []struct {
	name, kind, before, after string
	files                     map[string]string
	changed                   []string
	settings                  string
}{
	{
		name: "wordpress", kind: "wordpress", settings: "wp-config.php", files: map[string]string{"wp-load.php": "<?php"},
		before: "<?php\ndefine('DB_NAME', 'old.example');\ndefine('WP_HOME', 'https://old.example'); // https://old.example\ndefine('WP_SITEURL', 'http://' . $_SERVER['HTTP_HOST']);\n" +
			"define('DOMAIN_CURRENT_SITE', 'old.example');\nif ($x) { define('WP_CONTENT_URL', 'https://old.example/c'); }\ndefine('WP_CONTENT_DIR', '/srv/old/c');\n",
		after: "<?php\ndefine('DB_NAME', 'old.example');\ndefine('WP_HOME', 'https://new.example'); // https://old.example\ndefine('WP_SITEURL', 'http://' . $_SERVER['HTTP_HOST']);\n" +
			"define('DOMAIN_CURRENT_SITE', 'new.example');\nif ($x) { define('WP_CONTENT_URL', 'https://old.example/c'); }\ndefine('WP_CONTENT_DIR', '/srv/new/c');\n",
		changed: []string{"DOMAIN_CURRENT_SITE", "WP_CONTENT_DIR", "WP_HOME"},
	},
	{
		name: "drupal 7", kind: "drupal", settings: "settings.php",
		before: "<?php\n$databases = array('default' => array('default' => array('database' => 'd', 'driver' => 'mysql')));\n" +
			"$base_url = 'http://old.example';\n# $base_url = 'http://old.example';\n$conf['file_private_path'] = '/srv/old/private';\n",
		after: "<?php\n$databases = array('default' => array('default' => array('database' => 'd', 'driver' => 'mysql')));\n" +
			"$base_url = 'http://new.example';\n# $base_url = 'http://old.example';\n$conf['file_private_path'] = '/srv/new/private';\n",
		changed: []string{"$base_url", "$conf file_private_path"},
	},
	{
		name: "drupal 10", kind: "drupal", settings: "settings.php",
		before: "<?php\n$databases['default']['default'] = ['database' => 'd', 'driver' => 'mysql'];\n" +
			"$settings['trusted_host_patterns'] = ['^old\\.example$', '^.+\\.old\\.example$', '^www\\.old\\.example$'];\n",
		after: "<?php\n$databases['default']['default'] = ['database' => 'd', 'driver' => 'mysql'];\n" +
			"$settings['trusted_host_patterns'] = ['^new\\\\.example$', '^.+\\.old\\.example$', '^www\\\\.new\\\\.example$'];\n",
		changed: []string{"$settings trusted_host_patterns 0", "$settings trusted_host_patterns 2"},
	},
	{
		name: "laravel", kind: "dotenv", settings: ".env",
		files: map[string]string{"artisan": "", "bootstrap/cache/config.php": "<?php return array('app' => array('url' => 'http://old.example'), 'view' => array('/srv/old/views'), " +
			"'database' => array('default' => 'mysql', 'connections' => array('mysql' => array('driver' => 'mysql', 'database' => 'd'))));\n"},
		before:  "APP_URL=http://old.example\nDB_DATABASE=d\nSESSION_DOMAIN=.old.example # old.example\nMAIL=me@old.example\n",
		after:   "APP_URL=http://new.example\nDB_DATABASE=d\nSESSION_DOMAIN=.new.example # old.example\nMAIL=me@old.example\n",
		changed: []string{"APP_URL", "SESSION_DOMAIN", "bootstrap/cache/config.php (removed)"},
	},
	{
		name: "symfony", kind: "dotenv", settings: ".env", files: map[string]string{"bin/console": ""},
		before:  "DATABASE_URL=mysql://u:p@h/old.example\nDEFAULT_URI=https://old.example/x\n",
		after:   "DATABASE_URL=mysql://u:p@h/old.example\nDEFAULT_URI=https://new.example/x\n",
		changed: []string{"DEFAULT_URI"},
	},
}

func TestRewriteSettings(t *testing.T) {
	move := moved.Move{
		Names: []moved.Pair{{Old: "old.example", New: "new.example"}, {Old: "www.old.example", New: "www.new.example"}},
		Paths: []moved.Pair{{Old: "/srv/old", New: "/srv/new"}},
	}
	for _, c := range renamings {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
			}
			write(c.settings, c.before)
			for name, text := range c.files {
				write(name, text)
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			kind, err := ByName(c.kind)
			if err != nil {
				t.Fatal(err)
			}
			place := sitekind.Place{Root: root}
			changed, err := kind.(sitekind.Renamer).RewriteSettings(ctx(t), place, move.Rewriter().Rewrite)
			if got, _ := os.ReadFile(filepath.Join(dir, c.settings)); err != nil || string(got) != c.after || !slices.Equal(changed, c.changed) {
				t.Errorf("%v, changed %q:\n%s", err, changed, got)
			}
			for _, name := range changed {
				if name, gone := strings.CutSuffix(name, " (removed)"); gone {
					if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
						t.Errorf("%s is still there", name)
					}
				}
			}
			if changed, err := kind.(sitekind.Renamer).RewriteSettings(ctx(t), place, move.Rewriter().Rewrite); err != nil || len(changed) > 0 {
				t.Errorf("a second time: %q, %v", changed, err)
			}
		})
	}
}
