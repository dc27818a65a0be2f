package agent_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"

	"github.com/sitekeep/sitekeep/internal/errs"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const wpConfig = `<?php
// a comment that mentions define('DB_NAME', 'nothing');
define( 'DB_NAME', 'wp_live' );
define( 'DB_USER', 'wp_user' );
define( 'DB_PASSWORD', 'c4nary\'s "old"' );
define( 'DB_HOST', 'db1.example.com:3307' );
$table_prefix = 'wp_';
require_once ABSPATH . 'wp-settings.php';
`

// wordpress makes what is needed of a WordPress to be known as one.
func (r *rig) wordpress(dir string) *agentv1.SiteRef {
	r.t.Helper()
	err := errors.Join(
		os.MkdirAll(dir+"/wp-includes", 0o755), os.MkdirAll(dir+"/wp-admin", 0o755), os.MkdirAll(dir+"/wp-content", 0o755),
		os.WriteFile(dir+"/wp-includes/version.php", []byte("<?php\n$wp_version = '6.4.2';\n"), 0o644),
		os.WriteFile(dir+"/wp-load.php", []byte("<?php\n"), 0o644), os.WriteFile(dir+"/wp-settings.php", []byte("<?php\n"), 0o644),
		os.WriteFile(dir+"/wp-config.php", []byte(wpConfig), 0o640),
	)
	if err != nil {
		r.t.Fatal(err)
	}
	return &agentv1.SiteRef{Name: "example.com", Kind: "wordpress", Root: r.www + "/x"}
}

func TestSettingsOfAWordPress(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	site.Kind = ""
	found, err := r.settings.DetectSite(r.ctx(), &agentv1.DetectSiteRequest{Site: site})
	if err != nil {
		t.Fatal(err)
	}
	if found.GetKind() != "wordpress" || found.GetVersion() != "6.4.2" || !found.GetRootExists() || found.GetProblem() != "" {
		t.Errorf("found %v", found)
	}
	site.Kind = "wordpress"
	read, err := r.settings.ReadSettings(r.ctx(), &agentv1.ReadSettingsRequest{Site: site})
	if err != nil {
		t.Fatal(err)
	}
	want := &agentv1.DatabaseSettings{Host: "db1.example.com:3307", Name: "wp_live", User: "wp_user", File: "wp-config.php"}
	for _, got := range []*agentv1.DatabaseSettings{found.GetSettings(), read.GetSettings()} {
		if prototext.Format(got) != prototext.Format(want) {
			t.Errorf("settings = %v, want %v", got, want)
		}
	}
	if text := prototext.Format(found) + prototext.Format(read) + r.log.String(); strings.Contains(text, "c4nary") {
		t.Error("a password left the agent")
	}
}

// TestSettingsOfAStagedTree: the staged settings alone are written.
func TestSettingsOfAStagedTree(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	write := func(task string) error {
		_, err := r.settings.WriteSettings(r.ctx(), &agentv1.WriteSettingsRequest{
			Site: site, Task: task, Password: `new'\pass`,
			Settings: &agentv1.DatabaseSettings{Host: "db2:3306", Name: "wp_new", User: "wp_new"},
		})
		return err
	}
	if err := write(task); !errs.Is(err, errs.NotFound) {
		t.Errorf("there is no staged tree: error = %v", err)
	}
	r.stage(site)
	for range 2 {
		if err := write(task); err != nil {
			t.Fatal(err)
		}
	}
	live, err := os.ReadFile(r.www + "/x/wp-config.php")
	if err != nil || string(live) != wpConfig {
		t.Errorf("the live settings were changed: %v", err)
	}
	staged, err := os.ReadFile(r.www + "/.sitekeep-T1/x/wp-config.php")
	if err != nil || !strings.Contains(string(staged), "wp_new") || !strings.Contains(string(staged), "$table_prefix = 'wp_';") {
		t.Errorf("staged settings:\n%s\n%v", staged, err)
	}
	for in, want := range map[string]string{"": "wp_live", task: "wp_new"} {
		got, err := r.settings.ReadSettings(r.ctx(), &agentv1.ReadSettingsRequest{Site: site, Task: in})
		if err != nil || got.GetSettings().GetName() != want {
			t.Errorf("task %q: %v, %v", in, got, err)
		}
	}
	if strings.Contains(r.log.String(), "pass") {
		t.Error("the password is in the log")
	}
}

// stage makes a staged tree like the live one.
func (r *rig) stage(site *agentv1.SiteRef) {
	r.t.Helper()
	got, err := r.read(&agentv1.ReadTreeHeader{Site: site, Format: "tar.zst"})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.write("x", r.assemble("tar.zst", got, nil)); err != nil {
		r.t.Fatal(err)
	}
}

func TestDetectWithoutASite(t *testing.T) {
	r := newRig(t)
	got, err := r.settings.DetectSite(r.ctx(), &agentv1.DetectSiteRequest{Site: r.ref("gone")})
	if err != nil || got.GetRootExists() || got.GetProblem() == "" || got.GetKind() != "generic" {
		t.Errorf("a missing root: %v, %v", got, err)
	}
	r.plant("x")
	site := r.ref("x")
	got, err = r.settings.DetectSite(r.ctx(), &agentv1.DetectSiteRequest{Site: site})
	if err != nil || got.GetSettings() != nil || got.GetProblem() != "" {
		t.Errorf("a generic site without settings: %v, %v", got, err)
	}
	site.Kind = "wordpress"
	if got, err = r.settings.DetectSite(r.ctx(), &agentv1.DetectSiteRequest{Site: site}); err != nil || got.GetProblem() == "" {
		t.Errorf("no WordPress: %v, %v", got, err)
	}
	site.Kind = "joomla"
	if _, err = r.settings.DetectSite(r.ctx(), &agentv1.DetectSiteRequest{Site: site}); !errs.Is(err, errs.Usage) {
		t.Errorf("an unknown kind: error = %v", err)
	}
	site.Kind, site.Docroot = "generic", r.www+"/y"
	if err := os.Mkdir(r.www+"/y", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err = r.settings.DetectSite(r.ctx(), &agentv1.DetectSiteRequest{Site: site}); !errs.Is(err, errs.Usage) {
		t.Errorf("a docroot beside the root: error = %v", err)
	}
}

// TestRootInsideTheDocroot is the case of a Drupal multisite: settings are named from the site's root.
func TestRootInsideTheDocroot(t *testing.T) {
	r := newRig(t)
	dir := r.www + "/platform/sites/example.com"
	mapping := "settings:\n  file: conf/db.env\n  format: lines\n  name: N\n  user: U\n  password: P\n  host: H\n"
	err := errors.Join(os.MkdirAll(dir+"/conf", 0o755), os.WriteFile(dir+"/.sitekeep.yaml", []byte(mapping), 0o644),
		os.WriteFile(dir+"/conf/db.env", []byte("N=n\nU=u\nP=p\nH=h\n"), 0o640))
	if err != nil {
		t.Fatal(err)
	}
	site := &agentv1.SiteRef{Name: "example.com", Kind: "generic", Root: dir, Docroot: r.www + "/platform"}
	got, err := r.settings.ReadSettings(r.ctx(), &agentv1.ReadSettingsRequest{Site: site})
	if err != nil || got.GetSettings().GetFile() != "conf/db.env" || got.GetSettings().GetName() != "n" {
		t.Errorf("settings = %v, %v", got, err)
	}
}

func TestProbeDatabaseSaysWhatIsWrong(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	for host, want := range map[string]string{"127.0.0.1:1": "127.0.0.1:1", "localhost:/nonexistent.sock": "nonexistent.sock"} {
		text := strings.Replace(wpConfig, "db1.example.com:3307", host, 1)
		if err := os.WriteFile(r.www+"/x/wp-config.php", []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := r.settings.ProbeDatabase(r.ctx(), &agentv1.ProbeDatabaseRequest{Site: site})
		if err != nil || !strings.Contains(got.GetProblem(), want) || got.GetSettings().GetName() != "wp_live" || strings.Contains(got.GetProblem(), "c4nary") {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	if err := os.WriteFile(r.www+"/x/wp-config.php", []byte("<?php define('DB_NAME', getenv('X'));"), 0o640); err != nil {
		t.Fatal(err)
	}
	if got, err := r.settings.ProbeDatabase(r.ctx(), &agentv1.ProbeDatabaseRequest{Site: site}); err != nil || got.GetProblem() == "" {
		t.Errorf("settings that cannot be read: %v, %v", got, err)
	}
	if _, err := r.settings.ReadSettings(r.ctx(), &agentv1.ReadSettingsRequest{Site: site}); !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
		t.Errorf("settings that cannot be read: error = %v", err)
	}
}

func TestPermissions(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x")
	if err := os.Chmod(r.www+"/x/wp-config.php", 0o666); err != nil {
		t.Fatal(err)
	}
	check := func(mend bool) *agentv1.CheckPermissionsResponse {
		got, err := r.settings.CheckPermissions(r.ctx(), &agentv1.CheckPermissionsRequest{Site: site, Mend: mend})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := check(false); got.GetCount() == 0 || !strings.Contains(strings.Join(got.GetDifferences(), "\n"), "wp-config.php") {
		t.Errorf("differences = %v", got)
	}
	check(true)
	if got := check(false); got.GetCount() != 0 {
		t.Errorf("after mending: %v", got)
	}
	if info, err := os.Stat(r.www + "/x/wp-config.php"); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("mode = %v, %v", info.Mode(), err)
	}
	for i := range 120 {
		if err := errors.Join(os.WriteFile(r.www+"/x/wp-content/"+strings.Repeat("a", i+1), nil, 0o600), os.Chmod(r.www+"/x/wp-content/"+strings.Repeat("a", i+1), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	if got := check(false); len(got.GetDifferences()) != 100 || got.GetCount() < 120 {
		t.Errorf("%d differences of %d", len(got.GetDifferences()), got.GetCount())
	}
}
