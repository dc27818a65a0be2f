package main

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
)

// received is what a client's connections to addr have taken in, by the
// kernel's own count of bytes, TLS included.
func received(ctx context.Context, addr netip.AddrPort) (int64, error) {
	out, err := exec.CommandContext(ctx, "ss", "--tcp", "--info", "--numeric", "--no-header", "--oneline",
		"state", "established", "dst", addr.String()).Output()
	if err != nil {
		return 0, fmt.Errorf("ss: %w", err)
	}
	return parseReceived(out)
}

var bytesReceived = regexp.MustCompile(`\bbytes_received:(\d+)`)

func parseReceived(out []byte) (total int64, err error) {
	found := bytesReceived.FindAllSubmatch(out, -1)
	if len(found) == 0 {
		return 0, fmt.Errorf("ss names no bytes_received: %.200s", bytes.TrimSpace(out))
	}
	for _, f := range found {
		n, err := strconv.ParseInt(string(f[1]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("ss: %w", err)
		}
		total += n
	}
	return total, nil
}

// traffic is what a master took in from its two agents.
type traffic struct{ files, database int64 }

func (s *sitekeep) traffic(ctx context.Context) (t traffic, err error) {
	if t.files, err = received(ctx, s.web.Addr); err != nil {
		return t, err
	}
	t.database, err = received(ctx, s.db.Addr)
	return t, err
}

// since is what came after earlier. A connection that was made anew has lost
// the count.
func (t traffic) since(earlier traffic) (traffic, error) {
	d := traffic{files: t.files - earlier.files, database: t.database - earlier.database}
	if d.files < 0 || d.database < 0 {
		return d, fmt.Errorf("a connection to an agent was made anew during the run")
	}
	return d, nil
}
