package catalogue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/retention"
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

// Characters that part what RetentionBackups packs: no id has them, and a
// client's name that had them would be refused when it is read, not misread.
const (
	unitSeparator   = "\x1f"
	recordSeparator = "\x1e"
)

// RetentionBackups returns all backups as retention needs them, by site and then
// newest first. Client and site restrict them; empty for all.
//
// A site's backups come as one row, since rows cost more than what is in them.
func (c *Catalogue) RetentionBackups(ctx context.Context, client, site string) ([]retention.Backup, error) {
	// A safety backup takes what there is: with warnings it may lack something.
	const query = `SELECT site, group_concat(id || char(31) || created_at || char(31) || size || char(31) ||
		(pinned + 2 * (origin = 'safety') + 4 * (check_problem <> '' OR origin = 'safety' AND warnings <> '[]')) || char(31) || client,
		char(30) ORDER BY created_at DESC, id DESC)
		FROM backups WHERE (client = ?1 OR ?1 = '') AND (site = ?2 OR ?2 = '') GROUP BY site ORDER BY site`
	packed, err := collect(ctx, c.read, func(row scanner) (p [2]string, err error) {
		err = row.Scan(&p[0], &p[1])
		return p, err
	}, query, client, site)
	if err != nil {
		return nil, err
	}
	count := 0
	for _, p := range packed {
		count += 1 + strings.Count(p[1], recordSeparator)
	}
	all := make([]retention.Backup, 0, count)
	for _, p := range packed {
		for record := range strings.SplitSeq(p[1], recordSeparator) {
			b, err := unpackBackup(p[0], record)
			if err != nil {
				return nil, err
			}
			all = append(all, b)
		}
	}
	return all, nil
}

// What stands in the fourth part of a record.
const (
	isPinned = 1 << iota
	isSafety
	isLacking
)

func unpackBackup(site, record string) (retention.Backup, error) {
	var parts [5]string
	n := 0
	for part := range strings.SplitSeq(record, unitSeparator) {
		if n < len(parts) {
			parts[n] = part
		}
		n++
	}
	at, errAt := strconv.ParseInt(parts[1], 10, 64)
	size, errSize := strconv.ParseInt(parts[2], 10, 64)
	flags, errFlags := strconv.Atoi(parts[3])
	if err := errors.Join(errAt, errSize, errFlags); n != len(parts) || err != nil {
		return retention.Backup{}, errs.New(errs.Corrupt, "look for control characters in the names of the site's client",
			"a backup of %s is recorded in a way that cannot be read: %q", site, record)
	}
	b := retention.Backup{ID: parts[0], Site: site, Client: parts[4], Size: size,
		Pinned: flags&isPinned != 0, Safety: flags&isSafety != 0, Lacking: flags&isLacking != 0}
	if at != 0 {
		b.At = time.Unix(0, at).UTC()
	}
	return b, nil
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
