package hub

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
	"github.com/sitekeep/sitekeep/internal/tasks"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// DeployBackup refuses at once what can be known without a look at the site's place; that is the task's first step.
func (s *restoreService) DeployBackup(ctx context.Context, q *sitekeepv1.DeployBackupRequest) (*sitekeepv1.DeployBackupResponse, error) {
	r, err := s.deployment(ctx, q)
	if err != nil {
		return nil, err
	}
	if r.Deploy.New == nil {
		if r.Grace, err = graceOf(q.Grace); err != nil {
			return nil, err
		}
	}
	if q.DryRun {
		return s.previewDeployment(ctx, r)
	}
	if _, err := s.Restorer.Plan(ctx, ulid.Make().String(), r); err != nil {
		return nil, err
	}
	t, err := s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskDeploy, Site: r.Site, Queue: q.Queue, Spec: r})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.DeployBackupResponse{Task: taskToProto(&t)}, nil
}

// previewDeployment looks at the site's place, too.
func (s *restoreService) previewDeployment(ctx context.Context, r restore.Request) (*sitekeepv1.DeployBackupResponse, error) {
	plan, err := s.Restorer.DryRun(ctx, ulid.Make().String(), r)
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.DeployBackupResponse{Plan: planToProto(plan), Site: siteToProto(&plan.Site, catalogue.Usage{})}, nil
}

// deployment is the request to the restorer, but for its grace time.
func (s *restoreService) deployment(ctx context.Context, q *sitekeepv1.DeployBackupRequest) (restore.Request, error) {
	if err := unscoped(ctx); err != nil {
		return restore.Request{}, err
	}
	b, err := s.backup(ctx, q.GetBackup(), "")
	if err != nil {
		return restore.Request{}, err
	}
	if q.GetOldName() != "" {
		if err := model.CheckSiteName(q.GetOldName()); err != nil {
			return restore.Request{}, err
		}
	}
	r := restore.Request{Site: q.GetSite().GetName(), Backup: b.ID, Deploy: &restore.Deployment{OldName: q.GetOldName()}}
	if q.GetFilesOnly() {
		r.Part = restore.FilesOnly
	}
	r.Deploy.New, err = s.newTarget(ctx, q.GetSite())
	return r, err
}

// graceOf is how long what is replaced stays.
func graceOf(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return restore.DefaultGrace, nil
	}
	grace := d.AsDuration()
	if grace < 0 || grace > longestGrace {
		return 0, errs.New(errs.Usage, "give 0s to 90d", "a grace time of %s is not possible", grace)
	}
	return grace, nil
}

// newTarget checks a site that is to be made; nil if it is under care already.
func (h *Hub) newTarget(ctx context.Context, q *sitekeepv1.Site) (*model.Site, error) {
	_, err := h.Catalogue.Site(ctx, q.GetName())
	switch {
	case err == nil && (len(q.GetWebServers()) > 0 || q.GetRoot() != "" || q.GetDbServer() != ""):
		return nil, errs.New(errs.Usage, "name it alone to put the backup in its place, or choose another name", "there is a site %s already, and it lies where it does", q.GetName())
	case err == nil || !errs.Is(err, errs.NotFound):
		return nil, err
	}
	site, err := newSite(q)
	if err != nil {
		return nil, err
	}
	if q.GetDocroot() == "" {
		site.Docroot = "" // it lies to the root as it did in the backup
	}
	site.Database, site.CreatedAt = model.Database{}, h.Now().UTC()
	return site, h.free(ctx, site)
}

// free refuses a site that is in the way of another one.
func (h *Hub) free(ctx context.Context, site *model.Site) error {
	for _, name := range append([]string{site.Name}, site.Aliases...) {
		owner, err := h.Catalogue.SiteOwning(ctx, name)
		if err == nil {
			return errs.New(errs.Exists, "look at it with: sitekeep site show "+owner, "%s belongs to site %s already", name, owner)
		}
		if !errs.Is(err, errs.NotFound) {
			return err
		}
	}
	if err := (&siteService{Hub: h}).checkRoles(ctx, site); err != nil {
		return err
	}
	return h.Catalogue.RootFree(ctx, *site)
}

// CloneSite derives from the cloned site what the request does not say.
func (s *restoreService) CloneSite(ctx context.Context, q *sitekeepv1.CloneSiteRequest) (*sitekeepv1.CloneSiteResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	source, err := s.site(ctx, q.Site)
	if err != nil {
		return nil, err
	}
	if err := s.mended(ctx, source.Name); err != nil {
		return nil, err
	}
	r := restore.CloneRequest{Source: source.Name}
	if q.Backup != "" {
		b, err := s.backupOf(ctx, source.Name, q.Backup)
		if err != nil {
			return nil, err
		}
		r.Backup = b.ID
	}
	site, err := s.twin(ctx, &source, q.NewSite)
	if err != nil {
		return nil, err
	}
	r.Site = *site
	if q.DryRun {
		plan, err := s.previewClone(ctx, r)
		return &sitekeepv1.CloneSiteResponse{Plan: plan}, err
	}
	t, err := s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskClone, Site: site.Name, Queue: q.Queue, Spec: r})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.CloneSiteResponse{Task: taskToProto(&t)}, nil
}

// twin is the site that a clone makes.
func (s *restoreService) twin(ctx context.Context, source *model.Site, q *sitekeepv1.Site) (*model.Site, error) {
	if q == nil {
		q = &sitekeepv1.Site{}
	}
	if err := model.CheckSiteName(q.Name); err != nil {
		return nil, err
	}
	if _, err := s.Catalogue.Site(ctx, q.Name); !errs.Is(err, errs.NotFound) {
		return nil, cmp.Or(err, errs.New(errs.Exists, "choose another name, or remove it first: sitekeep site remove "+q.Name, "there is a site %s already", q.Name))
	}
	if q.Root == "" {
		if !strings.Contains(source.Root, source.Name) {
			return nil, errs.New(errs.Usage, "say where the new site lies with --root", "the name of %s is not in its directory %s", source.Name, source.Root)
		}
		q.Root = strings.ReplaceAll(source.Root, source.Name, q.Name)
		if q.Docroot == "" {
			q.Docroot = strings.ReplaceAll(source.Docroot, source.Name, q.Name)
		}
	}
	if len(q.WebServers) == 0 {
		q.WebServers = source.WebServers
	}
	for _, f := range []struct {
		to   *string
		from string
	}{{&q.DbServer, source.DBServer}, {&q.Kind, source.Kind}, {&q.Client, source.Client}, {&q.Vhost, string(source.Vhost)}} {
		if *f.to == "" {
			*f.to = f.from
		}
	}
	if len(q.Excludes) == 0 {
		q.Excludes, q.ExcludeCaches = source.Excludes, q.ExcludeCaches || source.ExcludeCaches
	}
	if len(q.StructureOnly) == 0 && !q.AllRows {
		q.StructureOnly, q.AllRows = source.StructureOnly, source.AllRows
	}
	q.BlankCredentials = q.BlankCredentials || source.BlankCredentials
	return s.newTarget(ctx, q)
}

// MigrateSite refuses at once what can be known without a look at the new place.
func (s *restoreService) MigrateSite(ctx context.Context, q *sitekeepv1.MigrateSiteRequest) (*sitekeepv1.MigrateSiteResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	from, err := s.site(ctx, q.Site)
	if err != nil {
		return nil, err
	}
	if err := s.mended(ctx, from.Name); err != nil {
		return nil, err
	}
	place := restore.Place{WebServers: q.WebServers, DBServer: q.DbServer, Root: q.Root, Docroot: q.Docroot}
	to, err := place.Of(&from)
	if err != nil {
		return nil, err
	}
	if err := (&siteService{Hub: s.Hub}).checkRoles(ctx, to); err != nil {
		return nil, err
	}
	if err := s.Catalogue.RootFree(ctx, *to); err != nil {
		return nil, err
	}
	r := restore.Request{Site: from.Name, Migrate: &place}
	if r.Grace, err = graceOf(q.Grace); err != nil {
		return nil, err
	}
	if q.DryRun {
		if r.Backup, err = s.lastBackup(ctx, from.Name); err != nil {
			return nil, err
		}
		plan, err := s.preview(ctx, r)
		return &sitekeepv1.MigrateSiteResponse{Plan: plan}, err
	}
	t, err := s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskMigrate, Site: from.Name, Queue: q.Queue, Spec: r})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.MigrateSiteResponse{Task: taskToProto(&t)}, nil
}
