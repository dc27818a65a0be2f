//go:build integration

package dbdump

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// rewriteBed makes a database with a user that owns it.
func rewriteBed(t *testing.T, name string, queries ...string) (*Instance, RewriteSpec) {
	t.Helper()
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, name, "utf8mb4")
	s := RewriteSpec{Database: name, User: name, Needles: []string{"old.example"}, Rewrite: func(v string) (string, bool) {
		out := strings.ReplaceAll(v, "//old.example", "//much-newer.old.example")
		return out, out != v
	}}
	var err error
	if s.Password, err = GeneratePassword(); err != nil {
		t.Fatal(err)
	}
	user := UserSpec{Name: name, Password: s.Password, Hosts: []string{"localhost"}, Database: name}
	if err := in.EnsureUser(ctx, user); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.DropUsers(ctx, DropUsersSpec{Name: name, Database: name}) })
	db := m.db(t, name)
	for _, q := range queries {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	return in, s
}

// cell is one value of a database.
func cell(t *testing.T, database, query string) string {
	t.Helper()
	var v string
	if err := bed(t).db(t, database).QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestRewriteTables(t *testing.T) {
	const old, want = "http://old.example/ü?", "http://much-newer.old.example/ü?"
	in, s := rewriteBed(t, "rewritten",
		"CREATE TABLE posts (id BIGINT UNSIGNED PRIMARY KEY, t LONGTEXT, at TIMESTAMP NOT NULL DEFAULT '2001-01-01' ON UPDATE CURRENT_TIMESTAMP, n VARCHAR(30), g VARCHAR(60) AS (n) STORED)",
		"INSERT INTO posts (id, t, at, n) VALUES (18446744073709551614, '"+old+"', '2001-02-03', 'kept'), (18446744073709551615, '"+old+old+"', '2001-02-03', NULL), (3, 'old.example', '2001-02-03', '')",
		"CREATE TABLE `odd ``?' name` (a VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci, b VARBINARY(9), `v?` BLOB, u TEXT CHARACTER SET latin1, PRIMARY KEY (a, b))",
		"INSERT INTO `odd ``?' name` VALUES ('ä?''', 0xff003f, CONCAT(0xff00, '"+old+"', 0x80fe), '"+old+"'), ('//old.example', 'x', '//old.example', NULL)",
		"CREATE TABLE uniq (k CHAR(5) NOT NULL, v TEXT, UNIQUE (k))", "INSERT INTO uniq VALUES ('b', '"+old+"'), ('a', '"+old+"')",
		"CREATE TABLE parent (u VARCHAR(50) PRIMARY KEY)", "CREATE TABLE child (id INT PRIMARY KEY, u VARCHAR(50), FOREIGN KEY (u) REFERENCES parent (u))",
		"INSERT INTO parent VALUES ('//old.example')", "INSERT INTO child VALUES (1, '//old.example')",
		"CREATE TABLE many (a INT, b DECIMAL(20,2), d DATE, v TEXT, PRIMARY KEY (a, b, d))",
		"INSERT INTO many SELECT seq DIV 300, seq / 100, DATE_ADD('2001-01-01', INTERVAL seq DAY), IF(seq % 3, '"+old+"', 'x') FROM seq_1_to_1000",
		"CREATE TABLE wide (id INT PRIMARY KEY, v LONGTEXT)", "INSERT INTO wide SELECT seq, CONCAT('"+old+"', REPEAT('x', 1500000)) FROM seq_1_to_9",
		"CREATE VIEW view AS SELECT t FROM posts", "CREATE TABLE empty (id INT PRIMARY KEY)",
	)
	done, list, err := in.RewriteTables(ctx, s)
	if err != nil || len(list) > 0 {
		t.Fatal(err, list)
	}
	got := fmt.Sprint(done)
	if got != "[{many 667 667} {odd `?' name 2 3} {posts 2 2} {uniq 2 2} {wide 9 9}]" {
		t.Errorf("changed: %s", got)
	}
	for query, value := range map[string]string{
		"SELECT GROUP_CONCAT(t ORDER BY id SEPARATOR '|') FROM posts":                    "old.example|" + want + "|" + want + want,
		"SELECT GROUP_CONCAT(DISTINCT at) FROM posts":                                    "2001-02-03 00:00:00",
		"SELECT HEX(`v?`) FROM `odd ``?' name` WHERE b <> 'x'":                           fmt.Sprintf("FF00%X80FE", want),
		"SELECT u FROM `odd ``?' name` WHERE b <> 'x'":                                   want,
		"SELECT CONCAT(a, '|', `v?`) FROM `odd ``?' name` WHERE b = 'x'":                 "//old.example|//much-newer.old.example",
		"SELECT GROUP_CONCAT(v) FROM uniq":                                               want + "," + want,
		"SELECT CONCAT(p.u, c.u) FROM parent p, child c":                                 "//old.example//old.example",
		"SELECT COUNT(*) FROM many WHERE v = '" + want + "'":                             "667",
		"SELECT COUNT(*) FROM wide WHERE LENGTH(v) = 1500000 + " + fmt.Sprint(len(want)): "9",
	} {
		if got := cell(t, s.Database, query); got != value {
			t.Errorf("%s\ngot  %q\nwant %q", query, got, value)
		}
	}
}

// TestRewriteLeavesWhatItCannotDo: and says so.
func TestRewriteLeavesWhatItCannotDo(t *testing.T) {
	in, s := rewriteBed(t, "left",
		"CREATE TABLE nokey (v TEXT)", "INSERT INTO nokey VALUES ('//old.example'), ('x')",
		"CREATE TABLE quiet (v TEXT)", "INSERT INTO quiet VALUES ('x')",
		"CREATE TABLE floating (f DOUBLE PRIMARY KEY, v TEXT)", "INSERT INTO floating VALUES (0.1, '//old.example')",
		"CREATE TABLE audited (id INT PRIMARY KEY, v TEXT)", "INSERT INTO audited VALUES (1, '//old.example')",
		"CREATE TRIGGER audit AFTER UPDATE ON audited FOR EACH ROW INSERT INTO quiet VALUES ('seen')",
		"CREATE TABLE short (id INT PRIMARY KEY, v VARCHAR(13))", "INSERT INTO short VALUES (1, '//old.example'), (2, 'x')",
		"CREATE TABLE dup (id INT PRIMARY KEY, v VARCHAR(50), UNIQUE (v))", "INSERT INTO dup VALUES (1, '//old.example'), (2, '//much-newer.old.example'), (3, 'a//old.example')",
		"CREATE TABLE checked (id INT PRIMARY KEY, v VARCHAR(50), CHECK (v NOT LIKE '%newer%'))", "INSERT INTO checked VALUES (1, '//old.example')",
	)
	s.Rewrite = func(v string) (string, bool) { // the row that has the new address already stays
		if strings.Contains(v, "newer") {
			return v, false
		}
		out := strings.ReplaceAll(v, "//old.example", "//much-newer.old.example")
		return out, out != v
	}
	done, list, err := in.RewriteTables(ctx, s)
	if err != nil || fmt.Sprint(done) != "[{dup 1 1}]" {
		t.Errorf("%v %v", done, err)
	}
	var about []string
	for _, w := range list {
		about = append(about, w.Subject)
	}
	if want := []string{"audited", "checked", "dup", "floating", "nokey", "short"}; !slices.Equal(about, want) {
		t.Errorf("warned of %v, want %v: %v", about, want, list)
	}
	if got := cell(t, s.Database, "SELECT COUNT(*) FROM quiet"); got != "1" {
		t.Errorf("a trigger acted: %s rows", got)
	}
	if got := cell(t, s.Database, "SELECT v FROM short WHERE id = 1"); got != "//old.example" {
		t.Errorf("a text was cut: %q", got)
	}
}

// TestRewriteIsOfItsDatabaseAlone: the account reaches nothing else, and a password is in no error.
func TestRewriteIsOfItsDatabaseAlone(t *testing.T) {
	in, s := rewriteBed(t, "own", "CREATE TABLE t (id INT PRIMARY KEY, v TEXT)")
	s.Password = NewSecret("not-the-password")
	_, _, err := in.RewriteTables(ctx, s)
	if KindOf(err) != KindAccessDenied || strings.Contains(err.Error(), "not-the-password") {
		t.Errorf("with a wrong password: %v", err)
	}
	if _, _, err := in.RewriteTables(ctx, RewriteSpec{Database: "mysql"}); err == nil {
		t.Error("a system database was rewritten")
	}
	if _, _, err := in.RewriteTables(ctx, RewriteSpec{Database: "not_there"}); KindOf(err) != KindUnknownDatabase {
		t.Errorf("a database that is not there: %v", err)
	}
}
