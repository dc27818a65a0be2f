package agent_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const (
	laravelText  = "DB_CONNECTION=mysql\nDB_HOST=db1\nDB_DATABASE=%s\nDB_USERNAME=u\nDB_PASSWORD=" + passwordText + "\n"
	bedrockText  = "DB_NAME='%s'\nDB_USER='u'\nDB_PASSWORD='" + passwordText + "'\nDB_HOST='db1'\nWP_HOME='https://%[1]s.example'\n"
	bedrockEntry = "<?php\nrequire_once dirname(__DIR__) . '/config/application.php';\nrequire_once ABSPATH . 'wp-settings.php';\n"
	splitDrupal  = "<?php\n$settings['hash_salt'] = 'x';\nif (file_exists($app_root . '/' . $site_path . '/settings.local.php')) {\n" +
		"  include $app_root . '/' . $site_path . '/settings.local.php';\n}\n"
)

// bedrock is WordPress as roots/bedrock lays it out.
func (d *discovery) bedrock(dir, env string) {
	d.lay(map[string]string{
		dir + "/composer.json": "{}", dir + "/config/application.php": "<?php\nConfig::define('DB_NAME', env('DB_NAME'));\n", dir + "/web/wp-config.php": bedrockEntry,
		dir + "/web/wp/wp-load.php": "", dir + "/web/wp/wp-includes/version.php": "<?php\n$wp_version = '6.8.1';\n",
	})
	if env != "" {
		d.lay(map[string]string{dir + "/.env": env})
	}
}

// laravel has its .env where a deployment links it from.
func (d *discovery) laravel(dir string) {
	d.lay(map[string]string{dir + "/artisan": "", dir + "/public/index.php": ""})
}

func (d *discovery) link(target, name string) {
	d.t.Helper()
	if err := os.Symlink(target, filepath.Join(d.www, name)); err != nil {
		d.t.Fatal(err)
	}
}

// TestLayoutsOfDeployments: a site whose docroot lies below a link into releases/ is all of it, so that what releases share
// belongs to it, and the next deployment leaves it the same site.
func TestLayoutsOfDeployments(t *testing.T) {
	d := newDiscovery(t)
	for _, dir := range []string{"cap", "abs", "far"} {
		d.laravel(dir + "/releases/1")
		d.laravel(dir + "/releases/2")
		d.lay(map[string]string{dir + "/shared/.env": fmt.Sprintf(laravelText, dir)})
	}
	d.link("releases/2", "cap/current")
	d.link("../../shared/.env", "cap/releases/2/.env")
	d.link(d.www+"/abs/releases/2", "abs/current")
	d.link("../../shared/.env", "abs/releases/2/.env")
	d.link("releases/2", "far/current")
	d.link(d.www+"/far/shared/.env", "far/releases/2/.env")
	d.bedrock("trellis/releases/1", "")
	d.lay(map[string]string{"trellis/shared/.env": fmt.Sprintf(bedrockText, "trellis")})
	d.link("releases/1", "trellis/current")
	d.link("../../shared/.env", "trellis/releases/1/.env")
	d.serve("cap.example=WWW/cap/current/public", "abs.example=WWW/abs/current/public", "far.example=WWW/far/current/public", "trellis.example=WWW/trellis/current/web")
	sites, warnings := d.judge(
		"cap.example [] dotenv  root=cap docroot=cap/current/public db=cap",
		"abs.example [] dotenv  root=abs docroot=abs/current/public db=",
		"far.example [] dotenv  root=far docroot=far/current/public db=",
		"trellis.example [] wordpress 6.8.1 root=trellis docroot=trellis/current/web db=trellis")
	for i, want := range []string{"", "or to absolute paths", "current/.env: releases/2/.env is a link to an absolute path; make it relative", ""} {
		if p := sites[i].GetProblem(); !strings.Contains(p, want) || want == "" && p != "" {
			t.Errorf("%s: problem %q", sites[i].GetSite().GetName(), p)
		}
	}
	if len(warnings) > 0 || len(sites[0].GetWarnings()) > 0 {
		t.Errorf("warnings %q, %q", warnings, sites[0].GetWarnings())
	}
}

// TestSettingsOverALinkOfADeployment: new credentials go into the file that releases share, and the links stay.
func TestSettingsOverALinkOfADeployment(t *testing.T) {
	r := newRig(t)
	site := r.wordpress(r.www + "/x") // as a directory that is allowed
	site.Kind, site.Docroot = "dotenv", r.www+"/x/current/public"
	err := errors.Join(os.MkdirAll(r.www+"/x/releases/1/public", 0o755), os.Mkdir(r.www+"/x/shared", 0o755),
		os.WriteFile(r.www+"/x/releases/1/artisan", nil, 0o644), os.WriteFile(r.www+"/x/shared/.env", fmt.Appendf(nil, laravelText, "old"), 0o640),
		os.Symlink("releases/1", r.www+"/x/current"), os.Symlink("../../shared/.env", r.www+"/x/releases/1/.env"))
	if err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, r.www)
	_, err = r.settings.SwitchSettings(r.ctx(), &agentv1.SwitchSettingsRequest{Site: site, Task: task, Password: "Rk3-T",
		Settings: &agentv1.DatabaseSettings{Host: "db2:3306", Name: "wp_new", User: "wp_new"}})
	if err != nil {
		t.Fatal(err)
	}
	if text := r.text("/x/shared/.env"); !strings.Contains(text, "DB_DATABASE=wp_new\n") || strings.Contains(text, passwordText) {
		t.Errorf("the shared file is\n%s", text)
	}
	if target, err := os.Readlink(r.www + "/x/releases/1/.env"); err != nil || target != "../../shared/.env" {
		t.Errorf("the link is %q, %v", target, err)
	}
	if !r.revertSettings(site) || fingerprint(t, r.www) != before {
		t.Errorf("after the undo:\n%s\nbefore:\n%s", fingerprint(t, r.www), before)
	}
}

// TestLayoutsOfComposer: the docroot is a directory of the project, and the settings lie above it or in several files.
func TestLayoutsOfComposer(t *testing.T) {
	d := newDiscovery(t)
	d.bedrock("bed", fmt.Sprintf(bedrockText, "bed"))
	d.bedrock("dsn", "DATABASE_URL='mysql://u:p%40q@db1/dsn'\n")
	drupal := func(dir, settings string) {
		d.lay(map[string]string{dir + "/composer.json": "{}", dir + "/web/core/lib/Drupal.php": "<?php\nclass Drupal { const VERSION = '10.2.3'; }\n",
			dir + "/web/sites/default/settings.php": settings, dir + "/web/sites/default/settings.local.php": strings.Replace(plainDrupal, "'d'", "'"+dir+"'", 1)})
	}
	drupal("split", splitDrupal)
	drupal("loop", splitDrupal+"foreach (glob(__DIR__ . '/settings.*.php') as $file) { include $file; }\n")
	drupal("host", splitDrupal+"require '/etc/drupal/database.inc';\n")
	d.serve("bed.example=WWW/bed/web", "dsn.example=WWW/dsn/web", "split.example=WWW/split/web", "loop.example=WWW/loop/web", "host.example=WWW/host/web")
	sites, _ := d.judge(
		"bed.example [] wordpress 6.8.1 root=bed docroot=bed/web db=bed",
		"dsn.example [] wordpress 6.8.1 root=dsn docroot=dsn/web db=",
		"split.example [] drupal 10.2.3 root=split docroot=split/web db=split",
		"loop.example [] drupal 10.2.3 root=loop docroot=loop/web db=",
		"host.example [] drupal 10.2.3 root=host docroot=host/web db=")
	for i, want := range []string{"", "Bedrock does not decode; use DB_NAME", "", "set the database behind it, or include a file of the site's own directory by a plain path", "a file outside of the site is included"} {
		if p := sites[i].GetProblem(); !strings.Contains(p, want) || want == "" && p != "" {
			t.Errorf("%s: problem %q", sites[i].GetSite().GetName(), p)
		}
	}
}
