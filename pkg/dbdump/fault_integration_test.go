//go:build integration

package dbdump

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestServerKilledDuringDump(t *testing.T) {
	m, err := startMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer m.stop()
	m.exec(t, "CREATE DATABASE doomed", "CREATE TABLE doomed.t (a longtext)", "INSERT INTO doomed.t VALUES (REPEAT('x', 1000000))")
	for range 6 {
		m.exec(t, "INSERT INTO doomed.t SELECT * FROM doomed.t")
	}
	for _, salvage := range []bool{false, true} {
		in := m.open(t, m.server(), Options{})
		sink := &memory{}
		var killed atomic.Bool
		sink.onData = func() {
			if sink.Len() > 5<<20 && !killed.Swap(true) {
				m.kill()
			}
		}
		_, err = in.Dump(ctx, DumpOptions{Database: "doomed", Salvage: salvage}, sink)
		if KindOf(err) != KindUnreachable || HintOf(err) == "" || !killed.Load() {
			t.Errorf("salvage %v: %s %v", salvage, KindOf(err), err)
		}
		if err := m.start(); err != nil {
			t.Fatal(err)
		}
	}
	in := m.open(t, m.server(), Options{})
	m.exec(t, "CREATE DATABASE target")
	var killed bool
	o := ImportOptions{Database: "target", TemporaryUser: "imp", Progress: func(ImportProgress) {
		if !killed {
			killed = true
			m.kill()
		}
	}}
	_, err = in.Import(ctx, o, strings.NewReader("CREATE TABLE t (a int);\n"+strings.Repeat("INSERT INTO t VALUES (1);\n", 1000)+endLine))
	if KindOf(err) != KindUnreachable {
		t.Errorf("import: %s %v", KindOf(err), err)
	}
	if _, err := in.Inspect(ctx, "target"); KindOf(err) != KindUnreachable {
		t.Errorf("inspect: %v", err)
	}
}

func TestSalvageOfBrokenDatabase(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "ruin", "utf8mb4")
	m.exec(t, "CREATE TABLE ruin.good (a int)", "INSERT INTO ruin.good VALUES (1),(2)", "CREATE TABLE ruin.gone (a int)",
		"CREATE VIEW ruin.orphan AS SELECT a FROM ruin.gone", "CREATE VIEW ruin.fine AS SELECT a FROM ruin.good", "CREATE VIEW ruin.grandchild AS SELECT a FROM ruin.orphan",
		"CREATE USER lost@localhost", "CREATE DEFINER=lost@localhost VIEW ruin.ownerless AS SELECT good.a FROM ruin.good", "DROP USER lost@localhost",
		"CREATE TABLE ruin.torn (a int) ENGINE=MyISAM", "INSERT INTO ruin.torn VALUES (1)", "DROP TABLE ruin.gone", "FLUSH TABLES")
	if err := os.Remove(filepath.Join(m.dir, "data/ruin/torn.MYI")); err != nil {
		t.Fatal(err)
	}
	_, err := in.Dump(ctx, DumpOptions{Database: "ruin"}, &memory{})
	if KindOf(err) != KindBroken || HintOf(err) == "" {
		t.Errorf("%s %v", KindOf(err), err)
	}
	sink, sum := dumped(t, in, DumpOptions{Database: "ruin", Salvage: true})
	var skipped []string
	for _, w := range sum.Warnings {
		if w.Code == WarnSkipped {
			skipped = append(skipped, w.Subject)
		}
	}
	for _, name := range []string{"orphan", "grandchild", "torn"} {
		if !strings.Contains(fmt.Sprint(skipped), name) {
			t.Errorf("%s is not named in %q", name, skipped)
		}
	}
	if strings.Contains(fmt.Sprint(skipped), "good") || sum.TableRows()["good"] != 2 {
		t.Errorf("the good table: %q, %v", skipped, sum.TableRows())
	}
	m.fresh(t, "rebuilt", "utf8mb4")
	if _, err := in.Import(ctx, owner(t, in, "rebuilt", "rebuilt_u"), bytes.NewReader(sink.Bytes())); err != nil {
		t.Fatal(err, HintOf(err))
	}
	var n int
	for _, view := range []string{"fine", "ownerless"} { // without its definer the view lives again
		if err := m.db(t, "rebuilt").QueryRow("SELECT COUNT(*) FROM " + view).Scan(&n); err != nil || n != 2 {
			t.Errorf("%s: %d rows, %v", view, n, err)
		}
	}
}

// With the binary log on and no SUPER, routines and triggers need a setting (1419).
func TestBinlogTrust(t *testing.T) {
	m, err := startMariaDB("--log-bin=binlog", "--server-id=1")
	if err != nil {
		t.Fatal(err)
	}
	defer m.stop()
	in := m.open(t, m.server(), Options{})
	m.exec(t, "CREATE DATABASE logged")
	_, err = importText(in, "logged", "CREATE TABLE t (a int);\nCREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @x=1;\n"+endLine)
	if KindOf(err) != KindBinlogTrust || !strings.Contains(HintOf(err), "log_bin_trust_function_creators") {
		t.Errorf("%s %v: %s", KindOf(err), err, HintOf(err))
	}
}

// While dumps and imports run, no password is in any process's arguments or environment.
func TestCanariesAreSeenNowhere(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	name := tortured(t, m)
	const canary = `C4n4ry'"\# %s ü`
	m.exec(t, "CREATE USER agent@localhost IDENTIFIED BY "+QuoteString(canary), "GRANT ALL PRIVILEGES ON *.* TO agent@localhost WITH GRANT OPTION")
	t.Cleanup(func() { m.exec(t, "DROP USER agent@localhost") })
	agent := m.open(t, Server{Socket: m.socket, User: "agent", Password: NewSecret(canary)}, Options{})
	stop := make(chan struct{})
	found := make(chan string, 1)
	var seen atomic.Int64
	go func() { found <- watchProcesses("C4n4ry", &seen, stop) }()
	var sink *memory
	for _, engine := range []Engine{EngineNative, EngineClient} {
		sink = &memory{onData: func() { time.Sleep(time.Millisecond) }}
		if _, err := agent.Dump(ctx, DumpOptions{Database: name, Engine: engine}, sink); err != nil {
			t.Error(engine, err)
		}
		if bytes.Contains(sink.Bytes(), []byte("C4n4ry")) {
			t.Errorf("the password is in the dump of %s", engine)
		}
	}
	m.fresh(t, "canary_in", "latin1")
	o := owner(t, in, "canary_in", "canary_o")
	o.Password = NewSecret(canary)
	if err := in.EnsureUser(ctx, UserSpec{Name: o.User, Password: o.Password, Hosts: []string{"localhost"}, Database: "canary_in"}); err != nil {
		t.Error(err)
	}
	if _, err := agent.Import(ctx, o, bytes.NewReader(sink.Bytes())); err != nil {
		t.Error(err)
	}
	close(stop)
	if s := <-found; s != "" {
		t.Error(s)
	}
	if seen.Load() == 0 {
		t.Error("the dump program was never looked at")
	}
}

// watchProcesses looks for a text in /proc/*/cmdline and environ, and counts
// the looks at a dump program.
func watchProcesses(text string, seen *atomic.Int64, stop <-chan struct{}) string {
	for {
		select {
		case <-stop:
			return ""
		default:
		}
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, f := range files {
			args, _ := os.ReadFile(f)
			env, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "environ"))
			if bytes.Contains(args, []byte("defaults-extra-file")) && bytes.Contains(args, []byte("torture")) {
				seen.Add(1)
			}
			if bytes.Contains(args, []byte(text)) || bytes.Contains(env, []byte(text)) {
				return "the password is in " + f
			}
		}
	}
}
