package restore

import (
	"context"
	"fmt"

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

// Undo is the handler of undo tasks: within the grace time it brings back what a restore replaced.
func (r *Restorer) Undo(ctx context.Context, t *tasks.Run) (any, error) {
	var q Earlier
	if err := t.Spec(&q); err != nil {
		return nil, err
	}
	g, err := r.deps.Graces.Grace(ctx, q.Restore)
	if err != nil {
		return nil, err
	}
	if g.State == catalogue.GraceFinished {
		return nil, errs.New(errs.Precondition, "restore the safety backup instead; see: sitekeep backups "+g.Site,
			"the grace time of restore %s is over", g.TaskID)
	}
	out, err := r.keepBeforeUndo(ctx, t, g)
	if err != nil {
		return nil, err
	}
	if err := r.end(ctx, g, t, (*saga.Engine).Rollback, saga.RolledBack); err != nil {
		return out, err
	}
	t.Log(model.LevelInfo, "taken back; %s is as it was before restore %s", g.Site, g.TaskID)
	return out, r.deps.Backups.UnpinSafety(ctx, g.Site, t.Task.ID)
}

// keepBeforeUndo saves what visitors may have written since the restore. After a restart it is there already, or the
// rollback has begun and the site is between the two.
func (r *Restorer) keepBeforeUndo(ctx context.Context, t *tasks.Run, g catalogue.Grace) (*Outcome, error) {
	out := &Outcome{}
	if g.State != catalogue.GraceWaiting {
		return out, nil
	}
	site, err := r.deps.Sites.Site(ctx, g.Site)
	if err != nil {
		return nil, err
	}
	b, err := r.deps.Backups.Safety(ctx, &site, t.Task.ID, undoDescription, t)
	if err != nil {
		return nil, fmt.Errorf("safety backup of %s: %w", g.Site, err)
	}
	t.Log(model.LevelInfo, "safety backup %s", b.ID)
	out.setSafety(b.ID)
	return out, nil
}

// Finish is the handler of finish tasks: it removes what a restore has kept for its grace time.
func (r *Restorer) Finish(ctx context.Context, t *tasks.Run) (any, error) {
	var q Earlier
	if err := t.Spec(&q); err != nil {
		return nil, err
	}
	g, err := r.deps.Graces.Grace(ctx, q.Restore)
	if err != nil {
		return nil, err
	}
	if g.State == catalogue.GraceUndone || g.State == catalogue.GraceFinished {
		return &Outcome{}, nil
	}
	return &Outcome{}, r.end(ctx, g, t, (*saga.Engine).Finish, saga.Completed)
}

// confirmEarlier ends the grace time of a site's earlier restores: a new one would leave nothing to undo them with.
func (r *Restorer) confirmEarlier(ctx context.Context, t *tasks.Run, site string) error {
	open, err := r.deps.Graces.OpenGraces(ctx, site)
	if err != nil {
		return err
	}
	for _, g := range open {
		t.Log(model.LevelInfo, "restore %s is confirmed by this one; cleaning up after it", g.TaskID)
		if err := r.end(ctx, g, t, (*saga.Engine).Finish, saga.Completed); err != nil {
			return fmt.Errorf("clean up after restore %s: %w", g.TaskID, err)
		}
	}
	return nil
}

// end brings a restore that waits in its grace time to one of its two ends. It may be repeated.
func (r *Restorer) end(ctx context.Context, g catalogue.Grace, log Log, act advance, want saga.Outcome) error {
	w, err := r.resume(ctx, g.TaskID, log)
	if err != nil {
		return err
	}
	if w == nil {
		return errs.New(errs.Corrupt, "", "restore %s has no journal", g.TaskID)
	}
	if _, err := r.deps.Graces.MoveGrace(ctx, g.TaskID, catalogue.GraceWaiting, catalogue.GraceEnding); err != nil {
		return err
	}
	outcome, err := r.carryOn(ctx, w, act)
	switch {
	case outcome == saga.NeedsOperator:
		return needsOperator(err)
	case outcome != want:
		return fmt.Errorf("restore %s ended as %s: %w", g.TaskID, outcome, err)
	}
	state := catalogue.GraceFinished
	if want == saga.RolledBack {
		state = catalogue.GraceUndone
	}
	_, err = r.deps.Graces.MoveGrace(ctx, g.TaskID, catalogue.GraceEnding, state)
	return err
}
