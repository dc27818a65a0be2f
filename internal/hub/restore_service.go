package hub

import (
	"context"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
	"github.com/sitekeep/sitekeep/internal/tasks"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// longestGrace bounds for how long old directories and databases may lie about.
const longestGrace = 90 * 24 * time.Hour

type restoreService struct {
	sitekeepv1.UnimplementedRestoreServiceServer
	*Hub
}

func (s *restoreService) RestoreSite(ctx context.Context, q *sitekeepv1.RestoreSiteRequest) (*sitekeepv1.RestoreSiteResponse, error) {
	part, err := partOf(q)
	if err != nil {
		return nil, err
	}
	b, err := s.backupOf(ctx, q.Site, q.Backup)
	if err != nil {
		return nil, err
	}
	grace := restore.DefaultGrace
	if q.Grace != nil {
		grace = q.Grace.AsDuration()
	}
	if grace < 0 || grace > longestGrace {
		return nil, errs.New(errs.Usage, "give 0s to 90d", "a grace time of %s is not possible", grace)
	}
	if err := s.Restorer.CheckSelection(ctx, &b, q.Paths, q.Tables); err != nil {
		return nil, err
	}
	t, err := s.Tasks.Submit(ctx, tasks.SubmitRequest{
		Kind: model.TaskRestore, Site: q.Site, Queue: q.Queue, Spec: restore.Request{Site: q.Site, Backup: b.ID, Grace: grace, Part: part, Paths: q.Paths, Tables: q.Tables},
	})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.RestoreSiteResponse{Task: taskToProto(&t)}, nil
}

// asksForPart is a request to restore, or to say what that would do.
type asksForPart interface {
	GetFilesOnly() bool
	GetDbOnly() bool
	GetPaths() [][]byte
	GetTables() []string
}

func partOf(q asksForPart) (restore.Part, error) {
	selected := len(q.GetPaths())+len(q.GetTables()) > 0
	switch {
	case selected && (q.GetFilesOnly() || q.GetDbOnly()):
		return "", errs.New(errs.Usage, "leave files only and database only out to restore paths and tables alone",
			"files only and database only exclude paths and tables")
	case selected:
		return restore.Selected, nil
	case q.GetFilesOnly() && q.GetDbOnly():
		return "", errs.New(errs.Usage, "leave both out to restore files and database", "files only and database only exclude each other")
	case q.GetFilesOnly():
		return restore.FilesOnly, nil
	case q.GetDbOnly():
		return restore.DatabaseOnly, nil
	}
	return restore.Whole, nil
}

// backupOf finds a backup to restore a site from.
func (s *restoreService) backupOf(ctx context.Context, site, id string) (model.Backup, error) {
	if _, err := s.site(ctx, site); err != nil {
		return model.Backup{}, err
	}
	b, err := s.backup(ctx, id, site)
	if err == nil && b.Site != site {
		err = errs.New(errs.Usage, "list the site's own with: sitekeep backups "+site, "backup %s is one of %s, not of %s", b.ID, b.Site, site)
	}
	return b, err
}

func (s *restoreService) PlanRestore(ctx context.Context, q *sitekeepv1.PlanRestoreRequest) (*sitekeepv1.PlanRestoreResponse, error) {
	part, err := partOf(q)
	if err != nil {
		return nil, err
	}
	b, err := s.backupOf(ctx, q.Site, q.Backup)
	if err != nil {
		return nil, err
	}
	plan, err := s.Restorer.DryRun(ctx, ulid.Make().String(), restore.Request{
		Site: q.Site, Backup: b.ID, Grace: restore.DefaultGrace, Part: part, Paths: q.Paths, Tables: q.Tables,
	})
	if err != nil {
		return nil, err
	}
	return planToProto(plan), nil
}

func (s *restoreService) UndoRestore(ctx context.Context, q *sitekeepv1.UndoRestoreRequest) (*sitekeepv1.UndoRestoreResponse, error) {
	if _, err := s.site(ctx, q.Site); err != nil {
		return nil, err
	}
	if err := s.mended(ctx, q.Site); err != nil {
		return nil, err
	}
	open, err := s.Catalogue.OpenGraces(ctx, q.Site)
	if err != nil {
		return nil, err
	}
	if len(open) == 0 || open[0].State != catalogue.GraceWaiting {
		return nil, errs.New(errs.Precondition, "restore a backup instead; the safety backup is in: sitekeep backups "+q.Site,
			"no restore of %s can be taken back: there was none, or its grace time is over", q.Site)
	}
	t, err := s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskUndo, Site: q.Site, Spec: restore.Earlier{Restore: open[0].TaskID}})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.UndoRestoreResponse{Task: taskToProto(&t)}, nil
}
