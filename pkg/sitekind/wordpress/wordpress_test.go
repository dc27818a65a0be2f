package wordpress

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

func lay(t *testing.T, docroot string, files map[string]string) sitekind.Place {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return sitekind.Place{Root: root, Docroot: docroot}
}

func config(name string) string {
	return "<?php define('DB_NAME','" + name + "'); define('DB_USER','u'); define('DB_PASSWORD','p'); define('DB_HOST','[::1]:3307'); $table_prefix = getenv('P');"
}

func TestWhereWordPressLooksForItsConfig(t *testing.T) {
	const core = "<?php"
	tests := []struct {
		name, docroot string
		files         map[string]string
		want          string // the database's name; "" for Missing
	}{
		{"in the docroot", "", map[string]string{"wp-load.php": core, "wp-config.php": config("in")}, "in"},
		{"above", "web", map[string]string{"web/wp-load.php": core, "wp-config.php": config("above")}, "above"},
		{"both", "web", map[string]string{"web/wp-load.php": core, "web/wp-config.php": config("in"), "wp-config.php": config("above")}, "in"},
		{"above is another WordPress", "blog", map[string]string{"blog/wp-load.php": core, "wp-config.php": config("other"), "wp-settings.php": core}, ""},
		{"in a directory of its own", "", map[string]string{"wp/wp-load.php": core, "wp-config.php": config("above")}, "above"},
		{"within that directory", "", map[string]string{"wordpress/wp-load.php": core, "wordpress/wp-config.php": config("in")}, "in"},
		{"the core is gone", "web", map[string]string{"web/index.php": core, "wp-config.php": config("above")}, "above"},
		{"two levels above", "a/web", map[string]string{"a/web/wp-load.php": core, "wp-config.php": config("far")}, ""},
		{"nowhere", "", map[string]string{"wp-load.php": core}, ""},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			p := lay(t, c.docroot, c.files)
			s, err := New().ReadSettings(t.Context(), p)
			e, missing := errors.AsType[*sitekind.SettingsError](err)
			if s.Name != c.want || missing != (c.want == "") || missing && e.Problem != sitekind.Missing {
				t.Errorf("got %q, %v", s.Name, err)
			}
			rules, err := New().Rules(t.Context(), p)
			if err != nil || (len(rules.Settings) == 1) != (c.want != "") {
				t.Errorf("rules %+v, %v", rules, err)
			}
		})
	}
}

func TestAddressOfSixAndComputedPrefix(t *testing.T) {
	p := lay(t, "", map[string]string{"wp-config.php": config("a")})
	s, err := New().ReadSettings(t.Context(), p)
	if err != nil || s.Host != "::1" || s.Port != 3307 || s.Prefix != "" || s.Charset != "" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestSettingsElsewhereAreRefusedClearly(t *testing.T) {
	tests := map[string]struct {
		text    string
		problem sitekind.Problem
		words   string
	}{
		"included":    {"<?php\nrequire '/etc/wordpress/config.php';\n", sitekind.Missing, "DB_NAME"},
		"environment": {"<?php\ndefine('DB_NAME', getenv('DB'));", sitekind.NotLiteral, "line 2"},
		"conditional": {"<?php\nif (X) {\n define('DB_NAME', 'a');\n} else {\n define('DB_NAME', 'b'); }", sitekind.Ambiguous, "line 3"},
		"address":     {strings.Replace(config("a"), "[::1]:3307", "a:b", 1), sitekind.Broken, "DB_HOST"},
	}
	for name, c := range tests {
		p := lay(t, "", map[string]string{"wp-config.php": c.text})
		_, err := New().ReadSettings(t.Context(), p)
		e, ok := errors.AsType[*sitekind.SettingsError](err)
		if !ok || e.Problem != c.problem || e.File != "wp-config.php" || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAddressInAnotherFormIsKept(t *testing.T) {
	text := strings.Replace(config("a"), "[::1]:3307", "[::1]", 1)
	p := lay(t, "", map[string]string{"wp-config.php": text})
	s := sitekind.Settings{Host: "::1", Name: "a", User: "u", Password: sitekind.NewSecret("new")}
	if err := New().WriteSettings(t.Context(), p, s); err != nil {
		t.Fatal(err)
	}
	data, err := sitekind.ReadFile(p, "wp-config.php")
	if want := strings.Replace(text, "'p'", "'new'", 1); err != nil || string(data) != want {
		t.Errorf("got %s, %v", data, err)
	}
	s.Host = "a:b"
	err = New().WriteSettings(t.Context(), p, s)
	if e, ok := errors.AsType[*sitekind.SettingsError](err); !ok || e.Problem != sitekind.Unwritable {
		t.Errorf("a host that cannot be written: %v", err)
	}
}

func TestDetectOnOtherSites(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"empty": {}, "drupal": {"core/lib/Drupal.php": "<?php", "sites/default/settings.php": "<?php"}, "a directory that is a file": {"wp": "x"},
	} {
		if d, err := New().Detect(t.Context(), lay(t, "", files)); err != nil || d.Found {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	d, err := New().Detect(t.Context(), lay(t, "", map[string]string{"wp-includes/version.php": "<?php broken '"}))
	if err != nil || !d.Found || d.Version != "" {
		t.Errorf("a broken version file: %+v, %v", d, err)
	}
}
