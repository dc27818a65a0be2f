package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// flood is a server that sends without end to whoever connects.
func flood(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for err == nil {
					_, err = conn.Write(make([]byte, 10_000))
				}
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestCutterCutsAsOftenAsTold(t *testing.T) {
	c, err := newCutter(netip.MustParseAddrPort("127.0.0.1:0"), flood(t))
	if err != nil {
		t.Fatal(err)
	}
	const every = 200_000
	c.arm(3, every)
	for i := range 3 {
		conn, err := net.Dial("tcp", c.listener.Addr().String())
		if errors.Is(err, syscall.ECONNRESET) {
			continue // so soon that the connection was not yet ours
		}
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, conn)
		// The reset may overtake what was on its way.
		if !errors.Is(err, syscall.ECONNRESET) || n > every+64<<10 {
			t.Errorf("connection %d: %d bytes, %v", i, n, err)
		}
		_ = conn.Close()
	}
	if sent, left := c.state(); left != 0 || sent < 3*every || sent > 3*(every+64<<10) {
		t.Errorf("%d bytes were sent and %d cuts are left", sent, left)
	}
	conn, err := net.Dial("tcp", c.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.CopyN(io.Discard, conn, 3*every); err != nil {
		t.Errorf("after the last cut: %v", err)
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}

func TestReceivedAddsConnectionsUp(t *testing.T) {
	out := []byte("0 0 127.0.0.1:40 127.9.9.9:20 cubic bytes_sent:77 bytes_acked:78 bytes_received:1000 segs_out:3\n" +
		"0 0 127.0.0.1:41 127.9.9.9:20 cubic bytes_sent:77 bytes_received:23 segs_out:3\n")
	if n, err := parseReceived(out); n != 1023 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := parseReceived(bytes.ReplaceAll(out, []byte("_received"), nil)); err == nil {
		t.Error("no count is taken for a count")
	}
	if _, err := (traffic{files: 5}).since(traffic{files: 6}); err == nil {
		t.Error("a count that was lost is taken for one")
	}
}
