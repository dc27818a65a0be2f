package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

const inventoryText = `apiVersion: sitekeep/v1
kind: Client
name: acme
spec: {maxTasks: 2, maxSize: 5GiB}
---
apiVersion: sitekeep/v1
kind: Site
name: a.example
spec:
  client: acme
  aliases: [www.a.example, shop.example]
  webServers: [web1]
  dbServer: web1
  root: /var/www/wp
---
apiVersion: sitekeep/v1
kind: Site
name: b.example
spec: {webServers: [web1], root: /var/www/static, kind: generic}
---
apiVersion: sitekeep/v1
kind: Schedule
name: nightly
spec: {cron: "0 3 * * *", all: true}
---
apiVersion: sitekeep/v1
kind: Schedule
name: two
spec: {cron: "@hourly", sites: [a.example]}
---
apiVersion: sitekeep/v1
kind: Retention
name: client/acme
spec: {keepDaily: 7}
---
apiVersion: sitekeep/v1
kind: Retention
name: all
spec: {keepDaily: 3, maxSize: 1TiB}
`

// applier calls a hub that has one agent, which serves both roles as web1; web2 is down.
type applier struct {
	*rig
	t *testing.T
	c sitekeepv1.InventoryServiceClient
}

func newApplier(t *testing.T) *applier {
	r := newRig(t)
	r.serveSpoke(t)
	return &applier{r, t, sitekeepv1.NewInventoryServiceClient(r.local(t))}
}

// apply returns what became of each object, but for those that are unchanged.
func (a *applier) apply(q *sitekeepv1.ApplyRequest, text string) ([]string, error) {
	q.Files = []*sitekeepv1.InventoryFile{{Name: "f.yaml", Content: []byte(text)}}
	r, err := a.c.Apply(a.t.Context(), q)
	var out []string
	for _, c := range r.GetChanges() {
		if c.Action != "unchanged" {
			out = append(out, c.Action+" "+c.Kind+" "+c.Name)
		}
	}
	return out, err
}

func (a *applier) applied(text string, want ...string) {
	a.t.Helper()
	got, err := a.apply(&sitekeepv1.ApplyRequest{}, text)
	if err != nil || !slices.Equal(got, want) {
		a.t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

func (a *applier) export() string {
	a.t.Helper()
	r, err := a.c.Export(a.t.Context(), &sitekeepv1.ExportRequest{})
	must(a.t, err)
	return string(r.Content)
}

func (a *applier) inventory() model.Inventory {
	a.t.Helper()
	inv, err := a.hub.Catalogue.Inventory(a.t.Context())
	must(a.t, err)
	return inv
}

// TestApplyTwiceChangesNothing, nor does a dry run, nor what was exported; and what was exported makes the same again.
func TestApplyTwiceChangesNothing(t *testing.T) {
	a := newApplier(t)
	told := 0
	a.hub.LimitsChanged = func(context.Context) error { told++; return nil }
	all := []string{"added Client acme", "added Site a.example", "added Site b.example", "added Schedule nightly", "added Schedule two",
		"added Retention all", "added Retention client/acme"}
	before := a.inventory()
	got, err := a.apply(&sitekeepv1.ApplyRequest{DryRun: true}, inventoryText)
	if err != nil || !slices.Equal(got, all) || told != 0 {
		t.Fatalf("a dry run: %q, %v", got, err)
	}
	if diff := cmp.Diff(before, a.inventory()); diff != "" {
		t.Fatal("a dry run has changed something", diff)
	}
	a.applied(inventoryText, all...)
	after := a.inventory()
	site := after.Sites[0]
	if site.Kind != "wordpress" || site.Database != (model.Database{Name: "wp", User: "wpuser", Host: "db1:3306"}) || site.CreatedAt.IsZero() || told != 1 {
		t.Errorf("%+v, told %d", site, told)
	}
	if want := (model.Retention{Client: "acme", Daily: 7, MaxSize: 5 << 30}); !slices.Contains(after.Retentions, want) {
		t.Errorf("%+v", after.Retentions)
	}
	text := a.export()
	for _, same := range []string{inventoryText, text} {
		a.applied(same)
		if got, err := a.apply(&sitekeepv1.ApplyRequest{Prune: true}, same); err != nil || len(got) > 0 {
			t.Errorf("%q, %v", got, err)
		}
		if diff := cmp.Diff(after, a.inventory()); diff != "" {
			t.Fatal("applied again", diff)
		}
	}
	if got, err := a.apply(&sitekeepv1.ApplyRequest{Prune: true}, "# nothing\n"); err != nil || len(got) != len(all) {
		t.Fatalf("%q, %v", got, err)
	}
	empty := a.inventory()
	if len(empty.Sites)+len(empty.Clients)+len(empty.Schedules)+len(empty.Retentions) > 0 || len(empty.Servers) != 2 {
		t.Errorf("prune leaves %+v", empty)
	}
	_, err = a.apply(&sitekeepv1.ApplyRequest{}, text)
	must(t, err)
	if again := a.export(); again != text {
		t.Error(cmp.Diff(text, again))
	}
}

// TestApplyLeavesTheTurningToTasks: what stands in the catalogue is whether visitors are kept out, not whether they should.
func TestApplyLeavesTheTurningToTasks(t *testing.T) {
	a := newApplier(t)
	off := strings.Replace(inventoryText, "root: /var/www/static", "root: /var/www/static, disabled: true", 1)
	for _, c := range []struct {
		text, want string
		dry        bool
	}{{off, "", true}, {off, "disable b.example", false}, {off, "disable b.example", false}, {inventoryText, "", false}} {
		r, err := a.c.Apply(t.Context(), &sitekeepv1.ApplyRequest{Files: []*sitekeepv1.InventoryFile{{Name: "f", Content: []byte(c.text)}}, DryRun: c.dry})
		must(t, err)
		var got []string
		for _, task := range r.GetTasks() {
			got = append(got, task.GetKind()+" "+task.GetSite())
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("tasks %q, want %q", got, c.want)
		}
		if site, err := a.hub.Catalogue.Site(t.Context(), "b.example"); !c.dry && (err != nil || site.Disabled) {
			t.Errorf("recorded before it is so: %+v, %v", site, err)
		}
	}
	_, err := a.hub.Catalogue.UpdateSite(t.Context(), "b.example", func(s *model.Site) error { s.Disabled = true; return nil })
	must(t, err)
	r, err := a.c.Apply(t.Context(), &sitekeepv1.ApplyRequest{Files: []*sitekeepv1.InventoryFile{{Name: "f", Content: []byte(inventoryText)}}})
	if err != nil || len(r.GetTasks()) != 1 || r.GetTasks()[0].GetKind() != "enable" {
		t.Errorf("%v, %v", r.GetTasks(), err)
	}
}

func TestApplyIsAllOrNothing(t *testing.T) {
	a := newApplier(t)
	a.applied(strings.Replace(inventoryText, "root: /var/www/static", "root: /var/www/static, blankCredentials: true", 1), "added Client acme", "added Site a.example",
		"added Site b.example", "added Schedule nightly", "added Schedule two", "added Retention all", "added Retention client/acme")
	before := a.inventory()
	changed := strings.Replace(inventoryText, "maxTasks: 2", "maxTasks: 9", 1)
	for what, c := range map[string]struct {
		text string
		want errs.Kind
	}{
		"a mistake":             {changed + "---\nkind: x\n", errs.Usage},
		"a site that is gone":   {changed + "---\napiVersion: sitekeep/v1\nkind: Site\nname: c.example\nspec: {webServers: [web1], root: /srv/none}\n", errs.NotFound},
		"a server that is down": {changed + "---\napiVersion: sitekeep/v1\nkind: Site\nname: c.example\nspec: {webServers: [web2], root: /var/www/c}\n", errs.Unreachable},
		"another's database":    {strings.Replace(changed, "dbServer: web1", "dbServer: web1\n  database: other", 1), errs.Precondition},
	} {
		if got, err := a.apply(&sitekeepv1.ApplyRequest{}, c.text); !errs.Is(err, c.want) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	_, err := a.hub.Tasks.Submit(t.Context(), tasks.SubmitRequest{Kind: model.TaskBackup, Site: "b.example"})
	must(t, err)
	moved := strings.Replace(changed, "root: /var/www/static", "root: /var/www/other", 1)
	if got, err := a.apply(&sitekeepv1.ApplyRequest{}, moved); !errs.Is(err, errs.Busy) {
		t.Errorf("a site that a task holds: %q, %v", got, err)
	}
	if got, err := a.apply(&sitekeepv1.ApplyRequest{Prune: true}, "# nothing\n"); !errs.Is(err, errs.Busy) {
		t.Errorf("removed while a task holds it: %q, %v", got, err)
	}
	if diff := cmp.Diff(before, a.inventory()); diff != "" {
		t.Error("something was changed all the same", diff)
	}
	a.applied(changed, "changed Client acme", "changed Site b.example") // what moves nothing may change under a task
}

func TestTwoSitesExchangeADomain(t *testing.T) {
	a := newApplier(t)
	text := func(one, two string) string {
		return fmt.Sprintf(`{apiVersion: sitekeep/v1, kind: Site, name: a.example, spec: {webServers: [web1], root: /var/www/a, aliases: [%s]}}
---
{apiVersion: sitekeep/v1, kind: Site, name: b.example, spec: {webServers: [web1], root: /var/www/b, aliases: [%s]}}
`, one, two)
	}
	a.applied(text("one.example", "two.example"), "added Site a.example", "added Site b.example")
	a.applied(text("two.example", "one.example"), "changed Site a.example", "changed Site b.example")
	owner, err := a.hub.Catalogue.SiteOwning(t.Context(), "one.example")
	if err != nil || owner != "b.example" {
		t.Errorf("%q, %v", owner, err)
	}
}

// TestASiteWaitsForItsServer, which waits for its operator; the rest is applied.
func TestASiteWaitsForItsServer(t *testing.T) {
	a := newApplier(t)
	text := inventoryText + `---
{apiVersion: sitekeep/v1, kind: Server, name: web7, spec: {roles: [web, db]}}
---
{apiVersion: sitekeep/v1, kind: Site, name: late.example, spec: {webServers: [web7], root: /var/www/late}}
`
	r, err := a.c.Apply(t.Context(), &sitekeepv1.ApplyRequest{Files: []*sitekeepv1.InventoryFile{{Name: "f", Content: []byte(text)}}})
	must(t, err)
	notes := map[string]string{}
	for _, c := range r.Changes {
		if c.Action == "waiting" {
			notes[c.Name] = c.Note
		}
	}
	if want := map[string]string{"web7": "let it join with a token of: sitekeep server token web7 --role db --role web",
		"late.example": "apply again when server web7 has joined"}; !cmp.Equal(notes, want) {
		t.Error(cmp.Diff(want, notes))
	}
	if inv := a.inventory(); len(inv.Sites) != 2 {
		t.Errorf("%d sites", len(inv.Sites))
	}
}

func TestUpdateSite(t *testing.T) {
	a := newApplier(t)
	a.applied(inventoryText, "added Client acme", "added Site a.example", "added Site b.example", "added Schedule nightly", "added Schedule two",
		"added Retention all", "added Retention client/acme")
	c := sitekeepv1.NewSiteServiceClient(a.local(t))
	set := func(site *sitekeepv1.Site, paths ...string) error {
		_, err := c.UpdateSite(t.Context(), &sitekeepv1.UpdateSiteRequest{Site: site, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
		return err
	}
	before, err := a.hub.Catalogue.Site(t.Context(), "a.example")
	must(t, err)
	must(t, set(&sitekeepv1.Site{Name: "a.example", Aliases: []string{"n.example"}, Client: "new", Excludes: []string{"x"}, ExcludeCaches: true, Vhost: "external",
		StructureOnly: []string{"log_*"}, BlankCredentials: true, Maintenance: "include", Root: "/ignored"},
		"aliases", "client", "excludes", "exclude_caches", "structure_only", "all_rows", "vhost", "blank_credentials", "maintenance"))
	want := before
	want.Aliases, want.Client, want.Excludes, want.ExcludeCaches, want.Vhost, want.BlankCredentials = []string{"n.example"}, "new", []string{"x"}, true, model.VhostExternal, true
	want.StructureOnly, want.Maintenance = []string{"log_*"}, model.MaintenanceInclude
	now, err := a.hub.Catalogue.Site(t.Context(), "a.example")
	must(t, err)
	if diff := cmp.Diff(want, now); diff != "" {
		t.Error(diff)
	}
	for what, c := range map[string]struct {
		err  error
		want errs.Kind
	}{
		"nothing":               {set(&sitekeepv1.Site{Name: "a.example"}), errs.Usage},
		"a field of ours":       {set(&sitekeepv1.Site{Name: "a.example"}, "created_at"), errs.Usage},
		"no site":               {set(&sitekeepv1.Site{Name: "gone"}, "client"), errs.NotFound},
		"to be offline":         {set(&sitekeepv1.Site{Name: "a.example", Disabled: true}, "disabled"), errs.Usage},
		"another's domain":      {set(&sitekeepv1.Site{Name: "a.example", Aliases: []string{"b.example"}}, "aliases"), errs.Exists},
		"a missing root":        {set(&sitekeepv1.Site{Name: "a.example", Root: "/srv/none"}, "root"), errs.NotFound},
		"another's database":    {set(&sitekeepv1.Site{Name: "a.example", Database: "other"}, "database"), errs.Precondition},
		"a server that is down": {set(&sitekeepv1.Site{Name: "a.example", WebServers: []string{"web2"}}, "web_servers"), errs.Unreachable},
		"no pattern":            {set(&sitekeepv1.Site{Name: "a.example", StructureOnly: []string{"[a"}}, "structure_only"), errs.Usage},
		"an empty pattern":      {set(&sitekeepv1.Site{Name: "a.example", StructureOnly: []string{""}}, "structure_only"), errs.Usage},
		"all rows and not all":  {set(&sitekeepv1.Site{Name: "a.example", AllRows: true}, "all_rows"), errs.Usage},
		"no way of it":          {set(&sitekeepv1.Site{Name: "a.example", Maintenance: "sign"}, "maintenance"), errs.Usage},
		"no web server":         {set(&sitekeepv1.Site{Name: "a.example"}, "web_servers"), errs.Usage},
	} {
		if !errs.Is(c.err, c.want) {
			t.Errorf("%s: %v", what, c.err)
		}
	}
	must(t, set(&sitekeepv1.Site{Name: "a.example", Maintenance: "auto"}, "maintenance"))
	if now, err := a.hub.Catalogue.Site(t.Context(), "a.example"); err != nil || now.Maintenance != model.MaintenanceAuto {
		t.Errorf("auto is recorded as %q, %v", now.Maintenance, err)
	}
	must(t, set(&sitekeepv1.Site{Name: "b.example", Root: "/var/www/moved"}, "root"))
	if moved, err := a.hub.Catalogue.Site(t.Context(), "b.example"); err != nil || moved.Docroot != "/var/www/moved" {
		t.Errorf("a docroot that was the root does not follow it: %+v, %v", moved, err)
	}
	must(t, set(&sitekeepv1.Site{Name: "a.example"}, "db_server"))
	if now, err := a.hub.Catalogue.Site(t.Context(), "a.example"); err != nil || now.Database != (model.Database{}) {
		t.Errorf("without a database server: %+v, %v", now, err)
	}
	_, err = a.hub.Tasks.Submit(t.Context(), tasks.SubmitRequest{Kind: model.TaskBackup, Site: "b.example"})
	must(t, err)
	if err := set(&sitekeepv1.Site{Name: "b.example", Root: "/var/www/static"}, "root"); !errs.Is(err, errs.Busy) {
		t.Errorf("a site that a task holds was moved: %v", err)
	}
	must(t, set(&sitekeepv1.Site{Name: "b.example", BlankCredentials: true}, "blank_credentials"))
}

func TestClients(t *testing.T) {
	r := newRig(t)
	r.addSite(t, "a.example", "acme")
	r.addSite(t, "b.example", "acme")
	must(t, r.hub.Catalogue.InsertBackup(t.Context(), model.Backup{ID: "a.example-20261123.001336", Site: "a.example", CreatedAt: time.Now(), Format: "tar.zst", Size: 7}))
	c := sitekeepv1.NewClientServiceClient(r.local(t))
	told := 0
	r.hub.LimitsChanged = func(context.Context) error { told++; return nil }
	tasks, size, less := int32(2), int64(99), int32(-1)
	for _, q := range []*sitekeepv1.SetClientRequest{{Name: "acme", MaxTasks: &tasks}, {Name: "acme", MaxSize: &size}, {Name: "other"}} {
		_, err := c.SetClient(t.Context(), q)
		must(t, err)
	}
	for _, q := range []*sitekeepv1.SetClientRequest{{}, {Name: "x", MaxTasks: &less}, {Name: "a/b"}} {
		if _, err := c.SetClient(t.Context(), q); !errs.Is(err, errs.Usage) {
			t.Errorf("%v: %v", q, err)
		}
	}
	got, err := c.GetClient(t.Context(), &sitekeepv1.GetClientRequest{Name: "acme"})
	must(t, err)
	if o := got.Client; o.MaxTasks != 2 || o.MaxSize != 99 || o.Sites != 2 || o.Backups != 1 || o.BackupBytes != 7 {
		t.Errorf("%v", o)
	}
	list, err := c.ListClients(t.Context(), &sitekeepv1.ListClientsRequest{})
	if err != nil || len(list.Clients) != 2 || list.Clients[1].Name != "other" || told != 3 {
		t.Errorf("%v, %v, told %d", list, err, told)
	}
	mine := withToken(t.Context(), r.token(t, "viewer", "other"))
	remote := sitekeepv1.NewClientServiceClient(r.dial(t, r.pinned()))
	if list, err := remote.ListClients(mine, &sitekeepv1.ListClientsRequest{}); err != nil || len(list.Clients) != 1 || list.Clients[0].Name != "other" {
		t.Errorf("a client sees %v, %v", list, err)
	}
	if _, err := c.DeleteClient(t.Context(), &sitekeepv1.DeleteClientRequest{Name: "acme"}); !errs.Is(err, errs.Precondition) {
		t.Errorf("one with sites: %v", err)
	}
	_, err = c.DeleteClient(t.Context(), &sitekeepv1.DeleteClientRequest{Name: "other"})
	must(t, err)
	for _, name := range []string{"other", "nobody"} {
		if _, err := c.DeleteClient(t.Context(), &sitekeepv1.DeleteClientRequest{Name: name}); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.GetClient(t.Context(), &sitekeepv1.GetClientRequest{Name: name}); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
