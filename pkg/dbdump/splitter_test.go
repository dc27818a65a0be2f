package dbdump

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// cutAll splits text and returns the chunks, with their data copied.
func cutAll(t testing.TB, r io.Reader, set func(*splitter)) []chunk {
	t.Helper()
	s := newSplitter(r, nil)
	if set != nil {
		set(s)
	}
	var all []chunk
	for {
		c, err := s.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		c.data = bytes.Clone(c.data)
		all = append(all, c)
	}
}

// statements returns the bodies of whole statements.
func statements(all []chunk) []string {
	var out []string
	for _, c := range all {
		if c.kind == chunkStatement {
			out = append(out, string(c.statement()))
		}
	}
	return out
}

func TestSplit(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"two", "a;b;", []string{"a", "b"}},
		{"unterminated", "a;b", []string{"a", "b"}},
		{"empty", ";;", []string{"", ""}},
		{"string", `select 'a;b';c;`, []string{`select 'a;b'`, "c"}},
		{"escaped quote", `select 'a\';b';c;`, []string{`select 'a\';b'`, "c"}},
		{"escaped backslash", `select 'a\\';b;`, []string{`select 'a\\'`, "b"}},
		{"three backslashes", `select 'a\\\';b';c;`, []string{`select 'a\\\';b'`, "c"}},
		{"doubled quote", `select 'a'';b';c;`, []string{`select 'a'';b'`, "c"}},
		{"double quotes", `select "a;'\";b";c;`, []string{`select "a;'\";b"`, "c"}},
		{"backticks", "select `a;``;\\`;c;", []string{"select `a;``;\\`", "c"}},
		{"line comment", "a -- b;c'\n;d;", []string{"a -- b;c'\n", "d"}},
		{"no line comment", "select 5--3;d;", []string{"select 5--3", "d"}},
		{"hash comment", "a # b;c'\n;d;", []string{"a # b;c'\n", "d"}},
		{"block comment", "a /* ; ' */;d;", []string{"a /* ; ' */", "d"}},
		{"short comment", "a /*/ ; */;d;", []string{"a /*/ ; */", "d"}},
		{"stars", "a /***;***/;d;", []string{"a /***;***/", "d"}},
		{"hint", "a /*+ ; */;d;", []string{"a /*+ ; */", "d"}},
		{"leading comments", "-- x;\n# y;\n/* z; */ a;", []string{"a"}},
		{"versioned", "/*!40101 SET a=';' */;b;", []string{"/*!40101 SET a=';' */", "b"}},
		{"versioned, quoted end", "/*!40101 SET a='*/;' */;b;", []string{"/*!40101 SET a='*/;' */", "b"}},
		{"versioned, delimiter in it", "/*!50003 a;b */;c;", []string{"/*!50003 a;b */", "c"}},
		{"versioned, inner comment", "/*!50003 a /* it's */ b */;c;", []string{"/*!50003 a /* it's */ b */", "c"}},
		{"versioned, line comment", "/*!50003 a -- it's */\n b */;c;", []string{"/*!50003 a -- it's */\n b */", "c"}},
		{"maria versioned", "/*M!100100 a ';' */;c;", []string{"/*M!100100 a ';' */", "c"}},
		{"delimiter", "DELIMITER ;;\na;b;;\nDELIMITER ;\nc;", []string{"a;b", "c"}},
		{"delimiter, lower case", "delimiter //\na / b;//\ndelimiter ;\nc;", []string{"a / b;", "c"}},
		{"delimiter $$", "DELIMITER $$\nbegin x; end$$\nDELIMITER ;\nc;", []string{"begin x; end", "c"}},
		{"delimiter in string", "DELIMITER ;;\nselect ';;';;\n", []string{"select ';;'"}},
		{"delimiter in data", "select '\nDELIMITER //\n';b;", []string{"select '\nDELIMITER //\n'", "b"}},
		{"delimiter, crlf", "DELIMITER ;;\r\na;b;;\r\nDELIMITER ;\r\nc;\r\n", []string{"a;b", "c"}},
		{"delimiter is no prefix", "delimiters;b;", []string{"delimiters", "b"}},
		{"no backslash", "SET sql_mode='NO_BACKSLASH_ESCAPES';a '\\';b;SET sql_mode=@old;c '\\';';d;",
			[]string{"SET sql_mode='NO_BACKSLASH_ESCAPES'", `a '\'`, "b", "SET sql_mode=@old", `c '\';'`, "d"}},
		{"ansi quotes", `/*!50003 SET sql_mode = 'PIPES_AS_CONCAT,ANSI_QUOTES' */ ;a "\";b;`,
			[]string{`/*!50003 SET sql_mode = 'PIPES_AS_CONCAT,ANSI_QUOTES' */ `, `a "\"`, "b"}},
		{"sandbox", "/*M!999999\\- enable the sandbox mode */ \n-- x\na;", []string{"a"}},
		{"utf-8", "select 'ä;ß', ö;b;", []string{"select 'ä;ß', ö", "b"}},
		{"nul", "select '\x00;';b;", []string{"select '\x00;'", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole": strings.NewReader(tt.in), "bytes": iotest.OneByteReader(strings.NewReader(tt.in)),
			} {
				all := cutAll(t, r, nil)
				if diff := cmp.Diff(tt.want, statements(all)); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
				if got := join(all); got != tt.in {
					t.Errorf("%s: joined %q, want %q", name, got, tt.in)
				}
			}
		})
	}
}

func join(all []chunk) string {
	var b strings.Builder
	for _, c := range all {
		b.Write(c.data)
	}
	return b.String()
}

func TestSplitKinds(t *testing.T) {
	in := "/*M!999999\\- enable the sandbox mode */ \n-- c\na;\nDELIMITER ;;\nb;;\n-- Dump completed\n"
	var kinds []chunkKind
	for _, c := range cutAll(t, strings.NewReader(in), nil) {
		kinds = append(kinds, c.kind)
	}
	want := []chunkKind{chunkSandbox, chunkStatement, chunkDelimiter, chunkStatement, chunkTrailing}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Error(diff)
	}
}

func TestSplitOpenEnd(t *testing.T) {
	for _, in := range []string{"a 'b", "a `b", `a "b`, "a /* b", "/*!40101 a", `a 'b\'`, "/* a"} {
		all := cutAll(t, strings.NewReader(in), nil)
		if !all[len(all)-1].open {
			t.Errorf("%q does not count as open", in)
		}
	}
	for _, in := range []string{"a 'b'", "a -- b", "a;", "# x"} {
		all := cutAll(t, strings.NewReader(in), nil)
		if all[len(all)-1].open {
			t.Errorf("%q counts as open", in)
		}
	}
}

func TestSplitRows(t *testing.T) {
	tests := []struct {
		in   string
		want int64
	}{
		{"INSERT INTO `t` VALUES (1),(2),(3);", 3},
		{"INSERT INTO `t` VALUES\n(1,'a),(b'),\n(2,'\\'),(');", 2},
		{"insert into t (a, `values (`) values (f(1), (2)),(g((3)), 4);", 2},
		{"REPLACE INTO t VALUE (1);", 1},
		{"INSERT INTO t VALUES (1) /* ,(2) */,(0x28),(')');", 3},
		{"INSERT INTO svalues (values) VALUES (1);", 1},
		{"CREATE TABLE t (a int);", 0},
		{"SET @a = (1), @b = (2);", 0},
		{"INSERT INTO t SELECT (1);", 0},
		{"INSERT INTO `values` VALUES ('(','(');", 1},
	}
	for _, tt := range tests {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(tt.in), "bytes": iotest.OneByteReader(strings.NewReader(tt.in)),
		} {
			var rows int64
			for _, c := range cutAll(t, r, nil) {
				rows += c.rows
			}
			if rows != tt.want {
				t.Errorf("%s %q: %d rows, want %d", name, tt.in, rows, tt.want)
			}
		}
	}
}

// hugeInsert is one INSERT of rows that hold every hostile thing, n times.
func hugeInsert(n int) string {
	row := `(1,'it\'s; -- Dump completed` + "\\n" + `/*!50017 DEFINER=a*/ ''),(\\','` + strings.Repeat(`\\`, 333) + `',0x2729,NULL)`
	return "INSERT INTO `t` VALUES " + strings.Repeat(row+",\n", n-1) + row + ";\n"
}

func TestSplitHugeInsertInPieces(t *testing.T) {
	const n = 5000 // about 4 MB
	in := "a;\n" + hugeInsert(n) + "b;\n"
	var sizes, firsts, lasts int
	var rows int64
	var all []chunk
	s := newSplitter(strings.NewReader(in), nil)
	before := cap(s.buf)
	for {
		c, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		rows += c.rows
		if c.insert {
			sizes++
			if c.first {
				firsts++
			}
			if c.last {
				lasts++
			}
		}
		c.data = bytes.Clone(c.data)
		all = append(all, c)
	}
	if rows != n || firsts != 1 || lasts != 1 || sizes < 4 {
		t.Errorf("rows %d, pieces %d, first %d, last %d", rows, sizes, firsts, lasts)
	}
	if cap(s.buf) != before {
		t.Errorf("the buffer grew from %d to %d", before, cap(s.buf))
	}
	if join(all) != in {
		t.Error("joined pieces differ")
	}
}

func TestSplitLimit(t *testing.T) {
	s := newSplitter(strings.NewReader("SELECT '"+strings.Repeat("x", 8<<20)+"';"), nil)
	s.limit = 4 << 20
	if _, err := s.next(); !errors.Is(err, errStatementTooLong) {
		t.Errorf("got %v", err)
	}
	s = newSplitter(strings.NewReader(hugeInsert(8000)), nil)
	s.limit, s.pieces = 4<<20, false
	if _, err := s.next(); !errors.Is(err, errStatementTooLong) {
		t.Errorf("got %v", err)
	}
}

func TestSplitReadError(t *testing.T) {
	boom := errors.New("boom")
	s := newSplitter(io.MultiReader(strings.NewReader("a;b"), iotest.ErrReader(boom)), nil)
	if _, err := s.next(); err != nil && !errors.Is(err, boom) {
		t.Fatal(err)
	}
	if _, err := s.next(); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
}

// Comments that the server skips are comments, whatever quotes they hold.
func TestSplitSkippedVersions(t *testing.T) {
	maria := Version{Flavour: MariaDB, Major: 10, Minor: 11, Patch: 6}
	mysql := Version{Flavour: MySQL, Major: 8, Minor: 0, Patch: 36}
	tests := []struct {
		v    Version
		in   string
		want []string
	}{
		{maria, "/*!99999 ' */ a;b;", []string{"a", "b"}},
		{maria, "/*!80000 ' */ a;b;", []string{"a", "b"}},
		{maria, "/*!50700 ' */ a;b;", []string{"a", "b"}},
		{maria, "/*M!111111 ' */ a;b;", []string{"a", "b"}},
		{maria, "/*M!101100 '*/;' */ a;b;", []string{"/*M!101100 '*/;' */ a", "b"}},
		{maria, "/*!99999 /* ' */ ' */ a;b;", []string{"a", "b"}},
		{mysql, "/*!80000 '*/;' */ a;b;", []string{"/*!80000 '*/;' */ a", "b"}},
		{mysql, "/*!80037 ' */ a;b;", []string{"a", "b"}},
		{mysql, "/*M!100100 ' */ a;b;", []string{"a", "b"}},
		{mysql, "x /*M!100100 ' */ a;b;", []string{"x /*M!100100 ' */ a", "b"}},
	}
	for _, tt := range tests {
		got := statements(cutAll(t, strings.NewReader(tt.in), func(s *splitter) { s.lex.skips = tt.v.skips }))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s %q: %s", tt.v, tt.in, diff)
		}
	}
}
