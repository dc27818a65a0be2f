package phplit

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

// item is one element of an array.
type item struct {
	key string
	// anyKey is true for a key that is computed, and for a spread.
	anyKey bool
	value  Value
	// why says why the value is no literal.
	why        string
	line       int
	start, end int
}

// array reads an array in either notation. Elements that are no literals are
// kept with what they are: only who asks for them is refused.
func (e evaluator) array(tokens []token, depth int) (Value, []token, string) {
	open := 0
	if tokens[0].kind == tokName {
		open = 1
	}
	inner := tokens[open+1:]
	end := topLevelClose(inner)
	v := Value{Type: Array, open: tokens[open].end}
	next, known := 0, true
	for part := inner[:end]; len(part) > 0; {
		stop := topLevel(part, ",")
		if stop > 0 {
			it := e.item(part[:stop], depth)
			if it.key == "" && !it.anyKey {
				it.key, it.anyKey = strconv.Itoa(next), !known
			}
			if n, err := strconv.Atoi(it.key); err == nil && n >= next {
				next = n + 1
			}
			known = known && !it.anyKey
			v.items = append(v.items, it)
		}
		part = part[min(stop+1, len(part)):]
	}
	return v, inner[min(end+1, len(inner)):], ""
}

// topLevelClose returns where the bracket around the tokens closes.
func topLevelClose(tokens []token) int {
	depth := 0
	for i, t := range tokens {
		switch {
		case closing(t) != "":
			depth++
		case t.is(")") || t.is("]") || t.is("}"):
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return len(tokens)
}

// item reads an element; its key is empty when none is written.
func (e evaluator) item(tokens []token, depth int) item {
	it := item{line: tokens[0].line, start: tokens[0].start, end: tokens[len(tokens)-1].end}
	value := tokens
	if arrow := topLevel(tokens, "=>"); arrow < len(tokens) {
		value = tokens[arrow+1:]
		key, why := e.literalOf(tokens[:arrow], depth)
		text, ok := arrayKey(key)
		it.key, it.anyKey = text, why != "" || !ok || text == ""
	} else if tokens[0].is("...") {
		it.anyKey, it.why = true, "an array that is put in"
		return it
	}
	it.value, it.why = e.literalOf(value, depth)
	return it
}

// element is what was found under the keys of an array.
func (f *File) element(name string, v Value, keys []string) (Value, error) {
	for len(keys) > 0 {
		if v.Type != Array {
			return Value{}, &Error{NotLiteral, f.name, v.Line, name + " is no array"}
		}
		at := -1
		for i, it := range slices.Backward(v.items) {
			if it.anyKey {
				return Value{}, f.ambiguous(name, it.line, "an element whose key is computed stands beside it")
			}
			if it.key == keys[0] {
				at = i
				break
			}
		}
		if at < 0 {
			return Value{}, f.missing(name)
		}
		if it := v.items[at]; it.why != "" {
			return Value{}, &Error{NotLiteral, f.name, it.line, fmt.Sprintf("%s is not a plain value but %s", name, it.why)}
		}
		v, keys = v.items[at].value, keys[1:]
	}
	return v, nil
}

// separator is what stands between the elements of an array in the source: a
// comma, and the spaces that its last element begins with.
func (f *File) separator(array Value) string {
	last := array.items[len(array.items)-1]
	before := f.source[array.open:last.start]
	space := string(before[len(bytes.TrimRight(before, " \t\r\n")):])
	if space == "" {
		space = " "
	}
	return "," + space
}
