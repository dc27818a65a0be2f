package dbdump

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
)

// AdoptSummary is what a dump held that another program made.
type AdoptSummary struct {
	Sections []SectionStats
	Bytes    int64 // of the dump as the sink got it
	Rows     int64
	Warnings []Warning
	// Database, Server and Dumper are the name, the server's version and the
	// program, as far as the dump tells.
	Database, Server, Dumper string
	// Charset and Collation are the defaults that the dump's CREATE DATABASE
	// names or, without one, those of most tables. Empty: it tells of none.
	Charset, Collation string
	// Collations are those that the tables name, sorted.
	Collations []string
}

// TableRows returns the number of rows by table, 0 for empty ones.
func (s AdoptSummary) TableRows() map[string]int64 { return tableRows(s.Sections) }

// TableChecksums returns the checksum of each table's rows, as those of a DumpSummary.
func (s AdoptSummary) TableChecksums() map[string]string { return tableChecksums(s.Sections) }

const (
	opAdopt   = "read dump"
	hintCut   = "dump the database again: this dump is cut off"
	hintWhere = "check where this dump comes from; dump the one database, for instance with: mysqldump --routines --triggers DATABASE"
)

// Adopt reads a dump of one database that any program made, and gives it to
// sink as a dump of ours: by sections, without sandbox line, CREATE DATABASE,
// USE, GTID and DEFINER, and with an end mark. Statements that Import would
// refuse are refused with KindRefused, and so is a second database. A dump that
// ends within a statement, or is mysqldump's and has no end mark, is
// KindIncomplete. An error of sink is wrapped as KindSink.
func Adopt(ctx context.Context, r io.Reader, sink Sink) (AdoptSummary, error) {
	a := &adoption{
		dump:   dump{sink: sink, collations: map[string]bool{}},
		split:  newSplitter(afterMark(r), nil),
		tables: map[tableDefault]int{},
	}
	a.filter.lex = &a.split.lex
	a.policy = policy{lex: &a.split.lex}
	err := a.run(ctx)
	var ours errSink
	if errors.As(err, &ours) {
		err = &Error{Op: opAdopt, Kind: KindSink, Err: ours.error}
	}
	a.mostTables()
	return AdoptSummary{
		Sections: a.tally.sections, Bytes: a.tally.total.Bytes, Rows: a.tally.total.Rows, Warnings: a.warn.list,
		Database: a.database, Server: a.server, Dumper: a.dumper,
		Charset: a.standard.charset, Collation: a.standard.collation, Collations: sortedKeys(a.collations),
	}, err
}

// byteOrderMark is what some programs write before UTF-8; the mysql client passes over it.
const byteOrderMark = "\xef\xbb\xbf"

func afterMark(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	if first, _ := b.Peek(len(byteOrderMark)); string(first) == byteOrderMark { // an error comes with the next reading
		_, _ = b.Discard(len(byteOrderMark))
	}
	return b
}

// adoption is one Adopt on its way.
type adoption struct {
	dump     // follows sections, filters and counts
	split    *splitter
	policy   policy
	begun    bool
	database string // that it makes or uses, or its header names
	claimed  bool   // a statement named it
	server   string
	dumper   string
	standard tableDefault
	tables   map[tableDefault]int
}

// tableDefault is what a definition says behind CHARSET and COLLATE.
type tableDefault struct{ charset, collation string }

func (a *adoption) run(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return fail(opAdopt, "", context.Cause(ctx))
		}
		c, err := a.split.next()
		if errors.Is(err, io.EOF) {
			return a.finish()
		}
		if errors.Is(err, errStatementTooLong) {
			return failAs(KindTooLarge, opAdopt, a.track.cur.String(), hintWhere, "a statement is longer than %d MiB", maxStatement>>20)
		}
		if err != nil {
			return &Error{Op: opAdopt, Kind: KindSink, Err: err}
		}
		if err := a.chunk(c); err != nil {
			return err
		}
	}
}

// chunk takes one part of the stream.
func (a *adoption) chunk(c chunk) error {
	if !a.begun && c.kind != chunkSandbox {
		a.begin(c)
	}
	switch {
	case c.kind == chunkSandbox:
		return nil
	case c.open:
		return failAs(KindIncomplete, opAdopt, a.track.cur.String(), hintCut, "the dump ends within a statement")
	case c.kind == chunkTrailing:
		a.complete = hasEndMark(c.data)
		s, begins := a.track.trailing()
		return a.emit(c, c.data, s, begins)
	case !c.first:
		return a.emit(c, a.terminated(c, c.data), a.track.cur, false)
	case c.kind == chunkDelimiter:
		s, begins := a.track.next(c.data[:c.body], c.statement(), head{verb: "DELIMITER"})
		return a.emit(c, c.data, s, begins)
	}
	return a.statement(c)
}

// begin reads the comments that a dump begins with.
func (a *adoption) begin(c chunk) {
	a.begun = true
	const most = 4096
	comments := string(c.data[:min(c.body, most)])
	for line := range strings.Lines(comments) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		switch {
		case !ok:
		case a.dumper == "" && strings.Contains(text, " dump ") || strings.HasPrefix(text, "phpMyAdmin") || strings.HasPrefix(text, "Adminer"):
			a.dumper = strings.ToValidUTF8(text, "")
		case strings.HasPrefix(text, "Server version"):
			a.server = strings.ToValidUTF8(strings.TrimSpace(strings.TrimPrefix(text, "Server version")), "")
		}
		if _, name, found := strings.Cut(text, "Database: "); ok && found {
			a.database = strings.Trim(strings.TrimSpace(name), "`")
		}
	}
}

// marksEnd reports whether the program that made the dump writes an end mark.
func (a *adoption) marksEnd() bool {
	return strings.HasPrefix(a.dumper, "MySQL dump") || strings.HasPrefix(a.dumper, "MariaDB dump")
}

// terminated returns the bytes of a chunk, with an end for the last statement if it has none.
func (a *adoption) terminated(c chunk, data []byte) []byte {
	if !c.unterminated {
		return data
	}
	return append(bytes.Clone(data), "\n"+string(a.split.lex.delimiter)+"\n"...)
}

func (a *adoption) statement(c chunk) error {
	lex, stmt := &a.split.lex, c.statement()
	if c.insert {
		stmt = stmt[:min(len(stmt), 4096)] // a table's name and column list
	}
	h := parseHead(lex, stmt)
	if drop, err := a.ofDatabases(stmt, h); drop || err != nil {
		return err
	}
	if a.filter.dropped(stmt, h) {
		return nil
	}
	s, begins := a.track.next(c.data[:c.body], stmt, h)
	data, out := c.data, stmt
	if !c.insert {
		a.noteCollations(stmt, h, lex)
		a.noteTable(stmt, h)
		out = bytes.Clone(a.filter.apply(stmt, 0, len(stmt), h))
		h = parseHead(lex, out)
		data = a.filter.apply(c.data, c.body, c.bodyEnd, parseHead(lex, stmt))
	}
	if err := a.policy.check(out, h); err != nil {
		return failAs(KindRefused, opAdopt, s.String(), hintWhere, "a statement is refused: %w: %s", err, excerpt(out))
	}
	return a.emit(c, a.terminated(c, data), s, begins)
}

// ofDatabases takes out what mysqldump --databases writes for one database: CREATE DATABASE and USE.
func (a *adoption) ofDatabases(stmt []byte, h head) (drop bool, err error) {
	name := h.name
	switch {
	case h.verb == "USE":
		name = a.used(stmt)
	case h.verb != "CREATE" || h.object != "DATABASE" && h.object != "SCHEMA":
		return false, nil
	}
	if a.claimed && name != a.database {
		return false, failAs(KindRefused, opAdopt, name, "dump one database, without --databases and --all-databases",
			"it is the dump of more than one database: of %s, too", QuoteIdent(a.database))
	}
	if h.verb == "CREATE" {
		a.standard = a.defaults(stmt)
	}
	if !a.claimed {
		a.warn.add(WarnDropped, h.verb, "CREATE DATABASE and USE were left out: the site's database has a name of its own")
	}
	a.database, a.claimed = name, true
	return true, nil
}

// used returns the name that follows USE.
func (a *adoption) used(stmt []byte) string {
	ts := a.split.lex.tokens(stmt)
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		if t.isName() && !t.is(stmt, "USE") {
			return t.name(stmt)
		}
	}
	return ""
}

// noteTable counts the defaults of tables.
func (a *adoption) noteTable(stmt []byte, h head) {
	if h.verb != "CREATE" || h.object != "TABLE" {
		return
	}
	if d := a.defaults(stmt); d.charset != "" {
		a.tables[d]++
	}
}

// defaults returns what a definition says last behind CHARSET or CHARACTER SET, and after that behind COLLATE: a
// table's own come behind those of its columns.
func (a *adoption) defaults(stmt []byte) tableDefault {
	var d tableDefault
	var back token
	ts := a.split.lex.tokens(stmt)
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		charset := t.is(stmt, "CHARSET") || t.is(stmt, "SET") && back.is(stmt, "CHARACTER")
		collate := t.is(stmt, "COLLATE")
		back = t
		if !charset && !collate {
			continue
		}
		v, ok := ts.next()
		if ok && v.isByte(stmt, '=') {
			v, ok = ts.next()
		}
		switch {
		case !ok || !v.isName():
		case charset:
			d = tableDefault{charset: v.name(stmt)}
		default:
			d.collation = v.name(stmt)
		}
		back = v
	}
	return d
}

// mostTables takes the defaults of most tables for those of the database, if nothing says them.
func (a *adoption) mostTables() {
	if a.standard.charset != "" {
		return
	}
	most := 0
	for d, n := range a.tables {
		if n > most || n == most && d.charset+d.collation < a.standard.charset+a.standard.collation {
			most, a.standard = n, d
		}
	}
}

// finish checks the end, and marks it where another program does not.
func (a *adoption) finish() error {
	if a.complete {
		return nil
	}
	if a.marksEnd() {
		return failAs(KindIncomplete, opAdopt, "", hintCut, "the dump ends in %s without the end mark that its program writes", a.track.cur)
	}
	if a.tally.total.Statements == 0 {
		return failAs(KindIncomplete, opAdopt, "", "check what the file is", "there is no SQL statement in it")
	}
	a.warn.add(WarnProgram, "", "the program that made the dump writes no end mark: whether the dump is whole cannot be told")
	s, begins := a.track.trailing()
	return a.emit(chunk{kind: chunkTrailing, first: true, last: true}, append([]byte("\n"), append(bytes.Clone(endMark), '\n')...), s, begins)
}
