package restore

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/saga"
)

// endMaintenance lets visitors in. Its undo keeps them out again while the
// steps before it are taken back.
type endMaintenance struct {
	*run
	independent
}

func (endMaintenance) Name() string { return "end_maintenance" }

func (endMaintenance) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s endMaintenance) Do(ctx context.Context, _ saga.Memo) error {
	s.lease.Stop()
	return s.eachWeb(ctx, s.end)
}

// Undo takes a lease that does not run out by itself: nobody sees a site that is half taken back, however long it takes.
func (s endMaintenance) Undo(ctx context.Context, _ saga.Memo) error {
	s.lease.Stop()
	return s.undoEach(ctx, s.Name(), s.begin(heldLease))
}
