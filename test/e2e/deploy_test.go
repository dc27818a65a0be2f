//go:build integration

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// The settings of a site as Aegir writes them, with the credentials in them or in the web server's environment; and the
// file from which its own program reads them.
const (
	plainSettings = "<?php\n$databases['default']['default'] = array(\n  'driver' => 'mysql',\n  'database' => 'oldexample',\n  'username' => 'oldexample',\n" +
		"  'password' => 'oldsecret',\n  'host' => 'localhost',\n  'port' => '3306',\n);\n"
	cloakedSettings = "<?php\nif (isset($_SERVER['db_name'])) {\n  $databases['default']['default'] = array(\n    'driver' => $_SERVER['db_type'],\n" +
		"    'database' => $_SERVER['db_name'],\n    'username' => $_SERVER['db_user'],\n    'password' => $_SERVER['db_passwd'],\n" +
		"    'host' => $_SERVER['db_host'],\n    'port' => (string) $_SERVER['db_port'],\n  );\n}\n"
	drushSettings = "<?php\n$options['db_type'] = 'mysql';\n$options['db_host'] = 'localhost';\n$options['db_port'] = '3306';\n$options['db_passwd'] = 'oldsecret';\n" +
		"$options['db_name'] = 'oldexample';\n$options['db_user'] = 'oldexample';\n$options['uri'] = 'old.example';\n"
	aegirDump = "-- MySQL dump 10.13  Distrib 5.7.42, for Linux (x86_64)\n--\n-- Host: localhost    Database: oldexample\n-- Server version\t5.7.42\n" +
		"/*!40101 SET NAMES utf8 */;\n--\n-- Table structure for table `node`\n--\n\nDROP TABLE IF EXISTS `node`;\n" +
		"CREATE TABLE `node` (`body` text) ENGINE=InnoDB DEFAULT CHARSET=utf8;\n\n--\n-- Dumping data for table `node`\n--\n\n" +
		"INSERT INTO `node` VALUES ('a; DEFINER=`x`@`y` row');\n\n-- Dump completed on 2020-01-01  0:00:00\n"
)

// platformIndex serves the site that the host's name says: sites/NAME of one code base, as Aegir lays them out.
const platformIndex = "<?php\nrequire __DIR__ . '/sites/' . preg_replace('/:.*/', '', $_SERVER['HTTP_HOST']) . '/settings.php';\n" +
	"['host' => $h, 'username' => $u, 'password' => $p, 'database' => $n, 'port' => $o] = $databases['default']['default'];\n" +
	"echo '<h1>', mysqli_connect($h, $u, $p, $n, (int) $o)->query('SELECT body FROM node')->fetch_row()[0], '</h1>';"

// TestAegirTarballsBecomeSites deploys what Aegir packs, in all its formats, with cloaked and with plain settings. Only a web
// server that root has started can read the virtual host of a cloaked site.
func TestAegirTarballsBecomeSites(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	s := &stage{T: b, t: t, db: b.MariaDB("db1"), web: b.Apache("web1"), master: b.Master("master")}
	s.onWeb = s.Agent(s.master, "one", bed.AgentOptions{Web: s.web, DB: s.db})
	platform := s.layPlatform()
	for _, c := range []struct{ suffix, flag, settings string }{
		{".tar", "", plainSettings}, {".tar.gz", "--gzip", cloakedSettings}, {".tar.bz2", "--bzip2", plainSettings},
	} {
		name := "aegir" + strings.ReplaceAll(strings.TrimPrefix(c.suffix, "."), ".", "") + ".example"
		tarball := s.packAegir("old.example-20200101.000000"+c.suffix, c.flag, c.settings, true)
		root := filepath.Join(platform, "sites", name)
		s.done("deploy", tarball, "--site", name, "--web", "one", "--db", "one", "--root", root, "--docroot", platform)
		s.serves(name, "a; DEFINER=`x`@`y` row")
		s.isAsDeployed(name, root)
	}
	s.refusesAegir(platform)
}

// layPlatform makes the code base.
func (s *stage) layPlatform() string {
	s.t.Helper()
	dir := filepath.Join(s.web.Root, "platform")
	for name, text := range map[string]string{
		"index.php": platformIndex, "core/lib/Drupal.php": "<?php\nclass Drupal { const VERSION = '10.2.3'; }\n", "sites/default/default.settings.php": "<?php\n",
	} {
		path := filepath.Join(dir, name)
		s.must(os.MkdirAll(filepath.Dir(path), 0o755))
		s.must(os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

// packAegir makes a tarball of a site's directory.
func (s *stage) packAegir(name, flag, settings string, dump bool) string {
	s.t.Helper()
	dir := bed.Must(os.MkdirTemp(s.Dir(), "aegir"))(s.t)
	site := filepath.Join(dir, "site")
	files := map[string]string{"settings.php": settings, "drushrc.php": drushSettings, "local.settings.php": "<?php\n", "files/a.txt": "a file\n", "modules/own/own.module": "<?php\n"}
	if dump {
		files["database.sql"] = aegirDump
	}
	for name, text := range files {
		path := filepath.Join(site, name)
		s.must(os.MkdirAll(filepath.Dir(path), 0o755))
		s.must(os.WriteFile(path, []byte(text), 0o640))
	}
	out := filepath.Join(dir, name)
	args := []string{"--owner=nobody", "--group=nogroup", "-C", site, "-cf", out, "./"}
	if flag != "" {
		args = append([]string{flag}, args...)
	}
	if text, err := exec.CommandContext(s.t.Context(), "tar", args...).CombinedOutput(); err != nil {
		s.t.Fatalf("tar %q: %v: %s", args, err, text)
	}
	return out
}

func (s *stage) serves(name, row string) {
	s.t.Helper()
	page := bed.Must(s.web.Get(s.t.Context(), name, "/"))(s.t)
	if page.Status != 200 || !strings.Contains(page.Body, "<h1>"+row+"</h1>") {
		s.t.Fatalf("%s: the page is %d %q", name, page.Status, page.Body)
	}
}

// isAsDeployed checks what is there beside the page: no dump in reach of visitors, none of the old credentials, a backup of
// the tarball, and that the site can be backed up as any other.
func (s *stage) isAsDeployed(name, root string) {
	s.t.Helper()
	if _, err := os.Lstat(filepath.Join(root, "database.sql")); !os.IsNotExist(err) {
		s.t.Errorf("%s: the dump lies in the site: %v", name, err)
	}
	if text := bed.Must(os.ReadFile(filepath.Join(root, "files", "a.txt")))(s.t); string(text) != "a file\n" {
		s.t.Errorf("%s: the file has %q", name, text)
	}
	if text := bed.Must(os.ReadFile(filepath.Join(root, "settings.php")))(s.t); strings.Contains(string(text), "oldsecret") {
		s.t.Errorf("%s: the settings have the old password:\n%s", name, text)
	}
	if site := s.ok("site", "show", name, "-o", "json"); !strings.Contains(site, `"drupal"`) {
		s.t.Errorf("%s is %s", name, site)
	}
	list := read[[]struct {
		ID     string `json:"id"`
		Origin string `json:"origin"`
	}](s, "backups", name)
	if len(list) == 0 || list[len(list)-1].Origin != "imported" {
		s.t.Errorf("%s: the backups are %v", name, list)
	}
	s.ok("check", list[len(list)-1].ID)
	s.done("backup", name)
}

// refusesAegir: what cannot become a site changes nothing.
func (s *stage) refusesAegir(platform string) {
	s.t.Helper()
	root := filepath.Join(platform, "sites", "no.example")
	tarball := s.packAegir("no.tar", "", plainSettings, false)
	s.refused(1, []string{"there is no dump in it"}, "deploy", tarball, "--site", "no.example", "--web", "one", "--db", "one", "--root", root, "--docroot", platform)
	whole := bed.Must(os.ReadFile(s.packAegir("cut.tar.gz", "--gzip", plainSettings, true)))(s.t)
	cut := filepath.Join(s.Dir(), "cut.tar.gz")
	s.must(os.WriteFile(cut, whole[:len(whole)*2/3], 0o600))
	s.refused(1, []string{"cut off"}, "deploy", cut, "--site", "no.example", "--web", "one", "--db", "one", "--root", root, "--docroot", platform)
	good := s.packAegir("good.tar", "", plainSettings, true)
	s.refused(7, []string{"allow"}, "deploy", good, "--site", "no.example", "--web", "one", "--db", "one", "--root", "/etc/no.example")
	if _, err := os.Lstat(root); !os.IsNotExist(err) {
		s.t.Errorf("what was refused has left %s: %v", root, err)
	}
	s.refused(3, []string{"no.example"}, "site", "show", "no.example")
}
