package fleet_test

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/hub/fleet"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	"github.com/sitekeep/sitekeep/internal/wire"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const soon = 10 * time.Second

// rig is a fleet with a real certificate authority.
type rig struct {
	*testing.T
	ca         *pki.CA
	fleet      *fleet.Fleet
	mu         sync.Mutex
	servers    map[string]model.Server
	allRevoked atomic.Bool
	stop       func() // stops the agent that was started last
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, servers: map[string]model.Server{}}
	var err error
	r.ca, err = pki.InitCA(t.TempDir(), "test", time.Now())
	r.must(err)
	leaf, err := pki.NewMasterLeaf(r.ca, time.Now)
	r.must(err)
	r.fleet = fleet.New(r, func(server string) *tls.Config { return pki.MasterDial(leaf, server, r.isRevoked, time.Now) })
	t.Cleanup(r.fleet.Close)
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// Server is the inventory.
func (r *rig) Server(_ context.Context, name string) (model.Server, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.servers[name]
	if !ok {
		return s, errs.New(errs.NotFound, "", "no server %s", name)
	}
	return s, nil
}

func (r *rig) isRevoked(string, string) bool { return r.allRevoked.Load() }

func (r *rig) know(s model.Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.servers[s.Name] = s
}

func (r *rig) identity(name string) *pki.LiveIdentity {
	r.Helper()
	key, err := pki.NewKey()
	r.must(err)
	csr, err := pki.NewCSR(key)
	r.must(err)
	der, err := r.ca.SignAgent(csr, name, time.Now(), time.Hour)
	r.must(err)
	id, err := pki.NewLiveIdentity(pki.Identity{Name: name, Key: key, Certificate: der, CA: r.ca.Certificate().Raw, Addresses: []string{"127.0.0.1:1"}})
	r.must(err)
	return id
}

// agent is what an agent's server does.
type agent struct {
	agentv1.UnimplementedAgentServiceServer
	agentv1.UnimplementedTreeServiceServer
	agentv1.UnimplementedDatabaseServiceServer
	hostname  string
	hold      chan struct{} // GetInfo waits for it, if set
	held      chan struct{}
	readTree  func(agentv1.TreeService_ReadTreeServer) error
	writeTree func(agentv1.TreeService_WriteTreeServer) error
	delta     func(agentv1.TreeService_WriteDeltaServer) error
	compare   func(agentv1.TreeService_CompareTreeServer) error
}

func (a *agent) GetInfo(ctx context.Context, _ *agentv1.GetInfoRequest) (*agentv1.GetInfoResponse, error) {
	if a.hold != nil {
		close(a.held)
		select {
		case <-a.hold:
		case <-ctx.Done():
		}
	}
	return &agentv1.GetInfoResponse{Hostname: a.hostname}, nil
}

func (a *agent) ReadTree(s agentv1.TreeService_ReadTreeServer) error   { return a.readTree(s) }
func (a *agent) WriteTree(s agentv1.TreeService_WriteTreeServer) error { return a.writeTree(s) }

func (a *agent) WriteDelta(s agentv1.TreeService_WriteDeltaServer) error   { return a.delta(s) }
func (a *agent) CompareTree(s agentv1.TreeService_CompareTreeServer) error { return a.compare(s) }

func (a *agent) server(creds credentials.TransportCredentials) *grpc.Server {
	s := grpc.NewServer(grpc.Creds(creds), grpc.ChainUnaryInterceptor(wire.UnaryServerErrors(hclog.NewNullLogger())),
		grpc.ChainStreamInterceptor(wire.StreamServerErrors(hclog.NewNullLogger())))
	agentv1.RegisterAgentServiceServer(s, a)
	agentv1.RegisterTreeServiceServer(s, a)
	agentv1.RegisterDatabaseServiceServer(s, a)
	return s
}

// listens starts an agent that the master dials, under the identity of a name.
func (r *rig) listens(a *agent, name string) (address string, s *grpc.Server) {
	r.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	s = a.server(credentials.NewTLS(pki.AgentServer(r.identity(name), time.Now)))
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	r.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String(), s
}

// web1 is an agent at its own address, and what the master calls it by.
func (r *rig) web1(a *agent) (*fleet.Agent, *grpc.Server) {
	r.Helper()
	address, s := r.listens(a, "web1")
	r.know(model.Server{Name: "web1", Address: address})
	return r.find("web1"), s
}

func (r *rig) find(name string) *fleet.Agent {
	r.Helper()
	a, err := r.fleet.Agent(r.Context(), name)
	r.must(err)
	return a
}

// one is a listener that gives one connection.
type one struct {
	net.Listener
	conns chan net.Conn
	ended chan struct{}
}

func (o *one) Accept() (net.Conn, error) {
	select {
	case c := <-o.conns:
		return c, nil
	case <-o.ended:
		return nil, net.ErrClosed
	}
}

func (o *one) Close() error { return nil }

// dials lets an agent connect; ended is closed when the fleet has let go of the connection, cut cuts it.
func (r *rig) dials(a *agent, name string) (ended <-chan struct{}, cut func()) {
	r.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	defer l.Close()
	theirs, err := net.Dial("tcp", l.Addr().String())
	r.must(err)
	ours, err := l.Accept()
	r.must(err)
	from := &one{Listener: l, conns: make(chan net.Conn, 1), ended: make(chan struct{})}
	from.conns <- theirs
	s := a.server(insecure.NewCredentials())
	var work sync.WaitGroup
	work.Go(func() { _ = s.Serve(from) })
	out := make(chan struct{})
	work.Go(func() { defer close(out); r.must(r.fleet.Serve(context.Background(), name, ours)) })
	r.Cleanup(func() { close(from.ended); s.Stop(); theirs.Close(); work.Wait() })
	return out, func() { theirs.Close() }
}

func (r *rig) within(what string, c <-chan struct{}) {
	r.Helper()
	select {
	case <-c:
	case <-time.After(soon):
		r.Fatal("never: " + what)
	}
}

// answers waits until the agent of a server answers under a host name.
func (r *rig) answers(server, hostname string) {
	r.Helper()
	var last error
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		a, err := r.fleet.Agent(r.Context(), server)
		if err != nil {
			last = err
			continue
		}
		info, err := a.Info(r.Context())
		if err == nil && info.Hostname == hostname {
			return
		}
		last = err
	}
	r.Fatalf("%s never answers as %s: %v", server, hostname, last)
}
