package dbdump

import (
	"context"
	"fmt"
	"time"
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
	Database string
	// StructureOnly are patterns (path.Match) of tables whose rows are left out;
	// those that match nothing are ignored.
	StructureOnly []string
	KeepDefiners  bool // leave DEFINER clauses in
	// Salvage takes what can be read: what cannot is skipped and named in a
	// warning. Without it any unreadable table or view fails the dump.
	Salvage bool
	Engine  Engine

	// The rest is for the native engine.

	// Parallel is how many connections read at once, in one snapshot; 0 stands
	// for up to 2, by processors and the database's size. More than one needs the
	// privilege LOCK TABLES: tables are locked against writing for the moment in
	// which the connections begin. Without it one connection reads.
	Parallel int
	// LockTables keeps tables without transactions locked against writing until
	// the dump ends. Without it they are named in warnings.
	LockTables bool
	// History takes the history of system-versioned tables too (MariaDB 10.11 and later import it).
	History bool
	// MaxThreadsRunning lets the dump pause while more threads than these are
	// running on the server (Threads_running); 0: never.
	MaxThreadsRunning int
	// Pause, if set, is called between two pieces of what was read, once the
	// snapshot is taken, from several goroutines: it may take its time. Its error
	// ends the dump.
	Pause func(context.Context) error
	// Urgent, if set, is called before tables are locked for a moment, or a client
	// program is started, and done when the lock or the program has ended.
	Urgent func() (done func())
	// Inspected, if set, is what Inspect has just said of the database: it is not asked again.
	Inspected *DatabaseInfo
	// Progress, if set, is called from one goroutine, at most a few times a second.
	Progress func(DumpProgress)
}

// DumpProgress says how far a dump is. The estimates are the server's own, of
// the whole database, and may be far off; the ratio of Rows to EstimatedRows is
// the best there is for the time that is left.
type DumpProgress struct {
	Section        Section
	Bytes          int64 // of the dump so far
	Rows           int64
	EstimatedBytes int64 // data and indexes, as the server stores them
	EstimatedRows  int64
}

// DumpSummary is what a dump held.
type DumpSummary struct {
	Sections []SectionStats // in the order of the dump
	Bytes    int64          // of the dump as the sink got it
	Rows     int64
	Warnings []Warning
	// StructureOnly are the tables whose rows were left out because DumpOptions said so, by name.
	StructureOnly []string
	Server        Version
	Program       Version // of the client engine
	Engine        Engine  // the one that was used
	// Charset and Collation are the database's own defaults: what a new
	// database for this dump must be created with.
	Charset, Collation string
	// Collations are those that the tables name, sorted; the target server must know them.
	Collations []string
}

// TableRows returns the number of rows dumped by table, 0 for empty ones.
func (s DumpSummary) TableRows() map[string]int64 { return tableRows(s.Sections) }

// TableChecksums returns the checksum of each table's rows as 16 hexadecimal
// digits, see SectionStats.Checksum. Both engines give the same, but for tables
// with generated columns, whose values the client dumps too, and for rows of
// binary values of more than 512 KiB.
func (s DumpSummary) TableChecksums() map[string]string { return tableChecksums(s.Sections) }

// Dump writes one consistent dump of a database to sink, and returns only
// when it is complete: everything was read and the end mark written. On an error
// what the sink got is worthless. KindChanged says that somebody altered a table
// meanwhile, and that the whole dump may be tried again; Dump itself does so
// while the sink has got nothing.
func (in *Instance) Dump(ctx context.Context, o DumpOptions, sink Sink) (DumpSummary, error) {
	var d *dump
	var err error
	for range dumpTries {
		d = &dump{in: in, o: o, sink: sink, collations: map[string]bool{}}
		err = d.run(ctx)
		if !d.mayBeginAgain(err) {
			break
		}
		o.Inspected = nil // it has changed since
	}
	return DumpSummary{
		Sections: d.tally.sections, Bytes: d.tally.total.Bytes, Rows: d.tally.total.Rows,
		Warnings: d.warn.list, Server: in.version, Charset: d.info.Charset, Collation: d.info.Collation,
		Collations: sortedKeys(d.collations), Program: d.program, Engine: d.used, StructureOnly: d.structureOnlyNames(),
	}, err
}

// dump is one dump on its way.
type dump struct {
	in         *Instance
	o          DumpOptions
	sink       Sink
	used       Engine
	program    Version // the client engine's
	info       DatabaseInfo
	track      tracker
	filter     filter
	tally      tally
	warn       warnings
	collations map[string]bool
	complete   bool // the end mark was seen
	reported   time.Time
}

const (
	opDump = "dump"
	// dumpTries is how often a dump begins that DDL got in the way of.
	dumpTries = 3
)

func (d *dump) run(ctx context.Context) error {
	if err := d.look(ctx); err != nil {
		return err
	}
	e, err := d.chooseEngine(ctx)
	if err != nil {
		return fail(opDump, d.o.Database, err)
	}
	d.used = EngineNative
	if _, ok := e.(*client); ok {
		d.used = EngineClient
	}
	return d.stream(ctx, e)
}

// mayBeginAgain reports whether a table was altered before the sink got anything.
func (d *dump) mayBeginAgain(err error) bool {
	return KindOf(err) == KindChanged && len(d.tally.sections) == 0
}

// urgent is DumpOptions.Urgent.
func (d *dump) urgent() (done func()) {
	if d.o.Urgent == nil {
		return func() {}
	}
	return d.o.Urgent()
}

// stream lets an engine read.
func (d *dump) stream(ctx context.Context, e engine) error {
	d.filter = filter{
		database: d.o.Database, keepDefiners: d.o.KeepDefiners,
		foreignSequence: func(table string) {
			d.warn.add(WarnForeignSequence, table, "it uses a sequence of another database")
		},
	}
	return e.judge(ctx, e.run(ctx, d.chunk))
}

// look inspects the database, and refuses what would not be dumped whole.
func (d *dump) look(ctx context.Context) error {
	err := d.o.check()
	if err != nil {
		return err
	}
	if d.o.Inspected != nil {
		d.info = *d.o.Inspected
	} else if d.info, err = d.in.Inspect(ctx, d.o.Database); err != nil {
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
		case t.IsTable() && !t.Transactional && !d.o.LockTables:
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

// structureOnlyNames returns the names of the tables that the patterns match.
func (d *dump) structureOnlyNames() []string {
	var names []string
	for _, t := range d.info.Tables {
		if t.IsTable() && d.o.structureOnly(t.Name) {
			names = append(names, t.Name)
		}
	}
	return names
}

// chunk sends a piece of the dump through the filter to the sink.
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
	d.filter.lex = lex
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
	if c.insert && s.Kind == SectionData && d.o.structureOnly(s.Name) {
		return nil
	}
	if err := d.sink.Statement(data, c.last, c.rows); err != nil {
		return errSink{err}
	}
	d.tally.add(len(data), c.rows, c.last && c.kind == chunkStatement)
	d.tally.addSum(c.sum)
	d.report(s)
	return nil
}

func (d *dump) report(s Section) {
	if d.o.Progress == nil || time.Since(d.reported) < progressEvery {
		return
	}
	d.reported = time.Now()
	t := d.tally.total
	d.o.Progress(DumpProgress{
		Section: s, Bytes: t.Bytes, Rows: t.Rows, EstimatedBytes: d.info.Bytes, EstimatedRows: d.info.Rows,
	})
}
