//go:build integration

package deploy_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

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

// TestAgentSample decodes the sample strictly: a field that the agent does not
// know, or that the sample lacks, would mislead.
func TestAgentSample(t *testing.T) {
	text, err := os.ReadFile("agent.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var config bed.AgentConfig
	if err := decoder.Decode(&config); err != nil {
		t.Fatal(err)
	}
	if config.Webserver.VhostDir != "/etc/nginx/sitekeep.d" || config.MySQL.Socket == "" || len(config.Allow.Roots) != 1 {
		t.Errorf("read %+v", config)
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
