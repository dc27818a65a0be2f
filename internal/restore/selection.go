package restore

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// choose finds out what names and globs mean in the backup. One that matches nothing is errs.NotFound.
func (r *Restorer) choose(ctx context.Context, b *Basis, q Request, t *backup.Tarball) error {
	if len(q.Paths) == 0 && len(q.Tables) == 0 {
		return errs.New(errs.Usage, "name paths or tables", "nothing is chosen")
	}
	b.TreeBytes, b.Entries, b.DumpBytes = 0, 0, 0
	if len(q.Tables) > 0 {
		if err := b.chooseTables(ctx, q, t); err != nil {
			return err
		}
	}
	if len(q.Paths) == 0 {
		return nil
	}
	s, err := t.SelectPaths(ctx, b.Backup, textPaths(q.Paths))
	if err != nil {
		return err
	}
	b.Paths, b.TreeBytes, b.Entries = rawPaths(s.Paths), s.Bytes, s.Entries
	if b.Carry, err = r.carriesSettings(ctx, b); err != nil {
		return err
	}
	return b.checkBlanked(t.Facts().Blanked)
}

// checkBlanked refuses to bring back a file without its password where nothing would write one into it.
func (b *Basis) checkBlanked(blanked []string) error {
	covered := backup.Covers(b.paths())
	for _, name := range blanked {
		if !b.Carry && covered("./"+name) {
			return errs.New(errs.Precondition, "restore it together with the site's settings file, or the whole site",
				"in backup %s the password in %s is blanked", b.Backup, name)
		}
	}
	return nil
}

// CheckSelection refuses names and globs that match nothing in a backup, errs.NotFound, and what it holds no rows of,
// errs.Precondition. None at all is no selection.
func (r *Restorer) CheckSelection(ctx context.Context, b *model.Backup, paths [][]byte, tables []string) error {
	if len(paths)+len(tables) == 0 {
		return nil
	}
	t, err := r.deps.Backups.Open(ctx, b)
	if err != nil {
		return err
	}
	defer t.Close()
	if len(paths) > 0 {
		if _, err := t.SelectPaths(ctx, b.ID, textPaths(paths)); err != nil {
			return err
		}
	}
	if len(tables) > 0 {
		found, err := t.SelectTables(ctx, b.ID, tables)
		if err != nil {
			return err
		}
		return checkRows(b.ID, b.Site, found, rowless(t.Facts().Tables), tables)
	}
	return nil
}

// checkRows refuses a table that is named and whose rows the backup has left out: an empty one must not come in place of a
// full one. Those that only a glob matches are left out, unless nothing is left.
func checkRows(id, site string, found []archive.Table, bare map[string]bool, asked []string) error {
	rows := false
	for _, table := range found {
		if bare[table.Name] && slices.Contains(asked, table.Name) {
			return errs.New(errs.Precondition, "leave it out, or empty the live table by hand; to have its rows in later backups: sitekeep site set "+site+" --no-structure-only",
				"backup %s holds no rows of %s: they were left out on purpose, and an empty table would come in its place", id, table.Name)
		}
		rows = rows || !bare[table.Name]
	}
	if !rows {
		return errs.New(errs.Precondition, "restore the whole database with --db-only", "of all that %s match, backup %s holds no rows", strings.Join(asked, ", "), id)
	}
	return nil
}

func textPaths(raw [][]byte) []string {
	out := make([]string, len(raw))
	for i, p := range raw {
		out[i] = string(p)
	}
	return out
}

// chooseTables leaves out tables that a glob matches and whose rows the backup has left out; see checkRows.
func (b *Basis) chooseTables(ctx context.Context, q Request, t *backup.Tarball) error {
	switch {
	case b.Site.DBServer == "":
		return errs.New(errs.Precondition, "restore files alone", "site %s has no database server", b.Site.Name)
	case !b.HasDump:
		return errs.New(errs.NotFound, "restore another backup", "backup %s holds no database", b.Backup)
	}
	tables, err := t.SelectTables(ctx, b.Backup, q.Tables)
	if err != nil {
		return err
	}
	bare := rowless(t.Facts().Tables)
	if err := checkRows(b.Backup, b.Site.Name, tables, bare, q.Tables); err != nil {
		return err
	}
	for _, table := range tables {
		switch {
		case bare[table.Name]:
			b.Bare = append(b.Bare, table.Name)
			continue
		case table.Kind == archive.SectionView:
			b.ChosenViews = append(b.ChosenViews, table.Name)
		default:
			b.Tables = append(b.Tables, table.Name)
		}
		b.DumpBytes += uint64(table.Bytes)
	}
	return nil
}

// rowless are the tables whose rows a backup has left out on purpose.
func rowless(tables []model.Table) map[string]bool {
	out := map[string]bool{}
	for _, t := range tables {
		out[t.Name] = t.StructureOnly
	}
	return out
}

// carriesSettings reports whether the file that holds the site's settings is among the paths: its credentials stay the
// live ones then.
func (r *Restorer) carriesSettings(ctx context.Context, b *Basis) (bool, error) {
	if b.Site.DBServer == "" {
		return false, nil
	}
	covered := backup.Covers(b.paths())
	var found []error
	for _, server := range b.Site.WebServers {
		web, err := r.deps.Agents.Web(ctx, server)
		if err != nil {
			return false, err
		}
		live, err := web.ReadSettings(ctx, b.Site.Ref(), "")
		if err == nil && live != nil && covered("./"+path.Clean(live.File)) {
			return true, nil
		}
		if errs.Temporary(err) {
			found = append(found, err)
		}
	}
	return false, errors.Join(found...)
}

// describeSelection says what comes out of the backup.
func (b *Basis) describeSelection() string {
	var parts []string
	if b.WithPaths() {
		parts = append(parts, b.describePaths())
	}
	if b.WithTables() {
		parts = append(parts, fmt.Sprintf("%s (%s of SQL)", b.describeTables(), bytesize.Text(int64(b.DumpBytes))))
	}
	return strings.Join(parts, ", ") + "; everything else stays"
}

// describeTables names tables and views.
func (b *Basis) describeTables() string {
	var parts []string
	if len(b.Tables) > 0 {
		parts = append(parts, "the tables "+strings.Join(b.Tables, ", "))
	}
	if len(b.ChosenViews) > 0 {
		parts = append(parts, "the views "+strings.Join(b.ChosenViews, ", "))
	}
	return strings.Join(parts, " and ")
}

func (b *Basis) describePaths() string {
	return fmt.Sprintf("%s (%d entries, %s)", b.describePathNames(), b.Entries, bytesize.Text(int64(b.TreeBytes)))
}

// describePathNames names a few.
func (b *Basis) describePathNames() string {
	const some = 10
	var names []string
	for i, p := range b.Paths {
		if i == some {
			names = append(names, fmt.Sprintf("and %d more", len(b.Paths)-some))
			break
		}
		names = append(names, strings.TrimPrefix(strings.ToValidUTF8(string(p), "\uFFFD"), "./"))
	}
	return strings.Join(names, ", ")
}
