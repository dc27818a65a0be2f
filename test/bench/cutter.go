package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// cutter is a TCP proxy before an agent. It counts what the agent's side sends
// on, and after every so many bytes breaks the connection with a reset.
type cutter struct {
	listener net.Listener
	agent    netip.AddrPort
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	sent  int64 // bytes that were passed on to the master
	every int64 // bytes between two cuts; 0: none
	next  int64 // value of sent at which to cut
	left  int   // cuts still to be made
}

func newCutter(at, agent netip.AddrPort) (*cutter, error) {
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	c := &cutter{listener: l, agent: agent, conns: map[net.Conn]bool{}}
	c.wg.Go(c.accept)
	return c, nil
}

// arm starts the count anew, with so many cuts to come.
func (c *cutter) arm(cuts int, every int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent, c.left, c.every, c.next = 0, cuts, every, every
}

// state is what was passed on since arm, and how many cuts are still to come.
func (c *cutter) state() (sent int64, left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent, c.left
}

// close breaks all connections and waits for what serves them.
func (c *cutter) close() error {
	err := c.listener.Close()
	c.mu.Lock()
	for conn := range c.conns {
		err = errors.Join(err, conn.Close())
	}
	c.mu.Unlock()
	c.wg.Wait()
	return err
}

func (c *cutter) accept() {
	for {
		master, err := c.listener.Accept()
		if err != nil {
			return
		}
		agent, err := net.Dial("tcp", c.agent.String())
		if err != nil {
			_ = master.Close()
			continue
		}
		c.keep(master, agent)
		c.wg.Go(func() { c.pass(agent, master, func(int) bool { return false }) })
		c.wg.Go(func() { c.pass(master, agent, c.counted) })
	}
}

func (c *cutter) keep(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		c.conns[conn] = true
	}
}

// counted adds to the count and says whether it is time to cut.
func (c *cutter) counted(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent += int64(n)
	if c.left == 0 || c.sent < c.next {
		return false
	}
	c.left--
	c.next = c.sent + c.every
	return true
}

// pass copies until one side ends, or cut says so, and breaks both.
func (c *cutter) pass(to, from net.Conn, cut func(n int) bool) {
	defer c.drop(to, from)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil || cut(n) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// drop closes with a reset, as a middlebox that forgot the connection has it.
func (c *cutter) drop(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = conn.Close()
		delete(c.conns, conn)
	}
}
