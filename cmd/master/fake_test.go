package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// fakeMaster answers the public API out of memory. What it does with a site is in the site's name: see fate.
type fakeMaster struct {
	pb.UnimplementedServerServiceServer
	pb.UnimplementedSiteServiceServer
	pb.UnimplementedBackupServiceServer
	pb.UnimplementedRestoreServiceServer
	pb.UnimplementedTaskServiceServer
	pb.UnimplementedAccessServiceServer

	mu      sync.Mutex
	changed *sync.Cond // with mu: a task has changed, or the server stops
	epoch   int        // counts restarts; watchers of an earlier one end
	nextID  int
	sites   []*pb.Site
	backups []*pb.Backup // newest first
	tasks   []*fakeTask
	servers []*pb.Server
	tokens  []*pb.ApiToken
	calls   []string // requests that start something, as text
	watched map[string]int
	told    int // times that a stream of many tasks has told of all of them
}

type fakeTask struct {
	task *pb.Task
	log  []*pb.LogLine
}

func at(seconds int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2026, 11, 23, 0, 13, 36+seconds, 0, time.UTC))
}

func newFakeMaster() *fakeMaster {
	m := &fakeMaster{nextID: 1, watched: map[string]int{}}
	m.changed = sync.NewCond(&m.mu)
	m.servers = []*pb.Server{
		{Name: "db1", Roles: []string{"db"}, DialOut: true, JoinedAt: at(0)},
		{Name: "new1", Roles: []string{"web"}},
		{Name: "sick1", Roles: []string{"web"}, Address: "192.0.2.9:7441", JoinedAt: at(0)},
		{Name: "web1", Roles: []string{"web", "db"}, Address: "192.0.2.1:7441", JoinedAt: at(0), CertificateNotAfter: at(86400)},
	}
	m.sites = []*pb.Site{
		{Name: "example.com", Aliases: []string{"www.example.com"}, Kind: "wordpress", WebServers: []string{"web1", "web2"},
			DbServer: "db1", Root: "/var/www/example.com", Docroot: "/var/www/example.com", Database: "example", DatabaseUser: "example",
			DatabaseHost: "192.0.2.2", Client: "acme", Excludes: []string{"cache/*"}, Vhost: "managed", CreatedAt: at(-3600),
			LastBackup: "example.com-20261123.001336", LastBackupAt: at(0), Backups: 2, BackupBytes: 123456789},
		{Name: "static.example", Kind: "generic", WebServers: []string{"web1"}, Root: "/srv/static", Docroot: "/srv/static", Vhost: "external"},
	}
	m.backups = []*pb.Backup{
		{Id: "example.com-20261123.001336", Site: "example.com", CreatedAt: at(0), Description: "before the update", Format: "tar.zst",
			Size: 121 << 20, NewBytes: 1500, Files: 1234, Digest: "sha256:00ff", Pinned: true, PinReason: "asked for", Warnings: []string{"changed: a"},
			Origin: "manual", Task: "T0", Tables: 12, Rows: 3456, PlainSize: 200 << 20},
		{Id: "example.com-20261122.001336", Site: "example.com", CreatedAt: at(-86400), Description: "evil \x1b[31mred\x07\u202e", Format: "tar.gz",
			Size: 900, NewBytes: 900, Origin: "manual"},
	}
	m.tokens = []*pb.ApiToken{{Name: "ci", Role: "operator", Client: "acme", CreatedAt: at(0)}}
	return m
}

// fate is what becomes of a task, by the first label of its site's name.
func fate(site string) *pb.Task {
	switch first, _, _ := strings.Cut(site, "."); first {
	case "warn":
		return &pb.Task{State: pb.TaskState_TASK_STATE_WARNING}
	case "down":
		return &pb.Task{State: pb.TaskState_TASK_STATE_FAILED, Error: "agent web1: connection refused", ErrorKind: "unreachable", Hint: "start sitekeep-agent on web1"}
	case "lost":
		return &pb.Task{State: pb.TaskState_TASK_STATE_FAILED, Error: "root /var/www/lost does not exist", ErrorKind: "not_found"}
	case "held":
		return &pb.Task{State: pb.TaskState_TASK_STATE_FAILED, Error: "held by another task", ErrorKind: "busy"}
	case "banned":
		return &pb.Task{State: pb.TaskState_TASK_STATE_FAILED, Error: "outside the allow-list", ErrorKind: "permission"}
	case "full":
		return &pb.Task{State: pb.TaskState_TASK_STATE_FAILED, Error: "no space left on device", ErrorKind: "no_space", Hint: "make room"}
	case "stuck":
		return &pb.Task{State: pb.TaskState_TASK_STATE_NEEDS_OPERATOR, Error: "the old database could not be brought back", ErrorKind: "failed"}
	case "stopped":
		return &pb.Task{State: pb.TaskState_TASK_STATE_CANCELLED}
	case "slow":
		return &pb.Task{State: pb.TaskState_TASK_STATE_RUNNING}
	}
	return &pb.Task{State: pb.TaskState_TASK_STATE_SUCCEEDED}
}

// start makes a task, which ends at once unless its site is a slow one.
func (m *fakeMaster) start(kind, site string, queue bool) (*pb.Task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case strings.HasPrefix(site, "missing."):
		return nil, errs.New(errs.NotFound, "list them with: sitekeep site list", "no site %s", site)
	case strings.HasPrefix(site, "denied."):
		return nil, errs.New(errs.Permission, "ask an admin", "the role viewer may not do this")
	case strings.HasPrefix(site, "busy.") && !queue:
		return nil, errs.New(errs.Busy, "wait for it with --queue", "task T7 holds %s", site)
	}
	t := &fakeTask{task: fate(site)}
	t.task.Id, t.task.Kind, t.task.Site = fmt.Sprintf("T%d", m.nextID), kind, site
	t.task.CreatedAt, t.task.StartedAt, t.task.Attempt = at(0), at(1), 1
	t.task.Progress = &pb.Progress{Step: "read " + site, DoneBytes: 50 << 20, TotalBytes: 100 << 20, Files: 7}
	m.nextID++
	m.say(t, "info", "begun")
	if t.task.State != pb.TaskState_TASK_STATE_RUNNING {
		m.end(t, t.task.State)
	}
	m.tasks = append(m.tasks, t)
	return proto.CloneOf(t.task), nil
}

func (m *fakeMaster) say(t *fakeTask, level, text string) {
	n := len(t.log) + 1
	t.log = append(t.log, &pb.LogLine{Line: int64(n), Time: at(n), Level: level, Text: text})
	m.changed.Broadcast()
}

func (m *fakeMaster) end(t *fakeTask, state pb.TaskState) {
	t.task.State, t.task.FinishedAt = state, at(91)
	done := state == pb.TaskState_TASK_STATE_SUCCEEDED || state == pb.TaskState_TASK_STATE_WARNING
	if state == pb.TaskState_TASK_STATE_WARNING {
		m.say(t, "warning", "a file changed while it was read: evil\x1b[2Jname")
	}
	switch {
	case done && t.task.Kind == "backup" && !strings.HasPrefix(t.task.Site, "nameless."):
		t.task.Backup = t.task.Site + "-20261124.120000"
		m.backups = append([]*pb.Backup{{Id: t.task.Backup, Site: t.task.Site, CreatedAt: at(86400), Format: "tar.zst", Size: 5}}, m.backups...)
	case done && t.task.Kind == "restore":
		t.task.SafetyBackup, t.task.DowntimeMs = t.task.Site+"-20261124.115959", 1234
	}
	m.say(t, "info", "ended")
}

func (m *fakeMaster) find(id string) (*fakeTask, error) {
	for _, t := range m.tasks {
		if t.task.Id == id {
			return t, nil
		}
	}
	return nil, errs.New(errs.NotFound, "list them with: sitekeep task list", "no task %s", id)
}

func (m *fakeMaster) called(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, fmt.Sprintf(format, args...))
}

// --- tasks

func (m *fakeMaster) ListTasks(_ context.Context, r *pb.ListTasksRequest) (*pb.ListTasksResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := &pb.ListTasksResponse{}
	for i := len(m.tasks) - 1; i >= 0; i-- {
		t := m.tasks[i].task
		wanted := len(r.States) == 0
		for _, s := range r.States {
			wanted = wanted || s == t.State
		}
		if wanted && (r.Site == "" || r.Site == t.Site) && (r.PageSize == 0 || len(list.Tasks) < int(r.PageSize)) {
			list.Tasks = append(list.Tasks, proto.CloneOf(t))
		}
	}
	return list, nil
}

func (m *fakeMaster) GetTask(_ context.Context, r *pb.GetTaskRequest) (*pb.GetTaskResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, err := m.find(r.Id)
	if err != nil {
		return nil, err
	}
	return &pb.GetTaskResponse{Task: proto.CloneOf(t.task)}, nil
}

func (m *fakeMaster) CancelTask(_ context.Context, r *pb.CancelTaskRequest) (*pb.CancelTaskResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, err := m.find(r.Id)
	if err != nil {
		return nil, err
	}
	if final(t.task.State) {
		return nil, errs.New(errs.Precondition, "", "task %s has ended", r.Id)
	}
	return &pb.CancelTaskResponse{Task: proto.CloneOf(t.task)}, nil
}

// RetryTask lets a task go on that needs an operator, and starts others again. It succeeds then.
func (m *fakeMaster) RetryTask(_ context.Context, r *pb.RetryTaskRequest) (*pb.RetryTaskResponse, error) {
	m.called("RetryTask id=%s queue=%v", r.Id, r.Queue)
	m.mu.Lock()
	defer m.mu.Unlock()
	t, err := m.find(r.Id)
	switch {
	case err != nil:
		return nil, err
	case !final(t.task.State) || t.task.State == pb.TaskState_TASK_STATE_SUCCEEDED:
		return nil, errs.New(errs.Precondition, "look at it with: sitekeep task show "+r.Id, "task %s cannot be tried again", r.Id)
	}
	if t.task.State != pb.TaskState_TASK_STATE_NEEDS_OPERATOR {
		t = &fakeTask{task: proto.CloneOf(t.task)}
		t.task.Id = fmt.Sprintf("T%d", m.nextID)
		m.nextID++
		m.tasks = append(m.tasks, t)
	}
	t.task.Error, t.task.ErrorKind, t.task.Hint = "", "", ""
	m.end(t, pb.TaskState_TASK_STATE_SUCCEEDED)
	return &pb.RetryTaskResponse{Task: proto.CloneOf(t.task)}, nil
}

// WatchTask repeats a line that the caller has, as a master may, and says nothing of a task that has not changed.
func (m *fakeMaster) WatchTask(r *pb.WatchTaskRequest, stream grpc.ServerStreamingServer[pb.WatchTaskResponse]) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, err := m.find(r.Id)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(stream.Context(), func() { m.changed.Broadcast() })
	defer stop()
	m.watched[t.task.Site]++
	epoch, sent := m.epoch, max(r.AfterLine-1, 0)
	for {
		for _, line := range t.log[sent:] {
			if err := stream.Send(&pb.WatchTaskResponse{Event: &pb.WatchTaskResponse_Log{Log: line}}); err != nil {
				return err
			}
			sent++
		}
		if err := stream.Send(&pb.WatchTaskResponse{Event: &pb.WatchTaskResponse_Task{Task: proto.CloneOf(t.task)}}); err != nil {
			return err
		}
		if !r.Follow || final(t.task.State) {
			return nil
		}
		m.changed.Wait()
		switch {
		case m.epoch != epoch: // a master that is going down cancels its handlers
			return context.Canceled
		case stream.Context().Err() != nil:
			return stream.Context().Err()
		}
	}
}

// WatchTasks says what has become of each task, in no order, and repeats itself. Tasks of sites that are forgotten are
// not known.
func (m *fakeMaster) WatchTasks(r *pb.WatchTasksRequest, stream grpc.ServerStreamingServer[pb.WatchTasksResponse]) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	stop := context.AfterFunc(stream.Context(), func() { m.changed.Broadcast() })
	defer stop()
	m.watched["tasks"]++
	epoch := m.epoch
	for {
		open := false
		for _, id := range r.Ids {
			t, err := m.find(id)
			if err != nil || strings.HasPrefix(t.task.Site, "forgotten.") {
				continue
			}
			event := &pb.WatchTasksResponse{Task: proto.CloneOf(t.task)}
			if open = open || !final(t.task.State); final(t.task.State) {
				for _, line := range t.log {
					if line.Level != "info" {
						event.Attention = append(event.Attention, line)
					}
				}
			}
			if err := stream.Send(event); err != nil {
				return err
			}
		}
		m.told++
		if !open {
			return nil
		}
		m.changed.Wait()
		switch {
		case m.epoch != epoch:
			return context.Canceled
		case stream.Context().Err() != nil:
			return stream.Context().Err()
		}
	}
}
