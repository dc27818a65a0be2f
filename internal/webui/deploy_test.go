package webui_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestDeploy: the form knows what the backup's site was like, the plan is the master's, and the same is then begun.
func TestDeploy(t *testing.T) {
	f, b := newFakeRig(t)
	const page = "/backups/garden.example-20261123.120000/deploy"
	wants := func(body string, all ...string) {
		t.Helper()
		for _, want := range all {
			if !strings.Contains(body, want) {
				t.Errorf("the page lacks %s", want)
			}
		}
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
			t.Error("a text is markup")
		}
	}
	wants(b.get(t, page).body, `value="web1" checked`, `value="web2">`, "<option selected>db1", "garden.example stays as it is", `name="name" value=""`)
	gone := b.get(t, "/backups/gone.example-20261123.120000/deploy").body
	wants(gone, `name="name" value="gone.example"`, "it comes back")

	asked := url.Values{"name": {" Copy.example "}, "web": {"web2", "web1"}, "db": {"db1"}, "root": {"/srv/copy"}, "client": {"acme"}, "old": {"old.example"}}
	plan := b.get(t, page+"/plan?"+asked.Encode()).body
	wants(plan, "copy.example", "12 tables", "159 rows", "3.0 MiB needed, 5.0 GiB free", "/srv/copy/web", "Push files", "&lt;script&gt;", `name="web" value="web1"`)
	if f.deployed != nil {
		t.Error("the plan has begun it")
	}
	if strings.Contains(plan, `name="docroot" value="/srv`) {
		t.Error("what was not asked for is asked for in the end")
	}
	got := b.post(t, page, asked)
	if got.header.Get("Location") != "/tasks/"+failedTask {
		t.Fatalf("%d %s", got.status, got.body)
	}
	q, s := f.deployed, f.deployed.GetSite()
	if q.GetBackup() != "garden.example-20261123.120000" || q.GetOldName() != "old.example" || q.GetFilesOnly() || s.GetName() != "copy.example" ||
		!slices.Equal(s.GetWebServers(), []string{"web2", "web1"}) || s.GetDbServer() != "db1" || s.GetRoot() != "/srv/copy" || s.GetClient() != "acme" {
		t.Errorf("asked for %v", q)
	}
	asked.Set("db", "")
	b.post(t, page, asked)
	if !f.deployed.GetFilesOnly() {
		t.Error("a database without a server is not left out")
	}
}

// TestADeploymentReplacesNothing: the API takes a site's name alone for one that is under care, and would put the backup in
// its place.
func TestADeploymentReplacesNothing(t *testing.T) {
	f, b := newFakeRig(t)
	const page = "/backups/garden.example-20261123.120000/deploy"
	for what, form := range map[string]url.Values{
		"a name alone": {"name": {"garden.example"}}, "no directory": {"name": {"garden.example"}, "web": {"web1"}, "db": {"db1"}},
		"no server": {"name": {"garden.example"}, "root": {"/srv/x"}}, "no name": {"web": {"web1"}, "root": {"/srv/x"}},
	} {
		planned, begun := b.get(t, page+"/plan?"+form.Encode()), b.post(t, page, form)
		if planned.status != http.StatusBadRequest || begun.status != http.StatusBadRequest || !strings.Contains(begun.body, "What to do") {
			t.Errorf("%s: %d, %d", what, planned.status, begun.status)
		}
	}
	if f.planned != nil || f.deployed != nil {
		t.Errorf("the master was asked: %v, %v", f.planned, f.deployed)
	}
	taken := b.get(t, page+"/plan?name=taken.example&web=web2&root=/srv/x&db=")
	if taken.status != http.StatusConflict || !strings.Contains(taken.body, "belongs to somebody already") || !strings.Contains(taken.body, `value="/srv/x"`) ||
		!strings.Contains(taken.body, `value="web2" checked`) || !strings.Contains(taken.body, `<option value="" selected>`) {
		t.Errorf("a name that is taken: %d %s", taken.status, taken.body)
	}
}
