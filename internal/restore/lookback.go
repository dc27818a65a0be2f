package restore

import (
	"context"
	"slices"
	"time"

	"github.com/sitekeep/sitekeep/internal/saga"
)

// lookBack fills in what a task's result tells of what happened in all its attempts: this process may have seen none
// of it. What cannot be read is left out, because the restore itself has ended, one way or the other.
func (r *Restorer) lookBack(ctx context.Context, w *run) {
	ctx = context.WithoutCancel(ctx)
	records, err := r.journal(w.task, nil).Records(ctx)
	if err != nil {
		w.log.Warn("how long the site was down is not known: %v", err)
	}
	w.outcome.Downtime = downtime(records)
	if w.outcome.SafetyBackup != "" {
		return
	}
	b, err := r.deps.Backups.SafetyOf(ctx, w.basis.Site.Name, w.task)
	if err != nil {
		w.log.Warn("which backup is the safety backup is not known: %v", err)
	}
	if b != nil {
		w.outcome.SafetyBackup = b.ID
	}
}

// downtime adds up for how long visitors got the maintenance page by what a journal says of its steps. Where a master
// was away before anything was exchanged the lease may have ended it earlier: it was that long at most.
func downtime(records []saga.Record) (total time.Duration) {
	var since time.Time
	for _, r := range records {
		switch down, known := inMaintenance(r); {
		case !known:
		case down && since.IsZero():
			since = r.Time
		case !down && !since.IsZero():
			total, since = total+r.Time.Sub(since), time.Time{}
		}
	}
	return total
}

// noteMaintenance writes into the journal of an undo task that visitors are kept out (saga.KindBegun), or let in
// (saga.KindUndone), before the journal of the restore that it takes back knows anything of it.
func (r *Restorer) noteMaintenance(ctx context.Context, task string, kind saga.Kind) error {
	return r.journal(task, nil).Append(ctx, saga.Record{Kind: kind, Step: beginMaintenance{}.Name(), Time: r.deps.Now()})
}

// undoDowntime is for how long visitors got the maintenance page while a restore was taken back, in all attempts.
func (r *Restorer) undoDowntime(ctx context.Context, w *run, task string) time.Duration {
	ctx = context.WithoutCancel(ctx)
	records, err := r.journal(task, nil).Records(ctx)
	if err == nil {
		var restored []saga.Record
		restored, err = r.journal(w.task, nil).Records(ctx)
		records = append(records, afterCommit(restored)...)
	}
	if err != nil {
		w.log.Warn("how long the site was down is not known: %v", err)
	}
	return downtime(records)
}

// afterCommit is what happened since a restore was over.
func afterCommit(records []saga.Record) []saga.Record {
	i := slices.IndexFunc(records, func(r saga.Record) bool { return r.Kind == saga.KindCommitted })
	return records[i+1:]
}

// inMaintenance tells of the records with which maintenance begins or ends, which of the two it is.
func inMaintenance(r saga.Record) (down, known bool) {
	begin, end := beginMaintenance{}.Name(), endMaintenance{}.Name()
	switch {
	case r.Step == begin && r.Kind == saga.KindBegun, r.Step == end && r.Kind == saga.KindUndoing:
		return true, true
	case r.Step == begin && r.Kind == saga.KindUndone, r.Step == end && r.Kind == saga.KindDone, r.Kind == saga.KindRolledBack:
		return false, true
	}
	return false, false
}
