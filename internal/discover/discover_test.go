package discover_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/discover"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// world is the inventory, the agents and the names of hosts.
type world struct {
	servers []model.Server
	sites   []model.Site
	found   []model.FoundSite
	// addresses are where web servers reach each database server.
	addresses map[string]string
	databases map[string]bool // "SERVER/NAME"
	hosts     map[string][]string
	down      map[string]bool
}

func (w *world) Servers(context.Context) ([]model.Server, error) { return w.servers, nil }

func (w *world) Sites(context.Context) ([]model.Site, error) { return w.sites, nil }

func (w *world) Agent(_ context.Context, server string) (discover.Agent, error) {
	return agent{w, server}, nil
}

func (w *world) LookupHost(_ context.Context, host string) ([]string, error) {
	if list := w.hosts[host]; list != nil {
		return list, nil
	}
	return nil, errors.New("no such host")
}

type agent struct {
	*world
	name string
}

func (a agent) FindSites(_ context.Context, sizes bool, found func(model.FoundSite) error, warn func(string) error) error {
	if err := warn("a file is broken"); err != nil {
		return err
	}
	for _, f := range a.found {
		if sizes {
			f.FileBytes = 10
		}
		if err := found(f); err != nil {
			return err
		}
	}
	return nil
}

func (a agent) Info(context.Context) (model.AgentInfo, error) {
	if a.down[a.name] {
		return model.AgentInfo{}, errs.New(errs.Unreachable, "start it", "the agent of %s cannot be reached", a.name)
	}
	return model.AgentInfo{DatabaseAddress: a.addresses[a.name], Hostname: "host-" + a.name}, nil
}

func (a agent) InspectDatabase(_ context.Context, name string, _ []string) (model.DatabaseState, error) {
	if a.down[a.name] {
		return model.DatabaseState{}, errs.New(errs.Unreachable, "start it", "the agent of %s cannot be reached", a.name)
	}
	return model.DatabaseState{Exists: a.databases[a.name+"/"+name], Bytes: 77}, nil
}

func newWorld() *world {
	web, db := []model.Role{model.RoleWeb}, []model.Role{model.RoleDB}
	return &world{
		servers: []model.Server{{Name: "web1", Roles: web}, {Name: "both1", Roles: append(web, db...)}, {Name: "db1", Roles: db},
			{Name: "db2", Roles: db}, {Name: "old", Roles: db, Revoked: true}},
		addresses: map[string]string{"db1": "192.0.2.1:3306", "db2": "db2.example:3307", "both1": "192.0.2.9:3306", "old": "192.0.2.7:3306"},
		databases: map[string]bool{"db1/d": true, "db2/d": true, "both1/d": true},
		hosts:     map[string][]string{"mysql.internal": {"192.0.2.1"}, "db2.example": {"192.0.2.2", "2001:db8::2"}, "other": {"192.0.2.99"}},
		down:      map[string]bool{},
	}
}

func foundSite(name, host, database string) model.FoundSite {
	f := model.FoundSite{Site: model.SiteRef{Name: name, Kind: "wordpress", Root: "/var/www/" + name, Docroot: "/var/www/" + name, External: true},
		Version: "6.8.1", VhostFile: "/etc/nginx/" + name}
	if database != "" {
		f.Settings = &model.DatabaseSettings{Host: host, Name: database, User: "u"}
	}
	return f
}

// find searches a server.
func (w *world) find(t *testing.T, server string, sizes bool) (sites []discover.Site, warnings []string) {
	t.Helper()
	f := discover.Finder{Agents: w, Inventory: w, Resolver: w}
	err := f.Find(t.Context(), server, sizes,
		func(s discover.Site) error { sites = append(sites, s); return nil },
		func(text string) error { warnings = append(warnings, text); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return sites, warnings
}

func TestDatabaseServers(t *testing.T) {
	for _, c := range []struct {
		web, host, want, obstacle string
	}{
		{"web1", "192.0.2.1", "db1", ""},
		{"web1", "192.0.2.1:3306", "db1", ""},
		{"web1", "192.0.2.1:3307", "", "no database server under care has the address 192.0.2.1:3307"},
		{"web1", "db2.example:3307", "db2", ""},
		{"web1", "DB2.Example.:3307", "db2", ""},
		{"web1", "db2.example", "", "no database server under care"},
		{"web1", "192.0.2.2:3307", "db2", ""},
		{"web1", "[2001:db8::2]:3307", "db2", ""},
		{"web1", "mysql.internal", "db1", ""},
		{"web1", "db1", "db1", ""},
		{"web1", "host-db1", "db1", ""},
		{"web1", "other", "", "no database server under care has the address other"},
		{"web1", "192.0.2.7", "", "no database server under care"},
		{"web1", "unknown.invalid", "", "no database server under care"},
		{"web1", "localhost", "", "is web1 itself, and that has not the role db"},
		{"web1", "", "", "localhost, which is web1 itself"},
		{"web1", "localhost:/run/mysqld/mysqld.sock", "", "is web1 itself"},
		{"both1", "localhost", "both1", ""},
		{"both1", "", "both1", ""},
		{"both1", "127.0.0.1:3306", "both1", ""},
		{"both1", "[::1]:3306", "both1", ""},
		{"both1", "localhost:/run/mysqld/mysqld.sock", "both1", ""},
		{"both1", "127.0.1.1", "both1", ""},
	} {
		w := newWorld()
		w.found = []model.FoundSite{foundSite("a.example", c.host, "d")}
		sites, _ := w.find(t, c.web, false)
		if s := sites[0]; s.Site.DBServer != c.want || !strings.Contains(s.Obstacle, c.obstacle) || (c.obstacle == "") != (s.Obstacle == "") {
			t.Errorf("%q on %s: %q, %q", c.host, c.web, s.Site.DBServer, s.Obstacle)
		}
	}
}

// TestAnAddressOfLoopbackIsFirstAPlainOne: several servers on one machine have addresses of their own there.
func TestAnAddressOfLoopbackIsFirstAPlainOne(t *testing.T) {
	w := newWorld()
	w.addresses["db1"] = "127.3.4.5:20000"
	w.found = []model.FoundSite{foundSite("a.example", "127.3.4.5:20000", "d")}
	if sites, _ := w.find(t, "both1", false); sites[0].Site.DBServer != "db1" {
		t.Errorf("%+v", sites[0])
	}
}

func TestWhatIsUnderCare(t *testing.T) {
	w := newWorld()
	w.sites = []model.Site{{Name: "k.example", Aliases: []string{"alias.example"}, WebServers: []string{"web1"}, Root: "/var/www/moved.example"},
		{Name: "far.example", WebServers: []string{"web9"}, Root: "/var/www/far2.example"}}
	for name, want := range map[string]string{
		"k.example": "k.example", "alias.example": "k.example", "moved.example": "k.example", "far2.example": "", "far.example": "far.example", "new.example": "", "": "",
	} {
		w.found = []model.FoundSite{foundSite(name, "", "")}
		if sites, _ := w.find(t, "web1", false); sites[0].KnownAs != want {
			t.Errorf("%q is known as %q", name, sites[0].KnownAs)
		}
	}
}

func TestObstacles(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world, *model.FoundSite)
		want   string
	}{
		"none":                {func(*world, *model.FoundSite) {}, ""},
		"no settings at all":  {func(_ *world, f *model.FoundSite) { f.Settings = nil }, ""},
		"what the agent says": {func(_ *world, f *model.FoundSite) { f.Problem = "settings are broken"; f.Settings = nil }, "settings are broken"},
		"no name":             {func(_ *world, f *model.FoundSite) { f.Site.Name = "" }, "sitekeep site add NAME --web web1 --root /var/www/a.example"},
		"no database":         {func(_ *world, f *model.FoundSite) { f.Settings.Name = "gone" }, `there is no database "gone" on db1`},
		"db agent is down":    {func(w *world, _ *model.FoundSite) { w.down["db1"] = true }, "the agent of db1 cannot be reached; start it"},
	} {
		w := newWorld()
		f := foundSite("a.example", "db1", "d")
		c.change(w, &f)
		w.found = []model.FoundSite{f}
		sites, _ := w.find(t, "web1", false)
		if got := sites[0].Obstacle; !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestCopies: a directory that nobody serves is not added if it uses the database of another site.
func TestCopies(t *testing.T) {
	bare := func(name string) model.FoundSite { f := foundSite(name, "db1", "d"); f.VhostFile = ""; return f }
	w := newWorld()
	w.found = []model.FoundSite{foundSite("a.example", "db1", "d"), bare("old.example")}
	sites, _ := w.find(t, "web1", false)
	if sites[0].Obstacle != "" || !strings.Contains(sites[1].Obstacle, "a.example uses its database d: it seems to be a copy") {
		t.Errorf("%q, %q", sites[0].Obstacle, sites[1].Obstacle)
	}
	w.found = []model.FoundSite{bare("only.example")}
	if sites, _ = w.find(t, "web1", false); sites[0].Obstacle != "" || len(sites[0].Warnings) != 1 || !strings.Contains(sites[0].Warnings[0], "name is that of its directory") {
		t.Errorf("%+v", sites[0])
	}
	w.sites = []model.Site{{Name: "k.example", DBServer: "db1", Database: model.Database{Name: "d"}}}
	if sites, _ = w.find(t, "web1", false); !strings.Contains(sites[0].Obstacle, "k.example uses its database") {
		t.Errorf("%+v", sites[0])
	}
	w.sites[0].WebServers, w.sites[0].Root = []string{"web1"}, "/var/www/only.example"
	if sites, _ = w.find(t, "web1", false); sites[0].KnownAs != "k.example" || sites[0].Obstacle != "" {
		t.Errorf("its own: %+v", sites[0])
	}
}

func TestSizesAndModes(t *testing.T) {
	w := newWorld()
	managed := foundSite("m.example", "db1", "d")
	managed.Site.External = false
	w.found = []model.FoundSite{managed, foundSite("e.example", "db2:3307", "d")}
	w.found[1].Settings.Host = "db2.example:3307"
	sites, warnings := w.find(t, "web1", true)
	for i, vhost := range []model.VhostMode{model.VhostManaged, model.VhostExternal} {
		if s := sites[i]; s.FileBytes != 10 || s.DatabaseBytes != 77 || s.Site.Vhost != vhost || fmt.Sprint(s.Site.WebServers) != "[web1]" {
			t.Errorf("%+v", s)
		}
	}
	if sites, _ := w.find(t, "web1", false); sites[0].DatabaseBytes != 0 {
		t.Errorf("measured unasked: %+v", sites[0])
	}
	if fmt.Sprint(warnings) != "[a file is broken]" {
		t.Errorf("warnings %q", warnings)
	}
}

func TestFindEndsWithItsCaller(t *testing.T) {
	w := newWorld()
	w.found = []model.FoundSite{foundSite("a.example", "db1", "d")}
	stop := errors.New("stop")
	f := discover.Finder{Agents: w, Inventory: w, Resolver: w}
	ok := func(string) error { return nil }
	if err := f.Find(t.Context(), "web1", false, func(discover.Site) error { return stop }, ok); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	if err := f.Find(t.Context(), "web1", false, func(discover.Site) error { return nil }, func(string) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Find(ctx, "web1", false, func(discover.Site) error { return nil }, ok); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
