package webui_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// waiting answers that its only task waits for its next attempt.
type waiting struct {
	sitekeepv1.UnimplementedTaskServiceServer
}

func (waiting) task() *sitekeepv1.Task {
	return &sitekeepv1.Task{Id: failedTask, Kind: "backup", Site: "garden.example", State: sitekeepv1.TaskState_TASK_STATE_QUEUED, Error: "web1 is away", Progress: &sitekeepv1.Progress{},
		CreatedAt: timestamppb.New(now), StartedAt: timestamppb.New(now), RetryAt: timestamppb.New(now.Add(5 * time.Minute))}
}

func (w waiting) ListTasks(_ context.Context, q *sitekeepv1.ListTasksRequest) (*sitekeepv1.ListTasksResponse, error) {
	if len(q.GetStates()) > 0 && q.GetStates()[0] != sitekeepv1.TaskState_TASK_STATE_QUEUED {
		return &sitekeepv1.ListTasksResponse{}, nil
	}
	return &sitekeepv1.ListTasksResponse{Tasks: []*sitekeepv1.Task{w.task()}}, nil
}

func (w waiting) WatchTask(_ *sitekeepv1.WatchTaskRequest, stream sitekeepv1.TaskService_WatchTaskServer) error {
	return stream.Send(&sitekeepv1.WatchTaskResponse{Event: &sitekeepv1.WatchTaskResponse_Task{Task: w.task()}})
}

// TestATaskTellsWhenItIsTriedAgain, on its page, to the script, in lists and on its site's page.
func TestATaskTellsWhenItIsTriedAgain(t *testing.T) {
	_, b := newFakeRig(t)
	for path, words := range map[string][]string{
		"/tasks":                           {"tried again in 5 minutes"},
		"/sites/garden.example":            {"tried again in 5 minutes"},
		"/tasks/" + failedTask:             {"Tried again", `datetime="2026-11-23T12:05:00Z"`, "in 5 minutes", `data-retry="2026-11-23T12:05:00Z"`},
		"/tasks/" + failedTask + "/events": {`"retry":"2026-11-23T12:05:00Z"`},
	} {
		got := b.get(t, path).body
		for _, w := range words {
			if !strings.Contains(got, w) {
				t.Errorf("%s lacks %q: %s", path, w, got)
			}
		}
	}
}
