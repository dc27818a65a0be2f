package catalogue

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

const backupColumns = `id, site, created_at, description, format, size, new_bytes, plain_size, files, digest,
	pinned, pin_reason, origin, warnings, tables, table_rows, task_id`

func scanBackup(row scanner) (b model.Backup, err error) {
	err = row.Scan(&b.ID, &b.Site, timeInto{&b.CreatedAt}, &b.Description, &b.Format, &b.Size, &b.NewBytes, &b.PlainSize, &b.Files, &b.Digest,
		&b.Pinned, &b.PinReason, &b.Origin, listInto[string]{&b.Warnings}, &b.Tables, &b.Rows, &b.TaskID)
	return b, err
}

func noBackup(id string) error {
	return errs.New(errs.NotFound, "list them with: sitekeep backups", "no backup %q", id)
}

// InsertBackup lists a backup. Call it when the tarball is on stable storage,
// not before. An id that is taken is errs.Exists.
func (c *Catalogue) InsertBackup(ctx context.Context, b model.Backup) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		err := tx.insertBackup(ctx, b, "")
		if isClash(err) {
			return errs.New(errs.Exists, "look at it with: sitekeep ls "+b.ID, "backup %s is there already", b.ID)
		}
		return err
	})
}

// UpsertBackup lists a backup that was found in the store, or renews what is
// listed of it. What only the catalogue knows of a listed backup stays: its
// pin, and its description.
func (c *Catalogue) UpsertBackup(ctx context.Context, b model.Backup) error {
	const renew = ` ON CONFLICT (id) DO UPDATE SET site = excluded.site, created_at = excluded.created_at, format = excluded.format,
		size = excluded.size, new_bytes = excluded.new_bytes, plain_size = excluded.plain_size, files = excluded.files,
		digest = excluded.digest, origin = excluded.origin, warnings = excluded.warnings, tables = excluded.tables,
		table_rows = excluded.table_rows, task_id = excluded.task_id`
	return c.update(ctx, func(ctx context.Context, tx *Tx) error { return tx.insertBackup(ctx, b, renew) })
}

func (tx *Tx) insertBackup(ctx context.Context, b model.Backup, suffix string) error {
	_, err := tx.exec(ctx, `INSERT INTO backups (client, `+backupColumns+`)
		VALUES (coalesce((SELECT client FROM sites WHERE name = ?), ''), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`+suffix,
		b.Site, b.ID, b.Site, nanos(b.CreatedAt), b.Description, b.Format, b.Size, b.NewBytes, b.PlainSize, b.Files, b.Digest,
		b.Pinned, b.PinReason, b.Origin, jsonOf(b.Warnings), b.Tables, b.Rows, b.TaskID)
	if err != nil {
		return fmt.Errorf("record backup %s: %w", b.ID, err)
	}
	return nil
}

// Backup returns a backup; an unknown id is errs.NotFound.
func (c *Catalogue) Backup(ctx context.Context, id string) (model.Backup, error) {
	return backupIn(ctx, c.read, id)
}

func backupIn(ctx context.Context, q querier, id string) (model.Backup, error) {
	return single(ctx, q, scanBackup, func() error { return noBackup(id) }, `SELECT `+backupColumns+` FROM backups WHERE id = ?`, id)
}

// HasBackup reports whether a backup is listed.
func (c *Catalogue) HasBackup(ctx context.Context, id string) (bool, error) {
	var n int
	err := c.read.QueryRowContext(ctx, `SELECT count(*) FROM backups WHERE id = ?`, id).Scan(&n)
	return n > 0, classify(err)
}

// LatestBackup returns the newest backup of a site, whatever its origin, or
// errs.NotFound.
func (c *Catalogue) LatestBackup(ctx context.Context, site string) (model.Backup, error) {
	return c.newest(ctx, site, `site = ?`, site)
}

// BackupOfTask returns the newest backup of a site that a task has made, or errs.NotFound.
func (c *Catalogue) BackupOfTask(ctx context.Context, site, task string) (model.Backup, error) {
	return c.newest(ctx, site, `site = ? AND task_id = ?`, site, task)
}

// LatestBase returns the newest backup of a site in a format of which no check
// has found damage, for a new one to take unchanged frames from; errs.NotFound
// if there is none.
func (c *Catalogue) LatestBase(ctx context.Context, site, format string) (model.Backup, error) {
	return c.newest(ctx, site, `site = ? AND format = ? AND check_problem = ''`, site, format)
}

func (c *Catalogue) newest(ctx context.Context, site, where string, args ...any) (model.Backup, error) {
	none := func() error {
		return errs.New(errs.NotFound, "make one with: sitekeep backup "+site, "site %s has no such backup", site)
	}
	return single(ctx, c.read, scanBackup, none,
		`SELECT `+backupColumns+` FROM backups WHERE `+where+` ORDER BY created_at DESC, id DESC LIMIT 1`, args...)
}

// BackupFilter chooses backups; its zero value chooses all.
type BackupFilter struct {
	Site   string
	Client string // who owned the site when it was last known
	Limit  int    // 100 if not set, at most 1000
	After  string // what the page before gave as next
}

// Backups returns a page of backups, newest first, and what the next page goes
// on after; it is empty at the end. Backups that come or go between two pages
// move nothing.
func (c *Catalogue) Backups(ctx context.Context, f BackupFilter) (list []model.Backup, next string, err error) {
	where, args, err := f.where()
	if err != nil {
		return nil, "", err
	}
	limit := limitOf(f.Limit)
	list, err = collect(ctx, c.read, scanBackup,
		`SELECT `+backupColumns+` FROM backups`+where+` ORDER BY created_at DESC, id DESC LIMIT ?`, append(args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list backups: %w", err)
	}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		next = strconv.FormatInt(nanos(last.CreatedAt), 10) + "/" + last.ID
	}
	return list, next, nil
}

func (f BackupFilter) where() (string, []any, error) {
	terms, args := []string{`1`}, []any{}
	if f.Site != "" {
		terms, args = append(terms, `site = ?`), append(args, f.Site)
	}
	if f.Client != "" {
		terms, args = append(terms, `client = ?`), append(args, f.Client)
	}
	if f.After != "" {
		at, id, _ := strings.Cut(f.After, "/")
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			return "", nil, errs.New(errs.Usage, "begin again with the first page", "%q is not where a page ends", f.After)
		}
		terms, args = append(terms, `(created_at, id) < (?, ?)`), append(args, n, id)
	}
	return ` WHERE ` + strings.Join(terms, ` AND `), args, nil
}

// AllBackups goes over all backups that the filter chooses, newest first, a
// page at a time; an error ends it.
func (c *Catalogue) AllBackups(ctx context.Context, f BackupFilter) iter.Seq2[model.Backup, error] {
	return pages(func(after string) ([]model.Backup, string, error) {
		f.After, f.Limit = after, maxLimit
		return c.Backups(ctx, f)
	})
}

// BackupChange is what may change of a listed backup; nil leaves a field as it is.
type BackupChange struct {
	Pinned      *bool
	PinReason   *string
	Description *string
}

// UpdateBackup changes a backup and returns it.
func (c *Catalogue) UpdateBackup(ctx context.Context, id string, change BackupChange) (b model.Backup, err error) {
	err = c.update(ctx, func(ctx context.Context, tx *Tx) error {
		b, err = tx.UpdateBackup(ctx, id, change)
		return err
	})
	return b, err
}

// UpdateBackup is Catalogue.UpdateBackup within a transaction.
func (tx *Tx) UpdateBackup(ctx context.Context, id string, change BackupChange) (model.Backup, error) {
	n, err := tx.exec(ctx, `UPDATE backups SET pinned = coalesce(?, pinned), pin_reason = coalesce(?, pin_reason),
		description = coalesce(?, description) WHERE id = ?`, change.Pinned, change.PinReason, change.Description, id)
	if err != nil {
		return model.Backup{}, fmt.Errorf("change backup %s: %w", id, err)
	}
	if n == 0 {
		return model.Backup{}, noBackup(id)
	}
	return backupIn(ctx, tx.q, id)
}

// DeleteBackup takes a backup off the list, before its tarball goes. A pinned
// one stays: errs.Precondition. One that is not listed is errs.NotFound.
func (c *Catalogue) DeleteBackup(ctx context.Context, id string) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		b, err := backupIn(ctx, tx.q, id)
		if err != nil {
			return err
		}
		if b.Pinned {
			return errs.New(errs.Precondition, "first run: sitekeep unpin "+id, "backup %s is pinned (%s)", id, b.PinReason)
		}
		_, err = tx.exec(ctx, `DELETE FROM backups WHERE id = ?`, id)
		return err
	})
}

// MarkChecked records the outcome of reading a backup back: an empty problem
// means that it is what was written. A damaged one is no base for another.
func (c *Catalogue) MarkChecked(ctx context.Context, id string, at time.Time, problem string) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		n, err := tx.exec(ctx, `UPDATE backups SET checked_at = ?, check_problem = ? WHERE id = ?`, nanos(at), problem, id)
		if err == nil && n == 0 {
			return noBackup(id)
		}
		return err
	})
}

// LastCheck returns when a backup was last read back and what was found; a
// zero time means never.
func (c *Catalogue) LastCheck(ctx context.Context, id string) (at time.Time, problem string, err error) {
	_, err = single(ctx, c.read, func(row scanner) (struct{}, error) {
		return struct{}{}, row.Scan(timeInto{&at}, &problem)
	}, func() error { return noBackup(id) }, `SELECT checked_at, check_problem FROM backups WHERE id = ?`, id)
	return at, problem, err
}

// Usage is what a site's backups amount to.
type Usage struct {
	Site     string
	Count    int64
	Size     int64 // bytes of the tarballs
	NewBytes int64 // of them, bytes that no older tarball has; only by SiteUsage
	Newest   time.Time
}

const selectUsage = `SELECT site, count(*), sum(size), sum(new_bytes), max(created_at) FROM backups`

func scanUsage(row scanner) (u Usage, err error) {
	err = row.Scan(&u.Site, &u.Count, &u.Size, &u.NewBytes, timeInto{&u.Newest})
	return u, err
}

// SiteUsage adds up a site's backups; a site without any is all zeros.
func (c *Catalogue) SiteUsage(ctx context.Context, site string) (Usage, error) {
	list, err := collect(ctx, c.read, scanUsage, selectUsage+` WHERE site = ? GROUP BY site`, site)
	if err != nil || len(list) == 0 {
		return Usage{Site: site}, err
	}
	return list[0], nil
}
