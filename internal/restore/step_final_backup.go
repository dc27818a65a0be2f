package restore

import (
	"context"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// finalDescription is that of the backup out of which a site is made at its new place.
const finalDescription = "Generated before being migrated"

// finalBackup backs up the site that nobody can change any more. What follows is made out of that backup. A process that has
// not made it never goes on behind it: what is interrupted before the commit is undone. It is pinned as a safety backup is.
type finalBackup struct{ *run }

func (finalBackup) Name() string { return "final_backup" }

func (finalBackup) Prepare(context.Context) (saga.Memo, error) { return nil, nil }

func (s finalBackup) Do(ctx context.Context, _ saga.Memo) error {
	site := s.basis.From
	b, err := s.backups.Final(ctx, site, s.task, finalDescription, s.log)
	if err != nil {
		return fmt.Errorf("last backup of %s: %w", site.Name, err)
	}
	s.outcome.setSafety(b.ID)
	s.log.Log(model.LevelInfo, "last backup %s (%s, %d files)", b.ID, bytesize.Text(b.Size), b.Files)
	for _, w := range b.Warnings {
		s.log.Warn("last backup: %s", w)
	}
	s.basis.Backup = b.ID
	return s.withTarball(ctx, func(t *backup.Tarball) error { return s.adopt(b.Format, t.Facts()) })
}

// adopt lets the later steps know what they are to bring to the new place.
func (s finalBackup) adopt(format string, f backup.Facts) error {
	b := &s.basis
	if f.HasDump != b.HasDump {
		return errs.New(errs.Failed, "look at: sitekeep ls "+b.Backup, "the last backup and the one before do not both hold a database")
	}
	b.Format, b.Digest, b.TreeBytes, b.DumpBytes, b.Entries = format, f.Digest, f.TreeBytes, f.DumpBytes, f.Entries
	b.Charset, b.Collation, b.Collations, b.PageStatus = f.Charset, f.Collation, f.Collations, f.PageStatus
	s.outcome.Backup, s.meter.total = b.Backup, b.sent()
	return nil
}

// Undo keeps the backup.
func (finalBackup) Undo(context.Context, saga.Memo) error { return nil }

// Finish ends the pin: the migration was confirmed.
func (s finalBackup) Finish(ctx context.Context, _ saga.Memo) error {
	return s.backups.UnpinSafety(ctx, s.basis.Site.Name, s.task)
}
