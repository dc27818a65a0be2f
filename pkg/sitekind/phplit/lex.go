package phplit

import (
	"bytes"
	"strings"
)

type tokenKind int

const (
	tokEnd      tokenKind = iota
	tokText               // text outside of PHP
	tokOpen               // <?php
	tokEcho               // <?=
	tokClose              // ?>, which also ends a statement
	tokString             // a string whose value is known
	tokTemplate           // a string with variables in it, or a shell command
	tokVariable           // $name
	tokName               // names and keywords, with namespaces
	tokNumber
	tokPunct
)

// token is a piece of PHP code. Spaces and comments are no tokens.
type token struct {
	kind       tokenKind
	start, end int
	line       int
	// text is the source of names (as written), variables, numbers and
	// punctuation, and the value of strings.
	text string
}

// is says whether the token is this punctuation.
func (t token) is(punct string) bool { return t.kind == tokPunct && t.text == punct }

// keyword is a name in lower case, without a leading backslash; else "".
func (t token) keyword() string {
	if t.kind != tokName {
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(t.text, `\`))
}

// maxDepth bounds how deep brackets, statements and strings may nest.
const maxDepth = 500

// lexer reads PHP by the rules of Zend/zend_language_scanner.l.
type lexer struct {
	name   string
	src    []byte
	pos    int
	line   int
	lineAt int // the line is counted up to here
	depth  int
	tokens []token
}

// lex returns all tokens, the last one of kind tokEnd.
func lex(name string, src []byte) ([]token, error) {
	l := &lexer{name: name, src: src, line: 1}
	for l.pos < len(l.src) {
		l.text()
		if err := l.code(nil); err != nil {
			return nil, err
		}
	}
	l.add(tokEnd, len(l.src), "")
	return l.tokens, nil
}

func (l *lexer) errorAt(pos int, what string) error {
	return &Error{Syntax, l.name, 1 + bytes.Count(l.src[:min(pos, len(l.src))], []byte("\n")), what}
}

// add appends the token from start to the position.
func (l *lexer) add(kind tokenKind, start int, text string) {
	l.line += bytes.Count(l.src[l.lineAt:start], []byte("\n"))
	l.lineAt = start
	l.tokens = append(l.tokens, token{kind, start, l.pos, l.line, text})
}

func (l *lexer) has(prefix string) bool {
	return bytes.HasPrefix(l.src[l.pos:], []byte(prefix))
}

func (l *lexer) peek(offset int) byte {
	if l.pos+offset < len(l.src) {
		return l.src[l.pos+offset]
	}
	return 0
}

// text reads up to and with the next opening tag. The short tag is left as
// text: whether it is one depends on PHP's configuration.
func (l *lexer) text() {
	start := l.pos
	for l.pos < len(l.src) {
		if n, kind := l.openTag(); n > 0 {
			if l.pos > start {
				l.add(tokText, start, "")
			}
			tag := l.pos
			l.pos += n
			l.add(kind, tag, "")
			return
		}
		l.pos++
	}
	l.add(tokText, start, "")
}

// openTag returns the length of the opening tag here, and 0 for none.
func (l *lexer) openTag() (int, tokenKind) {
	if l.has("<?=") {
		return 3, tokEcho
	}
	rest := l.src[l.pos:]
	if len(rest) >= 5 && strings.EqualFold(string(rest[:5]), "<?php") {
		if len(rest) == 5 {
			return 5, tokOpen
		}
		if strings.IndexByte(" \t\r\n", rest[5]) >= 0 {
			return 6, tokOpen
		}
	}
	return 0, tokEnd
}

// code reads PHP up to its closing tag or the end. Within a string, stop says
// after each token whether the code in it has ended.
func (l *lexer) code(stop func(token) bool) error {
	for l.pos < len(l.src) {
		if l.space() {
			continue
		}
		if closed := l.closeTag(); closed {
			return nil
		}
		before := len(l.tokens)
		if err := l.token(); err != nil {
			return err
		}
		if len(l.tokens) == before {
			continue
		}
		last := l.tokens[len(l.tokens)-1]
		if last.keyword() == "__halt_compiler" {
			l.pos = len(l.src) // What follows is data.
			l.add(tokClose, l.pos, "")
		}
		if stop != nil && stop(last) {
			return nil
		}
	}
	return nil
}

func (l *lexer) space() bool {
	if strings.IndexByte(" \t\r\n\v\f", l.src[l.pos]) >= 0 {
		l.pos++
		return true
	}
	return false
}

// closeTag takes ?> and the one newline after it.
func (l *lexer) closeTag() bool {
	if !l.has("?>") {
		return false
	}
	start := l.pos
	l.pos += 2
	if l.has("\r\n") {
		l.pos += 2
	} else if c := l.peek(0); c == '\n' || c == '\r' {
		l.pos++
	}
	l.add(tokClose, start, "")
	return true
}

// token reads one token, or a comment, which makes none.
func (l *lexer) token() error {
	c := l.src[l.pos]
	switch {
	case c == '#' && l.peek(1) != '[' || l.has("//"):
		l.lineComment()
	case l.has("/*"):
		return l.blockComment()
	case c == '\'' || c == '"' || c == '`':
		return l.quoted(l.pos)
	case (c == 'b' || c == 'B') && (l.peek(1) == '\'' || l.peek(1) == '"'):
		l.pos++
		return l.quoted(l.pos - 1)
	case l.has("<<<"):
		return l.heredocOrPunct()
	case c == '$' && isNameStart(l.peek(1)):
		start := l.pos
		l.pos++
		l.nameRun()
		l.add(tokVariable, start, string(l.src[start:l.pos]))
	case isNameStart(c) || c == '\\' && isNameStart(l.peek(1)):
		l.qualifiedName()
	case isDigit(c) || c == '.' && isDigit(l.peek(1)):
		l.number()
	default:
		l.punct()
	}
	return nil
}

// lineComment ends at the line's end, or before a closing tag.
func (l *lexer) lineComment() {
	for l.pos < len(l.src) && !l.has("?>") {
		c := l.src[l.pos]
		if c == '\n' || c == '\r' {
			return
		}
		l.pos++
	}
}

func (l *lexer) blockComment() error {
	end := bytes.Index(l.src[l.pos+2:], []byte("*/"))
	if end < 0 {
		return l.errorAt(l.pos, "a comment begins here and does not end")
	}
	l.pos += 2 + end + 2
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func (l *lexer) nameRun() {
	for l.pos < len(l.src) && (isNameStart(l.src[l.pos]) || isDigit(l.src[l.pos])) {
		l.pos++
	}
}

// qualifiedName reads a name with its namespaces.
func (l *lexer) qualifiedName() {
	start := l.pos
	if l.src[l.pos] == '\\' {
		l.pos++
	}
	l.nameRun()
	for l.peek(0) == '\\' && isNameStart(l.peek(1)) {
		l.pos++
		l.nameRun()
	}
	l.add(tokName, start, string(l.src[start:l.pos]))
}

// number reads a number of any notation; which one is seen later.
func (l *lexer) number() {
	start := l.pos
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		exponent := (c == '+' || c == '-') && l.pos > start && l.src[l.pos-1]|0x20 == 'e' && !isHex(l.src[start:l.pos])
		if !isDigit(c) && !isNameStart(c) && c != '.' && !exponent {
			break
		}
		// Two dots are no part of a number: 1 . 'a' may be written 1..'a'.
		if c == '.' && bytes.IndexByte(l.src[start:l.pos], '.') >= 0 {
			break
		}
		l.pos++
	}
	l.add(tokNumber, start, string(l.src[start:l.pos]))
}

func isHex(text []byte) bool {
	return len(text) > 1 && text[0] == '0' && text[1]|0x20 == 'x'
}

// puncts are those of more than one character, the longest first.
func puncts() []string {
	return []string{
		"<=>", "**=", "...", "<<=", ">>=", "===", "!==", "??=", "?->",
		"++", "--", "->", "=>", "<<", ">>", "<=", ">=", "==", "!=", "<>", "&&", "||", "??", "::",
		"+=", "-=", "*=", "/=", ".=", "%=", "&=", "|=", "^=", "**", "#[",
	}
}

func (l *lexer) punct() {
	start := l.pos
	for _, p := range puncts() {
		if l.has(p) {
			l.pos += len(p)
			l.add(tokPunct, start, p)
			return
		}
	}
	l.pos++
	l.add(tokPunct, start, string(l.src[start:l.pos]))
}
