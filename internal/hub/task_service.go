package hub

import (
	"context"
	"encoding/json"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type taskService struct {
	sitekeepv1.UnimplementedTaskServiceServer
	*Hub
}

// task returns a task that the caller may see: of its own sites, or of any if it sees all.
func (h *Hub) task(ctx context.Context, id string) (model.Task, error) {
	t, err := h.Catalogue.Task(ctx, id)
	if err != nil {
		return t, err
	}
	if callerFrom(ctx).client == "" {
		return t, nil
	}
	if _, err := h.site(ctx, t.Site); err != nil {
		return model.Task{}, errs.New(errs.NotFound, "list them with: sitekeep task list", "no task %q", id) // as the catalogue says it of one that is not there
	}
	return t, nil
}

func (s *taskService) ListTasks(ctx context.Context, q *sitekeepv1.ListTasksRequest) (*sitekeepv1.ListTasksResponse, error) {
	if q.Site != "" {
		if _, err := s.site(ctx, q.Site); err != nil && callerFrom(ctx).client != "" {
			return nil, err
		}
	}
	f := catalogue.TaskFilter{Site: q.Site, Client: callerFrom(ctx).client, Limit: int(q.PageSize)}
	for _, st := range q.States {
		f.States = append(f.States, stateFromProto(st))
	}
	list, _, err := s.Catalogue.Tasks(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.ListTasksResponse{}
	for i := range list {
		out.Tasks = append(out.Tasks, s.withRetry(&list[i]))
	}
	return out, nil
}

func (s *taskService) GetTask(ctx context.Context, q *sitekeepv1.GetTaskRequest) (*sitekeepv1.GetTaskResponse, error) {
	t, err := s.task(ctx, q.Id)
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.GetTaskResponse{Task: s.withRetry(&t)}, nil
}

func (s *taskService) WatchTask(q *sitekeepv1.WatchTaskRequest, stream sitekeepv1.TaskService_WatchTaskServer) error {
	ctx := stream.Context()
	t, err := s.task(ctx, q.Id)
	if err != nil {
		return err
	}
	if !q.Follow {
		return s.replay(ctx, q, &t, stream)
	}
	for e, err := range s.Tasks.Watch(ctx, q.Id, q.AfterLine+1) {
		if err != nil {
			return err
		}
		if err := stream.Send(s.eventToProto(e.Line, e.Task)); err != nil {
			return err
		}
	}
	return nil
}

const logPage = 500

// replay sends the log as it is now, and the task.
func (s *taskService) replay(ctx context.Context, q *sitekeepv1.WatchTaskRequest, t *model.Task, stream sitekeepv1.TaskService_WatchTaskServer) error {
	next := q.AfterLine + 1
	for {
		lines, err := s.Catalogue.LogLines(ctx, q.Id, next, logPage)
		if err != nil {
			return err
		}
		for i := range lines {
			if err := stream.Send(s.eventToProto(&lines[i], nil)); err != nil {
				return err
			}
			next = lines[i].Seq + 1
		}
		if len(lines) < logPage {
			return stream.Send(s.eventToProto(nil, t))
		}
	}
}

func (h *Hub) eventToProto(l *model.LogLine, t *model.Task) *sitekeepv1.WatchTaskResponse {
	if l != nil {
		return &sitekeepv1.WatchTaskResponse{Event: &sitekeepv1.WatchTaskResponse_Log{Log: lineToProto(l)}}
	}
	return &sitekeepv1.WatchTaskResponse{Event: &sitekeepv1.WatchTaskResponse_Task{Task: h.withRetry(t)}}
}

func lineToProto(l *model.LogLine) *sitekeepv1.LogLine {
	return &sitekeepv1.LogLine{Line: l.Seq, Time: timestamppb.New(l.Time), Level: string(l.Level), Text: l.Text}
}

func (s *taskService) CancelTask(ctx context.Context, q *sitekeepv1.CancelTaskRequest) (*sitekeepv1.CancelTaskResponse, error) {
	if _, err := s.task(ctx, q.Id); err != nil {
		return nil, err
	}
	t, err := s.Tasks.Cancel(ctx, q.Id, callerFrom(ctx).name)
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.CancelTaskResponse{Task: taskToProto(&t)}, nil
}

// RetryTask lets a task that needs an operator go on by its journal, and submits one that failed once more.
func (s *taskService) RetryTask(ctx context.Context, q *sitekeepv1.RetryTaskRequest) (*sitekeepv1.RetryTaskResponse, error) {
	t, err := s.task(ctx, q.Id)
	if err != nil {
		return nil, err
	}
	if t.State == model.TaskSucceeded || t.State == model.TaskWarning {
		return nil, errs.New(errs.Precondition, "look at it with: sitekeep task show "+q.Id, "task %s has succeeded: there is nothing to try again", q.Id)
	}
	t, err = s.Tasks.Again(ctx, q.Id, q.Queue)
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.RetryTaskResponse{Task: taskToProto(&t)}, nil
}

// mended refuses work on a site that a task has left half done, until an operator has seen to it.
func (h *Hub) mended(ctx context.Context, site string) error {
	id, err := h.Catalogue.StuckTask(ctx, site)
	if err != nil || id == "" {
		return err
	}
	return errs.New(errs.Precondition, "do what the end of this says: sitekeep task log "+id+", then: sitekeep task retry "+id,
		"task %s on site %s needs an operator first", id, site)
}

// states in both worlds.
func states() map[model.TaskState]sitekeepv1.TaskState {
	return map[model.TaskState]sitekeepv1.TaskState{
		model.TaskQueued: sitekeepv1.TaskState_TASK_STATE_QUEUED, model.TaskRunning: sitekeepv1.TaskState_TASK_STATE_RUNNING,
		model.TaskSucceeded: sitekeepv1.TaskState_TASK_STATE_SUCCEEDED, model.TaskWarning: sitekeepv1.TaskState_TASK_STATE_WARNING,
		model.TaskFailed: sitekeepv1.TaskState_TASK_STATE_FAILED, model.TaskCancelled: sitekeepv1.TaskState_TASK_STATE_CANCELLED,
		model.TaskNeedsOperator: sitekeepv1.TaskState_TASK_STATE_NEEDS_OPERATOR,
	}
}

func stateFromProto(p sitekeepv1.TaskState) model.TaskState {
	for m, have := range states() {
		if have == p {
			return m
		}
	}
	return ""
}

// outcome has the fields of the kinds' results that a task shows.
type outcome struct {
	Backup       string `json:"backup"`
	SafetyBackup string `json:"safety_backup"`
	Downtime     int64  `json:"downtime"` // nanoseconds
}

// withRetry is taskToProto, with when a task that waits for that is tried again.
func (h *Hub) withRetry(t *model.Task) *sitekeepv1.Task {
	p := taskToProto(t)
	if t.State == model.TaskQueued {
		p.RetryAt = timeToProto(h.Tasks.NextTry(t.ID))
	}
	return p
}

func taskToProto(t *model.Task) *sitekeepv1.Task {
	var o outcome
	_ = json.Unmarshal(t.Result, &o) // a kind without these fields shows none
	return &sitekeepv1.Task{
		Id: t.ID, Kind: string(t.Kind), Site: t.Site, State: states()[t.State],
		CreatedAt: timeToProto(t.CreatedAt), StartedAt: timeToProto(t.StartedAt), FinishedAt: timeToProto(t.FinishedAt),
		Progress: &sitekeepv1.Progress{Step: t.Progress.Step, DoneBytes: t.Progress.Done, TotalBytes: t.Progress.Total, Files: t.Progress.Files},
		Error:    t.Error, Hint: t.Hint, ErrorKind: t.ErrorKind, Attempt: int32(t.Attempt),
		Backup: o.Backup, SafetyBackup: o.SafetyBackup, DowntimeMs: o.Downtime / 1e6,
	}
}
