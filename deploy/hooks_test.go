package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hookRun runs a ready-made hook with tools that only say how they were called.
type hookRun struct {
	tools map[string]string // scripts, by name; beside them there is id alone
	uid   string
	env   []string
}

func (r hookRun) run(t *testing.T, hook, docroot string) (said string, err error) {
	t.Helper()
	bin := t.TempDir()
	tools := map[string]string{"id": "echo " + r.uid}
	for name, script := range r.tools {
		tools[name] = script
	}
	for name, script := range tools {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "hooks/"+hook)
	cmd.Env = append([]string{"PATH=" + bin, "SITEKEEP_SITE=example.com", "SITEKEEP_DOCROOT=" + docroot}, r.env...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// TestReadyMadeHooksCanBeInstalled: a shell reads them, and they may be run as they are.
func TestReadyMadeHooksCanBeInstalled(t *testing.T) {
	hooks, err := os.ReadDir("hooks")
	if err != nil || len(hooks) != 2 {
		t.Fatalf("%v, %v", hooks, err)
	}
	for _, h := range hooks {
		info, err := h.Info()
		if err != nil || info.Mode().Perm()&0o111 != 0o111 || !info.Mode().IsRegular() {
			t.Errorf("%s: %v, %v", h.Name(), info.Mode(), err)
		}
		path := filepath.Join("hooks", h.Name())
		if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-n", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", h.Name(), err, out)
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.HasPrefix(string(text), "#!/bin/sh\n") || !strings.Contains(string(text), "after-migrate") {
			t.Errorf("%s: %v", h.Name(), err)
		}
	}
}

// TestReadyMadeHooks: they use the site's tools where those are, and do nothing elsewhere.
func TestReadyMadeHooks(t *testing.T) {
	good := func(kind string) []string { return []string{"SITEKEEP_KIND=" + kind, "SITEKEEP_OUTCOME=succeeded"} }
	says := func(name string) map[string]string { return map[string]string{name: `echo "` + name + ` $*"`} }
	const wp, drush = "wp --path=/site --url=http://example.com ", "drush --root=/site --uri=http://example.com --yes "
	seven := map[string]string{"drush": `echo "drush $*"; case "$*" in *cache:rebuild) exit 1;; esac`}
	for name, c := range map[string]struct {
		hook string
		run  hookRun
		want string
	}{
		"wordpress":         {"wordpress", hookRun{says("wp"), "33", good("wordpress")}, wp + "cache flush\n" + wp + "rewrite flush"},
		"no wp":             {"wordpress", hookRun{nil, "33", good("wordpress")}, "nothing to do: wp-cli is not installed"},
		"wordpress as root": {"wordpress", hookRun{says("wp"), "0", good("wordpress")}, "nothing to do: this would run as root: set hooks.user in agent.yaml"},
		"no wordpress":      {"wordpress", hookRun{says("wp"), "33", good("drupal")}, "nothing to do: the site is not a WordPress"},
		"wordpress failed":  {"wordpress", hookRun{says("wp"), "33", []string{"SITEKEEP_KIND=wordpress", "SITEKEEP_OUTCOME=failed"}}, "nothing to do: the task has not succeeded"},
		"drupal":            {"drupal", hookRun{says("drush"), "33", good("drupal")}, drush + "updatedb\n" + drush + "cache:rebuild"},
		"drupal 7":          {"drupal", hookRun{seven, "33", good("drupal")}, drush + "updatedb\n" + drush + "cache:rebuild\n" + drush + "cache-clear all"},
		"no drush":          {"drupal", hookRun{nil, "33", good("drupal")}, "nothing to do: drush is not installed"},
		"drupal as root":    {"drupal", hookRun{says("drush"), "0", good("drupal")}, "nothing to do: this would run as root: set hooks.user in agent.yaml"},
		"no drupal":         {"drupal", hookRun{says("drush"), "33", good("wordpress")}, "nothing to do: the site is not a Drupal"},
		"no outcome":        {"drupal", hookRun{says("drush"), "33", []string{"SITEKEEP_KIND=drupal"}}, "nothing to do: the task has not succeeded"},
	} {
		t.Run(name, func(t *testing.T) {
			if said, err := c.run.run(t, c.hook, "/site"); err != nil || said != c.want {
				t.Errorf("%v, said\n%s\nwant\n%s", err, said, c.want)
			}
		})
	}
	t.Run("fails", func(t *testing.T) {
		for hook, tool := range map[string]string{"wordpress": "wp", "drupal": "drush"} {
			r := hookRun{map[string]string{tool: "exit 5"}, "33", good(hook)}
			if said, err := r.run(t, hook, "/site"); err == nil {
				t.Errorf("%s that fails is not told: %s", tool, said)
			}
		}
	})
}

// TestDrushOfTheSite: one that the site brings along goes before the machine's.
func TestDrushOfTheSite(t *testing.T) {
	for _, dir := range []string{"web/vendor/bin", "vendor/bin"} {
		top := t.TempDir()
		own := filepath.Join(top, dir, "drush")
		if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(top, "web"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(own, []byte("#!/bin/sh\necho own\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		r := hookRun{map[string]string{"drush": "echo machine"}, "33", []string{"SITEKEEP_KIND=drupal", "SITEKEEP_OUTCOME=succeeded"}}
		if said, err := r.run(t, "drupal", filepath.Join(top, "web")); err != nil || said != "own\nown" {
			t.Errorf("%s: %v, said %q", dir, err, said)
		}
	}
}
