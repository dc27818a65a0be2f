package hub

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// DisableSite begins a task even if the site is recorded as disabled: somebody may have let visitors in by hand.
func (s *siteService) DisableSite(ctx context.Context, q *sitekeepv1.DisableSiteRequest) (*sitekeepv1.DisableSiteResponse, error) {
	t, err := s.turn(ctx, q.Name, model.TaskDisable, q.Queue)
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.DisableSiteResponse{Task: taskToProto(&t)}, nil
}

func (s *siteService) EnableSite(ctx context.Context, q *sitekeepv1.EnableSiteRequest) (*sitekeepv1.EnableSiteResponse, error) {
	t, err := s.turn(ctx, q.Name, model.TaskEnable, q.Queue)
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.EnableSiteResponse{Task: taskToProto(&t)}, nil
}

func (s *siteService) turn(ctx context.Context, name string, kind model.TaskKind, queue bool) (model.Task, error) {
	if _, err := s.site(ctx, name); err != nil {
		return model.Task{}, err
	}
	if err := s.mended(ctx, name); err != nil {
		return model.Task{}, err
	}
	return s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: kind, Site: name, Queue: queue})
}
