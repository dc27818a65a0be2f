package restore

import (
	"context"
	"strings"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// roomFactor is how much more than the backup's own size must be free: blocks are larger than small files.
const roomFactor = 1.1

func withRoom(bytes uint64) uint64 { return uint64(float64(bytes) * roomFactor) }

// checkEverything refuses what would fail later, while nothing is touched.
// Its memo is the plan's basis.
type checkEverything struct{ *run }

func (checkEverything) Name() string { return "check_everything" }

func (s checkEverything) Prepare(context.Context) (saga.Memo, error) { return memo(s.basis) }

func (s checkEverything) Do(ctx context.Context, _ saga.Memo) error {
	if err := s.eachWeb(ctx, s.web); err != nil {
		return err
	}
	if err := s.oldPlace(ctx); err != nil {
		return err
	}
	if !s.basis.WithDatabase() && !s.basis.WithTables() {
		return nil
	}
	return s.db(ctx, func(db DB) error { return s.database(ctx, db) })
}

func (s checkEverything) web(ctx context.Context, server string, web Web) error {
	info, err := web.Info(ctx)
	if err != nil {
		return err
	}
	for _, p := range info.Problems {
		s.log.Warn("%s: %s", server, p)
	}
	state, err := web.InspectTree(ctx, s.ref(), s.task)
	if err != nil {
		return err
	}
	if s.basis.fresh(server) {
		if err := s.vacant(ctx, server, web, state); err != nil {
			return err
		}
	}
	if s.basis.WithFiles() || s.basis.WithPaths() {
		if err := s.room(server, state); err != nil {
			return err
		}
	}
	if !s.basis.WithPaths() {
		return nil
	}
	_, err = web.InspectPaths(ctx, s.ref(), s.task, s.basis.Paths)
	return err
}

func (s checkEverything) room(server string, state model.TreeState) error {
	if state.LiveInode == 0 && !s.basis.fresh(server) {
		s.log.Warn("%s: %s is not there; it will be made anew", server, s.basis.Site.Root)
	}
	if need := withRoom(s.basis.TreeBytes); state.FreeBytes < need {
		return noRoom(need, state.FreeBytes, "beside "+s.basis.Site.Root)
	}
	if state.FreeInodes > 0 && state.FreeInodes < s.basis.Entries {
		return errs.New(errs.NoSpace, "remove files there", "beside %s are %d inodes free; %d are needed",
			s.basis.Site.Root, state.FreeInodes, s.basis.Entries)
	}
	return nil
}

func (s checkEverything) database(ctx context.Context, db DB) error {
	info, err := db.Info(ctx)
	if err != nil {
		return err
	}
	if info.DatabaseServer == "" {
		return errs.New(errs.Unreachable, "start it; look at: sitekeep server check "+s.basis.Site.DBServer,
			"the database server cannot be used: %s", strings.Join(info.Problems, "; "))
	}
	state, err := db.InspectDatabase(ctx, s.basis.NewDatabase, s.basis.Collations)
	if err != nil {
		return err
	}
	if err := s.judge(state); err != nil || !s.basis.WithTables() {
		return err
	}
	return s.tables(ctx, db)
}

// tables looks at the live database that some tables are to be restored in.
func (s checkEverything) tables(ctx context.Context, db DB) error {
	live := s.basis.Site.Database.Name
	state, err := db.InspectDatabase(ctx, live, nil)
	if err != nil {
		return err
	}
	if live == "" || !state.Exists {
		return errs.New(errs.Precondition, "restore the whole database: --db-only", "the live database %q is not there", live)
	}
	for _, t := range s.basis.Bare {
		s.log.Warn("the table %s stays as it is: the backup has left its rows out on purpose", t)
	}
	if _, err := s.replaceable(ctx, db); err != nil {
		return err
	}
	if _, err := s.dumpedViews(ctx); err != nil {
		return err
	}
	return s.related(ctx, db, live)
}

func (s checkEverything) judge(state model.DatabaseState) error {
	switch need := withRoom(s.basis.DumpBytes); {
	case len(state.UnknownCollations) > 0:
		return errs.New(errs.Precondition, "restore to a database server of the version that the backup comes from, or a newer one",
			"%s does not know the collations %s", state.Server, strings.Join(state.UnknownCollations, ", "))
	case state.FreeBytes > 0 && state.FreeBytes < need:
		return noRoom(need, state.FreeBytes, "in the database server's data directory")
	}
	return nil
}

func noRoom(need, free uint64, where string) error {
	return errs.New(errs.NoSpace, "make room there and restore again", "%s are needed %s; %s are free", bytesize.Text(int64(need)), where, bytesize.Text(int64(free)))
}

func (checkEverything) Undo(context.Context, saga.Memo) error { return nil }
