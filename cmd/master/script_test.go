package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
	"github.com/sitekeep/sitekeep/internal/wire"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sitekeep": main})
}

// TestScripts runs the program, as it is, against a master that answers out of memory. In the scripts:
//
//	exits N sitekeep ...           run it and compare its exit status
//	terminal N TEXT sitekeep ...   the same on a terminal, where TEXT answers the question; what is to be seen is in stdout
//	spawn [-t] sitekeep ...        run it in the background (on a terminal), one at a time
//	signal INT, reap N             send it a signal; wait for its end
//	master stop | start | remote   the master goes away, comes back, listens for API tokens too
//	master away SITE               the agent of a site is; its task waits for the next attempt, and who follows many knows it
//	master say SITE LEVEL TEXT, master end SITE STATE, master watched SITE N
//	master called TEXT             a request with this text came, once; then it is forgotten
//	master uncalled TEXT           none came; then all are forgotten
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    cmdExits,
			"terminal": cmdTerminal,
			"spawn":    cmdSpawn,
			"signal":   cmdSignal,
			"reap":     cmdReap,
			"master":   cmdMaster,
		},
	})
}

type scriptKey struct{}

// scriptState is what a script has running.
type scriptState struct {
	dir    string
	fake   *fakeMaster
	ca     *pki.CA
	token  pki.APIToken
	remote string // address of the TLS listener; "" without
	stop   func() error
	spawn  *process
}

func setupScript(env *testscript.Env) error {
	s := &scriptState{dir: filepath.Join(env.WorkDir, "data"), fake: newFakeMaster()}
	env.Values[scriptKey{}] = s
	env.Setenv("SITEKEEP_DATA_DIR", s.dir)
	env.Setenv("TZ", "UTC")
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	env.Defer(func() {
		if s.spawn != nil {
			s.spawn.kill()
		}
		if s.stop != nil {
			if err := s.stop(); err != nil {
				panic(err)
			}
		}
	})
	return s.start()
}

func stateOf(ts *testscript.TestScript) *scriptState {
	s, ok := ts.Value(scriptKey{}).(*scriptState)
	if !ok {
		ts.Fatalf("the script was not set up")
	}
	return s
}

// start serves on the socket, and on the TLS port if there is one.
func (s *scriptState) start() error {
	listener, err := net.Listen("unix", filepath.Join(s.dir, socketName))
	if err != nil {
		return err
	}
	stops := []func() error{s.serve(listener)}
	if s.remote != "" {
		tlsListener, err := net.Listen("tcp", s.remote)
		if err != nil {
			return err
		}
		config, err := s.tlsConfig()
		if err != nil {
			return err
		}
		stops = append(stops, s.serve(tlsListener, grpc.Creds(credentials.NewTLS(config))))
	}
	s.stop = func() error {
		s.fake.mu.Lock()
		s.fake.epoch++
		s.fake.changed.Broadcast()
		s.fake.mu.Unlock()
		var all []error
		for _, stop := range stops {
			all = append(all, stop())
		}
		s.stop = nil
		return errors.Join(all...)
	}
	return nil
}

func (s *scriptState) tlsConfig() (*tls.Config, error) {
	leaf, err := pki.NewMasterLeaf(s.ca, nil)
	if err != nil {
		return nil, err
	}
	return pki.MasterServer(leaf, func(string, string) bool { return false }, nil), nil
}

func (s *scriptState) serve(listener net.Listener, opts ...grpc.ServerOption) (stop func() error) {
	log := hclog.NewNullLogger()
	opts = append(opts, grpc.ChainUnaryInterceptor(wire.UnaryServerErrors(log), s.admit),
		grpc.ChainStreamInterceptor(wire.StreamServerErrors(log)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingAfter / 2}))
	server := grpc.NewServer(opts...)
	pb.RegisterServerServiceServer(server, s.fake)
	pb.RegisterSiteServiceServer(server, s.fake)
	pb.RegisterBackupServiceServer(server, s.fake)
	pb.RegisterRestoreServiceServer(server, s.fake)
	pb.RegisterTaskServiceServer(server, s.fake)
	policy := &fakePolicy{master: s.fake}
	pb.RegisterScheduleServiceServer(server, policy)
	pb.RegisterRetentionServiceServer(server, policy)
	inventory := &fakeInventory{master: s.fake}
	pb.RegisterClientServiceServer(server, inventory)
	pb.RegisterInventoryServiceServer(server, inventory)
	pb.RegisterAccessServiceServer(server, s.fake)
	pb.RegisterUserServiceServer(server, &fakeUsers{master: s.fake})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	return func() error {
		server.Stop()
		if err := <-served; !errors.Is(err, grpc.ErrServerStopped) { // it was stopped before it began
			return err
		}
		return nil
	}
}

// admit lets in who comes through the socket, and others with the right token.
func (s *scriptState) admit(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if name := callerName(ctx); name != "socket" && name != "Bearer "+s.token.Text() {
		return nil, errs.New(errs.Permission, "make a token", "the token is not known")
	}
	reply, err := handler(ctx, req)
	if caller, ok := reply.(*pb.GetCallerResponse); ok && caller.Name != "socket" {
		caller.Name = "token"
	}
	return reply, err
}

func callerName(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok && p.Addr.Network() == "unix" {
		return "socket"
	}
	md, _ := metadata.FromIncomingContext(ctx)
	return strings.Join(md.Get("authorization"), "; ")
}

func compact(m proto.Message) string { return string(appendMessage(nil, m.ProtoReflect())) }

func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	start(ts, false, args[1:]).expect(ts, args[0])
}

func cmdTerminal(ts *testscript.TestScript, _ bool, args []string) {
	p := start(ts, true, args[2:])
	if args[1] != "" {
		await(ts, "the question", func() bool {
			return strings.Contains(p.stdout.String(), "[y/N] ") || strings.Contains(p.stdout.String(), "to remove it: ") || strings.Contains(p.stdout.String(), "Password of ")
		})
		_, err := io.WriteString(p.person, strings.NewReplacer(`\n`, "\n", `\x03`, "\x03", `\x04`, "\x04").Replace(args[1]))
		ts.Check(err)
	}
	p.expect(ts, args[0])
}

func cmdSpawn(ts *testscript.TestScript, _ bool, args []string) {
	s := stateOf(ts)
	if s.spawn != nil {
		ts.Fatalf("another command runs already")
	}
	onTerminal := args[0] == "-t"
	if onTerminal {
		args = args[1:]
	}
	s.spawn = start(ts, onTerminal, args)
}

func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}
	ts.Check(stateOf(ts).spawn.cmd.Process.Signal(signals[args[0]]))
}

func cmdReap(ts *testscript.TestScript, _ bool, args []string) {
	s := stateOf(ts)
	s.spawn.expect(ts, args[0])
	s.spawn = nil
}

func cmdMaster(ts *testscript.TestScript, _ bool, args []string) {
	s := stateOf(ts)
	switch args[0] {
	case "stop":
		ts.Check(s.stop())
	case "start":
		ts.Check(s.start())
	case "remote":
		ts.Check(s.listenRemotely(ts))
	case "say":
		s.change(ts, args[1], func(t *fakeTask) { s.fake.say(t, args[2], args[3]) })
	case "end":
		state := pb.TaskState(pb.TaskState_value["TASK_STATE_"+strings.ToUpper(args[2])])
		s.change(ts, args[1], func(t *fakeTask) { s.fake.end(t, state) })
	case "away":
		s.away(ts, args[1])
	case "watched":
		s.awaitWatcher(ts, args[1], args[2])
	case "called":
		s.checkCall(ts, args[1], 1)
	case "uncalled":
		s.checkCall(ts, args[1], 0)
	default:
		ts.Fatalf("unknown: master %s", args[0])
	}
}

// listenRemotely starts the master anew with a TLS port, whose address and token the script finds in REMOTE and ./token.
func (s *scriptState) listenRemotely(ts *testscript.TestScript) error {
	ca, err := pki.InitCA(filepath.Join(s.dir, "pki"), "test", time.Now())
	if err != nil {
		return err
	}
	// Not 127.0.0.1: connections that others make come from there, and could take the port while the master is away.
	free, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:0", 100+os.Getpid()%150))
	if err != nil {
		return err
	}
	s.ca, s.token, s.remote = ca, pki.NewAPIToken(ca.Fingerprint()), free.Addr().String()
	ts.Setenv("REMOTE", s.remote)
	err = errors.Join(free.Close(), s.stop(), s.start())
	return errors.Join(err, os.WriteFile(ts.MkAbs("token"), []byte(s.token.Text()+"\n"), 0o600),
		os.WriteFile(ts.MkAbs("other"), []byte(pki.NewAPIToken(ca.Fingerprint()).Text()), 0o600),
		os.WriteFile(ts.MkAbs("foreign"), []byte(pki.NewAPIToken(pki.Fingerprint{1}).Text()), 0o600))
}

func (s *scriptState) change(ts *testscript.TestScript, site string, change func(*fakeTask)) {
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	for _, t := range s.fake.tasks {
		if t.task.Site == site {
			change(t)
			s.fake.changed.Broadcast()
			return
		}
	}
	ts.Fatalf("no task of %s", site)
}

// away has a task wait for its next attempt, and returns when that was told.
func (s *scriptState) away(ts *testscript.TestScript, site string) {
	told := 0
	s.change(ts, site, func(t *fakeTask) {
		t.task.State, t.task.Error, t.task.RetryAt = pb.TaskState_TASK_STATE_QUEUED, "web1 is away", at(60)
		told = s.fake.told
	})
	await(ts, "word of "+site, func() bool {
		s.fake.mu.Lock()
		defer s.fake.mu.Unlock()
		return s.fake.told > told
	})
}

// awaitWatcher waits until a task of the site was watched for the nth time.
func (s *scriptState) awaitWatcher(ts *testscript.TestScript, site, times string) {
	n, err := strconv.Atoi(times)
	ts.Check(err)
	await(ts, "watcher "+times+" of "+site, func() bool {
		s.fake.mu.Lock()
		defer s.fake.mu.Unlock()
		return s.fake.watched[site] >= n
	})
}

// await waits until a condition holds.
func await(ts *testscript.TestScript, what string, holds func() bool) {
	for deadline := time.Now().Add(scriptTimeout); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%s did not come", what)
		}
	}
}

// checkCall wants so many requests with a text, and forgets all that came.
func (s *scriptState) checkCall(ts *testscript.TestScript, text string, want int) {
	s.fake.mu.Lock()
	defer s.fake.mu.Unlock()
	var hits int
	for _, call := range s.fake.calls {
		if strings.Contains(call, text) {
			hits++
		}
	}
	if hits != want {
		ts.Fatalf("%d requests with %q in\n%s", hits, text, strings.Join(s.fake.calls, "\n"))
	}
	s.fake.calls = nil
}

func TestEveryCommandHasHelp(t *testing.T) {
	root := newRootCmd(newApp(stdio{}))
	var count int
	for _, c := range append(allCommands(root), root) {
		if c.Parent() != nil && c.Parent().Name() == "completion" {
			continue // cobra's own, with examples in its text
		}
		count++
		if c.Short == "" || c.Example == "" || c.Args == nil {
			t.Errorf("%s: no short text, no example, or no check of its arguments", c.CommandPath())
		}
		for _, line := range strings.Split(c.Example, "\n") {
			if !strings.HasPrefix(line, "  ") || !strings.Contains(line, "sitekeep") {
				t.Errorf("%s: example %q", c.CommandPath(), line)
			}
		}
	}
	if count < 38 {
		t.Errorf("only %d commands were looked at", count)
	}
}

func allCommands(cmd *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, sub := range cmd.Commands() {
		all = append(append(all, sub), allCommands(sub)...)
	}
	return all
}
