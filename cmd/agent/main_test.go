package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/agent/link"
	"github.com/sitekeep/sitekeep/internal/agent/link/linktest"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sitekeep-agent": main})
}

// TestScripts runs the program as an operator does.
func TestScripts(t *testing.T) {
	master := linktest.New(t, "web")
	away, err := pki.NewJoinToken([]string{"127.0.0.1:1"}, master.CA.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TOKEN", master.Token("web1", time.Hour))
			env.Setenv("TOKEN2", master.Token("web2", time.Hour))
			env.Setenv("EXPIRED", master.Token("web3", -time.Hour))
			env.Setenv("AWAY", away.Text())
			env.Setenv("SITEKEEP_DATA_DIR", "")
			env.Setenv("PORT", freePort(t))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": status, "listening": listening, "occupy": occupy, "terminate": terminate,
		},
	})
}

// status runs the program and compares its exit status: status N ARGS.
func status(ts *testscript.TestScript, neg bool, args []string) {
	var want int
	for _, c := range args[0] {
		want = want*10 + int(c-'0')
	}
	err := ts.Exec("sitekeep-agent", args[1:]...)
	got := 0
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d\n%s", got, want, ts.ReadFile("stderr"))
	}
	ts.Logf("exit status %d", got)
}

// listening waits until somebody listens: listening ADDRESS.
func listening(ts *testscript.TestScript, _ bool, args []string) {
	for range 500 {
		conn, err := net.Dial("tcp", args[0])
		if err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("nobody listens on %s", args[0])
}

// terminate sends SIGTERM to what runs in the background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			ts.Fatalf("%v", err)
		}
	}
}

// occupy listens until the script ends: occupy ADDRESS.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		ts.Fatalf("%v", err)
	}
	ts.Defer(func() { _ = l.Close() })
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, ok := strings.Cut(freeAddress(t), ":")
	if !ok {
		t.Fatal("no port")
	}
	return port
}

// serving is a program that runs.
type serving struct {
	ready  chan struct{}
	cancel context.CancelFunc
	ended  chan error
}

// start runs serve in a data directory until the test ends.
func start(t *testing.T, dataDir string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, outWriter := io.Pipe()
	s := &serving{ready: make(chan struct{}), cancel: cancel, ended: make(chan error, 1)}
	log := &testLog{t: t}
	go func() {
		s.ended <- run(ctx, []string{"serve", "--data-dir", dataDir, "--log-json", "--log-level", "debug"}, stdio{nil, outWriter, log})
		_ = outWriter.Close()
	}()
	lines := make(chan struct{})
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			if scan.Text() == "ready" {
				close(s.ready)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-lines })
	return s
}

type testLog struct{ t *testing.T }

func (l *testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", b)
	return len(b), nil
}

func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("never: " + what)
		panic("unreachable")
	}
}

func join(t *testing.T, m *linktest.Master, o link.JoinOptions) string {
	t.Helper()
	o.DataDir, o.Token = t.TempDir(), m.Token("web1", time.Hour)
	if _, err := link.Join(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	conf := "allow:\n  roots: [" + t.TempDir() + "]\n"
	if err := os.WriteFile(filepath.Join(o.DataDir, config.FileName), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return o.DataDir
}

func ask(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	info, err := agentv1.NewAgentServiceClient(conn).GetInfo(ctx, &agentv1.GetInfoRequest{})
	if err != nil || info.GetCertificateNotAfter().AsTime().Before(time.Now()) || len(info.GetRoles()) != 1 {
		t.Errorf("info = %v, %v", info, err)
	}
}

func TestServeListening(t *testing.T) {
	m := linktest.New(t, "web")
	address := freeAddress(t)
	dir := join(t, m, link.JoinOptions{Listen: address})
	s := start(t, dir)
	await(t, "ready", s.ready)
	ask(t, m.Dial("web1", address))
	if err := run(t.Context(), []string{"serve", "--data-dir", dir}, stdio{nil, io.Discard, io.Discard}); !errs.Is(err, errs.Precondition) {
		t.Errorf("a second one in the same data directory: %v", err)
	}
	s.cancel()
	if err := await(t, "stopped", s.ended); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestServeDiallingOut(t *testing.T) {
	m := linktest.New(t, "web")
	s := start(t, join(t, m, link.JoinOptions{DialOut: true}))
	conn := m.Over(await(t, "a connection", m.Reversed))
	ask(t, conn)
	await(t, "ready", s.ready)
	s.cancel()
	if err := await(t, "stopped", s.ended); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
