package agent_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const kept = "/.sitekeep-T1"

func (r *rig) carry(site *agentv1.SiteRef) error {
	_, err := r.settings.CarrySettings(r.ctx(), &agentv1.CarrySettingsRequest{Site: site, Task: task})
	return err
}

func (r *rig) switchSettings(site *agentv1.SiteRef) error {
	_, err := r.settings.SwitchSettings(r.ctx(), &agentv1.SwitchSettingsRequest{
		Site: site, Task: task, Password: `new'\pass`,
		Settings: &agentv1.DatabaseSettings{Host: "db2:3306", Name: "wp_new", User: "wp_new"},
	})
	return err
}

func (r *rig) revertSettings(site *agentv1.SiteRef) bool {
	r.t.Helper()
	got, err := r.settings.RevertSettings(r.ctx(), &agentv1.RevertSettingsRequest{Site: site, Task: task})
	if err != nil {
		r.t.Fatal(err)
	}
	return got.GetReverted()
}

func (r *rig) put(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.www+name, []byte(text), 0o640); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) text(name string) string {
	r.t.Helper()
	b, err := os.ReadFile(r.www + name)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// TestCarrySettings: a backup's files go on with the live database, whatever its settings say.
func TestCarrySettings(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	r.stage(site)
	live := strings.NewReplacer("wp_live", "wp_now", "wp_user", "now_user", `c4nary\'s "old"`, `n0w\'s`, "3307", "3399").Replace(wpConfig)
	r.put("/x/wp-config.php", live+"// only here\n")
	for range 2 {
		if err := r.carry(site); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.text(kept + "/x/wp-config.php"); got != live {
		t.Errorf("staged settings:\n%s\nwant\n%s", got, live)
	}
	if got := r.text("/x/wp-config.php"); got != live+"// only here\n" {
		t.Errorf("the live settings were changed:\n%s", got)
	}
	if strings.Contains(r.log.String(), "n0w") {
		t.Error("the password is in the log")
	}
}

func TestCarryRefusesWhatWouldNotWork(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	if err := r.carry(site); !errs.Is(err, errs.NotFound) {
		t.Errorf("there is no staged tree: error = %v", err)
	}
	r.stage(site)
	for what, text := range map[string]string{
		"broken":         "<?php define('DB_NAME', getenv('X'));",
		"another prefix": strings.Replace(wpConfig, "'wp_'", "'other_'", 1),
	} {
		r.put("/x/wp-config.php", text)
		if err := r.carry(site); !errs.Is(err, errs.Precondition) || !strings.Contains(errs.HintOf(err), "together") {
			t.Errorf("%s: error = %v, hint %q", what, err, errs.HintOf(err))
		}
		if got := r.text(kept + "/x/wp-config.php"); got != wpConfig {
			t.Errorf("%s: the staged settings were changed", what)
		}
	}
	if err := os.Remove(r.www + "/x/wp-config.php"); err != nil {
		t.Fatal(err)
	}
	if err := r.carry(site); !errs.Is(err, errs.Precondition) {
		t.Errorf("missing: error = %v", err)
	}
}

// TestSwitchAndRevertSettings: the very file comes back, with its mode and times.
func TestSwitchAndRevertSettings(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	old := time.Unix(1_600_000_000, 123456789)
	if err := errors.Join(os.Chmod(r.www+"/x/wp-config.php", 0o440), os.Chtimes(r.www+"/x/wp-config.php", old, old), os.Chtimes(r.www+"/x", old, old)); err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, r.www)
	root, err := os.Stat(r.www + "/x")
	if err != nil {
		t.Fatal(err)
	}
	if r.revertSettings(site) {
		t.Error("something was reverted that never was switched")
	}
	for range 2 {
		if err := r.switchSettings(site); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.text("/x/wp-config.php"); !strings.Contains(got, "wp_new") || !strings.Contains(got, "$table_prefix = 'wp_';") {
		t.Errorf("live settings:\n%s", got)
	}
	if info, err := os.Stat(r.www + kept); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("what is kept is not private: %v, %v", info, err)
	}
	if !r.revertSettings(site) || r.revertSettings(site) {
		t.Error("it is to be reverted once")
	}
	if after := fingerprint(t, r.www); after != before {
		t.Errorf("after the undo:\n%s\nbefore:\n%s", after, before)
	}
	if now, err := os.Stat(r.www + "/x"); err != nil || !now.ModTime().Equal(root.ModTime()) {
		t.Errorf("the directory's time changed: %v", err)
	}
	if left := r.staging(); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	if strings.Contains(r.log.String(), "pass") || strings.Contains(r.log.String(), "c4nary") {
		t.Error("a password is in the log")
	}
}

// TestRevertAfterASwitchThatDiedHalfWay: the file was kept, and the new one not written yet.
func TestRevertAfterASwitchThatDiedHalfWay(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	before := fingerprint(t, r.www)
	err := errors.Join(os.Mkdir(r.www+kept, 0o700), os.Symlink("wp-config.php", r.www+kept+"/.kept-settings-name"))
	if err != nil {
		t.Fatal(err)
	}
	if r.revertSettings(site) || len(r.staging()) != 0 {
		t.Errorf("a name without a file: %v", r.staging())
	}
	err = errors.Join(os.Mkdir(r.www+kept, 0o700), os.Symlink("wp-config.php", r.www+kept+"/.kept-settings-name"),
		os.Link(r.www+"/x/wp-config.php", r.www+kept+"/.kept-settings"))
	if err != nil {
		t.Fatal(err)
	}
	if r.revertSettings(site); len(r.staging()) != 0 || fingerprint(t, r.www) != before {
		t.Errorf("two names of one file: %v\n%s", r.staging(), fingerprint(t, r.www))
	}
}

// TestSwitchThroughALink: the file that the link leads to is switched and comes back; one that leads out is refused.
func TestSwitchThroughALink(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	err := errors.Join(os.Mkdir(r.www+"/x/private", 0o750), os.Rename(r.www+"/x/wp-config.php", r.www+"/x/private/real.php"),
		os.Symlink("private/real.php", r.www+"/x/wp-config.php"))
	if err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, r.www)
	if err := r.switchSettings(site); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.text("/x/private/real.php"), "wp_new") {
		t.Error("the file behind the link was not written")
	}
	if !r.revertSettings(site) || fingerprint(t, r.www) != before {
		t.Errorf("after the undo:\n%s\nbefore:\n%s", fingerprint(t, r.www), before)
	}
	err = errors.Join(os.Rename(r.www+"/x/private/real.php", r.www+"/outside.php"), os.Remove(r.www+"/x/wp-config.php"),
		os.Symlink("../outside.php", r.www+"/x/wp-config.php"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.switchSettings(site); !errs.Is(err, errs.Precondition) || len(r.staging()) != 0 || r.text("/outside.php") != wpConfig {
		t.Errorf("a link that leads out: error = %v, left %v", err, r.staging())
	}
}

// TestRemoveStagingForgetsKeptSettings is how a commit ends the grace time.
func TestRemoveStagingForgetsKeptSettings(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	if err := r.switchSettings(site); err != nil {
		t.Fatal(err)
	}
	if _, err := r.tree.RemoveStaging(r.ctx(), &agentv1.RemoveStagingRequest{Site: site, Task: task}); err != nil {
		t.Fatal(err)
	}
	if r.revertSettings(site) || len(r.staging()) != 0 || !strings.Contains(r.text("/x/wp-config.php"), "wp_new") {
		t.Errorf("left %v", r.staging())
	}
}

// TestTimesOutliveAnAgentThatDied: it was killed after it had noted the time of the site's directory and changed the file, before it
// brought the time back. Whatever call comes next does that.
func TestTimesOutliveAnAgentThatDied(t *testing.T) {
	old := time.Unix(1_600_000_000, 123456789)
	for name, c := range map[string]struct {
		staged bool
		next   func(r *rig, site *agentv1.SiteRef) error
	}{
		"write": {true, func(r *rig, site *agentv1.SiteRef) error {
			_, err := r.settings.WriteSettings(r.ctx(), &agentv1.WriteSettingsRequest{Site: site, Task: task, Password: "p",
				Settings: &agentv1.DatabaseSettings{Host: "db2:3306", Name: "wp_new", User: "wp_new"}})
			return err
		}},
		"switch": {false, func(r *rig, site *agentv1.SiteRef) error { return r.switchSettings(site) }},
		"revert": {false, func(r *rig, site *agentv1.SiteRef) error { r.revertSettings(site); return nil }},
	} {
		r := newRig(t)
		site, at := r.wordpress(r.www+"/x"), r.www+"/x"
		if c.staged {
			r.wordpress(r.www + kept + "/x")
			at = r.www + kept + "/x"
		}
		note := fmt.Sprintf(`{"directory":"Lg==","nanoseconds":%d}`, old.UnixNano())
		err := errors.Join(os.MkdirAll(r.www+kept, 0o700), os.Chmod(r.www+kept, 0o700), os.WriteFile(r.www+kept+"/.directory-time", []byte(note), 0o600))
		if err := errors.Join(err, c.next(r, site)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if info, err := os.Stat(at); err != nil || !info.ModTime().Equal(old) {
			t.Errorf("%s: the directory's time is %v, want %v", name, info.ModTime(), old)
		}
		if _, err := os.Lstat(r.www + kept + "/.directory-time"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the note is left over: %v", name, err)
		}
	}
}
