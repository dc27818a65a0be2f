package master

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/clock"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/policy"
	"github.com/sitekeep/sitekeep/internal/restore"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// urgency puts what an operator asks for before what a schedule did.
func urgency(t model.Task) int {
	var spec backup.Spec
	if t.Kind == model.TaskBackup && json.Unmarshal(t.Spec, &spec) == nil && spec.Schedule != "" {
		return -5
	}
	return 0
}

// impatience is for how long a task that somebody waits for is tried again.
const impatience = 20 * time.Second

// patience is for how long a task is tried again whose agent cannot be reached.
func (m *Master) patience(t model.Task) time.Duration {
	var spec backup.Spec
	if t.Kind == model.TaskBackup && json.Unmarshal(t.Spec, &spec) == nil && spec.Patient {
		return m.config.Limits.WaitForAgents
	}
	return min(impatience, m.config.Limits.WaitForAgents)
}

// ownerOf names the client whose task it is.
func (m *Master) ownerOf(ctx context.Context, t model.Task) string {
	if t.Site == "" {
		return ""
	}
	site, err := m.siteOf(ctx, t)
	if err != nil {
		return ""
	}
	return site.Client
}

// runs begins scheduled backups in the queue.
type runs struct{ *Master }

// SubmitRun queues a site's backup or drill; it waits for the site if another task holds it.
func (r runs) SubmitRun(ctx context.Context, s *model.Schedule, site string, tick time.Time) (string, error) {
	if s.Kind == model.TaskDrill {
		return r.submitDrill(ctx, s, site, tick)
	}
	spec := backup.Spec{Description: "Scheduled (" + s.Name + ")", Format: s.Format, Patient: true, Schedule: s.Name, Tick: tick.UTC()}
	if spec.Format == "" {
		spec.Format = backup.DefaultFormat
	}
	t, err := r.tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskBackup, Site: site, Spec: spec, Queue: true})
	return t.ID, err
}

// submitDrill refuses a site that has no good backup: its run is then reported as missed.
func (r runs) submitDrill(ctx context.Context, s *model.Schedule, site string, tick time.Time) (string, error) {
	if _, err := r.catalogue.LatestGood(ctx, site); err != nil {
		return "", err
	}
	spec := restore.DrillSpec{Schedule: s.Name, Tick: tick.UTC()}
	t, err := r.tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskDrill, Site: site, Spec: spec, Queue: true})
	return t.ID, err
}

// scheduled is what the requests of backups and drills have in common: which schedule began them.
type scheduled struct {
	Schedule string
	Tick     time.Time
}

// lookBack is how many of a site's newest tasks are searched for a run.
const lookBack = 50

// FindRun looks for a run among the site's newest tasks.
func (r runs) FindRun(ctx context.Context, s *model.Schedule, site string, tick time.Time) (string, error) {
	list, _, err := r.catalogue.Tasks(ctx, catalogue.TaskFilter{Site: site, Limit: lookBack})
	if err != nil {
		return "", err
	}
	for _, t := range list {
		var spec scheduled
		if (t.Kind == model.TaskBackup || t.Kind == model.TaskDrill) && json.Unmarshal(t.Spec, &spec) == nil && spec.Schedule == s.Name && spec.Tick.Equal(tick) {
			return t.ID, nil
		}
	}
	return "", nil
}

// RunEnded reports whether a task has ended, or was forgotten.
func (r runs) RunEnded(ctx context.Context, task string) (bool, error) {
	if task == "" {
		return true, nil
	}
	t, err := r.catalogue.Task(ctx, task)
	if errs.Is(err, errs.NotFound) {
		return true, nil
	}
	return err == nil && t.State.Final(), err
}

// Restoring finds a task that restores a site now, or makes another one out of a backup of it.
func (r runs) Restoring(ctx context.Context, site string) (string, error) {
	if task, err := r.readFrom(ctx, site); task != "" || err != nil {
		return task, err
	}
	list, _, err := r.catalogue.Tasks(ctx, catalogue.TaskFilter{Site: site, States: []model.TaskState{model.TaskRunning}})
	for _, t := range list {
		if t.Kind != model.TaskBackup && t.Kind != model.TaskVerify {
			return t.ID, err
		}
	}
	return "", err
}

// readFrom finds a task on another site that reads backups of this one.
func (r runs) readFrom(ctx context.Context, site string) (string, error) {
	list, _, err := r.catalogue.Tasks(ctx, catalogue.TaskFilter{States: []model.TaskState{model.TaskRunning}})
	for _, t := range list {
		id, of := restore.Reading(&t)
		if b, err := r.catalogue.Backup(ctx, id); t.Kind != model.TaskRestore && (of == site || err == nil && b.Site == site) {
			return t.ID, nil
		}
	}
	return "", err
}

const (
	clockMark  = "clock" // in the catalogue: when the clock was last sure to be right
	clockEvery = time.Minute
)

// openClock begins to watch the clock from where the master before this one was sure of it.
func (m *Master) openClock(ctx context.Context) error {
	mark, err := m.catalogue.Marked(ctx, clockMark)
	if err != nil {
		return err
	}
	m.started = time.Now()
	m.clock = clock.New(clock.Now(m.started), mark)
	return nil
}

// lookAtClock tells whether the clock can be trusted.
func (m *Master) lookAtClock() (trusted bool, why string, from time.Time) {
	trusted, why = m.clock.Look(clock.Now(m.started))
	return trusted, why, m.clock.TrustedFrom()
}

// watchClock looks at the clock often enough to see it jump, and remembers when it was right.
func (m *Master) watchClock(ctx context.Context) error {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	trusted := true
	for {
		now, why, from := m.lookAtClock()
		if now {
			if err := m.catalogue.Mark(ctx, clockMark, time.Now()); err != nil && ctx.Err() == nil {
				m.o.Log.Error("remember the time", "error", err)
			}
		}
		if trusted && !now {
			m.o.Log.Warn("the clock is in doubt; no backup is removed for now", "why", why, "until", from)
		}
		trusted = now
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pruneDue submits the removal of what retention lets go, if there is anything.
func (m *Master) pruneDue(ctx context.Context) error {
	rules, err := m.catalogue.Retentions(ctx)
	if err != nil || len(rules) == 0 || m.pruner.Doubt() != "" {
		return err
	}
	plan, err := m.pruner.Plan(ctx)
	if err != nil {
		return err
	}
	for _, e := range plan.Excess {
		m.o.Log.Warn("a size budget is exceeded", "what", policy.ExcessText(e))
	}
	for _, d := range plan.Decisions {
		if !d.Keep {
			_, err := m.tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskPrune, Spec: policy.PruneSpec{}})
			return errors.Join(err)
		}
	}
	return nil
}
