// Package linktest is the least master that an agent can join, for tests: a
// real certificate authority, real TLS, and the enrolment service. It refuses
// to know what a master does with its agents.
package linktest

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
	"github.com/sitekeep/sitekeep/internal/wire"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// Master answers agents on a loopback address.
type Master struct {
	agentv1.UnimplementedEnrollmentServiceServer
	CA   *pki.CA
	Leaf *pki.MasterLeaf
	// Address takes gRPC calls, and connections of agents that dial out.
	Address string
	// Reversed gives the connections of agents that dialled.
	Reversed chan net.Conn
	// Change, if set, spoils the answer to an enrolment.
	Change func(*agentv1.EnrollResponse)
	// Requests are the enrolments that came.
	Requests chan *agentv1.EnrollRequest

	tb      testing.TB
	mu      sync.Mutex
	grants  map[pki.SecretHash]*pki.JoinGrant
	roles   []string
	revoked map[string]bool
}

// New starts a master that ends with the test.
func New(tb testing.TB, roles ...string) *Master {
	tb.Helper()
	ca, err := pki.InitCA(tb.TempDir(), "test", time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	leaf, err := pki.NewMasterLeaf(ca, nil)
	if err != nil {
		tb.Fatal(err)
	}
	m := &Master{
		CA: ca, Leaf: leaf, Reversed: make(chan net.Conn, 4), Requests: make(chan *agentv1.EnrollRequest, 16),
		tb: tb, grants: map[pki.SecretHash]*pki.JoinGrant{}, roles: roles, revoked: map[string]bool{},
	}
	m.serve()
	return m
}

// serve tells calls from connections in reverse by the protocol that was negotiated.
func (m *Master) serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.tb.Fatal(err)
	}
	m.Address = l.Addr().String()
	calls := &handedOver{Listener: l, conns: make(chan net.Conn, 16), ended: make(chan struct{})}
	s := grpc.NewServer(grpc.Creds(established{insecure.NewCredentials()}), grpc.ChainUnaryInterceptor(wire.UnaryServerErrors(hclog.NewNullLogger())))
	agentv1.RegisterEnrollmentServiceServer(s, m)
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(calls) })
	wg.Go(func() { m.accept(l, calls) })
	m.tb.Cleanup(func() { s.Stop(); wg.Wait() })
}

func (m *Master) accept(l net.Listener, calls *handedOver) {
	defer close(calls.ended)
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		_ = raw.SetDeadline(time.Now().Add(handshakeTime))
		conn := tls.Server(raw, pki.MasterServer(m.Leaf, m.isRevoked, nil))
		if err := conn.Handshake(); err != nil {
			_ = raw.Close()
			continue
		}
		_ = raw.SetDeadline(time.Time{})
		if conn.ConnectionState().NegotiatedProtocol == pki.ALPNReverse {
			m.Reversed <- conn
			continue
		}
		calls.conns <- conn
	}
}

const handshakeTime = 5 * time.Second

// handedOver is a listener of connections whose handshake is done.
type handedOver struct {
	net.Listener
	conns chan net.Conn
	ended chan struct{}
}

// Accept implements net.Listener.
func (h *handedOver) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.ended:
		return nil, net.ErrClosed
	}
}

// established are the credentials of connections whose handshake is done.
type established struct {
	credentials.TransportCredentials
}

// ServerHandshake tells gRPC who is at the other end.
func (established) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	t, ok := conn.(*tls.Conn)
	if !ok {
		return nil, nil, net.ErrClosed
	}
	return conn, credentials.TLSInfo{
		State: t.ConnectionState(), CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}

// Token makes a join token that is good for so long.
func (m *Master) Token(server string, validity time.Duration) string {
	m.tb.Helper()
	token, err := pki.NewJoinToken([]string{m.Address}, m.CA.Fingerprint())
	if err != nil {
		m.tb.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.grants[token.Hash()] = &pki.JoinGrant{Hash: token.Hash(), Server: server, ExpiresAt: time.Now().Add(validity)}
	return token.Text()
}

// Revoke shuts a server out.
func (m *Master) Revoke(server string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revoked[server] = true
}

func (m *Master) isRevoked(name, _ string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.revoked[name]
}

// Enroll implements the service.
func (m *Master) Enroll(_ context.Context, req *agentv1.EnrollRequest) (*agentv1.EnrollResponse, error) {
	token, err := pki.ParseJoinToken(req.GetSecret())
	if err != nil {
		return nil, err
	}
	m.Requests <- req
	m.mu.Lock()
	defer m.mu.Unlock()
	grant := m.grants[token.Hash()]
	if grant == nil {
		return nil, errs.New(errs.Permission, "get a new one", "the token is not known")
	}
	if err := grant.Usable(time.Now()); err != nil {
		return nil, err
	}
	grant.UsedAt = time.Now()
	cert, err := m.CA.SignAgent(req.GetCsr(), grant.Server, time.Now(), pki.AgentValidity)
	if err != nil {
		return nil, err
	}
	reply := &agentv1.EnrollResponse{Name: grant.Server, Roles: m.roles, Certificate: cert, CaCertificate: m.CA.Certificate().Raw}
	if m.Change != nil {
		m.Change(reply)
	}
	return reply, nil
}

// RenewCertificate implements the service.
func (m *Master) RenewCertificate(ctx context.Context, req *agentv1.RenewCertificateRequest) (*agentv1.RenewCertificateResponse, error) {
	p, _ := peer.FromContext(ctx)
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil, errs.New(errs.Permission, "", "no certificate")
	}
	who, err := pki.PeerOf(info.State)
	if err != nil {
		return nil, errs.New(errs.Permission, "", "%w", err)
	}
	cert, err := m.CA.SignAgent(req.GetCsr(), who.Name, time.Now(), pki.AgentValidity)
	return &agentv1.RenewCertificateResponse{Certificate: cert}, err
}

// Identity issues an identity without a token.
func (m *Master) Identity(name string) pki.Identity {
	m.tb.Helper()
	key, err := pki.NewKey()
	if err != nil {
		m.tb.Fatal(err)
	}
	csr, err := pki.NewCSR(key)
	if err != nil {
		m.tb.Fatal(err)
	}
	cert, err := m.CA.SignAgent(csr, name, time.Now(), pki.AgentValidity)
	if err != nil {
		m.tb.Fatal(err)
	}
	return pki.Identity{Name: name, Addresses: []string{m.Address}, Key: key, Certificate: cert, CA: m.CA.Certificate().Raw}
}

// Live is Identity in use.
func (m *Master) Live(name string) *pki.LiveIdentity {
	m.tb.Helper()
	live, err := pki.NewLiveIdentity(m.Identity(name))
	if err != nil {
		m.tb.Fatal(err)
	}
	return live
}

// Dial calls an agent that listens, as the master does.
func (m *Master) Dial(agent, address string) *grpc.ClientConn {
	m.tb.Helper()
	return m.DialWith(pki.MasterDial(m.Leaf, agent, m.isRevoked, nil), address)
}

// DialWith calls an agent with some other TLS configuration.
func (m *Master) DialWith(cfg *tls.Config, address string) *grpc.ClientConn {
	m.tb.Helper()
	return m.client("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
}

// Over calls an agent over the connection that it dialled.
func (m *Master) Over(conn net.Conn) *grpc.ClientConn {
	m.tb.Helper()
	return m.client("passthrough:///agent", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
}

func (m *Master) client(target string, opts ...grpc.DialOption) *grpc.ClientConn {
	const most = 8 << 20
	c, err := grpc.NewClient(target, append(opts,
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(most), grpc.MaxCallSendMsgSize(most)),
		grpc.WithChainUnaryInterceptor(wire.UnaryClientErrors()), grpc.WithChainStreamInterceptor(wire.StreamClientErrors()))...)
	if err != nil {
		m.tb.Fatal(err)
	}
	m.tb.Cleanup(func() { _ = c.Close() })
	return c
}
