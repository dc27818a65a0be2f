package catalogue

import (
	"context"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// AppendJournal adds a record to a task's journal, on stable storage when it
// returns, together with what also does, or neither.
func (c *Catalogue) AppendJournal(ctx context.Context, taskID string, record []byte, also ...Also) error {
	write := func(ctx context.Context, tx *Tx) error { return tx.appendJournal(ctx, taskID, record) }
	return c.update(ctx, append([]Also{write}, also...)...)
}

func (tx *Tx) appendJournal(ctx context.Context, taskID string, record []byte) error {
	_, err := tx.exec(ctx, `INSERT INTO journal (task_id, seq, record)
		VALUES (?1, (SELECT coalesce(max(seq), 0) + 1 FROM journal WHERE task_id = ?1), ?2)`, taskID, record)
	if err != nil {
		return fmt.Errorf("journal of task %s: %w", taskID, err)
	}
	return nil
}

// JournalRecords returns a task's journal in order.
func (c *Catalogue) JournalRecords(ctx context.Context, taskID string) ([][]byte, error) {
	return collect(ctx, c.read, func(row scanner) (record []byte, err error) {
		err = row.Scan(&record)
		return record, err
	}, `SELECT record FROM journal WHERE task_id = ? ORDER BY seq`, taskID)
}

// RestoreCommit is what becomes true at the moment in which a restore commits.
type RestoreCommit struct {
	TaskID string
	Site   string
	Old    model.Database // must be what the site is recorded as using
	New    model.Database // the same as Old if the restore left the database alone
	Record []byte         // the journal's record that says so
	Grace  *Grace         // what is kept for taking it back; nil if nothing is
}

// CommitRestore records the site's database, the journal's record and the
// grace time in one transaction. errs.Precondition, and nothing written, if
// the site is not recorded as using Old.
func (c *Catalogue) CommitRestore(ctx context.Context, r RestoreCommit, also ...Also) error {
	commit := func(ctx context.Context, tx *Tx) error {
		if err := tx.SetSiteDatabase(ctx, r.Site, r.Old, r.New); err != nil {
			return err
		}
		if r.Grace != nil {
			if err := tx.AddGrace(ctx, *r.Grace); err != nil {
				return err
			}
		}
		return tx.appendJournal(ctx, r.TaskID, r.Record)
	}
	return c.update(ctx, append([]Also{commit}, also...)...)
}

// GraceState is where the grace time of a restore stands.
type GraceState string

// The states. A grace time ends in GraceFinished or GraceUndone.
const (
	GraceWaiting  GraceState = "waiting"  // can be taken back until it is due
	GraceEnding   GraceState = "ending"   // a task removes what was kept, or brings it back
	GraceFinished GraceState = "finished" // what was kept is gone
	GraceUndone   GraceState = "undone"   // what was kept serves again
)

// Grace is a committed restore that can still be taken back.
type Grace struct {
	TaskID string // of the restore
	Site   string
	Due    time.Time // when what was kept is to go
	State  GraceState
	Memo   []byte // the restore's own note of what it keeps; holds no secret
}

func scanGrace(row scanner) (g Grace, err error) {
	err = row.Scan(&g.TaskID, &g.Site, timeInto{&g.Due}, &g.State, &g.Memo)
	return g, err
}

const selectGrace = `SELECT task_id, site, due_at, state, memo FROM graces`

// AddGrace records a grace time.
func (tx *Tx) AddGrace(ctx context.Context, g Grace) error {
	_, err := tx.exec(ctx, `INSERT INTO graces (task_id, site, due_at, state, memo) VALUES (?, ?, ?, ?, ?)`,
		g.TaskID, g.Site, nanos(g.Due), g.State, g.Memo)
	if isClash(err) {
		return errs.New(errs.Exists, "", "task %s has a grace time already", g.TaskID)
	}
	if err != nil {
		return fmt.Errorf("record the grace time of task %s: %w", g.TaskID, err)
	}
	return nil
}

// Grace returns the grace time of a restore task; errs.NotFound if it has none.
func (c *Catalogue) Grace(ctx context.Context, taskID string) (Grace, error) {
	return single(ctx, c.read, scanGrace, func() error {
		return errs.New(errs.NotFound, "list them with: sitekeep task list", "task %s has no grace time", taskID)
	}, selectGrace+` WHERE task_id = ?`, taskID)
}

// OpenGraces returns the grace times of a site that have not ended, newest
// restore first; of all sites if site is empty.
func (c *Catalogue) OpenGraces(ctx context.Context, site string) ([]Grace, error) {
	return openGracesIn(ctx, c.read, site)
}

func openGracesIn(ctx context.Context, q querier, site string) ([]Grace, error) {
	return collect(ctx, q, scanGrace, selectGrace+` WHERE state IN ('waiting', 'ending') AND (? = '' OR site = ?)
		ORDER BY due_at DESC, task_id DESC`, site, site)
}

// DueGraces returns the waiting grace times that end at now or before, oldest
// first. Those that are being ended belong to the task that does it.
func (c *Catalogue) DueGraces(ctx context.Context, now time.Time) ([]Grace, error) {
	return collect(ctx, c.read, scanGrace, selectGrace+` WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at`, nanos(now))
}

// MoveGrace changes the state of a grace time if it is from, and reports
// whether it was.
func (c *Catalogue) MoveGrace(ctx context.Context, taskID string, from, to GraceState) (moved bool, err error) {
	err = c.update(ctx, func(ctx context.Context, tx *Tx) error {
		moved, err = tx.MoveGrace(ctx, taskID, from, to)
		return err
	})
	return moved && err == nil, err
}

// MoveGrace is Catalogue.MoveGrace within a transaction.
func (tx *Tx) MoveGrace(ctx context.Context, taskID string, from, to GraceState) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE graces SET state = ? WHERE task_id = ? AND state = ?`, to, taskID, from)
	if err != nil {
		return false, fmt.Errorf("record the grace time of task %s: %w", taskID, err)
	}
	return n > 0, nil
}
