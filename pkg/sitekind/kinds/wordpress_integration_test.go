//go:build integration

package kinds

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/wordpress"
)

// TestRealWordPress reads and writes the configuration that comes with
// WordPress, and has PHP confirm what was written.
func TestRealWordPress(t *testing.T) {
	const installed = "/usr/share/wordpress"
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "wp-includes"), 0o755); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"wp-config-sample.php": "wp-config.php", "wp-includes/version.php": "wp-includes/version.php"} {
		data, err := os.ReadFile(filepath.Join(installed, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	p, kind := sitekind.Place{Root: root}, wordpress.New()
	d, err := kind.Detect(t.Context(), p)
	if err != nil || !d.Found || d.Version == "" {
		t.Fatalf("%+v, %v", d, err)
	}
	s, err := kind.ReadSettings(t.Context(), p)
	want := sitekind.Settings{Host: "localhost", Name: "database_name_here", User: "username_here",
		Password: sitekind.NewSecret("password_here"), Prefix: "wp_", Charset: "utf8"}
	if err != nil || s != want {
		t.Errorf("read %+v, %v", s, err)
	}
	for _, password := range hostile() {
		s.Password, s.Name, s.Host, s.Port = sitekind.NewSecret(password), "other", "::1", 3307
		if err := kind.WriteSettings(t.Context(), p, s); err != nil {
			t.Fatal(err)
		}
		// What follows the constants loads WordPress, which is not there.
		if err := os.WriteFile(filepath.Join(dir, "wp-settings.php"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "php", "-n", "-r",
			"require $argv[1]; echo DB_NAME, DB_HOST, $table_prefix, DB_PASSWORD;", filepath.Join(dir, "wp-config.php")).Output()
		if err != nil || string(out) != "other[::1]:3307wp_"+password {
			t.Errorf("PHP reads %q, %v", out, err)
		}
	}
}
