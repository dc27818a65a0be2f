package catalogue

import (
	"context"
	"errors"

	"github.com/sitekeep/sitekeep/internal/model"
)

// Inventory returns all that an operator has said, as it is at one moment.
func (c *Catalogue) Inventory(ctx context.Context) (inv model.Inventory, err error) {
	err = c.update(ctx, func(ctx context.Context, tx *Tx) error {
		inv, err = tx.Inventory(ctx)
		return err
	})
	return inv, err
}

// Inventory is Catalogue.Inventory within a transaction.
func (tx *Tx) Inventory(ctx context.Context) (inv model.Inventory, err error) {
	var errServers, errClients, errSites, errSchedules, errRetentions error
	inv.Servers, errServers = collect(ctx, tx.q, scanServer, `SELECT `+serverColumns+` FROM servers ORDER BY name`)
	inv.Clients, errClients = declaredClients(ctx, tx.q)
	inv.Sites, errSites = collect(ctx, tx.q, scanSite, selectSite+` ORDER BY s.name`)
	inv.Schedules, errSchedules = collect(ctx, tx.q, scanSchedule, `SELECT `+scheduleColumns+` FROM schedules ORDER BY name`)
	inv.Retentions, errRetentions = collect(ctx, tx.q, scanRetention, `SELECT `+retentionColumns+` FROM retentions ORDER BY site, client`)
	return inv, errors.Join(errServers, errClients, errSites, errSchedules, errRetentions)
}

// RemoveClient takes a client's limits back; what is kept of its backups stays.
func (tx *Tx) RemoveClient(ctx context.Context, name string) error {
	if err := tx.forgetClient(ctx, name); err != nil {
		return err
	}
	if _, err := tx.exec(ctx, `UPDATE retentions SET max_size = 0 WHERE client = ? AND site = ''`, name); err != nil {
		return err
	}
	return tx.dropEmptyRetentions(ctx)
}

// PutRules records what is kept, but for the size budget of a client: that is PutClient's.
func (tx *Tx) PutRules(ctx context.Context, r model.Retention) error {
	if r.Client != "" {
		sizes, err := collect(ctx, tx.q, scanInt, `SELECT max_size FROM retentions WHERE client = ? AND site = ''`, r.Client)
		if err != nil {
			return err
		}
		for _, size := range sizes {
			r.MaxSize = size
		}
	}
	return tx.PutRetention(ctx, r)
}

// RemoveRules takes back what is kept, but for the size budget of a client.
func (tx *Tx) RemoveRules(ctx context.Context, client, site string) error {
	if client == "" {
		return tx.DeleteRetention(ctx, client, site)
	}
	if err := tx.PutRules(ctx, model.Retention{Client: client}); err != nil {
		return err
	}
	return tx.dropEmptyRetentions(ctx)
}

// dropEmptyRetentions forgets settings of clients that say nothing.
func (tx *Tx) dropEmptyRetentions(ctx context.Context) error {
	_, err := tx.exec(ctx, `DELETE FROM retentions WHERE client <> '' AND site = '' AND max_size = 0
		AND last + hourly + daily + weekly + monthly + yearly + min_age + safety = 0 AND zone = ''`)
	return err
}

func scanInt(row scanner) (n int64, err error) {
	err = row.Scan(&n)
	return n, err
}
