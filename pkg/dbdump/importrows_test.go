package dbdump

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// allRows reads a statement with columns of the given classes.
func allRows(o order, columns ...rowColumn) ([]driver.Value, error) {
	h, ok := parseInsertHead(o)
	if !ok {
		return nil, errNotPlain
	}
	r := o.rowReader(&tablePlan{insertHead: h, columns: columns})
	var args []driver.NamedValue
	var err error
	for more := true; more && err == nil; {
		args, more, err = r.next(args)
	}
	var values []driver.Value
	for _, a := range args {
		values = append(values, a.Value)
	}
	return values, err
}

func TestRowReader(t *testing.T) {
	other, dec, flo, bin, bit := rowColumn{}, rowColumn{class: classDecimal}, rowColumn{class: classFloat}, rowColumn{class: classBinary}, rowColumn{class: classBits}
	tests := []struct {
		sql     string
		columns []rowColumn
		want    []driver.Value // nil: not plain
	}{
		{"INSERT INTO `t` VALUES (1,NULL),( -2 , 'a' ) ", []rowColumn{other, other}, []driver.Value{int64(1), nil, int64(-2), "a"}},
		{"INSERT INTO `t``x` (`a`, b) VALUES\n('', '')", []rowColumn{other, other}, []driver.Value{"", ""}},
		{`insert into t values ('it''s','\0\b\n\r\t\Z\\\'\"\%\_\x')`, []rowColumn{other, other}, []driver.Value{"it's", "\x00\b\n\r\t\x1a\\'\"\\%\\_x"}},
		{`INSERT INTO t VALUES ("a""b'",'a"b')`, []rowColumn{other, other}, []driver.Value{`a"b'`, `a"b`}},
		{"INSERT INTO t VALUES (0xAB0,x'0aFF',_binary '\\0a',_binary 0xFF)", []rowColumn{bin, bin, bin, bit}, []driver.Value{[]byte{0x0a, 0xb0}, []byte{10, 255}, "\x00a", []byte{255}}},
		{"INSERT INTO t VALUES (b'101',b'100000001',b'')", []rowColumn{bit, bit, bit}, nil},
		{"INSERT INTO t VALUES (b'101',b'100000001',5)", []rowColumn{bit, bit, bit}, []driver.Value{[]byte{5}, []byte{1, 1}, int64(5)}},
		{"INSERT INTO t VALUES (1.50,-0.1,1e10,-1.5E-7,.5)", []rowColumn{dec, flo, flo, flo, flo}, nil},
		{"INSERT INTO t VALUES (1.50,-0.1,1e10,-1.5E-7,7)", []rowColumn{dec, flo, flo, flo, dec}, []driver.Value{"1.50", "-0.1", "1e10", "-1.5E-7", int64(7)}},
		{"INSERT INTO t VALUES (18446744073709551615)", []rowColumn{other}, []driver.Value{uint64(1<<64 - 1)}},
		{"INSERT INTO t VALUES (18446744073709551616)", []rowColumn{dec}, []driver.Value{"18446744073709551616"}},
		{"INSERT INTO t VALUES (18446744073709551616)", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES (-0.0)", []rowColumn{flo}, nil}, // as a text it would keep its sign
		{"INSERT INTO t VALUES (1e3)", []rowColumn{dec}, nil},
		{"INSERT INTO t VALUES (1.5)", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES (0xAB)", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES (b'1')", []rowColumn{bin}, nil},
		{"INSERT INTO t VALUES (_utf8mb4'a')", []rowColumn{bin}, nil},
		{"INSERT INTO t VALUES (NOW())", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES (DEFAULT)", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES (1+1)", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES ('a' 'b')", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES (1,2)", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES (1)", []rowColumn{other, other}, nil},
		{"INSERT INTO t VALUES (1),", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a=1", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES (1) /* x */", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES ", []rowColumn{other}, nil},
		{"INSERT INTO t VALUES ('a", []rowColumn{other}, nil},
		{`INSERT INTO t VALUES ('a\`, []rowColumn{other}, nil},
		{"INSERT IGNORE INTO t VALUES (1)", []rowColumn{other}, nil},
		{"REPLACE INTO t VALUES (1)", []rowColumn{other}, nil},
		{"INSERT INTO d.t VALUES (1)", []rowColumn{other}, nil},
		{"INSERT INTO t SELECT 1", []rowColumn{other}, nil},
		{"INSERT INTO t SET a=1", []rowColumn{other}, nil},
		{"INSERT INTO t () VALUES ()", []rowColumn{other}, nil},
		{"INSERT /*!40000 DELAYED */ INTO t VALUES (1)", []rowColumn{other}, nil},
	}
	for _, tt := range tests {
		got, err := allRows(order{sql: tt.sql}, tt.columns...)
		if tt.want == nil && !errors.Is(err, errNotPlain) || tt.want != nil && (err != nil || !reflect.DeepEqual(got, tt.want)) {
			t.Errorf("%s: %#v, %v", tt.sql, got, err)
		}
	}
}

// Two modes change what is in a text, and whether it is one.
func TestRowReaderModes(t *testing.T) {
	got, err := allRows(order{sql: `INSERT INTO "t" VALUES ('a\','b''c')`, noBackslash: true, ansiQuotes: true}, rowColumn{}, rowColumn{})
	if err != nil || !reflect.DeepEqual(got, []driver.Value{`a\`, "b'c"}) {
		t.Errorf("%#v %v", got, err)
	}
	if _, err := allRows(order{sql: `INSERT INTO t VALUES ("a")`, ansiQuotes: true}, rowColumn{}); err == nil {
		t.Error("a column's name was taken for a text")
	}
}

func TestRowReaderColumns(t *testing.T) {
	o := order{sql: "INSERT INTO t VALUES (1,'generated',NULL)"}
	got, err := allRows(o, rowColumn{}, rowColumn{drop: true}, rowColumn{auto: true})
	if err != nil || !reflect.DeepEqual(got, []driver.Value{int64(1), nil}) {
		t.Errorf("%#v %v", got, err)
	}
	for _, v := range []string{"NULL", "0", "'0'"} {
		r := &rowReader{s: "(" + v + ")", columns: []rowColumn{{auto: true}}}
		if _, _, err := r.next(nil); err != nil || !r.counts {
			t.Errorf("%s leaves the number to the server: %v %v", v, r.counts, err)
		}
	}
}

func TestMostRows(t *testing.T) {
	for params, want := range map[int]int{1: 2048, 5: 256, 2048: 1} {
		if got := mostRows(params); got != want {
			t.Errorf("%d values a row: %d rows, want %d", params, got, want)
		}
	}
}

// FuzzRowReader: what is quoted and written as rows is read back as it was.
func FuzzRowReader(f *testing.F) {
	f.Add([]byte("it's"), []byte("\\"), int64(-5), false)
	f.Add([]byte("\x00\n\r\x1a\"'\\%\\_"), []byte{0xff, 0}, int64(1)<<62, true)
	f.Add([]byte("),('"), []byte(""), int64(0), false)
	f.Fuzz(func(t *testing.T, text, blob []byte, n int64, plain bool) {
		quoted := QuoteString(string(text))
		if plain {
			quoted = "'" + strings.ReplaceAll(string(text), "'", "''") + "'"
		}
		row := fmt.Sprintf("(%d,%s,0x%X,%s,NULL)", n, quoted, append([]byte{1}, blob...), quoted)
		o := order{sql: "INSERT INTO `t` VALUES " + row + "," + row, noBackslash: plain}
		got, err := allRows(o, rowColumn{}, rowColumn{}, rowColumn{class: classBinary}, rowColumn{}, rowColumn{})
		want := []driver.Value{n, string(text), append([]byte{1}, blob...), string(text), nil}
		if err != nil || !reflect.DeepEqual(got, append(want, want...)) {
			t.Fatalf("%s: %#v %v", o.sql, got, err)
		}
	})
}

// FuzzRowReaderAny: whatever a statement holds, it is read to its end or refused, and no value reaches outside of it.
func FuzzRowReaderAny(f *testing.F) {
	f.Add([]byte("(1,'a'),(x'00',b'1')"), true)
	f.Add([]byte("('\\"), false)
	f.Fuzz(func(t *testing.T, rows []byte, mode bool) {
		r := &rowReader{s: string(rows), columns: []rowColumn{{class: classBits}, {class: classFloat}}, noBackslash: mode, ansiQuotes: mode}
		var args []driver.NamedValue
		var err error
		for more := true; more && err == nil; {
			before := r.pos
			args, more, err = r.next(args)
			if more && r.pos <= before {
				t.Fatal("it does not advance")
			}
		}
		if err == nil && (len(args)%2 != 0 || bytes.IndexByte(rows, '(') < 0) {
			t.Fatalf("%d values of %q", len(args), rows)
		}
	})
}

func TestParseCreateTable(t *testing.T) {
	const text = "CREATE TABLE `t` (\n  `id` int(11) NOT NULL AUTO_INCREMENT COMMENT 'FULLTEXT KEY x',\n  PRIMARY KEY (`id`),\n  UNIQUE KEY `u` (`a`),\n" +
		"  KEY `k``1` (`a`(10),`b`) USING BTREE COMMENT 'x, y',\n  KEY `k2` (`b`)\n) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4"
	d := parseCreateTable(text)
	if d.engine != "InnoDB" || !d.primary || d.fulltext || d.special || d.versioned || len(d.keys) != 2 {
		t.Errorf("%+v", d)
	}
	want := deferredKeys{
		drop: "ALTER TABLE `t``` DROP KEY `k``1`, DROP KEY `k2`",
		add:  "ALTER TABLE `t``` ADD KEY `k``1` (`a`(10),`b`) USING BTREE COMMENT 'x, y', ADD KEY `k2` (`b`)",
	}
	if k := keyClauses("t`", d.keys); k != want {
		t.Errorf("%+v", k)
	}
	for _, line := range []string{"  SPATIAL KEY `s` (`g`)", "  CONSTRAINT `c` FOREIGN KEY (`a`) REFERENCES `b` (`a`)", " PARTITION BY HASH (`id`)"} {
		if d := parseCreateTable(text + "\n" + line); !d.special {
			t.Errorf("%s: %+v", line, d)
		}
	}
	if d := parseCreateTable(text + "\n  FULLTEXT KEY `f` (`a`)"); !d.fulltext {
		t.Errorf("%+v", d)
	}
	if d := parseCreateTable(text + " WITH SYSTEM VERSIONING"); !d.versioned {
		t.Errorf("%+v", d)
	}
}
