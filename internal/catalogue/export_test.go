package catalogue

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/retention"
)

// Bulk fills a catalogue for tests in one transaction, which a disk takes in a moment.
func (c *Catalogue) Bulk(ctx context.Context, sites []model.Site, backups []model.Backup, tasks []model.Task) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		for _, s := range sites {
			if err := tx.CreateSite(ctx, s); err != nil {
				return err
			}
		}
		for _, b := range backups {
			if err := tx.insertBackup(ctx, b, ""); err != nil {
				return err
			}
		}
		for _, t := range tasks {
			if err := tx.insertTask(ctx, t, true); err != nil {
				return err
			}
		}
		return nil
	})
}

// ManySites is manySites.
const ManySites = manySites

// ReadShelf is RetentionBackups with nothing remembered.
func (c *Catalogue) ReadShelf(ctx context.Context) ([][]retention.Backup, error) {
	s := &shelf{seq: -1}
	err := s.renew(ctx, c.read)
	return s.sorted, err
}
