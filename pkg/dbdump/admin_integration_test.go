//go:build integration

package dbdump

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var ctx = context.Background()

func TestDatabases(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	for _, name := range []string{"plain", "we`ird'; -- \"\\%_", "ünï.côde/x"} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { _ = in.DropDatabase(ctx, name) })
			spec := DatabaseSpec{Name: name, Charset: "latin1", Collation: "latin1_bin"}
			if err := in.CreateDatabase(ctx, spec); err != nil {
				t.Fatal(err)
			}
			if err := in.CreateDatabase(ctx, spec); KindOf(err) != KindExists {
				t.Errorf("a second time: %v", err)
			}
			spec.Ours, spec.Charset, spec.Collation = true, "", ""
			if err := in.CreateDatabase(ctx, spec); err != nil {
				t.Errorf("ours: %v", err)
			}
			info, err := in.Inspect(ctx, name)
			if err != nil || !info.Exists || info.Charset != "utf8mb4" || len(info.Tables) != 0 {
				t.Errorf("%+v %v", info, err)
			}
			all, err := in.ListDatabases(ctx)
			if err != nil || !slices.Contains(all, name) || slices.Contains(all, "mysql") {
				t.Errorf("%q %v", all, err)
			}
			for range 2 {
				if err := in.DropDatabase(ctx, name); err != nil {
					t.Error(err)
				}
			}
			if info, err := in.Inspect(ctx, name); err != nil || info.Exists {
				t.Errorf("%+v %v", info, err)
			}
		})
	}
	if err := in.CreateDatabase(ctx, DatabaseSpec{Name: "x", Charset: "utf8mb4; DROP DATABASE mysql"}); KindOf(err) != KindInvalid {
		t.Error(err)
	}
	if got, err := in.UnknownCollations(ctx, []string{"utf8mb4_bin", "utf8mb4_0900_ai_ci"}); err != nil || !slices.Equal(got, []string{"utf8mb4_0900_ai_ci"}) {
		t.Errorf("%q %v", got, err)
	}
}

// TestDropOfADatabaseInUse comes to an end while a transaction of somebody else
// holds a table, says so as something that may pass, and leaves no statement
// behind that drops the database later.
func TestDropOfADatabaseInUse(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{LockWait: time.Second})
	m.fresh(t, "held", "utf8mb4")
	m.exec(t, "CREATE TABLE held.t (a INT) ENGINE=InnoDB", "INSERT INTO held.t VALUES (1)")
	holder, err := m.db(t, "held").Begin()
	if err == nil {
		_, err = holder.Exec("SELECT * FROM t FOR UPDATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	err = in.DropDatabase(ctx, "held")
	if KindOf(err) != KindUnreachable || !strings.Contains(HintOf(err), "PROCESSLIST") || !strings.Contains(err.Error(), "in use for more than 1s") {
		t.Fatalf("in use: %v (%s)", err, HintOf(err))
	}
	if err := holder.Rollback(); err != nil {
		t.Fatal(err)
	}
	if info, err := in.Inspect(ctx, "held"); err != nil || !info.Exists {
		t.Errorf("dropped all the same: %+v, %v", info, err)
	}
	if err := in.DropDatabase(ctx, "held"); err != nil {
		t.Error(err)
	}
}

// canaries are passwords with everything that a file, a shell or SQL may trip over.
var canaries = []string{
	`it's`, `"quoted"`, `back\slash\`, `ha#sh`, ` spaces `, `100%s%n`, `ünï€😀`, `a;b--c/*d*/`, "`tick`", `\n\t\\'"`, `$HOME$(id)`, "tab\tnew\nline",
	strings.Repeat("long'\"#", 20),
}

func TestCanaryPasswords(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "canary_db", "utf8mb4")
	m.exec(t, "CREATE TABLE canary_db.t (a int)", "INSERT INTO canary_db.t VALUES (1),(2)")
	for _, pw := range canaries {
		t.Run(pw, func(t *testing.T) {
			spec := UserSpec{Name: "can'ary", Password: NewSecret(pw), Hosts: []string{"localhost", "127.0.0.1"}, Database: "canary_db"}
			for range 2 {
				if err := in.EnsureUser(ctx, spec); err != nil {
					t.Fatal(err)
				}
			}
			t.Cleanup(func() {
				if err := in.DropUsers(ctx, DropUsersSpec{Name: "can'ary"}); err != nil {
					t.Error(err)
				}
			})
			byTCP := Server{Host: m.host, Port: m.port, User: "can'ary", Password: NewSecret(pw)}
			bySocket := Server{Socket: m.socket, User: "can'ary", Password: NewSecret(pw)}
			for _, s := range []Server{byTCP, bySocket} {
				if err := Ping(ctx, s, "canary_db"); err != nil {
					t.Error(err)
				}
				owner := m.open(t, s, Options{})
				_, sum := dumped(t, owner, DumpOptions{Database: "canary_db"})
				if sum.Rows != 2 {
					t.Errorf("%d rows", sum.Rows)
				}
			}
			byTCP.Password = NewSecret(pw + "x")
			err := Ping(ctx, byTCP, "canary_db")
			if KindOf(err) != KindAccessDenied || strings.Contains(err.Error(), pw) {
				t.Errorf("wrong password: %v", err)
			}
		})
	}
}

func TestUsers(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "site_1", "utf8mb4")
	m.fresh(t, "siteX1", "utf8mb4")
	pw, err := GeneratePassword()
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"127.0.0.1", "localhost", "2001:db8::1", "%.example.org"}
	spec := UserSpec{Name: "site_1", Password: pw, Hosts: hosts, Database: "site_1"}
	if err := in.EnsureUser(ctx, spec); err != nil {
		t.Fatal(err)
	}
	as, err := in.Users(ctx, "site_1")
	if err != nil || len(as) != len(hosts) {
		t.Errorf("%v %v", as, err)
	}
	s := Server{Host: m.host, Port: m.port, User: "site_1", Password: pw}
	if err := Ping(ctx, s, "site_1"); err != nil {
		t.Error(err)
	}
	if err := Ping(ctx, s, "siteX1"); KindOf(err) != KindPrivilege {
		t.Errorf("the underscore is a wildcard: %v", err)
	}
	// An account with other rights is somebody else's.
	m.exec(t, "CREATE USER somebody@localhost IDENTIFIED BY 'x'", "GRANT SELECT ON siteX1.* TO somebody@localhost")
	t.Cleanup(func() { m.exec(t, "DROP USER IF EXISTS somebody@localhost") })
	if err := in.EnsureUser(ctx, UserSpec{Name: "somebody", Password: pw, Hosts: []string{"localhost"}, Database: "site_1"}); KindOf(err) != KindExists {
		t.Errorf("took over an account: %v", err)
	}
	if err := Ping(ctx, Server{Socket: m.socket, User: "somebody", Password: NewSecret("x")}, "siteX1"); err != nil {
		t.Errorf("its password changed: %v", err)
	}
	if err := in.DropUsers(ctx, DropUsersSpec{Name: "somebody", Database: "site_1"}); KindOf(err) != KindRefused {
		t.Errorf("dropped an account that something else needs: %v", err)
	}
	if err := in.DropUsers(ctx, DropUsersSpec{Name: "site_1", Hosts: []string{"localhost", "nowhere"}, Database: "site_1"}); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := in.DropUsers(ctx, DropUsersSpec{Name: "site_1", Database: "site_1"}); err != nil {
			t.Error(err)
		}
	}
	if as, err := in.Users(ctx, "site_1"); err != nil || len(as) != 0 {
		t.Errorf("left over: %v %v", as, err)
	}
	var n int
	if err := m.db(t, "").QueryRow("SELECT COUNT(*) FROM mysql.user WHERE User='site_1'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d accounts left over, %v", n, err)
	}
}

func TestFreeName(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "freeexample", "utf8mb4")
	m.exec(t, "CREATE USER freeexample_0@localhost")
	t.Cleanup(func() { m.exec(t, "DROP USER freeexample_0@localhost") })
	if got, err := in.FreeName(ctx, "www.free.example"); err != nil || got != "freeexample_1" {
		t.Errorf("%s %v", got, err)
	}
}

func TestObservedHost(t *testing.T) {
	m := bed(t)
	addr := net.JoinHostPort(m.host, strconv.Itoa(m.port))
	// The server does not know 127.0.0.1 at all (error 1130) ...
	if got, err := ObservedHost(ctx, addr); err != nil || got != "127.0.0.1" {
		t.Errorf("%q %v", got, err)
	}
	// ... and then it does (1045).
	m.exec(t, "CREATE USER known@'127.0.0.%' IDENTIFIED BY 'x'")
	if got, err := ObservedHost(ctx, addr); err != nil || got != "127.0.0.1" {
		t.Errorf("%q %v", got, err)
	}
	m.exec(t, "DROP USER known@'127.0.0.%'", "CREATE USER ''@'127.0.0.%'")
	if got, err := ObservedHost(ctx, addr); err != nil || got != "127.0.0.1" {
		t.Errorf("with an anonymous user: %q %v", got, err)
	}
	m.exec(t, "DROP USER ''@'127.0.0.%'")
	if got, err := ObservedHost(ctx, m.socket); err != nil || got != "localhost" {
		t.Errorf("%q %v", got, err)
	}
	in := m.open(t, m.server(), Options{})
	if got, err := in.OwnHost(ctx); err != nil || got != "localhost" {
		t.Errorf("%q %v", got, err)
	}
	port, err := freePort(m.host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ObservedHost(ctx, net.JoinHostPort(m.host, strconv.Itoa(port))); KindOf(err) != KindUnreachable || HintOf(err) == "" {
		t.Errorf("server down: %v", err)
	}
}

func TestOpenFailures(t *testing.T) {
	m := bed(t)
	m.exec(t, "CREATE USER dba@'%' IDENTIFIED BY 'right-password'")
	t.Cleanup(func() { m.exec(t, "DROP USER dba@'%'") })
	s := Server{Host: m.host, Port: m.port, User: "dba", Password: NewSecret("wrong-password")}
	_, err := Open(ctx, s, Options{})
	if KindOf(err) != KindAccessDenied || HintOf(err) == "" || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := Open(ctx, Server{Socket: "/nonexistent/s.sock"}, Options{}); KindOf(err) != KindUnreachable {
		t.Errorf("no server: %v", err)
	}
	if err := Ping(ctx, m.server(), "nonesuch"); KindOf(err) != KindUnknownDatabase {
		t.Errorf("unknown database: %v", err)
	}
	s.Password = NewSecret("right-password")
	in := m.open(t, s, Options{})
	if err := in.CreateDatabase(ctx, DatabaseSpec{Name: "denied"}); KindOf(err) != KindPrivilege {
		t.Errorf("no privilege: %v", err)
	}
}

// The account of an agent is often the one of its own name by the Unix socket,
// without a password, as Debian sets up root.
func TestUnixSocketAccount(t *testing.T) {
	m, err := startMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer m.stop()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	a := Account{me.Username, "localhost"}.String()
	m.exec(t, "CREATE DATABASE by_socket", "CREATE USER IF NOT EXISTS "+a,
		"GRANT ALL ON *.* TO "+a+" WITH GRANT OPTION",
		"ALTER USER "+a+" IDENTIFIED VIA mysql_native_password USING 'invalid' OR unix_socket")
	s := Server{Socket: m.socket, User: me.Username}
	dumped(t, m.open(t, s, Options{}), DumpOptions{Database: "by_socket"})
}

func TestDumpNeedsPrivileges(t *testing.T) {
	m := bed(t)
	m.fresh(t, "guarded", "utf8mb4")
	m.exec(t, "CREATE TABLE guarded.t (a int)", "CREATE TRIGGER guarded.tr BEFORE INSERT ON guarded.t FOR EACH ROW SET @x = 1",
		"CREATE VIEW guarded.v AS SELECT a FROM guarded.t", "CREATE USER reader@localhost")
	t.Cleanup(func() { m.exec(t, "DROP USER reader@localhost") })
	const all = "SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES"
	m.exec(t, "GRANT "+all+" ON guarded.* TO reader@localhost")
	in := m.open(t, Server{Socket: m.socket, User: "reader"}, Options{})
	for _, p := range dumpPrivileges {
		m.exec(t, "REVOKE "+p+" ON guarded.* FROM reader@localhost")
		for _, engine := range []Engine{EngineNative, EngineClient} {
			sink := &memory{}
			_, err := in.Dump(ctx, DumpOptions{Database: "guarded", Engine: engine}, sink)
			if KindOf(err) != KindPrivilege || !strings.Contains(fmt.Sprint(err), "privilege "+p) || !strings.Contains(HintOf(err), "grant "+p) || sink.Len() > 0 {
				t.Errorf("%s without %s: %v (%s), %d bytes", engine, p, err, HintOf(err), sink.Len())
			}
		}
		m.exec(t, "GRANT "+p+" ON guarded.* TO reader@localhost")
	}
	m.exec(t, "REVOKE LOCK TABLES ON guarded.* FROM reader@localhost") // see TestParallelNeedsTheLock
	sink, _ := dumped(t, in, DumpOptions{Database: "guarded"})
	if !strings.Contains(sink.String(), "trigger") && !strings.Contains(sink.String(), "TRIGGER") {
		t.Error("the trigger is missing")
	}
	if _, err := in.Dump(ctx, DumpOptions{Database: "nonesuch"}, &memory{}); KindOf(err) != KindUnknownDatabase {
		t.Error(err)
	}
}

// TestQualifiedNamesFollowTheDatabase: SHOW CREATE gives triggers and routines as they were typed, with the database's name.
func TestQualifiedNamesFollowTheDatabase(t *testing.T) {
	m := bed(t)
	m.fresh(t, "typed", "utf8mb4")
	m.fresh(t, "copied", "utf8mb4")
	m.exec(t, "CREATE TABLE typed.t (a int)", "CREATE TRIGGER typed.tr BEFORE INSERT ON typed.t FOR EACH ROW SET NEW.a = NEW.a + 1",
		"CREATE FUNCTION typed.f() RETURNS int DETERMINISTIC RETURN 7")
	in := m.open(t, m.server(), Options{})
	sink, _ := dumped(t, in, DumpOptions{Database: "typed"})
	m.exec(t, "DROP DATABASE typed")
	if _, err := importText(in, "copied", sink.String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.DropUsers(ctx, DropUsersSpec{Name: "imp_test"}) })
	m.exec(t, "INSERT INTO copied.t VALUES (copied.f())", "INSERT INTO copied.t SELECT 1 FROM copied.t WHERE a <> 8")
	rows, err := in.CountRows(ctx, "copied")
	if err != nil || rows["t"] != 1 {
		t.Errorf("rows %v, %v: the trigger did not make 8 of 7", rows, err)
	}
}
