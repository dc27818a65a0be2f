package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// bulkTimeout is for the master to queue the tasks of all sites: each is on stable storage before it is acknowledged.
const bulkTimeout = 10 * time.Minute

// many backs up all sites of the request: one call starts the tasks, and one stream follows them.
func (r *backupRun) many(ctx context.Context) error {
	tasks, err := r.startAll(ctx)
	if err != nil {
		return err
	}
	if r.options.detach {
		for _, task := range tasks {
			r.done++
			if err := emit(r.started, task); err != nil {
				return err
			}
		}
		return r.result(nil)
	}
	return r.result(r.followAll(ctx, tasks))
}

// startAll starts the tasks and notes the sites that were refused. Ctrl-C does not break it off half way.
func (r *backupRun) startAll(ctx context.Context) ([]*sitekeepv1.Task, error) {
	if ctx.Err() != nil {
		return nil, &interrupted{}
	}
	startCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bulkTimeout)
	defer cancel()
	return r.submit(startCtx)
}

func (r *backupRun) submitBackups(ctx context.Context) ([]*sitekeepv1.Task, error) {
	r.options.request.Queue = r.options.queue
	reply, err := r.client.backups.CreateBackups(ctx, &r.options.request)
	if err != nil {
		return nil, err
	}
	for _, no := range reply.GetRefused() {
		r.note(errs.New(errs.ParseKind(no.GetErrorKind()), no.GetHint(), "backup of %s: %s", no.GetSite(), no.GetError()))
	}
	if out := reply.GetDisabled(); len(out) > 0 {
		fmt.Fprintf(r.app.err, "left out, because disabled: %s\n", printable(strings.Join(out, ", ")))
	}
	return reply.GetTasks(), nil
}

// crowd is what is known of tasks that are followed together.
type crowd struct {
	run   *backupRun
	f     *follower
	open  map[string]*sitekeepv1.Task
	views map[string]view // of those that run
	all   int
	seen  map[string]int64 // bytes done, by task
	waits map[string]bool  // tasks that an attempt of has failed, and that are tried again
	bytes int64            // of all tasks
}

// followAll follows tasks to their ends, over restarts of the master. Its error is what ended it before.
func (r *backupRun) followAll(ctx context.Context, tasks []*sitekeepv1.Task) error {
	total := r.screen.view("")
	defer total.end()
	c := &crowd{run: r, f: r.app.follower(r.client, total), all: len(tasks),
		open: make(map[string]*sitekeepv1.Task, len(tasks)), views: map[string]view{}, seen: map[string]int64{}, waits: map[string]bool{}}
	defer c.close()
	for _, task := range tasks {
		c.open[task.GetId()] = task
	}
	for len(c.open) > 0 {
		begun := c.f.now()
		err := c.watch(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return &interrupted{open: len(c.open)}
		case !passing(err):
			return err
		}
		if err := c.f.lost(begun, "the tasks may go on; see: sitekeep task list", err); err != nil {
			return err
		}
		if !pause(ctx, c.f.delay) {
			return &interrupted{open: len(c.open)}
		}
	}
	return nil
}

// watch reads one stream of all tasks that have not ended. Without an error all of them have.
func (c *crowd) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.f.tasks.WatchTasks(ctx, &sitekeepv1.WatchTasksRequest{Ids: slices.Sorted(maps.Keys(c.open))})
	if err != nil {
		return err
	}
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			c.forgotten()
			return nil
		}
		if err != nil {
			return err
		}
		c.f.found()
		c.show(ctx, event)
	}
}

// forgotten notes tasks that the master does not know any more.
func (c *crowd) forgotten() {
	for id, task := range c.open {
		c.run.note(errs.New(errs.NotFound, "see: sitekeep backups "+task.GetSite(), "%s: the master does not know its task %s any more", taskName(task), id))
	}
	clear(c.open)
}

// show takes in what has become of a task.
func (c *crowd) show(ctx context.Context, event *sitekeepv1.WatchTasksResponse) {
	task := event.GetTask()
	id := task.GetId()
	if c.open[id] == nil {
		return // a stream before this one has said so
	}
	done := task.GetProgress().GetDoneBytes()
	c.bytes += done - c.seen[id]
	c.seen[id] = done
	defer c.summarize()
	if !final(task.GetState()) {
		c.open[id] = task
		c.progress(task)
		return
	}
	for _, line := range event.GetAttention() {
		c.viewOf(task).line(line)
	}
	c.drop(id)
	delete(c.open, id)
	delete(c.waits, id)
	c.run.note(c.run.ended(ctx, task))
}

func (c *crowd) progress(task *sitekeepv1.Task) {
	if task.GetState() == sitekeepv1.TaskState_TASK_STATE_RUNNING {
		c.viewOf(task).progress(task)
		return
	}
	if task.GetError() != "" {
		c.waiting(task)
	}
	c.drop(task.GetId())
}

// waiting says once why a task waits for its next attempt.
func (c *crowd) waiting(task *sitekeepv1.Task) {
	if !c.waits[task.GetId()] {
		c.waits[task.GetId()] = true
		c.viewOf(task).line(&sitekeepv1.LogLine{
			Time: timestamppb.New(c.f.now()), Level: "warning", Text: task.GetError() + "; it is tried again, see: sitekeep task show " + task.GetId(),
		})
	}
}

func (c *crowd) viewOf(task *sitekeepv1.Task) view {
	if c.views[task.GetId()] == nil {
		c.views[task.GetId()] = c.run.screen.view(task.GetSite())
	}
	return c.views[task.GetId()]
}

func (c *crowd) drop(id string) {
	if v := c.views[id]; v != nil {
		v.end()
		delete(c.views, id)
	}
}

func (c *crowd) close() {
	for id := range c.views {
		c.drop(id)
	}
}

// summarize shows how far all of them are.
func (c *crowd) summarize() {
	step := fmt.Sprintf("%d of %d", c.all-len(c.open), c.all)
	if n := len(c.run.failures); n > 0 {
		step += fmt.Sprintf(", %d failed", n)
	}
	if n := len(c.waits); n > 0 {
		step += fmt.Sprintf(", %d to be tried again", n)
	}
	c.f.show.progress(&sitekeepv1.Task{Progress: &sitekeepv1.Progress{Step: step, DoneBytes: c.bytes}})
}
