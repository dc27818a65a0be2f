package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/test/bed"
)

const (
	p95       = "p95 ms"       // of a transaction while there is a dump: the median of the windows
	p95Alone  = "alone p95 ms" // of a transaction while there is none
	p95Ratio  = "p95 ratio"    // of the two
	dumpsDone = "dumps"
)

const (
	sysbenchOurs     = "while sitekeep dumps"
	sysbenchClient   = "while mariadb-dump dumps"
	sysbenchDatabase = "bench_live"
	sysbenchSeconds  = 10     // of a window
	sysbenchPairs    = 3      // of windows, one with dumps and one without, in a run
	liveSitekeep     = "live" // gives way
	liveNiceness     = 19     // of a master that stands for another machine
	liveSite         = "live.bench.example.com"
	liveStore        = 12 << 30 // room for the dumps of a round or three
)

// rowLive has transactions come to a server at half the rate that it takes at most, whether those before are done or not
// (sysbench counts the time that one waits for its turn), with dumps and without in turn. Run it at the usual priority:
// what is measured is who goes first.
func rowLive(ctx context.Context, w *world) (*row, error) {
	r := newRow(p95Alone, p95, p95Ratio, dumpsDone)
	load, err := newSysbench(ctx, w)
	if err != nil {
		return nil, err
	}
	if !w.options.peers {
		dump, err := dumpByAgent(ctx, w)
		r.add(sysbenchOurs, load.side(dump), err)
	}
	r.add(sysbenchClient, load.side(func(ctx context.Context) error {
		return w.dumpTo(ctx, newMeter(), os.DevNull)
	}), nil)
	r.want(within(p95Ratio, sysbenchOurs, 1.20))
	return r, nil
}

// dumpByAgent backs up a site that is all database, through master and agent. The master would be another machine: its
// store is not on the server's disk, and it takes what the server's processors leave.
func dumpByAgent(ctx context.Context, w *world) (func(context.Context) error, error) {
	s, err := w.ownSitekeep(ctx, liveSitekeep, func(ctx context.Context, on string) error { return w.mountTmpfs(ctx, on, liveStore) })
	if err != nil {
		return nil, err
	}
	if err := putBehind(s.master.Pid()); err != nil {
		return nil, err
	}
	root := filepath.Join(w.web.Root, liveSite)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(root, "index.html"), []byte("live\n"), 0o644); err != nil {
		return nil, err
	}
	database, err := w.database()
	if err != nil {
		return nil, err
	}
	err = s.add(ctx, liveSite, "--db", server(s.db), "--root", root, "--kind", "generic", "--database", database, "--vhost", "external")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return s.backupFull(ctx, newMeter(), liveSite) }, nil
}

// putBehind gives all threads of a process the lowest niceness; those that come later have it from them.
func putBehind(pid int) error {
	for range 2 { // a thread may have come while the first round went on
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			err = unix.Setpriority(unix.PRIO_PROCESS, tid, liveNiceness)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("niceness of thread %d: %w", tid, err)
			}
		}
	}
	return nil
}

// sysbench is a load on the world's database server, in a database of its own.
type sysbench struct {
	w    *world
	rate float64 // transactions a second: half of what the server can do
	user string
	pass string
}

func newSysbench(ctx context.Context, w *world) (*sysbench, error) {
	b := &sysbench{w: w, user: "bench_live", pass: bed.Secret()}
	err := w.db.Exec(ctx, "DROP DATABASE IF EXISTS "+sysbenchDatabase, "CREATE DATABASE "+sysbenchDatabase,
		"CREATE OR REPLACE USER "+b.user+"@127.0.0.1 IDENTIFIED BY '"+b.pass+"'",
		"GRANT ALL PRIVILEGES ON "+sysbenchDatabase+".* TO "+b.user+"@127.0.0.1")
	if err != nil {
		return nil, err
	}
	w.atRowEnd(func() error {
		return w.db.Exec(context.Background(), "DROP DATABASE IF EXISTS "+sysbenchDatabase, "DROP USER IF EXISTS "+b.user+"@127.0.0.1")
	})
	if _, err := b.run(ctx, newMeter(), "prepare"); err != nil {
		return nil, err
	}
	return b, b.calibrate(ctx)
}

// calibrate finds what the server takes: once to warm it up, and once that counts.
func (b *sysbench) calibrate(ctx context.Context) error {
	for range 2 {
		out, err := b.run(ctx, newMeter(), "run", "--time=8")
		if err != nil {
			return err
		}
		most, err := find(out, transactionsRate)
		if err != nil {
			return err
		}
		b.rate = most / 2
		b.w.bed.Logf("sysbench: %.0f transactions a second at most, half of it from now on", most)
	}
	return nil
}

// What sysbench 1.0 prints at its end.
var (
	transactionsRate = regexp.MustCompile(`transactions:\s+\d+\s+\(([0-9.]+) per sec\.\)`)
	percentile95     = regexp.MustCompile(`95th percentile:\s+([0-9.]+)`)
)

func find(out []byte, what *regexp.Regexp) (float64, error) {
	found := what.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("sysbench printed no %s:\n%.2000s", what, out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

func (b *sysbench) run(ctx context.Context, m *meter, action string, more ...string) ([]byte, error) {
	argv := []string{
		"sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-host=" + b.w.db.Addr.Addr().String(),
		fmt.Sprintf("--mysql-port=%d", b.w.db.Addr.Port()), "--mysql-user=" + b.user, "--mysql-password=" + b.pass,
		"--mysql-db=" + sysbenchDatabase, "--tables=2", "--table-size=20000", "--threads=8", "--percentile=95",
	}
	var out bytes.Buffer
	cmd := tool(ctx, nil, append(append(argv, more...), action)...)
	cmd.Stdout = &out
	err := m.run(cmd)
	return out.Bytes(), err
}

// side has windows with dumps and without in turn, the one first and then the other.
func (b *sysbench) side(dump func(context.Context) error) *side {
	return &side{work: func(ctx context.Context, m *meter) error {
		var with, without []float64
		dumps := 0
		for pair := range sysbenchPairs {
			for _, dumping := range []bool{pair%2 == 0, pair%2 == 1} {
				beside, into := dump, &with
				if !dumping {
					beside, into = nil, &without
				}
				value, times, err := b.window(ctx, m, beside)
				if err != nil {
					return err
				}
				dumps += times
				*into = append(*into, value)
			}
		}
		m.note(dumpsDone, float64(dumps))
		m.note(p95Alone, median(without))
		m.note(p95, median(with))
		m.note(p95Ratio, median(with)/median(without))
		return nil
	}}
}

// window runs the load and meanwhile, again and again, what is to be judged, if there is any. It returns after the last of
// it, so that nothing of it is in the next window.
func (b *sysbench) window(ctx context.Context, m *meter, beside func(context.Context) error) (value float64, times int, err error) {
	over := make(chan struct{})
	ended := make(chan result, 1)
	go func() { ended <- repeat(ctx, over, beside) }()
	out, err := b.run(ctx, m, "run", fmt.Sprintf("--time=%d", sysbenchSeconds), fmt.Sprintf("--rate=%.0f", b.rate))
	close(over)
	r := <-ended
	if err = errors.Join(err, r.err); err != nil {
		return 0, 0, err
	}
	value, err = find(out, percentile95)
	return value, r.times, err
}

type result struct {
	times int
	err   error
}

// repeat calls f until it is over; the last call may end after that.
func repeat(ctx context.Context, over <-chan struct{}, f func(context.Context) error) (r result) {
	for f != nil && r.err == nil {
		select {
		case <-over:
			return r
		default:
		}
		if r.err = f(ctx); r.err == nil {
			r.times++
		}
	}
	return r
}
