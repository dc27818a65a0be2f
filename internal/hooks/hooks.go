// Package hooks has the agents of a site run what their operators have put
// before and after its tasks. It wraps the handlers of tasks, and refuses to
// know what they do, and which programs an agent runs.
package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// Web is the agent of a web server.
type Web interface {
	// RunHooks runs its hooks of an event; nil where there are none.
	RunHooks(ctx context.Context, site model.SiteRef, h model.Hook, say func(hook, line string)) error
}

// Agents finds the agents of web servers.
type Agents interface {
	Web(ctx context.Context, server string) (Web, error)
}

// Runner is made of its parts.
type Runner struct {
	Agents Agents
	// Site is a task's; errs.NotFound if there is none (any more).
	Site func(ctx context.Context, t *model.Task) (model.Site, error)
	// Backup is the one that a task's request names, or "".
	Backup func(t *model.Task) string
}

// scope says where the hooks of a kind of task run.
type scope struct {
	// first: on the site's first web server alone, which is the one that the task goes to.
	first bool
	// lenient: a server that cannot be reached does not keep the task from the others.
	lenient bool
}

// scopes are the kinds that go to a site's servers. The others work on the store, and have no hooks.
var scopes = map[model.TaskKind]scope{
	model.TaskBackup:  {first: true},
	model.TaskRestore: {},
	model.TaskDeploy:  {},
	model.TaskClone:   {},
	model.TaskMigrate: {},
	model.TaskUndo:    {},
	model.TaskFinish:  {},
	model.TaskDrill:   {},
	model.TaskVerify:  {lenient: true},
	model.TaskDisable: {lenient: true},
	model.TaskEnable:  {lenient: true},
}

// Around puts hooks around the handlers of kinds that have them.
func (r *Runner) Around(kinds map[model.TaskKind]tasks.Kind) map[model.TaskKind]tasks.Kind {
	wrapped := maps.Clone(kinds)
	for name, kind := range kinds {
		if _, has := scopes[name]; has {
			kind.Handler = r.around(kind.Handler)
			wrapped[name] = kind
		}
	}
	return wrapped
}

// around makes a handler that fails before anything is touched if a hook before
// it fails, and warns of what fails after it. Hooks cannot be undone: those
// after a task run when it has come to its end, so that the hooks after a
// restore find it committed, or undone. They run whenever those before it were
// begun, whatever came of the task, and again if the master ends meanwhile. A
// task that is gone on with (tasks.Run.Resumed) has had those before it.
func (r *Runner) around(inner tasks.Handler) tasks.Handler {
	return func(ctx context.Context, t *tasks.Run) (any, error) {
		if onlyLooks(t) {
			return inner(ctx, t)
		}
		if !t.Resumed {
			if err := r.before(ctx, t); err != nil {
				r.after(ctx, t, nil, err)
				return nil, err
			}
		}
		result, err := inner(ctx, t)
		r.after(ctx, t, result, err)
		return result, err
	}
}

// onlyLooks reports whether the request is for a dry run, which changes nothing.
func onlyLooks(t *tasks.Run) bool {
	var q struct{ DryRun bool }
	return json.Unmarshal(t.Task.Spec, &q) == nil && q.DryRun
}

func (r *Runner) before(ctx context.Context, t *tasks.Run) error {
	call := model.Hook{Event: "before-" + string(t.Task.Kind), Task: t.Task.ID, Backup: r.Backup(&t.Task)}
	lenient := scopes[t.Task.Kind].lenient
	return r.each(ctx, t, call, func(server string, err error) error {
		if lenient && errs.Is(err, errs.Unreachable) {
			t.Warn("%s: its %s hooks were not run: %v", server, call.Event, err)
			return nil
		}
		if errs.Is(err, errs.Unreachable) { // it names the server, and hooks have nothing to do with it
			return err
		}
		return fmt.Errorf("%s hooks on %s: %w", call.Event, server, err)
	})
}

// after tells the hooks what came of the task, unless it has not ended: it is
// gone on with when the master starts again, or an operator has mended it.
func (r *Runner) after(ctx context.Context, t *tasks.Run, result any, failure error) {
	var stuck *tasks.NeedsOperator
	cause := context.Cause(ctx)
	stopped := errors.Is(cause, tasks.ErrShutdown) || errors.Is(failure, tasks.ErrShutdown)
	if failure != nil && (stopped || errors.As(failure, &stuck)) {
		return
	}
	call := model.Hook{
		Event: "after-" + string(t.Task.Kind), Task: t.Task.ID, Backup: r.backupOf(t, result), Outcome: outcome(cause, failure),
	}
	lasting, stop := untilStopped(ctx, t)
	defer stop()
	err := r.each(lasting, t, call, func(server string, err error) error {
		switch {
		case failure != nil && errs.Is(err, errs.Unreachable) && errs.Is(failure, errs.Unreachable): // the failure says so already
			return nil
		case failure != nil && errs.Is(err, errs.Unreachable):
			t.Info("%s: its %s hooks were not run: %v", server, call.Event, err)
			return nil
		}
		t.Warn("%s hooks on %s: %v%s", call.Event, server, err, hintOf(err))
		return nil
	})
	if err != nil {
		t.Warn("%s hooks were not run: %v", call.Event, err)
	}
}

func hintOf(err error) string {
	if hint := errs.HintOf(err); hint != "" {
		return "; " + hint
	}
	return ""
}

// each runs the hooks of an event on the site's servers, one after another, as
// long as failed makes nothing of an error. A site that is not known has none.
func (r *Runner) each(ctx context.Context, t *tasks.Run, call model.Hook, failed func(server string, err error) error) error {
	site, err := r.Site(ctx, &t.Task)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	servers := site.WebServers
	if scopes[t.Task.Kind].first && len(servers) > 1 {
		servers = servers[:1]
	}
	for _, server := range servers {
		if err := r.on(ctx, t, server, site.Ref(), call); err != nil {
			if err := failed(server, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Runner) on(ctx context.Context, t *tasks.Run, server string, site model.SiteRef, call model.Hook) error {
	web, err := r.Agents.Web(ctx, server)
	if err != nil {
		return err
	}
	return web.RunHooks(ctx, site, call, func(hook, line string) {
		if hook == "" {
			hook = call.Event
		}
		t.Info("hook %s on %s: %s", hook, server, line)
	})
}

// backupOf is the backup that a task has made, or was asked to use.
func (r *Runner) backupOf(t *tasks.Run, result any) string {
	var made struct {
		Backup string `json:"backup"`
	}
	if text, err := json.Marshal(result); err == nil && json.Unmarshal(text, &made) == nil && made.Backup != "" {
		return made.Backup
	}
	return r.Backup(&t.Task)
}

// outcome is what hooks are told; warnings are no failure.
func outcome(cause, failure error) string {
	switch {
	case failure == nil:
		return "succeeded"
	case errors.Is(cause, tasks.ErrCancelled) && (errs.Is(failure, errs.Cancelled) || errors.Is(failure, context.Canceled)):
		return "cancelled"
	}
	return "failed"
}

// untilStopped is ctx, or in place of one that has ended for the task one that
// ends when the master stops. Stop is called once, when it is not needed any more.
func untilStopped(ctx context.Context, t *tasks.Run) (lasting context.Context, stop func()) {
	if ctx.Err() == nil {
		return ctx, func() {}
	}
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-t.Stopping():
			cancel(tasks.ErrShutdown)
		case <-lasting.Done():
		}
	}()
	return lasting, func() { cancel(nil); <-done }
}
