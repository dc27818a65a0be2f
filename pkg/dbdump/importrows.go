package dbdump

import (
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// errNotPlain says that an INSERT is no list of rows of literals that can be
// handed over as they are: it runs as the dump has it.
var errNotPlain = errors.New("not a plain list of rows")

// valueClass says which literals mean the same to a column whether they stand
// in the text of a statement or are handed over apart from it. Texts, NULL and
// whole numbers always do.
type valueClass int

const (
	classOther   valueClass = iota
	classDecimal            // DECIMAL: also fractions without exponent
	classFloat              // FLOAT, DOUBLE: also fractions with exponent
	classBinary             // BINARY, VARBINARY, BLOB, geometries: also 0xAB, x'AB', _binary 'ab'
	classBits               // BIT: as classBinary, and b'01'
)

// rowColumn is what becomes of the values of a column.
type rowColumn struct {
	class valueClass
	drop  bool // generated: the server computes it anew
	auto  bool // AUTO_INCREMENT: NULL and 0 may stand for the next number
}

// rowReader reads the rows of INSERT ... VALUES one by one. The values it
// gives are parts of the statement's text where they need no unescaping.
type rowReader struct {
	s           string
	pos         int
	columns     []rowColumn
	noBackslash bool
	ansiQuotes  bool
	begun       bool
	counts      bool // a value was left to AUTO_INCREMENT
}

// next appends a row's values to dst. It returns false at the end of the
// statement, and errNotPlain where something is no plain row.
func (r *rowReader) next(dst []driver.NamedValue) ([]driver.NamedValue, bool, error) {
	r.blanks()
	if r.begun && r.pos == len(r.s) {
		return dst, false, nil
	}
	if r.begun && !r.take(',') {
		return dst, false, errNotPlain
	}
	r.begun = true
	r.blanks()
	if !r.take('(') {
		return dst, false, errNotPlain
	}
	for i, c := range r.columns {
		if i > 0 && !r.take(',') {
			return dst, false, errNotPlain
		}
		v, err := r.value(c)
		if err != nil {
			return dst, false, err
		}
		if !c.drop {
			dst = append(dst, driver.NamedValue{Value: v})
		}
	}
	if !r.take(')') {
		return dst, false, errNotPlain
	}
	return dst, true, nil
}

func (r *rowReader) blanks() {
	for r.pos < len(r.s) && isSpace(r.s[r.pos]) {
		r.pos++
	}
}

func (r *rowReader) take(c byte) bool {
	if r.pos < len(r.s) && r.s[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

// value reads one literal and the blanks around it.
func (r *rowReader) value(c rowColumn) (driver.Value, error) {
	r.blanks()
	if r.pos == len(r.s) {
		return nil, errNotPlain
	}
	v, err := r.literal(c)
	if err != nil {
		return nil, err
	}
	r.blanks()
	if c.auto && (v == nil || v == int64(0) || v == "0") {
		r.counts = true
	}
	return v, nil
}

func (r *rowReader) literal(c rowColumn) (driver.Value, error) {
	switch first := r.s[r.pos]; {
	case first == '\'' || first == '"' && !r.ansiQuotes:
		return r.text()
	case first == '-' || first >= '0' && first <= '9':
		return r.number(c)
	}
	word := r.word()
	switch {
	case strings.EqualFold(word, "NULL"):
		return nil, nil
	case strings.EqualFold(word, "_binary") && c.class >= classBinary:
		return r.introduced()
	case strings.EqualFold(word, "x") && c.class >= classBinary && r.at('\''):
		return r.quoted(unhex)
	case strings.EqualFold(word, "b") && c.class == classBits && r.at('\''):
		return r.quoted(bitBytes)
	}
	return nil, errNotPlain
}

// introduced reads what follows _binary.
func (r *rowReader) introduced() (driver.Value, error) {
	r.blanks()
	if r.at('\'') {
		return r.text()
	}
	if r.at('0') {
		return r.number(rowColumn{class: classBinary})
	}
	return nil, errNotPlain
}

func (r *rowReader) at(c byte) bool { return r.pos < len(r.s) && r.s[r.pos] == c }

// word takes letters, digits and what else may be in a name or number.
func (r *rowReader) word() string {
	from := r.pos
	for r.pos < len(r.s) && isWordByte(r.s[r.pos]) {
		r.pos++
	}
	return r.s[from:r.pos]
}

// quoted reads a short text and decodes it.
func (r *rowReader) quoted(decode func(string) (driver.Value, error)) (driver.Value, error) {
	v, err := r.text()
	if err != nil {
		return nil, err
	}
	return decode(v.(string))
}

// number reads an integer, a fraction, or 0xAB.
func (r *rowReader) number(c rowColumn) (driver.Value, error) {
	from := r.pos
	r.take('-')
	digits := r.word()
	if len(digits) > 1 && digits[0] == '0' && digits[1] == 'x' {
		if r.s[from] == '-' || c.class < classBinary {
			return nil, errNotPlain
		}
		return unhex(digits[2:])
	}
	fraction := r.take('.')
	if fraction {
		digits += r.word()
	}
	exponent := len(digits) > 0 && (digits[len(digits)-1]|0x20) == 'e'
	if exponent && (r.take('+') || r.take('-')) {
		r.word()
	}
	return plainNumber(r.s[from:r.pos], c)
}

// longestNumber is beyond what any column keeps exactly.
const longestNumber = 60

// plainNumber decides whether a number may be handed over, and as what.
func plainNumber(s string, c rowColumn) (driver.Value, error) {
	if len(s) <= 20 {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, nil
		}
		if n, err := strconv.ParseUint(s, 10, 64); err == nil {
			return n, nil
		}
	}
	if len(s) > longestNumber || s[len(s)-1] == '.' {
		return nil, errNotPlain
	}
	for i := range len(s) {
		switch b := s[i]; {
		case b >= '0' && b <= '9' || b == '.' || i == 0:
		case (b|0x20 == 'e' || b == '+' || b == '-') && c.class == classFloat:
		default:
			return nil, errNotPlain
		}
	}
	if c.class != classDecimal && c.class != classFloat {
		return nil, errNotPlain
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f == 0 && s[0] == '-' { // a literal -0.0 is 0, a text is not
		return nil, errNotPlain
	}
	return s, nil
}

// text reads a quoted text without its quotes and escapes.
func (r *rowReader) text() (driver.Value, error) {
	quote := r.s[r.pos]
	from := r.pos + 1
	end := strings.IndexByte(r.s[from:], quote)
	if end < 0 {
		return nil, errNotPlain
	}
	end += from
	escaped := !r.noBackslash && strings.IndexByte(r.s[from:end], '\\') >= 0
	if !escaped && (end+1 == len(r.s) || r.s[end+1] != quote) {
		r.pos = end + 1
		return r.s[from:end], nil
	}
	return r.escapedText(from, quote)
}

// escapedText reads a text with escapes or doubled quotes (dev.mysql.com/doc,
// String Literals): \% and \_ keep their backslash.
func (r *rowReader) escapedText(from int, quote byte) (driver.Value, error) {
	backslash := byte('\\')
	if r.noBackslash {
		backslash = quote
	}
	out := make([]byte, 0, 2*strings.IndexByte(r.s[from:], quote)+16)
	for i := from; ; {
		plain := i
		for i < len(r.s) && r.s[i] != quote && r.s[i] != backslash {
			i++
		}
		out = append(out, r.s[plain:i]...)
		switch rest := r.s[i:]; {
		case len(rest) > 1 && rest[0] != quote:
			out = append(out, escapes[rest[1]]...)
			i += 2
		case len(rest) > 1 && rest[1] == quote:
			out = append(out, quote)
			i += 2
		case len(rest) > 0 && rest[0] == quote:
			r.pos = i + 1
			return string(out), nil
		default:
			return nil, errNotPlain
		}
	}
}

// escapes has what a backslash and a byte stand for.
var escapes = func() (t [256]string) {
	for i := range t {
		t[i] = string([]byte{byte(i)})
	}
	for c, s := range map[byte]string{
		'0': "\x00", 'b': "\b", 'n': "\n", 'r': "\r", 't': "\t", 'Z': "\x1a", '%': `\%`, '_': `\_`,
	} {
		t[c] = s
	}
	return t
}()

func unhex(s string) (driver.Value, error) {
	if len(s)%2 != 0 {
		s = "0" + s
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, errNotPlain
	}
	return b, nil
}

// bitBytes turns the digits of b'101' into bytes, the last bit in the last one.
func bitBytes(s string) (driver.Value, error) {
	n, err := strconv.ParseUint(s, 2, 64)
	if err != nil {
		return nil, errNotPlain
	}
	b := []byte{byte(n)}
	for n >>= 8; n > 0; n >>= 8 {
		b = append(b, byte(n))
	}
	slices.Reverse(b)
	return b, nil
}

// insertHead is what an INSERT says before its rows.
type insertHead struct {
	text    string   // up to and with VALUES
	table   string   // without qualifier
	columns []string // nil: all visible ones
}

// parseInsertHead reads INSERT INTO `table` [(`column`, ...)] VALUES. Anything
// more, such as IGNORE or a versioned comment, is no plain INSERT.
func parseInsertHead(o order) (insertHead, bool) {
	stmt := []byte(o.sql[:min(len(o.sql), longestHead)])
	p := headParser{stmt: stmt, ts: (&scanner{noBackslash: o.noBackslash, ansiQuotes: o.ansiQuotes}).tokens(stmt)}
	var h insertHead
	p.advance()
	if !p.takes("INSERT") || !p.takes("INTO") || !p.ok || !p.tok.isName() {
		return h, false
	}
	h.table = p.tok.name(stmt)
	p.advance()
	if p.ok && p.tok.isByte(stmt, '(') && !p.columnList(&h) {
		return h, false
	}
	if !p.ok || !p.tok.isAny(stmt, "VALUES", "VALUE") {
		return h, false
	}
	h.text = strings.Clone(o.sql[:p.tok.end]) // it outlives the statement
	return h, true
}

// longestHead is more than an INSERT says before its rows: 4,096 names of 64 characters are rare.
const longestHead = 64 << 10

// takes goes over one word.
func (p *headParser) takes(word string) bool {
	ok := p.ok && p.tok.is(p.stmt, word)
	p.advance()
	return ok
}

func (p *headParser) columnList(h *insertHead) bool {
	for p.advance(); p.ok && p.tok.isName(); p.advance() {
		h.columns = append(h.columns, p.tok.name(p.stmt))
		p.advance()
		if !p.ok || !p.tok.isByte(p.stmt, ',') {
			break
		}
	}
	closed := p.ok && p.tok.isByte(p.stmt, ')') && len(h.columns) > 0
	p.advance()
	return closed
}
