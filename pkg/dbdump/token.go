package dbdump

import "bytes"

// tokenKind is the kind of a token of SQL.
type tokenKind int

const (
	tokWord   tokenKind = iota // name, keyword or number
	tokIdent                   // `name`
	tokString                  // 'text'
	tokDouble                  // "text": a string, or a name under ANSI_QUOTES
	tokByte                    // one other byte
	tokOpen                    // the start of a versioned comment, with its number
	tokClose                   // its end
)

// token is a part of a statement. Comments and blanks are no tokens.
type token struct {
	kind       tokenKind
	start, end int
}

// is reports whether t is this word, given in capitals.
func (t token) is(stmt []byte, upper string) bool {
	return t.kind == tokWord && foldEqual(stmt[t.start:t.end], upper)
}

// isAny reports whether t is one of these words.
func (t token) isAny(stmt []byte, upper ...string) bool {
	for _, u := range upper {
		if t.is(stmt, u) {
			return true
		}
	}
	return false
}

func (t token) isByte(stmt []byte, c byte) bool {
	return t.kind == tokByte && stmt[t.start] == c
}

// isName reports whether t can be the name of something.
func (t token) isName() bool {
	return t.kind == tokWord || t.kind == tokIdent || t.kind == tokDouble
}

// name returns the name that t stands for, without its quotes.
func (t token) name(stmt []byte) string {
	s := stmt[t.start:t.end]
	if t.kind == tokWord || len(s) < 2 {
		return string(s)
	}
	q := s[:1]
	return string(bytes.ReplaceAll(s[1:len(s)-1], append(q[:1:1], q...), q))
}

// tokens iterates over the tokens of one statement.
type tokens struct {
	b   []byte
	lex scanner // modes and skips, as in the stream
	ver bool
	pos int
}

// tokens returns the tokens of stmt under the current modes.
func (l *scanner) tokens(stmt []byte) *tokens {
	return &tokens{b: stmt, lex: scanner{skips: l.skips, noBackslash: l.noBackslash, ansiQuotes: l.ansiQuotes}}
}

// next returns the next token, or false at the end.
func (ts *tokens) next() (token, bool) {
	for ts.pos < len(ts.b) {
		rest := ts.b[ts.pos:]
		c := rest[0]
		switch {
		case isSpace(c):
			ts.pos++
		case c == '#' || c == '-' || c == '/':
			if t, ok := ts.comment(rest); ok {
				return t, true
			}
		case c == '*' && ts.ver && len(rest) > 1 && rest[1] == '/':
			ts.ver = false
			return ts.take(tokClose, 2), true
		case c == '\'' || c == '"' || c == '`':
			return ts.quoted(c), true
		case isWordByte(c):
			return ts.take(tokWord, len(wordAt(rest))), true
		default:
			return ts.take(tokByte, 1), true
		}
	}
	return token{}, false
}

func (ts *tokens) take(k tokenKind, n int) token {
	t := token{kind: k, start: ts.pos, end: ts.pos + n}
	ts.pos += n
	return t
}

// comment skips a comment, or returns the token that rest begins with.
func (ts *tokens) comment(rest []byte) (token, bool) {
	o := openerOf(rest)
	switch {
	case o == openNone:
		return ts.take(tokByte, 1), true
	case o == openVersion && (ts.lex.skips == nil || !ts.lex.skips(rest)):
		n := versionMark(rest)
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		ts.ver = true
		return ts.take(tokOpen, n), true
	}
	ts.run(func() { ts.lex.openComment(rest) })
	return token{}, false
}

// quoted takes a string or quoted name, up to the end if it is not closed. Two
// that touch are one with a doubled quote in it.
func (ts *tokens) quoted(c byte) token {
	start := ts.pos
	for ts.pos < len(ts.b) && ts.b[ts.pos] == c {
		ts.run(func() { ts.lex.openQuote(c) })
	}
	kind := tokString
	switch c {
	case '"':
		kind = tokDouble
	case '`':
		kind = tokIdent
	}
	return token{kind: kind, start: start, end: ts.pos}
}

// run lets the scanner go over what open begins.
func (ts *tokens) run(open func()) {
	ts.lex.pos = ts.pos
	open()
	for ts.lex.mode != inCode && ts.lex.pos < len(ts.b) {
		before := ts.lex.pos
		ts.lex.step(ts.b)
		if ts.lex.pos == before {
			ts.lex.pos = len(ts.b)
		}
	}
	ts.lex.mode = inCode
	ts.pos = ts.lex.pos
}

// step goes on within a string or comment of a whole statement.
func (l *scanner) step(b []byte) {
	switch l.mode {
	case inLineComment:
		l.scanLine(b)
	case inBlockComment:
		l.scanBlock(b)
	case inSkipped:
		l.scanSkipped(b, true)
	default:
		l.scanQuoted(b)
	}
}
