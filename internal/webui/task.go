package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// taskListData is the queue, and what has ended.
type taskListData struct{ Open, Ended []*sitekeepv1.Task }

func (u *UI) taskList(r *request) error {
	open, err := u.tasks.ListTasks(r.ctx, &sitekeepv1.ListTasksRequest{PageSize: 500, States: []sitekeepv1.TaskState{
		sitekeepv1.TaskState_TASK_STATE_QUEUED, sitekeepv1.TaskState_TASK_STATE_RUNNING, sitekeepv1.TaskState_TASK_STATE_NEEDS_OPERATOR}})
	if err != nil {
		return err
	}
	ended, err := u.tasks.ListTasks(r.ctx, &sitekeepv1.ListTasksRequest{PageSize: 100, States: []sitekeepv1.TaskState{
		sitekeepv1.TaskState_TASK_STATE_SUCCEEDED, sitekeepv1.TaskState_TASK_STATE_WARNING, sitekeepv1.TaskState_TASK_STATE_FAILED, sitekeepv1.TaskState_TASK_STATE_CANCELLED}})
	if err != nil {
		return err
	}
	return u.render(r, "tasks", "Tasks", taskListData{open.GetTasks(), ended.GetTasks()})
}

// taskData is a task with all of its log so far.
type taskData struct {
	Task       *sitekeepv1.Task
	Log        []*sitekeepv1.LogLine
	FirstError int64 // its line; 0 for none
	Last       int64
	Hidden     int // lines that the filter leaves out
	Levels     []filter
	Removal    bool // of the site comes next, if it has succeeded
}

// levels are those of log lines, from the one that shows all.
var levels = []string{"info", "warning", "error"}

// filterBy leaves out lines below a level. The whole log is shown while a task runs: what comes is not filtered here.
func (d *taskData) filterBy(level string) {
	chosen := max(slices.Index(levels, level), 0)
	have := make([]int64, len(levels))
	var kept []*sitekeepv1.LogLine
	for _, l := range d.Log {
		rank := max(slices.Index(levels, l.GetLevel()), 0)
		for i := range rank + 1 {
			have[i]++
		}
		if rank >= chosen {
			kept = append(kept, l)
		}
	}
	d.Hidden, d.Log = len(d.Log)-len(kept), kept
	for i, name := range []string{"All", "Warnings and errors", "Errors"} {
		address := query(path("tasks", d.Task.GetId()), "level", map[bool]string{false: levels[i]}[i == 0], "then", map[bool]string{true: thenRemove}[d.Removal])
		d.Levels = append(d.Levels, filter{Name: name, Count: have[i], Address: address + "#log", Chosen: i == chosen})
	}
}

func (u *UI) task(r *request) error {
	stream, err := u.tasks.WatchTask(r.ctx, &sitekeepv1.WatchTaskRequest{Id: r.PathValue("task")})
	if err != nil {
		return err
	}
	var d taskData
	err = each(stream.Recv, func(m *sitekeepv1.WatchTaskResponse) error {
		if t := m.GetTask(); t != nil {
			d.Task = t
		}
		if l := m.GetLog(); l != nil {
			d.Log, d.Last = append(d.Log, l), l.GetLine()
			if d.FirstError == 0 && l.GetLevel() == "error" {
				d.FirstError = l.GetLine()
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	level := r.FormValue("level")
	if !final(d.Task.GetState()) {
		level = ""
	}
	d.Removal = r.FormValue("then") == thenRemove && d.Task.GetKind() == "backup" && r.may(sitekeepv1.SiteService_DeleteSite_FullMethodName)
	d.filterBy(level)
	return u.render(r, "task", taskTitle(d.Task), d)
}

func taskTitle(t *sitekeepv1.Task) string {
	if t.GetSite() == "" {
		return words(t.GetKind())
	}
	return words(t.GetKind()) + " of " + t.GetSite()
}

// watchMost ends a stream of events. The browser comes back and is looked at anew: whose session has ended gets nothing.
const watchMost = 5 * time.Minute

// lineEvent and taskEvent are what the script gets.
type (
	lineEvent struct {
		Line  int64  `json:"line"`
		Time  string `json:"time"`
		Level string `json:"level"`
		Text  string `json:"text"`
	}
	taskEvent struct {
		State string `json:"state"`
		Class string `json:"class"`
		Final bool   `json:"final"`
		Step  string `json:"step"`
		Done  int64  `json:"done"`
		Total int64  `json:"total"`
		Files int64  `json:"files"`
		Retry string `json:"retry"` // when it is tried again, while it waits for that
	}
)

// taskEvents streams a task's log and progress as server-sent events, from after the line that the browser has.
func (u *UI) taskEvents(r *request) error {
	after, err := afterLine(r)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(r.ctx, watchMost)
	defer stop()
	stream, err := u.tasks.WatchTask(ctx, &sitekeepv1.WatchTaskRequest{Id: r.PathValue("task"), AfterLine: after, Follow: true})
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	r.w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(r.w)
	send := func(m *sitekeepv1.WatchTaskResponse) error {
		if err := writeEvent(r.w, m); err != nil {
			return err
		}
		return out.Flush()
	}
	if err = send(first); err == nil {
		err = each(stream.Recv, send)
	}
	if err != nil && ctx.Err() == nil {
		u.o.Log.Info("events of a task", "task", r.PathValue("task"), "error", err)
	}
	return nil // it has begun: the browser comes back for the rest
}

// afterLine is the last line that the browser has: what it says when it comes back beats the address.
func afterLine(r *request) (int64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.FormValue("after")
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, errs.New(errs.Usage, "load the page again", "%q is not the number of a line", text)
	}
	return n, nil
}

func writeEvent(w http.ResponseWriter, m *sitekeepv1.WatchTaskResponse) error {
	if l := m.GetLog(); l != nil {
		text, err := json.Marshal(lineEvent{l.GetLine(), l.GetTime().AsTime().Format(time.RFC3339), l.GetLevel(), clean(l.GetText())})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "id: %d\nevent: line\ndata: %s\n\n", l.GetLine(), text)
		return err
	}
	t, p := m.GetTask(), m.GetTask().GetProgress()
	text, err := json.Marshal(taskEvent{stateText(t.GetState()), stateClass(t.GetState()), final(t.GetState()),
		words(clean(p.GetStep())), p.GetDoneBytes(), p.GetTotalBytes(), p.GetFiles(), stamp(t.GetRetryAt())})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "event: task\ndata: %s\n\n", text)
	return err
}

func (u *UI) cancelTask(r *request) error {
	got, err := u.tasks.CancelTask(r.ctx, &sitekeepv1.CancelTaskRequest{Id: r.PathValue("task")})
	if err != nil {
		return err
	}
	return r.redirect("tasks", got.GetTask().GetId())
}

func (u *UI) retryTask(r *request) error {
	got, err := u.tasks.RetryTask(r.ctx, &sitekeepv1.RetryTaskRequest{Id: r.PathValue("task")})
	if err != nil {
		return err
	}
	return r.redirect("tasks", got.GetTask().GetId())
}
