// Package bed starts real servers for tests and demonstrations: MariaDB,
// nginx, php-fpm, WordPress sites, and Sitekeep's own two programs, each on a
// loopback address of its own, as nobody where the servers are, below one
// directory, and ended together.
//
// It refuses to know what a backup or a restore is: it starts parts, runs
// commands, wrecks sites and takes fingerprints; what must be equal is for the
// test to say.
//
// Tests use [New], which fails the test in place of returning errors and shows
// the logs of a failed run. Programs use [Start]. Root is needed, because the
// servers run as nobody and sites have owners.
package bed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Bed is a set of running servers below one directory. It is safe for
// concurrent use.
type Bed struct {
	dir   string
	log   io.Writer
	guard *guard

	mu       sync.Mutex
	closers  []func() error
	children []*Process
	used     map[netip.Addr]bool
	views    map[string]view // by part
}

// Start makes a bed below dir, which is made when it is missing and must be
// one that nobody can enter, through every parent. Progress goes to log, one
// line for each part that starts; nil means none. The caller calls [Bed.Close],
// which leaves dir with its logs in place.
func Start(ctx context.Context, dir string, log io.Writer) (*Bed, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("bed: %w", err)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("the bed runs servers as nobody and must be started by root: try again with sudo")
	}
	if log == nil {
		log = io.Discard
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bed directory %s: %w", dir, err)
	}
	if err := makeEnterable(abs); err != nil {
		return nil, err
	}
	g, err := startGuard()
	if err != nil {
		return nil, err
	}
	return &Bed{dir: abs, log: log, guard: g, used: map[netip.Addr]bool{}, views: map[string]view{}}, nil
}

// Dir is the directory of the bed; everybody may enter it.
func (b *Bed) Dir() string { return b.dir }

// Logf writes a line to the bed's log.
func (b *Bed) Logf(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, _ = fmt.Fprintf(b.log, format+"\n", args...)
}

// Close ends every child, the youngest first, and waits for all of them. It
// may be called twice.
func (b *Bed) Close() error {
	b.mu.Lock()
	closers := b.closers
	b.closers = nil
	b.mu.Unlock()
	var errs []error
	for i := len(closers) - 1; i >= 0; i-- {
		errs = append(errs, closers[i]())
	}
	return errors.Join(append(errs, b.guard.close())...)
}

// LeaveRunning has all children outlive this process and returns the path of a
// script that ends them and removes the bed's directory. After it the bed is
// only good to be forgotten: Close is not to be called.
func (b *Bed) LeaveRunning() (string, error) {
	b.mu.Lock()
	children := slices.Clone(b.children)
	b.mu.Unlock()
	var script strings.Builder
	script.WriteString("#!/bin/sh\n# Ends what was left running in this directory, and removes it.\n")
	for i := len(children) - 1; i >= 0; i-- {
		if pid := children[i].Pid(); pid != 0 {
			if err := b.guard.forget(pid); err != nil {
				return "", err
			}
			fmt.Fprintf(&script, "kill -s TERM -- %d # %s\n", pid, children[i].Name())
		}
	}
	fmt.Fprintf(&script, "sleep 2\n")
	for _, p := range children {
		if pid := p.Pid(); pid != 0 {
			fmt.Fprintf(&script, "kill -s KILL -- -%d 2>/dev/null\n", pid)
		}
	}
	fmt.Fprintf(&script, "rm -rf -- '%s'\n", strings.ReplaceAll(b.dir, "'", `'\''`))
	path := filepath.Join(b.dir, "stop")
	if err := os.WriteFile(path, []byte(script.String()), 0o755); err != nil {
		return "", fmt.Errorf("leave running: %w", err)
	}
	return path, nil
}

// OnClose has f called by [Bed.Close], after what was started later has ended.
func (b *Bed) OnClose(f func() error) { b.onClose(f) }

func (b *Bed) onClose(f func() error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closers = append(b.closers, f)
}

// LogFiles are the paths of the logs of all processes that were started, in
// the order of their start.
func (b *Bed) LogFiles() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var paths []string
	for _, p := range b.children {
		paths = append(append(paths, p.logPath), p.spec.Logs...)
	}
	return paths
}

// IP returns a loopback address that no other part of this bed has. It is
// random, so that beds of different processes do not meet.
func (b *Bed) IP() netip.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		ip := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), byte(1 + rand.IntN(254))})
		if !b.used[ip] {
			b.used[ip] = true
			return ip
		}
	}
}

// FreePort returns a TCP port of 20000 or above at ip that nobody listens on.
func FreePort(ip netip.Addr) (netip.AddrPort, error) {
	at, err := freePorts(ip, 1)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return at[0], nil
}

// freePorts returns n different ports such as [FreePort] gives.
func freePorts(ip netip.Addr, n int) (free []netip.AddrPort, err error) {
	// Held until all are found, so that none is found twice.
	var held []net.Listener
	defer func() {
		for _, l := range held {
			if closeErr := l.Close(); closeErr != nil {
				err = errors.Join(err, fmt.Errorf("close probe of %s: %w", l.Addr(), closeErr))
			}
		}
	}()
	for range 100 {
		at := netip.AddrPortFrom(ip, uint16(20000+rand.IntN(12000)))
		l, listenErr := net.Listen("tcp", at.String())
		if listenErr != nil {
			continue
		}
		held = append(held, l)
		if free = append(free, at); len(free) == n {
			return free, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports at %s between 20000 and 32000", n, ip)
}

// part makes a directory for a named part of the bed, such as "db1".
func (b *Bed) part(name string) (string, error) {
	if name == "" || strings.ContainsAny(name, "/ \x00") {
		return "", fmt.Errorf("part name %q: want letters, digits, dots and hyphens", name)
	}
	dir := filepath.Join(b.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("part %s: %w", name, err)
	}
	return dir, nil
}

// makeEnterable makes dir and checks that everybody may enter it and each of
// its parents, because servers run as nobody.
func makeEnterable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("bed directory: %w", err)
	}
	for d := dir; ; d = filepath.Dir(d) {
		info, err := os.Stat(d)
		if err != nil {
			return fmt.Errorf("bed directory: %w", err)
		}
		if info.Mode().Perm()&0o001 == 0 {
			return fmt.Errorf("bed directory %s: nobody cannot enter %s: choose another place, for instance with TMPDIR", dir, d)
		}
		if d == filepath.Dir(d) {
			return nil
		}
	}
}
