package master

import (
	"context"
	"errors"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

const (
	houseEvery = 15 * time.Second
	purgeEvery = time.Hour
	// finishAgain is when another task is submitted to clean up after a restore: the one before has failed, was
	// cancelled, or still waits its turn. Two do no harm.
	finishAgain = time.Hour
)

// keepHouse submits what falls due, and removes what is kept for a time only.
func (m *Master) keepHouse(ctx context.Context) error {
	submitted := map[string]time.Time{} // by restore
	tick := time.NewTicker(houseEvery)
	defer tick.Stop()
	var purged time.Time
	for {
		if err := m.finishDue(ctx, submitted); err != nil && ctx.Err() == nil {
			m.o.Log.Error("looking for restores whose grace time is over", "error", err)
		}
		if now := m.o.Now(); now.Sub(purged) >= purgeEvery {
			m.purge(ctx, now)
			if err := m.pruneDue(ctx); err != nil && ctx.Err() == nil {
				m.o.Log.Error("looking for backups that may go", "error", err)
			}
			purged = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// finishDue submits the cleaning up after each restore whose grace time is over. One site that cannot be cleaned up
// now keeps none of the others waiting.
func (m *Master) finishDue(ctx context.Context, submitted map[string]time.Time) error {
	now := m.o.Now()
	open, err := m.catalogue.OpenGraces(ctx, "") // with those whose end was begun, and broke off
	if err != nil {
		return err
	}
	var found []error
	for _, g := range open {
		if at, ok := submitted[g.TaskID]; g.Due.After(now) || ok && now.Sub(at) < finishAgain {
			continue
		}
		submitted[g.TaskID] = now
		_, err := m.tasks.Submit(ctx, tasks.SubmitRequest{
			Kind: model.TaskFinish, Site: g.Site, Queue: true, Spec: restore.Earlier{Restore: g.TaskID},
		})
		found = append(found, err)
	}
	return errors.Join(found...)
}

func (m *Master) purge(ctx context.Context, now time.Time) {
	if _, err := m.catalogue.PurgeLogs(ctx, now.Add(-m.config.KeepLogs)); err != nil && ctx.Err() == nil {
		m.o.Log.Error("purge task logs", "error", err)
	}
	if err := m.accounts.Purge(ctx); err != nil && ctx.Err() == nil {
		m.o.Log.Error("purge sessions", "error", err)
	}
	if err := m.catalogue.PurgeJoinTokens(ctx, now.Add(-m.config.KeepLogs)); err != nil && ctx.Err() == nil {
		m.o.Log.Error("purge join tokens", "error", err)
	}
}
