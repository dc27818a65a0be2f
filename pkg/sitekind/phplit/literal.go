package phplit

import (
	"regexp"
	"strconv"
	"strings"
)

// decimal is an integer as it is written and printed alike.
var decimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)

// evaluator reads expressions as literals.
type evaluator struct {
	// constant finds a constant that is sure to be defined before.
	constant func(name string) (Value, bool)
}

// literalOf reads an expression as a literal. Why says in words what it is if
// it is none.
func (e evaluator) literalOf(tokens []token, depth int) (v Value, why string) {
	if len(tokens) == 0 {
		return Value{}, "empty"
	}
	v, rest, why := e.fallback(tokens, depth)
	if why == "" && len(rest) > 0 {
		why = "an expression"
	}
	if why != "" {
		return Value{}, why
	}
	v.Line, v.start, v.end = tokens[0].line, tokens[0].start, tokens[len(tokens)-1].end
	return v, ""
}

// fallback reads a value from the environment with what holds if there is
// none there: getenv('X') ?: 'y', $_ENV['X'] ?? 'y'.
func (e evaluator) fallback(tokens []token, depth int) (v Value, rest []token, why string) {
	v, rest, why = e.concatenation(tokens, depth)
	if why != "" || v.Type != Environment {
		return v, rest, why
	}
	switch {
	case len(rest) > 0 && rest[0].is("??"):
		rest = rest[1:]
	case len(rest) > 1 && rest[0].is("?") && rest[1].is(":"):
		rest = rest[2:]
	default:
		return v, rest, ""
	}
	other, rest, why := e.concatenation(rest, depth)
	if why != "" || other.Type == Environment || other.Type == Array {
		return Value{}, nil, "a value from the environment with a default that is not plain"
	}
	v.Text = other.Text
	return v, rest, ""
}

// concatenation reads terms that are joined by dots.
func (e evaluator) concatenation(tokens []token, depth int) (v Value, rest []token, why string) {
	v, rest, why = e.term(tokens, depth)
	if why != "" || len(rest) == 0 || !rest[0].is(".") {
		return v, rest, why
	}
	var whole strings.Builder
	for {
		if v.Type == Array || v.Type == Environment {
			return Value{}, nil, "a string that is put together when the site runs"
		}
		whole.WriteString(v.Text)
		if len(rest) == 0 || !rest[0].is(".") {
			return Value{Type: String, Text: whole.String()}, rest, ""
		}
		if v, rest, why = e.term(rest[1:], depth); why != "" {
			return Value{}, nil, why
		}
	}
}

// term reads one literal, an array, a cast, a value of the environment, or an
// expression in parentheses.
func (e evaluator) term(tokens []token, depth int) (v Value, rest []token, why string) {
	if len(tokens) == 0 || depth > maxDepth {
		return Value{}, nil, "an expression"
	}
	t, rest := tokens[0], tokens[1:]
	switch {
	case t.kind == tokString:
		return Value{Type: String, Text: t.text}, rest, ""
	case t.kind == tokNumber && decimal.MatchString(t.text):
		return Value{Type: Int, Text: t.text}, rest, ""
	case t.is("[") || t.keyword() == "array" && len(rest) > 0 && rest[0].is("("):
		return e.array(tokens, depth+1)
	case isCast(tokens):
		return e.cast(tokens, depth+1)
	case t.is("("):
		return e.parenthesised(rest, depth+1)
	}
	if name, rest, ok := environment(tokens); ok {
		return Value{Type: Environment, Env: name}, rest, ""
	}
	if t.kind == tokName {
		return e.named(t, rest)
	}
	return Value{}, nil, describe(t, rest)
}

func (e evaluator) parenthesised(tokens []token, depth int) (Value, []token, string) {
	v, rest, why := e.fallback(tokens, depth)
	if why == "" && (len(rest) == 0 || !rest[0].is(")")) {
		why = "an expression"
	}
	if why != "" {
		return Value{}, nil, why
	}
	return v, rest[1:], ""
}

// named reads true, false, null, and constants of the file itself.
func (e evaluator) named(t token, rest []token) (Value, []token, string) {
	if len(rest) > 0 && (rest[0].is("(") || rest[0].is("::")) {
		return Value{}, nil, describe(t, rest)
	}
	switch t.keyword() {
	case "true":
		return Value{Type: Bool, Text: "1"}, rest, ""
	case "false":
		return Value{Type: Bool}, rest, ""
	case "null":
		return Value{Type: Null}, rest, ""
	}
	if e.constant != nil {
		if v, ok := e.constant(strings.TrimPrefix(t.text, `\`)); ok {
			return v, rest, ""
		}
	}
	return Value{}, nil, describe(t, rest)
}

// isCast recognises (string), (int), (integer), (bool), (boolean).
func isCast(tokens []token) bool {
	if len(tokens) < 4 || !tokens[0].is("(") || !tokens[2].is(")") {
		return false
	}
	switch tokens[1].keyword() {
	case "string", "int", "integer", "bool", "boolean":
		return tokens[1].text[0] != '\\'
	}
	return false
}

// cast reads a cast of a scalar. What PHP would have to compute is refused.
func (e evaluator) cast(tokens []token, depth int) (Value, []token, string) {
	v, rest, why := e.term(tokens[3:], depth)
	if why != "" {
		return Value{}, nil, why
	}
	to := tokens[1].keyword()
	switch {
	case v.Type == Environment && to[0] != 'b':
		return v, rest, ""
	case to == "string" && v.Type != Array:
		v.Type = String
		return v, rest, ""
	case to[0] == 'i' && v.Type != Array && decimal.MatchString(v.Text):
		v.Type = Int
		return v, rest, ""
	case to[0] == 'b' && v.Type == Bool:
		return v, rest, ""
	}
	return Value{}, nil, "a cast that changes its value"
}

// environment recognises getenv('X'), $_SERVER['X'] and $_ENV['X'].
func environment(tokens []token) (name string, rest []token, ok bool) {
	if len(tokens) < 4 || tokens[2].kind != tokString {
		return "", nil, false
	}
	t, open, closes := tokens[0], tokens[1], tokens[3]
	switch {
	case t.kind == tokVariable && (t.text == "$_SERVER" || t.text == "$_ENV") && open.is("[") && closes.is("]"):
	case t.keyword() == "getenv" && open.is("(") && closes.is(")"):
	default:
		return "", nil, false
	}
	if len(tokens) > 4 && (tokens[4].is("[") || tokens[4].is("{")) {
		return "", nil, false
	}
	return tokens[2].text, tokens[4:], true
}

// arrayKey makes of a literal the key that PHP makes of it: decimal strings
// are integers.
func arrayKey(v Value) (string, bool) {
	switch v.Type {
	case String, Int, Null:
		return v.Text, true
	case Bool:
		return strconv.Itoa(len(v.Text)), true
	}
	return "", false
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
