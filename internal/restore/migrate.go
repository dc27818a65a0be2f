package restore

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// Place is where a site is to lie. What is empty stays as it is.
type Place struct {
	WebServers              []string `json:",omitempty"`
	DBServer, Root, Docroot string   `json:",omitempty"`
}

// Of is a site at that place; a docroot that is not given lies to the root as it did. Web servers and the database server may
// change each by themselves, or only some of the web servers. errs.Usage where nothing changes, or no place is named.
func (p Place) Of(from *model.Site) (*model.Site, error) {
	to := *from
	to.Root, to.DBServer = cmp.Or(p.Root, from.Root), cmp.Or(p.DBServer, from.DBServer)
	to.Docroot = cmp.Or(p.Docroot, docrootFor(backup.Facts{Root: from.Root, Docroot: from.Docroot}, to.Root))
	if len(p.WebServers) > 0 {
		to.WebServers = p.WebServers
	}
	for _, dir := range []string{to.Root, to.Docroot} {
		if err := model.CheckPath("directory", dir); err != nil {
			return nil, err
		}
	}
	if from.DBServer == "" && to.DBServer != "" {
		return nil, errs.New(errs.Usage, "leave out --db", "site %s has no database", from.Name)
	}
	return &to, checkPlaces(from, &to)
}

// checkPlaces refuses two places that are the same, and another directory on a web server that stays: there is one virtual
// host for the site on each server, and one directory that is exchanged.
func checkPlaces(from, to *model.Site) error {
	stays := 0
	for i, server := range to.WebServers {
		if slices.Contains(to.WebServers[:i], server) {
			return errs.New(errs.Usage, "name each server once", "web server %s is named twice", server)
		}
		if !slices.Contains(from.WebServers, server) {
			continue
		}
		if stays++; to.Root != from.Root || to.Docroot != from.Docroot {
			return errs.New(errs.Usage, "leave out --root and --docroot; for another directory, move it to other web servers and back",
				"%s is on %s already, and a site's directory changes on other web servers only", from.Name, server)
		}
	}
	if stays == len(to.WebServers) && stays == len(from.WebServers) && to.DBServer == from.DBServer {
		return errs.New(errs.Usage, "name other servers with --web or --db", "%s is there already", from.Name)
	}
	return nil
}

// Destination names the servers that a migration takes a site to; none for other tasks.
func Destination(t *model.Task) Place {
	var q Request
	if t.Kind == model.TaskMigrate && json.Unmarshal(t.Spec, &q) == nil && q.Migrate != nil {
		return *q.Migrate
	}
	return Place{}
}

// Migrates reports whether the site moves to other servers.
func (b *Basis) Migrates() bool { return b.From != nil }

// before is the site as it was.
func (b *Basis) before() *model.Site {
	if b.From != nil {
		return b.From
	}
	return &b.Site
}

// fresh reports whether there is nothing of the site yet on a web server on which it is to be.
func (b *Basis) fresh(server string) bool { return b.New || b.Migrates() && !b.wasOn(server) }

// stands reports whether a web server has the site already.
func (b *Basis) stands(server string) bool { return !b.fresh(server) }

// wasOn reports whether a site that migrates is on a web server until then. It may stay there.
func (b *Basis) wasOn(server string) bool {
	return b.Migrates() && slices.Contains(b.From.WebServers, server)
}

// left are the web servers on which nothing of a migrated site stays.
func (b *Basis) left() []string {
	if !b.Migrates() {
		return nil
	}
	return without(b.From.WebServers, b.Site.WebServers)
}

// bothPlaces are the web servers on which visitors are kept out.
func (b *Basis) bothPlaces() []string { return slices.Concat(b.left(), b.Site.WebServers) }

// without is a list without what is in another one.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// refOn is the site as it is on one of its web servers, old or new. On one that stays that is the same.
func (r *run) refOn(server string) model.SiteRef {
	if r.basis.wasOn(server) {
		return r.basis.From.Ref()
	}
	return r.ref()
}

// Migrate is the handler of migrate tasks. What is left of an interrupted one is undone, or gone on with, by its journal; one
// that was interrupted before that began begins again.
func (r *Restorer) Migrate(ctx context.Context, t *tasks.Run) (any, error) {
	var q Request
	if err := t.Spec(&q); err != nil {
		return nil, err
	}
	return r.migrate(ctx, t.Task.ID, q, t)
}

func (r *Restorer) migrate(ctx context.Context, task string, q Request, log Log) (*Outcome, error) {
	state, err := saga.Inspect(context.WithoutCancel(ctx), r.journal(task, nil))
	if err != nil {
		return nil, err
	}
	if state.Phase == saga.PhaseEmpty {
		if q.Backup, err = r.backUpAhead(ctx, task, &q, log); err != nil {
			return nil, err
		}
	}
	return r.restore(ctx, task, q, log)
}

// backUpAhead backs the site up while it serves: by that is known what the new place needs, and the last backup, for which
// visitors wait, holds little more than what changes from now on.
func (r *Restorer) backUpAhead(ctx context.Context, task string, q *Request, log Log) (string, error) {
	site, err := r.deps.Sites.Site(ctx, q.Site)
	if err != nil {
		return "", err
	}
	to, err := q.Migrate.Of(&site)
	if err != nil {
		return "", err
	}
	b, err := r.deps.Copies.Copy(ctx, &site, task, "Generated before a migration to "+strings.Join(news(&site, to), ", "), log)
	if err != nil {
		return "", err
	}
	log.Log(model.LevelInfo, "backup %s of %s (%s, %d files), for the next one to be quick", b.ID, site.Name, bytesize.Text(b.Size), b.Files)
	for _, w := range b.Warnings {
		log.Warn("backup of %s: %s", site.Name, w)
	}
	return b.ID, nil
}

// news are the servers that are new to a site which migrates.
func news(from, to *model.Site) []string {
	servers := without(to.WebServers, from.WebServers)
	if to.DBServer != from.DBServer {
		servers = append(servers, to.DBServer)
	}
	if len(servers) == 0 { // some of its servers alone
		return to.WebServers
	}
	return servers
}

// planMigration says what a migration would do. It changes nothing.
func (r *Restorer) planMigration(ctx context.Context, task string, q Request) (*Basis, error) {
	from, err := r.deps.Sites.Site(ctx, q.Site)
	if err != nil {
		return nil, err
	}
	to, err := q.Migrate.Of(&from)
	if err != nil {
		return nil, err
	}
	if err := r.deps.Sites.RootFree(ctx, *to); err != nil {
		return nil, err
	}
	b, err := r.deps.Backups.Backup(ctx, q.Backup)
	if err != nil {
		return nil, err
	}
	basis, err := r.basis(ctx, task, q, to, &b)
	if err != nil {
		return nil, err
	}
	was := backup.Facts{Site: from.Name, Root: from.Root, Docroot: from.Docroot}
	basis.Ahead = true
	basis.From, basis.Move, basis.MoveTables = &from, moveOf(was, from.Name, to), keepsAddresses(to.Kind)
	return basis, nil
}

// migrationStages are the steps of a migration. Files are sent twice: while the site serves, and, of what has changed by
// the last backup, while visitors wait, so that nothing of the old place is missing at the new one. On a web server
// that stays, the directory is exchanged as in a restore.
func (r *run) migrationStages() [][]option {
	database := r.basis.WithDatabase()
	return [][]option{
		{{true, checkEverything{run: r}}},
		{{database, createDatabase{run: r}}},
		{{database, retireDatabase{run: r}}},
		{{r.basis.Ahead, sendAhead{run: r}}},
		{{true, beginMaintenance{run: r}}},
		{{true, finalBackup{run: r}}},
		{{true, pushFiles{run: r}}, {database, importDump{run: r}}},
		{{database, writeSettings{run: r}}},
		{{r.basis.Moves(), renameSettings{run: r}}},
		{{len(r.basis.left()) > 0, retirePlace{run: r}}},
		{{true, exchangeTrees{run: r}}},
		{{true, writeVhost{run: r}}},
		{{true, verifySite{run: r}}},
		{{true, endMaintenance{run: r}}},
	}
}

// oldPlace refuses to migrate a site that is not where it is recorded to be.
func (s checkEverything) oldPlace(ctx context.Context) error {
	if !s.basis.Migrates() {
		return nil
	}
	from := s.basis.From
	if len(from.Excludes) > 0 || from.ExcludeCaches {
		s.log.Warn("what backups of %s leave out does not come along: see sitekeep site show %s", from.Name, from.Name)
	}
	return s.eachWebOf(ctx, from.WebServers, func(ctx context.Context, _ string, web Web) error {
		state, err := web.InspectTree(ctx, from.Ref(), s.task)
		if err == nil && state.LiveInode == 0 {
			err = errs.New(errs.Precondition, "restore it first: sitekeep restore "+from.Name+" latest", "%s is not there", from.Root)
		}
		return err
	})
}

// notClosed refuses an old place that would go on to take what visitors write, which the new one would never see.
func notClosed(site, warning string) error {
	return errs.New(errs.Precondition, "let its virtual host answer 503 during maintenance; see what this says: sitekeep site verify "+site,
		"visitors cannot be kept out of the old place: %s", warning)
}

// recordMove makes the record that ends a migration and the site's new place one thing: with the one the other is true.
func (j journal) recordMove(ctx context.Context, raw []byte, due time.Time) error {
	from := j.basis.From
	note, err := memo(keeps{from.DBServer, from.Database.Name})
	if err != nil {
		return err
	}
	return j.records.AppendJournal(ctx, j.task, raw, func(ctx context.Context, tx *catalogue.Tx) error {
		if err := tx.RootFree(ctx, j.basis.Site); err != nil {
			return err
		}
		if err := move(ctx, tx, from, j.basis.moved()); err != nil || j.basis.Grace == 0 {
			return err
		}
		return tx.AddGrace(ctx, catalogue.Grace{TaskID: j.task, Site: from.Name, Due: due, State: catalogue.GraceWaiting, Memo: note})
	})
}

// moveBack records the old place again.
func (j journal) moveBack(ctx context.Context, tx *catalogue.Tx) error {
	return move(ctx, tx, j.basis.moved(), j.basis.From)
}

// moved is the site as it is recorded once it has migrated.
func (b *Basis) moved() *model.Site {
	site := b.Site
	site.Database = b.newDatabase()
	return &site
}

// move records a site's place, and nothing else of it. errs.Precondition if it is not recorded where it was.
func move(ctx context.Context, tx *catalogue.Tx, from, to *model.Site) error {
	_, err := tx.UpdateSite(ctx, from.Name, func(s *model.Site) error {
		if !slices.Equal(s.WebServers, from.WebServers) || s.DBServer != from.DBServer || s.Root != from.Root || s.Database != from.Database {
			return errs.New(errs.Precondition, "compare with: sitekeep site show "+from.Name,
				"site %s is not recorded any more as lying in %s on %s", from.Name, from.Root, strings.Join(from.WebServers, ", "))
		}
		s.WebServers, s.DBServer, s.Root, s.Docroot, s.Database = to.WebServers, to.DBServer, to.Root, to.Docroot, to.Database
		return nil
	})
	return err
}

// stays says what the grace time keeps.
func (b *Basis) stays() string {
	switch {
	case len(b.left()) > 0:
		return "migrated; the old place stays, and answers 503,"
	case b.Migrates():
		return "migrated; what was replaced stays"
	}
	return "restored; what was replaced stays"
}
