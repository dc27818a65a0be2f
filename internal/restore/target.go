package restore

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/kinds"
)

// Deployment asks that a backup, of whatever site, becomes another one.
type Deployment struct {
	// New is a site that is not recorded yet; nil: the one of Request.Site is
	// replaced. An empty kind and docroot are taken from the backup.
	New *model.Site `json:",omitempty"`
	// OldName is the name to be replaced; empty: that in the backup.
	OldName string `json:",omitempty"`
}

// planDeployment says what a deployment would do. It changes nothing.
func (r *Restorer) planDeployment(ctx context.Context, task string, q Request) (*Basis, error) {
	b, err := r.deps.Backups.Backup(ctx, q.Backup)
	if err != nil {
		return nil, err
	}
	facts, err := r.facts(ctx, &b)
	if err != nil {
		return nil, err
	}
	site, err := r.targetSite(ctx, q, facts)
	if err != nil {
		return nil, err
	}
	basis, err := r.basis(ctx, task, q, site, &b)
	if err != nil {
		return nil, err
	}
	basis.New = q.Deploy.New != nil
	basis.Move, basis.MoveTables = moveOf(facts, q.Deploy.OldName, site), keepsAddresses(site.Kind)
	return basis, basis.checkDeployment(facts)
}

func (r *Restorer) facts(ctx context.Context, b *model.Backup) (backup.Facts, error) {
	t, err := r.deps.Backups.Open(ctx, b)
	if err != nil {
		return backup.Facts{}, err
	}
	defer t.Close()
	return t.Facts(), nil
}

// targetSite is the site as it will be.
func (r *Restorer) targetSite(ctx context.Context, q Request, f backup.Facts) (*model.Site, error) {
	known, err := r.deps.Sites.Site(ctx, q.Site)
	switch {
	case q.Deploy.New == nil:
		return &known, err
	case err == nil:
		return nil, errs.New(errs.Exists, "put the backup in its place by naming it alone, or choose another name", "there is a site %s already", q.Site)
	case !errs.Is(err, errs.NotFound):
		return nil, err
	}
	site := *q.Deploy.New
	if site.Kind == "" {
		site.Kind = f.Kind
	}
	if site.Docroot == "" {
		site.Docroot = docrootFor(f, site.Root)
	}
	if site.CreatedAt.IsZero() {
		site.CreatedAt = r.deps.Now().UTC().Truncate(time.Second)
	}
	if site.Vhost == "" {
		site.Vhost = model.VhostManaged
	}
	return &site, nil
}

// docrootFor lies to the root as it did in the backup; the root itself where that is not known.
func docrootFor(f backup.Facts, root string) string {
	for _, up := range []int{0, 1, 2, 3, 4} {
		above, new := f.Root, root
		for range up {
			above, new = path.Dir(above), path.Dir(new)
		}
		if rel, within := strings.CutPrefix(f.Docroot+"/", above+"/"); f.Docroot != "" && above != "/" && within {
			return path.Join(new, rel)
		}
	}
	return root
}

// moveOf is what has to be replaced for a backup to be of another site. Of
// aliases, the name with "www." in front is known without asking.
func moveOf(f backup.Facts, oldName string, site *model.Site) model.Move {
	var m model.Move
	if oldName == "" {
		oldName = strings.ToLower(f.Site)
	}
	if model.CheckSiteName(oldName) == nil && oldName != site.Name {
		m.Names = append(m.Names, model.Replacement{Old: oldName, New: site.Name})
		www := model.Replacement{Old: "www." + oldName, New: site.Name}
		if slices.Contains(site.Aliases, "www."+site.Name) {
			www.New = "www." + site.Name
		}
		if www.Old != www.New {
			m.Names = append(m.Names, www)
		}
	}
	if below, ok := relativeOf(f, oldName, site); ok {
		m.Relative = append(m.Relative, below)
	}
	for _, dir := range []model.Replacement{{Old: f.Root, New: site.Root}, {Old: f.Docroot, New: site.Docroot}} {
		if dir.Old != "" && dir.Old != dir.New && model.CheckPath("directory", dir.Old) == nil && !slices.Contains(m.Paths, dir) {
			m.Paths = append(m.Paths, dir)
		}
	}
	return m
}

// relativeOf is how sites of one code base name their directory: sites/old.example. A tarball that was made elsewhere does
// not say where it lay; one of Drupal's is then taken to have been where Drupal and Aegir have it.
func relativeOf(f backup.Facts, oldName string, site *model.Site) (model.Replacement, bool) {
	now, ok := strings.CutPrefix(site.Root, site.Docroot+"/")
	was, known := strings.CutPrefix(f.Root, f.Docroot+"/")
	known = known && f.Docroot != ""
	if f.Root == "" && site.Kind == "drupal" {
		was, known = "sites/"+oldName, strings.HasPrefix(now, "sites/")
	}
	return model.Replacement{Old: was, New: now}, ok && known && was != now && strings.Contains(was, "/")
}

// keepsAddresses reports whether sites of a kind keep addresses of their own in their database.
func keepsAddresses(kind string) bool {
	k, err := kinds.ByName(kind)
	if err != nil {
		return false
	}
	keeper, ok := k.(sitekind.AddressKeeper)
	return ok && keeper.KeepsAddresses()
}

// checkDeployment refuses what no site can be made of.
func (b *Basis) checkDeployment(f backup.Facts) error {
	_, err := kinds.ByName(b.Site.Kind)
	switch {
	case b.Site.Kind == "":
		return errs.New(errs.Usage, "say it with --kind", "backup %s does not say of what kind its site is", b.Backup)
	case err != nil:
		return errs.New(errs.Usage, "say another one with --kind", "%w", err)
	case f.Kind != "" && f.Kind != b.Site.Kind && !b.New:
		return errs.New(errs.Precondition, "deploy it as a new site", "backup %s is of a %s site, and %s is a %s site", b.Backup, f.Kind, b.Site.Name, b.Site.Kind)
	case b.New && b.Part == FilesOnly && b.Site.DBServer != "":
		return errs.New(errs.Usage, "leave out the database server, or restore the database too", "files alone need no database server")
	case b.New && b.HasDump && b.Site.DBServer == "" && b.Part != FilesOnly:
		return errs.New(errs.Usage, "say which server its database goes to with --db, or leave it out with --files-only",
			"backup %s holds a database, and no database server is named for %s", b.Backup, b.Site.Name)
	}
	return nil
}

// Moves reports whether the site gets another name or directory.
func (b *Basis) Moves() bool { return len(b.Move.Names)+len(b.Move.Paths)+len(b.Move.Relative) > 0 }

// renames reports whether the database has to be told.
func (b *Basis) renames() bool { return b.Moves() && b.MoveTables && b.WithDatabase() }

// vacant refuses a place for a new site where something is.
func (s checkEverything) vacant(ctx context.Context, server string, web Web, state model.TreeState) error {
	root := s.basis.Site.Root
	switch {
	case state.NoParent:
		return errs.New(errs.NotFound, "make it there first: mkdir -p "+path.Dir(root), "%s: there is no directory %s to put the site into", server, path.Dir(root))
	case state.LiveInode != 0 && !state.Empty:
		return errs.New(errs.Exists, "give another --root, or remove what is there", "%s: in %s is something already", server, root)
	case s.external():
		return nil
	}
	vhost, err := web.InspectVhost(ctx, s.ref())
	if err == nil && vhost.Exists {
		err = errs.New(errs.Exists, "remove "+s.basis.Site.Name+".conf from webserver.vhost_dir of agent.yaml there, or choose another name",
			"%s: there is a virtual host for %s already", server, s.basis.Site.Name)
	}
	return err
}

// recordSite makes the record that ends a deployment and the site one thing: with the one the other is true.
func (j journal) recordSite(ctx context.Context, raw []byte) error {
	site := j.basis.Site
	site.Database = j.basis.newDatabase()
	if !j.basis.WithDatabase() {
		site.Database = model.Database{}
	}
	return j.records.AppendJournal(ctx, j.task, raw, func(ctx context.Context, tx *catalogue.Tx) error {
		if err := tx.RootFree(ctx, site); err != nil {
			return err
		}
		return tx.CreateSite(ctx, site)
	})
}

// kept says what there is of the site after an undo.
func (b *Basis) kept() string {
	if b.New {
		return "nothing of " + b.Site.Name + " is left"
	}
	return b.Site.Name + " is as it was"
}

// verb is what is done with a site.
func (b *Basis) verb() string {
	switch {
	case b.New:
		return "making"
	case b.Migrates():
		return "migrating"
	}
	return "restoring"
}

// completed says what there is after the end.
func (b *Basis) completed() string {
	switch {
	case b.New:
		return b.Site.Name + " is made and under care"
	case b.Migrates():
		return "migrated; what lay at the old place is gone, but for what is said above to stay"
	}
	return "restored; what was replaced is gone"
}

// rename lets the imported database know the site's new name and directory. It is part of the import, which begins with
// an empty database each time: nothing is rewritten twice.
func (s importDump) rename(ctx context.Context, db DB, to model.NewDatabase) error {
	if !s.basis.renames() {
		return nil
	}
	tables, warnings, err := db.RewriteTables(ctx, to, s.basis.Move)
	if err != nil {
		return err
	}
	var rows, values int64
	for _, t := range tables {
		s.log.Log(model.LevelInfo, "table %s: %d addresses in %d rows rewritten", t.Name, t.Values, t.Rows)
		rows, values = rows+t.Rows, values+t.Values
	}
	s.log.Log(model.LevelInfo, "%d addresses in %d rows of %d tables rewritten", values, rows, len(tables))
	for _, w := range warnings {
		s.log.Warn("%s: %s", s.basis.Site.DBServer, w)
	}
	return nil
}
