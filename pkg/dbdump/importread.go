package dbdump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unsafe"
)

// order is a part of a dump on its way to the server.
type order struct {
	err     error  // what is wrong with the dump from here on
	sql     string // "": nothing to execute
	section Section
	begins  bool
	number  int64 // of the statement, from 1
	bytes   int
	rows    int64
	insert  bool
	definer bool // it makes something that has a definer
	// What it does, in capitals, and to what.
	verb, object, name string
	references         bool // it may make a foreign key
	toggle             bool // ALTER TABLE ... DISABLE or ENABLE KEYS
	// The modes under which it was read.
	noBackslash, ansiQuotes bool
	// over, if not nil, is closed when nothing needs sql any more, which lies in
	// the splitter's buffer.
	over chan struct{}
}

// hugeStatement is how long an INSERT is, in bytes, that goes in alone and is
// copied only by the driver: with what is read ahead, it and its copies would
// take ten times its length.
const hugeStatement = 8 << 20

// read cuts the dump into orders. What is wrong with the dump goes to the queue
// as well, so that a statement before it that fails is what gets reported.
func (im *importer) read(ctx context.Context, queue chan<- order) error {
	for {
		o, err := im.nextOrder(ctx)
		if errors.Is(err, io.EOF) {
			err = im.checkEnd()
			if err == nil {
				return nil
			}
		}
		o.err = err
		select {
		case queue <- o:
		case <-ctx.Done():
			return fail(opImport, im.o.Database, context.Cause(ctx))
		}
		if err != nil {
			return nil
		}
		if err := im.await(ctx, o); err != nil {
			return err
		}
	}
}

// await returns when the splitter's buffer may be used again.
func (im *importer) await(ctx context.Context, o order) error {
	if o.over == nil {
		return nil
	}
	select {
	case <-o.over:
		return nil
	case <-ctx.Done():
		return fail(opImport, im.o.Database, context.Cause(ctx))
	}
}

func (im *importer) nextOrder(ctx context.Context) (order, error) {
	c, err := im.split.next()
	if errors.Is(err, io.EOF) {
		return order{}, io.EOF
	}
	if err != nil {
		return order{}, im.readFailed(ctx, err)
	}
	return im.order(c)
}

func (im *importer) readFailed(ctx context.Context, err error) error {
	subject := im.subject(im.track.cur)
	switch {
	case errors.Is(err, errStatementTooLong):
		return failAs(KindTooLarge, opImport, subject, "raise max_allowed_packet on the database server",
			"statement %d is longer than the server's max_allowed_packet of %d bytes", im.count+1, im.split.limit)
	case ctx.Err() != nil:
		return fail(opImport, subject, context.Cause(ctx))
	}
	return &Error{Op: opImport, Subject: subject, Kind: KindSink, Err: err}
}

func (im *importer) checkEnd() error {
	if im.ended || im.o.NoEndMark {
		return im.checkChosen()
	}
	return failAs(KindIncomplete, opImport, im.o.Database, "take another backup: this dump is cut off",
		"the dump ends in %s without its end mark", im.track.cur)
}

func (im *importer) subject(s Section) string {
	if s.Kind == "" {
		return im.o.Database
	}
	return im.o.Database + ", " + s.String()
}

// order decides what becomes of a chunk.
func (im *importer) order(c chunk) (order, error) {
	o := order{bytes: len(c.data), rows: c.rows, insert: c.insert}
	lex := &im.split.lex
	if c.open || c.unterminated && !im.o.NoEndMark {
		return o, failAs(KindIncomplete, opImport, im.subject(im.track.cur), "take another backup: this dump is cut off",
			"the dump ends within a statement")
	}
	if c.kind != chunkStatement {
		return im.passive(c, o), nil
	}
	stmt := c.statement()
	h := parseHead(lex, stmt)
	o.section, o.begins = im.track.next(c.data[:c.body], stmt, h)
	if len(stmt) == 0 || h.verb == "LOCK" || h.verb == "UNLOCK" || im.filter.dropped(stmt, h) {
		return o, nil // nobody else is in this database, and locks would shut out sequences
	}
	if !im.wanted(o.section, h) {
		o.rows = 0
		return o, nil
	}
	im.count++
	o.number = im.count
	out := stmt
	if !c.insert {
		out = im.filter.apply(stmt, 0, len(stmt), h)
		h = parseHead(lex, out)
	}
	if err := im.policy.check(out, h); err != nil {
		return o, failAs(KindRefused, opImport, im.subject(o.section), "check where this dump comes from",
			"statement %d is refused: %w: %s", o.number, err, excerpt(out))
	}
	o.describe(lex, out, h)
	if c.insert && len(out) >= hugeStatement {
		o.sql, o.over = unsafe.String(&out[0], len(out)), make(chan struct{})
	} else {
		o.sql = string(out)
	}
	o.definer = h.verb == "CREATE" && hasDefiner(h.object) && o.section.Kind != SectionPlaceholder
	return o, nil
}

// describe notes what a statement does.
func (o *order) describe(lex *scanner, stmt []byte, h head) {
	o.verb, o.object, o.name = h.verb, h.object, h.name
	o.noBackslash, o.ansiQuotes = lex.noBackslash, lex.ansiQuotes
	if h.object != "TABLE" || o.insert {
		return
	}
	o.references = containsFold(stmt, "REFERENCES")
	o.toggle = h.verb == "ALTER" && togglesKeys(lex, stmt)
}

// togglesKeys reports whether a statement is ALTER TABLE name DISABLE KEYS, or ENABLE KEYS.
func togglesKeys(lex *scanner, stmt []byte) bool {
	var all []token
	ts := lex.tokens(stmt)
	for t, ok := ts.next(); ok && len(all) < 6; t, ok = ts.next() {
		if t.kind != tokOpen && t.kind != tokClose {
			all = append(all, t)
		}
	}
	return len(all) == 5 && all[3].isAny(stmt, "DISABLE", "ENABLE") && all[4].is(stmt, "KEYS")
}

// passive handles what is not for the server.
func (im *importer) passive(c chunk, o order) order {
	if c.kind == chunkTrailing {
		im.ended = hasEndMark(c.data)
		o.section, o.begins = im.track.trailing()
		return o
	}
	h := head{}
	if c.kind == chunkDelimiter {
		h.verb = "DELIMITER"
	}
	o.section, o.begins = im.track.next(c.data[:c.body], nil, h)
	return o
}

func hasDefiner(object string) bool {
	switch object {
	case "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE":
		return true
	}
	return false
}

// excerpt returns the beginning of a statement for a message.
func excerpt(stmt []byte) string {
	const most = 60
	if len(stmt) <= most {
		return fmt.Sprintf("%q", stmt)
	}
	return fmt.Sprintf("%q...", stmt[:most])
}
