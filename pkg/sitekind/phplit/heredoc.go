package phplit

import "bytes"

// heredocOrPunct reads a heredoc or nowdoc, or else the operator there.
func (l *lexer) heredocOrPunct() error {
	label, nowdoc, head := heredocHead(l.src[l.pos:])
	if head == 0 {
		l.punct()
		return nil
	}
	start := l.pos
	body, indent, end := findLabel(l.src[start+head:], label)
	if end < 0 {
		return l.errorAt(start, "a heredoc begins here and does not end")
	}
	l.pos = start + head + end
	body, ok := unindent(body, indent)
	if !ok {
		return l.errorAt(start, "a line of the heredoc is indented less than its end, or otherwise")
	}
	return l.addHeredoc(start, body, nowdoc)
}

// heredocHead reads the first line of a heredoc, whose label is bare or in
// double quotes, or of a nowdoc, whose label is in single quotes. Length is
// that of the line with its newline, 0 if it is neither.
func heredocHead(src []byte) (label string, nowdoc bool, length int) {
	rest := bytes.TrimLeft(src[len("<<<"):], " \t")
	var quote []byte
	if len(rest) > 0 && (rest[0] == '\'' || rest[0] == '"') {
		quote, rest = rest[:1], rest[1:]
	}
	n := 0
	for n < len(rest) && (isNameStart(rest[n]) || n > 0 && isDigit(rest[n])) {
		n++
	}
	label, rest = string(rest[:n]), rest[n:]
	rest, closed := bytes.CutPrefix(rest, quote)
	newline := len(rest) - len(bytes.TrimPrefix(bytes.TrimPrefix(rest, []byte("\r")), []byte("\n")))
	if n == 0 || !closed || newline == 0 {
		return "", false, 0
	}
	return label, string(quote) == "'", len(src) - len(rest) + newline
}

func (l *lexer) addHeredoc(start int, body []byte, nowdoc bool) error {
	switch {
	case nowdoc:
		l.add(tokString, start, string(body))
		return nil
	case hasVariables(body):
		l.add(tokTemplate, start, "")
		return nil
	}
	text, ok := unescapeDouble(body, 0)
	if !ok {
		return l.errorAt(start, `the heredoc has a \u escape that is none`)
	}
	l.add(tokString, start, text)
	return nil
}

// findLabel returns the body of a heredoc, the indentation of its closing
// label, and where that label ends; -1 if it does not.
func findLabel(src []byte, label string) (body, indent []byte, end int) {
	for at := 0; at <= len(src); {
		spaces := at
		for spaces < len(src) && (src[spaces] == ' ' || src[spaces] == '\t') {
			spaces++
		}
		after := spaces + len(label)
		if bytes.HasPrefix(src[spaces:], []byte(label)) && (after == len(src) || !isNameStart(src[after]) && !isDigit(src[after])) {
			return trimNewline(src[:at]), src[at:spaces], after
		}
		next := lineEnd(src[at:])
		if next == 0 {
			break
		}
		at += next
	}
	return nil, nil, -1
}

// lineEnd returns the length of the first line with its newline, 0 if there is
// no newline.
func lineEnd(src []byte) int {
	i := bytes.IndexAny(src, "\r\n")
	switch {
	case i < 0:
		return 0
	case bytes.HasPrefix(src[i:], []byte("\r\n")):
		return i + 2
	}
	return i + 1
}

func trimNewline(body []byte) []byte {
	if b, ok := bytes.CutSuffix(body, []byte("\r\n")); ok {
		return b
	}
	if b, ok := bytes.CutSuffix(body, []byte("\n")); ok {
		return b
	}
	return bytes.TrimSuffix(body, []byte("\r"))
}

// unindent removes the closing label's indentation from every line. A line
// that has less is refused as PHP does, unless it is empty; so is a mix of
// tabs and spaces in the indentation.
func unindent(body, indent []byte) ([]byte, bool) {
	if len(indent) == 0 {
		return body, true
	}
	if bytes.Count(indent, indent[:1]) != len(indent) {
		return nil, false
	}
	var out []byte
	for len(body) > 0 {
		n := lineEnd(body)
		if n == 0 {
			n = len(body)
		}
		line := body[:n]
		body = body[n:]
		content := trimNewline(line)
		cut, ok := bytes.CutPrefix(line, indent)
		if !ok && len(content) > 0 {
			return nil, false
		}
		if !ok {
			cut = line
		}
		out = append(out, cut...)
	}
	return out, true
}

// hasVariables says whether the body of a heredoc holds variables.
func hasVariables(body []byte) bool {
	for i := 0; i+1 < len(body); i++ {
		switch next := body[i+1]; {
		case body[i] == '\\':
			i++
		case body[i] == '$' && (isNameStart(next) || next == '{'), body[i] == '{' && next == '$':
			return true
		}
	}
	return false
}
