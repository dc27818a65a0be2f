package restore

import (
	"context"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// importDump fills the new database, as its new user, and compares what is in
// it then with what the manifest says. Its undo is that of createDatabase.
type importDump struct{ *run }

func (importDump) Name() string { return "import_dump" }

func (s importDump) Prepare(ctx context.Context) (saga.Memo, error) {
	hosts, err := createDatabase(s).webHosts(ctx)
	if err != nil {
		return nil, err
	}
	return memo(createMemo{Name: s.basis.NewDatabase, User: s.basis.NewDatabase, Hosts: hosts})
}

// Do begins with an empty database, whatever an earlier try has left in it.
func (s importDump) Do(ctx context.Context, m saga.Memo) error {
	known, err := remember[createMemo](m)
	if err != nil {
		return err
	}
	return s.withTarball(ctx, func(t *backup.Tarball) error {
		to := s.newDatabase(known)
		if err := s.loadPatiently(ctx, importing, to, func() Frames { return t.DumpFrames(ctx) }, t.Facts().Tables); err != nil {
			return err
		}
		return s.db(ctx, func(db DB) error { return s.rename(ctx, db, to) })
	})
}

// loadPatiently is load, from the beginning again each time that the connection breaks.
func (s importDump) loadPatiently(ctx context.Context, what string, to model.NewDatabase, frames func() Frames, want []model.Table) error {
	return s.persist(ctx, what, s.basis.Site.DBServer, whole(func(ctx context.Context, counted func(Frames) Frames) error {
		return s.db(ctx, func(db DB) error { return s.load(ctx, db, to, s.meter.count(what, counted(frames())), want) })
	}))
}

// load fills an empty database and compares what is in it then with what should be.
func (s importDump) load(ctx context.Context, db DB, to model.NewDatabase, frames Frames, want []model.Table) error {
	if err := s.drop(ctx, db, to.Name, ""); err != nil {
		return err
	}
	if err := db.CreateDatabase(ctx, to); err != nil {
		return err
	}
	got, err := db.Import(ctx, to, s.basis.Format, frames)
	if err != nil {
		return err
	}
	for _, w := range got.Warnings {
		s.log.Warn("%s: %s", s.basis.Site.DBServer, w)
	}
	return compareTables(want, got.Tables)
}

// compareTables holds what is in the database against what the backup says.
// Views have no rows of their own.
func compareTables(want, got []model.Table) error {
	have := map[string]model.Table{}
	for _, t := range got {
		have[t.Name] = t
	}
	for _, w := range want {
		g, ok := have[w.Name]
		switch {
		case !ok:
			return incomplete("table %s is missing", w.Name)
		case !w.View && g.Rows != w.Rows:
			return incomplete("table %s has %d rows in place of %d", w.Name, g.Rows, w.Rows)
		}
	}
	return nil
}

func incomplete(format string, args ...any) error {
	return errs.New(errs.Corrupt, "check the backup with: sitekeep check --read-data BACKUP; the site was not touched",
		"after the import %s", fmt.Sprintf(format, args...))
}

// Undo has nothing to do: createDatabase's drops the database with all that is in it.
func (importDump) Undo(context.Context, saga.Memo) error { return nil }
