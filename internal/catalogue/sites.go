package catalogue

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

const selectSite = `SELECT s.name, s.kind, s.db_server, s.root, s.docroot, s.database_name, s.database_user, s.database_host,
	s.client, s.excludes, s.exclude_caches, s.structure_only, s.all_rows, s.blank_settings, s.vhost, s.maintenance, s.disabled, s.created_at,
	(SELECT json_group_array(name ORDER BY position) FROM site_names WHERE site = s.name AND position > 0),
	(SELECT json_group_array(server ORDER BY position) FROM site_web_servers WHERE site = s.name)
	FROM sites AS s`

func scanSite(row scanner) (s model.Site, err error) {
	err = row.Scan(&s.Name, &s.Kind, &s.DBServer, &s.Root, &s.Docroot, &s.Database.Name, &s.Database.User, &s.Database.Host,
		&s.Client, listInto[string]{&s.Excludes}, &s.ExcludeCaches, listInto[string]{&s.StructureOnly}, &s.AllRows, &s.BlankCredentials,
		&s.Vhost, &s.Maintenance, &s.Disabled, timeInto{&s.CreatedAt},
		listInto[string]{&s.Aliases}, listInto[string]{&s.WebServers})
	return s, err
}

func noSite(name string) error {
	return errs.New(errs.NotFound, "list them with: sitekeep site list", "no site %q", name)
}

// CreateSite adds a site. Its name and aliases must not be a name or alias of
// any site (errs.Exists), and its servers must be known (errs.NotFound).
func (c *Catalogue) CreateSite(ctx context.Context, s model.Site) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error { return tx.CreateSite(ctx, s) })
}

// CreateSite is Catalogue.CreateSite within a transaction.
func (tx *Tx) CreateSite(ctx context.Context, s model.Site) error {
	if err := model.CheckSiteName(s.Name); err != nil {
		return err
	}
	if err := tx.namesFree(ctx, s); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `INSERT INTO sites (name, kind, db_server, root, docroot, database_name, database_user, database_host,
		client, excludes, exclude_caches, structure_only, all_rows, blank_settings, vhost, maintenance, disabled, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		s.Name, s.Kind, s.DBServer, s.Root, s.Docroot, s.Database.Name, s.Database.User, s.Database.Host,
		s.Client, jsonOf(s.Excludes), s.ExcludeCaches, jsonOf(s.StructureOnly), s.AllRows, s.BlankCredentials, s.Vhost, s.Maintenance, s.Disabled, nanos(s.CreatedAt))
	if err != nil {
		return fmt.Errorf("record site %s: %w", s.Name, err)
	}
	if err := tx.putSiteParts(ctx, s); err != nil {
		return err
	}
	// Backups that were found in the store before their site was known have no client yet.
	_, err = tx.exec(ctx, `UPDATE backups SET client = ? WHERE site = ? AND client = ''`, s.Client, s.Name)
	return err
}

// namesFree refuses a name or alias that another site has.
func (tx *Tx) namesFree(ctx context.Context, s model.Site) error {
	seen := map[string]bool{}
	for _, name := range append([]string{s.Name}, s.Aliases...) {
		if seen[name] {
			return errs.New(errs.Usage, "name each domain once", "site %s: %s is named twice", s.Name, name)
		}
		seen[name] = true
		owner, err := collect(ctx, tx.q, scanString, `SELECT site FROM site_names WHERE name = ?`, name)
		if err != nil {
			return err
		}
		if len(owner) > 0 {
			return errs.New(errs.Exists, "look at it with: sitekeep site show "+owner[0], "%s belongs to site %s already", name, owner[0])
		}
	}
	return nil
}

// putSiteParts records names and web servers of a site that has none recorded.
func (tx *Tx) putSiteParts(ctx context.Context, s model.Site) error {
	if s.DBServer != "" {
		if _, err := serverIn(ctx, tx.q, s.DBServer); err != nil {
			return fmt.Errorf("site %s: %w", s.Name, err)
		}
	}
	for i, name := range append([]string{s.Name}, s.Aliases...) {
		if _, err := tx.exec(ctx, `INSERT INTO site_names (name, site, position) VALUES (?, ?, ?)`, name, s.Name, i); err != nil {
			return fmt.Errorf("record name %s of site %s: %w", name, s.Name, err)
		}
	}
	for i, server := range s.WebServers {
		if _, err := serverIn(ctx, tx.q, server); err != nil {
			return fmt.Errorf("site %s: %w", s.Name, err)
		}
		if _, err := tx.exec(ctx, `INSERT INTO site_web_servers (site, position, server) VALUES (?, ?, ?)`, s.Name, i, server); err != nil {
			return fmt.Errorf("record web server %s of site %s: %w", server, s.Name, err)
		}
	}
	return nil
}

// Site returns a site by its main name; an unknown one is errs.NotFound.
func (c *Catalogue) Site(ctx context.Context, name string) (model.Site, error) {
	return siteIn(ctx, c.read, name)
}

func siteIn(ctx context.Context, q querier, name string) (model.Site, error) {
	return single(ctx, q, scanSite, func() error { return noSite(name) }, selectSite+` WHERE s.name = ?`, name)
}

// UpdateSite reads a site, lets change alter it, and writes it back, with
// nothing in between. Name and time of creation stay what they are; the other
// rules are those of CreateSite.
func (c *Catalogue) UpdateSite(ctx context.Context, name string, change func(*model.Site) error) (s model.Site, err error) {
	err = c.update(ctx, func(ctx context.Context, tx *Tx) error {
		s, err = tx.UpdateSite(ctx, name, change)
		return err
	})
	return s, err
}

// UpdateSite is Catalogue.UpdateSite within a transaction.
func (tx *Tx) UpdateSite(ctx context.Context, name string, change func(*model.Site) error) (model.Site, error) {
	old, err := siteIn(ctx, tx.q, name)
	if err != nil {
		return old, err
	}
	s := old
	if err := change(&s); err != nil {
		return old, err
	}
	s.Name, s.CreatedAt = name, old.CreatedAt
	return s, tx.replaceSite(ctx, s)
}

func (tx *Tx) replaceSite(ctx context.Context, s model.Site) error {
	for _, query := range []string{`DELETE FROM site_names WHERE site = ?`, `DELETE FROM site_web_servers WHERE site = ?`} {
		if _, err := tx.exec(ctx, query, s.Name); err != nil {
			return err
		}
	}
	if err := tx.namesFree(ctx, s); err != nil {
		return err
	}
	_, err := tx.exec(ctx, `UPDATE sites SET kind = ?, db_server = ?, root = ?, docroot = ?, database_name = ?, database_user = ?,
		database_host = ?, client = ?, excludes = ?, exclude_caches = ?, structure_only = ?, all_rows = ?,
		blank_settings = ?, vhost = ?, maintenance = ?, disabled = ? WHERE name = ?`,
		s.Kind, s.DBServer, s.Root, s.Docroot, s.Database.Name, s.Database.User, s.Database.Host, s.Client, jsonOf(s.Excludes),
		s.ExcludeCaches, jsonOf(s.StructureOnly), s.AllRows, s.BlankCredentials, s.Vhost, s.Maintenance, s.Disabled, s.Name)
	if err != nil {
		return fmt.Errorf("record site %s: %w", s.Name, err)
	}
	if _, err := tx.exec(ctx, `UPDATE backups SET client = ? WHERE site = ? AND client <> ?`, s.Client, s.Name, s.Client); err != nil {
		return err
	}
	return tx.putSiteParts(ctx, s)
}

// RootFree refuses a directory for a site (errs.Exists) that is another
// site's, lies in it or around it, on a web server of both.
func (c *Catalogue) RootFree(ctx context.Context, s model.Site) error {
	return rootFreeIn(ctx, c.read, s)
}

// RootFree is Catalogue.RootFree within a transaction.
func (tx *Tx) RootFree(ctx context.Context, s model.Site) error { return rootFreeIn(ctx, tx.q, s) }

func rootFreeIn(ctx context.Context, q querier, s model.Site) error {
	near, err := collect(ctx, q, scanString, `SELECT DISTINCT s.name || ' (' || s.root || ')' FROM sites AS s
		JOIN site_web_servers AS w ON w.site = s.name
		WHERE s.name <> ?1 AND w.server IN (SELECT value FROM json_each(?2))
		AND (s.root = ?3 OR substr(s.root, 1, length(?3) + 1) = ?3 || '/' OR substr(?3, 1, length(s.root) + 1) = s.root || '/')
		ORDER BY 1 LIMIT 1`, s.Name, jsonOf(s.WebServers), s.Root)
	if err != nil || len(near) == 0 {
		return err
	}
	return errs.New(errs.Exists, "give another --root", "the directory %s is that of site %s, lies in it, or around it", s.Root, near[0])
}

// DeleteSite forgets a site; its backups stay listed. A site that a task holds
// is errs.Busy.
func (c *Catalogue) DeleteSite(ctx context.Context, name string) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error { return tx.DeleteSite(ctx, name) })
}

// DeleteSite is Catalogue.DeleteSite within a transaction.
func (tx *Tx) DeleteSite(ctx context.Context, name string) error {
	if err := tx.siteFree(ctx, name); err != nil {
		return err
	}
	n, err := tx.exec(ctx, `DELETE FROM sites WHERE name = ?`, name)
	if err == nil && n == 0 {
		return noSite(name)
	}
	if err == nil {
		_, err = tx.exec(ctx, `DELETE FROM drills WHERE site = ?`, name)
	}
	return err
}

// siteFree refuses a site that a task holds.
func (tx *Tx) siteFree(ctx context.Context, name string) error {
	holder, err := tx.holder(ctx, name)
	if err != nil || holder == "" {
		return err
	}
	return errs.New(errs.Busy, "follow it with: sitekeep task log -f "+holder, "task %s holds site %s", holder, name)
}

// SiteAtRest refuses a site whose files and database cannot be said to lie
// elsewhere now: a task holds it or needs an operator (errs.Busy,
// errs.Precondition), or a restore still keeps what it has replaced.
func (tx *Tx) SiteAtRest(ctx context.Context, name string) error {
	if err := tx.siteFree(ctx, name); err != nil {
		return err
	}
	stuck, err := stuckTaskIn(ctx, tx.q, name)
	if err != nil {
		return err
	}
	if stuck != "" {
		return errs.New(errs.Precondition, "do what the end of this says: sitekeep task log "+stuck+", then: sitekeep task retry "+stuck,
			"task %s on site %s needs an operator first", stuck, name)
	}
	open, err := openGracesIn(ctx, tx.q, name)
	if err != nil || len(open) == 0 {
		return err
	}
	return errs.New(errs.Precondition, "wait until its grace time is over, or take it back with: sitekeep restore --undo "+name,
		"site %s was restored lately, and what was replaced is still kept", name)
}

// SiteFilter chooses sites; its zero value chooses all.
type SiteFilter struct {
	Client string
	Server string   // one that is used for web or database
	Names  []string // globs (*, ?, [a-z]) over main names; a site matches if any does
	Limit  int      // 100 if not set, at most 1000
	After  string   // what the page before gave as next
}

// Sites returns a page of sites by name, and what the next page goes on after;
// it is empty at the end.
func (c *Catalogue) Sites(ctx context.Context, f SiteFilter) (list []model.Site, next string, err error) {
	where, args := f.where()
	limit := limitOf(f.Limit)
	list, err = collect(ctx, c.read, scanSite, selectSite+where+` ORDER BY s.name LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list sites: %w", err)
	}
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].Name
	}
	return list, next, nil
}

func (f SiteFilter) where() (string, []any) {
	terms, args := []string{`s.name > ?`}, []any{f.After}
	if f.Client != "" {
		terms, args = append(terms, `s.client = ?`), append(args, f.Client)
	}
	if f.Server != "" {
		terms = append(terms, `(s.db_server = ? OR EXISTS (SELECT 1 FROM site_web_servers WHERE site = s.name AND server = ?))`)
		args = append(args, f.Server, f.Server)
	}
	if len(f.Names) > 0 {
		globs := make([]string, len(f.Names))
		for i, glob := range f.Names {
			globs[i], args = `s.name GLOB ?`, append(args, glob)
		}
		terms = append(terms, `(`+strings.Join(globs, ` OR `)+`)`)
	}
	return ` WHERE ` + strings.Join(terms, ` AND `), args
}

// AllSites goes over all sites that the filter chooses, a page at a time; an
// error ends it.
func (c *Catalogue) AllSites(ctx context.Context, f SiteFilter) iter.Seq2[model.Site, error] {
	return pages(func(after string) ([]model.Site, string, error) {
		f.After, f.Limit = after, maxLimit
		return c.Sites(ctx, f)
	})
}

// SiteOwning returns the main name of the site with this name or alias;
// errs.NotFound if no site has it.
func (c *Catalogue) SiteOwning(ctx context.Context, domain string) (string, error) {
	return single(ctx, c.read, scanString, func() error { return noSite(domain) },
		`SELECT site FROM site_names WHERE name = ?`, domain)
}

// SitesUsingDatabase names the sites that are recorded as using a database on
// a server. Names are compared without regard to case, because some servers do.
func (c *Catalogue) SitesUsingDatabase(ctx context.Context, dbServer, database string) ([]string, error) {
	return collect(ctx, c.read, scanString,
		`SELECT name FROM sites WHERE database_name = ? COLLATE NOCASE AND db_server = ? ORDER BY name`, database, dbServer)
}

// SitesUsingServer names the sites that have files or a database on a server.
func (c *Catalogue) SitesUsingServer(ctx context.Context, server string) ([]string, error) {
	return collect(ctx, c.read, scanString, `SELECT name FROM sites WHERE db_server = ?
		UNION SELECT site FROM site_web_servers WHERE server = ? ORDER BY 1`, server, server)
}

// SetSiteDatabase records that a site uses another database, if it is recorded
// as using old now; errs.Precondition if it is not.
func (tx *Tx) SetSiteDatabase(ctx context.Context, site string, old, new model.Database) error {
	n, err := tx.exec(ctx, `UPDATE sites SET database_name = ?, database_user = ?, database_host = ?
		WHERE name = ? AND database_name = ? AND database_user = ? AND database_host = ?`,
		new.Name, new.User, new.Host, site, old.Name, old.User, old.Host)
	if err != nil {
		return fmt.Errorf("record the database of site %s: %w", site, err)
	}
	if n == 0 {
		return errs.New(errs.Precondition, "compare with: sitekeep site show "+site, "site %s is not recorded as using database %s", site, old.Name)
	}
	return nil
}
