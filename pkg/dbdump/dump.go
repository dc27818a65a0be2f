package dbdump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Sink takes a dump. Every call comes from one goroutine, in order; an error
// ends the dump and is returned by Dump as its cause.
type Sink interface {
	// BeginSection says to which section the statements that follow belong.
	BeginSection(s Section) error
	// Statement takes the next bytes of the dump; all of them together are
	// the dump. Comments and blank lines belong to the statement after them.
	// A statement of more than 1 MiB may come in pieces: end is true with the
	// last piece of each statement. rows is how many rows b holds the ends of.
	// b is only valid during the call.
	Statement(b []byte, end bool, rows int64) error
}

// DumpOptions says what to dump.
type DumpOptions struct {
	Database      string
	StructureOnly []string // tables whose rows are left out; unknown names are ignored
	KeepDefiners  bool     // leave DEFINER clauses in
	// Salvage takes what can be read: what cannot is skipped and named in a
	// warning. Without it any unreadable table or view fails the dump.
	Salvage bool
}

// DumpSummary is what a dump held.
type DumpSummary struct {
	Sections []SectionStats // in the order of the dump
	Bytes    int64          // of the dump as the sink got it
	Rows     int64
	Warnings []Warning
	Server   Version
	Program  Version
	// Charset and Collation are the database's own defaults: what a new
	// database for this dump must be created with.
	Charset, Collation string
	// Collations are those that the tables name, sorted; the target server must know them.
	Collations []string
}

// TableRows returns the number of rows dumped by table, 0 for empty ones.
func (s DumpSummary) TableRows() map[string]int64 { return tableRows(s.Sections) }

// Dump writes one consistent dump of a database to sink, and returns only
// when it is complete: end mark seen, exit status 0, nothing on standard error
// that tells of a loss. On an error what the sink got is worthless.
func (in *Instance) Dump(ctx context.Context, o DumpOptions, sink Sink) (DumpSummary, error) {
	d := &dump{in: in, o: o, sink: sink, collations: map[string]bool{}}
	err := d.run(ctx)
	sum := DumpSummary{
		Sections: d.tally.sections, Bytes: d.tally.total.Bytes, Rows: d.tally.total.Rows,
		Warnings: d.warn.list, Server: in.version, Charset: d.info.Charset, Collation: d.info.Collation,
		Collations: sortedKeys(d.collations),
	}
	if d.prog != nil {
		sum.Program = d.prog.version
	}
	return sum, err
}

// dump is one dump on its way.
type dump struct {
	in         *Instance
	o          DumpOptions
	sink       Sink
	prog       *program
	info       DatabaseInfo
	track      tracker
	filter     filter
	tally      tally
	warn       warnings
	collations map[string]bool
	complete   bool // the end mark was seen
}

const opDump = "dump"

func (d *dump) run(ctx context.Context) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	return d.stream(ctx)
}

// stream runs the dump program.
func (d *dump) stream(ctx context.Context) error {
	var stderr tail
	err := d.in.options.Runner.Run(ctx, Command{
		Path:   d.prog.path,
		Args:   d.prog.dumpArgs(d.o, d.unreadable()),
		Env:    programEnv(),
		FD3:    d.prog.credentials(d.in.server),
		Stdout: d.copy,
		Stderr: &stderr,
	})
	return d.judge(ctx, err, scrub(stderr.String(), d.in.server.Password))
}

// prepare looks at the database, and refuses what would not be dumped whole.
func (d *dump) prepare(ctx context.Context) error {
	var err error
	if d.prog, err = d.in.dumpProgram(ctx); err != nil {
		return err
	}
	if d.info, err = d.in.Inspect(ctx, d.o.Database); err != nil {
		return err
	}
	if !d.info.Exists {
		return failAs(KindUnknownDatabase, opDump, d.o.Database, "check the database's name", "it does not exist")
	}
	if err := d.in.mayDump(ctx, d.o.Database); err != nil {
		return err
	}
	return d.inspectTables()
}

// inspectTables warns of tables outside of the snapshot, and fails at broken
// ones unless they may be skipped.
func (d *dump) inspectTables() error {
	for _, t := range d.info.Tables {
		switch {
		case t.Broken != "" && !d.o.Salvage:
			return failAs(KindBroken, opDump, QuoteIdent(d.o.Database)+"."+QuoteIdent(t.Name), hintBroken, "%s", t.Broken)
		case t.Broken != "":
			d.warn.add(WarnSkipped, t.Name, "not in the dump, because it cannot be read: "+t.Broken)
		case t.IsTable() && !t.Transactional:
			d.warn.add(WarnNotTransactional, t.Name,
				"engine "+t.Engine+" has no transactions: rows written during the dump may be in it or not")
		}
	}
	return nil
}

// unreadable returns the tables and views to leave out.
func (d *dump) unreadable() []string {
	var names []string
	for _, t := range d.info.Tables {
		if t.Broken != "" {
			names = append(names, t.Name)
		}
	}
	return names
}

// errSink marks errors of the caller's sink.
type errSink struct{ error }

func (e errSink) Unwrap() error { return e.error }

// copy sends the program's output through tokenizer and filter to the sink.
func (d *dump) copy(r io.Reader) error {
	split := newSplitter(r, nil)
	d.filter = filter{
		lex: &split.lex, database: d.o.Database, keepDefiners: d.o.KeepDefiners,
		foreignSequence: func(table string) {
			d.warn.add(WarnForeignSequence, table, "it uses a sequence of another database")
		},
	}
	for {
		c, err := split.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.chunk(c, &split.lex); err != nil {
			return err
		}
	}
}

func (d *dump) chunk(c chunk, lex *scanner) error {
	switch {
	case c.kind == chunkSandbox:
		return nil
	case c.kind == chunkTrailing:
		d.complete = !c.open && hasEndMark(c.data)
		s, begins := d.track.trailing()
		return d.emit(c, c.data, s, begins)
	case !c.first:
		return d.emit(c, c.data, d.track.cur, false)
	case c.kind == chunkDelimiter:
		s, begins := d.track.next(c.data[:c.body], c.statement(), head{verb: "DELIMITER"})
		return d.emit(c, c.data, s, begins)
	}
	stmt := c.statement()
	if c.insert {
		stmt = stmt[:min(len(stmt), 4096)] // a table's name and column list
	}
	h := parseHead(lex, stmt)
	if h.object == "DATABASE" && h.verb != "ALTER" || h.verb == "USE" {
		return fmt.Errorf("unexpected %s %s in the dump of one database", h.verb, h.object)
	}
	if d.filter.dropped(stmt, h) {
		return nil
	}
	s, begins := d.track.next(c.data[:c.body], stmt, h)
	data := c.data
	if !c.insert {
		d.noteCollations(stmt, h, lex)
		data = d.filter.apply(c.data, c.body, c.bodyEnd, h)
	}
	return d.emit(c, data, s, begins)
}

// noteCollations collects what CREATE TABLE names after COLLATE.
func (d *dump) noteCollations(stmt []byte, h head, lex *scanner) {
	if h.verb != "CREATE" || h.object != "TABLE" {
		return
	}
	ts := lex.tokens(stmt)
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		if !t.is(stmt, "COLLATE") {
			continue
		}
		n, ok := ts.next()
		if ok && n.isByte(stmt, '=') {
			n, ok = ts.next()
		}
		if ok && n.isName() {
			d.collations[n.name(stmt)] = true
		}
	}
}

// emit hands bytes to the sink and counts them.
func (d *dump) emit(c chunk, data []byte, s Section, begins bool) error {
	if begins {
		d.tally.begin(s)
		if err := d.sink.BeginSection(s); err != nil {
			return errSink{err}
		}
	}
	if c.insert && s.Kind == SectionData && slices.Contains(d.o.StructureOnly, s.Name) {
		return nil
	}
	if err := d.sink.Statement(data, c.last, c.rows); err != nil {
		return errSink{err}
	}
	d.tally.add(len(data), c.rows, c.last && c.kind == chunkStatement)
	return nil
}

// judge decides whether a dump that ended was a good one.
func (d *dump) judge(ctx context.Context, err error, stderr string) error {
	var sink errSink
	switch {
	case errors.As(err, &sink):
		return &Error{Op: opDump, Subject: d.o.Database, Kind: KindSink, Err: sink.error}
	case ctx.Err() != nil:
		return &Error{Op: opDump, Subject: d.o.Database, Kind: KindCancelled, Err: context.Cause(ctx)}
	case d.o.Salvage && d.complete && classifyLines(stderr).kind != KindUnreachable:
		d.salvaged(stderr) // a program that goes on in spite of errors would also outlive its server
		return nil
	case err != nil:
		return d.failed(err, stderr)
	case !d.complete:
		return failAs(KindIncomplete, opDump, d.o.Database, "try again; if it happens again, run the dump program by hand",
			"the end mark is missing after %d bytes%s", d.tally.total.Bytes, lastWords(stderr))
	}
	return d.judgeWords(stderr)
}

// judgeWords looks at what a program that ended well wrote to standard error.
func (d *dump) judgeWords(stderr string) error {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "rror") || strings.Contains(line, "Couldn't") {
			return d.failed(errors.New("exit status 0, but"), stderr)
		}
		if line != "" {
			d.warn.add(WarnProgram, d.o.Database, line)
		}
	}
	return nil
}

// salvaged turns what a best-effort dump could not read into warnings.
func (d *dump) salvaged(stderr string) {
	for line := range strings.Lines(stderr) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		subject := subjectOf(line)
		if subject == "" {
			subject = d.o.Database
		}
		d.warn.add(WarnSkipped, subject, "not or only partly in the dump: "+line)
	}
}

// failed says why the program failed, in its own words.
func (d *dump) failed(err error, stderr string) error {
	f := classifyLines(stderr)
	subject := d.o.Database
	if s := subjectOf(stderr); s != "" {
		subject = QuoteIdent(subject) + "." + QuoteIdent(s)
	}
	return failAs(f.kind, opDump, subject, f.hint, "%w%s", err, lastWords(stderr))
}

// lastWords returns the end of what a program wrote, as one line to append.
func lastWords(stderr string) string {
	const most = 1000
	words := strings.Join(strings.Fields(stderr), " ")
	if words == "" {
		return ""
	}
	if len(words) > most {
		words = "..." + strings.ToValidUTF8(words[len(words)-most:], "")
	}
	return ": " + words
}
