package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// scriptedTasks gives each call of WatchTask the next stream of a list.
type scriptedTasks struct {
	pb.TaskServiceClient
	streams []stream
	asked   []int64 // after_line of each call
}

type stream struct {
	grpc.ServerStreamingClient[pb.WatchTaskResponse]
	events []*pb.WatchTaskResponse
	end    error
	begin  func() // when it is read first
}

func (s *scriptedTasks) WatchTask(_ context.Context, r *pb.WatchTaskRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[pb.WatchTaskResponse], error) {
	s.asked = append(s.asked, r.AfterLine)
	next := s.streams[0]
	if len(s.streams) > 1 {
		s.streams = s.streams[1:]
	}
	return &next, nil
}

func (s *stream) Recv() (*pb.WatchTaskResponse, error) {
	if s.begin != nil {
		s.begin()
	}
	if len(s.events) == 0 {
		return nil, s.end
	}
	event := s.events[0]
	s.events = s.events[1:]
	return event, nil
}

func lineEvent(n int64) *pb.WatchTaskResponse {
	return &pb.WatchTaskResponse{Event: &pb.WatchTaskResponse_Log{Log: &pb.LogLine{Line: n, Level: "info", Text: fmt.Sprint("line ", n)}}}
}

func taskEvent(state pb.TaskState) *pb.WatchTaskResponse {
	return &pb.WatchTaskResponse{Event: &pb.WatchTaskResponse_Task{Task: &pb.Task{Id: "T1", State: state}}}
}

// recorder is a view that remembers.
type recorder struct{ lines, notes []string }

func (r *recorder) line(l *pb.LogLine) { r.lines = append(r.lines, l.GetText()) }
func (r *recorder) progress(*pb.Task)  {}
func (r *recorder) note(format string, a ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, a...))
}
func (r *recorder) end() {}
func unreachable() error { return errs.New(errs.Unreachable, "", "connection refused") }
func running(n int64) []*pb.WatchTaskResponse {
	return []*pb.WatchTaskResponse{lineEvent(n), taskEvent(pb.TaskState_TASK_STATE_RUNNING)}
}
func succeeded(n int64) []*pb.WatchTaskResponse {
	return []*pb.WatchTaskResponse{lineEvent(n), taskEvent(pb.TaskState_TASK_STATE_SUCCEEDED)}
}
func newFollower(tasks *scriptedTasks, clock func() time.Time) (*follower, *recorder) {
	show := &recorder{}
	return &follower{tasks: tasks, show: show, patience: time.Minute, delay: time.Microsecond, now: clock}, show
}

func TestFollowerGoesOnAfterTheLastLine(t *testing.T) {
	tasks := &scriptedTasks{streams: []stream{
		{events: running(1), end: unreachable()},
		{end: unreachable()},
		{events: running(1), end: io.EOF}, // an old line again, and an end before the task's
		{events: running(2), end: errs.New(errs.Cancelled, "", "shutting down")},
		{events: succeeded(3), end: io.EOF},
	}}
	f, show := newFollower(tasks, time.Now)
	task, err := f.follow(t.Context(), "T1")
	if err != nil || task.GetState() != pb.TaskState_TASK_STATE_SUCCEEDED {
		t.Fatalf("followed to %v, %v", task, err)
	}
	if got := strings.Join(show.lines, ","); got != "line 1,line 2,line 3" {
		t.Errorf("lines %s", got)
	}
	if got := fmt.Sprint(tasks.asked); got != "[0 1 1 1 2]" {
		t.Errorf("asked for lines after %s", got)
	}
}

func TestFollowerLosesPatience(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Second); return now }
	f, show := newFollower(&scriptedTasks{streams: []stream{{events: running(1), end: unreachable()}, {end: unreachable()}}}, clock)
	_, err := f.follow(t.Context(), "T1")
	if !errs.Is(err, errs.Unreachable) || errs.HintOf(err) != "the task may go on; follow it with: sitekeep task log -f T1" {
		t.Errorf("gave up with %v, hint %q", err, errs.HintOf(err))
	}
	if waited := now.Sub(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)); waited < time.Minute || waited > 90*time.Second {
		t.Errorf("gave up after %v", waited)
	}
	if len(show.notes) != 1 {
		t.Errorf("notes: %q", show.notes)
	}
}

// A task may have nothing to say for hours: that does not count as the master's absence.
func TestSilenceIsNotAbsence(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Second); return now }
	hours := func() { now = now.Add(3 * time.Hour) }
	f, _ := newFollower(&scriptedTasks{streams: []stream{
		{begin: hours, end: unreachable()}, {end: unreachable()},
		{begin: hours, end: unreachable()}, {end: unreachable()},
		{events: succeeded(1), end: io.EOF},
	}}, clock)
	if task, err := f.follow(t.Context(), "T1"); err != nil || !final(task.GetState()) {
		t.Errorf("gave up: %v", err)
	}
}

func TestFollowerEndsAtOtherErrors(t *testing.T) {
	gone := errs.New(errs.NotFound, "", "no task T1")
	f, _ := newFollower(&scriptedTasks{streams: []stream{{end: gone}}}, time.Now)
	if _, err := f.follow(t.Context(), "T1"); !errors.Is(err, gone) {
		t.Errorf("a task that is not there gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f, _ = newFollower(&scriptedTasks{streams: []stream{{begin: cancel, end: unreachable()}}}, time.Now)
	var broken *interrupted
	if _, err := f.follow(ctx, "T1"); !errors.As(err, &broken) || broken.task != "T1" {
		t.Errorf("an interruption gives %v", err)
	}
}

func TestBeginIsNotBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	task, err := begin(ctx, func(ctx context.Context) (*pb.CreateBackupResponse, error) {
		cancel() // Ctrl-C while the master answers
		return &pb.CreateBackupResponse{Task: &pb.Task{Id: "T1"}}, ctx.Err()
	})
	if err != nil || task.GetId() != "T1" {
		t.Errorf("%v, %v", task, err)
	}
	if _, err := begin(ctx, func(context.Context) (*pb.CreateBackupResponse, error) { panic("asked after the end") }); !errs.Is(err, errs.Cancelled) {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if _, err := begin(t.Context(), func(context.Context) (*pb.CreateBackupResponse, error) { return &pb.CreateBackupResponse{}, nil }); err == nil {
		t.Error("an answer without a task passes")
	}
}

func TestPlainProgress(t *testing.T) {
	var out strings.Builder
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	display := &plainDisplay{w: &out, now: func() time.Time { return now }}
	show := display.view("")
	for i := range 100 {
		show.progress(&pb.Task{Progress: &pb.Progress{Step: "push\x1b", DoneBytes: int64(i) << 20, TotalBytes: 100 << 20}})
		now = now.Add(time.Second)
	}
	const want = "2026-11-23T00:00:30Z progress push\\x1b: 30.0 MiB of 100.0 MiB (30 %), 1.0 MiB/s, 1:10 left\n"
	if !strings.HasPrefix(out.String(), want) || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("got %q, want three lines, the first %q", out.String(), want)
	}
	out.Reset()
	brief := &plainDisplay{w: &out, now: display.now, brief: true}
	quiet := brief.view("a.example")
	quiet.line(&pb.LogLine{Level: "info", Text: "x"})
	quiet.line(&pb.LogLine{Level: "error", Text: "y"})
	if out.String() != "1970-01-01T00:00:00Z error    a.example: y\n" {
		t.Errorf("brief: %q", out.String())
	}
}
