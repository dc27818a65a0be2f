package phplit

import "slices"

// constants reads: const NAME = value, NAME = value;
func (p *parser) constants(s scope) error {
	begin := p.pos
	if err := p.expression(scope{when: maybe}); err != nil {
		return err
	}
	if p.namespaced {
		s = s.conditional()
	}
	part := p.tokens[begin+1 : p.pos-1]
	for len(part) > 0 {
		end := topLevel(part, ",")
		if end >= 3 && part[0].kind == tokName && part[1].is("=") {
			p.define(s.certaintyOf(part[0].text), part[0].text, part[0], part[2:end])
		}
		part = part[min(end+1, len(part)):]
	}
	return nil
}

// topLevel returns where the punctuation first stands outside of brackets, or
// the length.
func topLevel(tokens []token, punct string) int {
	depth := 0
	for i, t := range tokens {
		switch {
		case closing(t) != "":
			depth++
		case t.is(")") || t.is("]") || t.is("}"):
			depth--
		case depth == 0 && t.is(punct):
			return i
		}
	}
	return len(tokens)
}

// note records what a statement defines.
func (p *parser) note(s scope, tokens []token) {
	if len(tokens) == 0 {
		return
	}
	p.noteIncludes(s, tokens)
	if tokens[0].keyword() == "unset" {
		p.noteUnset(tokens)
		return
	}
	if s.when != maybe && p.noteExact(s, tokens) {
		return
	}
	for i := range tokens {
		p.noteUncertain(tokens, i)
	}
}

func isInclude(t token) bool {
	switch t.keyword() {
	case "include", "include_once", "require", "require_once":
		return true
	}
	return false
}

// noteExact records a statement that is nothing but a definition: define(...),
// defined('X') || define('X', ...), or an assignment.
func (p *parser) noteExact(s scope, tokens []token) bool {
	if tokens[0].is("@") {
		tokens = tokens[1:]
	}
	if keys, value, ok := p.assignment(tokens); ok {
		d := p.definition(s.certaintyOf(tokens[0].text), tokens[0].text, tokens[0], value)
		d.keys = keys
		p.add(d)
		return true
	}
	if name, value, ok := defineCall(tokens); ok {
		p.defineNamed(s, name, value)
		return true
	}
	guard, rest := shortGuard(tokens)
	name, value, ok := defineCall(rest)
	if !ok || guard == "" || s.when != always {
		return false
	}
	p.defineNamed(scope{when: ifUndefined, guard: guard}, name, value)
	return true
}

// hasAssignment says whether something is assigned or defined in an expression.
func hasAssignment(tokens []token) bool {
	return slices.ContainsFunc(tokens, func(t token) bool { return t.is("=") || t.keyword() == "define" })
}

// defineCall takes apart define(name, value) and define(name, value, false).
func defineCall(tokens []token) (name, value []token, ok bool) {
	n := len(tokens)
	if n < 6 || tokens[0].keyword() != "define" || !tokens[1].is("(") || !tokens[n-1].is(")") {
		return nil, nil, false
	}
	args := tokens[2 : n-1]
	comma := topLevel(args, ",")
	if comma == len(args) || topLevel(args, ")") < len(args) {
		return nil, nil, false
	}
	if hasAssignment(args) {
		return nil, nil, false
	}
	name, value = args[:comma], args[comma+1:]
	value = value[:topLevel(value, ",")]
	return name, value, len(name) > 0 && len(value) > 0
}

// undefinedGuard recognises the condition !defined('X').
func undefinedGuard(tokens []token) (string, bool) {
	if len(tokens) != 5 || !tokens[0].is("!") {
		return "", false
	}
	return definedCall(tokens[1:])
}

// definedCall recognises defined('X') at the beginning.
func definedCall(tokens []token) (string, bool) {
	if len(tokens) < 4 || tokens[0].keyword() != "defined" || !tokens[1].is("(") || tokens[2].kind != tokString || !tokens[3].is(")") {
		return "", false
	}
	return tokens[2].text, true
}

// shortGuard recognises defined('X') || and !defined('X') &&, and returns X
// and what follows.
func shortGuard(tokens []token) (string, []token) {
	if name, ok := definedCall(tokens); ok && len(tokens) > 5 && (tokens[4].is("||") || tokens[4].keyword() == "or") {
		return name, tokens[5:]
	}
	if len(tokens) > 6 && tokens[0].is("!") {
		if name, ok := definedCall(tokens[1:]); ok && (tokens[5].is("&&") || tokens[5].keyword() == "and") {
			return name, tokens[6:]
		}
	}
	return "", nil
}

// noteUncertain records a definition that stands somewhere in an expression,
// or in a place that is run at another time.
func (p *parser) noteUncertain(tokens []token, i int) {
	t := tokens[i]
	follows := func(n int) token {
		if i+n < len(tokens) {
			return tokens[i+n]
		}
		return token{}
	}
	switch {
	case t.kind == tokVariable && isAssignment(follows(1+brackets(tokens[i+1:]))):
		p.add(definition{name: t.text, when: maybe, line: t.line, at: t.start})
	case t.keyword() == "define" && follows(1).is("(") && (i == 0 || !isMember(tokens[i-1])):
		name := follows(2)
		known := name.kind == tokString && follows(3).is(",")
		p.add(definition{name: name.text, anyName: !known, when: maybe, line: t.line, at: t.start})
	}
}

// isMember says whether the token before a name makes it no plain function.
func isMember(before token) bool {
	switch before.keyword() {
	case "function", "new", "fn", "const":
		return true
	}
	return before.is("->") || before.is("?->") || before.is("::")
}

func isAssignment(t token) bool {
	switch t.text {
	case "=", ".=", "??=", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "**=", "<<=", ">>=", "++", "--":
		return t.kind == tokPunct
	}
	return false
}

// defineNamed records a definition whose name is an expression.
func (p *parser) defineNamed(s scope, name, value []token) {
	literal, why := p.evaluator().literalOf(name, 0)
	if why != "" {
		p.add(definition{anyName: true, when: maybe, line: name[0].line, at: name[0].start})
		return
	}
	p.define(s.certaintyOf(literal.Text), literal.Text, name[0], value)
}

func (p *parser) define(when certainty, name string, at token, value []token) {
	p.add(p.definition(when, name, at, value))
}

func (p *parser) definition(when certainty, name string, at token, value []token) definition {
	literal, why := p.evaluator().literalOf(value, 0)
	return definition{name: name, when: when, line: at.line, at: at.start, value: literal, why: why}
}

// evaluator reads expressions at this place in the file.
func (p *parser) evaluator() evaluator {
	return evaluator{constant: func(name string) (Value, bool) {
		v, err := p.file.Constant(name)
		return v, err == nil && !p.namespaced
	}}
}

func (p *parser) add(d definition) {
	if !p.ended {
		p.file.defs = append(p.file.defs, d)
	}
}
