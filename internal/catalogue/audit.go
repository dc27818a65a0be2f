package catalogue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// AuditEntry says who did what. It holds no secret.
type AuditEntry struct {
	Time    time.Time
	Who     string // "uid:0 (root)", or the API token's name
	Role    string
	Method  string // of the API
	Subject string // what it was done to
	Outcome string // "ok", or the error's kind
}

// numberedEntry is an entry and its place in the log.
type numberedEntry struct {
	AuditEntry
	seq int64
}

// AddAudit adds an entry to the audit log.
func (c *Catalogue) AddAudit(ctx context.Context, e AuditEntry) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `INSERT INTO audit (at, who, role, method, subject, outcome) VALUES (?, ?, ?, ?, ?, ?)`,
			nanos(e.Time), e.Who, e.Role, e.Method, e.Subject, e.Outcome)
		return err
	})
}

// Audit returns a page of the audit log, newest first (limit: 100 if not set,
// at most 1000), and what the next page goes on after; it is empty at the end.
func (c *Catalogue) Audit(ctx context.Context, limit int, after string) (list []AuditEntry, next string, err error) {
	below := int64(1<<63 - 1)
	if after != "" {
		if below, err = strconv.ParseInt(after, 10, 64); err != nil {
			return nil, "", errs.New(errs.Usage, "begin again with the first page", "%q is not where a page ends", after)
		}
	}
	limit = limitOf(limit)
	rows, err := collect(ctx, c.read, func(row scanner) (e numberedEntry, err error) {
		err = row.Scan(&e.seq, timeInto{&e.Time}, &e.Who, &e.Role, &e.Method, &e.Subject, &e.Outcome)
		return e, err
	}, `SELECT seq, at, who, role, method, subject, outcome FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?`, below, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("read the audit log: %w", err)
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = strconv.FormatInt(rows[limit-1].seq, 10)
	}
	for _, row := range rows {
		list = append(list, row.AuditEntry)
	}
	return list, next, nil
}

// PurgeAudit removes entries that are older than a time.
func (c *Catalogue) PurgeAudit(ctx context.Context, before time.Time) error {
	return c.update(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, `DELETE FROM audit WHERE at < ?`, nanos(before))
		return err
	})
}
