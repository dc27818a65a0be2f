package dbdump

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

const (
	// pieceSize is how much of a long INSERT is handed out at once; mysqldump's
	// own statements (net_buffer_length, just under 1 MiB) fit in one piece.
	pieceSize = 1 << 20
	// readRoom is the least free space a read is given.
	readRoom = 64 << 10
	// maxStatement bounds statements that are not handed out in pieces: DDL,
	// of which routines are the longest.
	maxStatement = 64 << 20
	// lookahead is the longest opening that decides what a byte means: /*M!999999\-
	lookahead = 12
)

var errStatementTooLong = errors.New("statement is too long")

// chunkKind says what a chunk is.
type chunkKind int

const (
	chunkStatement chunkKind = iota // a statement, or a piece of a long INSERT
	chunkDelimiter                  // a DELIMITER command of the client, a whole line
	chunkSandbox                    // MariaDB's line that turns on the client's sandbox mode
	chunkTrailing                   // comments and blanks after the last statement
)

// chunk is a part of a stream of SQL. All chunks together are the stream. Its
// data is valid until the next call of next.
type chunk struct {
	kind        chunkKind
	data        []byte // with the comments before the statement, its terminator and line end
	first, last bool   // both true unless this is a piece of a statement
	body        int    // where the statement begins in data, after comments; valid if first
	bodyEnd     int    // where its terminator begins; valid if last
	insert      bool   // the statement is an INSERT or REPLACE
	rows        int64  // rows of VALUES that begin in this chunk
	sum         uint64 // of the rows that end in it, see rowHash
	// The stream ended inside of a statement, and inside of a string or comment.
	unterminated, open bool
}

// statement returns the statement without comments and terminator. The chunk
// must be a whole one.
func (c chunk) statement() []byte { return c.data[c.body:c.bodyEnd] }

// splitter cuts a stream of SQL, as the mysql client would, into statements.
// It keeps no more than one statement in memory, and of an INSERT, when pieces
// is set, no more than about a piece.
type splitter struct {
	r      io.Reader
	buf    []byte
	start  int // of the current chunk
	end    int // of what was read
	eof    bool
	limit  int
	pieces bool
	lex    scanner
	piece  bool // a piece of the current statement was handed out
}

// newSplitter reads from r. skips says which versioned comments the server
// will not execute; nil means it executes all.
func newSplitter(r io.Reader, skips func([]byte) bool) *splitter {
	s := &splitter{r: r, buf: make([]byte, pieceSize+4*readRoom), limit: maxStatement, pieces: true}
	s.lex.skips = skips
	s.lex.setDelimiter([]byte(";"))
	s.lex.reset()
	return s
}

// next returns the next chunk, or io.EOF.
func (s *splitter) next() (chunk, error) {
	for {
		if s.lex.scan(s.buf[:s.end], s.eof) {
			return s.cut(), nil
		}
		if s.eof {
			return s.rest()
		}
		if s.pieces && s.lex.values && s.lex.pos-s.start >= pieceSize {
			return s.cutPiece(), nil
		}
		if err := s.fill(); err != nil {
			return chunk{}, err
		}
	}
}

// cut takes the finished chunk off the buffer.
func (s *splitter) cut() chunk {
	l := &s.lex
	c := chunk{
		kind: l.kind, data: s.buf[s.start:l.pos], first: !s.piece, last: true,
		body: l.body - s.start, bodyEnd: l.bodyEnd - s.start, insert: l.insert, rows: l.rows, sum: l.row.take(),
	}
	if c.kind == chunkStatement && !c.insert {
		l.noteSQLMode(c.statement())
	}
	s.start, s.piece = l.pos, false
	l.reset()
	return c
}

// cutPiece takes what was scanned of a long INSERT off the buffer.
func (s *splitter) cutPiece() chunk {
	l := &s.lex
	l.row.cut(s.buf, l.pos)
	c := chunk{
		kind: chunkStatement, data: s.buf[s.start:l.pos], first: !s.piece,
		body: max(l.body-s.start, 0), bodyEnd: l.pos - s.start, insert: true, rows: l.rows, sum: l.row.take(),
	}
	s.start, s.piece, l.rows = l.pos, true, 0
	return c
}

// rest returns what is left when the stream ends.
func (s *splitter) rest() (chunk, error) {
	l := &s.lex
	if s.start == s.end {
		return chunk{}, io.EOF
	}
	open := l.mode != inCode && l.mode != inLineComment || l.version
	l.pos, l.bodyEnd = s.end, s.end
	if !l.started {
		l.kind, l.body = chunkTrailing, s.end
	}
	unterminated := l.kind == chunkStatement
	c := s.cut()
	c.open, c.unterminated = open, unterminated
	return c, nil
}

// fill reads more, making room first.
func (s *splitter) fill() error {
	if len(s.buf)-s.end < readRoom {
		if err := s.makeRoom(); err != nil {
			return err
		}
	}
	n, err := s.r.Read(s.buf[s.end:])
	s.end += n
	if errors.Is(err, io.EOF) {
		s.eof = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

// makeRoom moves what is not handed out yet to the front, or grows the buffer.
func (s *splitter) makeRoom() error {
	if s.start > 0 {
		copy(s.buf, s.buf[s.start:s.end])
		s.lex.shift(s.start)
		s.end -= s.start
		s.start = 0
	}
	if len(s.buf)-s.end >= readRoom {
		return nil
	}
	if s.end >= s.limit {
		return errStatementTooLong
	}
	grown := make([]byte, min(2*len(s.buf), s.limit+2*readRoom))
	copy(grown, s.buf[:s.end])
	s.buf = grown
	return nil
}

// noteSQLMode follows SET sql_mode, because two modes change what a quote is.
func (l *scanner) noteSQLMode(stmt []byte) {
	if len(stmt) > 4096 || !containsFold(stmt, "SQL_MODE") {
		return
	}
	ts := l.tokens(stmt)
	isSet := false
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		isSet = isSet || t.is(stmt, "SET")
		if !isSet || !t.is(stmt, "SQL_MODE") {
			continue
		}
		if eq, ok := ts.next(); !ok || !eq.isByte(stmt, '=') {
			continue
		}
		v, _ := ts.next()
		text := bytes.ToUpper(stmt[v.start:v.end])
		literal := v.kind == tokString || v.kind == tokDouble
		l.noBackslash = literal && bytes.Contains(text, []byte("NO_BACKSLASH_ESCAPES"))
		l.ansiQuotes = literal && bytes.Contains(text, []byte("ANSI_QUOTES"))
	}
}
