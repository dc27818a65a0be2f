package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/credentials"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
)

const handshakeTimeout = 15 * time.Second

// door is a TLS listener. It shakes hands itself, because the negotiated
// protocol decides whether a connection calls us or is to be called.
type door struct {
	net.Listener
	ctx   context.Context // ends with Close; connections in reverse end with it
	stop  context.CancelFunc
	hub   *Hub
	tls   *tls.Config
	ready chan net.Conn
	work  sync.WaitGroup
}

// Listen takes gRPC callers and agents that dial in, over TLS. config is pki.MasterServer's.
func (h *Hub) Listen(address string, config *tls.Config) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	d := &door{Listener: l, ctx: ctx, stop: stop, hub: h, tls: config, ready: make(chan net.Conn)}
	d.work.Go(d.accept)
	return d, nil
}

// Accept returns the next connection of a caller.
func (d *door) Accept() (net.Conn, error) {
	select {
	case c := <-d.ready:
		return c, nil
	case <-d.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends the listener and what it has not handed out. It waits.
func (d *door) Close() error {
	d.stop()
	err := d.Listener.Close()
	d.work.Wait()
	return err
}

func (d *door) accept() {
	for {
		raw, err := d.Listener.Accept()
		if err != nil {
			if d.ctx.Err() == nil {
				d.hub.Log.Error("accept", "error", err)
			}
			if errors.Is(err, net.ErrClosed) || d.ctx.Err() != nil {
				return
			}
			time.Sleep(100 * time.Millisecond) // out of descriptors, for instance
			continue
		}
		d.work.Go(func() { d.admit(raw) })
	}
}

func (d *door) admit(raw net.Conn) {
	conn := tls.Server(raw, d.tls)
	ctx, cancel := context.WithTimeout(d.ctx, handshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		d.hub.Log.Info("connection refused", "from", raw.RemoteAddr(), "error", err)
		raw.Close()
		return
	}
	if conn.ConnectionState().NegotiatedProtocol == pki.ALPNReverse {
		d.reverse(conn)
		return
	}
	select {
	case d.ready <- conn:
	case <-d.ctx.Done():
		conn.Close()
	}
}

// reverse keeps the connection of an agent that dialled in until it ends.
func (d *door) reverse(conn *tls.Conn) {
	peer, err := pki.PeerOf(conn.ConnectionState())
	if err != nil {
		conn.Close()
		return
	}
	d.hub.Log.Info("agent connected", "server", peer.Name, "from", conn.RemoteAddr())
	if err := d.hub.Fleet.Serve(d.ctx, peer.Name, conn); err != nil {
		d.hub.Log.Warn("agent's connection", "server", peer.Name, "error", err)
	}
	d.hub.Log.Info("agent disconnected", "server", peer.Name)
}

// ListenLocal takes callers on this machine, through a Unix socket. What an earlier master left there is removed; the
// data directory's lock has made sure that none is alive.
func ListenLocal(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// identified tells gRPC who is at the other end of connections that have shaken hands already.
type identified struct{}

// localInfo is the AuthInfo of a caller on this machine.
type localInfo struct{ uid uint32 }

// AuthType names the kind.
func (localInfo) AuthType() string { return "peercred" }

// ServerHandshake reads the identity off the connection.
func (identified) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	switch c := conn.(type) {
	case *insideConn:
		return conn, insideInfo{}, nil
	case *tls.Conn:
		info := credentials.TLSInfo{State: c.ConnectionState(), CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
		return conn, info, nil
	case *net.UnixConn:
		uid, err := peerUID(c)
		return conn, localInfo{uid}, err
	}
	return nil, nil, errs.New(errs.Permission, "", "a connection of the type %T is not known", conn)
}

func peerUID(c *net.UnixConn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("peer credentials: %w", err)
	}
	return cred.Uid, nil
}

// ClientHandshake is not for a server.
func (identified) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are a server's")
}

// Info says what the credentials are.
func (identified) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "sitekeep"}
}

// Clone returns itself: there is no state.
func (identified) Clone() credentials.TransportCredentials { return identified{} }

// OverrideServerName does nothing: names are the agents' business.
func (identified) OverrideServerName(string) error { return nil }
