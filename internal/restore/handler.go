package restore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/lease"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/tasks"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
)

// Restore is the handler of restore tasks.
func (r *Restorer) Restore(ctx context.Context, t *tasks.Run) (any, error) {
	var q Request
	if err := t.Spec(&q); err != nil {
		return nil, err
	}
	return r.restore(ctx, t.Task.ID, q, t)
}

// restore begins a restore, or goes on with one whose journal has begun.
func (r *Restorer) restore(ctx context.Context, task string, q Request, log Log) (*Outcome, error) {
	// A task that was cancelled before the master died may have begun all the same: its journal is read whatever ctx says.
	state, err := saga.Inspect(context.WithoutCancel(ctx), r.journal(task, nil))
	if err != nil {
		return nil, err
	}
	if state.Phase == saga.PhaseEmpty {
		return r.begin(ctx, task, q, log)
	}
	w, err := r.resume(task, state, log)
	if err != nil {
		return nil, err
	}
	if w == nil {
		return nil, errs.New(errs.Failed, "run it again with: sitekeep task retry "+task,
			"the task was interrupted before anything was touched, on %s", q.Site)
	}
	log.Log(model.LevelInfo, "going on by the journal")
	// What a person was needed for has been done, or is tried once more. A task that was cancelled has to come to an
	// end all the same.
	lasting, stop := r.lasting(ctx)
	defer stop()
	outcome, err := r.carryOn(lasting, w, (*saga.Engine).Resume, (*saga.Engine).Recover)
	return w.outcome, r.conclude(ctx, w, outcome, err)
}

func (r *Restorer) begin(ctx context.Context, task string, q Request, log Log) (*Outcome, error) {
	w, err := r.prepared(ctx, task, q, log)
	if err != nil {
		return nil, err
	}
	b := &w.basis
	log.Log(model.LevelInfo, "%s %s from %s: %s", b.verb(), b.Site.Name, b.Backup, b.describe())
	if b.HasDump && b.Site.DBServer == "" {
		log.Warn("the database in the backup is left out: %s has no database server", b.Site.Name)
	}
	kept, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.lease.Lost = cancel
	outcome, err := r.carryOn(kept, w, (*saga.Engine).Run, (*saga.Engine).Recover)
	return w.outcome, r.conclude(kept, w, outcome, err)
}

// describe says what comes out of the backup.
func (b *Basis) describe() string {
	files, sql := bytesize.Text(int64(b.TreeBytes))+" of files", bytesize.Text(int64(b.DumpBytes))+" of SQL"
	switch {
	case b.Part == Selected:
		return b.describeSelection()
	case b.WithFiles() && b.WithDatabase():
		return files + ", " + sql
	case b.WithDatabase():
		return sql + "; the files stay"
	}
	return files
}

// prepared makes the run of a restore that has not begun. Earlier restores of the site are confirmed by it, but not
// before everything was looked at: one that would be refused leaves them as they are. Room alone they may be lacking.
func (r *Restorer) prepared(ctx context.Context, task string, q Request, log Log) (*run, error) {
	open, err := r.deps.Graces.OpenGraces(ctx, q.Site)
	if err != nil {
		return nil, err
	}
	if len(open) > 0 {
		try, err := r.planned(ctx, task, q, &notebook{})
		if err != nil {
			return nil, err
		}
		if err := (checkEverything{try}).Do(ctx, nil); err != nil && !errs.Is(err, errs.NoSpace) {
			return nil, err
		}
		if err := r.confirm(ctx, open, log); err != nil {
			return nil, err
		}
	}
	return r.planned(ctx, task, q, log)
}

func (r *Restorer) planned(ctx context.Context, task string, q Request, log Log) (*run, error) {
	basis, err := r.Plan(ctx, task, q)
	if err != nil {
		return nil, err
	}
	return r.newRun(task, *basis, log)
}

// newRun makes what the steps share. The password is made here and lives as long as the process.
func (r *Restorer) newRun(task string, basis Basis, log Log) (*run, error) {
	password, err := dbdump.GeneratePassword()
	if err != nil {
		return nil, err
	}
	w := &run{
		task: task, basis: basis, agents: r.deps.Agents, sites: r.deps.Sites, backups: r.deps.Backups, graces: r.deps.Graces,
		log: log, password: password, parallel: r.deps.Engine.Parallel,
		retryFor: r.deps.RetryFor, now: r.deps.Now, pause: r.sleep, outcome: &Outcome{Backup: basis.Backup},
		meter: &meter{log: log, total: basis.sent(), steps: map[string]bool{}},
	}
	w.lease = &lease.Keeper{Every: renewEvery, Renew: w.renewLease, Lost: func(error) {}}
	return w, nil
}

// sent is how many plain bytes go to agents.
func (b *Basis) sent() (n int64) {
	if b.WithFiles() || b.WithPaths() {
		n = int64(b.TreeBytes) * int64(len(b.Site.WebServers))
	}
	if b.WithDatabase() || b.WithTables() {
		n += int64(b.DumpBytes)
	}
	return n
}

// resume makes the run of a restore whose journal has begun; nil if no step of it has, and so nothing was touched.
func (r *Restorer) resume(task string, state saga.State, log Log) (*run, error) {
	for _, step := range state.Steps {
		if step.Name != (checkEverything{}).Name() {
			continue
		}
		basis, err := remember[Basis](step.Memo)
		if err != nil {
			return nil, err
		}
		return r.newRun(task, basis, log)
	}
	return nil, nil
}

func (r *Restorer) journal(task string, basis *Basis) journal {
	return journal{records: r.deps.Journals, task: task, basis: basis}
}

// conclude says in the log, and by its error to the queue, how it ended.
func (r *Restorer) conclude(ctx context.Context, w *run, o saga.Outcome, err error) error {
	r.lookBack(ctx, w)
	if w.basis.New { // nobody has missed it
		w.outcome.Downtime = 0
	}
	if w.outcome.Downtime > 0 {
		w.log.Log(model.LevelInfo, "the site was in maintenance for %s", w.outcome.Downtime.Round(10*time.Millisecond))
	}
	switch o {
	case saga.Committed:
		return r.committed(ctx, w)
	case saga.Completed:
		w.log.Log(model.LevelInfo, "%s", w.basis.completed())
		return nil
	case saga.NeedsOperator:
		return needsOperator(err)
	case saga.RolledBack:
		return w.rolledBack(ctx, err)
	case saga.NotStarted:
		if err == nil { // its journal could not be written, and is empty after all
			err = errs.New(errs.Failed, "run it again with: sitekeep task retry "+w.task, "nothing was begun; %s", w.basis.kept())
		}
	}
	return err
}

func (r *Restorer) committed(ctx context.Context, w *run) error {
	g, err := r.deps.Graces.Grace(context.WithoutCancel(ctx), w.task)
	if err != nil {
		return err
	}
	w.outcome.Due = g.Due.UTC()
	w.log.Log(model.LevelInfo, "%s until %s; take it back with: sitekeep restore --undo %s", w.basis.stays(),
		w.outcome.Due.Format(time.RFC3339), w.basis.Site.Name)
	return nil
}

// rolledBack names the reason, which is the end of the context where a step has just noticed that.
func (r *run) rolledBack(ctx context.Context, err error) error {
	r.log.Log(model.LevelInfo, "undone; %s", r.basis.kept())
	cause := context.Cause(ctx)
	switch {
	case err == nil && errors.Is(cause, tasks.ErrCancelled):
		err = cause
	case err == nil:
		return errs.New(errs.Failed, "run it again with: sitekeep task retry "+r.task,
			"the task was interrupted and has been undone; %s", r.basis.kept())
	case cause != nil && (errors.Is(err, context.Canceled) || errs.Is(err, errs.Cancelled)):
		err = cause
	}
	return fmt.Errorf("%s: %w", r.basis.kept(), err)
}

func needsOperator(err error) error {
	var stuck *saga.StuckError
	if errors.As(err, &stuck) {
		return &tasks.NeedsOperator{Err: err, Commands: stuck.Commands}
	}
	return &tasks.NeedsOperator{Err: err}
}
