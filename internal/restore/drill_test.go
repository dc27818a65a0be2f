package restore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
	"github.com/sitekeep/sitekeep/internal/tasks"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

func (a *dbAgent) Dump(ctx context.Context, r model.DumpRequest, _ iter.Seq2[archive.BaseDumpFrame, error],
	emit func(context.Context, archive.Item) error) (out model.DumpSummary, _ archive.Summary, err error) {
	err = a.look(ctx, "db1 dump", func() error {
		if a.dbs[r.Database] == nil || a.dbs[r.Database].content != "restored" {
			return errs.New(errs.NotFound, "", "there is no whole database %s", r.Database)
		}
		if out.Tables = a.dumped; out.Tables == nil {
			out.Tables = restoredTables()
		}
		return emit(ctx, archive.Item{})
	})
	return out, archive.Summary{}, err
}

// drill runs one as the queue does, until its task has ended.
func (g *game) drill() (out *DrillOutcome, err error) {
	_, err = g.until(func(r *Restorer) (*Outcome, error) {
		var failed error
		out, failed = r.drill(g.Context(), g.first(), siteName, DrillSpec{Backup: g.rig.f.backup.ID}, g.log)
		return nil, failed
	})
	return out, err
}

// forgetDrill makes the catalogue one in which the site had no drill.
func (g *game) forgetDrill() {
	g.must(g.book.RecordDrill(g.Context(), model.Drill{Site: siteName, Problem: "none yet"}))
}

func (g *game) shown() string {
	g.Helper()
	d, err := g.book.LastDrill(g.Context(), siteName)
	must(g, err)
	return d.Problem
}

// ready is a game whose drill changes nothing: what is there before it is what is there after it.
func (r *rig) ready(faults ...sagatest.Fault) (g *game, before string) {
	g = r.newGame(quirks{}, faults...)
	g.forgetDrill()
	return g, g.now()
}

func TestADrillPassesAndLeavesNothing(t *testing.T) {
	r := newRig(t)
	g, before := r.ready()
	out, err := g.drill()
	must(t, err)
	g.is("after the drill", before)
	if out.Backup != r.f.backup.ID || out.Tables != 2 || out.Rows != 3 || out.Files == 0 || out.Bytes == 0 {
		t.Errorf("%+v", out)
	}
	if d, err := g.book.LastDrill(t.Context(), siteName); err != nil || d.Problem != "" || d.Backup != r.f.backup.ID || d.TaskID != g.first() {
		t.Errorf("%+v, %v", d, err)
	}
	for _, v := range g.faults.Visits() {
		for _, never := range []string{"maintenance", "exchange", "vhost", "settings", "write delta", "safety", "reload", "probe"} {
			if strings.Contains(v.Place, never) {
				t.Errorf("a drill came to %q", v.Place)
			}
		}
	}
	if len(g.mixed) > 0 {
		t.Error(g.mixed)
	}
}

// TestADrillIsUndoneWhateverHappens lets masters die, calls fail and agents go away at every place.
func TestADrillIsUndoneWhateverHappens(t *testing.T) {
	r := newRig(t)
	g, _ := r.ready()
	_, err := g.drill()
	must(t, err)
	ended := map[string]int{}
	for i, v := range g.faults.Visits() {
		modes := []sagatest.Mode{sagatest.Crash}
		if i%3 == 0 {
			modes = append(modes, sagatest.Fail, sagatest.Away, sagatest.Broken)
		}
		for _, mode := range modes {
			g, before := r.ready(sagatest.Fault{Life: v.Life, Place: v.Place, Mode: mode})
			g.about = fmt.Sprintf("%s at %s: ", mode, v.Place)
			out, err := g.drill()
			g.is("in the end", before)
			if len(g.faults.Unhit()) > 0 {
				t.Errorf("%sit never happened", g.about)
			}
			if (err == nil) != (g.shown() == "") || err == nil && out.Backup == "" {
				t.Errorf("%sthe drill gave %v, %+v, and %q is on record", g.about, err, out, g.shown())
			}
			if errs.Temporary(err) && g.shown() != "none yet" {
				t.Errorf("%s%v says nothing of the backup, and yet is on record", g.about, err)
			}
			ended[fmt.Sprint(mode, " ", err == nil)]++
		}
	}
	t.Log(ended)
	if ended["crash true"] == 0 || ended["crash false"] < 20 || ended["away true"]+ended["away false"] < 10 {
		t.Error("too little was broken")
	}
}

func TestADrillTellsRowsThatAreOthers(t *testing.T) {
	r := newRig(t)
	for what, c := range map[string]struct {
		found []model.Table
		says  string
	}{
		"a row less":   {[]model.Table{{Name: "posts", Rows: 1}, {Name: "users", Rows: 1}}, "table posts has 1 rows in place of 2"},
		"a table less": {[]model.Table{{Name: "posts", Rows: 2}}, "table users is missing"},
	} {
		t.Run(what, func(t *testing.T) {
			g, before := r.ready()
			g.dumped = c.found
			_, err := g.drill()
			if !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), c.says) || !strings.Contains(g.shown(), c.says) {
				t.Errorf("%v; on record is %q", err, g.shown())
			}
			g.is("after the drill", before)
		})
	}
	want := []model.Table{{Name: "a", Checksum: "1"}, {Name: "b", Checksum: "2"}, {Name: "old"}, {Name: "v", View: true}}
	if n, err := compareSums(want, []model.Table{{Name: "b", Checksum: "2"}, {Name: "a", Checksum: "1"}, {Name: "old", Checksum: "9"}}); n != 2 || err != nil {
		t.Errorf("%d tables compared, %v", n, err)
	}
	if _, err := compareSums(want, []model.Table{{Name: "a", Checksum: "1"}, {Name: "b", Checksum: "3"}}); !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), ": b") {
		t.Error(err)
	}
}

// TestACancelledDrillSaysNothingOfTheBackup at every place.
func TestACancelledDrillSaysNothingOfTheBackup(t *testing.T) {
	r := newRig(t)
	cancelled, passed := 0, 0
	for n := 1; n < 80; n += 2 {
		g, before := r.ready()
		ctx, cancel := context.WithCancelCause(t.Context())
		happened := 0
		g.at = func() {
			if happened++; happened == n {
				cancel(fmt.Errorf("%w by a test", tasks.ErrCancelled))
			}
		}
		_, err := g.master().drill(ctx, g.first(), siteName, DrillSpec{Backup: r.f.backup.ID}, g.log)
		g.is(fmt.Sprintf("cancelled at %d", n), before)
		switch {
		case err == nil:
			passed++
		case (errors.Is(err, tasks.ErrCancelled) || errors.Is(err, context.Canceled)) && g.shown() == "none yet":
			cancelled++
		default:
			t.Fatalf("cancelled at %d: %v, on record %q", n, err, g.shown())
		}
		cancel(nil)
	}
	if cancelled < 10 || passed == 0 {
		t.Errorf("%d were cancelled, %d passed", cancelled, passed)
	}
}

func TestADrillTakesTheLastGoodBackup(t *testing.T) {
	r := newRig(t)
	g, before := r.ready()
	none := func() error {
		_, err := g.master().drill(t.Context(), g.first(), siteName, DrillSpec{}, g.log)
		return err
	}
	if err := none(); !errs.Is(err, errs.NotFound) || g.shown() != "none yet" {
		t.Errorf("%v, on record %q", err, g.shown())
	}
	must(t, g.book.InsertBackup(t.Context(), r.f.backup))
	safety := r.f.backup
	safety.ID, safety.Origin, safety.CreatedAt = "safety", model.OriginSafety, safety.CreatedAt.AddDate(0, 0, 1)
	must(t, g.book.InsertBackup(t.Context(), safety))
	if err := none(); err != nil || g.shown() != "" {
		t.Errorf("%v, on record %q", err, g.shown())
	}
	g.is("after the drill", before)
}
