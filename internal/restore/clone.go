package restore

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// CloneRequest asks for a second site that is what another one is. It holds no secret.
type CloneRequest struct {
	Source string
	Backup string     `json:",omitempty"` // empty: one is made
	Site   model.Site // the new one; an empty docroot lies to the root as the source's does
}

// Deployment is what a clone is once its backup is there.
func (q *CloneRequest) Deployment() Request {
	return Request{Site: q.Site.Name, Backup: q.Backup, Deploy: &Deployment{New: &q.Site, OldName: q.Source}}
}

// Copier makes the backup that a clone is made of.
type Copier interface {
	// Copy backs a site up for a task. Calls with the same task give one backup.
	Copy(ctx context.Context, site *model.Site, task, description string, log Log) (*model.Backup, error)
}

// Clone is the handler of clone tasks. What is left of an interrupted one is undone, or gone on with, as of any
// deployment; one that was interrupted before its journal began begins again, and finds its backup.
func (r *Restorer) Clone(ctx context.Context, t *tasks.Run) (any, error) {
	var q CloneRequest
	if err := t.Spec(&q); err != nil {
		return nil, err
	}
	return r.clone(ctx, t.Task.ID, q, t)
}

func (r *Restorer) clone(ctx context.Context, task string, q CloneRequest, log Log) (*Outcome, error) {
	state, err := saga.Inspect(context.WithoutCancel(ctx), r.journal(task, nil))
	if err != nil {
		return nil, err
	}
	if state.Phase == saga.PhaseEmpty && q.Backup == "" {
		if q.Backup, err = r.copySource(ctx, task, &q, log); err != nil {
			return nil, err
		}
	}
	return r.restore(ctx, task, q.Deployment(), log)
}

// copySource backs the cloned site up. Another task that changes it would make a mixture of it, so that none may be at
// work before, or have begun meanwhile.
func (r *Restorer) copySource(ctx context.Context, task string, q *CloneRequest, log Log) (string, error) {
	site, err := r.deps.Sites.Site(ctx, q.Source)
	if err != nil {
		return "", err
	}
	begun := r.deps.Now().UTC()
	if err := r.occupied(ctx, site.Name, time.Time{}); err != nil {
		return "", err
	}
	b, err := r.deps.Copies.Copy(ctx, &site, task, "Generated to be cloned as "+q.Site.Name, log)
	if err != nil {
		return "", err
	}
	log.Log(model.LevelInfo, "backup %s of %s (%s, %d files)", b.ID, site.Name, bytesize.Text(b.Size), b.Files)
	for _, w := range b.Warnings {
		log.Warn("backup of %s: %s", site.Name, w)
	}
	return b.ID, r.occupied(ctx, site.Name, begun)
}

// changing are the kinds of tasks that make a site another one while they run.
var changing = []model.TaskKind{model.TaskRestore, model.TaskUndo, model.TaskFinish, model.TaskDeploy, model.TaskMigrate}

// occupied refuses a site that a task changes now, or has changed since a time; zero: only now.
func (r *Restorer) occupied(ctx context.Context, site string, since time.Time) error {
	list, _, err := r.deps.History.Tasks(ctx, catalogue.TaskFilter{Site: site})
	if err != nil {
		return err
	}
	for _, t := range list {
		runs := t.State == model.TaskRunning || !since.IsZero() && !t.StartedAt.Before(since)
		if runs && slices.Contains(changing, t.Kind) {
			return errs.New(errs.Busy, "clone it when that has ended: sitekeep task log -f "+t.ID, "site %s is changed by task %s", site, t.ID)
		}
	}
	return nil
}

// Reading says which backup a task restores from, as far as its request names one, and of which site it is if that is
// another than the task's.
func Reading(t *model.Task) (backup, site string) {
	switch t.Kind {
	case model.TaskRestore, model.TaskDeploy:
		var q Request
		_ = json.Unmarshal(t.Spec, &q) // nothing else writes it
		return q.Backup, ""
	case model.TaskClone:
		var q CloneRequest
		_ = json.Unmarshal(t.Spec, &q)
		return q.Backup, q.Source
	case model.TaskMigrate:
		return "", t.Site // those that it makes
	}
	return "", ""
}

// Target is the site that a task makes, before it is recorded; nil if it makes none.
func Target(t *model.Task) *model.Site {
	switch t.Kind {
	case model.TaskDeploy:
		var q Request
		if json.Unmarshal(t.Spec, &q) == nil && q.Deploy != nil {
			return q.Deploy.New
		}
	case model.TaskClone:
		var q CloneRequest
		if json.Unmarshal(t.Spec, &q) == nil {
			return &q.Site
		}
	}
	return nil
}
