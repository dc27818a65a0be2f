package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

const grace = 24 * time.Hour

// outcomes are what a game may end in: learnt from games without faults.
type outcomes struct {
	old, committed, new, undone, secondCommitted string
	places                                       map[string][]sagatest.Visit // by the name of the ending
}

// endings are what is done with a site, from the restore on.
func endings() map[string]func(g *game, o *outcomes) {
	return map[string]func(*game, *outcomes){
		"at once": func(g *game, o *outcomes) {
			_, err := g.restore(g.first(), 0)
			g.ended("restore at once", err, o.old, o.new)
		},
		"finished": func(g *game, o *outcomes) {
			if _, err := g.restore(g.first(), grace); !g.ended("restore", err, o.old, o.committed) {
				return
			}
			for range 2 { // where the catalogue could not be written, the master submits another one later
				if g.finish(g.first()) != nil || g.graceState() != catalogue.GraceFinished {
					g.faults.Restart()
				}
			}
			g.is("finished", o.finished())
			must(g, g.finish(g.first()))
			g.is("finished again", o.finished())
		},
		"undone": func(g *game, o *outcomes) {
			if _, err := g.restore(g.first(), grace); !g.ended("restore", err, o.old, o.committed) {
				return
			}
			if _, err := g.undo(g.second(), g.first()); err != nil {
				g.is("undo has failed: "+err.Error(), o.committed)
				return
			}
			if g.graceState() != catalogue.GraceUndone { // it could not be noted
				g.faults.Restart()
				must(g, g.finish(g.first()))
			}
			g.is("undo", o.undone)
			_, err := g.undo(g.second(), g.first())
			g.ended("undone again", err, o.undone, o.undone)
		},
		"confirmed by a second one": func(g *game, o *outcomes) {
			if _, err := g.restore(g.first(), grace); !g.ended("restore", err, o.old, o.committed) {
				return
			}
			_, err := g.restore(g.second(), grace)
			if err != nil { // the first one may have been confirmed before the second one failed
				claimed := strings.Replace(o.committed, "grace of TASK1: waiting", "grace of TASK1: ending", 1)
				g.is("second restore: "+err.Error(), o.committed, sortLines(claimed), o.finished())
				return
			}
			if g.graceState() == catalogue.GraceEnding { // its end could not be noted
				g.faults.Restart()
				must(g, g.finish(g.first()))
			}
			g.is("second restore", o.secondCommitted)
		},
	}
}

func (g *game) graceState() catalogue.GraceState {
	g.Helper()
	s, err := g.book.Grace(g.Context(), g.first())
	must(g, err)
	return s.State
}

// finished is new, with a grace time that has ended.
func (o *outcomes) finished() string { return sortLines(o.new + "\ngrace of TASK1: finished") }

// ended reports whether a task succeeded, after a look at the world.
func (g *game) ended(what string, err error, failed, succeeded string) bool {
	g.Helper()
	if err != nil {
		g.is(what+" has failed: "+err.Error(), failed)
		return false
	}
	g.is(what, succeeded)
	return true
}

func (r *rig) learn(q quirks) *outcomes {
	r.Helper()
	o := &outcomes{places: map[string][]sagatest.Visit{}}
	g := r.newGame(q)
	o.old = g.now()
	_, err := g.restore(g.first(), 0)
	must(r, err)
	o.new = g.now()
	g = r.newGame(q)
	_, err = g.restore(g.first(), grace)
	must(r, err)
	o.committed = g.now()
	_, err = g.restore(g.second(), grace)
	must(r, err)
	o.secondCommitted = g.now()
	o.undone = sortLines(o.old + "\ngrace of TASK1: undone")
	for name, play := range endings() {
		g := r.newGame(q)
		play(g, o)
		o.places[name] = g.faults.Visits()
	}
	return o
}

// TestHandlersWithTheCatalogue lets masters die, and calls fail and agents go away, at every place of a restore with its
// ending, with the real catalogue as journal. World and catalogue must say the same, and be wholly the one or the other.
func TestHandlersWithTheCatalogue(t *testing.T) {
	for name, q := range map[string]quirks{
		"files and database": {}, "files only": {part: FilesOnly}, "database only": {part: DatabaseOnly}, "migrated": {migrate: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			o := r.learn(q)
			for ending, play := range endings() {
				for i, v := range o.places[ending] {
					if q.part != Whole && i%4 != 0 || len(o.places[ending]) > 200 && i%2 != 0 { // much of it is the same again
						continue
					}
					modes := []sagatest.Mode{sagatest.Crash}
					if i%6 == 0 {
						modes = append(modes, sagatest.Fail, sagatest.Away)
					}
					for _, mode := range modes {
						g := r.newGame(q, sagatest.Fault{Life: v.Life, Place: v.Place, Mode: mode})
						g.about = fmt.Sprintf("%s: %s at %s: ", ending, mode, v.Place)
						play(g, o)
						if len(g.faults.Unhit()) > 0 {
							t.Errorf("%s: it never happened", g.about)
						}
					}
				}
				t.Logf("%s: %d places", ending, len(o.places[ending]))
			}
		})
	}
}

// TestServersSideBySide is for the race detector: servers and steps of a stage at the same time, as they are in earnest.
func TestServersSideBySide(t *testing.T) {
	r := newRig(t)
	for _, part := range []Part{Whole, FilesOnly, DatabaseOnly} {
		q := quirks{part: part}
		o := r.learn(q)
		for ending, play := range endings() {
			for i := 0; i < len(o.places[ending]); i += 40 {
				g := r.newGame(q, sagatest.Fault{Place: o.places[ending][i].Place, Mode: sagatest.Crash})
				g.parallel = 4
				play(g, o)
			}
		}
	}
}

// TestCrashInTheRecovery lets the master that recovers die too.
func TestCrashInTheRecovery(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	for ending, play := range endings() {
		for i := 0; i < len(o.places[ending]); i += 25 {
			first := sagatest.Fault{Place: o.places[ending][i].Place, Mode: sagatest.Crash}
			g := r.newGame(quirks{}, first)
			play(g, o)
			var after []string
			for _, v := range g.faults.Visits() {
				if v.Life == 1 {
					after = append(after, v.Place)
				}
			}
			for k := i % 7; k < len(after); k += 7 {
				play(r.newGame(quirks{}, first, sagatest.Fault{Life: 1, Place: after[k], Mode: sagatest.Crash}), o)
			}
		}
	}
}

// TestCancelledAtEveryPlace: a cancelled restore is an undone one, until it has committed.
func TestCancelledAtEveryPlace(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	undone, done := 0, 0
	for n := range len(o.places["at once"]) + 40 {
		g := r.newGame(quirks{})
		ctx, cancel := context.WithCancelCause(t.Context())
		happened := 0
		g.at = func() {
			if happened++; happened == n {
				cancel(fmt.Errorf("%w by a test", tasks.ErrCancelled))
			}
		}
		_, err := g.master().restore(ctx, g.first(), Request{Site: siteName, Backup: g.rig.f.backup.ID}, g.log)
		switch {
		case err == nil:
			done++
			g.is(fmt.Sprintf("cancelled at %d, too late", n), o.new)
		case errs.Is(err, errs.Cancelled):
			undone++
			g.is(fmt.Sprintf("cancelled at %d", n), o.old)
		default:
			t.Fatalf("cancelled at %d: %v", n, err)
		}
	}
	if undone < 60 || done < 10 {
		t.Errorf("%d were undone, %d were too late", undone, done)
	}
}

// TestCancelledWhileAServerIsAway: the undo goes on when the server is back, though the task was cancelled.
func TestCancelledWhileAServerIsAway(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	g := r.newGame(quirks{}, sagatest.Fault{Place: "web2 exchange tree 1/1", Mode: sagatest.Away})
	ctx, cancel := context.WithCancelCause(t.Context())
	g.awake = func(_ context.Context, n int) {
		switch n {
		case 1:
			g.leave()
		case 3:
			cancel(tasks.ErrCancelled)
		case 90:
			g.comeBack()
		}
	}
	_, err := g.master().restore(ctx, g.first(), Request{Site: siteName, Backup: g.rig.f.backup.ID}, g.log)
	if !errs.Is(err, errs.Cancelled) {
		t.Errorf("error = %v\n%s", err, g.log)
	}
	g.is("cancelled", o.old)
}

// TestCancelledBeforeTheMasterDied: a master that starts finds a task that is cancelled already, and brings to its end
// all the same what the journal says has been begun.
func TestCancelledBeforeTheMasterDied(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(tasks.ErrCancelled)

	g := r.newGame(quirks{}, sagatest.Fault{Place: "web2 exchange tree 1/1", Mode: sagatest.Crash})
	request := Request{Site: siteName, Backup: g.rig.f.backup.ID}
	if _, err := g.master().restore(t.Context(), g.first(), request, g.log); err == nil || !g.faults.Dead() {
		t.Fatalf("the master did not die: %v", err)
	}
	g.faults.Restart()
	if _, err := g.master().restore(cancelled, g.first(), request, g.log); !errs.Is(err, errs.Cancelled) {
		t.Errorf("error = %v\n%s", err, g.log)
	}
	g.is("cancelled", o.old)

	g = r.newGame(quirks{}, sagatest.Fault{Life: 1, Place: "web2 exchange tree 1/1", Mode: sagatest.Crash})
	g.restored(grace)
	g.faults.Restart()
	if _, err := g.master().undo(t.Context(), g.second(), Earlier{g.first()}, g.log); err == nil || !g.faults.Dead() {
		t.Fatalf("the master did not die: %v", err)
	}
	g.faults.Restart()
	if _, err := g.master().undo(cancelled, g.second(), Earlier{g.first()}, g.log); err != nil {
		t.Errorf("%v\n%s", err, g.log)
	}
	g.is("undone", o.undone)
}

// TestOneOfTwoServersIsAway: the other one serves the old site again meanwhile, and nothing that the one that is away may
// need has gone. What was waited for is said once, not at each try.
func TestOneOfTwoServersIsAway(t *testing.T) {
	for _, place := range []string{"web2 exchange tree 1/1", "web2 write vhost 2/3", "web2 probe site", "web2 end maintenance 0/1"} {
		r := newRig(t)
		o := r.learn(quirks{})
		g := r.newGame(quirks{}, sagatest.Fault{Place: place, Mode: sagatest.Away})
		gone := false
		g.awake = func(_ context.Context, n int) {
			if !gone {
				gone = true
				g.leave()
			}
			if n < 80 {
				return
			}
			if g.missing != nil {
				one := g.webs["web1"]
				if len(one.flags[siteName]) != 0 || one.live[siteName].content != "old "+siteName || one.staging[siteName+" "+g.first()] != nil {
					t.Errorf("%s: web1 is not what it was while web2 is away:\n%s", place, g.Snapshot())
				}
				if g.dbs[databaseName(siteName, g.first())] == nil {
					t.Errorf("%s: the new database went while web2 may use it", place)
				}
				g.comeBack()
			}
		}
		_, err := g.restore(g.first(), grace)
		g.ended(place, err, o.old, "this restore cannot succeed")
		if n := strings.Count(g.log.String(), "trying again"); n > 25 {
			t.Errorf("%s: said %d times:\n%s", place, n, g.log)
		}
	}
}

// TestTheMasterStopsWhileAServerIsAway: the task is left for the next start.
func TestTheMasterStopsWhileAServerIsAway(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	for _, cancelled := range []bool{false, true} {
		g := r.newGame(quirks{}, sagatest.Fault{Place: "web2 exchange tree 1/1", Mode: sagatest.Away})
		ctx, cancel := context.WithCancelCause(t.Context())
		serving, stop := context.WithCancel(t.Context())
		m := g.master()
		m.deps.Serving = serving
		g.awake = func(wait context.Context, n int) {
			if n == 1 {
				g.leave()
			}
			if n == 60 && cancelled {
				cancel(tasks.ErrCancelled)
			}
			if n == 70 {
				stop()
				cancel(tasks.ErrShutdown)
				select {
				case <-wait.Done():
				case <-time.After(time.Minute):
					t.Error("the wait does not end with the master")
				}
			}
			if n > 90 {
				t.Fatal("it does not stop")
			}
		}
		_, err := m.restore(ctx, g.first(), Request{Site: siteName, Backup: g.rig.f.backup.ID}, g.log)
		if !errors.Is(err, tasks.ErrShutdown) {
			t.Errorf("error = %v", err)
		}
		g.awake = nil
		g.comeBack()
		_, err = g.restore(g.first(), 0)
		g.ended("after the start", err, o.old, "")
	}
}

// TestNeedsOperator: an undo that cannot be done names commands, is not tried by a restart alone a second time with any
// other end, and goes on when the task is retried.
func TestNeedsOperator(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	g := r.newGame(quirks{}, sagatest.Fault{Place: "web1 probe site", Mode: sagatest.Fail}, sagatest.Fault{Place: "web1 exchange tree 0/1#2", Mode: sagatest.Broken})
	request := Request{Site: siteName, Backup: g.rig.f.backup.ID, Grace: grace}
	for range 2 {
		_, err := g.master().restore(t.Context(), g.first(), request, g.log)
		var stuck *tasks.NeedsOperator
		if !errors.As(err, &stuck) || len(stuck.Commands) != 8 || !strings.Contains(strings.Join(stuck.Commands, "\n"), "mv -T '/var/www/.sitekeep-"+g.first()+"/"+siteName+"' '/var/www/"+siteName+"'") {
			t.Fatalf("error = %v, commands %q", err, stuck)
		}
	}
	// The operator has done on one server what the commands say.
	g.faults.Restart()
	one := g.webs["web1"]
	st := one.staging[siteName+" "+g.first()]
	one.live[siteName], st.tree = st.tree, one.live[siteName]
	_, err := g.master().restore(t.Context(), g.first(), request, g.log)
	g.ended("retried", err, o.old, "")
}

// TestACleaningUpThatNeedsAnOperator does not end the restore that it belongs to, and goes on with the retry of whatever
// task it stopped.
func TestACleaningUpThatNeedsAnOperator(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	for name, act := range map[string]func(*game) error{
		"finish": func(g *game) error {
			_, err := g.master().finish(t.Context(), Earlier{g.first()}, g.log)
			return err
		},
		"second restore": func(g *game) error {
			_, err := g.master().restore(t.Context(), g.second(), Request{Site: siteName, Backup: g.rig.f.backup.ID, Grace: grace}, g.log)
			return err
		},
	} {
		g := r.newGame(quirks{}, sagatest.Fault{Place: "web2 forget vhost 0/1", Mode: sagatest.Broken})
		_, err := g.restore(g.first(), grace)
		must(t, err)
		var stuck *tasks.NeedsOperator
		if err := act(g); !errors.As(err, &stuck) {
			t.Fatalf("%s: error = %v", name, err)
		}
		if s, err := r.book.Grace(t.Context(), g.first()); err != nil || s.State != catalogue.GraceEnding {
			t.Errorf("%s: grace %v, %v", name, s.State, err)
		}
		g.faults.Restart()
		must(t, act(g))
		want := o.secondCommitted
		if name == "finish" {
			want = o.finished()
		}
		g.is(name, want)
	}
}
