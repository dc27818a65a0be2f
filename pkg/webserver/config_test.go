package webserver

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestConfigNamesItsMistakes(t *testing.T) {
	good := Config{Kind: "nginx", VhostDir: "/etc/nginx/sitekeep.d", Listen: []string{"80"},
		TestCommand: []string{"nginx", "-t"}, ReloadCommand: []string{"nginx", "-s", "reload"}}
	if _, err := New(good, Deps{}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		field string
		edit  func(*Config)
	}{
		{"kind", func(c *Config) { c.Kind = "iis" }},
		{"vhost_dir", func(c *Config) { c.VhostDir = "" }},
		{"vhost_dir", func(c *Config) { c.VhostDir = "relative" }},
		{"vhost_dir", func(c *Config) { c.VhostDir = "/a/../b" }},
		{"listen", func(c *Config) { c.Listen = nil }},
		{"listen", func(c *Config) { c.Listen = []string{"80", "80"} }},
		{"listen", func(c *Config) { c.Listen = []string{"80 default_server"} }},
		{"listen", func(c *Config) { c.Listen = []string{"0"} }},
		{"listen", func(c *Config) { c.Listen = []string{"65536"} }},
		{"listen", func(c *Config) { c.Listen = []string{"::1:80"} }},
		{"listen", func(c *Config) { c.Listen = []string{"80; include /etc/passwd"} }},
		{"listen", func(c *Config) { c.Listen = []string{"example.com:80"} }},
		{"test_command", func(c *Config) { c.TestCommand = nil }},
		{"reload_command", func(c *Config) { c.ReloadCommand = []string{""} }},
		{"php_fpm", func(c *Config) { c.PHPFPM = "unix:run/php.sock" }},
		{"php_fpm", func(c *Config) { c.PHPFPM = "localhost:9000" }},
		{"template_dir", func(c *Config) { c.TemplateDir = "templates" }},
		{"maintenance_page", func(c *Config) { c.MaintenancePage = "503.html" }},
		{"maintenance_allow", func(c *Config) { c.MaintenanceAllow = []string{"10.0.0.0/8", "any"} }},
	}
	for _, c := range tests {
		cfg := good
		c.edit(&cfg)
		if _, err := New(cfg, Deps{}); err == nil || !strings.Contains(err.Error(), c.field+": ") {
			t.Errorf("%s: got %v", c.field, err)
		}
	}
	_, err := New(Config{}, Deps{})
	for _, field := range []string{"kind", "vhost_dir", "listen", "test_command", "reload_command"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("an empty configuration does not name %s: %v", field, err)
		}
	}
}

func TestListen(t *testing.T) {
	tests := []struct{ entry, written, dialled string }{
		{"80", "80", "127.0.0.1:80"},
		{"*:8080", "8080", "127.0.0.1:8080"},
		{"127.0.0.11:8080", "127.0.0.11:8080", "127.0.0.11:8080"},
		{"0.0.0.0:80", "0.0.0.0:80", "127.0.0.1:80"},
		{"[::]:80", "[::]:80", "[::1]:80"},
		{"[2001:db8::1]:81", "[2001:db8::1]:81", "[2001:db8::1]:81"},
	}
	for _, c := range tests {
		l, err := parseListen(c.entry)
		if err != nil || l.String() != c.written || l.dial() != c.dialled {
			t.Errorf("%s: %s, %s, %v", c.entry, l, l.dial(), err)
		}
	}
}

// hostileDirectories are names that end a value where it is not quoted.
func hostileDirectories() []string {
	return []string{
		"/srv/with space", "/srv/a;b", "/srv/{a}", `/srv/"quoted"`, "/srv/it's", `/srv/back\slash`, `/srv/end\`, `/srv/\"`,
		"/srv/#a", "/srv/ünï", "/srv/a; root /etc; #", `/srv/a"; root "/etc`, "/srv/%n", "/srv/<a>", "/srv/~^(.*)",
		"/srv/\xff", "/srv/{{.FPM}}", "/srv/a\\nb",
	}
}

func TestHostileDocroots(t *testing.T) {
	eachKind(t, func(t *testing.T, row kindRow, b *bench) {
		for _, dir := range hostileDirectories() {
			site := b.site()
			site.Docroot = dir
			text, err := b.RenderVhost(site)
			if err != nil {
				t.Errorf("%q: %v", dir, err)
				continue
			}
			if got := rootOf(t, row, string(text)); got != dir {
				t.Errorf("%q is written as %q", dir, got)
			}
		}
		for _, dir := range []string{"/srv/${a}", "/srv/a\nb", "/srv/a\rb", "/srv/a\x00b", "/srv/\x7f", "relative", "/", "/a/../b", "/a/", ""} {
			site := b.site()
			site.Docroot = dir
			if text, err := b.RenderVhost(site); err == nil {
				t.Errorf("%q is accepted:\n%s", dir, text)
			}
		}
	})
}

// rootOf reads the docroot out of a virtual host. No hostile directory has a
// newline, so that it is one line.
func rootOf(t *testing.T, row kindRow, text string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), row.docroot+" "); ok {
			return row.unquote(strings.TrimSuffix(rest, ";"))
		}
	}
	t.Fatal("no docroot")
	return ""
}

func TestSitesThatCannotBeRendered(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		site := b.site()
		site.Kind = "a;b"
		if _, err := b.RenderVhost(site); err == nil {
			t.Error("a hostile kind is accepted")
		}
		site = b.site()
		site.Root = "relative"
		if _, err := b.RenderVhost(site); err == nil {
			t.Error("a relative root is accepted")
		}
		b.cfg.PHPFPM = ""
		if _, err := b.RenderVhost(b.site()); err == nil || !strings.Contains(err.Error(), "php_fpm") {
			t.Errorf("PHP without php-fpm: %v", err)
		}
	})
}

func TestTemplatesAreOverridden(t *testing.T) {
	eachKind(t, func(t *testing.T, row kindRow, _ *bench) {
		dir := t.TempDir()
		b := newBench(t, row.name, func(c *Config) { c.TemplateDir = dir })
		render := func() string {
			t.Helper()
			text, err := b.RenderVhost(b.site())
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		embedded := render()
		put(t, dir, "vhost-"+row.name+".tmpl", `# everybody {{quote "a b"}} {{join .ServerNames ","}}{{template "maintenance" .}}`)
		server := render()
		if !strings.Contains(server, `# everybody "a b" example.com`) || server == embedded {
			t.Errorf("the server's template is not used:\n%s", server)
		}
		put(t, dir, "vhost-"+row.name+"-example.com.tmpl", `# mine {{.Docroot}}{{template "maintenance" .}}`)
		if site := render(); !strings.Contains(site, `# mine "/var/www/example.com"`) {
			t.Errorf("the site's template is not used:\n%s", site)
		}
		for _, bad := range []string{"server {}", "{{.FlagFile}}", "{{.MarkerPath}}", "{{.Nothing}}", "{{", strings.Repeat("x", maxRendered+1) + `{{template "maintenance" .}}`} {
			put(t, dir, "vhost-"+row.name+"-example.com.tmpl", bad)
			if _, err := b.RenderVhost(b.site()); err == nil || !strings.Contains(err.Error(), "vhost-"+row.name+"-example.com.tmpl") {
				t.Errorf("%.20q: got %v", bad, err)
			}
		}
	})
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGenerationTellsInputsApart(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		one, err1 := b.RenderVhost(b.site())
		same, err2 := b.RenderVhost(b.site())
		other := b.site()
		other.Aliases = []string{"www.example.com", "EXAMPLE.com", "*.example.org"}
		two, err3 := b.RenderVhost(other)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if string(one) != string(same) || readSeal(one).Generation == readSeal(two).Generation {
			t.Error("the generation does not follow the inputs")
		}
		two = regexp.MustCompile(`\n\s*ServerAlias`).ReplaceAll(two, nil)
		if !strings.Contains(string(two), " example.com www.example.com *.example.org\n") && !strings.Contains(string(two), " example.com www.example.com *.example.org;\n") {
			t.Errorf("names are missing or double:\n%s", two)
		}
	})
}
