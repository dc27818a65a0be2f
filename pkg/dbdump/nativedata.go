package dbdump

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"strings"
)

// dataWriter turns rows of one table into statements of bounded length.
type dataWriter struct {
	w     *partWriter
	head  string // INSERT INTO `t` VALUES
	kinds []columnKind
	large largeEncoder

	buf  []byte
	rows int64 // in buf
	sum  uint64
}

// readRows asks for rows and sends them as statements.
func (w *partWriter) readRows(ctx context.Context, l *link, t *table, query string) error {
	res, err := l.query(ctx, query)
	if err != nil {
		return err
	}
	return w.copyRows(res, t)
}

// copyRows sends the rows of a result as statements. What was read before an
// error is sent too, as whole rows.
func (w *partWriter) copyRows(res result, t *table) error {
	d := &dataWriter{w: w, head: t.insertHead(), kinds: t.kinds()}
	if res.columns() != len(d.kinds) {
		return errMalformed
	}
	d.begin()
	defer func() { w.free.put(d.buf) }()
	for {
		row, large, err := res.next()
		switch {
		case errors.Is(err, io.EOF):
			return d.flush()
		case err != nil:
			return errors.Join(err, d.flush())
		case large != nil:
			err = d.addLarge(large)
		default:
			err = d.add(row)
		}
		if err != nil {
			return err
		}
	}
}

// insertHead returns what a statement of this table begins with. Columns are
// named where a SELECT * would not give just them.
func (t *table) insertHead() string {
	head := "INSERT INTO " + QuoteIdent(t.info.Name)
	if t.named {
		head += " (" + t.columnList(func(c column) string { return QuoteIdent(c.name) }) + ")"
	}
	return head + " VALUES\n"
}

func (t *table) columnList(show func(column) string) string {
	var list []string
	for _, c := range t.columns {
		if c.kind != kindGenerated {
			list = append(list, show(c))
		}
	}
	return strings.Join(list, ", ")
}

// kinds returns the kinds of the columns that have values.
func (t *table) kinds() []columnKind {
	var kinds []columnKind
	for _, c := range t.columns {
		if c.kind != kindGenerated {
			kinds = append(kinds, c.kind)
		}
	}
	return kinds
}

func (d *dataWriter) begin() {
	d.buf, d.rows = append(d.w.buffer(), d.head...), 0
}

// add adds a row and ends the statement where its content says so.
func (d *dataWriter) add(row []byte) error {
	if d.rows > 0 && len(d.buf)+2*len(row) > stmtMost {
		if err := d.flush(); err != nil {
			return err
		}
	}
	if d.rows > 0 {
		d.buf = append(d.buf, ",\n"...)
	}
	from := len(d.buf)
	buf, err := appendRow(d.buf, row, d.kinds)
	if err != nil {
		return err
	}
	d.buf = buf
	d.rows++
	text := d.buf[from:]
	h := rowHash(crc32.Checksum(text, castagnoli), int64(len(text)))
	d.sum += h
	if endsStatement(len(d.buf), h, len(text)) {
		return d.flush()
	}
	return nil
}

// flush sends the statement, if it has rows.
func (d *dataWriter) flush() error {
	if d.rows == 0 {
		return nil
	}
	end := len(d.buf)
	d.buf = append(d.buf, ";\n"...)
	b := batch{buf: d.buf, chunks: []chunk{{
		data: d.buf, first: true, last: true, bodyEnd: end, insert: true, rows: d.rows, sum: d.sum,
	}}}
	d.sum = 0
	if err := d.w.send(b); err != nil {
		return err
	}
	d.begin()
	return nil
}

// addLarge sends a row that does not fit into the window as a statement of its
// own, in pieces.
func (d *dataWriter) addLarge(p payload) error {
	if err := d.flush(); err != nil {
		return err
	}
	first, length, crc := true, int64(0), uint32(0)
	d.large.in = p
	d.large.emit = func(piece []byte) error {
		length += int64(len(piece))
		crc = crc32.Update(crc, castagnoli, piece)
		if d.buf = append(d.buf, piece...); len(d.buf) < pieceSize {
			return nil
		}
		c := chunk{data: d.buf, first: first, bodyEnd: len(d.buf), insert: true}
		first = false
		err := d.w.send(batch{buf: d.buf, chunks: []chunk{c}})
		d.buf = d.w.buffer()
		return err
	}
	if err := d.large.encode(d.kinds); err != nil {
		return err
	}
	end := len(d.buf)
	d.buf = append(d.buf, ";\n"...)
	c := chunk{data: d.buf, first: first, last: true, bodyEnd: end, insert: true, rows: 1, sum: rowHash(crc, length)}
	if err := d.w.send(batch{buf: d.buf, chunks: []chunk{c}}); err != nil {
		return err
	}
	d.begin()
	return nil
}

// selectRows returns the query for rows, of all or of those that where lets through.
func (n *native) selectRows(l *link, t *table, where string) string {
	list := t.columnList(func(c column) string {
		if c.asText && !l.raw {
			return "CONCAT(" + QuoteIdent(c.name) + ")" // as text, see appendValue
		}
		return QuoteIdent(c.name)
	})
	q := "SELECT /*!40001 SQL_NO_CACHE */ " + list + " FROM " + QuoteIdent(t.info.Name)
	if t.history {
		q += " FOR SYSTEM_TIME ALL"
	}
	if t.primary {
		q += " FORCE INDEX (PRIMARY)" // in its order, so that a row has always the same neighbours
	}
	if where != "" {
		q += " WHERE " + where
	}
	return q
}
