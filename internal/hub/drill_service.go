package hub

import (
	"context"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
	"github.com/sitekeep/sitekeep/internal/tasks"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// DrillSites submits all at once: the queue's limits decide how many run.
func (s *restoreService) DrillSites(ctx context.Context, q *sitekeepv1.DrillSitesRequest) (*sitekeepv1.DrillSitesResponse, error) {
	wanted, err := s.drillBackup(ctx, q)
	if err != nil {
		return nil, err
	}
	all := &backupService{Hub: s.Hub}
	sites, found, err := all.bulk(ctx, &sitekeepv1.CreateBackupsRequest{All: q.All, Client: q.Client, Names: q.Names})
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.DrillSitesResponse{}
	for _, no := range found.Refused {
		out.Refused = append(out.Refused, &sitekeepv1.RefusedDrill{Site: no.Site, Error: no.Error, ErrorKind: no.ErrorKind, Hint: no.Hint})
	}
	for _, site := range sites {
		t, err := s.submitDrill(ctx, site, wanted, q.Queue)
		switch {
		case err == nil:
			out.Tasks = append(out.Tasks, taskToProto(&t))
		case ctx.Err() != nil:
			return nil, err
		default:
			out.Refused = append(out.Refused, &sitekeepv1.RefusedDrill{
				Site: site, Error: err.Error(), ErrorKind: errs.KindOf(err).String(), Hint: errs.HintOf(err)})
		}
	}
	return out, nil
}

// drillBackup is the id of the backup that was asked for; empty: the last good one of each site.
func (s *restoreService) drillBackup(ctx context.Context, q *sitekeepv1.DrillSitesRequest) (string, error) {
	if q.Backup == "" {
		return "", nil
	}
	if len(q.Names) != 1 || strings.ContainsAny(q.Names[0], "*?[") {
		return "", errs.New(errs.Usage, "name the site it is of", "a single backup is one site's")
	}
	b, err := s.backupOf(ctx, q.Names[0], q.Backup)
	return b.ID, err
}

func (s *restoreService) submitDrill(ctx context.Context, site, wanted string, queue bool) (model.Task, error) {
	if wanted == "" {
		if _, err := s.Catalogue.LatestGood(ctx, site); err != nil {
			return model.Task{}, err
		}
	}
	return s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskDrill, Site: site, Spec: restore.DrillSpec{Backup: wanted}, Queue: queue})
}

// lastDrill is what the last drill of a site has shown; nil if there was none.
func (s *siteService) lastDrill(ctx context.Context, site string) (*sitekeepv1.SiteDrill, error) {
	d, err := s.Catalogue.LastDrill(ctx, site)
	switch {
	case errs.Is(err, errs.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return drillToProto(&d), nil
}

// lastDrills are those of all sites that had one, by site.
func (s *siteService) lastDrills(ctx context.Context) (map[string]*sitekeepv1.SiteDrill, error) {
	list, err := s.Catalogue.LastDrills(ctx)
	out := make(map[string]*sitekeepv1.SiteDrill, len(list))
	for i := range list {
		out[list[i].Site] = drillToProto(&list[i])
	}
	return out, err
}

func drillToProto(d *model.Drill) *sitekeepv1.SiteDrill {
	return &sitekeepv1.SiteDrill{Backup: d.Backup, At: timeToProto(d.At), Passed: d.Problem == "", Problem: d.Problem, Task: d.TaskID}
}
