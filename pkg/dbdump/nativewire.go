package dbdump

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Numbers of the client/server protocol
// (dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html, mariadb.com/kb/en/clientserver-protocol).
const (
	comQuery           = 0x03
	markOK             = 0x00
	markEOF            = 0xfe
	markErr            = 0xff
	markNull           = 0xfb
	flagSSL            = 1 << 11
	flagDeprecateEOF   = 1 << 24
	maxPacket          = 1<<24 - 1
	maxEOFPacket       = 9 // with the deprecated EOF packet a shorter one that begins with 0xfe ends the rows
	maxColumns         = 4096
	handshakeFlagBytes = 8 // header of the packet and capability flags
)

var errMalformed = errors.New("malformed packet from the database server")

// link is one connection of the native engine. The driver opens it and logs in;
// then queries and their text rows go over the socket that the driver was given,
// without an allocation for each row. Under TLS, which the driver keeps to
// itself, its own rows are used, with the same result.
type link struct {
	driver  driver.Conn
	tap     *tapConn
	in      *packetReader
	raw     bool
	id      string      // of the connection on the server
	release func() bool // from the context that interrupts it
	// newEOF: an OK packet ends the rows (CLIENT_DEPRECATE_EOF).
	newEOF bool
}

// tapConn notes the capabilities that the driver agrees on with the server:
// the first bytes it sends.
type tapConn struct {
	net.Conn
	flags uint32
	said  bool
}

func (t *tapConn) Write(b []byte) (int, error) {
	if !t.said && len(b) >= handshakeFlagBytes {
		t.said, t.flags = true, binary.LittleEndian.Uint32(b[4:])
	}
	return t.Conn.Write(b)
}

// dialLink logs in and selects a database.
func dialLink(ctx context.Context, s Server, database string, ahead int) (*link, error) {
	c, err := s.config(database)
	if err != nil {
		return nil, err
	}
	l := &link{}
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if b, ok := conn.(interface{ SetReadBuffer(int) error }); ok && ahead > 0 {
			_ = b.SetReadBuffer(ahead) // the server is as quick as it was without
		}
		l.tap = &tapConn{Conn: conn}
		return l.tap, nil
	}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, scrubErr(err, s.Password)
	}
	if l.driver, err = connector.Connect(ctx); err != nil {
		return nil, scrubErr(err, s.Password)
	}
	l.raw = l.tap.flags&flagSSL == 0
	l.newEOF = l.tap.flags&flagDeprecateEOF != 0
	l.in = newPacketReader(l.tap)
	return l, nil
}

// interrupt makes whatever waits for the server return at once. The connection
// is of no use afterwards.
func (l *link) interrupt() { _ = l.tap.SetDeadline(time.Unix(1, 0)) }

// close ends the connection; the server rolls back and unlocks.
func (l *link) close() {
	if l.release != nil {
		l.release()
	}
	_ = l.driver.Close()
}

// result is the rows of one query. It must be read up to io.EOF before the next query.
type result interface {
	// next returns the next row in the text protocol: for each column 0xfb for
	// NULL, or a length and so many bytes. A row that does not fit into the
	// reader's window comes as a payload that must be read to its end. Both are
	// valid until the next call.
	next() (row []byte, large payload, err error)
	columns() int
}

// payload is a row too large to be looked at whole.
type payload interface {
	// take returns the next bytes, at least one and at most n, or io.EOF at the row's end.
	take(n int) ([]byte, error)
}

// query sends one statement. ctx matters under TLS only: the others are interrupted.
func (l *link) query(ctx context.Context, q string) (result, error) {
	if !l.raw {
		return l.driverQuery(ctx, q)
	}
	if err := l.send(q); err != nil {
		return nil, err
	}
	first, err := l.packet()
	if err != nil {
		return nil, err
	}
	switch first[0] {
	case markOK:
		return emptyResult{}, nil
	case markNull:
		return nil, fmt.Errorf("%w: it asks for a file", errMalformed)
	}
	columns, n, ok := lengthEncoded(first)
	// MariaDB may say behind it whether definitions follow; for a text result they do.
	if !ok || n != len(first) && (n+1 != len(first) || first[n] != 1) || columns > maxColumns {
		return nil, errMalformed
	}
	return l.header(int(columns))
}

// header reads over the definitions of columns.
func (l *link) header(columns int) (result, error) {
	if !l.newEOF {
		columns++
	}
	for range columns {
		if _, err := l.packet(); err != nil {
			return nil, err
		}
	}
	if !l.newEOF {
		columns--
	}
	return &rawResult{link: l, count: columns}, nil
}

func (l *link) send(q string) error {
	if len(q)+1 > maxPacket {
		return errStatementTooLong
	}
	b := make([]byte, 5, 5+len(q))
	binary.LittleEndian.PutUint32(b, uint32(len(q)+1)) // the fourth byte, the packet's number, is 0
	b[4] = comQuery
	_, err := l.tap.Write(append(b, q...))
	return err
}

// packet returns the next packet of a reply's head; an error packet as error.
func (l *link) packet() ([]byte, error) {
	p, large, err := l.in.next()
	switch {
	case err != nil:
		return nil, err
	case large != nil || len(p) == 0:
		return nil, errMalformed
	case p[0] == markErr:
		return nil, serverError(p)
	}
	return p, nil
}

// serverError reads an ERR packet.
func serverError(p []byte) error {
	if len(p) < 3 {
		return errMalformed
	}
	e := &mysql.MySQLError{Number: binary.LittleEndian.Uint16(p[1:])}
	p = p[3:]
	if len(p) >= 6 && p[0] == '#' {
		copy(e.SQLState[:], p[1:6])
		p = p[6:]
	}
	e.Message = string(p)
	return e
}

// lengthEncoded reads a length-encoded integer and returns how many bytes it took.
func lengthEncoded(b []byte) (v uint64, n int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	switch b[0] {
	case 0xfc:
		n = 3
	case 0xfd:
		n = 4
	case 0xfe:
		n = 9
	case markNull, markErr:
		return 0, 0, false
	default:
		return uint64(b[0]), 1, true
	}
	if len(b) < n {
		return 0, 0, false
	}
	for i := n - 1; i > 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v, n, true
}

// emptyResult is that of a statement without rows.
type emptyResult struct{}

func (emptyResult) next() ([]byte, payload, error) { return nil, nil, io.EOF }
func (emptyResult) columns() int                   { return 0 }

// rawResult reads rows off the socket.
type rawResult struct {
	link  *link
	count int
}

func (r *rawResult) columns() int { return r.count }

func (r *rawResult) next() ([]byte, payload, error) {
	p, large, err := r.link.in.next()
	switch {
	case err != nil || large != nil:
		return nil, large, err
	case len(p) == 0:
		return nil, nil, errMalformed
	case p[0] == markErr:
		return nil, nil, serverError(p)
	case p[0] == markEOF && (r.link.newEOF || len(p) < maxEOFPacket):
		return nil, nil, io.EOF // a value of 16 MiB begins so too, but is in a large row
	}
	return p, nil, nil
}

// driverQuery runs a query through the driver.
func (l *link) driverQuery(ctx context.Context, q string) (result, error) {
	rows, err := l.driver.(driver.QueryerContext).QueryContext(ctx, q, nil)
	if err != nil {
		return nil, err
	}
	return &driverResult{rows: rows, values: make([]driver.Value, len(rows.Columns()))}, nil
}

// driverResult gives the driver's rows the form of the text protocol.
type driverResult struct {
	rows   driver.Rows
	values []driver.Value
	row    []byte
}

func (r *driverResult) columns() int { return len(r.values) }

func (r *driverResult) next() ([]byte, payload, error) {
	if err := r.rows.Next(r.values); err != nil {
		cerr := r.rows.Close()
		if errors.Is(err, io.EOF) && cerr != nil {
			err = cerr
		}
		return nil, nil, err
	}
	r.row = r.row[:0]
	for _, v := range r.values {
		var err error
		if r.row, err = appendValue(r.row, v); err != nil {
			return nil, nil, err
		}
	}
	if len(r.row) > windowSize {
		return nil, &bytesPayload{r.row}, nil
	}
	return r.row, nil, nil
}

// appendValue appends a value of the driver as the text protocol has it.
// The driver parses numbers, which may look different when printed again
// (fractions, the year 0000, leading zeros): the query asks for them as texts.
func appendValue(b []byte, v driver.Value) ([]byte, error) {
	var text []byte
	switch v := v.(type) {
	case nil:
		return append(b, markNull), nil
	case []byte:
		text = v
	case string:
		text = []byte(v)
	case int64:
		text = strconv.AppendInt(nil, v, 10)
	case uint64:
		text = strconv.AppendUint(nil, v, 10)
	default:
		return nil, fmt.Errorf("unexpected %T from the driver", v)
	}
	b = append(b, 0xfe)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(text)))
	return append(b, text...), nil
}

// bytesPayload is a large row in memory.
type bytesPayload struct{ rest []byte }

func (p *bytesPayload) take(n int) ([]byte, error) {
	if len(p.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(p.rest))
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b, nil
}
