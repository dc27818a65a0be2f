//go:build integration

package dbdump

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// inspected runs an import and returns what it decided.
func inspected(t testing.TB, in *Instance, o ImportOptions, dump []byte) (*importer, error) {
	t.Helper()
	im := newImporter(in, o)
	var err error
	if im.server, err = in.importServer(ctx, o); err != nil {
		t.Fatal(err)
	}
	err = im.run(ctx, bytes.NewReader(dump))
	if _, rerr := in.retireTemporary(ctx, o, false); rerr != nil {
		t.Error(rerr)
	}
	return im, err
}

// clientDump is what the server's own program writes.
func clientDump(t testing.TB, m *mariadb, database string, flags ...string) []byte {
	t.Helper()
	args := append([]string{"--no-defaults", "-uroot", "-S", m.socket, "--routines", "--skip-dump-date"}, flags...)
	out, err := exec.Command("mariadb-dump", append(args, database)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// digested are the columns of tables whose CHECKSUM differs though their rows
// are the same: the times of system versions are in it, and for generated
// columns it depends on whether the INSERT named them.
var digested = map[string]string{"history": "id, t", "made": "id, a, twice, thrice, secret, t", "plainmade": "id, a, twice"}

// state is what two databases must have in common.
func state(t testing.TB, m *mariadb, in *Instance, database string) map[string]string {
	t.Helper()
	db := m.db(t, database)
	info, err := in.Inspect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	sums, err := in.Checksums(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	s := map[string]string{}
	for _, ti := range info.Tables {
		if !ti.IsTable() {
			s[ti.Name] = ti.Type
			continue
		}
		var name, create string
		if err := db.QueryRow("SHOW CREATE TABLE "+QuoteIdent(ti.Name)).Scan(&name, &create); err != nil {
			t.Fatal(err)
		}
		s[ti.Name] = fmt.Sprintf("%s %d", create, sums[ti.Name])
		if columns := digested[ti.Name]; columns != "" {
			digest := names(t, db, "SELECT CONCAT(COUNT(*), ' ', BIT_XOR(CRC32(CONCAT_WS('|', "+columns+")))) FROM "+ti.Name)
			s[ti.Name] = create + fmt.Sprint(digest)
		}
	}
	s["order of heap"] = fmt.Sprint(names(t, db, "SELECT a FROM heap IGNORE INDEX (a)"))
	return s
}

func kinds(t testing.TB, m *mariadb) {
	t.Helper()
	m.fresh(t, "kinds", "utf8mb4")
	m.load(t, "kinds", "testdata/kinds.sql")
}

// Whichever way a dump goes in, the database is the one that the client program makes.
func TestImportIsTheSameEveryWay(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	kinds(t, m)
	for _, flags := range [][]string{{"--hex-blob"}, {"--skip-hex-blob", "--complete-insert", "--net-buffer-length=50000"}} {
		dump := clientDump(t, m, "kinds", flags...)
		path := t.TempDir() + "/dump.sql"
		if err := os.WriteFile(path, dump, 0o600); err != nil {
			t.Fatal(err)
		}
		m.fresh(t, "by_client", "utf8mb4")
		m.load(t, "by_client", path)
		want := state(t, m, in, "by_client")
		for _, degree := range []int{1, 3} {
			t.Run(fmt.Sprint(flags, degree), func(t *testing.T) {
				m.fresh(t, "by_us", "utf8mb4")
				o := ImportOptions{Database: "by_us", TemporaryUser: "imp_test", Parallel: degree}
				im, err := inspected(t, in, o, dump)
				if err != nil {
					t.Fatal(err, HintOf(err))
				}
				got := state(t, m, in, "by_us")
				for name, w := range want {
					if got[name] != w {
						t.Errorf("%s differs:\n%.600s\n%.600s", name, got[name], w)
					}
				}
				if !reflect.DeepEqual(got, want) || len(im.warn.list) != 0 {
					t.Errorf("more differs; warnings %v", im.warn.list)
				}
				checkPlans(t, im, len(flags) == 1)
			})
		}
	}
}

// checkPlans: the test would show nothing if everything had run as it stands in the dump.
func checkPlans(t *testing.T, im *importer, long bool) {
	t.Helper()
	for _, name := range []string{"nums", "texts", "bytes", "times", "made", "heap", "counted", "places", "parts", "child", "zparent"} {
		if p := im.planned[name]; p == nil || p.asIs.Load() {
			t.Errorf("the rows of %s were not handed over: %+v", name, p)
		}
	}
	for name, fan := range map[string]bool{"nums": true, "heap": false, "words": false} {
		if p := im.planned[name]; p == nil || p.fan != fan {
			t.Errorf("%s: %+v, want fan %v", name, p, fan)
		}
	}
	for _, name := range []string{"old", "history", "fired"} {
		if im.planned[name] != nil {
			t.Errorf("%s was handed over", name)
		}
	}
	for name, deferred := range map[string]bool{"nums": true, "texts": true, "counted": false, "zparent": false, "child": false, "parts": false} {
		if p := im.planned[name]; p != nil && (p.keys.add != "") != (deferred && long) {
			t.Errorf("%s: keys %+v", name, p.keys)
		}
	}
}

// bulk is a dump of one table with INSERTs large enough to be handed over.
func bulk(tail string) string {
	var b strings.Builder
	b.WriteString("CREATE TABLE `t` (id int PRIMARY KEY, u int, x varchar(200), UNIQUE KEY (u), KEY (x)) ENGINE=InnoDB;\n")
	for i := range 12 {
		b.WriteString("INSERT INTO `t` VALUES ")
		for j := range 1000 {
			if j > 0 {
				b.WriteByte(',')
			}
			n := i*1000 + j
			fmt.Fprintf(&b, "(%d,%d,'%0150d')", n, n, n)
		}
		b.WriteString(";\n")
	}
	return b.String() + tail + endLine
}

func row(id, u int, x string) string { return fmt.Sprintf("(%d,%d,'%s')", id, u, x) }

// filler are rows that make a statement large.
func filler(from int) string {
	var rows []string
	for i := range 500 {
		rows = append(rows, row(from+i, from+i, strings.Repeat("f", 100)))
	}
	return strings.Join(rows, ",")
}

func TestParallelImportFailures(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	late := "INSERT INTO `t` VALUES " + filler(100000)
	tests := []struct {
		name, text string
		want       Kind
		says       []string
	}{
		{"duplicate of the primary key", bulk(late + "," + row(7, 999999, "x") + ";"), KindStatement, []string{"1062", "data of `t`", "statement 14", "INSERT INTO"}},
		{"duplicate of a unique key", bulk(late + "," + row(999999, 7, "x") + ";"), KindStatement, []string{"1062", "data of `t`"}},
		{"duplicate within", bulk(late + "," + row(100001, 999999, "x") + ";"), KindStatement, []string{"1062"}},
		// The rows of two connections meet, and the server may break off either. What it broke off runs again, and finds the
		// other's rows: any of the statements may be the one that is named.
		{"two of them", bulk(late + "," + row(7, 999999, "x") + ";\n" + late + ";"), KindStatement, []string{"1062", "data of `t`", "Duplicate entry"}},
		{"too few values", bulk(late + ",(999999);"), KindStatement, []string{"1136"}},
		{"at the very end", bulk("CREATE TABLE `t` (a int);"), KindStatement, []string{"1050", "statement 14"}},
		{"a key that cannot be", bulk("CREATE UNIQUE INDEX i ON `nonesuch` (a);"), KindStatement, []string{"1146"}},
		{"no end mark", strings.TrimSuffix(bulk(late+";"), endLine), KindIncomplete, nil},
		{"cut in a row", bulk("")[:1<<20], KindIncomplete, nil},
		{"refused", bulk("DROP DATABASE x;"), KindRefused, []string{"statement 14"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, degree := range []int{1, 3} {
				m.fresh(t, "failing", "utf8mb4")
				o := ImportOptions{Database: "failing", TemporaryUser: "imp_test", Parallel: degree}
				_, err := in.Import(ctx, o, strings.NewReader(tt.text))
				if KindOf(err) != tt.want || HintOf(err) == "" {
					t.Errorf("degree %d: %s %v", degree, KindOf(err), err)
				}
				for _, s := range tt.says {
					if !strings.Contains(fmt.Sprint(err), s) {
						t.Errorf("degree %d: %v does not say %q", degree, err, s)
					}
				}
				checkNothingLeft(t, m, "failing")
			}
		})
	}
}

// checkNothingLeft waits until no connection to a database is left, and sees that no account is.
func checkNothingLeft(t *testing.T, m *mariadb, database string) {
	t.Helper()
	if n := accounts(t, m, "imp_test"); n != 0 {
		t.Errorf("%d temporary accounts are left", n)
	}
	var left []string
	for range 500 {
		left = names(t, m.db(t, ""), "SELECT CONCAT(ID, ' ', COALESCE(INFO, '')) FROM information_schema.PROCESSLIST WHERE DB='"+database+"'")
		if len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("connections are left: %q", left)
}

// What the server remarks on is the same as when the statement runs as it is.
func TestHandedOverRowsWithWarnings(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	for _, degree := range []int{1, 3} {
		m.fresh(t, "lossy", "utf8mb4")
		text := bulk("INSERT INTO `t` VALUES " + filler(100000) + "," + row(999999, 999999, strings.Repeat("long", 60)) + ";")
		o := ImportOptions{Database: "lossy", TemporaryUser: "imp_test", Parallel: degree}
		sum, err := in.Import(ctx, o, strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(sum.Warnings) != 1 || sum.Warnings[0].Code != WarnData || sum.Warnings[0].Subject != "t" || sum.Rows != 12501 {
			t.Errorf("%v, %d rows", sum.Warnings, sum.Rows)
		}
		if n, err := in.CountRows(ctx, "lossy"); err != nil || n["t"] != 12501 {
			t.Errorf("%v %v", n, err)
		}
	}
}

// Numbers that the server gives depend on the order of rows.
func TestRowsWithoutNumbersStayInOrder(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "numbering", "utf8mb4")
	var b strings.Builder
	b.WriteString("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, n int, x varchar(100));\n")
	for i := range 10 {
		b.WriteString("INSERT INTO t VALUES ")
		for j := range 1000 {
			if j > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "(NULL,%d,'%060d')", i*1000+j+1, j)
		}
		b.WriteString(";\n")
	}
	o := ImportOptions{Database: "numbering", TemporaryUser: "imp_test", Parallel: 3}
	if _, err := in.Import(ctx, o, strings.NewReader(b.String()+endLine)); err != nil {
		t.Fatal(err)
	}
	var n, wrong int
	if err := m.db(t, "numbering").QueryRow("SELECT COUNT(*), SUM(id <> n) FROM t").Scan(&n, &wrong); err != nil || n != 10000 || wrong != 0 {
		t.Errorf("%d rows, %d with another number, %v", n, wrong, err)
	}
}

func TestParallelImportCancel(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "cancelled", "utf8mb4")
	c, stop := context.WithCancel(ctx)
	defer stop()
	var rows int64
	o := ImportOptions{Database: "cancelled", TemporaryUser: "imp_test", Parallel: 3, Progress: func(p ImportProgress) {
		rows = p.Rows
		if p.Rows > 0 {
			stop()
		}
	}}
	_, err := in.Import(c, o, strings.NewReader(bulk("DO SLEEP(0.3);\nINSERT INTO t VALUES "+filler(100000)+";\nDO SLEEP(60);")))
	if KindOf(err) != KindCancelled || rows == 0 {
		t.Errorf("%v after %d rows", err, rows)
	}
	checkNothingLeft(t, m, "cancelled")
}

func TestImportChosenTables(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	kinds(t, m)
	dump := clientDump(t, m, "kinds", "--hex-blob")
	m.fresh(t, "chosen", "utf8mb4")
	o := ImportOptions{Database: "chosen", TemporaryUser: "imp_test", Tables: []string{"texts", "nums"}, Parallel: 2}
	m.exec(t, "CREATE TABLE chosen.live (a int)", "INSERT INTO chosen.live VALUES (1)")
	sum, err := in.Import(ctx, o, bytes.NewReader(dump))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.DropUsers(ctx, DropUsersSpec{Name: "imp_test"}) }) // the trigger's definer
	got, err := in.CountRows(ctx, "chosen")
	if err != nil || !reflect.DeepEqual(got, map[string]int64{"live": 1, "texts": 8000, "nums": 9000}) || sum.Rows != 17000 {
		t.Errorf("%v %v, %d rows", got, err, sum.Rows)
	}
	if n := len(names(t, m.db(t, "chosen"), "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='chosen'")); n != 1 {
		t.Errorf("%d triggers", n)
	}
	o.Tables = []string{"nums", "Nonesuch"}
	m.fresh(t, "chosen", "utf8mb4")
	if _, err := in.Import(ctx, o, bytes.NewReader(dump)); KindOf(err) != KindInvalid || !strings.Contains(err.Error(), "`Nonesuch`") {
		t.Errorf("%v", err)
	}
}

// On a server with much to do the import is slower, and still ends.
func TestImportStandsBack(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "gentle", "utf8mb4")
	c, stop := context.WithCancel(ctx)
	done := make(chan struct{}, 3)
	for range cap(done) {
		go func() {
			_, _ = in.db.ExecContext(c, "DO SLEEP(600)") // ends with stop
			done <- struct{}{}
		}()
	}
	defer func() {
		stop()
		for range cap(done) {
			<-done
		}
	}()
	o := ImportOptions{Database: "gentle", TemporaryUser: "imp_test", Parallel: 2, MaxRunning: 1}
	user := m.open(t, m.server(), Options{})
	for running := 0; running < 4; { // the three and the one that asks
		var name string
		if err := user.db.QueryRow("SHOW GLOBAL STATUS LIKE 'Threads_running'").Scan(&name, &running); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	if _, err := user.Import(ctx, o, strings.NewReader(bulk(""))); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < mostPauses*backOff {
		t.Errorf("it did not stand back: %s", d)
	}
}

// The server goes while rows are on their way through several connections.
func TestServerKilledDuringParallelImport(t *testing.T) {
	m, err := startMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer m.stop()
	in := m.open(t, m.server(), Options{})
	m.exec(t, "CREATE DATABASE doomed")
	killed := false
	r := &hooked{Reader: strings.NewReader(bulk("")), at: 1 << 20, do: func() {
		killed = true
		m.kill()
	}}
	o := ImportOptions{Database: "doomed", TemporaryUser: "imp_test", Parallel: 3}
	before := runtime.NumGoroutine()
	_, err = in.Import(ctx, o, r)
	if KindOf(err) != KindUnreachable || HintOf(err) == "" || !killed {
		t.Errorf("%s %v", KindOf(err), err)
	}
	in.Close()
	for i := 0; runtime.NumGoroutine() > before && i < 500; i++ {
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

// hooked calls do once, after so many bytes.
type hooked struct {
	io.Reader
	at int
	do func()
}

func (h *hooked) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p[:min(len(p), 4096)])
	if h.at -= n; h.at <= 0 && h.do != nil {
		h.do()
		h.do = nil
	}
	return n, err
}

// MariaDB's better plugin for passwords, where the server has it.
func TestEd25519Account(t *testing.T) {
	m := bed(t)
	m.fresh(t, "byed", "utf8mb4")
	m.exec(t, "INSTALL SONAME 'auth_ed25519'", "CREATE USER ed@localhost IDENTIFIED VIA ed25519 USING PASSWORD('it''s 100%')", "GRANT ALL PRIVILEGES ON byed.* TO ed@localhost")
	t.Cleanup(func() { m.exec(t, "DROP USER ed@localhost", "UNINSTALL SONAME 'auth_ed25519'") })
	in := m.open(t, m.server(), Options{})
	o := ImportOptions{Database: "byed", User: "ed", Password: NewSecret("it's 100%"), Parallel: 2}
	if _, err := in.Import(ctx, o, strings.NewReader(bulk(""))); err != nil {
		t.Error(err)
	}
	o.Password = NewSecret("it's 100")
	if _, err := in.Import(ctx, o, strings.NewReader(endLine)); KindOf(err) != KindAccessDenied || strings.Contains(err.Error(), "it's") {
		t.Errorf("wrong password: %v", err)
	}
}
