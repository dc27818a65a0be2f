package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// Journals keeps the records of sagas, and with two of them what they make true of the site.
type Journals interface {
	AppendJournal(ctx context.Context, taskID string, record []byte, also ...catalogue.Also) error
	JournalRecords(ctx context.Context, taskID string) ([][]byte, error)
	CommitRestore(ctx context.Context, r catalogue.RestoreCommit, also ...catalogue.Also) error
}

// Graces keeps which restores can still be taken back.
type Graces interface {
	OpenGraces(ctx context.Context, site string) ([]catalogue.Grace, error)
	Grace(ctx context.Context, taskID string) (catalogue.Grace, error)
	MoveGrace(ctx context.Context, taskID string, from, to catalogue.GraceState) (bool, error)
}

// journal is the saga's journal of one task. A commit, and the end of a
// rollback after one, change what the inventory records of the site in the
// same transaction: there is no instant at which the two disagree.
type journal struct {
	records Journals
	task    string
	basis   *Basis // may be nil where records are only read
}

// Append is durable when it returns.
func (j journal) Append(ctx context.Context, r saga.Record) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("journal of task %s: %w", j.task, err)
	}
	switch r.Kind {
	case saga.KindCommitted:
		switch {
		case j.basis.New:
			return j.recordSite(ctx, raw)
		case j.basis.Migrates():
			return j.recordMove(ctx, raw, r.Due)
		}
		commit, err := j.commit(raw, r.Due)
		if err != nil {
			return err
		}
		return j.records.CommitRestore(ctx, commit)
	case saga.KindRolledBack:
		return j.rolledBack(ctx, raw)
	}
	return j.records.AppendJournal(ctx, j.task, raw)
}

func (j journal) commit(raw []byte, due time.Time) (catalogue.RestoreCommit, error) {
	c := catalogue.RestoreCommit{TaskID: j.task, Site: j.basis.Site.Name, Old: j.basis.Site.Database, New: j.basis.newDatabase(), Record: raw}
	if j.basis.Grace == 0 {
		return c, nil
	}
	c.Grace = &catalogue.Grace{TaskID: j.task, Site: j.basis.Site.Name, Due: due, State: catalogue.GraceWaiting}
	if !j.basis.WithDatabase() {
		return c, nil
	}
	var err error
	c.Grace.Memo, err = memo(keeps{j.basis.Site.DBServer, j.basis.Site.Database.Name})
	return c, err
}

// keeps is the memo of a grace time: the old database, for other sites that may have shared it.
type keeps struct{ DBServer, Database string }

// newDatabase is what the site uses once the restore is committed.
func (b *Basis) newDatabase() model.Database {
	if !b.WithDatabase() {
		return b.Site.Database
	}
	return model.Database{Name: b.NewDatabase, User: b.NewDatabase, Host: b.NewHost}
}

func (j journal) rolledBack(ctx context.Context, raw []byte) error {
	before, err := j.Records(ctx)
	if err != nil {
		return err
	}
	for _, r := range before {
		if r.Kind == saga.KindCommitted {
			return j.records.AppendJournal(ctx, j.task, raw, func(ctx context.Context, tx *catalogue.Tx) error {
				if j.basis.Migrates() {
					return j.moveBack(ctx, tx)
				}
				return tx.SetSiteDatabase(ctx, j.basis.Site.Name, j.basis.newDatabase(), j.basis.Site.Database)
			})
		}
	}
	return j.records.AppendJournal(ctx, j.task, raw)
}

// Records returns all records in order.
func (j journal) Records(ctx context.Context) ([]saga.Record, error) {
	raws, err := j.records.JournalRecords(ctx, j.task)
	if err != nil {
		return nil, err
	}
	out := make([]saga.Record, len(raws))
	for i, raw := range raws {
		if err := json.Unmarshal(raw, &out[i]); err != nil {
			return nil, fmt.Errorf("journal of task %s, record %d: %w", j.task, i, err)
		}
	}
	return out, nil
}
