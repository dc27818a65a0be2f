package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

const (
	startTimeout = time.Minute // for the master to accept a task
	retryDelay   = 500 * time.Millisecond
)

// begin asks the master to start a task. Ctrl-C does not break it off half way: then it would not be known whether
// there is a task.
func begin[R interface{ GetTask() *sitekeepv1.Task }](ctx context.Context, request func(context.Context) (R, error)) (*sitekeepv1.Task, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	startCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	response, err := request(startCtx)
	if err != nil {
		return nil, err
	}
	if response.GetTask().GetId() == "" {
		return nil, errs.New(errs.Failed, "see: sitekeep task list", "the master has answered without naming its task")
	}
	return response.GetTask(), nil
}

// follower shows a task's log and progress until it ends, over restarts of the master.
type follower struct {
	tasks    sitekeepv1.TaskServiceClient
	show     view
	patience time.Duration
	delay    time.Duration // between two attempts to find a master that has gone away
	now      func() time.Time

	after     int64     // the last line that was shown
	lostSince time.Time // when the master went away; zero while it is there
}

func (a *app) follower(c *client, show view) *follower {
	return &follower{tasks: c.tasks, show: show, patience: a.patience, delay: retryDelay, now: a.now}
}

// follow returns the task in its final state. When ctx ends it returns *interrupted; the task goes on.
func (f *follower) follow(ctx context.Context, id string) (*sitekeepv1.Task, error) {
	for {
		begun := f.now()
		task, err := f.watch(ctx, id)
		switch {
		case err == nil:
			return task, nil
		case ctx.Err() != nil:
			return nil, &interrupted{task: id}
		case !passing(err):
			return nil, err
		}
		if err := f.lost(begun, "the task may go on; follow it with: sitekeep task log -f "+id, err); err != nil {
			return nil, err
		}
		if !pause(ctx, f.delay) {
			return nil, &interrupted{task: id}
		}
	}
}

// lost counts for how long the master has been away; the error is the end of patience. An attempt that began at begun
// and lasted was a connection, even if there was nothing to say on it. The hint is for the end of patience.
func (f *follower) lost(begun time.Time, hint string, cause error) error {
	now := f.now()
	if f.lostSince.IsZero() {
		f.show.note("lost the master; looking for it for up to %s", f.patience)
	}
	if f.lostSince.IsZero() || now.Sub(begun) > 2*dialTimeout {
		f.lostSince = now
	}
	if now.Sub(f.lostSince) > f.patience {
		return errs.New(errs.Unreachable, hint, "the master was away for %s: %w", f.patience, cause)
	}
	return nil
}

func (f *follower) found() {
	if !f.lostSince.IsZero() {
		f.lostSince = time.Time{}
		f.show.note("the master is back")
	}
}

// errCutOff is the error of a stream that ended before the task did.
var errCutOff = errs.New(errs.Unreachable, "", "the stream ended before the task did")

// watch reads one stream. It returns an error unless the stream came to its proper end: the task in its final state.
func (f *follower) watch(ctx context.Context, id string) (*sitekeepv1.Task, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := f.tasks.WatchTask(ctx, &sitekeepv1.WatchTaskRequest{Id: id, AfterLine: f.after, Follow: true})
	if err != nil {
		return nil, err
	}
	var last *sitekeepv1.Task
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if !final(last.GetState()) {
				return nil, errCutOff
			}
			return last, nil
		}
		if err != nil {
			return nil, err
		}
		f.found()
		if line := event.GetLog(); line != nil && line.GetLine() > f.after {
			f.after = line.GetLine()
			f.show.line(line)
		}
		if task := event.GetTask(); task != nil {
			last = task
			f.show.progress(task)
		}
	}
}

// passing reports whether an error is one that a restart of the master causes: also one of its handlers that was
// cancelled, since the caller did not cancel it.
func passing(err error) bool { return errs.Temporary(err) || errs.Is(err, errs.Cancelled) }

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func final(state sitekeepv1.TaskState) bool {
	switch state {
	case sitekeepv1.TaskState_TASK_STATE_UNSPECIFIED, sitekeepv1.TaskState_TASK_STATE_QUEUED, sitekeepv1.TaskState_TASK_STATE_RUNNING:
		return false
	}
	return true
}

// follow shows a single task to its end. The error is that of following it; the task's own is outcome's.
func (a *app) follow(ctx context.Context, c *client, task *sitekeepv1.Task) (*sitekeepv1.Task, error) {
	screen := a.newDisplay(false)
	defer screen.close()
	show := screen.view("")
	defer show.end()
	return a.follower(c, show).follow(ctx, task.GetId())
}

// outcome is the error that a task's final state stands for.
func outcome(t *sitekeepv1.Task) error {
	log := "read its log with: sitekeep task log " + t.GetId()
	hint := t.GetHint()
	if hint == "" {
		hint = log
	}
	switch t.GetState() {
	case sitekeepv1.TaskState_TASK_STATE_SUCCEEDED:
		return nil
	case sitekeepv1.TaskState_TASK_STATE_WARNING:
		return &warned{text: taskName(t) + " is done, with warnings", hint: log}
	case sitekeepv1.TaskState_TASK_STATE_CANCELLED:
		return errs.New(errs.Cancelled, log, "%s was cancelled", taskName(t))
	case sitekeepv1.TaskState_TASK_STATE_NEEDS_OPERATOR:
		return errs.New(errs.Failed, "read the commands to run with: sitekeep task log "+t.GetId(),
			"%s failed and could not be undone: %s", taskName(t), t.GetError())
	}
	return errs.New(errs.ParseKind(t.GetErrorKind()), hint, "%s failed: %s", taskName(t), t.GetError())
}

// taskName is such as "backup of example.com".
func taskName(t *sitekeepv1.Task) string {
	if t.GetSite() == "" {
		return t.GetKind()
	}
	return t.GetKind() + " of " + t.GetSite()
}
