package restore

import (
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

func TestWhatMoves(t *testing.T) {
	at := func(name, root, docroot string, aliases ...string) *model.Site {
		return &model.Site{Name: name, Root: root, Docroot: docroot, Aliases: aliases, Kind: "drupal"}
	}
	old := backup.Facts{Site: "Old.example", Root: "/srv/old.example", Docroot: "/srv/old.example/web"}
	drupal := backup.Facts{Site: "old.example", Root: "/srv/p/sites/old.example", Docroot: "/srv/p"}
	for _, c := range []struct {
		what  string
		facts backup.Facts
		name  string
		site  *model.Site
		want  string
	}{
		{"name and place", old, "", at("new.example", "/srv/new", "/srv/new/web"),
			"{[{old.example new.example} {www.old.example new.example}] [{/srv/old.example /srv/new} {/srv/old.example/web /srv/new/web}] []}"},
		{"with www.", old, "", at("new.example", "/srv/old.example", "/srv/old.example/web", "www.new.example"),
			"{[{old.example new.example} {www.old.example www.new.example}] [] []}"},
		{"to www.", old, "", at("www.old.example", "/srv/old.example", "/srv/old.example/web"), "{[{old.example www.old.example}] [] []}"},
		{"another old name", old, "older.example", at("old.example", "/srv/old.example", "/srv/old.example/web"),
			"{[{older.example old.example} {www.older.example old.example}] [] []}"},
		{"nothing", old, "", at("old.example", "/srv/old.example", "/srv/old.example/web"), "{[] [] []}"},
		{"made elsewhere", backup.Facts{Site: "a tarball"}, "", at("new.example", "/srv/new", "/srv/new"), "{[] [] []}"},
		{"one of a code base", drupal, "", at("new.example", "/srv/p/sites/new.example", "/srv/p"),
			"{[{old.example new.example} {www.old.example new.example}] [{/srv/p/sites/old.example /srv/p/sites/new.example}] [{sites/old.example sites/new.example}]}"},
		{"Aegir's", backup.Facts{Kind: "drupal"}, "old.example", at("new.example", "/srv/p/sites/new.example", "/srv/p"),
			"{[{old.example new.example} {www.old.example new.example}] [] [{sites/old.example sites/new.example}]}"},
		{"without a docroot", backup.Facts{Root: "/srv/x/y"}, "old.example", at("old.example", "/srv/p/sites/a", "/srv/p"), "{[] [{/srv/x/y /srv/p/sites/a}] []}"},
	} {
		if got := fmt.Sprint(moveOf(c.facts, c.name, c.site)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.what, got, c.want)
		}
	}
}

func TestDocrootLiesAsItDid(t *testing.T) {
	for _, c := range [][4]string{
		{"/srv/a", "/srv/a", "/srv/b", "/srv/b"},
		{"/srv/a", "/srv/a/web", "/www/b", "/www/b/web"},
		{"/srv/p/sites/a", "/srv/p", "/www/q/sites/b", "/www/q"},
		{"/srv/p/sites/a", "/srv/p/web", "/www/q/sites/b", "/www/q/web"},
		{"/srv/a", "", "/srv/b", "/srv/b"},
		{"", "", "/srv/b", "/srv/b"},
		{"/srv/a", "/var/lib/a", "/srv/b", "/srv/b"},
	} {
		if got := docrootFor(backup.Facts{Root: c[0], Docroot: c[1]}, c[2]); got != c[3] {
			t.Errorf("%q: got %s", c, got)
		}
	}
}

// deployment is the request for a new site.
func (g *game) deployment() Request {
	q := g.q.request(g.rig.f.backup.ID, 0)
	q.Deploy.New.Aliases = []string{"www." + siteName}
	return q
}

// nameless leaves out what differs from game to game.
func (g *game) nameless(text string) string {
	text = regexp.MustCompile(`01KACQ4J7XK0VJ7N3Y1[0-9]{6}`).ReplaceAllString(text, "TASK")
	return sortLines(regexp.MustCompile(`abexample_[0-9]{6}`).ReplaceAllString(text, "NEWDB"))
}

// TestNewSiteAndItsRecordAreOne lets masters die, and calls fail, at every place of a deployment, with the real
// catalogue: the site is recorded if and only if it is there, and otherwise nothing is.
func TestNewSiteAndItsRecordAreOne(t *testing.T) {
	r := newRig(t)
	q := quirks{deploy: true, fresh: true}
	play := func(g *game) (err error) {
		_, err = g.until(func(m *Restorer) (*Outcome, error) { return m.restore(g.Context(), g.first(), g.deployment(), g.log) })
		return err
	}
	start := func(faults ...sagatest.Fault) *game {
		g := r.newGame(quirks{deploy: true}, faults...)
		must(t, r.book.DeleteSite(t.Context(), siteName))
		g.q, g.world = q, newWorld(g.faults, q)
		return g
	}
	recorded := func() string {
		s, err := r.book.Site(t.Context(), siteName)
		if errs.Is(err, errs.NotFound) {
			return "no site"
		}
		must(t, err)
		must(t, r.book.DeleteSite(t.Context(), siteName))
		return fmt.Sprintf("%v %v %s %s %s %t %t", s.Aliases, s.WebServers, s.DBServer, s.Root, s.Database.Host, s.Database.Name == s.Database.User, s.Database.Name != "")
	}
	g := start()
	before := g.Snapshot()
	must(t, play(g))
	made, record, places := g.Snapshot(), recorded(), g.faults.Visits()
	if record != "[www.ab.example] [web1 web2] db1 /var/www/ab.example db1:3306 true true" {
		t.Errorf("recorded: %s", record)
	}
	near := model.Site{Name: "near.example", WebServers: []string{"web2"}, Root: "/var/www/ab.example/in", Docroot: "/var/www", CreatedAt: time.Unix(1e9, 0)}
	must(t, r.book.CreateSite(t.Context(), quirks{}.site()))
	must(t, r.book.CreateSite(t.Context(), near)) // after the request was looked at
	g = start()
	if err := play(g); !errs.Is(err, errs.Exists) || g.nameless(g.Snapshot()) != g.nameless(before) || recorded() != "no site" {
		t.Errorf("with a site in its directory: %v\n%s", err, g.Snapshot())
	}
	must(t, r.book.DeleteSite(t.Context(), near.Name))
	must(t, r.book.CreateSite(t.Context(), quirks{}.site()))
	for i, v := range places {
		modes := []sagatest.Mode{sagatest.Crash}
		if i%6 == 0 {
			modes = append(modes, sagatest.Fail)
		}
		for _, mode := range modes {
			g := start(sagatest.Fault{Life: v.Life, Place: v.Place, Mode: mode})
			err := play(g)
			want := map[bool][2]string{true: {g.nameless(made), record}, false: {g.nameless(before), "no site"}}[err == nil]
			if got := [2]string{g.nameless(g.Snapshot()), recorded()}; got != want {
				t.Fatalf("%s at %s (%v): there is\n%s\n%s\n\nin place of\n%s\n%s\n%s", mode, v.Place, err, got[0], got[1], want[0], want[1], g.log)
			}
			must(t, r.book.CreateSite(t.Context(), quirks{}.site()))
		}
	}
}

// TestCloneMixesNothing: a source that another task changes is not copied.
func TestCloneMixesNothing(t *testing.T) {
	r := newRig(t)
	now := time.Unix(2e9, 0)
	restorer := New(Deps{Sites: r.book, History: r.book, Now: func() time.Time { return now }})
	task := func(id string, kind model.TaskKind, state model.TaskState, started time.Time) {
		_, err := r.book.AddTask(t.Context(), model.Task{ID: id, Kind: kind, Site: siteName, State: state, CreatedAt: now, StartedAt: started}, false, false)
		must(t, err)
	}
	task("T1", model.TaskRestore, model.TaskSucceeded, now.Add(-time.Hour))
	task("T2", model.TaskBackup, model.TaskRunning, now)
	must(t, restorer.occupied(t.Context(), siteName, time.Time{}))
	must(t, restorer.occupied(t.Context(), siteName, now))
	task("T3", model.TaskUndo, model.TaskSucceeded, now.Add(time.Second))
	must(t, restorer.occupied(t.Context(), siteName, time.Time{}))
	if err := restorer.occupied(t.Context(), siteName, now); !errs.Is(err, errs.Busy) {
		t.Errorf("a task that ran meanwhile: %v", err)
	}
	task("T4", model.TaskDeploy, model.TaskRunning, now)
	if err := restorer.occupied(t.Context(), siteName, time.Time{}); !errs.Is(err, errs.Busy) {
		t.Errorf("a task that runs: %v", err)
	}
}

// TestPlaceForANewSite refuses whatever is in the way, before anything is made.
func TestPlaceForANewSite(t *testing.T) {
	f := newFixture(t)
	for what, spoil := range map[string]struct {
		do   func(w *world)
		kind errs.Kind
	}{
		"a directory":    {func(w *world) { w.live(w.webs["web2"], siteName, oldDB); delete(w.webs["web2"].vhosts, siteName) }, errs.Exists},
		"a virtual host": {func(w *world) { w.webs["web1"].vhosts[siteName] = "somebody's" }, errs.Exists},
	} {
		q := quirks{deploy: true, fresh: true}
		w := newWorld(sagatest.NewFaults(), q)
		spoil.do(w)
		before := w.Snapshot()
		m := f.restorer(w)
		basis, err := m.Plan(t.Context(), newTask, q.request(f.backup.ID, 0))
		must(t, err)
		run, err := m.newRun(newTask, *basis, &notebook{})
		must(t, err)
		if err := (checkEverything{run}).Do(t.Context(), nil); errs.KindOf(err) != spoil.kind {
			t.Errorf("%s in the way: %v", what, err)
		}
		if w.Snapshot() != before {
			t.Errorf("%s in the way: the check has changed something", what)
		}
	}
}

// TestDeploymentsThatCannotBe are refused with the plan.
func TestDeploymentsThatCannotBe(t *testing.T) {
	f := newFixture(t)
	for what, c := range map[string]struct {
		change func(q *Request)
		kind   errs.Kind
	}{
		"unknown kind":         {func(q *Request) { q.Deploy.New.Kind = "joomla" }, errs.Usage},
		"no database server":   {func(q *Request) { q.Deploy.New.DBServer = "" }, errs.Usage},
		"files with a server":  {func(q *Request) { q.Part = FilesOnly }, errs.Usage},
		"no such backup":       {func(q *Request) { q.Backup = "ab.example-20010101.000000" }, errs.NotFound},
		"nothing to put there": {func(q *Request) { q.Deploy.New = nil }, errs.NotFound},
	} {
		q := quirks{deploy: true, fresh: true}
		request := q.request(f.backup.ID, 0)
		c.change(&request)
		if _, err := f.restorer(newWorld(sagatest.NewFaults(), q)).Plan(t.Context(), newTask, request); errs.KindOf(err) != c.kind {
			t.Errorf("%s: %v", what, err)
		}
	}
	request := quirks{deploy: true, fresh: true}.request(f.backup.ID, 0)
	request.Deploy.New.Kind, request.Deploy.New.DBServer, request.Part = "", "", FilesOnly
	b, err := f.restorer(newWorld(sagatest.NewFaults(), quirks{fresh: true})).Plan(t.Context(), newTask, request)
	if err != nil || b.Site.Kind != "wordpress" || b.WithDatabase() || b.carries() {
		t.Errorf("files alone: %+v, %v", b, err)
	}
	if _, err := f.restorer(newWorld(sagatest.NewFaults(), quirks{})).Plan(t.Context(), newTask, quirks{deploy: true, fresh: true}.request(f.backup.ID, 0)); !errs.Is(err, errs.Exists) {
		t.Errorf("a site that is there: %v", err)
	}
}

// TestTasksTellWhatTheyRead is for those who must not remove it meanwhile.
func TestTasksTellWhatTheyRead(t *testing.T) {
	clone, err := memo(CloneRequest{Source: "a.example", Backup: "B", Site: model.Site{Name: "b.example", WebServers: []string{"w"}}})
	must(t, err)
	deploy, err := memo(Request{Backup: "C", Deploy: &Deployment{New: &model.Site{Name: "c.example"}}})
	must(t, err)
	var got []string
	for _, task := range []model.Task{{Kind: model.TaskClone, Spec: clone}, {Kind: model.TaskDeploy, Spec: deploy}, {Kind: model.TaskVerify, Spec: deploy}} {
		id, of := Reading(&task)
		name := ""
		if s := Target(&task); s != nil {
			name = s.Name
		}
		got = append(got, id+" "+of+" "+name)
	}
	if want := []string{"B a.example b.example", "C  c.example", "  "}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
