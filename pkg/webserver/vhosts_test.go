package webserver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// reading has a main configuration file that includes the directory of virtual hosts.
func reading(t *testing.T, kind string, more func(*Config)) *bench {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "main.conf")
	b := newBench(t, kind, func(c *Config) {
		c.ConfigFile = conf
		if more != nil {
			more(c)
		}
	})
	text := b.kind.Include(filepath.Join(b.dir, "*.conf")) + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestManagedVhostsAreReadBack: what is written is what is found, an environment with every byte in it.
func TestManagedVhostsAreReadBack(t *testing.T) {
	values := []string{"plain", "", "a b", `"quoted"`, `back\slash\\`, "$", "${x}", "a$b{c}", "it's", "#;{}", "</VirtualHost>", "%{X}", `\"`, `\$`}
	for _, row := range kindRows() {
		t.Run(row.name, func(t *testing.T) {
			b := reading(t, row.name, nil)
			site := b.site()
			site.Aliases, site.Docroot = []string{"www.example.com", "*.example.org"}, "/var/www/with space's [x]"
			want := map[string]string{}
			for i, v := range values {
				name := fmt.Sprintf("V%d", i)
				site.Env = append(site.Env, EnvVar{name, v})
				want[name] = v
			}
			if _, err := b.WriteVhost(t.Context(), site, "t"); err != nil {
				t.Fatal(err)
			}
			vhosts, warnings := b.Vhosts()
			if len(vhosts) != 1 || len(warnings) != 1 || !strings.Contains(warnings[0], "*.example.org") {
				t.Fatalf("%v, %q", vhosts, warnings)
			}
			v := vhosts[0]
			if !v.Managed || v.File != b.conf() || v.Docroot != site.Docroot || !slices.Equal(v.Names, []string{"example.com", "www.example.com"}) {
				t.Errorf("read back %v", v)
			}
			for _, e := range v.Env {
				if text, ok := want[e.Name]; ok && text != e.Value {
					t.Errorf("%s is %q, not %q", e.Name, e.Value, text)
				}
				delete(want, e.Name)
			}
			if len(want) > 0 {
				t.Errorf("not read back: %v", want)
			}
			if strings.Contains(fmt.Sprintf("%v %+v", vhosts, vhosts), `"quoted"`) {
				t.Error("a value is printed")
			}
		})
	}
}

// TestForeignVhostsAreNotManaged: only a file of ours in our directory is.
func TestForeignVhostsAreNotManaged(t *testing.T) {
	eachKind(t, func(t *testing.T, row kindRow, _ *bench) {
		b := reading(t, row.name, nil)
		text, err := b.RenderVhost(b.site())
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := filepath.Join(t.TempDir(), "example.com.conf")
		main := b.kind.Include(elsewhere) + "\n"
		if err := os.WriteFile(elsewhere, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.cfg.ConfigFile, []byte(main), 0o644); err != nil {
			t.Fatal(err)
		}
		if vhosts, _ := b.Vhosts(); len(vhosts) != 1 || vhosts[0].Managed {
			t.Errorf("elsewhere: %v", vhosts)
		}
	})
}

// TestTheVhostOfPHPIsNoSite: it is for the agent's own questions.
func TestTheVhostOfPHPIsNoSite(t *testing.T) {
	b := reading(t, "apache", nil)
	text, err := b.renderPHPVhost()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, phpVhostFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if vhosts, warnings := b.Vhosts(); len(vhosts)+len(warnings) > 0 || !strings.Contains(string(text), phpVhostName) {
		t.Errorf("%v, %q", vhosts, warnings)
	}
}

func TestCompareVhost(t *testing.T) {
	eachKind(t, func(t *testing.T, _ kindRow, b *bench) {
		compare := func(site Site, reason string, lines ...string) {
			t.Helper()
			before := snapshot(t, b.dir)
			drift, err := b.CompareVhost(site)
			if err != nil || !strings.Contains(drift.Reason, reason) || (drift.Reason == "") != (reason == "") {
				t.Errorf("%q: %+v, %v", reason, drift, err)
			}
			for _, line := range lines {
				if !slices.ContainsFunc(drift.Lines, func(l string) bool { return strings.Contains(l, line) }) {
					t.Errorf("no line with %q: %q", line, drift.Lines)
				}
			}
			if after := snapshot(t, b.dir); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("%q: something was changed", reason)
			}
			if ran := b.runner.take(); len(ran) > 0 {
				t.Errorf("%q: ran %v", reason, ran)
			}
		}
		write := func(site Site) {
			t.Helper()
			if _, err := b.WriteVhost(t.Context(), site, "t"); err != nil {
				t.Fatal(err)
			}
			b.runner.take()
		}
		site := b.site()
		compare(site, "there is no virtual host")
		secret := site
		secret.Env = []EnvVar{{"P", "s3cr3t"}}
		compare(secret, "does not give PHP the environment")
		write(site)
		compare(site, "")
		site.Docroot = "/var/www/elsewhere"
		compare(site, "differs from what the template", "- ", "+ ", "/var/www/elsewhere")
		write(secret)
		compare(secret, "")
		secret.Env = []EnvVar{{"P", "n3w"}}
		drift, err := b.CompareVhost(secret)
		if text := strings.Join(drift.Lines, "\n"); err != nil || drift.Reason == "" || strings.Contains(text, "s3cr3t") || strings.Contains(text, "n3w") {
			t.Errorf("a value is shown: %+v, %v", drift, err)
		}
		if err := os.Chmod(b.conf(), 0o644); err != nil {
			t.Fatal(err)
		}
		secret.Env[0].Value = "s3cr3t"
		compare(secret, "mode 0644 in place of 0600")
		b.put(t, "server {}", 0o644)
		compare(site, "will be left as it is")
	})
}

func TestCheckTemplates(t *testing.T) {
	eachKind(t, func(t *testing.T, row kindRow, _ *bench) {
		dir := t.TempDir()
		b := newBench(t, row.name, func(c *Config) { c.TemplateDir = dir })
		good := `{{join .ServerNames ","}}{{template "maintenance" .}}`
		put(t, dir, "vhost-"+row.name+".tmpl", good)
		put(t, dir, "vhost-"+row.name+"-a.example.tmpl", good)
		put(t, dir, "vhost-other.tmpl", "{{")
		put(t, dir, "README", "{{")
		if err := b.CheckTemplates(); err != nil {
			t.Errorf("good ones: %v", err)
		}
		put(t, dir, "vhost-"+row.name+"-b.example.tmpl", "{{.Nothing}}")
		put(t, dir, "vhost-"+row.name+"-c.example.tmpl", "server {}")
		put(t, dir, "vhost-"+row.name+"-d d.tmpl", good)
		err := b.CheckTemplates()
		for _, name := range []string{"b.example.tmpl", "c.example.tmpl", "d d.tmpl"} {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s is not named: %v", name, err)
			}
		}
		if err != nil && strings.Contains(err.Error(), "a.example") {
			t.Errorf("a good one is named: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := b.CheckTemplates(); err == nil || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("no directory: %v", err)
		}
	})
}
