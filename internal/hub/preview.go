package hub

import (
	"context"

	"github.com/oklog/ulid/v2"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/restore"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// preview says what a request would do: it makes the very plan, and looks at the servers as its first step does.
func (s *restoreService) preview(ctx context.Context, r restore.Request) (*sitekeepv1.PlanRestoreResponse, error) {
	plan, err := s.Restorer.DryRun(ctx, ulid.Make().String(), r)
	if err != nil {
		return nil, err
	}
	return planToProto(plan), nil
}

// previewClone goes by the last backup where none is named: the clone would be made of a new one.
func (s *restoreService) previewClone(ctx context.Context, r restore.CloneRequest) (out *sitekeepv1.PlanRestoreResponse, err error) {
	fresh := r.Backup == ""
	if fresh {
		if r.Backup, err = s.lastBackup(ctx, r.Source); err != nil {
			return nil, err
		}
	}
	out, err = s.preview(ctx, r.Deployment())
	if err != nil || !fresh {
		return out, err
	}
	first := &sitekeepv1.PlanStep{Name: "backup", Description: "back up " + r.Source + ", which goes on to serve; sizes are those of " + r.Backup}
	out.Steps = append([]*sitekeepv1.PlanStep{first}, out.Steps...)
	return out, nil
}

// lastBackup is what sizes are taken from.
func (s *restoreService) lastBackup(ctx context.Context, site string) (string, error) {
	b, err := s.Catalogue.LatestBackup(ctx, site)
	if errs.Is(err, errs.NotFound) {
		return "", errs.New(errs.Precondition, "back it up first: sitekeep backup "+site, "what %s needs is not known: it has no backup yet", site)
	}
	return b.ID, err
}
