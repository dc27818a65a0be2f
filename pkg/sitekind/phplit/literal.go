package phplit

import (
	"regexp"
	"strings"
)

// decimal is an integer as it is written and printed alike.
var decimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)

// literalOf reads an expression as a literal. Why says in words what it is if
// it is none.
func literalOf(tokens []token) (v Value, why string) {
	if len(tokens) == 0 {
		return Value{}, "empty"
	}
	typ, text, rest, why := concatenation(tokens, 0)
	if why == "" && len(rest) > 0 {
		why = "an expression"
	}
	if why != "" {
		return Value{}, why
	}
	return Value{Type: typ, Text: text, Line: tokens[0].line,
		start: tokens[0].start, end: tokens[len(tokens)-1].end}, ""
}

// concatenation reads terms that are joined by dots.
func concatenation(tokens []token, depth int) (typ Type, text string, rest []token, why string) {
	typ, text, rest, why = term(tokens, depth)
	if why != "" || len(rest) == 0 || !rest[0].is(".") {
		return typ, text, rest, why
	}
	var whole strings.Builder
	whole.WriteString(text)
	for why == "" && len(rest) > 0 && rest[0].is(".") {
		_, text, rest, why = term(rest[1:], depth)
		whole.WriteString(text)
	}
	return String, whole.String(), rest, why
}

// term reads one literal, or a concatenation in parentheses.
func term(tokens []token, depth int) (typ Type, text string, rest []token, why string) {
	if len(tokens) == 0 || depth > maxDepth {
		return 0, "", nil, "an expression"
	}
	t, rest := tokens[0], tokens[1:]
	switch {
	case t.kind == tokString:
		return String, t.text, rest, ""
	case t.kind == tokNumber && decimal.MatchString(t.text):
		return Int, t.text, rest, ""
	case t.is("("):
		typ, text, rest, why = concatenation(rest, depth+1)
		if why == "" && (len(rest) == 0 || !rest[0].is(")")) {
			why = "an expression"
		}
		if why != "" {
			return 0, "", nil, why
		}
		return typ, text, rest[1:], ""
	case t.kind == tokName:
		return named(t, rest)
	}
	return 0, "", nil, describe(t, rest)
}

// named reads true, false and null.
func named(t token, rest []token) (Type, string, []token, string) {
	if len(rest) > 0 && rest[0].is("(") {
		return 0, "", nil, describe(t, rest)
	}
	switch t.keyword() {
	case "true":
		return Bool, "1", rest, ""
	case "false":
		return Bool, "", rest, ""
	case "null":
		return Null, "", rest, ""
	}
	return 0, "", nil, describe(t, rest)
}

// describe says what stands in place of a literal, without its text, which
// may be a password that lost its quotes.
func describe(t token, rest []token) string {
	switch {
	case t.kind == tokTemplate:
		return "a string with variables or a command in it"
	case t.kind == tokVariable:
		return "a variable"
	case t.kind == tokName && len(rest) > 0 && rest[0].is("("):
		return "the result of a function"
	case t.kind == tokName && t.keyword() == "new":
		return "an object"
	case t.kind == tokName:
		return "a constant"
	case t.kind == tokNumber:
		return "a number that is not a plain integer"
	}
	return "an expression"
}
