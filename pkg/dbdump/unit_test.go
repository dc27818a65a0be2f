package dbdump

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
)

func TestSecretNeverPrints(t *testing.T) {
	const pw = "hunter2'\"\\# %"
	s := NewSecret(pw)
	holder := struct {
		Public  Secret
		private Secret
		Ptr     *Secret
		List    []Secret
		Map     map[string]Secret
	}{s, s, &s, []Secret{s}, map[string]Secret{"a": s}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", holder)
		fmt.Fprintf(&out, verb+"\n", Server{Password: s})
	}
	b, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "h", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "h", holder)
	y, err := s.MarshalYAML()
	fmt.Fprint(&out, y, err)
	for _, leak := range []string{pw, "hunter2", fmt.Sprintf("%x", pw), fmt.Sprintf("%X", pw)} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the secret is in %s", out.String())
		}
	}
	if s.Reveal() != pw || s.IsZero() || !(Secret{}).IsZero() || !s.Equal(NewSecret(pw)) || s.Equal(Secret{}) {
		t.Error("the secret itself is wrong")
	}
}

func TestVersions(t *testing.T) {
	tests := []struct {
		in, comment string
		want        Version
	}{
		{"10.11.6-MariaDB-0+deb12u1", "Debian 12", Version{MariaDB, 10, 11, 6, ""}},
		{"5.5.5-10.3.39-MariaDB", "", Version{MariaDB, 10, 3, 39, ""}},
		{"11.4.2", "mariadb.org binary distribution", Version{MariaDB, 11, 4, 2, ""}},
		{"8.0.36-0ubuntu0.22.04.1", "(Ubuntu)", Version{MySQL, 8, 0, 36, ""}},
		{"mariadb-dump  Ver 10.19 Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)", "", Version{MariaDB, 10, 11, 6, ""}},
		{"mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux (x86_64)", "", Version{MariaDB, 11, 4, 2, ""}},
		{"mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)", "", Version{MySQL, 8, 0, 36, ""}},
		{"mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)", "", Version{MySQL, 5, 7, 44, ""}},
	}
	for _, tt := range tests {
		got := parseVersion(tt.in, tt.comment)
		got.Full = ""
		if got != tt.want {
			t.Errorf("%q: %+v", tt.in, got)
		}
	}
}

func TestOptionFile(t *testing.T) {
	in := "[mysqld]\nuser=wrong\n[client]\nuser = agent\npassword = \"a#b \\\"c\\\" 'd' \\\\ e\" # comment\nsocket=/run/s.sock\n" +
		"; comment\n# comment\n[mysqldump]\nuser=wrong\n[client-mariadb]\nport=3307\nssl_ca='/etc/ca.pem'\n"
	got, err := parseOptions(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"user": "agent", "password": `a#b "c" 'd' \ e`, "socket": "/run/s.sock", "port": "3307", "ssl-ca": "/etc/ca.pem"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := parseOptions(strings.NewReader("!includedir /etc/mysql/conf.d")); err == nil {
		t.Error("an include was passed over")
	}
}

func TestServerResolve(t *testing.T) {
	path := t.TempDir() + "/my.cnf"
	if err := os.WriteFile(path, []byte("[client]\nhost=db1\nport=3310\nuser=bob\npassword=secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Server{DefaultsFile: path, User: "alice"}.resolve()
	if err != nil {
		t.Fatal(err)
	}
	if s.Address() != "db1:3310" || s.User != "alice" || s.Password.Reveal() != "secret" {
		t.Errorf("%s %+v", s.Address(), s)
	}
	for _, bad := range []Server{{}, {Socket: "/s", Host: "h"}, {Host: "h", Port: 70000}, {Host: "h", TLS: "x"}, {Host: "h", User: "a\x00"}, {DefaultsFile: "/nonexistent"}} {
		if _, err := bad.resolve(); KindOf(err) != KindInvalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestQuotes(t *testing.T) {
	if got := QuoteIdent("a`b"); got != "`a``b`" {
		t.Error(got)
	}
	if got := QuoteString("a'b\\\"\x00\n\r\x1aä\xff"); got != `'a\'b\\\"\0\n\r\Zä`+"\xff'" {
		t.Error(got)
	}
	if got := grantPattern(`a_b%c\d`); got != `a\_b\%c\\d` {
		t.Error(got)
	}
}

func TestDatabaseName(t *testing.T) {
	tests := []struct{ site, suffix, want string }{
		{"example.com", "", "examplecom"}, {"www.example.com", "", "examplecom"}, {"WWW.My-Site.example.org", "", "mysiteexampleorg"},
		{"a-very-long-name-of-a-site.example.com", "", "averylongnameofa"}, {"a-very-long-name-of-a-site.example.com", "12", "averylongnameofa_12"},
		{"bücher.example", "", "bcherexample"}, {"mysql", "", "sitemysql"}, {"...", "", "site"}, {"sys", "0", "sitesys_0"},
		{"example.com", "01jd000000000000000000000000", "examplecom_01jd00000000000000000"},
	}
	for _, tt := range tests {
		if got := DatabaseName(tt.site, tt.suffix); got != tt.want || len(got) > 32 {
			t.Errorf("%s %s: %s", tt.site, tt.suffix, got)
		}
	}
}

func TestGeneratePassword(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p, err := GeneratePassword()
		if err != nil {
			t.Fatal(err)
		}
		if pw := p.Reveal(); len(pw) != 32 || strings.Trim(pw, passwordChars) != "" || seen[pw] {
			t.Errorf("%q", pw)
		}
		seen[p.Reveal()] = true
	}
}

func TestNativeHash(t *testing.T) {
	// PASSWORD('password') of any server.
	if got := nativeHash(NewSecret("password")); got != "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19" {
		t.Error(got)
	}
}

func TestGrants(t *testing.T) {
	tests := []struct {
		lines []string
		ok    bool
	}{
		{[]string{"GRANT USAGE ON *.* TO `u`@`h` IDENTIFIED BY PASSWORD '*00'", "GRANT ALL PRIVILEGES ON `my\\_db`.* TO `u`@`h`"}, true},
		{[]string{"GRANT USAGE ON *.* TO `u`@`h`"}, true},
		{nil, true},
		{[]string{"GRANT ALL PRIVILEGES ON `my_db`.* TO `u`@`h`"}, false}, // the wildcard reaches myXdb
		{[]string{"GRANT SELECT ON `my\\_db`.* TO `u`@`h`", "GRANT SELECT (`a`, `b`) ON `other`.`t` TO `u`@`h`"}, false},
		{[]string{"GRANT FILE ON *.* TO `u`@`h`"}, false},
		{[]string{"GRANT USAGE ON *.* TO `u`@`h`", "GRANT `admin` TO `u`@`h`"}, false},
		{[]string{"GRANT admin TO `u`@`h`"}, false},
		{[]string{"GRANT PROXY ON ''@'%' TO 'u'@'h' WITH GRANT OPTION"}, false},
		{[]string{"GRANT EXECUTE ON PROCEDURE `my\\_db`.`p` TO `u`@`h`"}, true},
		{[]string{"GRANT EXECUTE ON FUNCTION `other`.`p` TO `u`@`h`"}, false},
		{[]string{"GRANT ALL PRIVILEGES ON `%`.* TO `u`@`h`"}, false},
		{[]string{"GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO `u`@`h`"}, false},
	}
	for _, tt := range tests {
		if beyond, ok := confined(parseGrants(tt.lines), "my_db"); ok != tt.ok {
			t.Errorf("%q: %v %s", tt.lines, ok, beyond)
		}
	}
	all := parseGrants([]string{
		"GRANT SELECT, SHOW VIEW, TRIGGER ON *.* TO `u`@`h`", "GRANT EVENT ON `my%`.* TO `u`@`h`", "GRANT UPDATE ON `my_db`.`t` TO `u`@`h`",
	})
	for p, want := range map[string]bool{"SELECT": true, "SHOW VIEW": true, "TRIGGER": true, "EVENT": true, "UPDATE": false, "DELETE": false} {
		got := false
		for _, g := range all {
			got = got || g.covers(p, "my_db")
		}
		if got != want {
			t.Errorf("%s: %v", p, got)
		}
	}
}

func TestClassify(t *testing.T) {
	tests := []struct {
		err  error
		want Kind
	}{
		{&mysql.MySQLError{Number: 1045}, KindAccessDenied}, {&mysql.MySQLError{Number: 1049}, KindUnknownDatabase},
		{&mysql.MySQLError{Number: 1419}, KindBinlogTrust}, {&mysql.MySQLError{Number: 1044}, KindPrivilege},
		{&mysql.MySQLError{Number: 1114}, KindDiskFull}, {&mysql.MySQLError{Number: 1412}, KindChanged},
		{&mysql.MySQLError{Number: 1030, Message: "Got error 28 \"No space left on device\" from storage engine InnoDB"}, KindDiskFull},
		{&mysql.MySQLError{Number: 3, Message: "Error writing file './x/db.opt' (Errcode: 28 \"No space left on device\")"}, KindDiskFull},
		{&mysql.MySQLError{Number: 1064, Message: "near 'error 281'"}, KindOther}, {&mysql.MySQLError{Number: 1064, Message: "near 'error 12'"}, KindOther},
		{&mysql.MySQLError{Number: 1041}, KindMemory}, {&mysql.MySQLError{Number: 1135}, KindMemory},
		{&mysql.MySQLError{Number: 1030, Message: "Got error 12 \"Cannot allocate memory\" from storage engine InnoDB"}, KindMemory},
		{&os.PathError{Op: "fork/exec", Path: "/usr/bin/mariadb-dump", Err: syscall.ENOMEM}, KindMemory},
		{fmt.Errorf("x: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), KindUnreachable},
		{mysql.ErrNoTLS, KindUnreachable}, {mysql.ErrCleartextPassword, KindAccessDenied}, {mysql.ErrUnknownPlugin, KindAccessDenied},
		{mysql.ErrInvalidConn, KindUnreachable}, {context.Canceled, KindCancelled}, {errors.New("x"), KindOther},
	}
	for _, tt := range tests {
		err := fail("do", "it", tt.err)
		if KindOf(err) != tt.want {
			t.Errorf("%v: %s", tt.err, KindOf(err))
		}
		if KindOf(fmt.Errorf("more: %w", err)) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%v is not wrapped", tt.err)
		}
		if tt.want != KindOther && tt.want != KindCancelled && HintOf(err) == "" {
			t.Errorf("%v has no hint", tt.err)
		}
	}
}

func TestClassifyLines(t *testing.T) {
	tests := []struct {
		in      string
		want    Kind
		subject string
	}{
		{`mariadb-dump: Got error: 1045: "Access denied for user 'x'@'localhost' (using password: YES)" when trying to connect`, KindAccessDenied, ""},
		{`mysqldump: Got error: 2002: "Can't connect to local server through socket '/x' (2)" when trying to connect`, KindUnreachable, ""},
		{"mysqldump: Error 2013: Lost connection to server during query when dumping table `t` at row: 12", KindUnreachable, "t"},
		{"mysqldump: Couldn't execute 'show create table `v`': View 'x.v' references invalid table(s) or column(s) (1356)", KindBroken, "v"},
		{"mysqldump: Error 1412: Table definition has changed, please retry transaction when dumping table `a``b` at row: 0", KindChanged, "a``b"},
		{"mysqldump: Couldn't execute 'SHOW EVENTS': Access denied for user 'u'@'h' to database 'x' (1044)", KindPrivilege, ""},
		{"mysqldump: Got errno 28 on write", KindDiskFull, ""},
		{"mysqldump: Out of memory (Needed 104857600 bytes, errno 12)", KindMemory, ""},
		{"mysqldump: Error: 5: Out of memory (Needed 8164 bytes)", KindMemory, ""},
		{"mysqldump: unknown option '--x'", KindClient, ""},
	}
	for _, tt := range tests {
		if f := classifyLines(tt.in); f.kind != tt.want || f.hint == "" {
			t.Errorf("%s: %s", tt.in, f.kind)
		}
		if s := subjectOf(tt.in); s != tt.subject {
			t.Errorf("%s: subject %q", tt.in, s)
		}
	}
}

func TestScrub(t *testing.T) {
	pw := NewSecret(`pa'ss\word`)
	text := `near 'pa'ss\word' and ` + QuoteString(pw.Reveal())
	if got := scrub(text, pw); strings.Contains(got, "ss") {
		t.Error(got)
	}
	err := scrubErr(&mysql.MySQLError{Number: 1064, Message: text}, pw)
	var me *mysql.MySQLError
	if strings.Contains(err.Error(), "word") || !errors.As(err, &me) || me.Number != 1064 {
		t.Error(err)
	}
}

func TestHostInRefusal(t *testing.T) {
	tests := []struct {
		n         uint16
		msg, want string
	}{
		{1045, "Access denied for user 'probe_1'@'192.0.2.7' (using password: NO)", "192.0.2.7"},
		{1045, "Accès refusé pour l'utilisateur: 'probe_1'@'@2001:db8::1' (mot de passe: NON)", "@2001:db8::1"},
		{1698, "Access denied for user 'probe_1'@'localhost'", "localhost"},
		{1130, "Host '192.0.2.9' is not allowed to connect to this MariaDB server", "192.0.2.9"},
		{1049, "Unknown database 'x'", ""},
	}
	for _, tt := range tests {
		if got := hostInRefusal(&mysql.MySQLError{Number: tt.n, Message: tt.msg}, "probe_1"); got != tt.want {
			t.Errorf("%s: %q", tt.msg, got)
		}
	}
}

func TestTail(t *testing.T) {
	var b tail
	var all strings.Builder
	for i := range 40000 {
		fmt.Fprintf(&b, "line %d\n", i)
		fmt.Fprintf(&all, "line %d\n", i)
	}
	s := b.String()
	if len(s) > 70<<10 || !strings.HasPrefix(all.String(), s[:tailHalf]) || !strings.HasSuffix(s, "line 39999\n") {
		t.Errorf("%d bytes", len(s))
	}
	var small tail
	fmt.Fprint(&small, strings.Repeat("x", tailHalf+5))
	if len(small.String()) != tailHalf+5 {
		t.Error("bytes are missing")
	}
}

func TestCheckDatabaseName(t *testing.T) {
	for _, n := range []string{"mysql", "MySQL", "information_schema", "performance_schema", "sys", ""} {
		if checkDatabaseName("x", n) == nil {
			t.Errorf("%q passed", n)
		}
	}
	in := &Instance{server: Server{User: "agent"}}
	for _, u := range []string{"root", "mysql", "mariadb.sys", "", "agent"} {
		if err := in.DropUsers(context.Background(), DropUsersSpec{Name: u}); KindOf(err) != KindRefused {
			t.Errorf("%q: %v", u, err)
		}
	}
	for _, n := range []string{"mysql", "sys"} {
		if err := in.DropDatabase(context.Background(), n); KindOf(err) != KindRefused {
			t.Errorf("%q: %v", n, err)
		}
	}
}
