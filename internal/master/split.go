package master

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// handshake is the type of the first record of TLS (RFC 8446, 5.1). No method of HTTP begins with it.
const handshake = 0x16

// split parts the connections of a listener by their first byte: into those that begin TLS, and others. Closing either
// part closes the listener.
func split(l net.Listener, config *tls.Config) (secret, plain net.Listener) {
	ctx, stop := context.WithCancel(context.Background())
	s := &splitter{Listener: l, ctx: ctx, stop: stop}
	tlsPart, plainPart := &part{s, make(chan net.Conn)}, &part{s, make(chan net.Conn)}
	s.work.Go(func() { s.accept(tlsPart, plainPart) })
	return tls.NewListener(tlsPart, config), plainPart
}

type splitter struct {
	net.Listener
	ctx  context.Context // ends with Close
	stop context.CancelFunc
	once sync.Once
	work sync.WaitGroup
	err  error // of closing
}

type part struct {
	*splitter
	conns chan net.Conn
}

// Accept returns the part's next connection.
func (p *part) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close closes the listener and what it has not handed out, and waits. It may be repeated.
func (s *splitter) Close() error {
	s.once.Do(func() {
		s.stop()
		s.err = s.Listener.Close()
		s.work.Wait()
	})
	return s.err
}

func (s *splitter) accept(secret, plain *part) {
	for {
		c, err := s.Accept()
		if err != nil {
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(100 * time.Millisecond): // out of descriptors, for instance
				continue
			}
		}
		s.work.Go(func() { s.sort(c, secret, plain) })
	}
}

func (s *splitter) sort(c net.Conn, secret, plain *part) {
	first := make([]byte, 1)
	_ = c.SetReadDeadline(time.Now().Add(headerTimeout)) // what fails here fails in Read
	wake := context.AfterFunc(s.ctx, func() { c.Close() })
	defer wake()
	if _, err := c.Read(first); err != nil {
		c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	to := plain
	if first[0] == handshake {
		to = secret
	}
	select {
	case to.conns <- &begun{Conn: c, first: first}:
	case <-s.ctx.Done():
		c.Close()
	}
}

// begun gives back the byte that was looked at.
type begun struct {
	net.Conn
	first []byte
}

// Read reads the first byte, and then the connection.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 && len(p) > 0 {
		p[0], b.first = b.first[0], nil
		return 1, nil
	}
	return b.Conn.Read(p)
}
