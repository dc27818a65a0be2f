package restore

import (
	"context"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// exchangeTables puts the imported tables in place of the live ones, which are
// kept in a database of their own. All of them move by one statement. Then it
// replaces the definitions of views. The memo has what the kept database cannot
// hold: triggers, and the definitions of views, old and new.
type exchangeTables struct{ *run }

func (exchangeTables) Name() string { return "exchange_tables" }

// keptDatabase is where the old tables go.
func (b *Basis) keptDatabase() string { return b.NewDatabase + "_old" }

func (s exchangeTables) Prepare(ctx context.Context) (saga.Memo, error) {
	var swaps []model.TableSwap
	err := s.db(ctx, func(db DB) error {
		live, err := s.replaceable(ctx, db)
		if err != nil {
			return err
		}
		restored, err := db.InspectTables(ctx, s.basis.NewDatabase, s.basis.Tables)
		if err != nil {
			return err
		}
		for i, t := range restored {
			if t.Kind == "" {
				return errs.New(errs.Failed, "run the restore again", "the imported table %s is gone", t.Name)
			}
			swaps = append(swaps, model.TableSwap{Name: t.Name, Existed: live[i].Kind != "", Old: live[i].Triggers, New: t.Triggers})
		}
		views, err := s.swapViews(ctx, live[len(restored):])
		swaps = append(swaps, views...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return memo(swaps)
}

// Do holds the maintenance lease open first: from here on only this saga ends it.
func (s exchangeTables) Do(ctx context.Context, m saga.Memo) error {
	err := s.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error { return s.holdLease(ctx, web) })
	if err != nil {
		return err
	}
	return s.exchange(ctx, m, false)
}

// exchange may be repeated, in either direction: the agent looks where each table lies.
func (s exchangeTables) exchange(ctx context.Context, m saga.Memo, back bool) error {
	swaps, err := remember[[]model.TableSwap](m)
	if err != nil {
		return err
	}
	return s.db(ctx, func(db DB) error {
		return db.ExchangeTables(ctx, model.TableExchange{
			Live: s.basis.Site.Database.Name, Scratch: s.basis.NewDatabase, Kept: s.basis.keptDatabase(),
			Tables: swaps, Back: back, User: s.basis.Site.Database.User,
		})
	})
}

// Undo waits for every later step on all servers: visitors must be kept out until the tables are back.
func (s exchangeTables) Undo(ctx context.Context, m saga.Memo) error {
	if err := s.exchange(ctx, m, true); err != nil {
		return err
	}
	if err := s.db(ctx, func(db DB) error { return s.dropKept(ctx, db) }); err != nil {
		return err
	}
	return s.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error { return s.letGo(ctx, web) })
}

// dropKept drops the database for the old tables once it holds none.
func (s exchangeTables) dropKept(ctx context.Context, db DB) error {
	tables, err := db.InspectTables(ctx, s.basis.keptDatabase(), s.basis.Tables)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if t.Kind != "" {
			return errs.New(errs.Failed, "", "the old table %s is still in %s", t.Name, s.basis.keptDatabase())
		}
	}
	return s.drop(ctx, db, s.basis.keptDatabase(), "")
}

// Finish drops the old tables, and the database and user that the new ones were imported with.
func (s exchangeTables) Finish(ctx context.Context, _ saga.Memo) error {
	return s.db(ctx, func(db DB) error {
		if err := s.drop(ctx, db, s.basis.keptDatabase(), ""); err != nil {
			return err
		}
		return s.drop(ctx, db, s.basis.NewDatabase, s.basis.NewDatabase)
	})
}

// Manual names what brings the old tables back by hand.
func (s exchangeTables) Manual(m saga.Memo) []string {
	swaps, err := remember[[]model.TableSwap](m)
	if err != nil {
		return nil
	}
	lines := []string{"# on " + s.basis.Site.DBServer + ", as the database's administrator, for each table that is in " + s.basis.keptDatabase() + ":"}
	for _, t := range swaps {
		if t.Existed && t.NewView == nil {
			lines = append(lines, fmt.Sprintf("mariadb -e 'RENAME TABLE `%s`.`%s` TO `%s`.`%s`, `%s`.`%s` TO `%s`.`%s`'",
				s.basis.Site.Database.Name, t.Name, s.basis.NewDatabase, t.Name, s.basis.keptDatabase(), t.Name, s.basis.Site.Database.Name, t.Name))
		}
	}
	return append(lines, manualViews(s.basis.Site.Database.Name, swaps)...)
}
