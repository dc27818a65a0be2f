package webserver

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestSitesNameTheirMistakes(t *testing.T) {
	tls := SiteConfig{Name: "example.com", TLSCertificate: "/c.pem", TLSKey: "/k.pem"}
	tests := map[string]func(*Config){
		"mod_php: ":                  func(c *Config) { c.ModPHP = true },
		"sites[0].name: ":            func(c *Config) { c.Sites = []SiteConfig{{Name: "../x"}} },
		"sites[1].name: ":            func(c *Config) { c.Sites = []SiteConfig{{Name: "a"}, {Name: "a"}} },
		"sites[0].tls_key: ":         func(c *Config) { c.Sites = []SiteConfig{{Name: "a", TLSCertificate: "/c.pem"}} },
		"sites[0].tls_certificate: ": func(c *Config) { c.Sites = []SiteConfig{tls} },
		"sites[0].https_redirect: ":  func(c *Config) { c.Sites = []SiteConfig{{Name: "a", HTTPSRedirect: true}} },
		"listen_tls: ":               func(c *Config) { c.ListenTLS = []string{"https"} },
	}
	for field, edit := range tests {
		cfg := Config{Kind: "nginx", VhostDir: "/v", Listen: []string{"80"}, TestCommand: []string{"t"}, ReloadCommand: []string{"r"}}
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		edit(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	both := Config{Kind: "apache", VhostDir: "/v", Listen: []string{"80"}, TestCommand: []string{"t"}, ReloadCommand: []string{"r"}, ModPHP: true}
	if err := both.Validate(); err != nil {
		t.Error(err)
	}
	if both.PHPFPM = "127.0.0.1:9000"; both.Validate() == nil {
		t.Error("mod_php and php_fpm are both accepted")
	}
}

func TestEnvironmentIsKeptSecret(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		const secret = `pass"word\5`
		site := b.site()
		if _, err := b.WriteVhost(t.Context(), site, "t1"); err != nil {
			t.Fatal(err)
		}
		open, err := b.RenderVhost(site)
		if err != nil {
			t.Fatal(err)
		}
		site.Env = []EnvVar{{Name: "DB_PASSWORD", Value: secret}}
		if _, err := b.WriteVhost(t.Context(), site, "t2"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"example.com.conf", keyFile} {
			info, err := os.Stat(b.dir + "/" + name)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
		first := readSeal([]byte(b.read(t))).Generation
		site.Env[0].Value = "other"
		other, err := b.RenderVhost(site)
		if g := readSeal(other).Generation; err != nil || g == first || g == readSeal(open).Generation {
			t.Errorf("the generation does not follow the environment (%v)", err)
		}
		if shown := fmt.Sprintf("%v %+v %#v", site, site, site); strings.Contains(shown, "other") {
			t.Errorf("printing shows it: %s", shown)
		}
		if r, err := b.WriteVhost(t.Context(), b.site(), "t3"); err != nil || !r.Changed {
			t.Errorf("%+v, %v", r, err)
		}
		if info, err := os.Stat(b.conf()); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("without an environment: %v, %v", info.Mode(), err)
		}
	})
}

func TestFailedCommandsDoNotShowTheEnvironment(t *testing.T) {
	env := []EnvVar{{Name: "A", Value: `se"cret`}, {Name: "B", Value: ""}}
	err := hideEnv(&CommandError{What: whatTest, Output: `se"cret and se\"cret in line 3`, Err: errors.New("status 1")}, env)
	if strings.Contains(err.Error(), "cret") || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v", err)
	}
}

func TestWriteVhostHidesTheEnvironmentOfAFailedTest(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		b.runner.fail = func(string) error { return errors.New("exit status 1") }
		site := b.site()
		site.Env = []EnvVar{{Name: "A", Value: "output of"}} // What the command says.
		_, err := b.WriteVhost(t.Context(), site, "t1")
		if err == nil || strings.Contains(err.Error(), "output of") || !strings.Contains(err.Error(), "(hidden) test") {
			t.Errorf("got %v", err)
		}
	})
}

func TestEnvironmentsThatAreRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		for _, env := range [][]EnvVar{{{Name: "a b"}}, {{Name: ""}}, {{Name: "HTTP_PROXY"}}, {{Name: "A"}, {Name: "A"}}, {{Name: "A", Value: "secret\x00"}}} {
			site := b.site()
			site.Env = env
			if _, err := b.RenderVhost(site); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: got %v", env[0].Name, err)
			}
		}
	})
}
