package webconf

import (
	"bytes"
	"errors"
	"strings"
)

// token is a word of nginx's configuration, or one of ; { }.
type token struct {
	text string
	// mark is ';', '{', '}', or 0 for a word.
	mark byte
	line int
}

// nginxLexer follows ngx_conf_read_token (src/core/ngx_conf_file.c).
type nginxLexer struct {
	data []byte
	at   int
	line int
}

var (
	errQuote = errors.New("a quoted string does not end")
	errEnd   = errors.New("the file ends within a directive")
)

// next returns the next token; ok is false at the end of the file.
func (l *nginxLexer) next() (t token, ok bool, err error) {
	l.skip()
	if l.at == len(l.data) {
		return token{line: l.line}, false, nil
	}
	line := l.line
	switch c := l.data[l.at]; c {
	case ';', '{', '}':
		l.at++
		return token{mark: c, line: line}, true, nil
	case '"', '\'':
		l.at++
		text, err := l.quoted(c)
		return token{text: text, line: line}, true, err
	}
	return token{text: l.word(), line: line}, true, nil
}

// skip passes over blanks and comments, which begin where a token could.
func (l *nginxLexer) skip() {
	for ; l.at < len(l.data); l.at++ {
		switch l.data[l.at] {
		case '\n':
			l.line++
		case ' ', '\t', '\r':
		case '#':
			end := bytes.IndexByte(l.data[l.at:], '\n')
			if end < 0 {
				l.at = len(l.data)
				return
			}
			l.at += end - 1
		default:
			return
		}
	}
}

func (l *nginxLexer) quoted(quote byte) (string, error) {
	var b strings.Builder
	for ; l.at < len(l.data); l.at++ {
		c := l.data[l.at]
		switch {
		case c == quote:
			l.at++
			return b.String(), nil
		case c == '\\' && l.at+1 < len(l.data):
			l.at++
			b.WriteString(unescape(l.data[l.at]))
		default:
			b.WriteByte(c)
		}
		if l.data[l.at] == '\n' {
			l.line++
		}
	}
	return "", errQuote
}

// word reads to a blank or a mark. After a dollar sign a brace is part of it.
func (l *nginxLexer) word() string {
	var b strings.Builder
	for ; l.at < len(l.data); l.at++ {
		c := l.data[l.at]
		switch {
		case c == '\\' && l.at+1 < len(l.data):
			l.at++
			b.WriteString(unescape(l.data[l.at]))
		case c == '$' && l.at+1 < len(l.data) && l.data[l.at+1] == '{':
			l.at++
			b.WriteString("${")
		case c == '}' && strings.LastIndexByte(b.String(), '{') > strings.LastIndexByte(b.String(), '}'):
			b.WriteByte(c)
		case strings.IndexByte(" \t\r\n;{", c) >= 0:
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape is what a backslash before a byte makes of it.
func unescape(c byte) string {
	switch c {
	case '"', '\'', '\\':
		return string(c)
	case 't':
		return "\t"
	case 'r':
		return "\r"
	case 'n':
		return "\n"
	}
	return `\` + string(c)
}

// skipBlock passes over a block in another language, such as that of
// content_by_lua_block, up to the brace that closes it.
func (l *nginxLexer) skipBlock() error {
	for depth := 1; l.at < len(l.data); l.at++ {
		switch c := l.data[l.at]; c {
		case '\n':
			l.line++
		case '-':
			l.skipLuaComment()
		case '"', '\'':
			l.at++
			if _, err := l.quoted(c); err != nil {
				return err
			}
			l.at--
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				l.at++
				return nil
			}
		}
	}
	return errEnd
}

// skipLuaComment passes over one that goes to the end of its line.
func (l *nginxLexer) skipLuaComment() {
	rest := l.data[l.at:]
	if !bytes.HasPrefix(rest, []byte("--")) || bytes.HasPrefix(rest, []byte("--[[")) {
		return
	}
	if end := bytes.IndexByte(rest, '\n'); end > 0 {
		l.at += end - 1
	}
}
