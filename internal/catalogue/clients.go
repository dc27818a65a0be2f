package catalogue

import (
	"context"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// A client is there as soon as anything names it; its row holds its limit.
const selectClients = `SELECT n.name, coalesce(c.max_tasks, 0), coalesce(r.max_size, 0) FROM (
	SELECT name FROM clients UNION SELECT client FROM sites UNION SELECT client FROM retentions) AS n
	LEFT JOIN clients AS c ON c.name = n.name LEFT JOIN retentions AS r ON r.client = n.name AND r.site = ''
	WHERE n.name <> ''`

func scanClient(row scanner) (c model.Client, err error) {
	err = row.Scan(&c.Name, &c.MaxTasks, &c.MaxSize)
	return c, err
}

func noClient(name string) error {
	return errs.New(errs.NotFound, "list them with: sitekeep client list", "no client %q", name)
}

// Clients returns all clients by name, also those that only a site or a
// retention names.
func (c *Catalogue) Clients(ctx context.Context) ([]model.Client, error) {
	return collect(ctx, c.read, scanClient, selectClients+` ORDER BY n.name`)
}

// Client returns a client; one that nothing names is errs.NotFound.
func (c *Catalogue) Client(ctx context.Context, name string) (model.Client, error) {
	return clientIn(ctx, c.read, name)
}

func clientIn(ctx context.Context, q querier, name string) (model.Client, error) {
	return single(ctx, q, scanClient, func() error { return noClient(name) }, selectClients+` AND n.name = ?`, name)
}

// declaredClients returns the clients that have a limit or were made as such.
func declaredClients(ctx context.Context, q querier) ([]model.Client, error) {
	return collect(ctx, q, scanClient, selectClients+` AND (c.name IS NOT NULL OR r.max_size <> 0) ORDER BY n.name`)
}

// ChangeClient makes a client or changes what bounds it, with nothing in between.
func (c *Catalogue) ChangeClient(ctx context.Context, name string, change func(*model.Client) error) (out model.Client, err error) {
	err = c.update(ctx, func(ctx context.Context, tx *Tx) error {
		if out, err = clientIn(ctx, tx.q, name); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		out.Name = name
		if err := change(&out); err != nil {
			return err
		}
		out.Name = name
		return tx.PutClient(ctx, out)
	})
	return out, err
}

// PutClient records what bounds a client. What is kept of its sites' backups
// stays as it is set.
func (tx *Tx) PutClient(ctx context.Context, c model.Client) error {
	if _, err := tx.exec(ctx, `INSERT OR REPLACE INTO clients (name, max_tasks) VALUES (?, ?)`, c.Name, c.MaxTasks); err != nil {
		return fmt.Errorf("record client %s: %w", c.Name, err)
	}
	n, err := tx.exec(ctx, `UPDATE retentions SET max_size = ? WHERE client = ? AND site = ''`, c.MaxSize, c.Name)
	if err != nil || n > 0 || c.MaxSize == 0 {
		return err
	}
	return tx.PutRetention(ctx, model.Retention{Client: c.Name, MaxSize: c.MaxSize})
}

// DeleteClient forgets a client, what bounds it, and what is kept for it. One
// that owns sites is errs.Precondition; its backups keep its name.
func (c *Catalogue) DeleteClient(ctx context.Context, name string) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := clientIn(ctx, tx.q, name); err != nil {
			return err
		}
		sites, err := collect(ctx, tx.q, scanString, `SELECT name FROM sites WHERE client = ? ORDER BY name LIMIT 1`, name)
		if err != nil {
			return err
		}
		if len(sites) > 0 {
			return errs.New(errs.Precondition, "give its sites to another client first: sitekeep site set "+sites[0]+" --client NAME",
				"client %s owns site %s", name, sites[0])
		}
		if _, err := tx.exec(ctx, `DELETE FROM retentions WHERE client = ? AND site = ''`, name); err != nil {
			return err
		}
		return tx.forgetClient(ctx, name)
	})
}

func (tx *Tx) forgetClient(ctx context.Context, name string) error {
	_, err := tx.exec(ctx, `DELETE FROM clients WHERE name = ?`, name)
	return err
}

// ClientUsage is what a client has.
type ClientUsage struct {
	Client  string
	Sites   int64
	Backups int64
	Size    int64 // bytes of the tarballs
}

// ClientUsages adds up what each client has, also of sites that are gone.
func (c *Catalogue) ClientUsages(ctx context.Context) ([]ClientUsage, error) {
	return collect(ctx, c.read, func(row scanner) (u ClientUsage, err error) {
		err = row.Scan(&u.Client, &u.Sites, &u.Backups, &u.Size)
		return u, err
	}, `SELECT client, sum(sites), sum(backups), sum(size) FROM (
		SELECT client, count(*) AS sites, 0 AS backups, 0 AS size FROM sites WHERE client <> '' GROUP BY client
		UNION ALL SELECT client, 0, count(*), sum(size) FROM backups WHERE client <> '' GROUP BY client)
		GROUP BY client ORDER BY client`)
}
