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

	"github.com/sitekeep/sitekeep/test/bed"
)

const (
	p95       = "p95 ms" // of a transaction
	dumpsDone = "dumps"  // that ended while sysbench ran
)

const (
	sysbenchAlone    = "sysbench alone"
	sysbenchOurs     = "while sitekeep dumps"
	sysbenchClient   = "while mariadb-dump dumps"
	sysbenchDatabase = "bench_live"
	sysbenchSeconds  = 12
	liveSitekeep     = "live" // gives way
	liveSite         = "live.bench.example.com"
	liveStore        = 4 << 30 // room for the dumps of a round or three
)

func rowLive(ctx context.Context, w *world) (*row, error) {
	r := newRow(p95, dumpsDone)
	load, err := newSysbench(ctx, w)
	if err != nil {
		return nil, err
	}
	r.add(sysbenchAlone, load.side(nil), nil)
	if !w.options.peers {
		dump, err := dumpByAgent(ctx, w)
		r.add(sysbenchOurs, load.side(dump), err)
	}
	r.add(sysbenchClient, load.side(func(ctx context.Context) error {
		return w.dumpTo(ctx, newMeter(), os.DevNull)
	}), nil)
	r.want(ratio(p95, sysbenchOurs, sysbenchAlone, 1.20))
	return r, nil
}

// dumpByAgent backs up a site that is all database, through master and agent.
// The master would be another machine: its store is not on the server's disk.
func dumpByAgent(ctx context.Context, w *world) (func(context.Context) error, error) {
	s, err := w.ownSitekeep(ctx, liveSitekeep, func(ctx context.Context, on string) error { return w.mountTmpfs(ctx, on, liveStore) })
	if err != nil {
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
	out, err := b.run(ctx, newMeter(), "run", "--time=8")
	if err != nil {
		return nil, err
	}
	most, err := find(out, transactionsRate)
	b.rate = most / 2
	w.bed.Logf("sysbench: %.0f transactions a second at most, half of it from now on", most)
	return b, err
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
		"--mysql-db=" + sysbenchDatabase, "--tables=2", "--table-size=20000", "--threads=4", "--percentile=95",
	}
	var out bytes.Buffer
	cmd := tool(ctx, nil, append(append(argv, more...), action)...)
	cmd.Stdout = &out
	err := m.run(cmd)
	return out.Bytes(), err
}

// side runs the load, and meanwhile, again and again, what is to be judged.
func (b *sysbench) side(beside func(context.Context) error) *side {
	return &side{work: func(ctx context.Context, m *meter) error {
		during, stop := context.WithCancel(ctx)
		defer stop()
		ended := make(chan result, 1)
		go func() { ended <- repeat(during, beside) }()
		out, err := b.run(ctx, m, "run", fmt.Sprintf("--time=%d", sysbenchSeconds), fmt.Sprintf("--rate=%.0f", b.rate))
		stop()
		r := <-ended
		if err = errors.Join(err, r.err); err != nil {
			return err
		}
		m.note(dumpsDone, float64(r.times))
		value, err := find(out, percentile95)
		m.note(p95, value)
		return err
	}}
}

type result struct {
	times int
	err   error
}

// repeat calls f until ctx ends; what the end of ctx cuts off does not count.
func repeat(ctx context.Context, f func(context.Context) error) (r result) {
	for f != nil && ctx.Err() == nil {
		err := f(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			r.err = err
			break
		}
		r.times++
	}
	return r
}
