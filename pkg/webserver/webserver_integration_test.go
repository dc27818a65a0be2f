//go:build integration

package webserver

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	front = `<?php
require __DIR__ . '/wp-config.php';
echo 'front ', DB_NAME, ' ', $_SERVER['REQUEST_URI'], ' ', $_GET['p'] ?? '-', ' ', $_SERVER['HTTP_HOST'], ' ', $_SERVER['HTTP_X_SITEKEEP_PROBE'] ?? 'none';
`
	wpConfig = "<?php define('DB_NAME', '%s');"
)

// wordpressSite lays out a site that is shaped like WordPress.
func (b *bed) wordpressSite(t *testing.T, dir, database string) Site {
	t.Helper()
	for name, text := range map[string]string{
		"index.php":                     front,
		"wp-config.php":                 fmt.Sprintf(wpConfig, database),
		"wp-config.php.bak":             "secret",
		"dump.sql":                      "secret",
		".env":                          "secret",
		".git/config":                   "secret",
		".sitekeep-staging/index.php":   "<?php echo 'secret';",
		"style.css":                     "body {}",
		"about/index.html":              "about",
		"wp-content/uploads/a.txt":      "upload",
		"wp-content/uploads/evil.php":   "<?php echo 'secret';",
		"wp-content/uploads/evil.PHP":   "<?php echo 'secret';",
		"app/uploads/evil.php":          "<?php echo 'secret';", // as in Bedrock
		"wp-content/plugins/x/tool.php": "<?php echo 'tool ', $_SERVER['PATH_INFO'] ?? '';",
		".well-known/acme/x":            "challenge",
	} {
		b.write(t, filepath.Join(dir, name), text)
	}
	return Site{Name: "example.com", Aliases: []string{"www.example.com"}, Kind: "wordpress", PHP: true,
		Docroot: filepath.Join(b.dir, dir), Root: filepath.Join(b.dir, dir)}
}

func TestRealSiteIsServed(t *testing.T) {
	eachReal(t, nil, func(t *testing.T, b *bed) {
		b.serve(t, b.wordpressSite(t, "site", "one"), "t1")
		pages := map[string]string{
			"/":                                  "front one / - example.com none",
			"/2026/11/hello/?p=7":                "front one /2026/11/hello/?p=7 7 example.com none",
			"/index.php?p=8":                     "front one /index.php?p=8 8 example.com none",
			"/style.css":                         "body {}",
			"/about/":                            "about",
			"/wp-content/uploads/a.txt":          "upload",
			"/wp-content/plugins/x/tool.php/a/b": "tool /a/b",
			"/wp-content/plugins/x/tool.php":     "tool ",
			"/.well-known/acme/x":                "challenge",
		}
		for path, want := range pages {
			if r := b.get(t, ProbeRequest{Name: "example.com", Path: path}); r.Status != 200 || string(r.Body) != want || r.Problem != "" {
				t.Errorf("%s: %d %q %s", path, r.Status, r.Body, r.Problem)
			}
		}
		if r := b.get(t, ProbeRequest{Name: "example.com", Host: "www.example.com"}); r.Status != 200 {
			t.Errorf("alias: %d", r.Status)
		}
		if r := b.get(t, ProbeRequest{Name: "other.example"}); r.Status != 421 {
			t.Errorf("another name: %d", r.Status)
		}
		for _, path := range []string{"/wp-config.php.bak", "/dump.sql", "/.env", "/.git/config", "/.sitekeep-staging/index.php",
			"/wp-content/uploads/evil.php", "/app/uploads/evil.php", "/wp-content/uploads/evil.PHP", "/wp-content/uploads/evil.php/x", "/wp-content/uploads/a.txt/x.php",
			"/nothing.php", "/style.css/x.php", "/.sitekeep-maintenance", "/%2egit/config", "//.git/config"} {
			r := b.get(t, ProbeRequest{Name: "example.com", Path: path})
			if r.Status != 404 || strings.Contains(string(r.Body), "secret") {
				t.Errorf("%s: %d %q", path, r.Status, r.Body)
			}
		}
	})
}

func TestRealSiteWithoutPHPShowsNoSource(t *testing.T) {
	eachReal(t, nil, func(t *testing.T, b *bed) {
		site := b.wordpressSite(t, "site", "one")
		site.PHP, site.Kind = false, "generic"
		if _, err := b.WriteVhost(t.Context(), site, "t1"); err != nil {
			t.Fatal(err)
		}
		b.wait(t, site.Name)
		for path, want := range map[string]int{"/index.php": 404, "/wp-config.php": 404, "/wp-config.php/x": 404, "/style.css": 200, "/nothing": 404, "/": 403} {
			if r := b.get(t, ProbeRequest{Name: "example.com", Path: path}); r.Status != want {
				t.Errorf("%s: %d %q", path, r.Status, r.Body)
			}
		}
	})
}

func TestRealExchangeIsSeen(t *testing.T) {
	eachReal(t, nil, func(t *testing.T, b *bed) {
		site := b.wordpressSite(t, "site", "old")
		b.wordpressSite(t, "staging", "new")
		// The same time of modification: only a reset makes PHP read it again.
		stamp := time.Now().Add(-time.Hour)
		for _, dir := range []string{"site", "staging"} {
			if err := os.Chtimes(filepath.Join(b.dir, dir, "wp-config.php"), stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		b.serve(t, site, "t1")
		for range 20 {
			if r := b.get(t, ProbeRequest{Name: "example.com"}); !strings.HasPrefix(string(r.Body), "front old") {
				t.Fatalf("%q", r.Body)
			}
		}
		err := unix.Renameat2(unix.AT_FDCWD, site.Docroot, unix.AT_FDCWD, filepath.Join(b.dir, "staging"), unix.RENAME_EXCHANGE)
		if err != nil {
			t.Fatal(err)
		}
		if r := b.get(t, ProbeRequest{Name: "example.com"}); !strings.HasPrefix(string(r.Body), "front old") {
			t.Fatalf("PHP did not cache the old file, so that this test shows nothing: %q", r.Body)
		}
		if r, err := b.Reload(t.Context()); err != nil || !r.PHP {
			t.Fatalf("%+v, %v", r, err)
		}
		for range 20 {
			if r := b.get(t, ProbeRequest{Name: "example.com"}); !strings.HasPrefix(string(r.Body), "front new") {
				t.Fatalf("after the reload: %q", r.Body)
			}
		}
	})
}

// visit asks as a visitor does, with any method.
func (b *bed) visit(t *testing.T, method, path string, header http.Header) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.listen[0]+path, strings.NewReader("a=b"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "example.com"
	maps.Copy(req.Header, header)
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func TestRealMaintenance(t *testing.T) {
	const page = "<p>custom page of example.com</p>"
	pages := map[string]func(b *bed, t *testing.T) string{
		"built in": func(*bed, *testing.T) string { return "" },
		"custom": func(b *bed, t *testing.T) string {
			b.write(t, "own pages/503 page.html", page)
			return "own pages/503 page.html"
		},
		"custom, gone": func(*bed, *testing.T) string { return "nowhere.html" },
	}
	for name, prepare := range pages {
		t.Run(name, func(t *testing.T) {
			eachReal(t, nil, func(t *testing.T, b *bed) {
				if p := prepare(b, t); p != "" {
					b.cfg.MaintenancePage = filepath.Join(b.dir, p)
				}
				b.serve(t, b.wordpressSite(t, "site", "one"), "t1")
				want := "Down for maintenance"
				if name == "custom" {
					want = page
				}
				b.checkMaintenance(t, want)
			})
		})
	}
}

func (b *bed) checkMaintenance(t *testing.T, want string) {
	t.Helper()
	before, _, _ := b.visit(t, "GET", "/", nil)
	r, err := b.BeginMaintenance(t.Context(), "example.com", "task", time.Minute)
	if err != nil || !r.Ensured || before != 200 {
		t.Fatalf("%+v, %v; before: %d", r, err, before)
	}
	for _, method := range []string{"GET", "POST", "PUT", "HEAD"} {
		for _, path := range []string{"/", "/style.css", "/a/b?c", "/index.php", "/.env"} {
			status, header, body := b.visit(t, method, path, nil)
			if status != 503 || header.Get("Retry-After") != "60" || header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(header.Get("Content-Type"), "text/html") {
				t.Errorf("%s %s: %d %v", method, path, status, header)
			}
			if method != "HEAD" && !strings.Contains(body, want) {
				t.Errorf("%s %s: %q", method, path, body)
			}
		}
	}
	for _, forged := range []string{"x", "", "tmp", "../example.com.conf", strings.Repeat("A", 26), "$sitekeep_pass"} {
		if status, _, _ := b.visit(t, "GET", "/", http.Header{PassHeader: {forged}}); status != 503 {
			t.Errorf("the forged pass %q is let through", forged)
		}
	}
	if r := b.get(t, ProbeRequest{Name: "example.com", AsVisitor: true}); !r.Maintenance || r.Problem == "" || r.RetryAfter != "60" {
		t.Errorf("as a visitor: %+v", r)
	}
	if r := b.get(t, ProbeRequest{Name: "example.com"}); r.Status != 200 || string(r.Body) != "front one / - example.com none" {
		t.Errorf("the probe does not pass maintenance, or PHP sees its pass: %d %q", r.Status, r.Body)
	}
	b.wait(t, "example.com")
	if ended, err := b.EndMaintenance(t.Context(), "example.com", "task"); err != nil || !ended {
		t.Fatal(ended, err)
	}
	if status, _, body := b.visit(t, "GET", "/", nil); status != 200 || !strings.HasPrefix(body, "front one") {
		t.Errorf("after maintenance: %d %q", status, body)
	}
}

func TestRealMaintenanceAllowList(t *testing.T) {
	for allowed, want := range map[string]int{"127.0.0.0/8": 200, "192.0.2.1": 503, "2001:db8::/32": 503} {
		t.Run(allowed, func(t *testing.T) {
			edit := func(c *Config) { c.MaintenanceAllow = []string{allowed, "198.51.100.7"} }
			eachReal(t, edit, func(t *testing.T, b *bed) {
				b.serve(t, b.wordpressSite(t, "site", "one"), "t1")
				second := b.wordpressSite(t, "second", "two")
				second.Name, second.Aliases = "second.example", nil
				b.serve(t, second, "t1") // It shares the list.
				if _, err := b.BeginMaintenance(t.Context(), "example.com", "task", time.Minute); err != nil {
					t.Fatal(err)
				}
				if status, _, _ := b.visit(t, "GET", "/", nil); status != want {
					t.Errorf("got %d", status)
				}
			})
		})
	}
}

func TestRealFailedTestKeepsTheOldFile(t *testing.T) {
	edit := func(c *Config) { c.TemplateDir = filepath.Join(filepath.Dir(c.VhostDir), "templates") }
	eachReal(t, edit, func(t *testing.T, b *bed) {
		site := b.wordpressSite(t, "site", "one")
		b.write(t, "templates/vhost-"+b.cfg.Kind+"-broken.example.tmpl", "no such directive;\n{{template \"maintenance\" .}}")
		broken := site
		broken.Name = "broken.example"
		before := snapshot(t, b.vhosts)
		_, err := b.WriteVhost(t.Context(), broken, "t1")
		e, ok := errors.AsType[*CommandError](err)
		if !ok || e.AlreadyBroken || !strings.Contains(e.Output, "broken.example.conf") {
			t.Fatalf("got %v", err)
		}
		if !maps.Equal(before, snapshot(t, b.vhosts)) {
			t.Error("something is left of it")
		}
		b.serve(t, site, "t2")
		b.write(t, "templates/vhost-"+b.cfg.Kind+"-example.com.tmpl", "no such directive;\n{{template \"maintenance\" .}}")
		before = snapshot(t, b.vhosts)
		if _, err := b.WriteVhost(t.Context(), site, "t3"); err == nil || !maps.Equal(before, snapshot(t, b.vhosts)) {
			t.Errorf("the old virtual host is not what it was: %v", err)
		}
		if r := b.get(t, ProbeRequest{Name: "example.com"}); r.Status != 200 {
			t.Errorf("the site answers %d", r.Status)
		}
		b.write(t, "vhosts/zzz.conf", "garbage;\n")
		if err := os.Remove(filepath.Join(b.dir, "templates/vhost-"+b.cfg.Kind+"-example.com.tmpl")); err != nil {
			t.Fatal(err)
		}
		_, err = b.WriteVhost(t.Context(), site, "t4")
		if e, ok := errors.AsType[*CommandError](err); !ok || !e.AlreadyBroken {
			t.Errorf("a configuration that was broken before: %v", err)
		}
	})
}

func TestRealHostileDocroots(t *testing.T) {
	eachReal(t, nil, func(t *testing.T, b *bed) {
		for i, hostile := range hostileDirectories() {
			name := fmt.Sprintf("site%d.example", i)
			dir := filepath.Join("hostile", fmt.Sprint(i), strings.TrimPrefix(hostile, "/srv/"))
			b.write(t, filepath.Join(dir, "index.php"), "<?php echo 'page ', basename(__DIR__);")
			b.write(t, filepath.Join(dir, "a.txt"), "text")
			site := Site{Name: name, Docroot: filepath.Join(b.dir, dir), PHP: true}
			b.serve(t, site, "t1")
			if r := b.get(t, ProbeRequest{Name: name, Path: "/some/page"}); r.Status != 200 || string(r.Body) != "page "+filepath.Base(dir) {
				t.Errorf("%q: %d %q", dir, r.Status, r.Body)
			}
			if r := b.get(t, ProbeRequest{Name: name, Path: "/a.txt"}); string(r.Body) != "text" {
				t.Errorf("%q: %d %q", dir, r.Status, r.Body)
			}
		}
	})
}

func TestRealReloadPicksUpAndReverts(t *testing.T) {
	eachReal(t, nil, func(t *testing.T, b *bed) {
		one, two := b.wordpressSite(t, "one", "one"), b.wordpressSite(t, "two", "two")
		for i := range 5 { // Again and again: a reload that is believed too early shows up.
			b.serve(t, one, fmt.Sprintf("a%d", i))
			for range 10 {
				if r := b.get(t, ProbeRequest{Name: "example.com"}); !strings.HasPrefix(string(r.Body), "front one") {
					t.Fatalf("%q", r.Body)
				}
			}
			b.serve(t, two, fmt.Sprintf("b%d", i))
			for range 10 {
				if r := b.get(t, ProbeRequest{Name: "example.com"}); !strings.HasPrefix(string(r.Body), "front two") {
					t.Fatalf("%q", r.Body)
				}
			}
			if _, err := b.RevertVhost(t.Context(), "example.com", fmt.Sprintf("b%d", i)); err != nil {
				t.Fatal(err)
			}
			b.wait(t, "example.com")
			if r := b.get(t, ProbeRequest{Name: "example.com"}); !strings.HasPrefix(string(r.Body), "front one") {
				t.Fatalf("after the revert: %q", r.Body)
			}
		}
		if _, err := b.RemoveVhost(t.Context(), "example.com", "c"); err != nil {
			t.Fatal(err)
		}
		gone := func(r ProbeResult) bool { return r.Status == 421 }
		if _, err := b.WaitProbe(t.Context(), ProbeRequest{Name: "example.com"}, gone); err != nil {
			t.Error(err)
		}
	})
}

// TestRealSwitchedSymlinkIsSeen is nginx's alone: only it can hand PHP the real
// path. PHP keeps that of a link for minutes.
func TestRealSwitchedSymlinkIsSeen(t *testing.T) {
	b := newBed(t, realRows()[0], nil)
	site := b.wordpressSite(t, "one", "one")
	b.wordpressSite(t, "two", "two")
	site.Docroot = filepath.Join(b.dir, "current")
	if err := os.Symlink("one", site.Docroot); err != nil {
		t.Fatal(err)
	}
	b.serve(t, site, "t1")
	if r := b.get(t, ProbeRequest{Name: "example.com"}); !strings.HasPrefix(string(r.Body), "front one") {
		t.Fatalf("%q", r.Body)
	}
	next := site.Docroot + ".next"
	if err := errors.Join(os.Symlink("two", next), os.Rename(next, site.Docroot)); err != nil {
		t.Fatal(err)
	}
	if r := b.get(t, ProbeRequest{Name: "example.com"}); !strings.HasPrefix(string(r.Body), "front two") {
		t.Errorf("%q", r.Body)
	}
}
