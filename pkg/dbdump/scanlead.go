package dbdump

import "bytes"

// opener is how a comment begins.
type opener int

const (
	openNone opener = iota
	openLine
	openBlock
	openVersion
)

// openerOf says which comment b begins with.
func openerOf(b []byte) opener {
	switch {
	case b[0] == '#':
		return openLine
	case b[0] == '-' && len(b) > 1 && b[1] == '-' && (len(b) == 2 || b[2] <= ' '):
		return openLine
	case versionMark(b) > 0:
		return openVersion
	case bytes.HasPrefix(b, []byte("/*")):
		return openBlock
	}
	return openNone
}

// versionMark returns the length of the mark that makes a comment a versioned
// one, or 0: /*! of MySQL and MariaDB, /*M! of MariaDB.
func versionMark(b []byte) int {
	if bytes.HasPrefix(b, []byte("/*!")) {
		return 3
	}
	if bytes.HasPrefix(b, []byte("/*M!")) {
		return 4
	}
	return 0
}

// isSandboxLine reports whether b begins with what MariaDB's dump programs
// write first since 10.5.25, to turn on the sandbox mode of MariaDB's client.
func isSandboxLine(b []byte) bool {
	n := versionMark(b)
	return n > 0 && bytes.HasPrefix(b[n:], []byte(`999999\-`))
}

func isSpace(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// wordAt returns the word that b begins with.
func wordAt(b []byte) []byte {
	n := 0
	for n < len(b) && isWordByte(b[n]) {
		n++
	}
	return b[:n]
}

func foldEqual(b []byte, upper string) bool {
	if len(b) != len(upper) {
		return false
	}
	for i := range b {
		c := b[i]
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}

// containsFold reports whether b contains an ASCII word, given in capitals.
func containsFold(b []byte, upper string) bool {
	for i := 0; i+len(upper) <= len(b); i++ {
		if foldEqual(b[i:i+len(upper)], upper) {
			return true
		}
	}
	return false
}

// scanLead goes over blanks and comments before a statement to its first byte.
func (l *scanner) scanLead(b []byte, eof bool) (done, stuck bool) {
	for l.pos < len(b) && isSpace(b[l.pos]) {
		l.pos++
	}
	rest := b[l.pos:]
	if len(rest) == 0 {
		return false, false
	}
	if !eof && len(rest) < max(lookahead, len(l.delimiter)) {
		return false, true
	}
	if isSandboxLine(rest) && !bytes.HasPrefix(rest, l.delimiter) {
		return l.sandboxLine(rest, eof)
	}
	if o := openerOf(rest); o != openNone && !bytes.HasPrefix(rest, l.delimiter) {
		if o != openVersion || l.skips != nil && l.skips(rest) {
			l.openComment(rest)
			return false, false
		}
	}
	return l.begin(rest, eof)
}

// begin starts the statement at rest.
func (l *scanner) begin(rest []byte, eof bool) (done, stuck bool) {
	w := wordAt(rest)
	if !eof && len(w) == len(rest) && len(w) < readRoom/2 {
		return false, true
	}
	if foldEqual(w, "DELIMITER") && !l.version {
		return l.delimiterLine(rest, eof)
	}
	l.started, l.body, l.bodyEnd = true, l.pos, l.pos
	l.insert = foldEqual(w, "INSERT") || foldEqual(w, "REPLACE")
	if bytes.HasPrefix(rest, l.delimiter) { // an empty statement
		l.end()
	}
	return false, false
}

// sandboxLine takes the whole line of the sandbox comment as a chunk.
func (l *scanner) sandboxLine(rest []byte, eof bool) (done, stuck bool) {
	i := bytes.IndexByte(rest, '\n')
	j := bytes.Index(rest, []byte("*/"))
	switch {
	case i < 0 && !eof:
		return false, true
	case i < 0:
		i = len(rest) - 1
	}
	if j < 0 || j > i || len(bytes.TrimSpace(rest[j+2:i+1])) > 0 {
		l.mode = inBlockComment // not that line after all; a comment for every server
		l.pos += 2
		return false, false
	}
	l.kind, l.body = chunkSandbox, l.pos
	l.pos += i + 1
	l.bodyEnd = l.pos
	return true, false
}

// delimiterLine takes a DELIMITER command, which is a line of its own, as a chunk.
func (l *scanner) delimiterLine(rest []byte, eof bool) (done, stuck bool) {
	i := bytes.IndexByte(rest, '\n')
	switch {
	case i < 0 && !eof:
		return false, true
	case i < 0:
		i = len(rest) - 1
	}
	l.kind, l.body = chunkDelimiter, l.pos
	l.pos += i + 1
	l.bodyEnd = l.pos
	if f := bytes.Fields(rest[len("DELIMITER") : i+1]); len(f) > 0 {
		l.setDelimiter(f[0])
	}
	return true, false
}

// scanLineEnd takes the blanks and the line end after a terminator.
func (l *scanner) scanLineEnd(b []byte, eof bool) (done, stuck bool) {
	for l.pos < len(b) {
		c := b[l.pos]
		if c != '\n' && c != ' ' && c != '\t' && c != '\r' {
			return true, false
		}
		l.pos++
		if c == '\n' {
			return true, false
		}
	}
	return eof, !eof
}
