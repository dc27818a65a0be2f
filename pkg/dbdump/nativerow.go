package dbdump

import (
	"bytes"
	"errors"
	"io"
	"math"
)

// columnKind says how a column's values are written.
type columnKind byte

const (
	kindText   columnKind = iota // in quotes
	kindNumber                   // bare
	kindBinary                   // in hexadecimal
)

const (
	// A statement ends no earlier than at stmtLeast bytes, by the content of its
	// last row with a mean distance of stmtMean from there, and at the latest at
	// stmtMost: below the 1 MiB that old servers take at most.
	stmtLeast = 512 << 10
	stmtMean  = 192 << 10
	stmtMost  = 1<<20 - 4<<10
	// blockSize is what a buffer for statements has.
	blockSize = 1<<20 + windowSize/2
)

// appendRow appends (value,...) for a row of the text protocol.
func appendRow(b, row []byte, kinds []columnKind) ([]byte, error) {
	b = append(b, '(')
	for i, k := range kinds {
		if i > 0 {
			b = append(b, ',')
		}
		if len(row) > 0 && row[0] == markNull {
			b, row = append(b, "NULL"...), row[1:]
			continue
		}
		n, skip, ok := lengthEncoded(row)
		if !ok || n > uint64(len(row)-skip) {
			return nil, errMalformed
		}
		b = appendColumn(b, row[skip:skip+int(n)], k)
		row = row[skip+int(n):]
	}
	if len(row) > 0 {
		return nil, errMalformed
	}
	return append(b, ')'), nil
}

// appendColumn appends one value that is not NULL.
func appendColumn(b, v []byte, k columnKind) []byte {
	switch {
	case k == kindNumber && isNumber(v):
		return append(b, v...)
	case k == kindNumber: // inf or nan, which SQL has no words for
		return append(b, "NULL"...)
	case k == kindBinary && len(v) > 0:
		return appendHex(append(b, "0x"...), v)
	}
	b = append(b, '\'')
	b = appendEscaped(b, v)
	return append(b, '\'')
}

func isNumber(v []byte) bool {
	v = bytes.TrimPrefix(v, []byte("-"))
	return len(v) > 0 && v[0] <= '9'
}

// largeEncoder writes a row as it comes in. Binary values are escaped strings
// here, as half the length of hexadecimal leaves them room below
// max_allowed_packet.
type largeEncoder struct {
	in   payload
	emit func(piece []byte) error
	buf  []byte
}

const largePiece = 128 << 10

// encode reads in up to its end.
func (e *largeEncoder) encode(kinds []columnKind) error {
	e.buf = append(e.buf[:0], '(')
	for i, k := range kinds {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		if err := e.column(k); err != nil {
			return err
		}
	}
	if _, err := e.in.take(1); !errors.Is(err, io.EOF) {
		return errors.Join(errMalformed, err)
	}
	e.buf = append(e.buf, ')')
	return e.emit(e.buf)
}

func (e *largeEncoder) column(k columnKind) error {
	n, null, err := e.length()
	if err != nil {
		return err
	}
	if null {
		e.buf = append(e.buf, "NULL"...)
		return nil
	}
	if k == kindNumber {
		return e.number(n)
	}
	if k == kindBinary && n > 0 {
		e.buf = append(e.buf, "_binary "...)
	}
	e.buf = append(e.buf, '\'')
	for n > 0 {
		v, err := e.in.take(int(min(n, largePiece)))
		if err != nil {
			return cutRow(err)
		}
		n -= uint64(len(v))
		if e.buf = appendEscaped(e.buf, v); len(e.buf) >= largePiece {
			if err := e.emit(e.buf); err != nil {
				return err
			}
			e.buf = e.buf[:0]
		}
	}
	e.buf = append(e.buf, '\'')
	return nil
}

func (e *largeEncoder) number(n uint64) error {
	const most = 1 << 10
	if n > most {
		return errMalformed
	}
	v, err := e.exactly(int(n))
	if err == nil {
		e.buf = appendColumn(e.buf, v, kindNumber)
	}
	return err
}

// length reads the length of a value, or that it is NULL.
func (e *largeEncoder) length() (n uint64, null bool, err error) {
	first, err := e.exactly(1)
	if err != nil || first[0] == markNull {
		return 0, err == nil, err
	}
	size := map[byte]int{0xfc: 2, 0xfd: 3, 0xfe: 8}[first[0]]
	rest, err := e.exactly(size)
	if err != nil {
		return 0, false, err
	}
	n, _, ok := lengthEncoded(append(first, rest...))
	if !ok {
		return 0, false, errMalformed
	}
	return n, false, nil
}

// exactly returns a copy of the next n bytes.
func (e *largeEncoder) exactly(n int) ([]byte, error) {
	b := make([]byte, 0, n)
	for len(b) < n {
		v, err := e.in.take(n - len(b))
		if err != nil {
			return nil, cutRow(err)
		}
		b = append(b, v...)
	}
	return b, nil
}

// cutRow says that a row ended within a value.
func cutRow(err error) error {
	if errors.Is(err, io.EOF) {
		return errMalformed
	}
	return err
}

// endsStatement reports whether a statement of so many bytes ends behind a row.
func endsStatement(size int, hash uint64, row int) bool {
	if size < stmtLeast {
		return false
	}
	return size >= stmtMost || row >= stmtMean || hash < uint64(row)*(math.MaxUint64/stmtMean)
}
