package phplit

import "slices"

// noteIncludes records the includes of a statement.
func (p *parser) noteIncludes(s scope, tokens []token) {
	if p.ended {
		return
	}
	for i, t := range tokens {
		if !isInclude(t) {
			continue
		}
		path := tokens[i+1:]
		path = path[:min(topLevel(path, ";"), topLevelClose(path))]
		include := Include{File: p.file.name, Line: t.line, at: t.start, Path: p.path(path)}
		// The whole statement, or the part after return or an assignment to a
		// variable, so that no condition stands before it.
		plain := i == 0 || tokens[i-1].is("@") || tokens[i-1].is("=") || tokens[i-1].keyword() == "return"
		include.Certain = plain && s.when == always
		include.Guarded = plain && len(s.exists) > 0 && sameTokens(unwrap(path), unwrap(s.exists))
		p.file.includes = append(p.file.includes, include)
	}
}

// path takes the expression of a path apart; nil if it cannot be followed.
func (p *parser) path(tokens []token) []Part {
	tokens = unwrap(tokens)
	var parts []Part
	for len(tokens) > 0 {
		end := topLevel(tokens, ".")
		part, ok := p.part(tokens[:end])
		if !ok {
			return nil
		}
		parts = append(parts, part)
		tokens = tokens[min(end+1, len(tokens)):]
	}
	return parts
}

func (p *parser) part(tokens []token) (Part, bool) {
	if v, why := p.evaluator().literalOf(tokens, 0); why == "" && v.Type == String {
		return Part{Text: v.Text}, true
	}
	simple := len(tokens) == 1 && (tokens[0].kind == tokVariable || tokens[0].kind == tokName)
	// dirname(__FILE__) and conf_path().
	call := len(tokens) >= 3 && len(tokens) <= 4 && tokens[0].kind == tokName && tokens[1].is("(") && tokens[len(tokens)-1].is(")")
	if !simple && !call {
		return Part{}, false
	}
	symbol := ""
	for _, t := range tokens {
		symbol += t.text
	}
	return Part{Symbol: symbol}, true
}

// unwrap removes parentheses around an expression.
func unwrap(tokens []token) []token {
	for len(tokens) > 2 && tokens[0].is("(") && topLevelClose(tokens[1:]) == len(tokens)-2 {
		tokens = tokens[1 : len(tokens)-1]
	}
	return tokens
}

func sameTokens(a, b []token) bool {
	return slices.EqualFunc(a, b, func(a, b token) bool { return a.kind == b.kind && a.text == b.text })
}

// existenceGuard recognises the condition file_exists(PATH), is_readable(PATH)
// and is_file(PATH), and returns the path.
func existenceGuard(tokens []token) []token {
	if len(tokens) < 4 || !tokens[1].is("(") || topLevelClose(tokens[2:]) != len(tokens)-3 {
		return nil
	}
	switch tokens[0].keyword() {
	case "file_exists", "is_readable", "is_file":
		return tokens[2 : len(tokens)-1]
	}
	return nil
}

// environmentGuard recognises the condition isset($_SERVER['X']).
func environmentGuard(tokens []token) bool {
	if len(tokens) != 7 || tokens[0].keyword() != "isset" || !tokens[1].is("(") || !tokens[6].is(")") {
		return false
	}
	_, rest, ok := environment(tokens[2:6])
	return ok && len(rest) == 0
}

// assignment takes $name['key'][...] = value apart.
func (p *parser) assignment(tokens []token) (keys []key, value []token, ok bool) {
	if len(tokens) == 0 || tokens[0].kind != tokVariable {
		return nil, nil, false
	}
	keys, rest := p.keysOf(tokens[1:])
	if len(rest) < 2 || !rest[0].is("=") || hasAssignment(rest[1:]) {
		return nil, nil, false
	}
	return keys, rest[1:], true
}

// keysOf reads the keys after a variable's name.
func (p *parser) keysOf(rest []token) ([]key, []token) {
	var keys []key
	for len(rest) > 0 && rest[0].is("[") {
		end := topLevelClose(rest[1:])
		v, why := p.evaluator().literalOf(rest[1:1+end], 0)
		text, known := arrayKey(v)
		keys = append(keys, key{text: text, any: why != "" || !known})
		rest = rest[min(end+2, len(rest)):]
	}
	return keys, rest
}

// brackets returns how many tokens the keys of an element take.
func brackets(tokens []token) int {
	n := 0
	for n < len(tokens) && tokens[n].is("[") {
		n = min(n+topLevelClose(tokens[n+1:])+2, len(tokens))
	}
	return n
}

// noteUnset records what unset($a, $b['c']) takes away.
func (p *parser) noteUnset(tokens []token) {
	for i, t := range tokens {
		if t.kind == tokVariable {
			keys, _ := p.keysOf(tokens[i+1:])
			p.add(definition{name: t.text, keys: keys, when: maybe, line: t.line, at: t.start})
		}
	}
}

// noteReferences records variables that a loop may change without an
// assignment: foreach ($a as &$b).
func (p *parser) noteReferences(tokens []token) {
	if !slices.ContainsFunc(tokens, func(t token) bool { return t.is("&") }) {
		return
	}
	for _, t := range tokens {
		if t.kind == tokVariable {
			p.add(definition{name: t.text, when: maybe, line: t.line, at: t.start})
		}
	}
}

// noteClass records the constants of a class, or of classes in a namespace
// with braces.
func (p *parser) noteClass(tokens []token) {
	depth, body := 0, 1
	if tokens[0].keyword() == "namespace" {
		body = 2
	}
	for i, t := range tokens {
		switch {
		case closing(t) != "":
			depth++
		case t.is(")") || t.is("]") || t.is("}"):
			depth--
		case depth == body && t.keyword() == "const":
			end := i + topLevel(tokens[i:], ";")
			equals := i + topLevel(tokens[i:end], "=")
			if equals < end && tokens[equals-1].kind == tokName {
				name := tokens[equals-1]
				p.define(always, "::"+name.text, name, tokens[equals+1:end])
			}
		}
	}
}
