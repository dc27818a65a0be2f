package transport_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy passes connections on to an agent, and cuts them with a reset once so
// many bytes have come up over one.
type proxy struct {
	address string
	to      string
	mu      sync.Mutex
	cuts    []int64 // bytes until the next cuts; none left: no more cuts
	made    int
	bytes   int64 // up, in all
	work    sync.WaitGroup
	open    map[net.Conn]bool
}

func newProxy(t *testing.T, to string, cuts []int64) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String(), to: to, cuts: cuts, open: map[net.Conn]bool{}}
	p.work.Go(func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			p.work.Go(func() { p.pass(down) })
		}
	})
	t.Cleanup(func() { l.Close(); p.reset(); p.work.Wait() })
	return p
}

// keep notes connections, so that they can be reset.
func (p *proxy) keep(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.open[c] = true
	}
}

// reset cuts what is open.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		cut(c)
		delete(p.open, c)
	}
}

// cut ends a connection as a router that forgot it does.
func cut(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func (p *proxy) pass(down net.Conn) {
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		cut(down)
		return
	}
	p.keep(down, up)
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(up, down); cut(up) })
	both.Go(func() { p.count(down, up) })
	both.Wait()
}

// count passes what the agent sends, and cuts.
func (p *proxy) count(down, up net.Conn) {
	defer cut(down)
	defer cut(up)
	left, limited := p.budget()
	buf := make([]byte, 32<<10)
	for {
		n, err := up.Read(buf)
		if limited && int64(n) >= left {
			n, err = int(left), io.EOF
			p.mu.Lock()
			p.made++
			p.mu.Unlock()
		}
		left -= int64(n)
		p.mu.Lock()
		p.bytes += int64(n)
		p.mu.Unlock()
		if _, werr := down.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// budget takes the next cut.
func (p *proxy) budget() (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.cuts) == 0 {
		return 0, false
	}
	n := p.cuts[0]
	p.cuts = p.cuts[1:]
	return n, true
}

func (p *proxy) told() (bytes int64, cuts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes, p.made
}
