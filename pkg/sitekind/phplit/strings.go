package phplit

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// quoted reads a string in quotes, or a shell command in backticks, that
// begins at the position. Start is where its token begins.
func (l *lexer) quoted(start int) error {
	quote := l.src[l.pos]
	open := l.pos
	l.pos++
	plain, err := l.skipToQuote(quote, open)
	if err != nil {
		return err
	}
	body := l.src[open+1 : l.pos-1]
	switch {
	case quote == '\'':
		l.add(tokString, start, unescapeSingle(body))
	case quote == '`' || !plain:
		l.add(tokTemplate, start, "")
	default:
		text, ok := unescapeDouble(body, '"')
		if !ok {
			return l.errorAt(start, `the string has a \u escape that is none`)
		}
		l.add(tokString, start, text)
	}
	return nil
}

// skipToQuote moves behind the closing quote. Plain is false when there are
// variables in the string.
func (l *lexer) skipToQuote(quote byte, open int) (plain bool, err error) {
	plain = true
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; {
		case c == quote:
			l.pos++
			return plain, nil
		case c == '\\':
			l.pos += 2
		case quote != '\'' && (l.has("{$") || l.has("${")):
			plain = false
			if err := l.embedded(); err != nil {
				return false, err
			}
		case quote != '\'' && c == '$' && isNameStart(l.peek(1)):
			plain = false
			l.pos++
		default:
			l.pos++
		}
	}
	return false, l.errorAt(open, "a string begins here and does not end")
}

// embedded skips the code in a string, from "{$" or "${" to its brace.
func (l *lexer) embedded() error {
	open := l.pos
	if l.depth++; l.depth > maxDepth {
		return l.errorAt(open, "strings nest too deeply")
	}
	kept := len(l.tokens)
	lineAt, line := l.lineAt, l.line
	l.pos = open + bytes.IndexByte(l.src[open:], '{') + 1
	braces := 1
	err := l.code(func(t token) bool {
		switch {
		case t.is("{"):
			braces++
		case t.is("}"):
			braces--
		}
		return braces == 0
	})
	l.depth--
	l.tokens, l.lineAt, l.line = l.tokens[:kept], lineAt, line
	if err == nil && braces > 0 {
		err = l.errorAt(open, "a variable in a string begins here and does not end")
	}
	return err
}

func unescapeSingle(body []byte) string {
	return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(string(body))
}

// unescapeDouble resolves the escapes of a double-quoted string, or of a
// heredoc, whose quote is 0. It fails on a wrong \u escape only; PHP keeps
// every other backslash that begins no escape.
func unescapeDouble(body []byte, quote byte) (string, bool) {
	var out []byte
	for i := 0; i < len(body); {
		if body[i] != '\\' || i+1 == len(body) {
			out = append(out, body[i])
			i++
			continue
		}
		text, n, ok := escape(body[i+1:], quote)
		if !ok {
			return "", false
		}
		if n == 0 {
			out = append(out, '\\')
			i++
			continue
		}
		out = append(out, text...)
		i += 1 + n
	}
	return string(out), true
}

// escape reads what follows a backslash. N is the length of the escape, 0 if
// it is none.
func escape(rest []byte, quote byte) (text []byte, n int, ok bool) {
	const letters, bytesOf = "ntrvef\\$", "\n\t\r\v\x1b\f\\$"
	c := rest[0]
	if i := strings.IndexByte(letters, c); i >= 0 {
		return []byte{bytesOf[i]}, 1, true
	}
	switch {
	case c == quote && quote != 0:
		return []byte{c}, 1, true
	case c >= '0' && c <= '7':
		return digits(rest, 0, 3, 8)
	case c == 'x' || c == 'X':
		return digits(rest, 1, 2, 16)
	case c == 'u' && len(rest) > 1 && rest[1] == '{':
		return unicodeEscape(rest)
	}
	return nil, 0, true
}

// digits reads an octal or hexadecimal byte of at most limit digits after skip
// bytes. PHP drops the bits of an octal escape beyond the eighth.
func digits(rest []byte, skip, limit, base int) ([]byte, int, bool) {
	value, n := 0, skip
	for n < len(rest) && n < skip+limit {
		d := digit(rest[n])
		if d >= base {
			break
		}
		value = value*base + d
		n++
	}
	if n == skip {
		return nil, 0, true
	}
	return []byte{byte(value)}, n, true
}

func digit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return 255
}

// unicodeEscape reads u{HEX}. PHP encodes surrogates too, as three bytes.
func unicodeEscape(rest []byte) ([]byte, int, bool) {
	end := bytes.IndexByte(rest, '}')
	if end < 3 {
		return nil, 0, false
	}
	value := 0
	for _, c := range rest[2:end] {
		d := digit(c)
		if value = value*16 + d; d >= 16 || value > utf8.MaxRune {
			return nil, 0, false
		}
	}
	return encodeRune(value), end + 1, true
}

func encodeRune(value int) []byte {
	if value >= 0xd800 && value < 0xe000 {
		return []byte{0xe0 | byte(value>>12), 0x80 | byte(value>>6)&0x3f, 0x80 | byte(value)&0x3f}
	}
	return utf8.AppendRune(nil, rune(value))
}
