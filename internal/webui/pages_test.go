package webui_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
)

// TestDiscoveredSitesAreAdded: those that are chosen, as they are found again at that moment, and nothing that a form says.
func TestDiscoveredSitesAreAdded(t *testing.T) {
	f, b := newFakeRig(t)
	page := b.get(t, "/servers/web1/sites?sizes=yes")
	for _, want := range []string{`name="site" value="new.example"`, "6.8.1", "3.0 MiB", "&lt;script&gt;", "Its database server db9 has no agent.", "Under care as", "permission denied"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page.body, `value="odd.example"`) || strings.Contains(page.body, `value="known.example"`) {
		t.Error("what cannot be added is offered")
	}
	got := b.post(t, "/servers/web1/sites", url.Values{"site": {"new.example", "odd.example", "never.example"}, "root": {"/etc"}})
	if got.status != http.StatusOK || strings.Count(got.body, "Not added") != 2 || !strings.Contains(got.body, "Its settings could not be read.") {
		t.Errorf("adding: %d %s", got.status, got.body)
	}
	if want := []string{"new.example in /var/www/new.example"}; !slices.Equal(f.added, want) {
		t.Errorf("added %q, want %q", f.added, want)
	}
	if strings.Contains(got.body, `value="new.example"`) {
		t.Error("what was added is offered again")
	}
	if got := b.post(t, "/servers/web1/sites", nil); got.status != http.StatusBadRequest {
		t.Errorf("nothing chosen: %d", got.status)
	}
}

func TestClone(t *testing.T) {
	f, b := newFakeRig(t)
	page := b.get(t, "/sites/garden.example/clone")
	for _, want := range []string{`value="web1" checked`, `value="web2">`, "<option selected>db1", "xxx…</option>"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the form lacks %s", want)
		}
	}
	if strings.Contains(page.body, "gone") {
		t.Error("a revoked server is offered")
	}
	got := b.post(t, "/sites/garden.example/clone", url.Values{"name": {" copy.example "}, "web": {"web2"}, "db": {"db1"}, "root": {"/srv/copy"}, "backup": {"garden.example-20261123.120000"}})
	if got.header.Get("Location") != "/tasks/"+failedTask {
		t.Fatalf("%d %s", got.status, got.body)
	}
	q, s := f.cloned, f.cloned.GetNewSite()
	if q.GetSite() != "garden.example" || q.GetBackup() != "garden.example-20261123.120000" || s.GetName() != "copy.example" ||
		!slices.Equal(s.GetWebServers(), []string{"web2"}) || s.GetDbServer() != "db1" || s.GetRoot() != "/srv/copy" {
		t.Errorf("asked for %v", q)
	}
}

// TestARestoreIsWhatItsPlanWas: the whole, one half, or some paths and tables, whatever bytes a name has.
func TestARestoreIsWhatItsPlanWas(t *testing.T) {
	f, b := newFakeRig(t)
	const site, id = "/sites/garden.example/restore", "garden.example-20261123.120000"
	odd := base64.RawURLEncoding.EncodeToString([]byte("files/\xff\n<b>"))
	for what, form := range map[string]url.Values{
		"all": {"part": {""}}, "files": {"part": {"files"}}, "database": {"part": {"database"}}, "some": {"path": {odd}, "table": {"wp_posts", markup}},
	} {
		form.Set("backup", id)
		plan := b.get(t, site+"/plan?"+form.Encode()).body
		if !strings.Contains(plan, "Expected downtime: <b>3s</b>") || !strings.Contains(plan, "evil\uFFFDgpj.exe") || strings.Contains(plan, "<script>alert") {
			t.Errorf("%s: %s", what, plan)
		}
		for field := range form {
			if !strings.Contains(plan, `name="`+field+`"`) {
				t.Errorf("%s: the plan's form lacks %s", what, field)
			}
		}
		form.Set("confirm", "garden.example")
		b.post(t, site, form)
		p, q := f.preview, f.restored
		if p.GetBackup() != id || q.GetBackup() != id || p.GetFilesOnly() != (what == "files") || p.GetDbOnly() != (what == "database") ||
			q.GetFilesOnly() != p.GetFilesOnly() || q.GetDbOnly() != p.GetDbOnly() || !slices.Equal(q.GetTables(), form["table"]) || !slices.Equal(p.GetTables(), form["table"]) {
			t.Errorf("%s: planned %v, begun %v", what, p, q)
		}
		if what == "some" && (string(q.GetPaths()[0]) != "files/\xff\n<b>" || string(p.GetPaths()[0]) != "files/\xff\n<b>") {
			t.Errorf("the paths %q, %q", p.GetPaths(), q.GetPaths())
		}
	}
}

// TestRetentionIsPreviewed: a proposal is shown, and not set.
func TestRetentionIsPreviewed(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "admin")
	const page = "/sites/acme.example/retention"
	plain := b.get(t, page)
	if !strings.Contains(plain.body, "Nothing is set") || strings.Contains(plain.body, "Goes") {
		t.Errorf("at first: %s", plain.body)
	}
	proposal := b.get(t, page+"?preview=yes&last=1&min_age=90m&keep_safety=3d")
	for _, want := range []string{"Not set yet", ">Goes<", ">Stays<", `name="min_age" value="1h30m"`, `name="keep_safety" value="3d"`, "Set this for this site"} {
		if !strings.Contains(proposal.body, want) {
			t.Errorf("the preview lacks %s", want)
		}
	}
	if again := b.get(t, page); !strings.Contains(again.body, "Nothing is set") {
		t.Error("a preview has set something")
	}
	if got := b.post(t, page, url.Values{"last": {"1"}, "min_age": {"90m"}}); got.header.Get("Location") != page {
		t.Fatalf("setting it: %d %s", got.status, got.body)
	}
	if set := b.get(t, page); !strings.Contains(set.body, "What is set for this site holds here") || !strings.Contains(set.body, ">Goes<") {
		t.Errorf("set: %s", set.body)
	}
	if other := b.get(t, "/sites/other.example/retention"); !strings.Contains(other.body, "Nothing is set") {
		t.Error("it holds for another site")
	}
	b.post(t, page+"/delete", nil)
	b.post(t, "/retention", url.Values{"daily": {"7"}})
	if all := b.get(t, page); !strings.Contains(all.body, "What is set for all sites holds here") || !strings.Contains(all.body, `name="daily" min="0" max="100000" value="7"`) {
		t.Errorf("for all: %s", all.body)
	}
	for query, want := range map[string]string{"min_age=soon": "no length of time", "daily=-1": "no number", "zone=Mars": "no time zone"} {
		if got := b.get(t, page+"?preview=yes&"+query); got.status != http.StatusBadRequest || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d", query, got.status)
		}
	}
}

// TestSchedules: a form changes what it has and nothing else, and a name that is taken replaces nothing.
func TestSchedules(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "admin")
	nightly := url.Values{"new": {"yes"}, "name": {"nightly"}, "cron": {"0 3 * * *"}, "scope": {"sites"}, "sites": {"acme.example\r\nother.example"}, "from": {"acme.example"}, "spread": {"2h"}}
	if got := b.post(t, "/schedule", nightly); got.header.Get("Location") != "/sites/acme.example/retention" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := b.post(t, "/schedule", nightly); got.status != http.StatusConflict || !strings.Contains(got.body, "already") {
		t.Errorf("the same name: %d", got.status)
	}
	for path, want := range map[string]string{"/sites/acme.example/retention": "nightly", "/retention": "2 sites", "/schedule?name=nightly": `value="2h"`} {
		if got := b.get(t, path); !strings.Contains(got.body, want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
	if got := b.get(t, "/schedule?name=never"); got.status != http.StatusNotFound {
		t.Errorf("a schedule that is not there: %d", got.status)
	}
	for name, form := range map[string]url.Values{
		"no name": {"new": {"yes"}, "cron": {"0 3 * * *"}, "scope": {"all"}}, "no such time": {"new": {"yes"}, "name": {"x"}, "cron": {"0 25 * * *"}, "scope": {"all"}},
		"no site": {"new": {"yes"}, "name": {"x"}, "cron": {"@daily"}, "scope": {"sites"}},
	} {
		if got := b.post(t, "/schedule", form); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	b.post(t, "/schedule", url.Values{"name": {"nightly"}, "cron": {"@weekly"}, "scope": {"all"}, "disabled": {"yes"}})
	if got := b.get(t, "/retention").body; !strings.Contains(got, "@weekly") || !strings.Contains(got, "all sites") || !strings.Contains(got, ">Off<") {
		t.Errorf("changed: %s", got)
	}
	b.post(t, "/schedule/delete", url.Values{"name": {"nightly"}})
	if got := b.get(t, "/retention").body; strings.Contains(got, "@weekly") {
		t.Error("it is there still")
	}
}

func TestSettingsOfASite(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "admin")
	form := url.Values{"aliases": {"www.acme.example\nshop.acme.example"}, "client": {"acme"}, "excludes": {"cache/**\r\n\r\na b/*\r\n"}, "blank_credentials": {"yes"}}
	if got := b.post(t, "/sites/acme.example/settings", form); got.header.Get("Location") != "/sites/acme.example" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for path, want := range map[string]string{"/sites/acme.example": "www.acme.example, shop.acme.example", "/sites/acme.example/settings": "cache/**\na b/*</textarea>"} {
		if got := b.get(t, path); !strings.Contains(got.body, want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
}

func TestDisablingInPages(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "operator")
	const site = "/sites/acme.example"
	if got := b.get(t, site).body; !strings.Contains(got, `href="/sites/acme.example/disable"`) || strings.Contains(got, "Enable") {
		t.Errorf("an enabled site: %s", got)
	}
	if got := b.get(t, site+"/disable").body; !strings.Contains(got, "503") {
		t.Errorf("the form: %s", got)
	}
	if got := b.post(t, site+"/disable", url.Values{"confirm": {"another.example"}}); got.status != http.StatusBadRequest {
		t.Errorf("another name was typed: %d", got.status)
	}
	for _, what := range []string{"disable", "enable"} {
		got := b.post(t, site+"/"+what, url.Values{"confirm": {"acme.example"}})
		at := got.header.Get("Location")
		if !strings.HasPrefix(at, "/tasks/") {
			t.Fatalf("%s: %d %s", what, got.status, got.body)
		}
		if page := b.get(t, at).body; !strings.Contains(strings.ToLower(page), what) {
			t.Errorf("the page of the task: %s", page)
		}
		b.post(t, at+"/cancel", nil)
		for strings.Contains(b.get(t, at).body, `http-equiv="refresh"`) { // it goes on, and the site takes no other task
			time.Sleep(10 * time.Millisecond)
		}
	}
	if got := r.signedIn(t, "viewer").post(t, site+"/enable", nil); got.status != http.StatusForbidden {
		t.Errorf("a viewer: %d", got.status)
	}
}

// TestADisabledSiteIsShown in its page, in the list, and offers to be enabled.
func TestADisabledSiteIsShown(t *testing.T) {
	r := newRig(t, func(t testing.TB, dir string) {
		c, err := catalogue.Open(t.Context(), filepath.Join(dir, "catalogue.db"))
		must(t, err)
		defer c.Close()
		_, err = c.UpdateSite(t.Context(), "acme.example", func(s *model.Site) error { s.Disabled = true; return nil })
		must(t, err)
	})
	b := r.signedIn(t, "operator")
	for path, want := range map[string]string{"/sites/acme.example": `action="/sites/acme.example/enable"`, "/?show=disabled": "acme.example", "/": "Disabled"} {
		if got := b.get(t, path); !strings.Contains(got.body, want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
}

func TestUsersInPages(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "admin")
	eve := url.Values{"name": {"eve"}, "role": {"viewer"}, "client": {"acme"}, "password": {password}, "again": {password}}
	if got := b.post(t, "/users", eve); got.header.Get("Location") != "/users" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for name, form := range map[string]url.Values{"twice": eve, "another password": {"name": {"bob"}, "role": {"viewer"}, "password": {password}, "again": {"x"}},
		"a short one": {"name": {"bob"}, "role": {"viewer"}, "password": {"short"}, "again": {"short"}}} {
		if got := b.post(t, "/users", form); got.status/100 != 4 {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	in := r.signedIn(t, "eve")
	b.post(t, "/users/eve/password", url.Values{"password": {"another one, long"}, "again": {"another one, long"}})
	if got := in.get(t, "/"); got.status != http.StatusSeeOther {
		t.Errorf("a session outlives its password: %d", got.status)
	}
	if page := b.get(t, "/users").body; strings.Contains(page, "Remove admin") || !strings.Contains(page, "Remove eve") {
		t.Error("the page offers to remove oneself, or nobody")
	}
	b.post(t, "/users/eve/delete", nil)
	if strings.Contains(b.get(t, "/users").body, "Remove eve") {
		t.Error("the user is there still")
	}
}

func TestALogIsFilteredWithoutAScript(t *testing.T) {
	b := newRig(t).signedIn(t, "viewer")
	for level, want := range map[string]struct{ has, lacks string }{
		"": {">begun<", ""}, "info": {">begun<", ""}, "warning": {`id="line-2"`, ">begun<"}, "error": {`id="line-2"`, ">begun<"}, "odd": {">begun<", ""},
	} {
		got := b.get(t, "/tasks/"+failedTask+"?level="+level).body
		if !strings.Contains(got, want.has) || want.lacks != "" && strings.Contains(got, want.lacks) {
			t.Errorf("level %q: %s", level, got)
		}
	}
}

// TestZoneOfTheReader: a cookie names it; what no zone can be is UTC.
func TestZoneOfTheReader(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "viewer")
	home := &url.URL{Scheme: "https", Host: r.address, Path: "/"}
	for zone, want := range map[string]string{
		"": `<span id="zone">UTC</span>`, "Europe/Berlin": `Z" title="Mon, 23 Nov 2026 05:00:00 CET">2026-11-23 05:00<`, "Asia/Kathmandu": ">2026-11-23 09:45<",
		"Local": ">2026-11-23 04:00<", "../../etc/passwd": ">2026-11-23 04:00<", "/etc/passwd": ">2026-11-23 04:00<", strings.Repeat("x", 5000): ">2026-11-23 04:00<",
	} {
		b.Jar.SetCookies(home, []*http.Cookie{{Name: "sitekeep-zone", Value: zone, Secure: true}})
		if got := b.get(t, "/sites/acme.example").body; !strings.Contains(got, want) {
			t.Errorf("%.40q does not show %s", zone, want)
		}
	}
}

func TestRevokingAServerWantsItsName(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "admin")
	if got := b.post(t, "/servers/web1/revoke", url.Values{"confirm": {"web"}}); got.status != http.StatusBadRequest {
		t.Errorf("a wrong name: %d", got.status)
	}
	if got := b.post(t, "/servers/web1/revoke", url.Values{"confirm": {"web1"}}); got.header.Get("Location") != "/servers" || !strings.Contains(b.get(t, "/servers").body, ">Revoked<") {
		t.Errorf("revoking: %d", got.status)
	}
}
