package wire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// taskServer answers by the id that it is asked for.
type taskServer struct {
	sitekeepv1.UnimplementedTaskServiceServer
	ended chan error
}

func (s *taskServer) GetTask(_ context.Context, req *sitekeepv1.GetTaskRequest) (*sitekeepv1.GetTaskResponse, error) {
	if req.GetId() == "panic" {
		panic("password=hunter2")
	}
	if req.GetId() == "bytes" {
		return nil, errs.New(errs.Corrupt, "read \xff", "file \xff is damaged")
	}
	return nil, errs.New(errs.NotFound, "list them with: sitekeep task list", "no task %s", req.GetId())
}

func (s *taskServer) WatchTask(req *sitekeepv1.WatchTaskRequest, stream grpc.ServerStreamingServer[sitekeepv1.WatchTaskResponse]) error {
	if err := stream.Send(&sitekeepv1.WatchTaskResponse{}); err != nil {
		return err
	}
	switch req.GetId() {
	case "panic":
		panic("password=hunter2")
	case "busy":
		return errs.New(errs.Busy, "use --queue", "the site is held")
	case "gone":
		return s.sendUntilTheCallerIsGone(stream)
	}
	return nil
}

func (s *taskServer) sendUntilTheCallerIsGone(stream grpc.ServerStreamingServer[sitekeepv1.WatchTaskResponse]) error {
	<-stream.Context().Done()
	for {
		if err := stream.Send(&sitekeepv1.WatchTaskResponse{}); err != nil {
			s.ended <- err
			return err
		}
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type bench struct {
	client sitekeepv1.TaskServiceClient
	raw    sitekeepv1.TaskServiceClient // without the client's interceptors
	server *taskServer
	log    *lockedBuffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{server: &taskServer{ended: make(chan error, 1)}, log: &lockedBuffer{}}
	log := hclog.New(&hclog.LoggerOptions{Output: b.log})
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer(grpc.UnaryInterceptor(wire.UnaryServerErrors(log)), grpc.StreamInterceptor(wire.StreamServerErrors(log)))
	sitekeepv1.RegisterTaskServiceServer(server, b.server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	b.raw = dial(t, listener)
	b.client = dial(t, listener, grpc.WithUnaryInterceptor(wire.UnaryClientErrors()), grpc.WithStreamInterceptor(wire.StreamClientErrors()))
	return b
}

func dial(t *testing.T, listener *bufconn.Listener, opts ...grpc.DialOption) sitekeepv1.TaskServiceClient {
	t.Helper()
	opts = append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	conn, err := grpc.NewClient("passthrough:///bufconn", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return sitekeepv1.NewTaskServiceClient(conn)
}

func TestUnaryCallsCarryKinds(t *testing.T) {
	b := newBench(t)
	_, err := b.client.GetTask(t.Context(), &sitekeepv1.GetTaskRequest{Id: "T1"})
	checkError(t, err, errs.NotFound, "no task T1", "list them with: sitekeep task list")
	_, err = b.client.GetTask(t.Context(), &sitekeepv1.GetTaskRequest{Id: "bytes"})
	checkError(t, err, errs.Corrupt, "file � is damaged", "read �")
	_, err = b.client.CancelTask(t.Context(), &sitekeepv1.CancelTaskRequest{})
	if !errs.Is(err, errs.Failed) || errs.HintOf(err) == "" {
		t.Errorf("an unknown method gives %v", err)
	}
}

func TestStreamsCarryKinds(t *testing.T) {
	b := newBench(t)
	checkError(t, lastError(t, b, "busy"), errs.Busy, "the site is held", "use --queue")
	if err := lastError(t, b, "fine"); err != io.EOF {
		t.Errorf("the end of a stream is %v", err)
	}
}

func lastError(t *testing.T, b *bench, id string) error {
	t.Helper()
	stream, err := b.client.WatchTask(t.Context(), &sitekeepv1.WatchTaskRequest{Id: id})
	if err != nil {
		return err
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatalf("the first message: %v", err)
	}
	_, err = stream.Recv()
	return err
}

func TestPanicsGoToTheLogOnly(t *testing.T) {
	b := newBench(t)
	_, unaryErr := b.client.GetTask(t.Context(), &sitekeepv1.GetTaskRequest{Id: "panic"})
	for method, err := range map[string]error{"GetTask": unaryErr, "WatchTask": lastError(t, b, "panic")} {
		if !errs.Is(err, errs.Failed) || !strings.Contains(err.Error(), method) || !strings.Contains(errs.HintOf(err), "see the log") {
			t.Errorf("%s: %v, hint %q", method, err, errs.HintOf(err))
		}
		if strings.Contains(err.Error()+errs.HintOf(err), "hunter2") || strings.Contains(err.Error(), "goroutine") {
			t.Errorf("%s: the caller is shown the panic: %v", method, err)
		}
	}
	if log := b.log.String(); strings.Count(log, "hunter2") != 2 || !strings.Contains(log, "interceptors_test.go") {
		t.Errorf("the log has no panic and stack: %s", log)
	}
	_, err := b.raw.GetTask(t.Context(), &sitekeepv1.GetTaskRequest{Id: "panic"})
	if status.Code(err) != codes.Internal {
		t.Errorf("a panic has the code %v", status.Code(err))
	}
}

func TestEndOfTheCallerIsCancelled(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := b.client.WatchTask(ctx, &sitekeepv1.WatchTaskRequest{Id: "gone"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = stream.Recv()
	if !errs.Is(err, errs.Cancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("the caller sees %v", err)
	}
	select {
	case seen := <-b.server.ended:
		var typed *errs.Error
		if !errors.As(seen, &typed) {
			t.Errorf("the handler sees %v (%T), which has no kind", seen, seen)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the handler does not learn that its caller is gone")
	}
}

func TestUnreachablePeer(t *testing.T) {
	conn, err := grpc.NewClient("passthrough:///nowhere", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("refused") }),
		grpc.WithUnaryInterceptor(wire.UnaryClientErrors()), grpc.WithStreamInterceptor(wire.StreamClientErrors()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := sitekeepv1.NewTaskServiceClient(conn)
	if _, err := client.GetTask(t.Context(), &sitekeepv1.GetTaskRequest{}); !errs.Temporary(err) {
		t.Errorf("unary: %v", err)
	}
	if _, err := client.WatchTask(t.Context(), &sitekeepv1.WatchTaskRequest{}); !errs.Temporary(err) {
		t.Errorf("stream: %v", err)
	}
}
