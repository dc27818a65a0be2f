package agent

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
)

// TestKindsOfDatabaseErrors are what the master decides by: a dump whose tables were altered is taken again.
func TestKindsOfDatabaseErrors(t *testing.T) {
	rows := map[dbdump.Kind]errs.Kind{
		dbdump.KindOther: errs.Failed, dbdump.KindChanged: errs.Changed, dbdump.KindUnreachable: errs.Unreachable,
		dbdump.KindDiskFull: errs.NoSpace, dbdump.KindBroken: errs.Failed, dbdump.KindCancelled: errs.Cancelled,
	}
	for from, want := range rows {
		err := databaseError(fmt.Errorf("site: %w", &dbdump.Error{Op: "dump", Subject: "posts", Kind: from, Hint: "do this", Err: errors.New("no")}))
		if !errs.Is(err, want) || errs.HintOf(err) != "do this" {
			t.Errorf("%v became %v, hint %q", from, errs.KindOf(err), errs.HintOf(err))
		}
	}
}
