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
	if err != nil || found.GetSettings() != nil || !strings.Contains(found.GetProblem(), "environment (db_host, db_name, db_user, db_passwd)") {
		t.Errorf("found %v, %v", found, err)
	}
	probed, err := r.settings.ProbeDatabase(r.ctx(), &agentv1.ProbeDatabaseRequest{Site: site})
	if err != nil || !strings.Contains(probed.GetProblem(), "environment") {
		t.Errorf("probed %v, %v", probed, err)
	}
	r.stage(site)
	_, err = r.settings.WriteSettings(r.ctx(), &agentv1.WriteSettingsRequest{
		Site: site, Task: task, Password: "new", Settings: &agentv1.DatabaseSettings{Host: "db2:3306", Name: "n", User: "n"},
	})
	if !errs.Is(err, errs.Precondition) || !strings.Contains(err.Error(), "db_passwd") {
		t.Errorf("written: %v", err)
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
