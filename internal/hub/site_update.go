package hub

import (
	"context"
	"reflect"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// UpdateSite looks at a site that shall lie elsewhere before it believes it.
func (s *siteService) UpdateSite(ctx context.Context, q *sitekeepv1.UpdateSiteRequest) (*sitekeepv1.UpdateSiteResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	old, err := s.Catalogue.Site(ctx, q.GetSite().GetName())
	if err != nil {
		return nil, err
	}
	site := old
	moved, err := setFields(&site, q.Site, q.GetUpdateMask().GetPaths())
	if err != nil {
		return nil, err
	}
	if err := checkSite(&site); err != nil {
		return nil, err
	}
	var warnings []string
	if moved {
		if warnings, err = s.survey(ctx, &site, true); err != nil {
			return nil, err
		}
	}
	err = s.Catalogue.Update(ctx, func(ctx context.Context, tx *catalogue.Tx) error { return replaceSite(ctx, tx, &old, &site, moved) })
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.UpdateSiteResponse{Site: siteToProto(&site, catalogue.Usage{}), Warnings: warnings}, nil
}

// replaceSite records a site unless it has changed since old was read, or cannot be moved now.
func replaceSite(ctx context.Context, tx *catalogue.Tx, old, site *model.Site, moved bool) error {
	if moved {
		if err := tx.SiteAtRest(ctx, old.Name); err != nil {
			return err
		}
	}
	_, err := tx.UpdateSite(ctx, old.Name, func(now *model.Site) error {
		if !reflect.DeepEqual(now, old) {
			return changedMeanwhile("site " + old.Name)
		}
		*now = *site
		return nil
	})
	return err
}

func changedMeanwhile(what string) error {
	return errs.New(errs.Busy, "look at it, and try again", "%s was changed meanwhile", what)
}

// setFields sets the fields of a mask, and reports whether the site lies elsewhere then.
func setFields(to *model.Site, from *sitekeepv1.Site, paths []string) (moved bool, err error) {
	if len(paths) == 0 {
		return false, errs.New(errs.Usage, "say what is to change", "nothing of site %s is to change", to.Name)
	}
	for _, path := range paths {
		if setPlain(to, from, path) {
			continue
		}
		if path == "disabled" {
			return false, errs.New(errs.Usage, "call DisableSite or EnableSite: sitekeep site disable "+to.Name, "that a site is offline is not set, but brought about")
		}
		if !setPlace(to, from, path) {
			return false, errs.New(errs.Usage, "see the documentation of UpdateSite", "the field %q of a site cannot be set", path)
		}
		moved = true
	}
	return moved, nil
}

// setPlain sets a field that moves nothing; false if it is none.
func setPlain(to *model.Site, from *sitekeepv1.Site, path string) bool {
	switch path {
	case "aliases":
		to.Aliases = from.Aliases
	case "client":
		to.Client = from.Client
	case "excludes":
		to.Excludes = from.Excludes
	case "exclude_caches":
		to.ExcludeCaches = from.ExcludeCaches
	case "structure_only":
		to.StructureOnly = from.StructureOnly
	case "all_rows":
		to.AllRows = from.AllRows
	case "vhost":
		to.Vhost = model.VhostMode(from.Vhost)
	case "maintenance":
		to.Maintenance = model.MaintenanceModeOf(from.Maintenance)
	case "blank_credentials":
		to.BlankCredentials = from.BlankCredentials
	default:
		return false
	}
	return true
}

// setPlace sets a field that says what and where a site is; false if it is none.
func setPlace(to *model.Site, from *sitekeepv1.Site, path string) bool {
	switch path {
	case "kind":
		to.Kind = from.Kind
	case "web_servers":
		to.WebServers = from.WebServers
	case "db_server":
		to.DBServer = from.DbServer
	case "root":
		if to.Docroot == to.Root {
			to.Docroot = from.Root
		}
		to.Root = from.Root
	case "docroot":
		if to.Docroot = from.Docroot; to.Docroot == "" {
			to.Docroot = to.Root
		}
	case "database":
		to.Database = model.Database{Name: from.Database}
	default:
		return false
	}
	return true
}
