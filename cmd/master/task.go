package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func newTaskCmd(a *app) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "task",
		Short: "Tasks: queued, running and ended work",
		Example: `  sitekeep task list example.com
  sitekeep task log -f 01KACQ4J7XK0VJ7N3YH2M3T5QZ`,
	})
	cmd.AddCommand(newTaskListCmd(a), newTaskShowCmd(a), newTaskLogCmd(a), newTaskCancelCmd(a), newTaskRetryCmd(a))
	return cmd
}

func newTaskListCmd(a *app) *cobra.Command {
	var states []string
	request := &sitekeepv1.ListTasksRequest{}
	cmd := &cobra.Command{
		Use: "list [SITE]", Aliases: []string{"ls"}, Short: "List tasks, newest first", Args: arguments(0, 1),
		Example:           "  sitekeep task list\n  sitekeep task list example.com --state running --state queued",
		ValidArgsFunction: a.complete(siteNames),
	}
	cmd.Flags().StringSliceVar(&states, "state", nil, "only in this `state`: "+strings.Join(stateNames(), ", "))
	cmd.Flags().Int32VarP(&request.PageSize, "limit", "n", 0, "at most this many (default 100)")
	cmd.PreRunE = func(*cobra.Command, []string) (err error) {
		request.States, err = parseStates(states)
		return err
	}
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		request.Site = first(args)
		r, err := c.tasks.ListTasks(ctx, request)
		if err != nil {
			return err
		}
		return printList(a, r.GetTasks(), "ID|KIND|SITE|STATE|CREATED|TOOK|NOTE", a.taskCells)
	})
	return cmd
}

func (a *app) taskCells(t *sitekeepv1.Task) []string {
	note := t.GetError()
	switch {
	case t.GetState() == sitekeepv1.TaskState_TASK_STATE_RUNNING:
		note = progressText(t.GetProgress(), &meter{})
	case t.GetRetryAt() != nil:
		note = "tried again at " + localTime(t.GetRetryAt()) + ": " + note
	case note == "":
		note = t.GetBackup()
	}
	return []string{t.GetId(), t.GetKind(), orDash(t.GetSite()), stateText(t.GetState()), localTime(t.GetCreatedAt()), a.tookText(t), note}
}

// tookText is how long a task ran, or has been running.
func (a *app) tookText(t *sitekeepv1.Task) string {
	if !t.GetStartedAt().IsValid() {
		return "-"
	}
	end := a.now()
	if t.GetFinishedAt().IsValid() {
		end = t.GetFinishedAt().AsTime()
	}
	return clockText(end.Sub(t.GetStartedAt().AsTime()))
}

func stateText(s sitekeepv1.TaskState) string {
	value := s.Descriptor().Values().ByNumber(s.Number())
	if value == nil {
		return s.String()
	}
	return enumText(s.Descriptor(), value)
}

func stateNames() []string {
	var names []string
	for n := sitekeepv1.TaskState_TASK_STATE_QUEUED; n <= sitekeepv1.TaskState_TASK_STATE_NEEDS_OPERATOR; n++ {
		names = append(names, stateText(n))
	}
	return names
}

func parseStates(texts []string) ([]sitekeepv1.TaskState, error) {
	var states []sitekeepv1.TaskState
	for _, text := range texts {
		n, ok := sitekeepv1.TaskState_value["TASK_STATE_"+strings.ToUpper(text)]
		if !ok || n == 0 {
			return nil, usageError("sitekeep task list", "--state %q is none of %s", text, strings.Join(stateNames(), ", "))
		}
		states = append(states, sitekeepv1.TaskState(n))
	}
	return states, nil
}

func newTaskShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a task", Args: arguments(1, 1),
		Example:           "  sitekeep task show 01KACQ4J7XK0VJ7N3YH2M3T5QZ",
		ValidArgsFunction: a.complete(taskIDs),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			r, err := c.tasks.GetTask(ctx, &sitekeepv1.GetTaskRequest{Id: args[0]})
			if err != nil {
				return err
			}
			return a.printFacts(r.GetTask(), a.taskFacts(r.GetTask()))
		}),
	}
}

func (a *app) taskFacts(t *sitekeepv1.Task) facts {
	f := facts{
		{"task", t.GetId()}, {"kind", t.GetKind()}, {"site", t.GetSite()}, {"state", stateText(t.GetState())},
		{"created", localTime(t.GetCreatedAt())}, {"started", localTime(t.GetStartedAt())},
		{"finished", localTime(t.GetFinishedAt())}, {"took", a.tookText(t)},
	}
	if !final(t.GetState()) {
		f = append(f, [2]string{"progress", progressText(t.GetProgress(), &meter{})})
	}
	if t.GetRetryAt() != nil {
		f = append(f, [2]string{"tried again", localTime(t.GetRetryAt())})
	}
	return append(append(f, endFacts(t)...), facts{{"error", t.GetError()}, {"hint", t.GetHint()}}...)
}

// endFacts are what a task has brought.
func endFacts(t *sitekeepv1.Task) facts {
	f := facts{{"backup", t.GetBackup()}, {"safety backup", t.GetSafetyBackup()}}
	if ms := t.GetDowntimeMs(); ms > 0 {
		f = append(f, [2]string{"downtime", (time.Duration(ms) * time.Millisecond).String()})
	}
	if t.GetAttempt() > 1 {
		f = append(f, [2]string{"attempts", fmt.Sprint(t.GetAttempt())})
	}
	return f
}

func newTaskCancelCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "Ask a task to end",
		Long: `Ask a task to end. One that runs undoes first what it did; this command does not wait for that. One that has ended
already is refused.`,
		Example:           "  sitekeep task cancel 01KACQ4J7XK0VJ7N3YH2M3T5QZ",
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(taskIDs),
		RunE: a.call(func(ctx context.Context, c *client, args []string) error {
			r, err := c.tasks.CancelTask(ctx, &sitekeepv1.CancelTaskRequest{Id: args[0]})
			if err != nil {
				return err
			}
			if !final(r.GetTask().GetState()) {
				fmt.Fprintf(a.err, "asked to end; follow it with: sitekeep task log -f %s\n", printable(args[0]))
			}
			return a.printText(r.GetTask(), r.GetTask().GetId())
		}),
	}
}

func newTaskLogCmd(a *app) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "log ID",
		Short: "Print a task's log",
		Long: `Print a task's log. With --follow it goes on until the task has ended, and the exit status is the task's: 0 if it
succeeded, 6 with warnings, else that of its error. Ctrl-C ends this command (status 130), not the task.

In JSON the log is an array of lines.`,
		Example:           "  sitekeep task log 01KACQ4J7XK0VJ7N3YH2M3T5QZ\n  sitekeep task log -f 01KACQ4J7XK0VJ7N3YH2M3T5QZ",
		Args:              arguments(1, 1),
		ValidArgsFunction: a.complete(taskIDs),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the task has ended")
	cmd.RunE = a.call(func(ctx context.Context, c *client, args []string) error {
		if follow {
			return a.followLog(ctx, c, args[0])
		}
		return a.printLog(ctx, c, args[0])
	})
	return cmd
}

// logRows prints lines of a log to standard output.
func (a *app) logRows() *rows[*sitekeepv1.LogLine] {
	return newRowsTo(a.out, a, func(l *sitekeepv1.LogLine) []string { return []string{logText("", l)} })
}

func (a *app) printLog(ctx context.Context, c *client, id string) error {
	stream, err := c.tasks.WatchTask(ctx, &sitekeepv1.WatchTaskRequest{Id: id})
	if err != nil {
		return err
	}
	out := a.logRows()
	var task *sitekeepv1.Task
	lines := 0
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			a.noteForgotten(task, lines)
			return out.close()
		}
		if err != nil {
			return err
		}
		if t := event.GetTask(); t != nil {
			task = t
		}
		if line := event.GetLog(); line != nil {
			if err := out.add(line); err != nil {
				return err
			}
			lines++
		}
	}
}

// noteForgotten says why nothing is printed of a task that has ended.
func (a *app) noteForgotten(task *sitekeepv1.Task, lines int) {
	if lines == 0 && task.GetFinishedAt() != nil {
		fmt.Fprintln(a.err, "no lines of this task are kept any more; keep_task_logs in master.yaml says for how long they are")
	}
}

// followLog shows the log as it grows. It is the result of this command, so it goes to standard output; only where
// both ends are one terminal the lines share it with a bar.
func (a *app) followLog(ctx context.Context, c *client, id string) error {
	if isTerminal(a.out) && isTerminal(a.err) && !a.output.json {
		task, err := a.follow(ctx, c, &sitekeepv1.Task{Id: id})
		if err != nil {
			return err
		}
		return outcome(task)
	}
	show := &logView{plainView: plainView{display: &plainDisplay{w: a.err, now: a.now, brief: true}}, out: a.logRows()}
	task, err := a.follower(c, show).follow(ctx, id)
	if closeErr := show.out.close(); err == nil {
		err = errors.Join(show.err, closeErr)
	}
	if err != nil {
		return err
	}
	return outcome(task)
}

// logView writes the lines to standard output, and what else there is to say as a plainView does.
type logView struct {
	plainView
	out *rows[*sitekeepv1.LogLine]
	err error // of writing
}

func (v *logView) line(l *sitekeepv1.LogLine) {
	if v.err == nil {
		v.err = v.out.add(l)
	}
	if v.err == nil {
		v.err = v.out.flush()
	}
}

// taskFlags are those of commands that start a task.
type taskFlags struct{ queue, detach bool }

func (f *taskFlags) add(cmd *cobra.Command, canQueue bool) {
	if canQueue {
		cmd.Flags().BoolVar(&f.queue, "queue", false, "wait for the site if another task holds it, instead of ending with 4")
	}
	cmd.Flags().BoolVar(&f.detach, "detach", false, "print the task's id and do not wait for its end")
}

// finish prints the result of a task that was started: its id if nobody waits for it, else what has become of it.
func (a *app) finish(ctx context.Context, c *client, task *sitekeepv1.Task, detach bool) error {
	if detach {
		return a.printText(task, task.GetId())
	}
	task, err := a.follow(ctx, c, task)
	if err != nil {
		return err
	}
	brief := append(facts{{"task", task.GetId()}, {"state", stateText(task.GetState())}}, endFacts(task)...)
	if err := a.printFacts(task, brief); err != nil {
		return err
	}
	return outcome(task)
}
