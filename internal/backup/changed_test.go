package backup_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

var errAltered = errs.New(errs.Changed, "back up again when nothing alters tables", "table t07: its definition has changed")

// alters breaks the dump, so often, as tables do that are altered meanwhile: at the given call, and the n-th time in each
// attempt.
func (r *rig) alters(times int, at string, n int) {
	seen := 0
	r.agents.Broken = func(call string) error {
		if call == "dump" {
			seen = 0
		}
		if call == at {
			seen++
		}
		if call != at || seen != n || times == 0 {
			return nil
		}
		times--
		return errAltered
	}
}

// TestADumpOfAlteredTablesIsTakenAgain as a whole, while the files go on; what came already is not sent again.
func TestADumpOfAlteredTablesIsTakenAgain(t *testing.T) {
	for _, c := range []struct {
		at string
		n  int
	}{{"dump item", 1}, {"dump item", 9}, {"dump summary", 1}} {
		r := newRig(t)
		r.bigTables()
		whole := r.made()
		r.must(r.book.DeleteBackup(r.Context(), whole.ID))
		want := r.framesOf(whole)
		before := r.count("tree")
		r.alters(1, c.at, c.n)
		b := r.made()
		if r.count("dump") != 3 || r.count("tree") != before+1 {
			t.Errorf("%v: %d dumps, %d trees", c, r.count("dump"), r.count("tree"))
		}
		if got := r.framesOf(b); !slices.Equal(got, want) || b.Rows != whole.Rows || b.NewBytes > whole.NewBytes+64 || len(b.Warnings) != 0 {
			t.Errorf("%v: without a change %+v, with one %+v", c, whole, b)
		}
		if problem := r.check(b.ID); problem != "" {
			t.Error(problem)
		}
		if text := strings.Join(r.log.text, "\n"); !strings.Contains(text, "the database changed while db1 read it, reading it again as a whole") {
			t.Errorf("log: %s", text)
		}
	}
}

// TestTablesThatAreAlteredAgain fail the backup with what to do, and leave nothing.
func TestTablesThatAreAlteredAgain(t *testing.T) {
	r := newRig(t)
	r.bigTables()
	r.patient()
	r.alters(2, "dump item", 9)
	_, err := r.make()
	if !errs.Is(err, errs.Changed) || errs.Temporary(err) || errs.HintOf(err) != "back up again when nothing alters tables" {
		t.Errorf("error = %v, hint %q", err, errs.HintOf(err))
	}
	if n := r.count("dump"); n != 2 {
		t.Errorf("%d dumps", n)
	}
	r.nothing()
}

// TestACutDoesNotUseUpTheSecondReading, nor the other way round.
func TestACutDoesNotUseUpTheSecondReading(t *testing.T) {
	r := newRig(t)
	r.bigTables()
	r.patient()
	causes := []error{errCut, errAltered, errCut}
	r.agents.Broken = func(call string) error {
		if call != "dump summary" || len(causes) == 0 {
			return nil
		}
		err := causes[0]
		causes = causes[1:]
		return err
	}
	if b := r.made(); b.Rows == 0 || r.count("dump") != 4 {
		t.Errorf("%d dumps, backup %+v", r.count("dump"), b)
	}
}

// TestASafetyBackupOfAlteredTables reads them again, and goes on without them if that does not help.
func TestASafetyBackupOfAlteredTables(t *testing.T) {
	for times, dumped := range map[int]bool{1: true, 2: false} {
		r := newRig(t)
		r.bigTables()
		r.alters(times, "dump item", 5)
		b := r.made(salvage)
		if (b.Rows > 0) != dumped || r.log.warned("the database is left out") == dumped {
			t.Errorf("altered %d times: %+v", times, b)
		}
	}
}
