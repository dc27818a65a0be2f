package dbdump

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// collect is a sink that keeps everything.
type collect struct {
	strings.Builder
	sections []Section
	fail     error
}

func (c *collect) BeginSection(s Section) error {
	c.sections = append(c.sections, s)
	return nil
}

func (c *collect) Statement(b []byte, _ bool, _ int64) error {
	c.Write(b)
	return c.fail
}

// fakeDump dumps the database "shop" with a shell script as dump program.
func fakeDump(t *testing.T, ctx context.Context, script string, o DumpOptions, sink Sink) (*dump, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mysqldump")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	o.Database = "shop"
	in := &Instance{options: Options{Runner: Exec{}}, server: Server{Host: "h", User: "u", Password: NewSecret("S3cret'#\"")}}
	d := &dump{in: in, o: o, sink: sink, collations: map[string]bool{}}
	return d, d.stream(ctx, &client{dump: d, prog: &program{path: path, options: map[string]bool{}}})
}

func recorded(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("testdata/mysqldump-8.0.sql")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func catRecorded(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("testdata/mysqldump-8.0.sql")
	if err != nil {
		t.Fatal(err)
	}
	return "cat '" + path + "'\n"
}

func TestDumpMySQL8(t *testing.T) {
	var sink collect
	d, err := fakeDump(t, context.Background(), catRecorded(t), DumpOptions{}, &sink)
	if err != nil {
		t.Fatal(err)
	}
	wantSections := []Section{
		{Kind: SectionPreamble}, {SectionStructure, "orders"}, {SectionData, "orders"}, {SectionTriggers, "orders"},
		{SectionPlaceholder, "recent"}, {Kind: SectionRoutines}, {SectionView, "recent"}, {Kind: SectionTrailer},
	}
	if diff := cmp.Diff(wantSections, sink.sections); diff != "" {
		t.Error(diff)
	}
	want := recorded(t)
	gtid := want[strings.Index(want, "SET @MYSQLDUMP_TEMP"):strings.Index(want, "\n--\n-- Table structure for table")]
	want = strings.Replace(want, gtid, "", 1)
	for old, new := range map[string]string{
		"SET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN;\n": "", "/*!50017 DEFINER=`root`@`localhost`*/ ": "",
		"CREATE DEFINER=`root`@`%` PROCEDURE": "CREATE PROCEDURE", "/*!50013 DEFINER=`root`@`localhost` SQL": "/*!50013 SQL",
		"ALTER DATABASE `shop` ": "ALTER DATABASE ",
	} {
		if !strings.Contains(want, old) {
			t.Fatalf("%q is not in the recorded dump", old)
		}
		want = strings.ReplaceAll(want, old, new)
	}
	if diff := cmp.Diff(want, sink.String()); diff != "" {
		t.Error(diff)
	}
	if rows := tableRows(d.tally.sections); rows["orders"] != 3 || len(rows) != 1 {
		t.Errorf("rows %v", rows)
	}
	if got := sortedKeys(d.collations); !slices.Equal(got, []string{"utf8mb4_0900_ai_ci", "utf8mb4_bin"}) {
		t.Errorf("collations %v", got)
	}
}

func TestDumpStructureOnlyInTheStream(t *testing.T) {
	var sink collect
	d, err := fakeDump(t, context.Background(), catRecorded(t), DumpOptions{StructureOnly: []string{"orders"}}, &sink)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(sink.String(), "INSERT INTO") || tableRows(d.tally.sections)["orders"] != 0 {
		t.Error("rows are in the dump")
	}
	if !strings.Contains(sink.String(), "CREATE TABLE `orders`") {
		t.Error("the structure is missing")
	}
}

func TestDumpFailures(t *testing.T) {
	boom := errors.New("boom")
	cat := catRecorded(t)
	noisy := "i=0; while [ $i -lt 20000 ]; do echo 'warning: a line of many words that nobody reads' >&2; i=$((i+1)); done\n"
	tests := []struct {
		name, script string
		sink         error
		want         Kind
		text         string
	}{
		{"dies half way", cat + "exit 3", nil, KindClient, "exit status 3"},
		{"killed", cat + "kill -9 $$", nil, KindClient, "killed"},
		{"no end mark", "echo 'SET @a=1;'", nil, KindIncomplete, "end mark"},
		{"nothing", "exit 0", nil, KindIncomplete, "end mark"},
		{"end mark in data only", "echo \"INSERT INTO t VALUES ('\n-- Dump completed\n');\"", nil, KindIncomplete, "end mark"},
		{"end mark in an open string", "echo \"INSERT INTO t VALUES ('\n-- Dump completed\n\"", nil, KindIncomplete, "end mark"},
		{"end mark in an open comment", "echo 'SET @a=1; /*\n-- Dump completed'", nil, KindIncomplete, "end mark"},
		{"end mark, then more", cat + "echo 'SET @a=1;'", nil, KindIncomplete, "end mark"},
		{"error but status 0", cat + "echo 'mysqldump: Error 1194: Table x is marked as crashed' >&2", nil, KindBroken, "crashed"},
		{"lost connection", "echo 'SET @a=1;'; echo 'mysqldump: Error 2013: Lost connection when dumping table `t` at row: 3' >&2; exit 2",
			nil, KindUnreachable, "`shop`.`t`"},
		{"noisy, then dies", noisy + "exit 4", nil, KindClient, "exit status 4"},
		{"sink fails", cat + "sleep 60", boom, KindSink, "boom"},
		{"another database", "echo 'USE `other`;'; " + cat, nil, KindClient, "USE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			sink := collect{fail: tt.sink}
			_, err := fakeDump(t, context.Background(), tt.script, DumpOptions{}, &sink)
			if KindOf(err) != tt.want || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("%s: %v", KindOf(err), err)
			}
			if HintOf(err) == "" && tt.sink == nil {
				t.Error("no hint")
			}
			if tt.sink != nil && !errors.Is(err, tt.sink) {
				t.Errorf("%v is not wrapped", tt.sink)
			}
			if len(fmt.Sprint(err)) > 2000 || time.Since(start) > 30*time.Second {
				t.Errorf("%d bytes of error after %s", len(err.Error()), time.Since(start))
			}
		})
	}
}

func TestDumpNoiseIsNoFailure(t *testing.T) {
	script := "i=0; while [ $i -lt 20000 ]; do echo 'warning: a line of many words that nobody reads' >&2; i=$((i+1)); done\n"
	var sink collect
	d, err := fakeDump(t, context.Background(), script+catRecorded(t), DumpOptions{}, &sink)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(d.warn.list); n == 0 || n > maxWarnings {
		t.Errorf("%d warnings", n)
	}
}

func TestDumpCancel(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	for _, grandchild := range []string{"sleep 60", "setsid sleep 20 2>/dev/null"} { // holds on to the pipe
		ctx, stop := context.WithTimeout(context.Background(), 300*time.Millisecond)
		start := time.Now()
		_, err := fakeDump(t, ctx, "echo 'SET @a=1;'; "+grandchild+" & echo $! >"+pid+"; sleep 60", DumpOptions{}, &collect{})
		stop()
		if KindOf(err) != KindCancelled || time.Since(start) > 10*time.Second {
			t.Errorf("%s: %v after %s", grandchild, err, time.Since(start))
		}
		if grandchild == "sleep 60" && alive(t, pid) {
			t.Error("a process of the dump program's group lives on")
		}
	}
}

// alive reports whether the process whose id is in a file runs.
func alive(t *testing.T, path string) bool {
	t.Helper()
	id, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 { // a killed process may take a moment to go
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(id)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

func TestDumpSalvage(t *testing.T) {
	script := catRecorded(t) + "echo \"mysqldump: Couldn't execute 'show create table \\`v\\`': View 'shop.v' references invalid table(s) (1356)\" >&2; exit 2"
	d, err := fakeDump(t, context.Background(), script, DumpOptions{Salvage: true}, &collect{})
	if err != nil {
		t.Fatal(err)
	}
	if w := d.warn.list; len(w) != 1 || w[0].Code != WarnSkipped || w[0].Subject != "v" {
		t.Errorf("%+v", w)
	}
	script = catRecorded(t) + "echo 'mysqldump: Error 2013: Lost connection when dumping table `t` at row: 3' >&2; exit 2"
	if _, err := fakeDump(t, context.Background(), script, DumpOptions{Salvage: true}, &collect{}); KindOf(err) != KindUnreachable {
		t.Errorf("a server that went away was salvaged: %v", err)
	}
	if _, err := fakeDump(t, context.Background(), "echo 'SET @a=1;'", DumpOptions{Salvage: true}, &collect{}); KindOf(err) != KindIncomplete {
		t.Errorf("a cut dump was salvaged: %v", err)
	}
}

// The program finds its credentials on descriptor 3, and nothing of ours elsewhere.
func TestDumpCredentials(t *testing.T) {
	out := filepath.Join(t.TempDir(), "seen")
	t.Setenv("CANARY", "S3cret'#\"")
	script := "{ cat /dev/fd/3; echo ARGS \"$@\"; env; ls -l /proc/self/fd | wc -l; } > " + out + "\n" + catRecorded(t)
	d, err := fakeDump(t, context.Background(), script, DumpOptions{StructureOnly: []string{"a b"}, Salvage: true}, &collect{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	creds, rest, _ := strings.Cut(string(b), "ARGS ")
	if !strings.HasPrefix(rest, "--defaults-extra-file=/dev/fd/3 ") {
		t.Errorf("arguments %s", rest)
	}
	if strings.Contains(rest, "S3cret") {
		t.Errorf("the password is in arguments or environment: %s", rest)
	}
	opts, err := parseOptions(strings.NewReader(creds))
	if err != nil || opts["password"] != d.in.server.Password.Reveal() || opts["host"] != "h" || opts["user"] != "u" {
		t.Errorf("descriptor 3: %v", err)
	}
}

func TestProgramFlags(t *testing.T) {
	help := "Usage\n  -q, --quick         Don't buffer\n  --set-gtid-purged[=name] \n      --column-statistics Add\n  --ignore-table-data=name \n also --not-an-option\n"
	p := &program{options: map[string]bool{}}
	for _, m := range helpOption.FindAllStringSubmatch(help, -1) {
		p.options[m[1]] = true
	}
	args := p.dumpArgs(DumpOptions{Database: "-d", StructureOnly: []string{"c"}}, []string{"v w"})
	if args[0] != "--defaults-extra-file=/dev/fd/3" || !slices.Equal(args[len(args)-2:], []string{"--", "-d"}) {
		t.Errorf("%q", args)
	}
	for flag, want := range map[string]bool{
		"--set-gtid-purged=OFF": true, "--column-statistics=0": true, "--no-tablespaces": false, "--single-transaction": true,
		"--ignore-table=-d.v w": true, "--ignore-table-data=-d.c": true, "--force": false, "--get-server-public-key": false,
	} {
		if slices.Contains(args, flag) != want {
			t.Errorf("%s: %q", flag, args)
		}
	}
	mysql := &program{options: map[string]bool{"ssl-mode": true}}
	maria := &program{options: map[string]bool{}}
	s := Server{Host: "h", TLS: TLSVerify, CAFile: "/ca"}
	if got := mysql.tlsLines(s); got != "ssl-mode=VERIFY_IDENTITY\nssl-ca=\"/ca\"\n" {
		t.Error(got)
	}
	if got := maria.tlsLines(s); got != "ssl=1\nssl-verify-server-cert=1\nssl-ca=\"/ca\"\n" {
		t.Error(got)
	}
}

func TestFindDumper(t *testing.T) {
	in := &Instance{version: Version{Flavour: MySQL}, options: Options{Runner: only("mariadb-dump")}}
	if p, err := in.findDumper(); err != nil || p != "/bin/mariadb-dump" {
		t.Error(p, err)
	}
	in.options.Runner = only("")
	if _, err := in.findDumper(); KindOf(err) != KindClient || HintOf(err) == "" {
		t.Error(err)
	}
}

// only is a machine that has one program.
type only string

func (o only) LookPath(name string) (string, error) {
	if name == string(o) {
		return "/bin/" + name, nil
	}
	return "", os.ErrNotExist
}

func (only) Run(context.Context, Command) error { return errors.New("not run") }
