package archive

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func diffLines(t *testing.T, a, b *Reader) []string {
	t.Helper()
	var out []string
	for c, err := range DiffEntries(t.Context(), a, b) {
		check(t, err)
		switch {
		case c.Before == nil:
			out = append(out, "A "+c.After.Name())
		case c.After == nil:
			out = append(out, "D "+c.Before.Name())
		default:
			out = append(out, "M "+c.After.Name()+" "+strings.Join(c.What, ","))
		}
	}
	return out
}

// TestDiffEntries changes a site in every way and compares what is said of it.
func TestDiffEntries(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"a", "b/gone", "b/same", "c", "d", "raw\xff", "database.sql"} {
		s.write(name, []byte(name))
	}
	check(t, os.Symlink("a", s.path("link")))
	before := s.make(makeOptions{codec: Zstd(), dump: smallDump()})
	check(t, os.Remove(s.path("b/gone")))
	s.write("b.new", nil)
	s.write("c", []byte("C"))
	check(t, os.Chmod(s.path("d"), 0o600))
	check(t, os.Chtimes(s.path("a"), time.Time{}, testTime.Add(time.Nanosecond)))
	check(t, os.Remove(s.path("raw\xff")))
	s.mkdir("raw\xff")
	check(t, os.Remove(s.path("link")))
	check(t, os.Symlink("c", s.path("link")))
	s.write("database.sql", []byte("the site's own, longer"))
	after := s.make(makeOptions{codec: Gzip()})
	got := diffLines(t, before.open(t), after.open(t))
	want := []string{"M ./a time", "D ./b/gone", "A ./b.new", "M ./c content", "M ./d mode", "M ./database.sql content,size", "M ./link time,link", "M ./raw\xff type"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if same := diffLines(t, after.open(t), after.open(t)); len(same) > 0 {
		t.Errorf("a backup differs from itself: %q", same)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range DiffEntries(ctx, before.open(t), after.open(t)) {
		if err == nil {
			t.Error("it goes on after the end of its context")
		}
	}
}

func tablesDump(rows int, last string) []section {
	data := func(name string, n int) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("INSERT INTO `%s` VALUES (%d);\n", name, i))
		}
		return out
	}
	return []section{
		{SectionHead, "", []string{"SET NAMES utf8mb4;\n"}},
		{SectionTable, "a", []string{"CREATE TABLE `a` (x int);\n"}},
		{SectionData, "a", data("a", rows)},
		{SectionTable, "b", []string{"CREATE TABLE `b` (x int);\n"}},
		{SectionData, "b", append(data("b", 20000), last)},
		{SectionTrigger, "b", []string{"CREATE TRIGGER t BEFORE INSERT ON b FOR EACH ROW SET @x=1;\n"}},
		{SectionView, "v", []string{"CREATE VIEW v AS SELECT 1;\n"}},
		{SectionRoutine, "", []string{"CREATE PROCEDURE p() SELECT 1;\n"}},
		{SectionTail, "", []string{"-- Dump completed\n"}},
	}
}

func diffTables(t *testing.T, a, b *Reader) string {
	t.Helper()
	var out []string
	for _, c := range must[[]TableChange](t)(DiffTables(t.Context(), a, b)) {
		switch {
		case c.Before == nil:
			out = append(out, "+"+c.After.Name)
		case c.After == nil:
			out = append(out, "-"+c.Before.Name)
		default:
			out = append(out, fmt.Sprintf("%s:%s %d>%d", c.After.Name, strings.Join(c.What, ","), c.Before.Rows, c.After.Rows))
		}
	}
	return strings.Join(out, " ")
}

// TestDiffTables finds what differs, also where a table before it moves every offset, and where only one byte does.
func TestDiffTables(t *testing.T) {
	s := newSite(t)
	open := func(c Codec, dump []section) *Reader { return s.make(makeOptions{codec: c, dump: dump}).open(t) }
	base := open(Zstd(), tablesDump(3, "INSERT INTO `b` VALUES (1);\n"))
	view := slices.Clone(tablesDump(3, "INSERT INTO `b` VALUES (1);\n"))
	view[6] = section{SectionView, "w", view[6].statements}
	view = slices.Delete(view, 7, 8)
	for name, c := range map[string]struct {
		after *Reader
		want  string
	}{
		"the same":          {open(Zstd(), tablesDump(3, "INSERT INTO `b` VALUES (1);\n")), ""},
		"another codec":     {open(Gzip(), tablesDump(3, "INSERT INTO `b` VALUES (1);\n")), ""},
		"one byte":          {open(Zstd(), tablesDump(3, "INSERT INTO `b` VALUES (2);\n")), "b:rows 20003>20003"},
		"more rows before":  {open(Zstd(), tablesDump(4, "INSERT INTO `b` VALUES (1);\n")), "a:rows 4>5"},
		"views and routine": {open(Zstd(), view), "-v +w -"},
	} {
		if got := diffTables(t, base, c.after); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
	none := s.make(makeOptions{codec: Zstd()}).open(t)
	if got := diffTables(t, none, base); got != "+a +b +v +" {
		t.Errorf("against none: %q", got)
	}
}

// TestTables adds the sections of each table up, and opens one with head and tail.
func TestTables(t *testing.T) {
	s := newSite(t)
	dump := tablesDump(3, "INSERT INTO `b` VALUES (1);\n")
	r := s.make(makeOptions{codec: Zstd(), dump: dump}).open(t)
	var names []string
	var bytes, packed int64
	for _, table := range must[[]Table](t)(r.Tables(t.Context())) {
		names = append(names, fmt.Sprintf("%s/%s/%d", table.Kind, table.Name, len(table.Sections)))
		bytes, packed = bytes+table.Bytes, packed+table.Packed
	}
	if got := strings.Join(names, " "); got != "table/a/2 table/b/3 view/v/1 routine//1" {
		t.Errorf("tables: %s", got)
	}
	var frames int64
	for f, err := range r.Frames() {
		check(t, err)
		if f.Kind == KindDump {
			frames += f.Length
		}
	}
	rest := len(dump[0].statements[0]) + len(dump[8].statements[0])
	if want := int64(len(sqlOf(dump)) - rest); bytes != want || packed <= frames*9/10 || packed > frames {
		t.Errorf("%d bytes of %d, %d packed of %d", bytes, want, packed, frames)
	}
	sql := must[io.ReadCloser](t)(r.OpenSections(t.Context(), func(s *Section) bool {
		return s.Name == "a" || s.Kind == SectionHead || s.Kind == SectionTail
	}))
	got := must[[]byte](t)(io.ReadAll(sql))
	check(t, sql.Close())
	if want := sqlOf(append(slices.Clone(dump[:3]), dump[8])); string(got) != string(want) {
		t.Errorf("one table: %q, not %q", got, want)
	}
	if _, err := s.make(makeOptions{codec: Zstd()}).open(t).OpenSections(t.Context(), func(*Section) bool { return true }); err == nil {
		t.Error("a backup without a dump has sections")
	}
}
