package link

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
)

// Waits between two tries to reach the master.
const (
	retryFirst = 500 * time.Millisecond
	retryLast  = 30 * time.Second
	// steady is how long a connection must have lived for the next try to come soon.
	steady = time.Minute
)

// Reverse keeps one connection to the master, over which the master calls.
type Reverse struct {
	Live *pki.LiveIdentity
	Log  hclog.Logger
	// Connected is called each time the master speaks on a new connection; may be nil.
	Connected func()
}

// Run dials the master and serves on the connection; when it ends it dials
// again, for ever, with growing waits. It returns when ctx ends.
func (r *Reverse) Run(ctx context.Context, server *grpc.Server) error {
	conns := &handedOver{conns: make(chan net.Conn), closed: make(chan struct{})}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return serve(ctx, server, conns) })
	g.Go(func() error { return r.dialForEver(ctx, conns) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (r *Reverse) dialForEver(ctx context.Context, conns *handedOver) error {
	cfg := pki.AgentReverse(r.Live, nil)
	wait := retryFirst
	for {
		begun := time.Now()
		err := r.once(ctx, cfg, conns)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(begun) > steady {
			wait = retryFirst
		}
		pause := wait/2 + rand.N(wait/2+1)
		r.Log.Warn("no connection to the master", "error", err, "hint", errs.HintOf(err), "retry_in", pause.Round(time.Millisecond))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, retryLast)
	}
}

// once keeps one connection until it ends, and says why it did.
func (r *Reverse) once(ctx context.Context, cfg *tls.Config, conns *handedOver) error {
	raw, err := dialMaster(ctx, r.Live.Identity().Addresses, cfg)
	if err != nil {
		return err
	}
	conn := &watchedConn{Conn: raw, ended: make(chan struct{}), spoken: func() { r.connected(raw.RemoteAddr()) }}
	if err := conns.handOver(ctx, conn); err != nil {
		_ = raw.Close()
		return err
	}
	select {
	case <-conn.ended:
	case <-ctx.Done():
		conn.closeIfSilent() // gRPC would wait for the master's first words
		<-conn.ended         // closed by the server as it stops
	}
	return conn.why()
}

func (r *Reverse) connected(master net.Addr) {
	r.Log.Info("connected to the master", "address", master.String())
	if r.Connected != nil {
		r.Connected()
	}
}

// handedOver is a listener that accepts what the agent has dialled.
type handedOver struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (h *handedOver) handOver(ctx context.Context, conn net.Conn) error {
	select {
	case h.conns <- conn:
		return nil
	case <-h.closed:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Accept implements net.Listener.
func (h *handedOver) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handedOver) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

// Addr implements net.Listener; there is no address.
func (h *handedOver) Addr() net.Addr { return &net.TCPAddr{} }

// watchedConn tells when the other side has spoken first, when it was closed, and why.
type watchedConn struct {
	net.Conn
	spoken func() // called once, when something was read: a master that refuses us only hangs up
	ended  chan struct{}

	heard, closed sync.Once
	mu            sync.Mutex
	last          error
}

// Read implements net.Conn.
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Do(c.spoken)
	}
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.last == nil {
			c.last = err
		}
	}
	return n, err
}

// closeIfSilent ends a connection on which the other side has not spoken yet.
func (c *watchedConn) closeIfSilent() {
	silent := false
	c.heard.Do(func() { silent = true })
	if silent {
		_ = c.Close()
	}
}

// Close implements net.Conn.
func (c *watchedConn) Close() error {
	err := c.Conn.Close()
	c.closed.Do(func() { close(c.ended) })
	return err
}

// why says why the connection ended. In TLS 1.3 a master refuses a certificate after the handshake, by an alert.
func (c *watchedConn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var alert *net.OpError
	switch {
	case errors.As(c.last, &alert) && alert.Op == "remote error": // how crypto/tls reports an alert
		return errs.New(errs.Permission, "see on the master whether this server was revoked: sitekeep server list; then join again with a new token",
			"the master has refused this agent's certificate: %w", c.last)
	case c.last == nil, errors.Is(c.last, io.EOF), errors.Is(c.last, net.ErrClosed):
		return errs.New(errs.Unreachable, "", "the master has ended the connection")
	}
	return errs.New(errs.Unreachable, "", "the connection to the master broke: %w", c.last)
}
