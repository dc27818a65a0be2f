package restore

import (
	"context"
	"strings"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// compareData dumps the scratch database of a drill again, keeps nothing of it,
// and compares the sums of every table's rows with those of the backup. Import
// has compared tables and numbers of rows by then. It leaves nothing to be undone.
type compareData struct{ *run }

func (compareData) Name() string { return "compare_data" }

func (compareData) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s compareData) Do(ctx context.Context, _ saga.Memo) error {
	return s.withTarball(ctx, func(t *backup.Tarball) error {
		return s.db(ctx, func(db DB) error {
			request := model.DumpRequest{Database: s.basis.NewDatabase, Format: s.basis.Format, Begun: func() {}}
			found, _, err := db.Dump(ctx, request, nil, func(context.Context, archive.Item) error { return nil })
			if err != nil {
				return err
			}
			if err := compareTables(t.Facts().Tables, found.Tables); err != nil {
				return err
			}
			compared, err := compareSums(t.Facts().Tables, found.Tables)
			if err == nil {
				s.log.Log(model.LevelInfo, "the rows of %d tables have the sums that were recorded", compared)
			}
			return err
		})
	})
}

// compareSums compares the sums of the rows of those tables that have one on
// both sides: backups of older versions have none, nor do views.
func compareSums(want, got []model.Table) (compared int, err error) {
	sums := map[string]string{}
	for _, t := range got {
		sums[t.Name] = t.Checksum
	}
	var other []string
	for _, t := range want {
		sum := sums[t.Name]
		if t.Checksum == "" || sum == "" {
			continue
		}
		if compared++; sum != t.Checksum {
			other = append(other, t.Name)
		}
	}
	if len(other) > 0 {
		return compared, errs.New(errs.Corrupt, "compare the versions of the database server then and now; check the backup with: sitekeep check --read-data BACKUP",
			"the rows of these tables are not what was dumped: %s", strings.Join(other, ", "))
	}
	return compared, nil
}

// Undo has nothing to do.
func (compareData) Undo(context.Context, saga.Memo) error { return nil }
