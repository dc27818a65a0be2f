package catalogue_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

func TestSiteRoundTrip(t *testing.T) {
	a := site("a.example")
	a.Aliases = []string{"www.a.example", "a.test"}
	a.WebServers = []string{"web2", "web1"}
	a.Excludes = []string{"cache/*", `odd "name"`}
	a.Maintenance = model.MaintenanceKind
	a.BlankCredentials, a.ExcludeCaches, a.StructureOnly, a.AllRows = true, true, []string{"sessions", "log_*"}, true
	a.Client, a.Disabled = "acme", true
	bare := model.Site{Name: "bare.example", Kind: "generic", WebServers: []string{"web1"}, Root: "/var/www/bare", Docroot: "/var/www/bare", CreatedAt: epoch}
	c := withSites(t, a, bare)
	same(t, must(c.Site(t.Context(), "a.example"))(t), a)
	same(t, must(c.Site(t.Context(), "bare.example"))(t), bare)
	for _, domain := range []string{"a.example", "a.test"} {
		same(t, must(c.SiteOwning(t.Context(), domain))(t), "a.example")
	}
	_, err := c.SiteOwning(t.Context(), "b.test")
	wants(t, err, errs.NotFound)
	_, err = c.Site(t.Context(), "a.test")
	wants(t, err, errs.NotFound)
}

func TestADomainBelongsToOneSite(t *testing.T) {
	a := site("a.example")
	a.Aliases = []string{"www.a.example"}
	c := withSites(t, a, site("c.example"))
	clashes := map[string]model.Site{"same name": site("a.example"), "name that is an alias": site("www.a.example")}
	b := site("b.example")
	b.Aliases = []string{"a.example"}
	clashes["alias that is a name"] = b
	b.Aliases = []string{"www.a.example"}
	clashes["alias that is an alias"] = b
	for what, s := range clashes {
		if err := c.CreateSite(t.Context(), s); !errs.Is(err, errs.Exists) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := c.UpdateSite(t.Context(), "c.example", func(s *model.Site) error {
		s.Aliases = []string{"www.a.example"}
		return nil
	})
	wants(t, err, errs.Exists)
	b.Aliases = []string{"x.example", "x.example"}
	wants(t, c.CreateSite(t.Context(), b), errs.Usage)
	b.Aliases = nil
	b.Name = "../b"
	wants(t, c.CreateSite(t.Context(), b), errs.Usage)

	failed := race(8, func(i int) error {
		s := site(fmt.Sprintf("r%d.example", i))
		s.Aliases = []string{"shared.example"}
		return c.CreateSite(t.Context(), s)
	})
	if n := succeeded(failed); n != 1 {
		t.Fatalf("%d sites have the same alias", n)
	}
}

func TestASiteNeedsKnownServers(t *testing.T) {
	c := withSites(t)
	s := site("a.example")
	s.WebServers = []string{"web1", "web9"}
	wants(t, c.CreateSite(t.Context(), s), errs.NotFound)
	s = site("a.example")
	s.DBServer = "db9"
	wants(t, c.CreateSite(t.Context(), s), errs.NotFound)
	ok(t, c.CreateSite(t.Context(), site("a.example")))
}

func TestUpdateSiteLosesNoChange(t *testing.T) {
	c := withSites(t, site("a.example"))
	failed := race(20, func(i int) error {
		_, err := c.UpdateSite(t.Context(), "a.example", func(s *model.Site) error {
			s.Excludes = append(slices.Clone(s.Excludes), fmt.Sprint(i))
			return nil
		})
		return err
	})
	if n := succeeded(failed); n != 20 {
		t.Fatal(failed)
	}
	if got := must(c.Site(t.Context(), "a.example"))(t); len(got.Excludes) != 20 {
		t.Fatalf("%d of 20 changes are left: %v", len(got.Excludes), got.Excludes)
	}
	_, err := c.UpdateSite(t.Context(), "b.example", func(*model.Site) error { return nil })
	wants(t, err, errs.NotFound)
}

func TestUpdateSiteReplacesItsParts(t *testing.T) {
	a := site("a.example")
	a.Aliases = []string{"old.example", "keep.example"}
	c := withSites(t, a)
	got, err := c.UpdateSite(t.Context(), "a.example", func(s *model.Site) error {
		s.Aliases, s.WebServers, s.Name = []string{"keep.example", "new.example"}, []string{"web2"}, "other.example"
		return nil
	})
	ok(t, err)
	a.Aliases, a.WebServers = []string{"keep.example", "new.example"}, []string{"web2"}
	same(t, got, a)
	same(t, must(c.Site(t.Context(), "a.example"))(t), a)
	ok(t, c.CreateSite(t.Context(), site("old.example")))
}

func TestSiteLists(t *testing.T) {
	var want []string
	c := withSites(t)
	for i := range 25 {
		s := site(fmt.Sprintf("s%02d.example", i))
		if i%2 == 0 {
			s.Client = "acme"
		}
		if i == 7 {
			s.WebServers, s.DBServer = []string{"web1", "web2"}, "db2"
		}
		ok(t, c.CreateSite(t.Context(), s))
		want = append(want, s.Name)
	}
	names := func(f catalogue.SiteFilter) (got []string) {
		for s, err := range c.AllSites(t.Context(), f) {
			ok(t, err)
			got = append(got, s.Name)
		}
		return got
	}
	same(t, names(catalogue.SiteFilter{}), want)
	same(t, len(names(catalogue.SiteFilter{Client: "acme"})), 13)
	same(t, names(catalogue.SiteFilter{Server: "web2"}), []string{"s07.example"})
	same(t, names(catalogue.SiteFilter{Server: "db2"}), []string{"s07.example"})
	same(t, names(catalogue.SiteFilter{Names: []string{"s0[12].*", "s2?.example"}, Client: "acme"}), []string{"s02.example", "s20.example", "s22.example", "s24.example"})
	page, next, err := c.Sites(t.Context(), catalogue.SiteFilter{Limit: 10, After: "s04.example"})
	ok(t, err)
	if len(page) != 10 || page[0].Name != "s05.example" || next != "s14.example" {
		t.Fatalf("%d sites from %s, then after %s", len(page), page[0].Name, next)
	}
}

func TestWhoUsesWhat(t *testing.T) {
	b, d := site("b.example"), site("d.example")
	b.WebServers = []string{"web2", "web1"}
	d.DBServer, d.Database.Name = "db2", "DB_a.example"
	c := withSites(t, site("a.example"), b, d)
	users := func(list []string, err error) []string { ok(t, err); return list }
	same(t, users(c.SitesUsingDatabase(t.Context(), "db1", "DB_A.example")), []string{"a.example"})
	same(t, users(c.SitesUsingDatabase(t.Context(), "db2", "db_a.example")), []string{"d.example"})
	same(t, users(c.SitesUsingDatabase(t.Context(), "db1", "db_x")), []string(nil))
	same(t, users(c.SitesUsingServer(t.Context(), "web2")), []string{"b.example"})
	same(t, users(c.SitesUsingServer(t.Context(), "db2")), []string{"d.example"})
}

func TestDeleteSite(t *testing.T) {
	a := site("a.example")
	a.Aliases = []string{"www.a.example"}
	c := withSites(t, a)
	insert(t, c, backup("a.example", 1))
	addTask(t, c, task("t1", "a.example"))
	wants(t, c.DeleteSite(t.Context(), "a.example"), errs.Busy)
	move(t, c, "t1", model.TaskRunning, epoch)
	wants(t, c.DeleteSite(t.Context(), "a.example"), errs.Busy)
	move(t, c, "t1", model.TaskSucceeded, epoch)
	ok(t, c.DeleteSite(t.Context(), "a.example"))
	wants(t, c.DeleteSite(t.Context(), "a.example"), errs.NotFound)
	must(c.Backup(t.Context(), backup("a.example", 1).ID))(t)
	ok(t, c.CreateSite(t.Context(), a))
}

// TestRootsLieApart: a new site lies neither in nor around another one on the same web server.
func TestRootsLieApart(t *testing.T) {
	c := open(t)
	for _, name := range []string{"web1", "web2"} {
		ok(t, c.CreateServer(t.Context(), model.Server{Name: name, Roles: []model.Role{model.RoleWeb}, JoinedAt: epoch}))
	}
	ok(t, c.CreateSite(t.Context(), model.Site{Name: "a.example", WebServers: []string{"web1"}, Root: "/srv/a", Docroot: "/srv/a", CreatedAt: epoch}))
	free := func(root, server string) error {
		return c.RootFree(t.Context(), model.Site{Name: "b.example", WebServers: []string{server}, Root: root})
	}
	for _, root := range []string{"/srv/a", "/srv/a/b", "/srv/a/b/c", "/srv"} {
		wants(t, free(root, "web1"), errs.Exists)
		ok(t, free(root, "web2"))
	}
	for _, root := range []string{"/srv/ab", "/srv/b", "/srv/a_", "/www/srv/a"} {
		ok(t, free(root, "web1"))
	}
	ok(t, c.RootFree(t.Context(), model.Site{Name: "a.example", WebServers: []string{"web1"}, Root: "/srv/a"}))
}
