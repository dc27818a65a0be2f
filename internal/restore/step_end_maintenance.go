package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/saga"
)

// endMaintenance lets visitors in. Its undo keeps them out again while the
// steps before it are taken back.
type endMaintenance struct{ *run }

func (endMaintenance) Name() string { return "end_maintenance" }

func (endMaintenance) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s endMaintenance) Do(ctx context.Context, _ saga.Memo) error {
	s.lease.Stop()
	if err := s.endEverywhere(ctx); err != nil {
		return err
	}
	s.downtime.end()
	return nil
}

func (s endMaintenance) Undo(ctx context.Context, _ saga.Memo) error {
	s.downtime.begin()
	return s.beginEverywhere(ctx)
}
