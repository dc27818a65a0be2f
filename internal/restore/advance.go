package restore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

const (
	// An undo or a finish asks for an agent that is away after awayFirst, then less and less often.
	awayFirst, awayMost = 5 * time.Second, time.Minute
	// patience is for how long one act asks at once; then it is the turn of what does not wait for it.
	patience = 10 * time.Second
	// remindEvery is how often the log says that something waits.
	remindEvery = time.Hour
)

// advance is a call of the engine.
type advance func(*saga.Engine, context.Context, saga.Journal, saga.Plan) (saga.Outcome, error)

// carryOn calls act, and again until nothing is left to wait for. A task that is cancelled still waits: what has been
// begun has to be brought to an end. The end of the master does not wait.
func (r *Restorer) carryOn(ctx context.Context, w *run, act, again advance) (saga.Outcome, error) {
	defer w.lease.Stop()
	lasting, stop := r.lasting(ctx)
	defer stop()
	engine, j := r.engine(lasting, w), r.journal(w.task, &w.basis)
	outcome, err := act(engine, ctx, j, w.plan())
	for wait := awayFirst; outcome == saga.Waiting; wait = min(2*wait, awayMost) {
		if w.told.isNew("waiting", err, r.deps.Now()) {
			w.log.Log(model.LevelWarn, "waiting, and trying again by itself: %v", err)
		}
		w.log.Progress("waiting, and trying again by itself", 0, 0, 0)
		if ended := r.sleep(lasting, wait); ended != nil {
			return saga.Waiting, errors.Join(context.Cause(lasting), err)
		}
		w.mending.waits(wait)
		outcome, err = again(engine, lasting, j, w.plan())
	}
	return outcome, err
}

// lasting is ctx for what must be done even for a task that was cancelled, or whose handler has panicked. Only the end
// of the master ends it.
func (r *Restorer) lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	out, end := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), tasks.ErrShutdown) {
			end(tasks.ErrShutdown)
		}
	})
	serving := r.deps.Serving
	if serving == nil {
		serving = context.Background()
	}
	stopServing := context.AfterFunc(serving, func() { end(tasks.ErrShutdown) })
	return out, func() { stop(); stopServing(); end(nil) }
}

func (r *Restorer) sleep(ctx context.Context, d time.Duration) error {
	if r.deps.Engine.Sleep != nil {
		return r.deps.Engine.Sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// sleepBoth ends with either context.
func sleepBoth(ctx, other context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-other.Done():
		return context.Cause(other)
	case <-timer.C:
		return nil
	}
}

// engine logs every step of w. What it undoes on its own after a failure it does not wait for once the master stops.
func (r *Restorer) engine(lasting context.Context, w *run) *saga.Engine {
	o := r.deps.Engine
	if o.Sleep == nil {
		o.Sleep = func(ctx context.Context, d time.Duration) error { return sleepBoth(ctx, lasting, d) }
	}
	o.Observer, o.Temporary, o.Now = observer{w.log, &w.told, &w.mending, r.deps.Now}, errs.Temporary, r.deps.Now
	o.Passing = func(err error) bool { return w.mending.mayPass(err, r.deps.Now()) }
	for _, retry := range []*saga.Retry{&o.Undo, &o.Finish} {
		if retry.Patience == 0 {
			retry.Patience = patience
		}
	}
	return saga.New(o)
}

// told remembers what the log says already, so that waiting for days does not fill it.
type told struct {
	mu   sync.Mutex
	last map[string]saying
}

type saying struct {
	text string
	at   time.Time
}

// isNew reports whether err is another one than the last about a subject, or that was said long ago.
func (t *told) isNew(subject string, err error, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = map[string]saying{}
	}
	before, text := t.last[subject], err.Error()
	if before.text == text && now.Sub(before.at) < remindEvery {
		return false
	}
	t.last[subject] = saying{text, now}
	return true
}

// observer writes what the engine does into the task's log.
type observer struct {
	log     Log
	told    *told
	mending *mending
	now     func() time.Time
}

// quiet are acts that say something only when they fail.
func quiet(e saga.Event) bool { return e.Act == saga.ActPrepare }

// Observe is called from several goroutines.
func (o observer) Observe(e saga.Event) {
	verb := map[saga.Act]string{saga.ActDo: "", saga.ActUndo: "undo ", saga.ActFinish: "clean up ", saga.ActPrepare: "prepare "}[e.Act]
	subject := verb + e.Step
	switch e.Kind {
	case saga.Started:
		if !quiet(e) {
			o.log.Progress(subject, 0, 0, 0)
		}
	case saga.Done:
		o.mending.gotOn()
		if !quiet(e) {
			o.log.Log(model.LevelInfo, "%s: done in %s", subject, e.Elapsed.Round(time.Millisecond))
		}
	case saga.Retrying:
		if o.told.isNew("retry "+subject, e.Err, o.now()) {
			o.log.Log(model.LevelWarn, "%s: %v; trying again", subject, e.Err)
		}
	case saga.Failed:
		if o.told.isNew(subject, e.Err, o.now()) {
			o.log.Log(model.LevelError, "%s: %v", subject, e.Err)
		}
	}
}
