package restore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// previewPaths is how many paths a preview names of each sort of difference.
const previewPaths = 20

// Room is what is needed and what is free in one place.
type Room struct {
	Server, Place            string
	NeededBytes, FreeBytes   uint64 // FreeBytes 0: it is not known
	NeededInodes, FreeInodes uint64 // FreeInodes 0: they are not counted
}

// FileDifferences is what becomes of the files on one web server.
type FileDifferences struct {
	Server string
	model.TreeDifferences
}

// TableChange says what becomes of a table.
type TableChange string

// What may.
const (
	TableAdded   TableChange = "added"
	TableChanged TableChange = "changed" // another number of rows
	TableRemoved TableChange = "removed"
)

// TableDifference is a table that is not the same.
type TableDifference struct {
	Name           string
	Change         TableChange
	Rows, LiveRows int64 // in the backup, in the live database
}

// compare fills in how the live site differs from the backup, and the room. What of a broken site cannot be looked at
// is a warning: such a site is what restores are for.
func (r *run) compare(ctx context.Context, out *Preview) error {
	return r.withTarball(ctx, func(t *backup.Tarball) error {
		if r.basis.WithFiles() || r.basis.WithPaths() {
			if err := r.compareFiles(ctx, t, out); err != nil {
				return err
			}
		}
		if !r.basis.WithDatabase() && !r.basis.WithTables() {
			return nil
		}
		return r.db(ctx, func(db DB) error { return r.compareTables(ctx, db, t.Facts().Tables, out) })
	})
}

func (r *run) compareFiles(ctx context.Context, t *backup.Tarball, out *Preview) error {
	var (
		found perServer[model.TreeDifferences]
		rooms perServer[Room]
	)
	err := r.eachWeb(ctx, func(ctx context.Context, server string, web Web) error {
		state, err := web.InspectTree(ctx, r.ref(), r.task)
		if err != nil {
			return err
		}
		rooms.set(server, Room{
			Server: server, Place: "beside " + r.basis.Site.Root, NeededBytes: withRoom(r.basis.TreeBytes), FreeBytes: state.FreeBytes,
			NeededInodes: r.basis.Entries, FreeInodes: state.FreeInodes,
		})
		if r.basis.fresh(server) {
			return nil
		}
		differences, err := web.CompareTree(ctx, r.ref(), r.basis.Paths, previewPaths, t.BaseFrames(0))
		if err == nil {
			found.set(server, differences)
		}
		return r.tolerate(server, "the live files cannot be compared", err)
	})
	if err != nil {
		return err
	}
	for _, server := range rooms.servers() {
		out.Room = append(out.Room, rooms.m[server])
	}
	for _, server := range found.servers() {
		out.Files = append(out.Files, FileDifferences{server, found.m[server]})
		for _, w := range found.m[server].Warnings {
			r.log.Warn("%s: %s", server, w)
		}
	}
	return nil
}

// tolerate makes a warning of an error that lies in the live site.
func (r *run) tolerate(server, what string, err error) error {
	if err == nil || errs.Temporary(err) || errs.Is(err, errs.Cancelled) {
		return err
	}
	r.log.Warn("%s: %s: %v", server, what, err)
	return nil
}

func (r *run) compareTables(ctx context.Context, db DB, want []model.Table, out *Preview) error {
	server := r.basis.Site.DBServer
	state, err := db.InspectDatabase(ctx, r.basis.NewDatabase, nil)
	if err != nil {
		return err
	}
	out.Room = append(out.Room, Room{Server: server, Place: "in the database server's data directory",
		NeededBytes: withRoom(r.basis.DumpBytes), FreeBytes: state.FreeBytes})
	var live model.DatabaseState
	if r.basis.New || r.basis.Migrates() {
		return nil
	}
	if r.basis.Site.Database.Name != "" {
		live, err = db.CountRows(ctx, r.basis.Site.Database.Name)
		if err := r.tolerate(server, fmt.Sprintf("the live database %s cannot be compared", r.basis.Site.Database.Name), err); err != nil {
			return err
		}
		if err != nil {
			return nil
		}
	}
	out.Tables = tableDifferences(r.chosen(want), r.chosen(live.Tables))
	return nil
}

// chosen leaves out the tables that the restore does not touch.
func (r *run) chosen(tables []model.Table) []model.Table {
	if !r.basis.WithTables() {
		return tables
	}
	return slices.DeleteFunc(slices.Clone(tables), func(t model.Table) bool {
		return !slices.Contains(r.basis.Tables, t.Name) && !slices.Contains(r.basis.ChosenViews, t.Name)
	})
}

// tableDifferences are those of a live database from what a backup holds. Rows of views are nobody's.
func tableDifferences(want, live []model.Table) []TableDifference {
	var out []TableDifference
	now := map[string]model.Table{}
	for _, t := range live {
		now[t.Name] = t
	}
	for _, t := range want {
		have, there := now[t.Name]
		delete(now, t.Name)
		switch {
		case !there:
			out = append(out, TableDifference{t.Name, TableAdded, int64(t.Rows), 0})
		case have.View != t.View || !t.View && have.Rows != t.Rows:
			out = append(out, TableDifference{t.Name, TableChanged, int64(t.Rows), int64(have.Rows)})
		}
	}
	for name, t := range now {
		out = append(out, TableDifference{name, TableRemoved, 0, int64(t.Rows)})
	}
	slices.SortFunc(out, func(a, b TableDifference) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
