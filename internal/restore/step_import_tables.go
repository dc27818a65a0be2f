package restore

import (
	"context"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// importTables fills the new database with the chosen tables alone, as its new
// user, and compares them with what the manifest says. Its undo is that of
// createDatabase.
type importTables struct{ *run }

func (importTables) Name() string { return "import_tables" }

func (s importTables) Prepare(ctx context.Context) (saga.Memo, error) {
	return importDump(s).Prepare(ctx)
}

// Do begins with an empty database, whatever an earlier try has left in it.
func (s importTables) Do(ctx context.Context, m saga.Memo) error {
	known, err := remember[createMemo](m)
	if err != nil {
		return err
	}
	return s.withTarball(ctx, func(t *backup.Tarball) error {
		tables, err := t.SelectTables(ctx, s.basis.Backup, s.basis.Tables)
		if err != nil {
			return err
		}
		var want []model.Table
		for _, f := range t.Facts().Tables {
			if slices.Contains(s.basis.Tables, f.Name) {
				want = append(want, f)
			}
		}
		frames := func() Frames { return t.TableFrames(ctx, tables) }
		if err := importDump(s).loadPatiently(ctx, importingTables, s.newDatabase(known), frames, want); err != nil {
			return err
		}
		return s.db(ctx, func(db DB) error { return s.related(ctx, db, s.basis.NewDatabase) })
	})
}

// related refuses tables that foreign keys bind to others: these follow a table that is renamed into another database,
// so the two would come apart.
func (r *run) related(ctx context.Context, db DB, database string) error {
	tables, err := db.InspectTables(ctx, database, r.basis.Tables)
	if err != nil {
		return err
	}
	var missing []string
	for _, t := range tables {
		for _, other := range t.Related {
			if !slices.Contains(r.basis.Tables, other) && !slices.Contains(missing, other) {
				missing = append(missing, other)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return errs.New(errs.Precondition, "restore these too: --table "+strings.Join(missing, " --table ")+"; or the whole database with --db-only",
		"foreign keys bind the chosen tables to %s", strings.Join(missing, ", "))
}

// Undo has nothing to do: createDatabase's drops the database with all that is in it.
func (importTables) Undo(context.Context, saga.Memo) error { return nil }
