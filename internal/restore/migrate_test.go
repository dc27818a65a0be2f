package restore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

func TestPlaces(t *testing.T) {
	from := model.Site{Name: "a.example", WebServers: []string{"web1", "web2"}, DBServer: "db1", Root: "/srv/a", Docroot: "/srv/a/web"}
	static := from
	static.DBServer = ""
	for _, c := range []struct {
		what string
		from model.Site
		to   Place
		want string // or the error's words
	}{
		{"other web servers", from, Place{WebServers: []string{"web3"}}, "[web3] db1 /srv/a /srv/a/web"},
		{"all else", from, Place{[]string{"web3", "web4"}, "db2", "/www/b", "/www/c"}, "[web3 web4] db2 /www/b /www/c"},
		{"the docroot lies as it did", from, Place{WebServers: []string{"web3"}, Root: "/www/b"}, "[web3] db1 /www/b /www/b/web"},
		{"without a database", static, Place{WebServers: []string{"web3"}}, "[web3]  /srv/a /srv/a/web"},
		{"a database server alone", from, Place{DBServer: "db2"}, "[web1 web2] db2 /srv/a /srv/a/web"},
		{"some web servers", from, Place{WebServers: []string{"web3", "web2"}}, "[web3 web2] db1 /srv/a /srv/a/web"},
		{"fewer", from, Place{WebServers: []string{"web2"}}, "[web2] db1 /srv/a /srv/a/web"},
		{"more", from, Place{WebServers: []string{"web1", "web2", "web3"}}, "[web1 web2 web3] db1 /srv/a /srv/a/web"},
		{"nothing", from, Place{}, "is there already"},
		{"the same in another order", from, Place{WebServers: []string{"web2", "web1"}, DBServer: "db1", Root: "/srv/a"}, "is there already"},
		{"a directory alone", from, Place{Root: "/www/b"}, "is on web1 already"},
		{"a docroot alone", from, Place{Docroot: "/srv/a"}, "is on web1 already"},
		{"a directory where it stays", from, Place{WebServers: []string{"web3", "web2"}, Root: "/www/b"}, "is on web2 already"},
		{"one twice", from, Place{WebServers: []string{"web3", "web3"}}, "named twice"},
		{"a database server for none", static, Place{WebServers: []string{"web3"}, DBServer: "db2"}, "has no database"},
		{"no clean path", from, Place{WebServers: []string{"web3"}, Root: "/srv/../etc"}, "not a clean absolute path"},
		{"no clean docroot", from, Place{WebServers: []string{"web3"}, Docroot: "web"}, "not a clean absolute path"},
	} {
		to, err := c.to.Of(&c.from)
		if err != nil {
			if !errs.Is(err, errs.Usage) || errs.HintOf(err) == "" || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.what, err)
			}
			continue
		}
		if got := fmt.Sprintf("%v %s %s %s", to.WebServers, to.DBServer, to.Root, to.Docroot); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.what, got, c.want)
		}
	}
}

// TestTheOldPlaceStaysInDoubt: what is not the migrated site any more is not removed with it, and the log says why.
func TestTheOldPlaceStaysInDoubt(t *testing.T) {
	r := newRig(t)
	set := func(g *game, site string, change func(*model.Site)) {
		_, err := g.book.UpdateSite(g.Context(), site, func(s *model.Site) error { change(s); return nil })
		g.must(err)
	}
	for what, c := range map[string]struct {
		between, after func(g *game)
		vhost          bool // stays too
		says           string
	}{
		"another directory": {func(g *game) {
			g.inodes++
			g.webs["web1"].live[siteName] = &tree{inode: g.inodes, content: "somebody's"}
		}, nil,
			false, "it is not the directory that was migrated"},
		"under care as another site": {
			func(g *game) { set(g, otherName, func(s *model.Site) { s.Root = "/var/www/" + siteName + "/sub" }) },
			func(g *game) { set(g, otherName, func(s *model.Site) { s.Root = "/var/www/" + otherName }) }, true, "that of site " + otherName},
		"recorded there again": {func(g *game) { set(g, siteName, func(s *model.Site) { s.WebServers = []string{"web1"} }) }, nil, true, "is recorded to be on this server"},
	} {
		t.Run(what, func(t *testing.T) {
			g := r.newGame(quirks{migrate: true})
			g.restored(grace)
			c.between(g)
			if c.after != nil {
				defer c.after(g)
			}
			g.must(g.finish(g.first()))
			old := g.webs["web1"]
			if old.live[siteName] == nil || (old.vhosts[siteName] != "") != c.vhost || len(old.flags[siteName]) > 0 {
				t.Errorf("web1 has %v, %q, %v", old.live[siteName], old.vhosts[siteName], old.flags[siteName])
			}
			if log := g.log.String(); !strings.Contains(log, "WARNED: web1: /var/www/"+siteName+" stays: ") || !strings.Contains(log, c.says) {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

// TestTheOldPlaceIsClosedForTheGraceTime, which may be longer than the lease that others hold.
func TestTheOldPlaceIsClosedForTheGraceTime(t *testing.T) {
	r := newRig(t)
	g := r.newGame(quirks{migrate: true})
	const long = 90 * 24 * time.Hour
	g.restored(long)
	for name, want := range map[string]string{"web1": "held", "web2": "held", "web3": "", "web4": ""} {
		if got := g.webs[name].flags[siteName][g.first()]; got != want {
			t.Errorf("%s: maintenance %q, want %q", name, got, want)
		}
	}
	if g.longest <= long {
		t.Errorf("the lease of %s ends with the grace time", g.longest)
	}
}

func TestAForeignVhostStays(t *testing.T) {
	r := newRig(t)
	g := r.newGame(quirks{migrate: true})
	g.restored(grace)
	g.webs["web2"].vhosts[siteName] = "somebody's own"
	g.must(g.finish(g.first()))
	if g.webs["web2"].vhosts[siteName] == "" || g.webs["web1"].vhosts[siteName] != "" || g.webs["web2"].live[siteName] != nil {
		t.Errorf("there is\n%s", g.now())
	}
}

// TestAPlaceThatCannotBeClosedIsNotLeft: its visitors would go on to write to it.
func TestAPlaceThatCannotBeClosedIsNotLeft(t *testing.T) {
	r := newRig(t)
	g := r.newGame(quirks{migrate: true})
	before := g.now()
	g.leaky = "web2"
	_, err := g.restore(g.first(), grace)
	if !errs.Is(err, errs.Precondition) || !strings.Contains(err.Error(), "visitors get through") || errs.HintOf(err) == "" {
		t.Errorf("error = %v", err)
	}
	g.is("refused", before)

	g = r.newGame(quirks{migrate: true})
	g.leaky = "web3" // its virtual host is not there yet
	g.restored(grace)
}

func TestAnOccupiedPlaceIsRefused(t *testing.T) {
	r := newRig(t)
	for what, occupy := range map[string]func(*game){
		"is something already":           func(g *game) { g.live(g.webs["web4"], siteName, oldDB); delete(g.webs["web4"].vhosts, siteName) },
		"there is a virtual host for":    func(g *game) { g.webs["web3"].vhosts[siteName] = "somebody's own" },
		"/var/www/ab.example is not the": func(g *game) { delete(g.webs["web2"].live, siteName) },
	} {
		g := r.newGame(quirks{migrate: true})
		occupy(g)
		before := g.now()
		if _, err := g.restore(g.first(), grace); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(what, " the")) {
			t.Errorf("%s: error = %v", what, err)
		}
		g.is(what, before)
	}
}

// copier makes no backup, or the one that there is.
type copier struct {
	b     *model.Backup
	calls int
}

func (c *copier) Copy(context.Context, *model.Site, string, string, Log) (*model.Backup, error) {
	c.calls++
	if c.b == nil {
		return nil, errs.New(errs.Unreachable, "", "the agent is away")
	}
	return c.b, nil
}

func TestMigrateBacksUpAheadOnce(t *testing.T) {
	r := newRig(t)
	g := r.newGame(quirks{migrate: true})
	c := &copier{}
	try := func(to *Place) error {
		m := g.master()
		m.deps.Copies = c
		_, err := m.migrate(g.Context(), g.first(), Request{Site: siteName, Migrate: to, Grace: grace}, g.log)
		return err
	}
	before := g.now()
	if err := try(&Place{DBServer: "db1"}); !errs.Is(err, errs.Usage) || c.calls > 0 {
		t.Errorf("a place that cannot be: %v after %d backups", err, c.calls)
	}
	if err := try(g.q.place()); !errs.Is(err, errs.Unreachable) {
		t.Errorf("without a backup: %v", err)
	}
	g.is("refused", before)
	c.b = &r.f.backup
	g.must(try(g.q.place()))
	if out, err := g.book.Site(g.Context(), siteName); err != nil || out.DBServer != "db2" || out.WebServers[0] != "web3" {
		t.Errorf("recorded: %+v, %v", out, err)
	}
	calls := c.calls
	_ = try(g.q.place()) // the task has ended; its journal is asked
	if c.calls != calls {
		t.Error("it was backed up again")
	}
}

// TestALastBackupWithoutADatabase would make a site without one.
func TestALastBackupWithoutADatabase(t *testing.T) {
	r := &run{basis: Basis{HasDump: true, Backup: "b"}, outcome: &Outcome{}, meter: &meter{}}
	if err := (finalBackup{r}).adopt("tar.zst", backup.Facts{}); !errs.Is(err, errs.Failed) || errs.HintOf(err) == "" {
		t.Errorf("error = %v", err)
	}
}

// TestWhereItStaysItIsClosedToo: what visitors could still write where the site stays would be lost with the exchange.
func TestWhereItStaysItIsClosedToo(t *testing.T) {
	r := newRig(t)
	g := r.newGame(quirks{migrate: true, to: toDatabase})
	before := g.now()
	g.leaky = "web2"
	if _, err := g.restore(g.first(), grace); !errs.Is(err, errs.Precondition) || !strings.Contains(err.Error(), "visitors get through") {
		t.Errorf("error = %v", err)
	}
	g.is("refused", before)
}

// TestMigrationsInPartEnd one way or the other after their grace time, with the record where the site is.
func TestMigrationsInPartEnd(t *testing.T) {
	r := newRig(t)
	for _, to := range []string{toDatabase, toWeb, toPart, toPartOfDB, toFewer, toMore} {
		g := r.newGame(quirks{migrate: true, to: to})
		before := g.now()
		g.restored(grace)
		_, err := g.undo(g.second(), g.first())
		g.must(err)
		if got := withoutGraces(g.now()); got != withoutGraces(before) {
			t.Errorf("%s: taken back:\n%s\nwant\n%s", to, got, before)
		}

		g = r.newGame(quirks{migrate: true, to: to})
		g.restored(grace)
		g.must(g.finish(g.first()))
		webs, db := g.q.target()
		for _, s := range g.servers() {
			if here := slices.Contains(webs, s.name); (s.live[siteName] != nil) != here || (s.vhosts[siteName] != "") != here || len(s.flags[siteName]) > 0 {
				t.Errorf("%s: %s has %v, %q, %v", to, s.name, s.live[siteName], s.vhosts[siteName], s.flags[siteName])
			}
		}
		site, err := g.book.Site(g.Context(), siteName)
		g.must(err)
		if !slices.Equal(site.WebServers, webs) || site.DBServer != db || site.Database.Host != db+":3306" || g.dbs[oldDB] != nil || len(g.mixed) > 0 {
			t.Errorf("%s: recorded on %v, %s, %+v; databases %v; seen %q", to, site.WebServers, site.DBServer, site.Database, g.dbs, g.mixed)
		}
	}
}

// withoutGraces leaves out what only says that a task was undone.
func withoutGraces(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "grace of ") }), "\n")
}

// TestAPHPThatRemembersWhereItStays: only there it has seen the old settings, and serves.
func TestAPHPThatRemembersWhereItStays(t *testing.T) {
	f := newFixture(t)
	q := quirks{migrate: true, to: toPartOfDB}
	run, err := f.restorer(newWorld(sagatest.NewFaults(), q)).newRun(newTask, f.basis(t, q), &notebook{})
	must(t, err)
	run.notePHP("web3", "opcache could not be reset", nil)
	if why := (retireDatabase{run}).stalePHP(); why != "" {
		t.Errorf("a new web server: %q", why)
	}
	run.notePHP("web2", "opcache could not be reset", nil)
	if why := (retireDatabase{run}).stalePHP(); !strings.Contains(why, "PHP on web2 may still use it") {
		t.Errorf("one that stays: %q", why)
	}
}

func TestWhatIsLeftOutIsSaid(t *testing.T) {
	f := newFixture(t)
	for what, c := range map[string]struct {
		change func(*model.Site)
		warned bool
	}{
		"excluded": {func(s *model.Site) { s.Excludes = []string{"cache/*"} }, true},
		"caches":   {func(s *model.Site) { s.ExcludeCaches = true }, true},
		"nothing":  {func(*model.Site) {}, false},
	} {
		w := newWorld(sagatest.NewFaults(), quirks{migrate: true})
		basis := f.basis(t, quirks{migrate: true})
		c.change(basis.From)
		notes := &notebook{}
		run, err := f.restorer(w).newRun(newTask, basis, notes)
		must(t, err)
		must(t, checkEverything{run}.Do(t.Context(), nil))
		if got := strings.Contains(strings.Join(notes.warnings, "\n"), "does not come along"); got != c.warned {
			t.Errorf("%s: %q", what, notes.warnings)
		}
	}
}

func TestDestination(t *testing.T) {
	for spec, want := range map[string]string{`{"Migrate":{"WebServers":["web2"]}}`: "[web2]", `{}`: "[]", `{`: "[]"} {
		if got := fmt.Sprint(Destination(&model.Task{Kind: model.TaskMigrate, Spec: []byte(spec)}).WebServers); got != want {
			t.Errorf("%s: %s", spec, got)
		}
	}
	if got := Destination(&model.Task{Kind: model.TaskRestore, Spec: []byte(`{"Migrate":{"WebServers":["web2"]}}`)}); got.WebServers != nil {
		t.Errorf("of a restore: %v", got)
	}
	if b, site := Reading(&model.Task{Kind: model.TaskMigrate, Site: "a.example"}); b != "" || site != "a.example" {
		t.Errorf("it reads %q of %q", b, site)
	}
}
