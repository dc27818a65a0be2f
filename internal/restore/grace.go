package restore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// Earlier names the restore that an undo takes back, or that a finish cleans up after.
type Earlier struct{ Restore string }

// undoDescription is that of the backup which an undo takes first.
const undoDescription = "Generated before a restore was undone"

// Letting visitors in again after an undo that did not begin is tried endAttempts times, and for at most endTimeout.
const (
	endAttempts = 30
	endEvery    = time.Second
	endTimeout  = time.Minute
)

// Undo is the handler of undo tasks: within the grace time it brings back what a restore replaced.
func (r *Restorer) Undo(ctx context.Context, t *tasks.Run) (any, error) {
	var q Earlier
	if err := t.Spec(&q); err != nil {
		return nil, err
	}
	return r.undo(ctx, t.Task.ID, q, t)
}

func (r *Restorer) undo(ctx context.Context, task string, q Earlier, log Log) (*Outcome, error) {
	// What has been begun comes to its end, cancelled or not: see the journal and the grace time whatever ctx says.
	g, err := r.deps.Graces.Grace(context.WithoutCancel(ctx), q.Restore)
	if err != nil {
		return nil, err
	}
	if g.State == catalogue.GraceFinished {
		return nil, errs.New(errs.Precondition, "restore the safety backup instead; see: sitekeep backups "+g.Site,
			"the grace time of restore %s is over", g.TaskID)
	}
	w, state, err := r.earlier(ctx, g, log)
	if err != nil {
		return nil, err
	}
	out := &Outcome{}
	// After a restart the backup is there already, or the rollback has begun and the site is between the two.
	if g.State == catalogue.GraceWaiting {
		if out.SafetyBackup, err = r.keepBeforeUndo(ctx, w, task); err != nil {
			return nil, err
		}
		if err := r.claim(ctx, w); err != nil {
			r.letIn(ctx, w, task)
			return nil, err
		}
	}
	if err := r.end(ctx, w, state, (*saga.Engine).Rollback, saga.RolledBack); err != nil {
		return nil, err
	}
	out.Downtime = r.undoDowntime(ctx, w, task)
	log.Log(model.LevelInfo, "taken back; %s is as it was before restore %s", g.Site, g.TaskID)
	r.unpin(ctx, w, task)
	return out, nil
}

// unpin lets go of both safety backups: the site is what the restore's own one has, and what the undo's has was not wanted.
func (r *Restorer) unpin(ctx context.Context, w *run, undo string) {
	ctx, site := context.WithoutCancel(ctx), w.basis.Site.Name
	err := errors.Join(r.deps.Backups.UnpinSafety(ctx, site, undo), r.deps.Backups.UnpinSafety(ctx, site, w.task))
	if err != nil {
		w.log.Warn("the safety backups stay pinned: %v", err)
	}
}

// keepBeforeUndo saves what visitors may have written since the restore, and lets them write nothing from then on.
func (r *Restorer) keepBeforeUndo(ctx context.Context, w *run, task string) (id string, err error) {
	site, err := r.deps.Sites.Site(ctx, w.basis.Site.Name)
	if err != nil {
		return "", err
	}
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	w.lease.Lost = lost
	if err := r.noteMaintenance(ctx, task, saga.KindBegun); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			r.letIn(ctx, w, task)
		}
	}()
	if err := w.eachWeb(ctx, w.begin(leaseTime)); err != nil {
		return "", fmt.Errorf("maintenance of %s: %w", site.Name, err)
	}
	w.lease.Keep(context.WithoutCancel(ctx)) // end stops it
	b, err := r.deps.Backups.Safety(ctx, &site, task, undoDescription, w.log)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("safety backup of %s: %w", site.Name, err)
	}
	w.log.Log(model.LevelInfo, "safety backup %s", b.ID)
	return b.ID, nil
}

// letIn ends a maintenance that nothing came of.
func (r *Restorer) letIn(ctx context.Context, w *run, task string) {
	ctx = context.WithoutCancel(ctx)
	w.lease.Stop()
	if err := r.endPatiently(ctx, w); err != nil {
		w.log.Warn("the maintenance ends by itself within %s: %v", leaseTime, err)
	}
	if err := r.noteMaintenance(ctx, task, saga.KindUndone); err != nil {
		w.log.Warn("how long the site was down will not be known: %v", err)
	}
}

// endPatiently asks an agent that is away again for a while: one that has died is started again in a moment.
func (r *Restorer) endPatiently(ctx context.Context, w *run) error {
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	for n := 1; ; n++ {
		err := w.eachWeb(ctx, w.end)
		if err == nil || n == endAttempts || !errs.Temporary(err) || r.sleep(ctx, endEvery) != nil {
			return err
		}
	}
}

// Finish is the handler of finish tasks: it removes what a restore has kept for its grace time.
func (r *Restorer) Finish(ctx context.Context, t *tasks.Run) (any, error) {
	var q Earlier
	if err := t.Spec(&q); err != nil {
		return nil, err
	}
	return r.finish(ctx, q, t)
}

func (r *Restorer) finish(ctx context.Context, q Earlier, log Log) (*Outcome, error) {
	g, err := r.deps.Graces.Grace(context.WithoutCancel(ctx), q.Restore)
	if err != nil {
		return nil, err
	}
	if g.State == catalogue.GraceUndone || g.State == catalogue.GraceFinished {
		return &Outcome{}, nil
	}
	w, state, err := r.earlier(ctx, g, log)
	if err != nil {
		return nil, err
	}
	return &Outcome{}, r.close(ctx, w, state, g)
}

// close cleans up after a restore, or brings an undo of it to its end that was begun before.
func (r *Restorer) close(ctx context.Context, w *run, state saga.State, g catalogue.Grace) error {
	if g.State == catalogue.GraceWaiting {
		if err := r.claim(ctx, w); err != nil {
			return err
		}
	}
	if state.Phase == saga.PhaseRollingBack || state.Phase == saga.PhaseRolledBack {
		return r.end(ctx, w, state, (*saga.Engine).Rollback, saga.RolledBack)
	}
	return r.end(ctx, w, state, (*saga.Engine).Finish, saga.Completed)
}

// confirm ends the grace time of a site's earlier restores: a new one would leave nothing to undo them with.
func (r *Restorer) confirm(ctx context.Context, open []catalogue.Grace, log Log) error {
	for _, g := range open {
		w, state, err := r.earlier(ctx, g, log)
		if err != nil {
			return err
		}
		log.Log(model.LevelInfo, "restore %s is confirmed by this one; cleaning up after it", g.TaskID)
		if err := r.close(ctx, w, state, g); err != nil {
			return fmt.Errorf("clean up after restore %s: %w", g.TaskID, err)
		}
	}
	return nil
}

// earlier makes the run of a restore that is in its grace time.
func (r *Restorer) earlier(ctx context.Context, g catalogue.Grace, log Log) (*run, saga.State, error) {
	state, err := saga.Inspect(context.WithoutCancel(ctx), r.journal(g.TaskID, nil))
	if err != nil {
		return nil, state, err
	}
	w, err := r.resume(g.TaskID, state, log)
	if err == nil && w == nil {
		err = errs.New(errs.Corrupt, "", "restore %s has no journal", g.TaskID)
	}
	return w, state, err
}

// claim notes that the end of a grace time has begun.
func (r *Restorer) claim(ctx context.Context, w *run) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	_, err := r.deps.Graces.MoveGrace(context.WithoutCancel(ctx), w.task, catalogue.GraceWaiting, catalogue.GraceEnding)
	return err
}

// end brings a restore whose grace time was claimed to one of its two ends. It may be repeated. Nothing but the end of
// the master stops it.
func (r *Restorer) end(ctx context.Context, w *run, state saga.State, act advance, want saga.Outcome) error {
	defer w.lease.Stop()
	lasting, stop := r.lasting(ctx)
	defer stop()
	first := act
	if state.Stuck != nil { // a person has acted
		first = (*saga.Engine).Resume
	}
	outcome, err := r.carryOn(lasting, w, first, act)
	switch {
	case outcome == saga.NeedsOperator:
		return needsOperator(err)
	case outcome != want:
		return fmt.Errorf("restore %s ended as %s: %w", w.task, outcome, err)
	}
	ended := catalogue.GraceFinished
	if want == saga.RolledBack {
		ended = catalogue.GraceUndone
	}
	// It has ended whether this can be noted or not; the next look at it notes it.
	if _, err := r.deps.Graces.MoveGrace(lasting, w.task, catalogue.GraceEnding, ended); err != nil {
		w.log.Warn("the end of the grace time could not be noted yet: %v", err)
	}
	return nil
}
