package agent_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/agent"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const (
	passwordText = "s3cr3t-p4ss"
	smallConfig  = "<?php\ndefine('DB_NAME','%s');\ndefine('DB_USER','u');\ndefine('DB_PASSWORD','" + passwordText + "');\ndefine('DB_HOST','db1:3306');\n"
)

// discovery is a machine with sites of every sort.
type discovery struct {
	*rig
	conf string
}

func newDiscovery(t *testing.T) *discovery {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "nginx.conf")
	r := newRig(t, func(o *agent.Options) { o.Config.Webserver.ConfigFile = conf })
	return &discovery{rig: r, conf: conf}
}

// lay writes files below the allowed directory.
func (d *discovery) lay(files map[string]string) {
	d.t.Helper()
	for name, text := range files {
		path := filepath.Join(d.www, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *discovery) wordpress(dir, database string) {
	d.lay(map[string]string{dir + "/wp-load.php": "", dir + "/wp-includes/version.php": "<?php\n$wp_version = '6.8.1';\n", dir + "/wp-config.php": fmt.Sprintf(smallConfig, database)})
}

// serve has nginx serve names from directories; WWW stands for the allowed one.
func (d *discovery) serve(lines ...string) {
	d.t.Helper()
	var conf strings.Builder
	for _, line := range lines {
		names, root, _ := strings.Cut(line, "=")
		fmt.Fprintf(&conf, "server { server_name %s; root %s; }\n", names, strings.ReplaceAll(root, "WWW", d.www))
	}
	fmt.Fprintf(&conf, "include %s/*.conf;\n", d.vhosts)
	if err := os.WriteFile(d.conf, []byte(conf.String()), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// find returns what is found, a line each, in order, and the warnings.
func (d *discovery) find(sizes bool) (sites []*agentv1.FoundSite, warnings []string) {
	d.t.Helper()
	stream, err := agentv1.NewDiscoveryServiceClient(d.conn).FindSites(d.ctx(), &agentv1.FindSitesRequest{Sizes: sizes})
	if err != nil {
		d.t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return sites, warnings
		}
		if err != nil {
			d.t.Fatal(err)
		}
		if strings.Contains(m.String(), passwordText) {
			d.t.Errorf("the password leaves the agent: %s", m)
		}
		if m.GetSite() != nil {
			sites = append(sites, m.GetSite())
		} else {
			warnings = append(warnings, m.GetWarning())
		}
	}
}

// lines writes sites as "name aliases kind version root docroot database".
func (d *discovery) lines(sites []*agentv1.FoundSite) (out []string) {
	short := func(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, d.www), "/") }
	for _, s := range sites {
		ref := s.GetSite()
		line := fmt.Sprintf("%s %v %s %s root=%s docroot=%s db=%s", ref.GetName(), ref.GetAliases(), ref.GetKind(), s.GetVersion(),
			short(ref.GetRoot()), short(ref.GetDocroot()), s.GetSettings().GetName())
		if !ref.GetExternal() {
			line += " managed"
		}
		if s.GetVhostFile() == "" {
			line += " unserved"
		}
		out = append(out, line)
	}
	return out
}

func (d *discovery) judge(want ...string) ([]*agentv1.FoundSite, []string) {
	d.t.Helper()
	sites, warnings := d.find(false)
	if got := d.lines(sites); !slices.Equal(got, want) {
		d.t.Errorf("found\n%s\nwant\n%s\nwarnings %q", strings.Join(got, "\n"), strings.Join(want, "\n"), warnings)
	}
	return sites, warnings
}

func TestFindServedSites(t *testing.T) {
	d := newDiscovery(t)
	d.wordpress("a", "a")
	d.wordpress("b/web", "b")
	d.lay(map[string]string{
		"c/web/wp-load.php": "", "c/wp-config.php": fmt.Sprintf(smallConfig, "c"), "static/index.html": "x",
		"l/artisan": "", "l/public/index.php": "", "l/.env": "DB_CONNECTION=mysql\nDB_HOST=db1\nDB_DATABASE=l\nDB_USERNAME=u\nDB_PASSWORD=" + passwordText + "\n",
		"broken/wp-load.php": "", "broken/wp-config.php": "<?php define('DB_NAME', getenv('X') . '" + passwordText + "');",
	})
	d.serve("a.example www.a.example=WWW/a", "b.example=WWW/b/web", "www.a.example a2.example=WWW/a", "c.example=WWW/c/web",
		"static.example=WWW/static", "l.example=WWW/l/public", "broken.example=WWW/broken")
	sites, warnings := d.judge(
		"a.example [www.a.example a2.example] wordpress 6.8.1 root=a docroot=a db=a",
		"b.example [] wordpress 6.8.1 root=b/web docroot=b/web db=b",
		"c.example [] wordpress  root=c docroot=c/web db=c",
		"static.example [] generic  root=static docroot=static db=",
		"l.example [] dotenv  root=l docroot=l/public db=l",
		"broken.example [] wordpress  root=broken docroot=broken db=")
	if len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
	if s := sites[0].GetSettings(); s.GetHost() != "db1:3306" || s.GetUser() != "u" || sites[0].GetVhostFile() != d.conf {
		t.Errorf("%v", sites[0])
	}
	if p := sites[5].GetProblem(); !strings.Contains(p, "wp-config.php line 1") {
		t.Errorf("settings that are computed: %q", p)
	}
}

// TestFindOnlyWhatIsAllowed: outside of the allow-list nothing is looked at, whatever a virtual host says.
func TestFindOnlyWhatIsAllowed(t *testing.T) {
	d := newDiscovery(t)
	outside := t.TempDir()
	if err := errors.Join(os.WriteFile(outside+"/wp-config.php", fmt.Appendf(nil, smallConfig, "secretdb"), 0o644),
		os.WriteFile(outside+"/wp-load.php", nil, 0o644), os.Symlink(outside, d.www+"/link")); err != nil {
		t.Fatal(err)
	}
	d.wordpress("real", "real")
	if err := os.Symlink("real", d.www+"/alias"); err != nil {
		t.Fatal(err)
	}
	d.serve("out.example="+outside, "link.example=WWW/link", "all.example=WWW", "gone.example=WWW/gone", "alias.example=WWW/alias", "bad_.example=WWW/real")
	sites, warnings := d.find(false)
	for i, name := range []string{"out.example", "all.example"} {
		s := sites[i]
		if s.GetSite().GetName() != name || s.GetSite().GetKind() != "" || s.GetSettings() != nil || !strings.Contains(s.GetProblem(), "not below a directory that is allowed") ||
			!strings.Contains(s.GetProblem(), "allow.roots in agent.yaml") {
			t.Errorf("%s: %v", name, s)
		}
	}
	alias := sites[2]
	if len(sites) != 3 || alias.GetSite().GetRoot() != d.www+"/real" || alias.GetSettings().GetName() != "real" || len(alias.GetWarnings()) != 1 || !strings.Contains(alias.GetWarnings()[0], "symbolic link") {
		t.Errorf("%d sites; over a link: %v", len(sites), alias)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "gone.example is not there") {
		t.Errorf("warnings %q", warnings)
	}
}

func TestFindDrupalsSites(t *testing.T) {
	d := newDiscovery(t)
	settings := func(db string) string { return strings.Replace(plainDrupal, "'d'", "'"+db+"'", 1) }
	core := "<?php\ndefine('VERSION', '7.98');\n"
	d.lay(map[string]string{
		"multi/includes/bootstrap.inc": core, "multi/sites/default/settings.php": settings("dflt"), "multi/sites/b.example/settings.php": settings("b"),
		"multi/sites/c.example/settings.php": settings("c"), "multi/sites/orphan.example/settings.php": settings("o"), "multi/sites/all/README.txt": "",
		"multi/sites/sites.php":        "<?php\n$sites['other.example'] = 'c.example';\n",
		"aegir/includes/bootstrap.inc": core, "aegir/sites/e.example/settings.php": settings("e"), "aegir/sites/e.example/drushrc.php": "<?php\n",
		"ten/composer.json": "{}", "ten/web/core/lib/Drupal.php": "<?php\nclass Drupal { const VERSION = '10.2.3'; }\n", "ten/web/sites/default/settings.php": settings("ten"),
	})
	if err := os.Symlink("b.example", d.www+"/multi/sites/alias.example"); err != nil {
		t.Fatal(err)
	}
	d.serve("x.example=WWW/multi", "www.b.example b.example=WWW/multi", "other.example alias.example=WWW/multi", "e.example=WWW/aegir", "ten.example=WWW/ten/web")
	d.judge(
		"b.example [www.b.example alias.example] drupal 7.98 root=multi/sites/b.example docroot=multi db=b",
		"other.example [] drupal 7.98 root=multi/sites/c.example docroot=multi db=c",
		"x.example [] drupal 7.98 root=multi/sites/default docroot=multi db=dflt",
		"orphan.example [] drupal 7.98 root=multi/sites/orphan.example docroot=multi db=o unserved",
		"e.example [] drupal 7.98 root=aegir/sites/e.example docroot=aegir db=e",
		"ten.example [] drupal 10.2.3 root=ten docroot=ten/web db=ten")
}

// TestFindDirectories: what no virtual host serves is found below the allowed directories.
func TestFindDirectories(t *testing.T) {
	d := newDiscovery(t)
	d.wordpress("a.example", "a")
	d.wordpress("clients/acme/b.example/htdocs", "b")
	d.wordpress("nameless", "n")
	d.wordpress("one/two/three/four/deep.example", "deep")
	d.wordpress("served", "s")
	d.wordpress("served/old.example", "old")
	d.wordpress(".hidden/h.example", "h")
	d.lay(map[string]string{
		"l.example/artisan": "", "l.example/public/index.php": "", "l.example/.env": "DB_CONNECTION=mysql\nDB_HOST=db1\nDB_DATABASE=l\nDB_USERNAME=u\nDB_PASSWORD=x\n",
		"static.example/index.html": "x", "noenv.example/.env": "A=b\n",
	})
	d.serve("served.example=WWW/served")
	d.judge(
		"served.example [] wordpress 6.8.1 root=served docroot=served db=s",
		"a.example [] wordpress 6.8.1 root=a.example docroot=a.example db=a unserved",
		"b.example [] wordpress 6.8.1 root=clients/acme/b.example/htdocs docroot=clients/acme/b.example/htdocs db=b unserved",
		"l.example [] dotenv  root=l.example docroot=l.example/public db=l unserved",
		" [] wordpress 6.8.1 root=nameless docroot=nameless db=n unserved")
}

// TestSettingsBesideOtherSites: a wp-config.php above its docroot makes no site of a directory that holds others too.
func TestSettingsBesideOtherSites(t *testing.T) {
	d := newDiscovery(t)
	d.lay(map[string]string{"c/wp-config.php": fmt.Sprintf(smallConfig, "c"), "c/one/wp-load.php": ""})
	d.wordpress("c/two", "two")
	d.serve("one.example=WWW/c/one", "two.example=WWW/c/two")
	sites, _ := d.find(false)
	if len(sites) != 2 || !strings.Contains(sites[0].GetProblem(), "its settings lie in "+d.www+"/c, where "+d.www+"/c/two lies too") || sites[1].GetProblem() != "" {
		t.Errorf("%v", sites)
	}
}

func TestManagedVhostsAndSizes(t *testing.T) {
	d := newDiscovery(t)
	d.wordpress("a", "a")
	d.lay(map[string]string{"a/big": strings.Repeat("x", 5000)})
	if err := os.Link(d.www+"/a/big", d.www+"/a/big2"); err != nil {
		t.Fatal(err)
	}
	sealed := "# Managed by Sitekeep: site a.example, generation 0123456789abcdef, sha256 " + strings.Repeat("0", 64) + "\nserver { server_name a.example; root " + d.www + "/a; }\n"
	if err := os.WriteFile(d.vhosts+"/a.example.conf", []byte(sealed), 0o644); err != nil {
		t.Fatal(err)
	}
	d.serve()
	d.judge("a.example [] wordpress 6.8.1 root=a docroot=a db=a managed")
	sites, _ := d.find(true)
	if n := sites[0].GetFileBytes(); n < 5000 || n > 6000 {
		t.Errorf("%d bytes of files, with a hard link that counts once", n)
	}
}

// TestFindCloakedSettings: what the virtual host gives is known of, and its password stays.
func TestFindCloakedSettings(t *testing.T) {
	d := newDiscovery(t)
	d.lay(map[string]string{"x/includes/bootstrap.inc": "<?php\ndefine('VERSION', '7.98');\n", "x/sites/default/settings.php": cloaked})
	env := "location ~ \\.php$ { fastcgi_param db_name thedb; fastcgi_param db_user u; fastcgi_param db_passwd " + passwordText + "; fastcgi_param db_host db1; fastcgi_param db_type mysql; }"
	text := "server { server_name x.example; root " + d.www + "/x; " + env + " }"
	if err := os.WriteFile(d.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sites, _ := d.judge("x.example [] drupal 7.98 root=x docroot=x db=thedb")
	if s := sites[0].GetSettings(); s.GetHost() != "db1:3306" || s.GetUser() != "u" || sites[0].GetProblem() != "" {
		t.Errorf("%v", sites[0])
	}
}

func TestFindWithoutAWebServer(t *testing.T) {
	r := newRig(t, func(o *agent.Options) { o.Config.Webserver = nil })
	d := &discovery{rig: r}
	d.wordpress("a.example", "a")
	_, warnings := d.judge("a.example [] wordpress 6.8.1 root=a.example docroot=a.example db=a unserved")
	if len(warnings) != 1 || !strings.Contains(warnings[0], "no section webserver") {
		t.Errorf("warnings %q", warnings)
	}
}

func TestOnlyWebServersAreSearched(t *testing.T) {
	r := newRig(t, func(o *agent.Options) { o.Roles = []model.Role{model.RoleDB} })
	stream, err := agentv1.NewDiscoveryServiceClient(r.conn).FindSites(r.ctx(), &agentv1.FindSitesRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if !errs.Is(err, errs.Permission) {
		t.Errorf("%v", err)
	}
}

// TestTemplatesAreTried: one that cannot be used is told of when the agent starts and when it is asked how it is.
func TestTemplatesAreTried(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/vhost-nginx-shop.example.tmpl", []byte("{{.Nothing}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(o *agent.Options) { o.Config.Webserver.TemplateDir = dir })
	if !strings.Contains(r.log.String(), "vhost-nginx-shop.example.tmpl") {
		t.Errorf("the log says nothing of it: %s", r.log)
	}
	info, err := r.info.GetInfo(r.ctx(), &agentv1.GetInfoRequest{})
	if err != nil || !slices.ContainsFunc(info.GetProblems(), func(p string) bool { return strings.Contains(p, "vhost-nginx-shop.example.tmpl") }) {
		t.Errorf("%v, %v", info.GetProblems(), err)
	}
}

// TestCompareVhostChangesNothing: the dry run of verify says what WriteVhost would do.
func TestCompareVhostChangesNothing(t *testing.T) {
	r := newRig(t)
	site := r.ref("x")
	if err := os.MkdirAll(r.www+"/x", 0o755); err != nil {
		t.Fatal(err)
	}
	drift, err := r.vhost.CompareVhost(r.ctx(), &agentv1.CompareVhostRequest{Site: site})
	if err != nil || !strings.Contains(drift.GetReason(), "there is no virtual host") {
		t.Errorf("%v, %v", drift, err)
	}
	if left, err := os.ReadDir(r.vhosts); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := r.vhost.CompareVhost(r.ctx(), &agentv1.CompareVhostRequest{Site: &agentv1.SiteRef{Name: "a.example", Kind: "generic", Root: "/etc/x"}}); !errs.Is(err, errs.Permission) {
		t.Errorf("outside: %v", err)
	}
}
