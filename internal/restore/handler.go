package restore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/lease"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/tasks"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
)

// awayRetry is how often an undo or a finish asks for an agent that is away.
const awayRetry = 10 * time.Second

// Restore is the handler of restore tasks.
func (r *Restorer) Restore(ctx context.Context, t *tasks.Run) (any, error) {
	var q Request
	if err := t.Spec(&q); err != nil {
		return nil, err
	}
	w, err := r.resume(ctx, t.Task.ID, t)
	if err != nil {
		return nil, err
	}
	if w != nil {
		t.Log(model.LevelInfo, "the master was restarted; going on by the journal")
		return r.concluded(ctx, w, (*saga.Engine).Recover)
	}
	return r.begin(ctx, t, q)
}

func (r *Restorer) begin(ctx context.Context, t *tasks.Run, q Request) (any, error) {
	basis, err := r.Plan(ctx, t.Task.ID, q)
	if err != nil {
		return nil, err
	}
	if err := r.confirmEarlier(ctx, t, q.Site); err != nil {
		return nil, err
	}
	w, err := r.newRun(t.Task.ID, *basis, t)
	if err != nil {
		return nil, err
	}
	t.Log(model.LevelInfo, "restoring %s from %s: %s of files, %s of SQL", basis.Site.Name, basis.Backup,
		size(int64(basis.TreeBytes)), size(int64(basis.DumpBytes)))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.lease.Lost = cancel
	return r.concluded(ctx, w, (*saga.Engine).Run)
}

func (r *Restorer) concluded(ctx context.Context, w *run, act advance) (any, error) {
	outcome, err := r.carryOn(ctx, w, act)
	return w.outcome, w.conclude(outcome, err, r.deps.Now())
}

// newRun makes what the steps share. The password is made here and lives as long as the process.
func (r *Restorer) newRun(task string, basis Basis, log Log) (*run, error) {
	password, err := dbdump.GeneratePassword()
	if err != nil {
		return nil, err
	}
	w := &run{
		task: task, basis: basis, agents: r.deps.Agents, sites: r.deps.Sites, backups: r.deps.Backups, log: log,
		password: password, downtime: &stopwatch{now: r.deps.Now}, outcome: &Outcome{Backup: basis.Backup},
		meter: &meter{log: log, total: int64(basis.DumpBytes) + int64(basis.TreeBytes)*int64(len(basis.Site.WebServers)), steps: map[string]bool{}},
	}
	w.lease = &lease.Keeper{Every: renewEvery, Renew: w.renewLease, Lost: func(error) {}}
	return w, nil
}

// resume makes the run of a task whose journal has begun; nil if it has not.
func (r *Restorer) resume(ctx context.Context, task string, log Log) (*run, error) {
	state, err := saga.Inspect(ctx, journal{r.deps.Journals, task, nil, r.deps.Now})
	if err != nil {
		return nil, err
	}
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

type advance func(*saga.Engine, context.Context, saga.Journal, saga.Plan) (saga.Outcome, error)

// carryOn lets the engine work until it has nothing left to wait for.
func (r *Restorer) carryOn(ctx context.Context, w *run, act advance) (saga.Outcome, error) {
	defer w.lease.Stop()
	engine := r.engine(w)
	j := journal{r.deps.Journals, w.task, &w.basis, r.deps.Now}
	outcome, err := act(engine, ctx, j, w.plan())
	for outcome == saga.Waiting {
		w.log.Warn("waiting, and trying again every %s: %v", awayRetry, err)
		if err := pause(ctx, awayRetry); err != nil {
			return saga.Waiting, err
		}
		outcome, err = engine.Recover(ctx, j, w.plan())
	}
	return outcome, err
}

// pause waits; only the end of the master ends it, since what waits here must be done even for a cancelled task.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	if errors.Is(context.Cause(ctx), tasks.ErrCancelled) {
		ctx = context.WithoutCancel(ctx)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// conclude says in the log, and by its error to the queue, how it ended.
func (w *run) conclude(o saga.Outcome, err error, now time.Time) error {
	w.outcome.Downtime = w.downtime.elapsed()
	if w.outcome.Downtime > 0 {
		w.log.Log(model.LevelInfo, "the site was in maintenance for %s", w.outcome.Downtime.Round(10*time.Millisecond))
	}
	switch o {
	case saga.Committed:
		w.outcome.Due = now.Add(w.basis.Grace).UTC()
		w.log.Log(model.LevelInfo, "restored; the old directory, database and user stay until %s; take it back with: sitekeep restore --undo %s",
			w.outcome.Due.Format(time.RFC3339), w.basis.Site.Name)
		return nil
	case saga.Completed:
		w.log.Log(model.LevelInfo, "restored; the old directory, database and user are gone")
		return nil
	case saga.NeedsOperator:
		return needsOperator(err)
	case saga.RolledBack:
		return w.rolledBack(err)
	}
	return err
}

func (w *run) rolledBack(err error) error {
	w.log.Log(model.LevelInfo, "undone; %s is as it was", w.basis.Site.Name)
	if err == nil {
		return errs.New(errs.Failed, "run the restore again", "the restore was interrupted and has been undone; %s is as it was", w.basis.Site.Name)
	}
	return fmt.Errorf("%s is as it was: %w", w.basis.Site.Name, err)
}

func needsOperator(err error) error {
	var stuck *saga.StuckError
	if errors.As(err, &stuck) {
		return &tasks.NeedsOperator{Err: err, Commands: stuck.Commands}
	}
	return &tasks.NeedsOperator{Err: err}
}

// engine logs every step of w.
func (r *Restorer) engine(w *run) *saga.Engine {
	o := r.deps.Engine
	o.Observer, o.Temporary, o.Now = observer{w.log}, errs.Temporary, r.deps.Now
	return saga.New(o)
}

// observer writes what the engine does into the task's log.
type observer struct{ log Log }

// quiet are acts that say something only when they fail.
func quiet(e saga.Event) bool { return e.Act == saga.ActPrepare }

// Observe is called from several goroutines.
func (o observer) Observe(e saga.Event) {
	verb := map[saga.Act]string{saga.ActDo: "", saga.ActUndo: "undo ", saga.ActFinish: "clean up ", saga.ActPrepare: "prepare "}[e.Act]
	switch e.Kind {
	case saga.Started:
		if !quiet(e) {
			o.log.Progress(verb+e.Step, 0, 0, 0)
		}
	case saga.Done:
		if !quiet(e) {
			o.log.Log(model.LevelInfo, "%s%s: done in %s", verb, e.Step, e.Elapsed.Round(time.Millisecond))
		}
	case saga.Retrying:
		o.log.Warn("%s%s: %v; trying again in %s", verb, e.Step, e.Err, e.Wait.Round(100*time.Millisecond))
	case saga.Failed:
		o.log.Log(model.LevelError, "%s%s: %v", verb, e.Step, e.Err)
	}
}
