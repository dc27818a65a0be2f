package restore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
)

// replaceable tells what of the chosen tables, and then of the chosen views, is in the live database. It refuses what could not
// be replaced, or not be brought back.
func (r *run) replaceable(ctx context.Context, db DB) ([]model.TableDetail, error) {
	names := slices.Concat(r.basis.Tables, r.basis.ChosenViews)
	live, err := db.InspectTables(ctx, r.basis.Site.Database.Name, names)
	if err != nil {
		return nil, err
	}
	for i := range live {
		check := checkLiveTable
		if i >= len(r.basis.Tables) {
			check = checkLiveView
		}
		if err := check(&live[i]); err != nil {
			return nil, err
		}
	}
	return live, nil
}

func checkLiveTable(t *model.TableDetail) error {
	if t.Kind != "view" {
		return nil
	}
	return errs.New(errs.Precondition, "restore the whole database with --db-only, or drop the view first: DROP VIEW `"+t.Name+"`",
		"%s is a table in the backup, and a view in the live database", t.Name)
}

// checkLiveView: a view that the server cannot use could not be made again by an undo.
func checkLiveView(t *model.TableDetail) error {
	switch {
	case t.Kind == "":
		return nil
	case t.Kind != "view":
		return errs.New(errs.Precondition, "restore the whole database with --db-only, or rename what is there first",
			"%s is a view in the backup, and a %s in the live database", t.Name, t.Kind)
	case t.Broken != "":
		return errs.New(errs.Precondition, "leave it out if only what it uses is gone, or drop it first: DROP VIEW `"+t.Name+"`",
			"the live view %s cannot be used, and so could not be brought back: %s", t.Name, t.Broken)
	case t.View == nil:
		return errs.New(errs.Precondition, "upgrade sitekeep-agent on the database server", "the agent is too old to restore the view %s", t.Name)
	}
	return nil
}

// dumpedViews are the chosen views as the backup has them.
func (r *run) dumpedViews(ctx context.Context) (map[string]*dbdump.ViewDefinition, error) {
	if len(r.basis.ChosenViews) == 0 {
		return nil, nil
	}
	var out map[string]*dbdump.ViewDefinition
	err := r.withTarball(ctx, func(t *backup.Tarball) error {
		tables, err := t.SelectTables(ctx, r.basis.Backup, r.basis.ChosenViews)
		if err != nil {
			return err
		}
		sql, err := t.OpenTables(ctx, tables)
		if err != nil {
			return err
		}
		defer sql.Close()
		out, err = dbdump.ReadViews(sql)
		return err
	})
	for _, name := range r.basis.ChosenViews {
		if err == nil && out[name] == nil {
			err = errs.New(errs.Corrupt, "see what is there with: sitekeep cat "+r.basis.Backup+" --table "+name, "backup %s has no definition of the view %s", r.basis.Backup, name)
		}
	}
	return out, err
}

// swapViews says of each chosen view what it is and what it is to be.
func (r *run) swapViews(ctx context.Context, live []model.TableDetail) ([]model.TableSwap, error) {
	dumped, err := r.dumpedViews(ctx)
	if err != nil {
		return nil, err
	}
	var out []model.TableSwap
	for _, t := range live {
		next := model.ViewDefinition(*dumped[t.Name])
		out = append(out, model.TableSwap{Name: t.Name, Existed: t.View != nil, OldView: t.View, NewView: &next})
	}
	return out, nil
}

// manualViews are the statements that bring the old views back by hand.
func manualViews(database string, swaps []model.TableSwap) []string {
	var lines []string
	for _, t := range swaps {
		switch {
		case t.NewView == nil:
			continue
		case t.OldView == nil:
			lines = append(lines, fmt.Sprintf("DROP VIEW IF EXISTS `%s`;", t.Name))
		default:
			old := dbdump.ViewDefinition(*t.OldView)
			lines = append(lines, strings.ToValidUTF8(old.String(), "\uFFFD")+";")
		}
	}
	if len(lines) > 0 {
		lines = slices.Insert(lines, 0, "# the views, in the client after: USE `"+database+"`;")
	}
	return lines
}
