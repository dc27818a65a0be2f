package bed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// notifySocket plays systemd's part for one service: it takes the datagrams of
// sd_notify(3).
type notifySocket struct {
	path  string
	conn  *net.UnixConn
	ready atomic.Bool
	done  chan struct{}
}

func listenNotify(dir string) (*notifySocket, error) {
	path := filepath.Join(dir, "notify")
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("notify socket: %w", err)
	}
	n := &notifySocket{path: path, conn: conn, done: make(chan struct{})}
	go n.read()
	return n, nil
}

func (n *notifySocket) read() {
	defer close(n.done)
	buf := make([]byte, 4096)
	for {
		size, err := n.conn.Read(buf)
		if err != nil {
			return
		}
		for line := range strings.SplitSeq(string(buf[:size]), "\n") {
			if line == "READY=1" {
				n.ready.Store(true)
			}
		}
	}
}

func (n *notifySocket) close() error {
	err := n.conn.Close()
	<-n.done
	return err
}

// isReady is nil as soon as the program has printed "ready" at the beginning
// of a line and has told systemd, both since the last start.
func (n *notifySocket) isReady(_ context.Context, p *Process) error {
	switch printed, told := p.printedReady(), n.ready.Load(); {
	case printed && told:
		return nil
	case printed:
		return errors.New(`it printed "ready" and did not tell systemd (READY=1 to NOTIFY_SOCKET)`)
	case told:
		return errors.New(`it told systemd and did not print "ready" at the beginning of a line`)
	}
	return errors.New("it is not ready")
}
