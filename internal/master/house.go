package master

import (
	"context"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/restore"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

const (
	houseEvery = 15 * time.Second
	purgeEvery = time.Hour
)

// keepHouse submits what falls due, and removes what is kept for a time only.
func (m *Master) keepHouse(ctx context.Context) error {
	submitted := map[string]bool{} // by restore; a task that is queued already need not be queued again
	tick := time.NewTicker(houseEvery)
	defer tick.Stop()
	var purged time.Time
	for {
		if err := m.finishDue(ctx, submitted); err != nil && ctx.Err() == nil {
			m.o.Log.Error("looking for restores whose grace time is over", "error", err)
		}
		if now := m.o.Now(); now.Sub(purged) >= purgeEvery {
			m.purge(ctx, now)
			purged = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (m *Master) finishDue(ctx context.Context, submitted map[string]bool) error {
	due, err := m.catalogue.DueGraces(ctx, m.o.Now())
	if err != nil {
		return err
	}
	for _, g := range due {
		if submitted[g.TaskID] {
			continue
		}
		_, err := m.tasks.Submit(ctx, tasks.SubmitRequest{
			Kind: model.TaskFinish, Site: g.Site, Queue: true, Spec: restore.Earlier{Restore: g.TaskID},
		})
		if err != nil {
			return err
		}
		submitted[g.TaskID] = true
	}
	return nil
}

func (m *Master) purge(ctx context.Context, now time.Time) {
	if _, err := m.catalogue.PurgeLogs(ctx, now.Add(-m.config.KeepLogs)); err != nil && ctx.Err() == nil {
		m.o.Log.Error("purge task logs", "error", err)
	}
	if err := m.catalogue.PurgeJoinTokens(ctx, now.Add(-m.config.KeepLogs)); err != nil && ctx.Err() == nil {
		m.o.Log.Error("purge join tokens", "error", err)
	}
}
