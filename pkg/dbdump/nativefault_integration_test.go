//go:build integration

package dbdump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What the native engine does not know it leaves to the client, before the first byte.
func TestUnknownGoesToTheClient(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "odd", "utf8mb4")
	m.exec(t, "CREATE TABLE odd.a (i int) ENGINE=MyISAM", "INSERT INTO odd.a VALUES (1)", "CREATE TABLE odd.m (i int) ENGINE=MRG_MYISAM UNION=(odd.a)")
	_, sum := dumped(t, in, DumpOptions{Database: "odd"})
	if sum.Engine != EngineClient || sum.Warnings[len(sum.Warnings)-1].Code != WarnEngine || !strings.Contains(fmt.Sprint(sum.Warnings), "MRG_MyISAM") {
		t.Errorf("%q %+v", sum.Engine, sum.Warnings)
	}
	sink := &memory{}
	_, err := in.Dump(ctx, DumpOptions{Database: "odd", Engine: EngineNative}, sink)
	if KindOf(err) != KindRefused || HintOf(err) == "" || sink.Len() > 0 {
		t.Errorf("%v, %d bytes", err, sink.Len())
	}
	lone := m.open(t, m.server(), Options{Runner: only("")})
	if _, err := lone.Dump(ctx, DumpOptions{Database: "odd"}, sink); KindOf(err) != KindClient || !strings.Contains(err.Error(), "MRG_MyISAM") {
		t.Errorf("without a client: %v", err)
	}
}

// DDL during the dump fails it with a kind that says to try again.
func TestChangeDuringDump(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	for name, ddl := range map[string]string{
		"altered": "ALTER TABLE ddl.z ADD COLUMN x int FIRST, FORCE", "dropped": "DROP TABLE ddl.z", "truncated": "TRUNCATE ddl.z",
		"view dropped": "DROP VIEW ddl.zz",
	} {
		m.fresh(t, "ddl", "utf8mb4")
		m.exec(t, "CREATE TABLE ddl.a (i int PRIMARY KEY, t longtext)", "INSERT INTO ddl.a VALUES (1, REPEAT('x', 10000000))", "CREATE TABLE ddl.z (i int)",
			"INSERT INTO ddl.z VALUES (1)", "CREATE VIEW ddl.zz AS SELECT i FROM ddl.z")
		sink := &memory{}
		var done atomic.Bool
		sink.onData = func() {
			if !done.Swap(true) {
				m.exec(t, ddl)
			}
		}
		_, err := in.Dump(ctx, DumpOptions{Database: "ddl", Engine: EngineNative}, sink)
		if KindOf(err) != KindChanged || HintOf(err) == "" || bytes.Contains(sink.Bytes(), endMark) {
			t.Errorf("%s: %s %v", name, KindOf(err), err)
		}
	}
}

// cutter is a proxy that breaks every connection after so many bytes from the server.
func cutter(t *testing.T, to string, after int64) (host string, port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				return
			}
			go func() { _, _ = io.Copy(s, c); s.Close() }()
			go func() { _, _ = io.CopyN(c, s, after); c.Close(); s.Close() }()
		}
	}()
	a := l.Addr().(*net.TCPAddr)
	return a.IP.String(), a.Port
}

// Whatever breaks a dump, its error has the right kind and a hint, the sink got
// no end mark, and no goroutine stays.
func TestNativeDumpFailures(t *testing.T) {
	m := bed(t)
	m.fresh(t, "fragile", "utf8mb4")
	m.exec(t, "CREATE TABLE fragile.a (id int PRIMARY KEY, t longtext)", "INSERT INTO fragile.a SELECT seq, REPEAT('row', 10000) FROM fragile.seq_1_to_400",
		"CREATE TABLE fragile.b (id int)", "CREATE USER far@'127.0.0.1' IDENTIFIED BY 'p'", "CREATE USER far@'127.0.0.77' IDENTIFIED BY 'p'",
		"GRANT ALL PRIVILEGES ON *.* TO far@'127.0.0.1'", "GRANT ALL PRIVILEGES ON *.* TO far@'127.0.0.77'")
	t.Cleanup(func() { m.exec(t, "DROP USER far@'127.0.0.1', far@'127.0.0.77'") })
	in := m.open(t, m.server(), Options{})
	host, port := cutter(t, fmt.Sprintf("%s:%d", m.host, m.port), 3<<20)
	cut := m.open(t, Server{Host: host, Port: port, User: "far", Password: NewSecret("p"), TLS: TLSDisabled}, Options{})
	boom := errors.New("no space left on device")
	before := runtime.NumGoroutine()
	for _, parallel := range []int{1, 3} {
		for _, salvage := range []bool{false, true} {
			o := DumpOptions{Database: "fragile", Engine: EngineNative, Parallel: parallel, Salvage: salvage}
			failsAs(ctx, t, "cut", cut, o, &memory{}, KindUnreachable)
			failsAs(ctx, t, "sink", in, o, &memory{fail: boom}, KindSink)
			c, stop := context.WithCancel(ctx)
			failsAs(c, t, "cancel", in, o, &memory{onData: stop}, KindCancelled)
		}
	}
	for range 200 {
		if runtime.NumGoroutine() <= before {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before+4 { // the proxy's
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines, %d before\n%s", n, before, buf[:runtime.Stack(buf, true)])
	}
	for range 200 {
		if len(names(t, m.db(t, ""), "SELECT ID FROM information_schema.PROCESSLIST WHERE DB='fragile'")) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("connections of dumps stay on the server")
}

func failsAs(ctx context.Context, t *testing.T, what string, in *Instance, o DumpOptions, sink *memory, want Kind) {
	t.Helper()
	_, err := in.Dump(ctx, o, sink)
	if KindOf(err) != want || HintOf(err) == "" && want == KindUnreachable || bytes.Contains(sink.Bytes(), endMark) {
		t.Errorf("%s, parallel %d, salvage %v: %s: %v", what, o.Parallel, o.Salvage, KindOf(err), err)
	}
}

// Tables without transactions are locked until the end if that is asked for.
func TestLockTablesWithoutTransactions(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "locked", "utf8mb4")
	m.exec(t, "CREATE TABLE locked.a (i int) ENGINE=InnoDB", "CREATE TABLE locked.m (i int) ENGINE=MyISAM", "INSERT INTO locked.m VALUES (1)")
	var inserted, blocked atomic.Int64
	sink := &memory{onData: func() {
		if blocked.Load()+inserted.Load() > 0 {
			return
		}
		if _, err := m.db(t, "locked").Exec("SET STATEMENT lock_wait_timeout=0 FOR INSERT INTO m VALUES (2)"); err != nil {
			blocked.Add(1)
		} else {
			inserted.Add(1)
		}
		if _, err := m.db(t, "locked").Exec("INSERT INTO a VALUES (2)"); err != nil {
			t.Errorf("a table with transactions is locked: %v", err)
		}
	}}
	sum, err := in.Dump(ctx, DumpOptions{Database: "locked", Engine: EngineNative, LockTables: true, Parallel: 2}, sink)
	if err != nil || blocked.Load() != 1 || len(sum.Warnings) != 0 {
		t.Errorf("blocked %d, inserted %d, warnings %+v, %v", blocked.Load(), inserted.Load(), sum.Warnings, err)
	}
	m.exec(t, "INSERT INTO locked.m VALUES (3)")
}
