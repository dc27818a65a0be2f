package webui_test

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
)

// moreSites are: one that nobody has backed up, one that a restore alone has, one with an imported backup alone, one that is backed up at this moment, and one
// whose backup failed its drill.
func moreSites(t testing.TB, dir string) {
	t.Helper()
	c, err := catalogue.Open(t.Context(), filepath.Join(dir, "catalogue.db"))
	must(t, err)
	defer c.Close()
	for _, name := range []string{"bare.example", "replaced.example", "foreign.example", "fresh.example", "doubtful.example"} {
		must(t, c.CreateSite(t.Context(), model.Site{Name: name, Kind: "generic", WebServers: []string{"web1"}, Root: "/var/www/" + name,
			Docroot: "/var/www/" + name, Vhost: model.VhostManaged, CreatedAt: now}))
	}
	for _, name := range []string{"fresh.example", "doubtful.example"} {
		must(t, c.InsertBackup(t.Context(), backupOf(name, 10, "nightly")))
	}
	for name, origin := range map[string]model.Origin{"replaced.example": model.OriginSafety, "foreign.example": model.OriginImported} {
		other := backupOf(name, 10, "not of the site as it is")
		other.Origin = origin
		must(t, c.InsertBackup(t.Context(), other))
	}
	must(t, c.RecordDrill(t.Context(), model.Drill{Site: "doubtful.example", Backup: "x", At: now, TaskID: failedTask, Problem: "2 tables lack rows"}))
}

// TestDrillsInPages: what the last one has shown is seen where sites are looked at, and a new one is a press away.
func TestDrillsInPages(t *testing.T) {
	r := newRig(t, moreSites)
	b := r.signedIn(t, "operator")
	for path, want := range map[string][]string{
		"/sites/acme.example":  {">Failed</span></h2>", "&lt;script&gt;alert(1)", `href="/tasks/` + failedTask + `"`, "1 hour ago", "The site is not touched.", ">Drill</button>"},
		"/sites/other.example": {">Passed</span></h2>", "3 days ago"},
		"/sites/fresh.example": {"has not been tried", ">Drill</button>"},
		"/":                    {`<a class="bad" href="/tasks/` + failedTask + `">Drill failed</a> 1 hour ago`, `Drill passed <span class="nowrap">3 days ago`},
		"/?show=drill_failed":  {"1–1 of 1", "doubtful.example", `<span class="tag drill_failed">Drill failed</span>`},
	} {
		got := b.get(t, path)
		for _, w := range want {
			if !strings.Contains(got.body, w) {
				t.Errorf("%s lacks %q", path, w)
			}
		}
	}
	if got := b.get(t, "/sites/bare.example").body; strings.Contains(got, ">Drill</button>") {
		t.Error("a site without a backup is offered a drill")
	}
	if got := b.post(t, "/sites/bare.example/drill", nil); got.status != http.StatusNotFound || !strings.Contains(got.body, "sitekeep backup bare.example") {
		t.Errorf("a drill of nothing: %d %s", got.status, got.body)
	}
	got := b.post(t, "/sites/fresh.example/drill", nil)
	if to := got.header.Get("Location"); got.status != http.StatusSeeOther || !strings.Contains(b.get(t, to).body, "Drill of fresh.example") {
		t.Errorf("a drill: %d, %s", got.status, to)
	}
	if got := b.post(t, "/sites/*/drill", nil); got.status != http.StatusNotFound || strings.Contains(b.get(t, "/tasks").body, "/sites/doubtful.example") {
		t.Errorf("a pattern in place of a site's name: %d", got.status)
	}
	if seen := r.signedIn(t, "viewer").get(t, "/sites/acme.example").body; strings.Contains(seen, ">Drill</button>") || !strings.Contains(seen, ">Failed</span></h2>") {
		t.Error("a viewer is offered a drill, or does not see what the last one has shown")
	}
}

// TestScheduledDrills: a schedule says what it begins, and drills alone do not pass for backups.
func TestScheduledDrills(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "admin")
	form := url.Values{"new": {"yes"}, "name": {"trial"}, "cron": {"@weekly"}, "scope": {"all"}, "kind": {"drill"}}
	if got := b.post(t, "/schedule", form); got.status != http.StatusSeeOther {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for path, want := range map[string][]string{
		"/retention":                    {"Drill of all sites", "None of these makes backups"},
		"/sites/acme.example/retention": {"Drill of all sites", "None of these makes backups"},
		"/schedule?name=trial":          {`name="kind" value="drill" checked`, "are not tried out by it any more"},
	} {
		got := b.get(t, path)
		for _, w := range want {
			if !strings.Contains(got.body, w) {
				t.Errorf("%s lacks %q", path, w)
			}
		}
	}
	b.post(t, "/schedule", url.Values{"name": {"trial"}, "cron": {"@weekly"}, "scope": {"all"}, "kind": {"backup"}})
	if got := b.get(t, "/retention").body; !strings.Contains(got, "Backup of all sites") || strings.Contains(got, "None of these") {
		t.Errorf("made one of backups: %s", got)
	}
	form.Set("name", "other")
	form.Set("format", "tar.gz")
	if got := b.post(t, "/schedule", form); got.status != http.StatusBadRequest || !strings.Contains(got.body, "Leave the format out") {
		t.Errorf("a drill with a format: %d %s", got.status, got.body)
	}
}

// TestRemoval: a site goes with a backup of this hour, or because somebody says that none is wanted.
func TestRemoval(t *testing.T) {
	r := newRig(t, moreSites)
	b := r.signedIn(t, "admin")
	for path, want := range map[string][]string{
		"/sites/bare.example/remove":  {"<b>no backup</b>", `name="no_backup"`, `class="primary">Back up first`},
		"/sites/acme.example/remove":  {"8 hours ago", `name="no_backup"`, `class="primary">Back up first`},
		"/sites/fresh.example/remove": {"That will do as the last one", "<button>Back up first"},
	} {
		got := b.get(t, path)
		for _, w := range want {
			if !strings.Contains(got.body, w) {
				t.Errorf("%s lacks %q", path, w)
			}
		}
	}
	for _, one := range []struct {
		site, typed, none string
		status            int
	}{
		{"acme.example", "acme", "yes", http.StatusBadRequest},
		{"acme.example", "acme.example", "", http.StatusConflict},
		{"bare.example", "bare.example", "", http.StatusConflict},
		{"replaced.example", "replaced.example", "", http.StatusConflict},
		{"foreign.example", "foreign.example", "", http.StatusConflict},
		{"acme.example", "acme.example", "yes", http.StatusSeeOther},
		{"bare.example", "bare.example", "yes", http.StatusSeeOther},
		{"fresh.example", "fresh.example", "", http.StatusSeeOther},
	} {
		got := b.post(t, "/sites/"+one.site+"/remove", url.Values{"confirm": {one.typed}, "no_backup": {one.none}})
		there := b.get(t, "/sites/"+one.site+"/settings").status == http.StatusOK
		if got.status != one.status || there != (one.status != http.StatusSeeOther) {
			t.Errorf("%v: %d, there: %v", one, got.status, there)
		}
	}
}

// TestWhatIsLeftOfARemovedSite: its backups, under its name, for those who see all; nobody else learns that it was there.
func TestWhatIsLeftOfARemovedSite(t *testing.T) {
	r := newRig(t, moreSites)
	b := r.signedIn(t, "admin")
	for name, leads := range map[string]string{"acme.example": "/sites/acme.example", "bare.example": "/"} {
		got := b.post(t, "/sites/"+name+"/remove", url.Values{"confirm": {name}, "no_backup": {"yes"}})
		if to := got.header.Get("Location"); to != leads {
			t.Errorf("removing %s leads to %q", name, to)
		}
	}
	page := b.get(t, "/sites/acme.example")
	for _, want := range []string{"Not under care", `href="/backups/` + backupID + `"`, `href="/backups/` + backupID + `/deploy"`, "/download", "&lt;script&gt;alert(1)"} {
		if page.status != http.StatusOK || !strings.Contains(page.body, want) {
			t.Errorf("%d, lacks %q", page.status, want)
		}
	}
	if strings.Contains(page.body, "/restore") {
		t.Error("what is not there is to be restored")
	}
	if got := b.get(t, "/sites/bare.example"); got.status != http.StatusNotFound {
		t.Errorf("one without backups: %d", got.status)
	}
	own := r.signedIn(t, "acme")
	got, never := own.get(t, "/sites/acme.example"), own.get(t, "/sites/never.example")
	if got.status != http.StatusNotFound || strings.ReplaceAll(told(got.body), "acme", "never") != strings.ReplaceAll(told(never.body), "NAME", "never.example") {
		t.Errorf("its client: %d %s\n%s", got.status, told(got.body), told(never.body))
	}
}

// TestARunningTaskIsSeenOnItsSite, whatever else has ended there.
func TestARunningTaskIsSeenOnItsSite(t *testing.T) {
	const id = "01KACQ4J7XK0VJ7N3YH2M3T5QC"
	r := newRig(t, func(t testing.TB, dir string) {
		c, err := catalogue.Open(t.Context(), filepath.Join(dir, "catalogue.db"))
		must(t, err)
		defer c.Close()
		_, err = c.AddTask(t.Context(), model.Task{ID: id, Kind: model.TaskRestore, Site: "other.example", State: model.TaskQueued, Spec: []byte("{}"), CreatedAt: now}, true, false)
		must(t, err)
		_, err = c.MoveTask(t.Context(), model.Task{ID: id, State: model.TaskNeedsOperator, Error: "it cannot be undone"}, model.TaskQueued)
		must(t, err)
	})
	b := r.signedIn(t, "viewer")
	if got := b.get(t, "/sites/other.example").body; !strings.Contains(got, `<section class="card note slim`) || !strings.Contains(got, `href="/tasks/`+id+`"`) {
		t.Errorf("what needs an operator is not said first: %s", got)
	}
	if got := b.get(t, "/sites/acme.example").body; strings.Contains(got, "note slim") {
		t.Error("nothing runs, and a note says so")
	}
}

// TestLastBackupBeforeRemoval: its page leads on to the removal, once it is there.
func TestLastBackupBeforeRemoval(t *testing.T) {
	r := newRig(t, moreSites)
	b := r.signedIn(t, "admin")
	got := b.post(t, "/sites/bare.example/remove/backup", nil)
	to := got.header.Get("Location")
	if got.status != http.StatusSeeOther || !strings.HasSuffix(to, "?then=remove") {
		t.Fatalf("%d, to %q", got.status, to)
	}
	if page := b.get(t, to).body; strings.Contains(page, `/remove"`) || !strings.Contains(page, "can be taken out of care") && !strings.Contains(page, "stays under care") {
		t.Errorf("the page of a backup that has not succeeded: %s", page)
	}
	failed := b.get(t, "/tasks/"+failedTask+"?then=remove").body
	if !strings.Contains(failed, "acme.example stays under care") || !strings.Contains(failed, `?level=error&amp;then=remove#log`) {
		t.Errorf("the page of one that failed: %s", failed)
	}
	if seen := r.signedIn(t, "operator").get(t, "/tasks/"+failedTask+"?then=remove").body; strings.Contains(seen, "under care") {
		t.Error("an operator is told of a removal")
	}
}

// TestRetentionOfAClient: it is set, previewed and taken back on a page of its own, and a budget is no part of it.
func TestRetentionOfAClient(t *testing.T) {
	const budget = 5 << 30
	r := newRig(t, func(t testing.TB, dir string) {
		c, err := catalogue.Open(t.Context(), filepath.Join(dir, "catalogue.db"))
		must(t, err)
		defer c.Close()
		must(t, c.PutRetention(t.Context(), model.Retention{Client: "acme", MaxSize: budget}))
	})
	b := r.signedIn(t, "admin")
	const page = "/clients/acme/retention"
	wants := func(path string, want ...string) {
		t.Helper()
		got := b.get(t, path)
		for _, w := range want {
			if !strings.Contains(got.body, w) {
				t.Errorf("%s lacks %q: %s", path, w, got.body)
			}
		}
	}
	wants("/retention", `href="`+page+`"`, "as for all sites", "of 5.0 GiB")
	b.post(t, "/retention", url.Values{"daily": {"7"}})
	wants(page, "What is set for all sites holds here", `name="daily" min="0" max="100000" value="7"`)
	wants(page+"?preview=yes&last=1", "Not set yet", ">Goes<", "Set this for this client")
	if got := b.post(t, page, url.Values{"last": {"1"}}); got.header.Get("Location") != page {
		t.Fatalf("setting it: %d %s", got.status, got.body)
	}
	wants(page, "What is set for the client acme holds here", "Take back what is set for this client", ">Goes<")
	wants("/retention", "1 last", "of 5.0 GiB")
	wants("/sites/acme.example/retention", `<a href="`+page+`">the client acme</a> holds here`)
	wants("/sites/other.example/retention", "What is set for all sites holds here")
	b.post(t, page+"/delete", nil)
	wants(page, "What is set for all sites holds here")
	wants("/retention", "as for all sites", "of 5.0 GiB")
	if got := b.get(t, "/clients/nobody/retention"); got.status != http.StatusNotFound {
		t.Errorf("a client that is not there: %d", got.status)
	}
}

// TestTablesWithoutRows: the settings of a site have them, and a site without a database keeps what is recorded.
func TestTablesWithoutRows(t *testing.T) {
	r := newRig(t, func(t testing.TB, dir string) {
		c, err := catalogue.Open(t.Context(), filepath.Join(dir, "catalogue.db"))
		must(t, err)
		defer c.Close()
		must(t, c.CreateServer(t.Context(), model.Server{Name: "db1", Roles: []model.Role{model.RoleDB}}))
		must(t, c.CreateSite(t.Context(), model.Site{Name: "shop.example", Kind: "drupal", WebServers: []string{"web1"}, DBServer: "db1", Database: model.Database{Name: "shop"},
			Root: "/var/www/shop", Docroot: "/var/www/shop", Vhost: model.VhostManaged, StructureOnly: []string{"sessions"}, CreatedAt: now}))
	})
	b := r.signedIn(t, "admin")
	const page = "/sites/shop.example/settings"
	if got := b.get(t, page).body; !strings.Contains(got, "sessions</textarea>") {
		t.Errorf("the form: %s", got)
	}
	b.post(t, page, url.Values{"blank_credentials": {"yes"}})
	if got := b.get(t, "/sites/shop.example").body; !strings.Contains(got, "<code>sessions</code>") {
		t.Error("a form without the field has emptied it")
	}
	b.post(t, page, url.Values{"structure_only": {"sessions\r\nlog_*\r\n"}})
	if got := b.get(t, "/sites/shop.example").body; !strings.Contains(got, "<code>sessions</code> <code>log_*</code>") {
		t.Errorf("set: %s", got)
	}
	if got := b.post(t, page, url.Values{"structure_only": {"sessions"}, "all_rows": {"yes"}}); got.status != http.StatusBadRequest {
		t.Errorf("both: %d", got.status)
	}
	b.post(t, page, url.Values{"structure_only": {""}, "all_rows": {"yes"}})
	if got := b.get(t, page).body; !strings.Contains(got, `name="all_rows" value="yes" checked`) || strings.Contains(got, "sessions</textarea>") {
		t.Errorf("all rows: %s", got)
	}
	if got := b.get(t, "/sites/acme.example/settings").body; strings.Contains(got, "structure_only") {
		t.Error("a site without a database has tables")
	}
}

// TestMaintenanceOfAnExternalVhost is shown and set; a site with a managed one has no such choice.
func TestMaintenanceOfAnExternalVhost(t *testing.T) {
	r := newRig(t, func(t testing.TB, dir string) {
		c, err := catalogue.Open(t.Context(), filepath.Join(dir, "catalogue.db"))
		must(t, err)
		defer c.Close()
		must(t, c.CreateSite(t.Context(), model.Site{Name: "shop.example", Kind: "wordpress", WebServers: []string{"web1"},
			Root: "/var/www/shop", Docroot: "/var/www/shop", Vhost: model.VhostExternal, CreatedAt: now}))
	})
	b := r.signedIn(t, "admin")
	const page = "/sites/shop.example/settings"
	if got := b.get(t, page).body; !strings.Contains(got, `<option value="auto" selected>`) {
		t.Errorf("the form: %s", got)
	}
	if got := b.post(t, page, url.Values{"maintenance": {"kind"}}); got.status != http.StatusSeeOther {
		t.Errorf("set: %d %s", got.status, got.body)
	}
	b.post(t, page, url.Values{"client": {""}})
	if got := b.get(t, page).body; !strings.Contains(got, `<option value="kind" selected>`) {
		t.Errorf("a form without the field has changed it: %s", got)
	}
	if got := b.get(t, "/sites/shop.example").body; !strings.Contains(got, "by the site’s own switch") {
		t.Errorf("the site: %s", got)
	}
	if got := b.post(t, page, url.Values{"maintenance": {"hope"}}); got.status != http.StatusBadRequest {
		t.Errorf("a way that is none: %d", got.status)
	}
	for _, path := range []string{"/sites/acme.example", "/sites/acme.example/settings"} {
		if got := b.get(t, path).body; strings.Contains(got, "own switch") {
			t.Errorf("%s of a managed virtual host: %s", path, got)
		}
	}
}
