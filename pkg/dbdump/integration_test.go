//go:build integration

package dbdump

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func tortured(t testing.TB, m *mariadb) string {
	t.Helper()
	m.fresh(t, "torture", "latin1")
	m.load(t, "torture", "testdata/torture.sql")
	return "torture"
}

func dumped(t testing.TB, in *Instance, o DumpOptions) (*memory, DumpSummary) {
	t.Helper()
	var sink memory
	sum, err := in.Dump(context.Background(), o, &sink)
	if err != nil {
		t.Fatal(err, HintOf(err))
	}
	return &sink, sum
}

// portrait is everything about a database that a restore must bring back.
type portrait struct {
	Objects map[string]string // SHOW CREATE, by kind and name
	Sums    map[string]uint64
	Rows    map[string]int64
	Views   map[string]int64
}

var (
	definerClause = regexp.MustCompile("DEFINER=[`\"][^`\"]*[`\"]@[`\"][^`\"]*[`\"] ")
	sequenceOwner = regexp.MustCompile("(nextval|lastval)\\(`[^`]*`\\.")
)

func portray(t testing.TB, m *mariadb, in *Instance, name string) portrait {
	t.Helper()
	ctx := context.Background()
	p := portrait{Objects: map[string]string{}, Views: map[string]int64{}}
	info, err := in.Inspect(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if p.Sums, err = in.Checksums(ctx, name); err != nil {
		t.Fatal(err)
	}
	delete(p.Sums, "ver") // its invisible columns say when a row came to be
	if p.Rows, err = in.CountRows(ctx, name); err != nil {
		t.Fatal(err)
	}
	db := m.db(t, name)
	for _, x := range info.Tables {
		p.Objects["table "+x.Name] = showCreate(t, db, "TABLE", x.Name)
		if x.Type == "VIEW" {
			var n int64
			if err := db.QueryRow("SELECT COUNT(*) FROM " + QuoteIdent(x.Name)).Scan(&n); err != nil {
				t.Fatal(err)
			}
			p.Views[x.Name] = n
		}
	}
	for _, k := range []struct{ kind, query string }{
		{"TRIGGER", "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA=DATABASE()"},
		{"PROCEDURE", "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=DATABASE() AND ROUTINE_TYPE='PROCEDURE'"},
		{"FUNCTION", "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=DATABASE() AND ROUTINE_TYPE='FUNCTION'"},
		{"PACKAGE", "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=DATABASE() AND ROUTINE_TYPE='PACKAGE'"},
		{"PACKAGE BODY", "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA=DATABASE() AND ROUTINE_TYPE='PACKAGE BODY'"},
		{"EVENT", "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA=DATABASE()"},
	} {
		for _, n := range names(t, db, k.query) {
			p.Objects[k.kind+" "+n] = showCreate(t, db, k.kind, n)
		}
	}
	return p
}

func names(t testing.TB, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	list, err := scanColumn(rows)
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(list)
	return list
}

// showCreate returns all columns of SHOW CREATE but the name of the database and when it was made.
func showCreate(t testing.TB, db *sql.DB, kind, name string) string {
	t.Helper()
	rows, err := db.Query("SHOW CREATE " + kind + " " + QuoteIdent(name))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for rows.Next() {
		values := make([]sql.RawBytes, len(cols))
		ptrs := make([]any, len(cols))
		for i := range values {
			ptrs[i] = &values[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			t.Fatal(err)
		}
		for i, c := range cols {
			if c != "Created" {
				fmt.Fprintf(&b, "%s=%s\n", c, values[i])
			}
		}
	}
	if b.Len() == 0 {
		t.Fatalf("no %s %q", kind, name)
	}
	s := definerClause.ReplaceAllString(b.String(), "")
	return sequenceOwner.ReplaceAllString(s, "$1(")
}

func TestTortureRoundTrip(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	name := tortured(t, m)
	want := portray(t, m, in, name)
	sink, sum := dumped(t, in, DumpOptions{Database: name})
	like := sum.Charset + " COLLATE " + sum.Collation
	checkDumpText(t, sink.Bytes())
	if sum.Bytes != int64(sink.Len()) {
		t.Errorf("summary says %d bytes, the sink got %d", sum.Bytes, sink.Len())
	}
	if diff := cmp.Diff(want.Rows, sum.TableRows()); diff != "" {
		t.Errorf("rows counted in the stream differ from the server's: %s", diff)
	}
	checkTortureWarnings(t, sum.Warnings)
	m.exec(t, "DROP DATABASE "+name) // whatever names the old database must fail now

	t.Run("as temporary user", func(t *testing.T) {
		m.fresh(t, "back_1", like)
		got, err := in.Import(context.Background(), ImportOptions{Database: "back_1", TemporaryUser: "imp_tmp"}, bytes.NewReader(sink.Bytes()))
		if err != nil {
			t.Fatal(err, HintOf(err))
		}
		checkTorture(t, m, in, "back_1", want, sum, got)
		if got.Definer == nil || got.Definer.User != "imp_tmp" {
			t.Errorf("definer %v", got.Definer)
		}
		if Ping(context.Background(), Server{Socket: m.socket, User: "imp_tmp"}, "back_1") == nil {
			t.Error("the kept account lets people in")
		}
		if err := in.DropUsers(context.Background(), DropUsersSpec{Name: "imp_tmp", Database: "back_1"}); err != nil {
			t.Error(err)
		}
	})
	t.Run("as owner", func(t *testing.T) {
		m.fresh(t, "back_2", like)
		o := owner(t, in, "back_2", "owner_2")
		got, err := in.Import(context.Background(), o, bytes.NewReader(sink.Bytes()))
		if err != nil {
			t.Fatal(err, HintOf(err))
		}
		checkTorture(t, m, in, "back_2", want, sum, got)
		definers := names(t, m.db(t, "back_2"), "SELECT DISTINCT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA='back_2'")
		if !slices.Equal(definers, []string{"owner_2@localhost"}) {
			t.Errorf("definers of views: %v", definers)
		}
	})
	t.Run("by the client program", func(t *testing.T) {
		m.fresh(t, "back_3", like)
		path := t.TempDir() + "/database.sql"
		if err := os.WriteFile(path, sink.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		m.load(t, "back_3", path)
		if diff := cmp.Diff(want, portray(t, m, in, "back_3")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("dumped again", func(t *testing.T) {
		m.fresh(t, "back_4", like)
		if _, err := in.Import(context.Background(), owner(t, in, "back_4", "owner_4"), bytes.NewReader(sink.Bytes())); err != nil {
			t.Fatal(err)
		}
		again, _ := dumped(t, in, DumpOptions{Database: "back_4"})
		if a, b := lessNames(sink.String(), name), lessNames(again.String(), "back_4"); a != b {
			t.Errorf("a dump of the restored database differs: %s", firstDifference(a, b))
		}
	})
}

// lessNames takes the database's name and the time stamps of system versioning out of a dump's comments.
func lessNames(dump, name string) string {
	return strings.NewReplacer("Database: "+name, "", "database '"+name+"'", "").Replace(dump)
}

func firstDifference(a, b string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("at %d: %q and %q", i, a[max(i-80, 0):min(i+80, len(a))], b[max(i-80, 0):min(i+80, len(b))])
		}
	}
	return fmt.Sprintf("lengths %d and %d", len(a), len(b))
}

// owner makes an account that owns a database.
func owner(t testing.TB, in *Instance, database, user string) ImportOptions {
	t.Helper()
	ctx := context.Background()
	pw, err := GeneratePassword()
	if err != nil {
		t.Fatal(err)
	}
	host, err := in.OwnHost(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = in.EnsureUser(ctx, UserSpec{Name: user, Password: pw, Hosts: []string{host}, Database: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.DropUsers(ctx, DropUsersSpec{Name: user}); err != nil {
			t.Error(err)
		}
	})
	return ImportOptions{Database: database, User: user, Password: pw}
}

func checkTorture(t *testing.T, m *mariadb, in *Instance, name string, want portrait, d DumpSummary, got ImportSummary) {
	t.Helper()
	if diff := cmp.Diff(want, portray(t, m, in, name)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(d.TableRows(), got.TableRows()); diff != "" {
		t.Errorf("import counted other rows than the dump: %s", diff)
	}
	if got.Bytes != d.Bytes {
		t.Errorf("%d bytes of %d", got.Bytes, d.Bytes)
	}
	for _, w := range got.Warnings {
		enum := w.Code == WarnData && w.Subject == "types" // the empty error value of an ENUM
		if w.Code != WarnDefinerKept && !enum {
			t.Errorf("unexpected warning %+v", w)
		}
	}
	db := m.db(t, name)
	var s string
	if err := db.QueryRow("SELECT g FROM f_view LIMIT 1").Scan(&s); err != nil || s != "CREATE DEFINER=`a`@`b` VIEW; /* */" {
		t.Errorf("f_view says %q, %v", s, err)
	}
	if _, err := db.Exec("INSERT INTO gen (a) VALUES (9)"); err != nil {
		t.Errorf("sequence default: %v", err)
	}
	if _, err := db.Exec("INSERT INTO `no key` VALUES (77,'q')"); err != nil {
		t.Errorf("trigger: %v", err)
	}
	if _, err := db.Exec("CALL body(2, @b)"); err != nil {
		t.Errorf("procedure: %v", err)
	}
	if _, err := db.Exec("DELETE FROM gen WHERE a = 9"); err != nil {
		t.Error(err)
	}
}

// checkDumpText looks, outside of data, for what must not be in a dump.
func checkDumpText(t *testing.T, dump []byte) {
	t.Helper()
	s := newSplitter(bytes.NewReader(dump), nil)
	for {
		c, err := s.next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.kind == chunkSandbox {
			t.Error("the sandbox line is in the dump")
		}
		if c.kind != chunkStatement || !c.first || !c.last {
			continue
		}
		h := parseHead(&s.lex, c.statement())
		if !h.definer.empty() || h.verb == "USE" || h.object == "DATABASE" && h.hasName && h.name != "CHARACTER" {
			t.Errorf("in the dump: %s", c.statement())
		}
	}
}

func checkTortureWarnings(t *testing.T, ws []Warning) {
	t.Helper()
	var got []string
	for _, w := range ws {
		got = append(got, string(w.Code)+" "+w.Subject)
	}
	want := []string{"not-transactional aria", "not-transactional mem", "not-transactional myisam"}
	sort.Strings(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTortureSections(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	name := tortured(t, m)
	sink, sum := dumped(t, in, DumpOptions{Database: name, StructureOnly: []string{"hostile", "nonesuch"}})
	var want []Section
	want = append(want, Section{Kind: SectionPreamble}, Section{SectionSequence, "se`q; 2"}, Section{SectionSequence, "seq"})
	info, err := in.Inspect(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	var placeholders, views []Section
	for _, x := range info.Tables {
		switch {
		case x.Type == "VIEW":
			placeholders = append(placeholders, Section{SectionPlaceholder, x.Name})
			views = append(views, Section{SectionView, x.Name})
		case x.IsTable():
			want = append(want, Section{SectionStructure, x.Name})
			if x.Name != "hostile" {
				want = append(want, Section{SectionData, x.Name})
			}
			if x.Name == "hostile" || x.Name == "no key" {
				want = append(want, Section{SectionTriggers, x.Name})
			}
		}
	}
	want = append(want, placeholders...)
	want = append(want, Section{Kind: SectionEvents}, Section{Kind: SectionRoutines})
	want = append(append(want, views...), Section{Kind: SectionTrailer})
	key := func(s []Section) []string {
		var k []string
		for _, x := range s {
			k = append(k, x.String())
		}
		sort.Strings(k) // the server's order of names is its collation's
		return k
	}
	if diff := cmp.Diff(key(want), key(sink.sections)); diff != "" {
		t.Error(diff)
	}
	if sum.TableRows()["hostile"] != 0 {
		t.Error("rows of a table whose structure alone was asked for")
	}
	if !slices.Contains(sum.Collations, "utf16_general_ci") || sum.Charset != "utf8mb4" || sum.Collation != "utf8mb4_unicode_ci" {
		t.Errorf("charset %s, collations %v", sum.Charset, sum.Collations)
	}
}

// A dump is plain SQL: what comes out for an unchanged database is the same bytes.
func TestDumpIsDeterministic(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	name := tortured(t, m)
	a, _ := dumped(t, in, DumpOptions{Database: name})
	b, _ := dumped(t, in, DumpOptions{Database: name})
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error(firstDifference(a.String(), b.String()))
	}
}

// The dump differs from the program's own output in nothing but what the filter takes out.
func TestDumpLosesNothing(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	name := tortured(t, m)
	ours, _ := dumped(t, in, DumpOptions{Database: name, KeepDefiners: true, Engine: EngineClient})
	prog, err := in.dumpProgram(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	args := prog.dumpArgs(DumpOptions{Database: name}, nil)[1:]
	args = append([]string{"--no-defaults", "-uroot", "-S", m.socket}, args...)
	bare, err := exec.Command("mariadb-dump", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(string(bare), "\n")
	for old, new := range map[string]string{
		"DEFAULT nextval(`torture`.`s":           "DEFAULT nextval(`s",
		"select lastval(`torture`.`seq`)":        "select lastval(`seq`)",
		"ALTER DATABASE `torture` CHARACTER SET": "ALTER DATABASE CHARACTER SET",
	} {
		want = strings.ReplaceAll(want, old, new)
	}
	if want != ours.String() {
		t.Error(firstDifference(want, ours.String()))
	}
}
