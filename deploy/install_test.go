package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/agent/config"
)

// install runs what make install runs, with programs that are none.
func install(t *testing.T, dest string) {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"sitekeep", "sitekeep-agent"} {
		if err := os.WriteFile(filepath.Join(bin, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "../scripts/install", dest)
	cmd.Env = append(os.Environ(), "BIN="+bin)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("install: %v\n%s", err, out)
	}
}

// TestInstall looks at modes, and whether the ready-made hooks lie where the samples say, to be run by their events.
func TestInstall(t *testing.T) {
	dest := t.TempDir()
	install(t, dest)
	for name, mode := range map[string]os.FileMode{
		"usr/bin/sitekeep": 0o755, "usr/bin/sitekeep-agent": 0o755, "usr/lib/systemd/system/sitekeep-agent.service": 0o644,
		"usr/lib/systemd/system/sitekeep.service": 0o644, "usr/lib/sysusers.d/sitekeep.conf": 0o644,
		"usr/share/doc/sitekeep/agent.yaml": 0o644, "usr/share/doc/sitekeep/nginx.conf": 0o644, "usr/share/doc/sitekeep/apache.conf": 0o644,
		"etc/sitekeep": 0o755 | os.ModeDir, "etc/sitekeep/hooks": 0o755 | os.ModeDir,
	} {
		if info, err := os.Stat(filepath.Join(dest, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for _, sample := range []string{"agent.yaml", "../internal/agent/config/agent.yaml.sample"} {
		directory := filepath.Join(dest, hooksOf(t, sample))
		for _, hook := range []string{"drupal", "wordpress"} {
			runs := filepath.Join(directory, "after-restore", hook)
			if info, err := os.Stat(runs); err != nil || info.Mode() != 0o755 {
				t.Errorf("%s: %s: %v, %v", sample, runs, info, err)
			}
			if target, err := os.Readlink(runs); target != "../"+hook {
				t.Errorf("%s leads to %s, %v", runs, target, err)
			}
		}
	}
}

// hooksOf is the directory of hooks of a sample whose section for them holds.
func hooksOf(t *testing.T, sample string) string {
	t.Helper()
	text, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?m)^# hooks:\n(#   .*\n)+`)
	used := section.ReplaceAllStringFunc(string(text), func(s string) string { return strings.ReplaceAll(s[2:], "\n# ", "\n") })
	c, err := config.Parse(sample, []byte(used))
	if err != nil || c.Hooks == nil {
		t.Fatalf("%s: %v, hooks %v", sample, err, c)
	}
	return c.Hooks.Directory
}

// TestInstallKeepsLinksAway that somebody has taken away, and brings the hooks themselves up to date.
func TestInstallKeepsLinksAway(t *testing.T) {
	dest := t.TempDir()
	install(t, dest)
	hooks := filepath.Join(dest, "etc/sitekeep/hooks")
	gone := filepath.Join(hooks, "after-restore/drupal")
	if err := errors.Join(os.Remove(gone), os.WriteFile(filepath.Join(hooks, "wordpress"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	install(t, dest)
	if _, err := os.Lstat(gone); !os.IsNotExist(err) {
		t.Errorf("the link has come back: %v", err)
	}
	if info, err := os.Stat(filepath.Join(hooks, "after-restore/wordpress")); err != nil || info.Size() == 0 || info.Mode() != 0o755 {
		t.Errorf("the hook is %v, %v", info, err)
	}
}
