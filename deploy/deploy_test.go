//go:build integration

package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/test/bed"
)

// command runs a program that must end with 0 and returns all it said.
func command(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// TestUnits has systemd read the units and judge their hardening. The highest
// exposure that each may have is written down here: lower is better.
func TestUnits(t *testing.T) {
	for unit, exposure := range map[string]string{"sitekeep.service": "15", "sitekeep-agent.service": "45"} {
		text, err := os.ReadFile("systemd/" + unit)
		if err != nil {
			t.Fatal(err)
		}
		// Only the programs are missing on this machine.
		path := filepath.Join(t.TempDir(), unit)
		text = bytes.ReplaceAll(text, []byte("ExecStart=/usr/bin/"), []byte("ExecStart=/usr/bin/true "))
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if said := command(t, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path); said != "" {
			t.Errorf("%s: %s", unit, said)
		}
		command(t, "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+exposure, path)
	}
}

// TestAgentSample has the agent's own reader take the sample, as it is and with
// each other way to the database server.
func TestAgentSample(t *testing.T) {
	text, err := os.ReadFile("agent.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defaults := filepath.Join(t.TempDir(), "my.cnf") // must be there
	if err := os.WriteFile(defaults, []byte("[client]\nuser=root\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const socket = "  socket: /run/mysqld/mysqld.sock\n"
	for _, other := range []string{"", "  # host: 127.0.0.1\n  # port: 3306\n", "  # defaults_file: /root/.my.cnf\n"} {
		sample := string(text)
		if !strings.Contains(sample, socket) || !strings.Contains(sample, other) {
			t.Fatalf("the sample lacks %q or %q", socket, other)
		}
		if other != "" {
			sample = strings.Replace(sample, socket, "", 1)
			sample = strings.Replace(sample, other, strings.ReplaceAll(other, "# ", ""), 1)
			sample = strings.Replace(sample, "/root/.my.cnf", defaults, 1)
		}
		c, err := config.Parse("agent.yaml", []byte(sample))
		if err != nil {
			t.Fatalf("with %q: %v", other, err)
		}
		if c.Webserver.VhostDir != "/etc/nginx/sitekeep.d" || c.MySQL.User != "root" || len(c.Allow.Roots) != 1 {
			t.Errorf("with %q: read %+v", other, c)
		}
	}
}

// TestNginxSnippet has a real nginx take the snippet in and serve a vhost
// through it.
func TestNginxSnippet(t *testing.T) {
	b := bed.New(t)
	web := b.Web("web1")
	text, err := os.ReadFile("nginx/sitekeep.conf")
	if err != nil {
		t.Fatal(err)
	}
	managed := filepath.Join(web.Dir, "sitekeep.d")
	text = bytes.ReplaceAll(text, []byte("include /etc/nginx/sitekeep.d"), []byte("include "+managed))
	vhost := "server { listen " + web.Addr.String() + "; server_name snippet.example.com; return 200 \"served\\n\"; }\n"
	if err := os.Mkdir(managed, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(web.OwnVhosts, "conf.conf"): string(text),
		filepath.Join(managed, "x.conf"):          vhost,
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := web.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if res := bed.Must(web.Get(t.Context(), "snippet.example.com", "/"))(t); res.Body != "served\n" {
		t.Errorf("got %d %q", res.Status, res.Body)
	}
}
