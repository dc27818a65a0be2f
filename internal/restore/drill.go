package restore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// DrillSpec is the request of a drill.
type DrillSpec struct {
	Backup   string    // an id; empty: the last good one when the drill begins
	Schedule string    `json:",omitempty"` // that began it, and for which tick
	Tick     time.Time `json:",omitzero"`
}

// Drills keeps what drills have shown; internal/catalogue does.
type Drills interface {
	LatestGood(ctx context.Context, site string) (model.Backup, error)
	RecordDrill(ctx context.Context, d model.Drill) error
}

// DrillOutcome is what a drill's result tells.
type DrillOutcome struct {
	Backup string `json:"backup"`
	Files  uint64 `json:"files"`
	Bytes  uint64 `json:"bytes"` // of files and SQL
	Tables int    `json:"tables"`
	Rows   uint64 `json:"rows"`
}

// drillStages is the plan of a drill. All of it is undone at the end.
func (r *run) drillStages() [][]option {
	database := r.basis.WithDatabase()
	return [][]option{
		{{true, checkEverything{run: r}}},
		{{database, createDatabase{run: r}}},
		{{true, pushFiles{run: r}}, {database, importDump{run: r}}},
		{{database, compareData{run: r}}},
	}
}

// Drill is the handler of drill tasks. What it makes lies where a restore would
// stage it, and is gone when it returns, whatever the outcome: an agent that is
// away is waited for. The live site, its settings, its virtual host and earlier
// restores within their grace time stay as they are.
func (r *Restorer) Drill(ctx context.Context, t *tasks.Run) (any, error) {
	var q DrillSpec
	if err := t.Spec(&q); err != nil {
		return nil, err
	}
	return r.drill(ctx, t.Task.ID, t.Task.Site, q, t)
}

func (r *Restorer) drill(ctx context.Context, task, site string, q DrillSpec, log Log) (*DrillOutcome, error) {
	state, err := saga.Inspect(context.WithoutCancel(ctx), r.journal(task, nil))
	if err != nil {
		return nil, err
	}
	if state.Phase == saga.PhaseEmpty {
		return r.beginDrill(ctx, task, site, q, log)
	}
	w, err := r.resume(task, state, log)
	if err != nil {
		return nil, err
	}
	if w == nil {
		return nil, drillCut(task)
	}
	log.Log(model.LevelInfo, "going on by the journal: what the drill has made goes")
	lasting, stop := r.lasting(ctx)
	defer stop()
	outcome, err := r.carryOn(lasting, w, (*saga.Engine).Resume, (*saga.Engine).Recover)
	return r.concludeDrill(ctx, w, outcome, err)
}

func (r *Restorer) beginDrill(ctx context.Context, task, site string, q DrillSpec, log Log) (*DrillOutcome, error) {
	if q.Backup == "" {
		b, err := r.deps.Drills.LatestGood(ctx, site)
		if err != nil {
			return nil, err
		}
		q.Backup = b.ID
	}
	w, err := r.planned(ctx, task, Request{Site: site, Backup: q.Backup, Part: Drill}, log)
	if err != nil {
		return nil, r.failedDrill(ctx, task, site, q.Backup, err)
	}
	log.Log(model.LevelInfo, "a drill with %s: %s", w.basis.Backup, w.basis.describe())
	outcome, err := r.carryOn(ctx, w, (*saga.Engine).Run, (*saga.Engine).Recover)
	return r.concludeDrill(ctx, w, outcome, err)
}

// concludeDrill says how it ended. The journal decides: a drill whose steps were
// all done has passed, though the master has died before it said so.
func (r *Restorer) concludeDrill(ctx context.Context, w *run, o saga.Outcome, err error) (*DrillOutcome, error) {
	switch o {
	case saga.NeedsOperator:
		return nil, needsOperator(err)
	case saga.RolledBack:
	default:
		return nil, errors.Join(err, context.Cause(ctx))
	}
	last := context.WithoutCancel(ctx)
	state, inspected := saga.Inspect(last, r.journal(w.task, nil))
	switch {
	case inspected != nil:
		return nil, inspected
	case state.AllDone():
		return r.passedDrill(last, w)
	case err == nil || errors.Is(context.Cause(ctx), tasks.ErrCancelled) || errors.Is(err, context.Canceled):
		if cause := context.Cause(ctx); errors.Is(cause, tasks.ErrCancelled) {
			return nil, fmt.Errorf("the scratch place is gone: %w", cause)
		}
		return nil, drillCut(w.task)
	}
	return nil, r.failedDrill(last, w.task, w.basis.Site.Name, w.basis.Backup, err)
}

func drillCut(task string) error {
	return errs.New(errs.Failed, "run it again with: sitekeep task retry "+task,
		"the drill was interrupted; nothing that it made is left")
}

func (r *Restorer) passedDrill(ctx context.Context, w *run) (*DrillOutcome, error) {
	b := &w.basis
	out := &DrillOutcome{Backup: b.Backup, Files: b.Entries, Bytes: b.TreeBytes + b.DumpBytes}
	err := w.withTarball(ctx, func(t *backup.Tarball) error {
		for _, table := range t.Facts().Tables {
			out.Tables++
			out.Rows += table.Rows
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	w.log.Log(model.LevelInfo, "%s can be restored; what the drill made is gone", b.Backup)
	return out, r.deps.Drills.RecordDrill(ctx, model.Drill{Site: b.Site.Name, Backup: b.Backup, At: r.deps.Now().UTC(), TaskID: w.task})
}

// failedDrill records a failure that says something of the backup, and returns it. Of one that may pass by itself
// nothing is recorded: it is the task that has failed, not the backup.
func (r *Restorer) failedDrill(ctx context.Context, task, site, id string, err error) error {
	if errs.Temporary(err) || errs.Is(err, errs.NoSpace) || errs.Is(err, errs.NotFound) || ctx.Err() != nil {
		return err
	}
	recorded := r.deps.Drills.RecordDrill(ctx, model.Drill{Site: site, Backup: id, At: r.deps.Now().UTC(), TaskID: task, Problem: err.Error()})
	return errors.Join(fmt.Errorf("the drill with %s: %w", id, err), recorded)
}
