//go:build integration

package e2e_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
	"github.com/sitekeep/sitekeep/test/bed"
)

// dialLocal connects to the master's socket, as automation on its machine does.
func (s *stage) dialLocal() *grpc.ClientConn {
	s.t.Helper()
	conn := bed.Must(grpc.NewClient("unix:"+filepath.Join(s.master.DataDir, "sitekeep.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials())))(s.t)
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// event is what a watch of a task tells: a line of its log, or its progress.
type event struct {
	line string
	step string
	end  bool
}

// watch reports what a task does until stop says so, or the watch ends with
// the task or the master.
func watch(ctx context.Context, tb testing.TB, conn *grpc.ClientConn, task string, stop func(event) bool) (stopped bool) {
	tb.Helper()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := sitekeepv1.NewTaskServiceClient(conn).WatchTask(ctx, &sitekeepv1.WatchTaskRequest{Id: task, Follow: true})
	if err != nil {
		tb.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return false
		}
		e := event{line: m.GetLog().GetText(), step: m.GetTask().GetProgress().GetStep()}
		e.end = m.GetTask().GetFinishedAt().IsValid()
		if stop(e) {
			return true
		}
		if e.end {
			return false
		}
	}
}

// awaitLine returns when the task's log has a line that begins so; at once if
// that is empty.
func (s *stage) awaitLine(task, line string) {
	s.t.Helper()
	if line == "" {
		return
	}
	seen := watch(s.t.Context(), s.t, s.dialLocal(), task, func(e event) bool { return strings.HasPrefix(e.line, line) })
	if !seen {
		s.t.Errorf("task %s ended and never said %q:\n%s", task, line, s.ok("task", "log", task))
	}
}
