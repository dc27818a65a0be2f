//go:build integration

package dbdump

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const endLine = "\n-- Dump completed\n"

// importText imports a text as a temporary user.
func importText(in *Instance, database, text string) (ImportSummary, error) {
	return in.Import(ctx, ImportOptions{Database: database, TemporaryUser: "imp_test"}, strings.NewReader(text))
}

// accounts returns how many accounts of a name there are.
func accounts(t testing.TB, m *mariadb, user string) (n int) {
	t.Helper()
	if err := m.db(t, "").QueryRow("SELECT COUNT(*) FROM mysql.user WHERE User=?", user).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestImportRefusesHostileDumps(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "victim", "utf8mb4")
	m.exec(t, "CREATE TABLE victim.t (a int)", "INSERT INTO victim.t VALUES (1)")
	owned := filepath.Join(t.TempDir(), "owned")
	for _, hostile := range []string{
		`\! touch ` + owned, "system touch " + owned, "source /etc/passwd", "USE victim;", "DROP DATABASE victim;", "CREATE DATABASE x;",
		"GRANT ALL ON *.* TO imp_test@localhost;", "SET GLOBAL general_log=1;", "LOAD DATA INFILE '/etc/passwd' INTO TABLE t;",
		"LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t;", "SELECT 1 INTO OUTFILE '" + owned + "';", "DROP TABLE victim.t;",
		"INSERT INTO victim.t VALUES (9);", "/*!50000 DROP TABLE victim.t */;", "ALTER DATABASE victim CHARACTER SET latin1, COMMENT 'x';",
	} {
		m.fresh(t, "attacked", "utf8mb4")
		_, err := importText(in, "attacked", "CREATE TABLE t (a int);\n"+hostile+"\nSET @a = 1;\n"+endLine)
		// ALTER DATABASE loses its name and then means the database itself.
		if k := KindOf(err); k != KindRefused && !strings.HasPrefix(hostile, "ALTER") {
			t.Errorf("%s: %s %v", hostile, k, err)
		}
	}
	checkVictim(t, m, owned)
}

// Even what gets past the second guard stops at the first: the account's rights.
func TestImportIsConfinedByTheServer(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "victim", "utf8mb4")
	m.fresh(t, "victim_", "utf8mb4")
	m.fresh(t, "victimX", "utf8mb4")
	m.exec(t, "CREATE TABLE victim.t (a int)", "INSERT INTO victim.t VALUES (1)", "CREATE TABLE victimX.t (a int)")
	owned := filepath.Join(t.TempDir(), "owned")
	for _, hostile := range []string{
		"CREATE TABLE x AS SELECT * FROM victim.t;", "CREATE VIEW v AS SELECT * FROM victim.t;", "INSERT INTO t SELECT * FROM victim.t;",
		"INSERT INTO t SELECT a FROM victimX.t;", "CREATE TABLE x AS SELECT * FROM mysql.user;", "UPDATE t, victim.t AS v SET v.a = 5;",
		"DELETE v FROM victim.t AS v;", "DO (SELECT COUNT(*) FROM victim.t);", "SET @x = (SELECT COUNT(*) FROM mysql.user);",
		"/*!99999 ' */ CREATE TABLE x AS SELECT * FROM victim.t -- '*/;", "CREATE TABLE x (a int) DATA DIRECTORY='" + filepath.Dir(owned) + "' ENGINE=InnoDB SELECT * FROM victim.t;",
		"INSERT INTO t VALUES (LENGTH(LOAD_FILE('/etc/passwd')));INSERT INTO t SELECT a FROM victim.t;",
	} {
		m.exec(t, "DROP DATABASE victim_", "CREATE DATABASE victim_")
		_, err := importText(in, "victim_", "CREATE TABLE t (a int);\n"+hostile+"\nSET @a = 1;\n"+endLine)
		if k := KindOf(err); k != KindPrivilege && k != KindRefused && k != KindStatement && k != KindIncomplete {
			t.Errorf("%s: %s %v", hostile, k, err)
		}
	}
	checkVictim(t, m, owned)
}

func checkVictim(t *testing.T, m *mariadb, owned string) {
	t.Helper()
	var n, a int
	if err := m.db(t, "").QueryRow("SELECT COUNT(*), MAX(a) FROM victim.t").Scan(&n, &a); err != nil || n != 1 || a != 1 {
		t.Errorf("the other database changed: %d rows, %d, %v", n, a, err)
	}
	if _, err := os.Stat(owned); err == nil {
		t.Error("a file was written")
	}
	if n := accounts(t, m, "imp_test"); n != 0 {
		t.Errorf("%d temporary accounts are left", n)
	}
}

// What runs in the trigger of an imported database has the rights of the confined account.
func TestImportedCodeIsConfined(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "victim", "utf8mb4")
	m.exec(t, "CREATE TABLE victim.t (a int)", "INSERT INTO victim.t VALUES (1)")
	m.fresh(t, "trojan", "utf8mb4")
	o := owner(t, in, "trojan", "trojan_u")
	dump := "CREATE TABLE t (a int);\nDELIMITER ;;\nCREATE DEFINER=`root`@`localhost` TRIGGER tr BEFORE INSERT ON t FOR EACH ROW BEGIN DELETE FROM victim.t; END;;\nDELIMITER ;\n" + endLine
	if _, err := in.Import(ctx, o, strings.NewReader(dump)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.db(t, "trojan").Exec("INSERT INTO t VALUES (1)"); err == nil { // by root
		t.Error("the trigger ran with other rights than its owner's")
	}
	checkVictim(t, m, "/nonexistent")
}

func TestImportRefusesPowerfulAccounts(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "modest", "utf8mb4")
	for _, grant := range []string{"ALL PRIVILEGES ON *.*", "SELECT ON mysql.*", "FILE ON *.*", "ALL PRIVILEGES ON `m_dest`.*"} {
		m.exec(t, "CREATE OR REPLACE USER power@localhost IDENTIFIED BY 'p'", "GRANT ALL PRIVILEGES ON `modest`.* TO power@localhost", "GRANT "+grant+" TO power@localhost")
		_, err := in.Import(ctx, ImportOptions{Database: "modest", User: "power", Password: NewSecret("p")}, strings.NewReader(endLine))
		if KindOf(err) != KindRefused {
			t.Errorf("%s: %v", grant, err)
		}
	}
	m.exec(t, "DROP USER power@localhost")
	if _, err := in.Import(ctx, ImportOptions{Database: "mysql", TemporaryUser: "x"}, strings.NewReader(endLine)); KindOf(err) != KindRefused {
		t.Errorf("system database: %v", err)
	}
	if _, err := in.Import(ctx, ImportOptions{Database: "modest"}, strings.NewReader(endLine)); KindOf(err) != KindInvalid {
		t.Errorf("no account: %v", err)
	}
}

func TestImportFailures(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	create := "--\n-- Table structure for table `t`\n--\n\nCREATE TABLE `t` (a int PRIMARY KEY);\n\n--\n-- Dumping data for table `t`\n--\n\n"
	tests := []struct {
		name, text string
		want       Kind
		says       []string
	}{
		{"no end mark", create + "INSERT INTO `t` VALUES (1);\n", KindIncomplete, []string{"data of `t`"}},
		{"cut in a row", create + "INSERT INTO `t` VALUES (1),(", KindIncomplete, nil},
		{"cut in a string", create + "INSERT INTO `t` VALUES ('\n-- Dump completed\n", KindIncomplete, nil},
		{"end mark in data", create + "CREATE TABLE x (a text); INSERT INTO x VALUES ('\n-- Dump completed\n');\n", KindIncomplete, nil},
		{"duplicate", create + "INSERT INTO `t` VALUES (1);\nINSERT INTO `t` VALUES (2),(1);\n" + endLine, KindStatement, []string{"data of `t`"}},
		{"syntax", create + "INSERT INTO `t` VALUES (1);\nSELECT FROM;\n" + endLine, KindStatement, []string{"statement 3", "data of `t`"}},
		{"unknown collation", "CREATE TABLE t (a text) COLLATE=utf8mb4_0900_xx;" + endLine, KindStatement, []string{"statement 1"}},
		{"too large", "INSERT INTO t VALUES ('" + strings.Repeat("x", 17<<20) + "');" + endLine, KindTooLarge, []string{"max_allowed_packet"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m.fresh(t, "broken_in", "utf8mb4")
			_, err := importText(in, "broken_in", tt.text)
			if KindOf(err) != tt.want || HintOf(err) == "" {
				t.Errorf("%s: %v", KindOf(err), err)
			}
			for _, s := range tt.says {
				if !strings.Contains(fmt.Sprint(err), s) {
					t.Errorf("%v does not say %q", err, s)
				}
			}
			if n := accounts(t, m, "imp_test"); n != 0 {
				t.Errorf("%d temporary accounts are left", n)
			}
		})
	}
	m.fresh(t, "broken_in", "utf8mb4")
	boom := errors.New("boom")
	_, err := in.Import(ctx, ImportOptions{Database: "broken_in", TemporaryUser: "imp_test"}, io.MultiReader(strings.NewReader(create), iotest.ErrReader(boom)))
	if !errors.Is(err, boom) || KindOf(err) != KindSink {
		t.Errorf("reader: %v", err)
	}
	_, err = in.Import(ctx, ImportOptions{Database: "broken_in", TemporaryUser: "imp_test", NoEndMark: true}, strings.NewReader("CREATE TABLE no_mark (a int);"))
	if err != nil {
		t.Errorf("NoEndMark: %v", err)
	}
}

func TestImportCancel(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "cancelled", "utf8mb4")
	c, stop := context.WithTimeout(ctx, 500*time.Millisecond)
	defer stop()
	start := time.Now()
	_, err := in.Import(c, ImportOptions{Database: "cancelled", TemporaryUser: "imp_test"}, strings.NewReader("DO SLEEP(60);"+endLine))
	if KindOf(err) != KindCancelled || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
	if n := accounts(t, m, "imp_test"); n != 0 {
		t.Errorf("%d temporary accounts are left", n)
	}
	for range 100 { // KILL is not waited for by the server
		if len(names(t, m.db(t, ""), "SELECT ID FROM information_schema.PROCESSLIST WHERE DB='cancelled'")) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the statement still runs on the server")
}

// A crash leaves the temporary account behind; the next import takes it over.
func TestImportAfterCrash(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "crashed", "utf8mb4")
	m.exec(t, "CREATE USER imp_test@localhost IDENTIFIED BY 'lost'", "GRANT ALL PRIVILEGES ON crashed.* TO imp_test@localhost", "ALTER USER imp_test@localhost ACCOUNT LOCK")
	if _, err := importText(in, "crashed", "CREATE TABLE t (a int);"+endLine); err != nil {
		t.Error(err)
	}
	if n := accounts(t, m, "imp_test"); n != 0 {
		t.Errorf("%d temporary accounts are left", n)
	}
	m.exec(t, "CREATE USER imp_test@localhost IDENTIFIED BY 'x'", "GRANT SELECT ON mysql.* TO imp_test@localhost")
	t.Cleanup(func() { m.exec(t, "DROP USER imp_test@localhost") })
	if _, err := importText(in, "crashed", endLine); KindOf(err) != KindRefused || accounts(t, m, "imp_test") != 1 {
		t.Errorf("somebody's account was taken: %v", err)
	}
}

func TestImportDataWarnings(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "lossy", "utf8mb4")
	sum, err := importText(in, "lossy", "CREATE TABLE t (a varchar(3));\nINSERT INTO t VALUES ('abcdef'),('x');\n"+endLine)
	if err != nil {
		t.Fatal(err)
	}
	if len(sum.Warnings) != 1 || sum.Warnings[0].Code != WarnData || sum.Warnings[0].Subject != "t" || sum.Rows != 2 {
		t.Errorf("%+v", sum)
	}
}

func TestImportProgress(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "steps", "utf8mb4")
	var last ImportProgress
	text := "CREATE TABLE t (a int);\n" + strings.Repeat("INSERT INTO t VALUES (1),(2);\n", 3) + "DO SLEEP(0.3);\nINSERT INTO t VALUES (3);\n" + endLine
	sum, err := in.Import(ctx, ImportOptions{Database: "steps", TemporaryUser: "imp_test", Progress: func(p ImportProgress) { last = p }}, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if last.Rows < 6 || last.Section.Name != "t" || sum.Bytes != int64(len(text)) || sum.Rows != 7 || sum.TableRows()["t"] != 7 {
		t.Errorf("%+v %+v", last, sum)
	}
}

// MySQL's own dump format imports, as far as MariaDB knows its collations.
func TestImportMySQL8Dump(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "from8", "utf8mb4")
	b, err := os.ReadFile("testdata/mysqldump-8.0.sql")
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.ReplaceAll(b, []byte("utf8mb4_0900_ai_ci"), []byte("utf8mb4_unicode_ci"))
	o := owner(t, in, "from8", "from8_u")
	if _, err := in.Import(ctx, o, bytes.NewReader(b)); err != nil {
		t.Fatal(err, HintOf(err))
	}
	var n int
	if err := m.db(t, "from8").QueryRow("SELECT COUNT(*) FROM recent").Scan(&n); err != nil || n != 3 {
		t.Errorf("%d rows, %v", n, err)
	}
}
