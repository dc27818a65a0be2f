package agent_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const cloaked = "<?php\n$databases['default']['default'] = array(\n  'driver' => $_SERVER['db_type'], 'database' => $_SERVER['db_name'],\n" +
	"  'username' => $_SERVER['db_user'], 'password' => $_SERVER['db_passwd'], 'host' => $_SERVER['db_host'], 'port' => '3306');\n"

const plainDrupal = "<?php\n$databases['default']['default'] = ['driver' => 'mysql', 'database' => 'd', 'username' => 'u', 'password' => 'p', 'host' => 'h'];\n"

// TestCloakedSettings: credentials that the virtual host gives are told apart, and never written beside it.
func TestCloakedSettings(t *testing.T) {
	r := newRig(t)
	site := &agentv1.SiteRef{Name: "example.com", Kind: "drupal", Root: r.www + "/x"}
	settings := r.www + "/x/settings.php"
	if err := errors.Join(os.MkdirAll(r.www+"/x", 0o755), os.WriteFile(settings, []byte(cloaked), 0o640)); err != nil {
		t.Fatal(err)
	}
	found, err := r.settings.DetectSite(r.ctx(), &agentv1.DetectSiteRequest{Site: site})
	if err != nil || found.GetSettings() != nil || !strings.Contains(found.GetProblem(), "environment (db_host, db_name, db_user, db_passwd, db_type)") {
		t.Errorf("found %v, %v", found, err)
	}
	probed, err := r.settings.ProbeDatabase(r.ctx(), &agentv1.ProbeDatabaseRequest{Site: site})
	if err != nil || !strings.Contains(probed.GetProblem(), "environment") {
		t.Errorf("probed %v, %v", probed, err)
	}
	r.stage(site)
	site.External = true
	_, err = r.settings.WriteSettings(r.ctx(), &agentv1.WriteSettingsRequest{
		Site: site, Task: task, Password: "new", Settings: &agentv1.DatabaseSettings{Host: "db2:3306", Name: "n", User: "n"},
	})
	if !errs.Is(err, errs.Precondition) || !strings.Contains(err.Error(), "db_passwd") || !strings.Contains(errs.HintOf(err), "--vhost managed") {
		t.Errorf("written although the virtual host is another's: %v", err)
	}
	if _, err := os.Stat(r.www + "/.sitekeep-T1/.kept-environment"); err == nil {
		t.Error("credentials were kept that nobody will use")
	}
	site.External = false
	_, err = r.settings.SwitchSettings(r.ctx(), &agentv1.SwitchSettingsRequest{
		Site: site, Task: "T2", Password: "new", Settings: &agentv1.DatabaseSettings{Host: "db2:3306", Name: "n", User: "n"},
	})
	if !errs.Is(err, errs.Precondition) || !strings.Contains(errs.HintOf(err), "together") {
		t.Errorf("switched: %v", err)
	}
	if _, err = r.vhost.WriteVhost(r.ctx(), &agentv1.WriteVhostRequest{Site: site, Task: "T3"}); !errs.Is(err, errs.Precondition) || !strings.Contains(err.Error(), "nothing says what they are") {
		t.Errorf("a virtual host without the credentials: %v", err)
	}
	carry := func() error {
		_, err := r.settings.CarrySettings(r.ctx(), &agentv1.CarrySettingsRequest{Site: site, Task: task})
		return err
	}
	if err := carry(); err != nil {
		t.Errorf("both cloaked alike: %v", err)
	}
	if err := os.WriteFile(settings, []byte(plainDrupal), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := carry(); !errs.Is(err, errs.Precondition) {
		t.Errorf("cloaked in the backup alone: %v", err)
	}
	staged, err := os.ReadFile(r.www + "/.sitekeep-T1/x/settings.php")
	if err != nil || string(staged) != cloaked {
		t.Errorf("the staged settings were changed: %v\n%s", err, staged)
	}
}

// TestCloakedCredentialsWait: new credentials stay in the task's staging directory until the virtual host is written.
func TestCloakedCredentialsWait(t *testing.T) {
	r := newRig(t)
	site := &agentv1.SiteRef{Name: "example.com", Kind: "drupal", Root: r.www + "/x"}
	if err := errors.Join(os.MkdirAll(r.www+"/x", 0o755), os.WriteFile(r.www+"/x/settings.php", []byte(cloaked), 0o640)); err != nil {
		t.Fatal(err)
	}
	r.stage(site)
	for _, name := range []string{"first", "n"} { // it may be repeated
		if _, err := r.settings.WriteSettings(r.ctx(), &agentv1.WriteSettingsRequest{
			Site: site, Task: task, Password: passwordText, Settings: &agentv1.DatabaseSettings{Host: "db2:3306", Name: name, User: "u2"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	kept := r.www + "/.sitekeep-T1/.kept-environment"
	info, err := os.Stat(kept)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	read := func(task string) *agentv1.DatabaseSettings {
		t.Helper()
		reply, err := r.settings.ReadSettings(r.ctx(), &agentv1.ReadSettingsRequest{Site: site, Task: task})
		if err != nil {
			t.Fatal(err)
		}
		return reply.GetSettings()
	}
	if s := read(task); s.GetName() != "n" || s.GetUser() != "u2" || s.GetHost() != "db2:3306" {
		t.Errorf("the staged settings are %v", s)
	}
	if s := read(""); s.GetName() != "" {
		t.Errorf("the live settings are %v", s)
	}
	staged, err := os.ReadFile(r.www + "/.sitekeep-T1/x/settings.php")
	if err != nil || string(staged) != cloaked {
		t.Errorf("the staged settings were changed: %v\n%s", err, staged)
	}
	if err := os.WriteFile(kept, []byte("{broken "+passwordText), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.settings.ReadSettings(r.ctx(), &agentv1.ReadSettingsRequest{Site: site, Task: task}); err == nil || strings.Contains(err.Error(), passwordText) {
		t.Errorf("broken: %v", err)
	}
	if _, err := r.tree.RemoveStaging(r.ctx(), &agentv1.RemoveStagingRequest{Site: site, Task: task}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it outlives its task: %v", err)
	}
	if strings.Contains(r.log.String(), passwordText) {
		t.Error("the password is in the log")
	}
}

// TestAVhostIsNotWrittenOverTheOnlyCredentials: settings that cannot be read do not say which ones it has to keep.
func TestAVhostIsNotWrittenOverTheOnlyCredentials(t *testing.T) {
	r := newRig(t)
	site := &agentv1.SiteRef{Name: "example.com", Kind: "drupal", Root: r.www + "/x"}
	sealed := "# Managed by Sitekeep: site example.com, generation 0123456789abcdef, sha256 " + strings.Repeat("0", 64) + "\n"
	vhost := r.vhosts + "/example.com.conf"
	if err := errors.Join(os.MkdirAll(r.www+"/x", 0o755), os.WriteFile(r.www+"/x/settings.php", []byte("<?php ("), 0o640), os.WriteFile(vhost, []byte(sealed), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err := r.vhost.WriteVhost(r.ctx(), &agentv1.WriteVhostRequest{Site: site, Task: task})
	if !errs.Is(err, errs.Precondition) || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(vhost); err != nil || string(text) != sealed {
		t.Errorf("%v\n%s", err, text)
	}
}
