package inventory_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/inventory"
	"github.com/sitekeep/sitekeep/internal/model"
)

func doc(kind, name, spec string) string {
	return fmt.Sprintf("apiVersion: sitekeep/v1\nkind: %s\nname: %s\nspec: {%s}\n---\n", kind, name, spec)
}

func parse(t *testing.T, text string) []inventory.Object {
	t.Helper()
	objects, err := inventory.Parse([]inventory.File{{Name: "f.yaml", Content: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func write(t *testing.T, objects []inventory.Object) string {
	t.Helper()
	var text bytes.Buffer
	if err := inventory.Write(&text, objects); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// full has every field of every kind.
func full() *model.Inventory {
	spread := 90 * time.Minute
	return &model.Inventory{
		Servers: []model.Server{{Name: "db1", Roles: []model.Role{model.RoleDB}}, {Name: "web1", Roles: []model.Role{model.RoleWeb, model.RoleDB}}},
		Clients: []model.Client{{Name: "acme", MaxTasks: 2, MaxSize: 500 << 30}, {Name: "free"}},
		Sites: []model.Site{
			{Name: "a.example", Aliases: []string{"www.a.example", "no"}, Kind: "wordpress", WebServers: []string{"web1"}, DBServer: "db1",
				Root: "/var/www/a", Docroot: "/var/www/a/web", Database: model.Database{Name: "a_1", User: "a"}, Client: "acme",
				Excludes: []string{"cache/*", "*.log", "a: b", "#x", "line\nbreak"}, ExcludeCaches: true,
				StructureOnly: []string{"*_log", "sessions"}, Vhost: model.VhostExternal, Disabled: true},
			{Name: "b.example", Kind: "generic", WebServers: []string{"web1"}, DBServer: "web1", Root: "/srv/b", Docroot: "/srv/b",
				Database: model.Database{Name: "b"}, Vhost: model.VhostManaged},
			{Name: "c.example", Kind: "drupal", WebServers: []string{"web1"}, Root: "/srv/c", Docroot: "/srv/c", AllRows: true, Vhost: model.VhostManaged},
		},
		Schedules: []model.Schedule{
			{Name: "nightly", Cron: "0 3 * * *", Zone: "Europe/Berlin", Window: "22:00-06:00", Spread: &spread, Skip: true, Disabled: true, Scope: model.Scope{All: true}, Format: "tar.gz"},
			{Name: "some", Kind: model.TaskDrill, Cron: "@hourly", Scope: model.Scope{Sites: []string{"a.example", "b.example"}}},
		},
		Retentions: []model.Retention{
			{Last: 1, Hourly: 2, Daily: 3, Weekly: 4, Monthly: 5, Yearly: 6, MinAge: 36 * time.Hour, Safety: 14 * 24 * time.Hour, Zone: "Asia/Tokyo", MaxSize: 1500},
			{Client: "acme", Daily: 14, MaxSize: 500 << 30}, {Client: "bounded", MaxSize: 7}, {Site: "a.example", Yearly: 1, MinAge: time.Second},
		},
	}
}

func TestWritten(t *testing.T) {
	got := write(t, inventory.Objects(full()))
	for _, want := range []string{
		"apiVersion: sitekeep/v1\nkind: Server\nname: db1\nspec:\n  roles: [db]\n---\n",
		"kind: Client\nname: acme\nspec:\n  maxTasks: 2\n  maxSize: 500GiB\n", "kind: Client\nname: free\nspec: {}\n",
		"name: a.example\nspec:\n  client: acme\n  aliases:\n    - www.a.example\n    - \"no\"\n  kind: wordpress\n  webServers: [web1]\n  dbServer: db1\n  root: /var/www/a\n  docroot: /var/www/a/web\n",
		"name: b.example\nspec:\n  kind: generic\n  webServers: [web1]\n  dbServer: web1\n  database: b\n  root: /srv/b\n---\n", "  structureOnly:\n    - '*_log'\n    - sessions\n", "  root: /srv/c\n  allRows: true\n",
		"  spread: 1h30m\n  skipMissed: true\n", "  minAge: 36h\n  keepSafety: 14d\n  zone: Asia/Tokyo\n  maxSize: 1500\n",
		"kind: Retention\nname: client/acme\nspec:\n  keepDaily: 14\n---\n", "name: site/a.example\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing:\n%s", want)
		}
	}
	if strings.Contains(got, "a_1") || strings.Contains(got, "client/bounded") {
		t.Error("the database of a site with settings, or a retention without rules, is written")
	}
	if t.Failed() {
		t.Log(got)
	}
	if text := write(t, nil); text != "" {
		t.Errorf("nothing is %q", text)
	}
}

// TestWhatIsWrittenChangesNothing: what was exported is read back, says the same, and is written as the same.
func TestWhatIsWrittenChangesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for range 300 {
		inv := full()
		shake(random, inv)
		text := write(t, inventory.Objects(inv))
		objects := parse(t, text)
		plan, err := inventory.Plan(inv, objects, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range plan {
			if c.Action != inventory.Unchanged || len(c.Fields) > 0 || c.Look {
				t.Fatalf("%+v\n%s", c, text)
			}
		}
		if diff := cmp.Diff(text, write(t, objects)); diff != "" {
			t.Fatal(diff)
		}
	}
}

// shake gives values that are hard to write.
func shake(r *rand.Rand, inv *model.Inventory) {
	texts := []string{"", "yes", "1e3", "~", "0x10", " lead", "é\u202e", "'\"", "- a", "{a}", "&a", "*a", "!x", "%", "a\tb", "null", "2026-11-23"}
	some := func() string { return texts[r.IntN(len(texts))] }
	for i := range inv.Sites {
		s := &inv.Sites[i]
		s.Excludes = []string{some(), some()}
		s.Maintenance = []model.MaintenanceMode{model.MaintenanceAuto, model.MaintenanceInclude, model.MaintenanceKind}[r.IntN(3)]
		s.ExcludeCaches, s.Disabled, s.BlankCredentials = r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0
		s.Client = []string{"", "yes", "1e3", "a b"}[r.IntN(4)]
	}
	for i := range inv.Retentions {
		inv.Retentions[i].MinAge = time.Duration(r.Int64N(int64(1000 * time.Hour)))
		inv.Retentions[i].Safety = time.Duration(r.IntN(100)) * time.Hour
		if inv.Retentions[i].Site == "" && inv.Retentions[i].Client == "" {
			inv.Retentions[i].MaxSize = r.Int64() >> r.IntN(60)
		}
	}
	inv.Clients[0].MaxSize = r.Int64() >> r.IntN(60) << r.IntN(3)
	inv.Clients[0].MaxSize = max(inv.Clients[0].MaxSize, 0)
}

// TestMistakes: each is named with its file and line, and several at once.
func TestMistakes(t *testing.T) {
	const head = "apiVersion: sitekeep/v1\nkind: Site\nname: a.example\nspec:\n  webServers: [web1]\n  root: /a\n"
	for text, want := range map[string]string{
		"apiVersion: sitekeep/v2\nkind: Site\nname: a.example\n":          `f.yaml:1: apiVersion is "sitekeep/v2"`,
		"apiVersion: sitekeep/v1\nname: x\nkind: Sites\n":                 `f.yaml:3: there is no kind "Sites"`,
		"kind: Site\nname: x\n":                                           "f.yaml:1: the document has no apiVersion",
		"- a\n":                                                           "f.yaml:1: names and values",
		"a: b: c\n":                                                       "f.yaml:1: mapping values",
		head + "  aliass: [x]\n":                                          `f.yaml:7: there is no field "aliass"; there are client, aliases`,
		head + "  root: /b\n":                                             "f.yaml:7: root is there twice",
		head + "  disabled: perhaps\n":                                    "f.yaml:7: cannot unmarshal",
		head + "  aliases: x\n":                                           "f.yaml:7: cannot unmarshal",
		head + "  docroot: web\n":                                         `f.yaml:1: Site a.example: docroot "web"`,
		head + "  maintenance: sign\n":                                    "there is no way of maintenance",
		head + "  vhost: mine\n":                                          "there is no vhost mode",
		head + "  structureOnly: ['[a']\n":                                "is no pattern of tables",
		head + "  structureOnly: [a]\n  allRows: true\n":                  "the rows of all tables, and tables without rows",
		head + "  aliases: [a b]\n":                                       "is not a domain name",
		head + "  aliases: [a.example]\n":                                 "a.example belongs to site a.example",
		head + "  database: x\n":                                          "on no server",
		head + "  client: ' x'\n":                                         "cannot be named",
		head + "---\n" + head:                                             "f.yaml:8: Site a.example stands at f.yaml:1 already",
		doc("Site", "../a", "root: /a"):                                   "is not a domain name",
		doc("Site", "a.example", "root: /a"):                              "it has no webServers",
		doc("Site", "a", "webServers: [x], root: a"):                      "is not a clean absolute path",
		doc("Server", "web1", ""):                                         "it has no role",
		doc("Server", "web1", "roles: [mail]"):                            `role "mail"`,
		doc("Server", "web1", "roles: [web, web]"):                        `role "web"`,
		doc("Server", "a b", "roles: [web]"):                              "cannot be used",
		doc("Client", "a/b", ""):                                          "cannot be named",
		doc("Client", "a", "maxTasks: -1"):                                "maxTasks is -1",
		doc("Client", "a", "maxSize: 5GB"):                                `f.yaml:4: "5GB": it is a size`,
		doc("Client", "a", "maxSize: 9999999PiB"):                         "it is a size",
		doc("Schedule", "s", "all: true"):                                 "schedule s",
		doc("Schedule", "s", "cron: '@daily'"):                            "it must be for all sites",
		doc("Schedule", "s", "cron: '@daily', all: true, client: x"):      "it must be for all sites",
		doc("Schedule", "s", "cron: '@daily', all: true, format: zip"):    "zip",
		doc("Schedule", "s", "cron: '@daily', all: true, kind: restore"):  "no schedule can be of kind",
		doc("Schedule", "s", "cron: '@daily', all: true, spread: 1 hour"): "it is a length of time",
		doc("Schedule", "s", "cron: '@daily', all: true, spread: -5d"):    "it is a length of time",
		doc("Retention", "x", "keepLast: 1"):                              "it is for nothing",
		doc("Retention", "client/", "keepLast: 1"):                        "it is for nothing",
		doc("Retention", "client/x", "maxSize: 1"):                        "kind Client, name x",
		doc("Retention", "site/x", "maxSize: 1"):                          "no size budget",
		doc("Retention", "site/X Y", "keepLast: 1"):                       "is not a domain name",
		doc("Retention", "all", "keepLast: -1"):                           "less than nothing",
		doc("Retention", "all", "zone: Mars"):                             "no time zone",
	} {
		_, err := inventory.Parse([]inventory.File{{Name: "f.yaml", Content: []byte(text)}})
		if !errs.Is(err, errs.Usage) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "f.yaml:") {
			t.Errorf("%s\n  gives %v\n  want %s", text, err, want)
		}
	}
	_, err := inventory.Parse([]inventory.File{
		{Name: "one.yaml", Content: []byte(doc("Client", "a", "") + doc("Client", "b", "x: 1"))},
		{Name: "two.yaml", Content: []byte(doc("Client", "a", "") + strings.Repeat(doc("Client", "c", "y: 1"), 30))},
	})
	for _, want := range []string{"one.yaml:9: there is no field \"x\"", "two.yaml:1: Client a stands at one.yaml:1 already", "and 12 more"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

func TestEmptyFilesSayNothing(t *testing.T) {
	if got := parse(t, "---\n# a comment\n---\n\n"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// told is a plan in a few words.
func told(plan []inventory.Change) (out []string) {
	for _, c := range plan {
		text := fmt.Sprintf("%s %s %s", c.Action, c.Kind, c.Name)
		for _, f := range c.Fields {
			text += fmt.Sprintf(" %s:%s>%s", f.Name, f.Before, f.After)
		}
		if c.Look {
			text += " look"
		}
		out = append(out, text)
	}
	return out
}

func TestPlan(t *testing.T) {
	const b = "webServers: [web1], dbServer: web1, root: /srv/b"
	for _, c := range []struct {
		text  string
		prune bool
		want  []string
	}{
		{doc("Site", "b.example", b), false, []string{"unchanged Site b.example"}},
		{doc("Site", "b.example", b+", docroot: /srv/b, vhost: managed, kind: generic, database: b"), false, []string{"unchanged Site b.example"}},
		{doc("Site", "b.example", b+", database: other"), false, []string{"changed Site b.example database:b>other look"}},
		{doc("Site", "b.example", b+", client: x, aliases: [n.example]"), false, []string{"changed Site b.example client:>x aliases:>[n.example]"}},
		{doc("Site", "b.example", "webServers: [web1], root: /srv/b"), false, []string{"changed Site b.example dbServer:web1> database:b> look"}},
		{doc("Site", "n.example", "webServers: [web1], root: /n"), false, []string{"added Site n.example webServers:>[web1] root:>/n look"}},
		{doc("Server", "web1", "roles: [db, web]"), false, []string{"unchanged Server web1"}},
		{doc("Server", "web1", "roles: [web]"), false, []string{"waiting Server web1 roles:[db, web]>[web]"}},
		{doc("Server", "web9", "roles: [web]") + doc("Site", "n.example", "webServers: [web1, web9], root: /n"), false,
			[]string{"waiting Server web9 roles:>[web]", "waiting Site n.example webServers:>[web1, web9] root:>/n"}},
		{doc("Client", "acme", "maxTasks: 3"), false, []string{"changed Client acme maxTasks:2>3 maxSize:500GiB>"}},
		{doc("Retention", "client/bounded", "keepLast: 1"), false, []string{"added Retention client/bounded keepLast:>1"}},
		{doc("Schedule", "some", "cron: '@hourly', kind: drill, sites: [a.example]"), false, []string{"changed Schedule some sites:[a.example, b.example]>[a.example]"}},
		{doc("Site", "b.example", b), true, []string{"removed Client acme", "removed Client free", "removed Site a.example", "unchanged Site b.example",
			"removed Site c.example", "removed Schedule nightly", "removed Schedule some", "removed Retention all", "removed Retention client/acme", "removed Retention site/a.example"}},
	} {
		plan, err := inventory.Plan(full(), parse(t, c.text), c.prune)
		if err != nil || !slices.Equal(told(plan), c.want) {
			t.Errorf("%s: %q, %v\nwant %q", c.text, told(plan), err, c.want)
		}
	}
	for text, want := range map[string]string{
		doc("Site", "n.example", "webServers: [web9], root: /n"):               "f.yaml:1: Site n.example: there is no server web9",
		doc("Schedule", "s", "cron: '@daily', sites: [gone.example]"):          "there is no site gone.example",
		doc("Client", "x", "") + doc("Retention", "site/gone", "keepLast: 1"):  "f.yaml:6: Retention site/gone: there is no site gone",
		doc("Site", "n.example", "webServers: [web1], dbServer: d9, root: /n"): "there is no server d9",
	} {
		if _, err := inventory.Plan(full(), parse(t, text), false); !errs.Is(err, errs.Usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	pruned := doc("Schedule", "s", "cron: '@daily', sites: [a.example]")
	if _, err := inventory.Plan(full(), parse(t, pruned), true); err == nil {
		t.Error("a schedule may name a site that goes")
	}
}

func FuzzParse(f *testing.F) {
	var text bytes.Buffer
	if err := inventory.Write(&text, inventory.Objects(full())); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	f.Fuzz(func(t *testing.T, content []byte) {
		objects, err := inventory.Parse([]inventory.File{{Name: "f", Content: content}})
		if err != nil {
			return
		}
		again := parse(t, write(t, objects))
		if len(again) != len(objects) {
			t.Fatalf("%d objects became %d", len(objects), len(again))
		}
	})
}
