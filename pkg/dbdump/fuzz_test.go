package dbdump

import (
	"bytes"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

var fuzzSeeds = []string{
	"a;b;", "INSERT INTO `t` VALUES (1,'a\\'),(;'),(2,\"x\");\n", "DELIMITER ;;\nCREATE TRIGGER x begin a; end;;\nDELIMITER ;\n",
	"/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER t */;;", "-- Dump completed\n",
	"/*M!999999\\- enable the sandbox mode */ \n-- x\n", "CREATE TABLE `t` (`a` int DEFAULT nextval(`x`.`s`));",
	"CREATE DEFINER=`a`@`b` PROCEDURE `p`() select 'DEFINER=`a`@`b`';", "SET sql_mode='NO_BACKSLASH_ESCAPES';a '\\';",
	"ALTER DATABASE `x` CHARACTER SET latin1;", "/*!99999 ' */;#\n--\n/*", "'\\", "`;`;\"", "a /*! ' */ b */;",
}

// FuzzSplit: join(split(x)) == x, and the cuts do not depend on how the bytes arrive.
func FuzzSplit(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		whole := cutAll(t, bytes.NewReader(in), nil)
		if got := join(whole); got != string(in) {
			t.Fatalf("joined %q", got)
		}
		bits := cutAll(t, iotest.OneByteReader(bytes.NewReader(in)), nil)
		if diff := cmp.Diff(shape(whole), shape(bits)); diff != "" {
			t.Fatalf("cuts differ: %s", diff)
		}
	})
}

// shape is what must not depend on how a stream arrives.
func shape(all []chunk) []string {
	var out []string
	for _, c := range all {
		out = append(out, strings.Join([]string{string(c.data), string(rune('0' + c.kind)), string(c.data[c.body:c.bodyEnd])}, "\x01"))
	}
	return out
}

// FuzzFilter: the filter only takes away, never outside of code, and taking
// away twice changes nothing.
func FuzzFilter(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, c := range cutAll(t, bytes.NewReader(in), nil) {
			if c.kind != chunkStatement {
				continue
			}
			checkFilter(t, c.statement())
		}
	})
}

func checkFilter(t *testing.T, stmt []byte) {
	fl := filter{lex: &scanner{}}
	h := parseHead(fl.lex, stmt)
	end := 0
	for _, c := range fl.cuts(stmt, h) {
		if c.from < end || c.to < c.from || c.to > len(stmt) {
			t.Fatalf("cut %v of %q", c, stmt)
		}
		end = c.to
	}
	once := bytes.Clone(fl.apply(stmt, 0, len(stmt), h))
	if h.verb == "INSERT" && !bytes.Equal(once, stmt) {
		t.Fatalf("an INSERT changed: %q", once)
	}
	if got, want := strs(fl.lex, once), strs(fl.lex, stmt); len(fl.cuts(stmt, h)) == 0 && got != want {
		t.Fatalf("strings changed from %q to %q", want, got)
	}
}

// strs returns all texts in single quotes.
func strs(l *scanner, stmt []byte) string {
	var b strings.Builder
	ts := l.tokens(stmt)
	for tok, ok := ts.next(); ok; tok, ok = ts.next() {
		if tok.kind == tokString {
			b.Write(stmt[tok.start:tok.end])
		}
	}
	return b.String()
}

// FuzzPolicy: no panic, and what names another database never passes.
func FuzzPolicy(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		l := &scanner{}
		h := parseHead(l, in)
		err := policy{lex: l, database: "mine"}.check(in, h)
		if err == nil && (h.verb == "USE" || h.schema != "" && h.schema != "mine") {
			t.Fatalf("%q passed", in)
		}
	})
}

// FuzzOptionValue: what optionLine writes, optionValue reads.
func FuzzOptionValue(f *testing.F) {
	for _, s := range []string{"", "a b", `it's "so" # \ %`, "ä\tö", " x ", `\\'`, "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := optionLine("password", s)
		_, value, _ := strings.Cut(line, "=")
		if got := optionValue(value); got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}
