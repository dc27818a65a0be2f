package restore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

// restored runs a restore without faults.
func (g *game) restored(grace time.Duration) {
	g.Helper()
	if _, err := g.restore(g.first(), grace); err != nil {
		g.Fatalf("%v\n%s", err, g.log)
	}
}

// TestTheOldDatabaseStaysInDoubt: whatever disagrees, the database stays, the restore succeeds, and its log says why.
func TestTheOldDatabaseStaysInDoubt(t *testing.T) {
	r := newRig(t)
	for what, c := range map[string]struct {
		prepare func(g *game)
		between func(g *game) // after the commit
		says    string
	}{
		"settings of another database": {func(g *game) { g.webs["web2"].live[siteName].settings.name = otherDB }, nil, `the settings on web2 name the database "abexample_0"`},
		"another database server":      {func(g *game) { g.webs["web1"].live[siteName].settings.host = "elsewhere:3306" }, nil, `name the database server "elsewhere:3306"`},
		"different users": {func(g *game) {
			g.webs["web2"].live[siteName].settings.user = otherDB
			g.allow(otherDB, "10.0.0.2", "secret of "+oldDB, oldDB)
		}, nil, "those of another web server"},
		"recorded for another site": {func(g *game) { g.record(otherName, strings.ToUpper(oldDB)) }, nil, "it is recorded for " + otherName},
		"settings changed since":    {nil, func(g *game) { g.webs["web1"].live[siteName].settings.name = otherDB }, "the live settings on web1 name"},
		"settings lost since":       {nil, func(g *game) { g.webs["web1"].live[siteName].settings = nil }, "the live settings on web1 cannot be read"},
		"kept for another's undo": {nil, func(g *game) {
			g.must(g.book.CommitRestore(g.Context(), catalogue.RestoreCommit{
				TaskID: g.third(), Site: otherName, Old: model.Database{Name: otherDB, User: otherDB, Host: dbHost}, New: model.Database{Name: "x"}, Record: []byte("{}"),
				Grace: &catalogue.Grace{TaskID: g.third(), Site: otherName, Due: time.Unix(3e9, 0), State: catalogue.GraceWaiting, Memo: []byte(`{"DBServer":"db1","Database":"ABEXAMPLE"}`)},
			}))
		}, "keeps it until its grace time is over"},
	} {
		t.Run(what, func(t *testing.T) {
			g := r.newGame(quirks{})
			if c.prepare != nil {
				c.prepare(g)
			}
			g.restored(grace)
			if c.between != nil {
				c.between(g)
			}
			if err := g.finish(g.first()); err != nil {
				t.Fatal(err)
			}
			if g.dbs[oldDB] == nil || g.accounts[oldDB+"@10.0.0.1"] == nil {
				t.Error("it was dropped")
			}
			if log := g.log.String(); !strings.Contains(log, `WARNED: the old database "abexample" stays: `) || !strings.Contains(log, c.says) {
				t.Errorf("log:\n%s", log)
			}
			if g.webs["web1"].staging[siteName+" "+g.first()] != nil {
				t.Error("the old directory is still there")
			}
		})
	}
}

func (g *game) must(err error) { g.Helper(); must(g.T, err) }

func (g *game) record(site, database string) {
	g.Helper()
	_, err := g.book.UpdateSite(g.Context(), site, func(s *model.Site) error { s.Database.Name = database; return nil })
	g.must(err)
}

// TestTheSiteIsWreckedWithinTheGraceTime: neither the cleaning up nor another restore is kept from its work.
func TestTheSiteIsWreckedWithinTheGraceTime(t *testing.T) {
	r := newRig(t)
	for what, wreck := range map[string]func(*game){
		"the directory is gone":     func(g *game) { delete(g.webs["web1"].live, siteName) },
		"another directory is live": func(g *game) { g.webs["web1"].live[siteName] = &tree{inode: 999, content: "made by hand"} },
		"the settings are broken":   func(g *game) { g.webs["web1"].live[siteName].settings = nil },
	} {
		g := r.newGame(quirks{})
		g.restored(grace)
		wreck(g)
		if _, err := g.restore(g.second(), 0); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, g.log)
		}
		if got := g.webs["web1"].live[siteName]; got == nil || got.content != "restored" || len(g.webs["web1"].staging) != 1 {
			t.Errorf("%s: %s", what, g.Snapshot())
		}
	}
}

// TestUndoOfASiteThatWasRemoved brings it back.
func TestUndoOfASiteThatWasRemoved(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	g := r.newGame(quirks{})
	g.restored(grace)
	delete(g.webs["web2"].live, siteName)
	_, err := g.undo(g.second(), g.first())
	must(t, err)
	g.mixed = nil
	g.is("undone", o.undone)
}

// TestUndoThatDoesNotBeginLetsVisitorsIn: its safety backup fails with an agent that has died and is back a moment later.
func TestUndoThatDoesNotBeginLetsVisitorsIn(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	g := r.newGame(quirks{}, sagatest.Fault{Life: 1, Place: "safety backup 0/1", Mode: sagatest.Fail},
		sagatest.Fault{Life: 1, Place: "web2 end maintenance 0/1", Mode: sagatest.Flaky})
	g.restored(grace)
	g.faults.Restart()
	if _, err := g.undo(g.second(), g.first()); err == nil {
		t.Fatal("the undo had no safety backup and went on")
	}
	g.is("not undone", o.committed)
}

// TestSomebodyElsesDirectoryIsNotRemoved: what lies in staging after the commit and is not the old tree stays.
func TestSomebodyElsesDirectoryIsNotRemoved(t *testing.T) {
	r := newRig(t)
	g := r.newGame(quirks{})
	g.restored(grace)
	one := g.webs["web1"]
	st := one.staging[siteName+" "+g.first()]
	one.live[siteName], st.tree = st.tree, one.live[siteName] // exchanged by hand
	must(t, g.finish(g.first()))
	if one.staging[siteName+" "+g.first()] == nil || one.live[siteName].content != "old "+siteName || g.dbs[oldDB] == nil {
		t.Errorf("there is\n%s\n%s", g.Snapshot(), g.log)
	}
}

// TestAPHPThatRemembers: with no grace time the old database stays if PHP may still use it.
func TestAPHPThatRemembers(t *testing.T) {
	w := newWorld(sagatest.NewFaults(), quirks{})
	f := newFixture(t)
	basis := f.basis(t, quirks{})
	log := &diary{}
	run, err := f.restorer(w).newRun(newTask, basis, log)
	must(t, err)
	run.notePHP("web1", "", nil)
	run.notePHP("web2", "opcache could not be reset", nil)
	s := retireDatabase{run}
	if why := s.stalePHP(); !strings.Contains(why, "PHP on web2 may still use it: opcache") || !strings.Contains(log.String(), "opcache") {
		t.Errorf("doubt %q", why)
	}
	run.notePHP("web2", "", nil)
	if why := s.stalePHP(); why != "" {
		t.Errorf("doubt %q", why)
	}
}

// TestALeaseThatIsLost ends the restore and says so.
func TestALeaseThatIsLost(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	g := r.newGame(quirks{})
	g.at = func() {
		for _, s := range g.webs {
			for site, t := range s.staging {
				if t.tree != nil && strings.HasPrefix(site, siteName+" "+g.first()) {
					delete(s.flags[siteName], g.first()) // the agent has ended it: it ran out
				}
			}
		}
	}
	_, err := g.restore(g.first(), 0)
	if !errs.Is(err, errs.NotFound) || !strings.Contains(err.Error(), "ran out") && !strings.Contains(err.Error(), "run out") {
		t.Errorf("error = %v", err)
	}
	g.at = nil
	g.is("lost", o.old)
}

// TestTheKeeperNeverShortensALeaseThatIsHeld: a renewal that is under way is waited for.
func TestTheKeeperNeverShortensALeaseThatIsHeld(t *testing.T) {
	f := newFixture(t)
	w := newWorld(sagatest.NewFaults(), quirks{})
	run, err := f.restorer(w).newRun(newTask, f.basis(t, quirks{}), &notebook{})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // as Stop does
	w.webs["web1"].flags[siteName][newTask], w.webs["web2"].flags[siteName][newTask] = "short", "short"
	if err := run.renewLease(ctx); err != nil {
		t.Errorf("a renewal was cut short: %v", err)
	}
}

// TestAnEarlierRestoreIsConfirmedByOneThatCanBegin, and by no other.
func TestAnEarlierRestoreIsConfirmedByOneThatCanBegin(t *testing.T) {
	r := newRig(t)
	g := r.newGame(quirks{})
	g.restored(grace)
	before := g.now()
	g.leave()
	if _, err := g.restore(g.second(), grace); !errs.Is(err, errs.Unreachable) {
		t.Errorf("error = %v", err)
	}
	g.comeBack()
	g.is("a server was away", before)
	_, err := g.master().restore(t.Context(), g.second(), Request{Site: siteName, Backup: "ab.example-20200101.000000"}, g.log)
	if !errs.Is(err, errs.NotFound) {
		t.Errorf("error = %v", err)
	}
	g.is("no such backup", before)
}

// TestPartsThatAreRefused before anything is touched, with what to do.
func TestPartsThatAreRefused(t *testing.T) {
	r := newRig(t)
	broken := func(g *game) { g.webs["web2"].live[siteName].settings = nil }
	for _, part := range []Part{FilesOnly, DatabaseOnly} {
		g := r.newGame(quirks{part: part})
		broken(g)
		before := g.now()
		_, err := g.restore(g.first(), grace)
		if !errs.Is(err, errs.Precondition) || !strings.Contains(errs.HintOf(err), "together: sitekeep restore "+siteName+" "+g.rig.f.backup.ID) {
			t.Errorf("%s: error = %v, hint %q", part, err, errs.HintOf(err))
		}
		g.is(string(part), before)
	}
	static := model.Site{Name: "s.example", WebServers: []string{"web1"}}
	withDB := quirks{}.site()
	for what, b := range map[string]Basis{
		"no database server":           {Site: static, Part: DatabaseOnly, HasDump: true},
		"no dump":                      {Site: withDB},
		"no dump, and database only":   {Site: withDB, Part: DatabaseOnly},
		"no database server, and more": {Site: static, Part: DatabaseOnly},
	} {
		if err := b.check(); !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, b := range map[string]Basis{"files of a site with one": {Site: withDB, Part: FilesOnly}, "static": {Site: static}, "static, files only": {Site: static, Part: FilesOnly}} {
		if err := b.check(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestNoSecretIsKept: neither in the journal nor in the log, nor in what comes of the task.
func TestNoSecretIsKept(t *testing.T) {
	r := newRig(t)
	for _, part := range []Part{Whole, FilesOnly, DatabaseOnly} {
		g := r.newGame(quirks{part: part})
		g.restored(grace)
		records, err := g.book.JournalRecords(t.Context(), g.first())
		must(t, err)
		text := g.log.String()
		for _, rec := range records {
			text += string(rec)
		}
		secrets := []string{"secret of"}
		for _, a := range g.accounts {
			secrets = append(secrets, a.password)
		}
		if i := slices.IndexFunc(secrets, func(s string) bool { return strings.Contains(text, s) }); i >= 0 {
			t.Errorf("%s: a password is there: %s", part, text)
		}
	}
}

func TestSameTrouble(t *testing.T) {
	for _, c := range []struct {
		now, recorded int
		want          bool
	}{{500, 500, true}, {500, 200, false}, {500, 0, false}, {404, 500, false}, {0, 0, false}, {0, backup.NoAnswer, true}, {500, backup.NoAnswer, false}, {302, 302, false}} {
		if got := sameTrouble(model.PageProbe{Status: c.now}, c.recorded); got != c.want {
			t.Errorf("now %d, recorded %d: %v", c.now, c.recorded, got)
		}
	}
}

func TestCompareTables(t *testing.T) {
	want := []model.Table{{Name: "a", Rows: 2}, {Name: "v", View: true}}
	for what, c := range map[string]struct {
		got []model.Table
		ok  bool
	}{
		"the same": {[]model.Table{{Name: "v", View: true, Rows: 7}, {Name: "a", Rows: 2}}, true},
		"fewer":    {[]model.Table{{Name: "a", Rows: 1}, {Name: "v"}}, false},
		"more":     {[]model.Table{{Name: "a", Rows: 3}, {Name: "v"}}, false},
		"no view":  {[]model.Table{{Name: "a", Rows: 2}}, false},
	} {
		if err := compareTables(want, c.got); (err == nil) != c.ok || err != nil && !errs.Is(err, errs.Corrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTheWorstErrorDecides(t *testing.T) {
	away, broken := errs.New(errs.Unreachable, "", "away"), errs.New(errs.NoSpace, "", "full")
	if err := worst([]error{away, nil, broken}); errs.KindOf(err) != errs.NoSpace || !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
	if err := worst([]error{nil, away}); !errs.Temporary(err) {
		t.Errorf("%v", err)
	}
	if worst([]error{nil, nil}) != nil {
		t.Error("nothing is an error")
	}
}

// TestTheOldDirectoryIsNeverRemovedByAnUndo, even should it lie where the staged one belongs.
func TestTheOldDirectoryIsNeverRemovedByAnUndo(t *testing.T) {
	f := newFixture(t)
	w := newWorld(sagatest.NewFaults(), quirks{})
	run, err := f.restorer(w).newRun(newTask, f.basis(t, quirks{}), &notebook{})
	must(t, err)
	s := pushFiles{run: run}
	m, err := s.Prepare(t.Context())
	must(t, err)
	must(t, s.Do(t.Context(), m))
	one := w.webs["web1"]
	st := one.staging[siteName+" "+newTask]
	one.live[siteName], st.tree = st.tree, one.live[siteName]
	if err := s.Undo(t.Context(), m); !errs.Is(err, errs.Precondition) || one.staging[siteName+" "+newTask] == nil || st.tree == nil {
		t.Errorf("error = %v, staging %v", err, one.staging)
	}
	if w.webs["web2"].staging[siteName+" "+newTask] != nil {
		t.Error("the other server's staging directory is still there")
	}
}

// TestAJournalThatCannotBeBegun is a failure, however long it was waited for.
func TestAJournalThatCannotBeBegun(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	for _, blinds := range []bool{false, true} {
		g := r.newGame(quirks{}, sagatest.Fault{Place: "before record", Mode: sagatest.Away})
		g.blinds = blinds
		g.awake = func(_ context.Context, n int) { g.blind = g.blind && n < 30 }
		_, err := g.restore(g.first(), grace)
		g.ended("restore", err, o.old, "")
	}
}

// TestOwnersThatAreMissingAreToldOf: what an agent remarks on while it writes files is a warning of the task.
func TestOwnersThatAreMissingAreToldOf(t *testing.T) {
	g := newRig(t).newGame(quirks{})
	g.restored(0)
	for _, server := range []string{"web1", "web2"} {
		if !strings.Contains(g.log.String(), "WARNED: "+server+": "+unknownOwner) {
			t.Errorf("%s: the log does not tell of it:\n%s", server, g.log)
		}
	}
}
