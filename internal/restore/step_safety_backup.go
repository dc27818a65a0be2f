package restore

import (
	"context"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// safetyDescription is what Aegir writes, so that its users find it in the list.
const safetyDescription = "Generated before being restored to a previous version"

// safetyBackup backs up the site as it is now, whatever state it is in. The
// backup is kept for ever by this saga: no undo touches it. It is pinned until
// the restore is confirmed; one that fails leaves it to the site's next restore.
type safetyBackup struct{ *run }

func (safetyBackup) Name() string { return "safety_backup" }

func (safetyBackup) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s safetyBackup) Do(ctx context.Context, _ saga.Memo) error {
	b, err := s.backups.Safety(ctx, &s.basis.Site, s.task, safetyDescription, s.log)
	if err != nil {
		return fmt.Errorf("safety backup of %s: %w", s.basis.Site.Name, err)
	}
	s.outcome.setSafety(b.ID)
	s.log.Log(model.LevelInfo, "safety backup %s (%s, %d files)", b.ID, bytesize.Text(b.Size), b.Files)
	for _, w := range b.Warnings {
		s.log.Warn("safety backup: %s", w)
	}
	return nil
}

// Undo keeps the backup.
func (safetyBackup) Undo(context.Context, saga.Memo) error { return nil }

// Finish ends the pin: the restore was confirmed.
func (s safetyBackup) Finish(ctx context.Context, _ saga.Memo) error {
	return s.backups.UnpinSafety(ctx, s.basis.Site.Name, s.task)
}
