package dbdump

import "bytes"

// lexMode is what the scanner is inside of.
type lexMode int

const (
	inCode lexMode = iota
	inString
	inDouble
	inBackticks
	inLineComment
	inBlockComment
	inSkipped // a versioned comment that the server skips: one more comment may nest in it
)

// Classes of bytes in code. Everything else is skipped over.
const (
	classPlain   = iota
	classQuote   // ' " `
	classComment // # - /
	classStar    // may end a versioned comment
	classParen
	classLetterV // may begin VALUES
	classDelimiter
)

// scanner finds the end of statements. Its rules are those of the mysql client
// (add_line in client/mysql.cc) and of the server's lexer, and where they
// differ the statement gets longer, which a server without multi-statements rejects.
type scanner struct {
	skips       func([]byte) bool
	delimiter   []byte
	class       [256]byte
	noBackslash bool
	ansiQuotes  bool

	pos  int
	kind chunkKind
	mode lexMode
	// Of the current statement:
	started bool // something other than comments and blanks was seen
	ended   bool // its terminator was seen
	body    int
	bodyEnd int
	version bool // inside of /*! ... */
	nested  bool // a comment inside of a skipped one
	insert  bool
	values  bool // after the VALUES of an INSERT
	depth   int  // of parentheses
	rows    int64
	row     rowSum
}

// setDelimiter changes what ends a statement.
func (l *scanner) setDelimiter(d []byte) {
	l.delimiter = bytes.Clone(d)
	l.class = [256]byte{
		'\'': classQuote, '"': classQuote, '`': classQuote, '#': classComment, '-': classComment,
		'/': classComment, '*': classStar, '(': classParen, ')': classParen, 'v': classLetterV, 'V': classLetterV,
	}
	if l.class[d[0]] == classPlain {
		l.class[d[0]] = classDelimiter
	}
}

// reset prepares for the next chunk, at pos.
func (l *scanner) reset() {
	l.kind, l.mode = chunkStatement, inCode
	l.started, l.ended, l.version, l.nested, l.insert, l.values = false, false, false, false, false, false
	l.depth, l.rows, l.row = 0, 0, rowSum{from: -1}
	l.body, l.bodyEnd = l.pos, l.pos
}

// shift follows the buffer when its first n bytes go.
func (l *scanner) shift(n int) {
	l.pos -= n
	l.body -= n
	l.bodyEnd -= n
	l.row.from -= n
}

// scan goes on from where it stopped and reports whether it found the end of a
// chunk. It stops early where more bytes could change the meaning, unless eof.
func (l *scanner) scan(b []byte, eof bool) bool {
	for l.pos < len(b) {
		var done, stuck bool
		switch l.mode {
		case inString, inDouble, inBackticks:
			stuck = l.scanQuoted(b)
		case inLineComment:
			l.scanLine(b)
		case inBlockComment:
			stuck = l.scanBlock(b)
		case inSkipped:
			stuck = l.scanSkipped(b, eof)
		default:
			done, stuck = l.scanPlain(b, eof)
		}
		if done || stuck {
			return done
		}
	}
	return eof && l.ended
}

// scanPlain goes on outside of strings and comments.
func (l *scanner) scanPlain(b []byte, eof bool) (done, stuck bool) {
	switch {
	case l.ended:
		return l.scanLineEnd(b, eof)
	case l.started:
		return false, l.scanCode(b, eof)
	}
	return l.scanLead(b, eof)
}

// scanQuoted goes to the end of the string. A quote ends it unless the run of
// backslashes right before it is odd; a doubled quote ends one and begins another.
func (l *scanner) scanQuoted(b []byte) (stuck bool) {
	quote, escapes := byte('\''), !l.noBackslash
	switch l.mode {
	case inDouble:
		quote, escapes = '"', escapes && !l.ansiQuotes
	case inBackticks:
		quote, escapes = '`', false
	}
	from := l.pos
	for {
		i := bytes.IndexByte(b[l.pos:], quote)
		if i < 0 {
			l.pos = len(b)
			if escapes && oddBackslashes(b[from:]) {
				l.pos-- // it may escape the first byte to come
				return true
			}
			return false
		}
		l.pos += i + 1
		if !escapes || !oddBackslashes(b[from:l.pos-1]) {
			l.mode = inCode
			return false
		}
	}
}

// oddBackslashes reports whether b ends in an odd number of backslashes.
func oddBackslashes(b []byte) bool {
	n := 0
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

func (l *scanner) scanLine(b []byte) {
	i := bytes.IndexByte(b[l.pos:], '\n')
	if i < 0 {
		l.pos = len(b)
		return
	}
	l.pos += i + 1
	l.mode = inCode
}

func (l *scanner) scanBlock(b []byte) (stuck bool) {
	i := bytes.Index(b[l.pos:], []byte("*/"))
	if i >= 0 {
		l.pos += i + 2
		l.mode = inCode
		return false
	}
	l.pos = max(l.pos, len(b)-1) // the last byte may be the star
	return true
}

func (l *scanner) scanSkipped(b []byte, eof bool) (stuck bool) {
	for l.pos < len(b) {
		if l.pos+1 == len(b) && !eof {
			return true
		}
		switch rest := b[l.pos:]; {
		case bytes.HasPrefix(rest, []byte("*/")):
			l.pos += 2
			if !l.nested {
				l.mode = inCode
				return false
			}
			l.nested = false
		case bytes.HasPrefix(rest, []byte("/*")):
			l.pos += 2
			l.nested = true
		default:
			l.pos++
		}
	}
	return false
}

// scanCode goes over a statement until it ends, or a string or comment begins.
func (l *scanner) scanCode(b []byte, eof bool) (stuck bool) {
	for l.pos < len(b) {
		n := 0
		for _, c := range b[l.pos:] {
			if l.class[c] != classPlain {
				break
			}
			n++
		}
		l.pos += n
		if l.pos == len(b) {
			return false
		}
		c := b[l.pos]
		if l.values && l.delimiter[0] != c {
			switch c { // most of what data has
			case '(':
				l.depth++
				if l.depth == 1 {
					l.rows++
					l.row.from = l.pos
				}
				l.pos++
				continue
			case ')':
				l.depth--
				l.pos++
				if l.depth == 0 {
					l.row.end(b, l.pos)
				}
				continue
			case '\'':
				l.mode = inString
				l.pos++
				return false
			}
		}
		if !eof && len(b)-l.pos < max(lookahead, len(l.delimiter)) {
			return true
		}
		if l.special(b) {
			return false
		}
	}
	return false
}

// special looks at one byte that may mean something. It reports whether the
// mode changed or the statement ended.
func (l *scanner) special(b []byte) bool {
	rest := b[l.pos:]
	if !l.version && bytes.HasPrefix(rest, l.delimiter) {
		l.end()
		return true
	}
	switch l.class[rest[0]] {
	case classQuote:
		l.openQuote(rest[0])
		return true
	case classComment:
		return l.openComment(rest)
	case classStar:
		l.closeVersion(rest)
	case classParen:
		l.paren(rest[0])
	case classLetterV:
		l.letterV(b)
	}
	l.pos++
	return false
}

// end notes the terminator at pos.
func (l *scanner) end() {
	l.ended, l.bodyEnd = true, l.pos
	l.pos += len(l.delimiter)
}

func (l *scanner) openQuote(c byte) {
	l.mode = inString
	switch c {
	case '"':
		l.mode = inDouble
	case '`':
		l.mode = inBackticks
	}
	l.pos++
}

// openComment enters the comment that rest begins with. If there is none it
// skips a byte and reports false.
func (l *scanner) openComment(rest []byte) bool {
	switch openerOf(rest) {
	case openLine:
		l.mode = inLineComment
	case openBlock:
		l.mode = inBlockComment
		l.pos += 2
	case openVersion:
		if l.skips != nil && l.skips(rest) {
			l.mode = inSkipped
		} else {
			l.version = true
		}
		l.pos += versionMark(rest)
	default:
		l.pos++
		return false
	}
	return true
}

func (l *scanner) closeVersion(rest []byte) {
	if l.version && len(rest) > 1 && rest[1] == '/' {
		l.version = false
		l.pos++
	}
}

func (l *scanner) paren(c byte) {
	if c == ')' {
		l.depth--
		return
	}
	l.depth++
	if l.values && l.depth == 1 {
		l.rows++
	}
}

// letterV notices the VALUES of an INSERT.
func (l *scanner) letterV(b []byte) {
	if !l.insert || l.values || l.depth != 0 || isWordByte(b[l.pos-1]) {
		return
	}
	w := wordAt(b[l.pos:])
	if foldEqual(w, "VALUES") || foldEqual(w, "VALUE") {
		l.values = true
	}
}
