package wordpress

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

func bedrockSite(files map[string]string) map[string]string {
	all := map[string]string{"web/wp/wp-load.php": "<?php", "web/wp-config.php": "<?php require_once dirname(__DIR__) . '/config/application.php';\n", "config/application.php": "<?php"}
	maps.Copy(all, files)
	return all
}

const envText = "DB_NAME=d\nDB_USER=u\nDB_PASSWORD='p'\nWP_HOME=http://old.example\nWP_SITEURL=${WP_HOME}/wp\n"

func TestSettingsOfBedrock(t *testing.T) {
	tests := map[string]struct {
		files   map[string]string
		address string
		name    string
	}{
		"no address":      {map[string]string{".env": envText}, "localhost", "d"},
		"with a port":     {map[string]string{".env": envText + "DB_HOST=db1:3307\n"}, "db1:3307", "d"},
		"with a socket":   {map[string]string{".env": envText + "DB_HOST=localhost:/run/my.sock\n"}, "localhost:/run/my.sock", "d"},
		"the local one":   {map[string]string{".env": envText, ".env.local": "DB_NAME=local\n"}, "localhost", "local"},
		"in one variable": {map[string]string{".env": envText + "DATABASE_URL=mysql://u2:p2@db3:3308/url\n"}, "db3:3308", "url"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			p := lay(t, "web", bedrockSite(c.files))
			s, err := New().ReadSettings(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if at, _ := sitekind.FormatAddress(s.Host, s.Port, s.Socket); at != c.address || s.Name != c.name || s.Prefix != "wp_" || s.Charset != "utf8mb4" {
				t.Errorf("got %+v at %s", s, at)
			}
			want := sitekind.Settings{Host: "10.0.0.9", Port: 3310, Name: "new", User: "new", Password: sitekind.NewSecret("Rk3"), Prefix: "wp_", Charset: "utf8mb4"}
			if err := New().WriteSettings(t.Context(), p, want); err != nil && s.Socket == "" {
				t.Fatal(err)
			}
			if got, err := New().ReadSettings(t.Context(), p); err != nil || got != want {
				t.Errorf("read back %+v, %v", got, err)
			}
		})
	}
}

func TestBedrockIsRefusedClearly(t *testing.T) {
	tests := map[string]struct {
		docroot string
		files   map[string]string
		problem sitekind.Problem
		words   string
	}{
		"the docroot alone":   {"", map[string]string{"wp/wp-load.php": "<?php", "wp-config.php": "<?php require dirname(__DIR__) . '/config/application.php';"}, sitekind.Missing, "the directory above the docroot"},
		"no file":             {"web", bedrockSite(nil), sitekind.Missing, "there is no such file"},
		"no database":         {"web", bedrockSite(map[string]string{".env": "WP_ENV=production\n"}), sitekind.Missing, "is not there"},
		"percent signs":       {"web", bedrockSite(map[string]string{".env": "DATABASE_URL=mysql://u:p%40@db/d\n"}), sitekind.NotLiteral, "does not decode"},
		"an address of none":  {"web", bedrockSite(map[string]string{".env": envText + "DB_HOST=a:b\n"}), sitekind.Broken, "DB_HOST"},
		"a computed name":     {"web", bedrockSite(map[string]string{".env": "DB_NAME=${X}\nDB_USER=u\nDB_PASSWORD=p\n"}), sitekind.NotLiteral, ".env line 1"},
		"constants elsewhere": {"web", bedrockSite(map[string]string{"web/wp-config.php": "<?php define('DB_NAME', getenv('X'));"}), sitekind.Missing, ".env"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			p := lay(t, c.docroot, c.files)
			_, err := New().ReadSettings(t.Context(), p)
			if e, ok := errors.AsType[*sitekind.SettingsError](err); !ok || e.Problem != c.problem || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWhatBedrockCannotBeToldIsRefused(t *testing.T) {
	p := lay(t, "web", bedrockSite(map[string]string{".env": "DATABASE_URL=mysql://u:p@db/d\n"}))
	err := New().WriteSettings(t.Context(), p, sitekind.Settings{Host: "db", Name: "d", User: "u", Password: sitekind.NewSecret("p@q")})
	if e, ok := errors.AsType[*sitekind.SettingsError](err); !ok || e.Problem != sitekind.Unwritable {
		t.Errorf("got %v", err)
	}
	if text, err := sitekind.ReadFile(p, ".env"); err != nil || string(text) != "DATABASE_URL=mysql://u:p@db/d\n" {
		t.Errorf("the file is %s, %v", text, err)
	}
}

func TestBedrockHasItsAddressRewritten(t *testing.T) {
	p := lay(t, "web", bedrockSite(map[string]string{".env": envText}))
	changed, err := New().RewriteSettings(t.Context(), p, func(v string) (string, bool) {
		return strings.ReplaceAll(v, "old.example", "new.example"), strings.Contains(v, "old.example")
	})
	text, readErr := sitekind.ReadFile(p, ".env")
	if err := errors.Join(err, readErr); err != nil || !slices.Equal(changed, []string{"WP_HOME", "WP_SITEURL"}) ||
		string(text) != strings.NewReplacer("old.example", "new.example", "${WP_HOME}", "http://new.example").Replace(envText) {
		t.Errorf("changed %q, %v:\n%s", changed, err, text)
	}
}
