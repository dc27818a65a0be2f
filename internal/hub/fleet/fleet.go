// Package fleet holds the master's connections to its agents and makes their
// services plain Go: types of internal/model, frames of pkg/archive, errors of
// internal/errs. It refuses to know what the calls are for.
package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/wire"
)

const (
	// maxMessage leaves room for a frame of 4 MiB with its entries.
	maxMessage = 8 << 20
	// A connection that is silent for pingAfter is asked; without an answer within pingWait it is broken.
	pingAfter = 20 * time.Second
	pingWait  = 10 * time.Second
	// dialTimeout bounds one try to connect.
	dialTimeout = 5 * time.Second
)

// Servers is the inventory of servers.
type Servers interface {
	Server(ctx context.Context, name string) (model.Server, error)
}

// Fleet finds agents by the names of their servers. It is safe for concurrent use.
type Fleet struct {
	servers Servers
	tls     func(server string) *tls.Config

	bandwidth func(server string) int64
	arrived   func(server string)

	mu      sync.Mutex
	brakes  map[string]*rate.Limiter
	conns   map[string]*link
	reverse map[string]*dialledIn
	closed  bool
}

// link is a gRPC connection and what it was made for.
type link struct {
	conn    *grpc.ClientConn
	address string
}

// New returns a Fleet. tlsFor gives the configuration for calling a server's agent: it verifies the agent's name.
func New(servers Servers, tlsFor func(server string) *tls.Config, options ...Option) *Fleet {
	f := &Fleet{
		servers: servers, tls: tlsFor, bandwidth: func(string) int64 { return 0 }, arrived: func(string) {},
		brakes: map[string]*rate.Limiter{}, conns: map[string]*link{}, reverse: map[string]*dialledIn{},
	}
	for _, o := range options {
		o(f)
	}
	return f
}

// Agent returns the agent of a server. It does not wait for a connection: the first call does. errs.NotFound for an
// unknown server, errs.Permission for a revoked one, errs.Unreachable for one that should dial in and has not.
func (f *Fleet) Agent(ctx context.Context, server string) (*Agent, error) {
	s, err := f.servers.Server(ctx, server)
	if err != nil {
		return nil, err
	}
	if s.Revoked {
		return nil, errs.New(errs.Permission, "let it join again with: sitekeep server token "+server, "server %s is revoked", server)
	}
	conn, err := f.conn(&s)
	if err != nil {
		return nil, err
	}
	return newAgent(server, conn, f.brake(server)), nil
}

func (f *Fleet) conn(s *model.Server) (*grpc.ClientConn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errs.New(errs.Unreachable, "", "the master is stopping")
	}
	if s.DialOut {
		return f.dialledIn(s.Name)
	}
	if l := f.conns[s.Name]; l != nil {
		// One that could not connect waits before its next try, and its calls fail until then: an agent that has just
		// been started is to be found at once.
		if l.address == s.Address && l.conn.GetState() != connectivity.TransientFailure {
			return l.conn, nil
		}
		l.conn.Close()
		delete(f.conns, s.Name)
	}
	conn, err := dial(s.Address, credentials.NewTLS(f.tls(s.Name)))
	if err != nil {
		return nil, fmt.Errorf("server %s: %w", s.Name, err)
	}
	f.conns[s.Name] = &link{conn: conn, address: s.Address}
	return conn, nil
}

func (f *Fleet) dialledIn(server string) (*grpc.ClientConn, error) {
	if d := f.reverse[server]; d != nil {
		return d.client, nil
	}
	return nil, errs.New(errs.Unreachable, "start sitekeep-agent on "+server+"; it dials the master by itself",
		"the agent of %s has not connected", server)
}

func dial(address string, creds credentials.TransportCredentials, more ...grpc.DialOption) (*grpc.ClientConn, error) {
	retry := backoff.DefaultConfig
	retry.BaseDelay, retry.MaxDelay = 200*time.Millisecond, 5*time.Second
	return grpc.NewClient("passthrough:///"+address, append(more,
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: dialTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingWait, PermitWithoutStream: true}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage), grpc.ForceCodecV2(wire.NewCodec())),
		grpc.WithChainUnaryInterceptor(wire.UnaryClientErrors(), wire.UnaryClientGentle),
		grpc.WithChainStreamInterceptor(wire.StreamClientErrors()),
		grpc.WithIdleTimeout(0),
	)...)
}

// Drop ends every connection with a server at once: it was revoked.
func (f *Fleet) Drop(server string) {
	f.mu.Lock()
	l, d := f.conns[server], f.reverse[server]
	delete(f.conns, server)
	delete(f.reverse, server)
	f.mu.Unlock()
	if l != nil {
		l.conn.Close()
	}
	if d != nil {
		d.close()
	}
}

// Close ends all connections.
func (f *Fleet) Close() {
	f.mu.Lock()
	f.closed = true
	var names []string
	for name := range f.conns {
		names = append(names, name)
	}
	for name := range f.reverse {
		names = append(names, name)
	}
	f.mu.Unlock()
	for _, name := range names {
		f.Drop(name)
	}
}

// dialledIn is a connection that an agent has opened and serves on.
type dialledIn struct {
	raw    net.Conn
	client *grpc.ClientConn
	gone   chan struct{}
	once   sync.Once
}

func (d *dialledIn) close() {
	d.once.Do(func() {
		d.client.Close()
		d.raw.Close()
		close(d.gone)
	})
}

// Serve keeps a connection that the agent of server has dialled (its certificate was verified by the caller) until it
// ends or a newer one takes its place. It returns then.
func (f *Fleet) Serve(ctx context.Context, server string, raw net.Conn) error {
	d, err := adopt(raw)
	if err != nil {
		return fmt.Errorf("server %s: %w", server, err)
	}
	f.mu.Lock()
	older, closed := f.reverse[server], f.closed
	if !closed {
		f.reverse[server] = d
	}
	f.mu.Unlock()
	if older != nil {
		older.close()
	}
	if closed {
		d.close()
	} else {
		f.arrived(server)
	}
	select {
	case <-ctx.Done():
	case <-d.gone:
	}
	d.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reverse[server] == d {
		delete(f.reverse, server)
	}
	return nil
}

// adopt makes a gRPC client of one connection: it can be handed out once, and with its end everything ends.
func adopt(raw net.Conn) (*dialledIn, error) {
	d := &dialledIn{raw: raw, gone: make(chan struct{})}
	watched := &watchedConn{Conn: raw, ended: d}
	var taken sync.Once
	client, err := dial("agent", insecure.NewCredentials(), grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
		var conn net.Conn
		taken.Do(func() { conn = watched })
		if conn == nil {
			return nil, errors.New("the agent's connection has ended; it will dial again")
		}
		return conn, nil
	}))
	if err != nil {
		return nil, err
	}
	d.client = client
	client.Connect()
	return d, nil
}

// watchedConn tells when gRPC closes the connection.
type watchedConn struct {
	net.Conn
	ended *dialledIn
}

func (c *watchedConn) Close() error {
	err := c.Conn.Close()
	go c.ended.close() // not from within gRPC's own closing
	return err
}
