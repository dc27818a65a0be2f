package catalogue

import (
	"context"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

const retentionColumns = `client, site, last, hourly, daily, weekly, monthly, yearly, min_age, safety, zone, max_size`

func scanRetention(row scanner) (r model.Retention, err error) {
	err = row.Scan(&r.Client, &r.Site, &r.Last, &r.Hourly, &r.Daily, &r.Weekly, &r.Monthly, &r.Yearly, &r.MinAge, &r.Safety, &r.Zone, &r.MaxSize)
	return r, err
}

// PutRetention records what is kept of a site, of a client's sites, or of all,
// in place of what was recorded for the same.
func (c *Catalogue) PutRetention(ctx context.Context, r model.Retention) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error { return tx.PutRetention(ctx, r) })
}

// PutRetention is Catalogue.PutRetention within a transaction.
func (tx *Tx) PutRetention(ctx context.Context, r model.Retention) error {
	_, err := tx.exec(ctx, `INSERT OR REPLACE INTO retentions (`+retentionColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.Client, r.Site, r.Last, r.Hourly, r.Daily, r.Weekly, r.Monthly, r.Yearly, r.MinAge, r.Safety, r.Zone, r.MaxSize)
	if err != nil {
		return fmt.Errorf("record retention: %w", err)
	}
	return nil
}

// Retentions returns all that is recorded: first what holds for all, then
// clients', then sites'.
func (c *Catalogue) Retentions(ctx context.Context) ([]model.Retention, error) {
	return collect(ctx, c.read, scanRetention, `SELECT `+retentionColumns+` FROM retentions ORDER BY site, client`)
}

// DeleteRetention forgets what is recorded for a site, a client, or all.
func (c *Catalogue) DeleteRetention(ctx context.Context, client, site string) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error { return tx.DeleteRetention(ctx, client, site) })
}

// DeleteRetention is Catalogue.DeleteRetention within a transaction.
func (tx *Tx) DeleteRetention(ctx context.Context, client, site string) error {
	n, err := tx.exec(ctx, `DELETE FROM retentions WHERE client = ? AND site = ?`, client, site)
	if err == nil && n == 0 {
		return errs.New(errs.NotFound, "list them with: sitekeep retention list", "no retention is set there")
	}
	return err
}

// PruneBackup takes a backup off the list that retention lets go, before its
// tarball goes. By what is listed at this moment it refuses, with
// errs.Precondition, one that is pinned, and one without a newer backup that can
// stand for it: a whole one for a whole one.
func (c *Catalogue) PruneBackup(ctx context.Context, id string) error {
	const newer = `SELECT n.id FROM backups AS n, backups AS b WHERE b.id = ? AND n.site = b.site
		AND (n.created_at, n.id) > (b.created_at, b.id)
		AND (b.origin = 'safety' OR b.check_problem <> '' OR n.origin <> 'safety' AND n.check_problem = '') LIMIT 1`
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		b, err := backupIn(ctx, tx.q, id)
		if err != nil {
			return err
		}
		if b.Pinned {
			return errs.New(errs.Precondition, "if it may go: sitekeep unpin "+id, "it is pinned (%s)", b.PinReason)
		}
		heirs, err := collect(ctx, tx.q, scanString, newer, id)
		if err != nil {
			return err
		}
		if len(heirs) == 0 {
			return errs.New(errs.Precondition, "", "it is the last good backup of %s", b.Site)
		}
		_, err = tx.exec(ctx, `DELETE FROM backups WHERE id = ?`, id)
		return err
	})
}
