package restore

import (
	"slices"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

func TestDowntimeByTheJournal(t *testing.T) {
	at := func(second int64, kind saga.Kind, step string) saga.Record {
		return saga.Record{Kind: kind, Step: step, Time: time.Unix(second, 0)}
	}
	for name, c := range map[string]struct {
		records []saga.Record
		want    time.Duration
	}{
		"nothing was begun": {nil, 0},
		"it went well": {[]saga.Record{
			at(1, saga.KindBegun, "push_files"), at(10, saga.KindBegun, "begin_maintenance"), at(11, saga.KindDone, "begin_maintenance"),
			at(12, saga.KindBegun, "end_maintenance"), at(14, saga.KindDone, "end_maintenance"), at(90, saga.KindCompleted, "")}, 4 * time.Second},
		"it was undone before the exchange": {[]saga.Record{
			at(10, saga.KindBegun, "begin_maintenance"), at(11, saga.KindRollingBack, ""), at(12, saga.KindUndoing, "begin_maintenance"),
			at(15, saga.KindUndone, "begin_maintenance")}, 5 * time.Second},
		"the last step failed": {[]saga.Record{
			at(10, saga.KindBegun, "begin_maintenance"), at(12, saga.KindBegun, "end_maintenance"), at(13, saga.KindUndoing, "end_maintenance"),
			at(20, saga.KindUndone, "end_maintenance"), at(30, saga.KindUndone, "begin_maintenance")}, 20 * time.Second},
		"it was taken back later": {[]saga.Record{
			at(10, saga.KindBegun, "begin_maintenance"), at(14, saga.KindDone, "end_maintenance"), at(15, saga.KindCommitted, ""),
			at(100, saga.KindUndoing, "end_maintenance"), at(101, saga.KindUndone, "end_maintenance"), at(103, saga.KindUndone, "begin_maintenance")}, 7 * time.Second},
		"the end of maintenance could not be noted": {[]saga.Record{
			at(10, saga.KindBegun, "begin_maintenance"), at(11, saga.KindRollingBack, ""), at(17, saga.KindRolledBack, "")}, 7 * time.Second},
		"a record is there twice": {[]saga.Record{
			at(10, saga.KindBegun, "begin_maintenance"), at(11, saga.KindBegun, "begin_maintenance"),
			at(14, saga.KindDone, "end_maintenance"), at(16, saga.KindDone, "end_maintenance")}, 4 * time.Second},
	} {
		if got := downtime(c.records); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestResultAfterARestart: wherever the master dies, the result of the task tells of the safety backup that there is,
// and how long the site was down.
func TestResultAfterARestart(t *testing.T) {
	r := newRig(t)
	play := func(faults ...sagatest.Fault) (*game, *Outcome) {
		g := r.newGame(quirks{}, faults...)
		g.ticking = true
		out, err := g.restore(g.first(), 0)
		if err != nil && len(faults) == 0 {
			t.Fatal(err)
		}
		if out == nil {
			out = &Outcome{}
		}
		return g, out
	}
	clean, want := play()
	if want.Downtime == 0 || want.SafetyBackup == "" {
		t.Fatalf("without a fault: %+v", want)
	}
	resumed := 0
	for _, v := range clean.faults.Visits() {
		g, out := play(sagatest.Fault{Life: v.Life, Place: v.Place, Mode: sagatest.Crash})
		kept := slices.Contains(g.safety, g.first())
		if kept != (out.SafetyBackup != "") || kept && out.Downtime == 0 {
			t.Errorf("died at %s: a safety backup is there: %v; the result is %+v\n%s", v.Place, kept, out, g.log)
		}
		if kept {
			resumed++
		}
	}
	if resumed < 10 {
		t.Errorf("only %d restores were gone on with after their safety backup", resumed)
	}
}

// TestUndoDowntimeAfterARestart: wherever the master dies while a restore is taken back, the undo's result tells of the
// whole time that visitors were kept out, not of what the last process saw.
func TestUndoDowntimeAfterARestart(t *testing.T) {
	r := newRig(t)
	play := func(faults ...sagatest.Fault) (*game, time.Duration) {
		g := r.newGame(quirks{}, faults...)
		g.ticking = true
		_, err := g.restore(g.first(), grace)
		must(t, err)
		out, err := g.undo(g.second(), g.first())
		must(t, err)
		return g, out.Downtime
	}
	clean, want := play()
	begin := slices.IndexFunc(clean.faults.Visits(), func(v sagatest.Visit) bool { return v.Place == "web1 begin maintenance 0/1#2" })
	restored, err := journal{records: journals{clean}, task: clean.first()}.Records(t.Context())
	must(t, err)
	if rollback := downtime(afterCommit(restored)); want <= rollback || rollback == 0 || begin < 0 {
		t.Fatalf("without a fault: down for %s, %s of it while steps were undone; begun at place %d", want, rollback, begin)
	}
	for _, v := range clean.faults.Visits()[begin:] {
		if g, got := play(sagatest.Fault{Life: v.Life, Place: v.Place, Mode: sagatest.Crash}); got < want {
			t.Errorf("died at %s: down for %s in place of %s\n%s", v.Place, got, want, g.log)
		}
	}
}
