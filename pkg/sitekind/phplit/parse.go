package phplit

import "strings"

// scope says when the statements that are read now are run.
type scope struct {
	when certainty
	// guard is the constant that the surrounding if found undefined.
	guard string
	// exists is the path whose file the surrounding if found to be there.
	exists []token
}

func (s scope) conditional() scope { return scope{when: maybe} }

// certaintyOf says how sure a definition of name in this scope is.
func (s scope) certaintyOf(name string) certainty {
	if s.when == ifEnvironment && !strings.HasPrefix(name, "$") {
		return maybe
	}
	if s.when == ifUndefined && s.guard != name {
		return maybe
	}
	return s.when
}

// parser follows statements. It knows as much of PHP's grammar as tells
// whether a definition is made always, under a condition, or never.
type parser struct {
	file   *File
	tokens []token
	pos    int
	depth  int
	// namespaced says that constants of this file belong to a namespace.
	namespaced bool
	// ended says that what follows is not run.
	ended bool
}

func (p *parser) parse() error {
	for p.cur().kind != tokEnd {
		if err := p.statement(scope{}); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) cur() token { return p.tokens[p.pos] }

func (p *parser) ahead(n int) token {
	return p.tokens[min(p.pos+n, len(p.tokens)-1)]
}

func (p *parser) next() token {
	t := p.tokens[p.pos]
	if t.kind != tokEnd {
		p.pos++
	}
	return t
}

func (p *parser) syntax(t token, what string) error {
	return &Error{Syntax, p.file.name, t.line, what}
}

// statement reads one statement.
func (p *parser) statement(s scope) error {
	if p.depth++; p.depth > maxDepth {
		return p.syntax(p.cur(), "statements nest too deeply")
	}
	defer func() { p.depth-- }()
	t := p.cur()
	switch {
	case t.kind == tokText || t.kind == tokOpen || t.kind == tokClose || t.is(";"):
		p.next()
		return nil
	case t.is("{"):
		return p.block(s)
	case t.is("#["):
		return p.balanced()
	case t.is("}"):
		return p.syntax(t, "a closing brace has no opening one")
	case t.kind == tokName:
		return p.keyword(s, t)
	}
	return p.expression(s)
}

// keyword reads a statement that begins with a name.
func (p *parser) keyword(s scope, t token) error {
	follows := p.ahead(1)
	switch t.keyword() {
	case "if":
		return p.ifStatement(s)
	case "while", "for", "foreach", "switch", "declare", "catch":
		p.next()
		return p.controlled(s)
	case "do", "try", "finally":
		p.next()
		return p.statement(s.conditional())
	case "else", "elseif", "endif", "endwhile", "endfor", "endforeach", "endswitch", "enddeclare":
		return p.syntax(t, "this keyword has no beginning")
	case "function":
		if follows.kind == tokName || follows.is("&") && p.ahead(2).kind == tokName {
			return p.declared(s)
		}
	case "class", "abstract", "final", "readonly", "interface", "trait", "enum":
		if follows.kind == tokName {
			return p.declared(s)
		}
	case "namespace":
		p.namespaced = true
		return p.declared(s)
	case "const":
		return p.constants(s)
	case "goto":
		p.file.jumps = cmpOr(p.file.jumps, t.line)
	case "return", "exit", "die":
		return p.leave(s)
	case "case", "default":
		return p.label()
	}
	return p.expression(s)
}

func cmpOr(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

// leave reads a return or exit, after which nothing of the file is run.
func (p *parser) leave(s scope) error {
	begin := p.pos
	err := p.expression(s)
	if value := p.tokens[begin+1 : max(begin+1, p.pos-1)]; err == nil && len(value) > 0 && s.when == always && p.tokens[begin].keyword() == "return" {
		p.define(always, Returned, p.tokens[begin], value)
	}
	p.ended = p.ended || s.when == always
	return err
}

// label reads the label of a switch: case 1: or default:
func (p *parser) label() error {
	first := p.next()
	for choices := 0; ; {
		t := p.cur()
		switch {
		case t.kind == tokEnd:
			return p.syntax(first, "a label of a switch begins here and does not end")
		case t.is("?"):
			choices++
		case t.is(":") && choices > 0:
			choices--
		case t.is(":") || t.is(";"):
			p.next()
			return nil
		case closing(t) != "":
			if err := p.balanced(); err != nil {
				return err
			}
			continue
		case t.is(")") || t.is("]") || t.is("}"):
			return p.syntax(t, "a label of a switch does not end before this")
		}
		p.next()
	}
}

// block reads statements up to the closing brace.
func (p *parser) block(s scope) error {
	open := p.next()
	for !p.cur().is("}") {
		if p.cur().kind == tokEnd {
			return p.syntax(open, "a brace opens here and does not close")
		}
		if err := p.statement(s); err != nil {
			return err
		}
	}
	p.next()
	return nil
}

// controlled reads the rest of a loop, or the like, after its keyword.
func (p *parser) controlled(s scope) error {
	head, err := p.parens()
	if err != nil {
		return err
	}
	p.noteReferences(head)
	_, err = p.body(s.conditional())
	return err
}

// body reads what an if or a loop governs, in either notation. Colon says
// that it was the one with a colon, whose end keyword is not read.
func (p *parser) body(s scope) (colon bool, err error) {
	if !p.cur().is(":") {
		return false, p.statement(s)
	}
	open := p.next()
	for {
		t := p.cur()
		switch t.keyword() {
		case "else", "elseif", "endif":
			return true, nil
		case "endwhile", "endfor", "endforeach", "endswitch", "enddeclare":
			p.next()
			return true, nil
		}
		if t.kind == tokEnd {
			return true, p.syntax(open, "a block opens here with a colon and does not end")
		}
		if err := p.statement(s); err != nil {
			return true, err
		}
	}
}

// ifStatement reads an if with all its branches.
func (p *parser) ifStatement(s scope) error {
	p.next()
	condition, err := p.parens()
	if err != nil {
		return err
	}
	inner := s.conditional()
	if s.when == always {
		inner = guarded(condition)
	}
	colon, err := p.body(inner)
	for err == nil {
		switch p.cur().keyword() {
		case "elseif":
			p.next()
			if _, err = p.parens(); err == nil {
				colon, err = p.body(s.conditional())
			}
		case "else":
			p.next()
			colon, err = p.body(s.conditional())
		case "endif":
			if colon { // Otherwise it ends an if further out.
				p.next()
			}
			return nil
		default:
			if colon {
				return p.syntax(p.cur(), "an if with a colon does not end")
			}
			return nil
		}
	}
	return err
}

// guarded is the scope of what an if governs.
func guarded(condition []token) scope {
	if name, ok := undefinedGuard(condition); ok {
		return scope{when: ifUndefined, guard: name}
	}
	if environmentGuard(condition) {
		return scope{when: ifEnvironment}
	}
	return scope{when: maybe, exists: existenceGuard(condition)}
}

// declared reads a function, class or namespace. Its braces hold code that is
// run at some other time, or never. Constants in a class are no constants of
// the file.
func (p *parser) declared(s scope) error {
	return p.expression(s.conditional())
}

// parens reads from an opening parenthesis to its closing one and returns what
// is between.
func (p *parser) parens() ([]token, error) {
	if !p.cur().is("(") {
		return nil, p.syntax(p.cur(), "an opening parenthesis is missing")
	}
	begin := p.pos
	if err := p.balanced(); err != nil {
		return nil, err
	}
	inner := p.tokens[begin+1 : p.pos-1]
	p.note(scope{when: maybe}, inner)
	return inner, nil
}

// closing returns what closes a bracket, or "".
func closing(t token) string {
	if t.kind != tokPunct {
		return ""
	}
	switch t.text {
	case "(":
		return ")"
	case "[", "#[":
		return "]"
	case "{":
		return "}"
	}
	return ""
}

// balanced moves from an opening bracket behind its closing one.
func (p *parser) balanced() error {
	var want []string
	open := p.cur()
	for {
		t := p.next()
		switch {
		case t.kind == tokEnd:
			return p.syntax(open, "a bracket opens here and does not close")
		case t.kind == tokClose && want[len(want)-1] != "}":
			return p.syntax(t, "PHP ends here within brackets")
		}
		if c := closing(t); c != "" {
			want = append(want, c)
		} else if t.is(")") || t.is("]") || t.is("}") {
			if t.text != want[len(want)-1] {
				return p.syntax(t, "this bracket closes another kind than the one that is open")
			}
			want = want[:len(want)-1]
		}
		if len(want) == 0 {
			return nil
		}
	}
}

// expression reads a statement up to its semicolon and notes its definitions.
func (p *parser) expression(s scope) error {
	begin := p.pos
	for {
		t := p.cur()
		switch {
		case t.is(";") || t.kind == tokClose || t.kind == tokEnd:
			return p.endExpression(s, begin)
		case closing(t) != "":
			if ended, err := p.group(s, begin); ended || err != nil {
				return err
			}
		case t.is(")") || t.is("]") || t.is("}"):
			return p.syntax(t, "a bracket closes here that was not opened, or a semicolon is missing before it")
		case p.pos > begin && unfinished(p.tokens[p.pos-1], t):
			return p.syntax(t, "a semicolon or an operator is missing before this")
		default:
			p.next()
		}
	}
}

// group passes a pair of brackets in the statement that began at begin. Ended
// says that the statement ends with them.
func (p *parser) group(s scope, begin int) (ended bool, err error) {
	open := p.cur()
	call := open.is("(") && p.pos > begin && p.tokens[p.pos-1].kind == tokName && !takesOperand(p.tokens[p.pos-1])
	declares := open.is("{") && isDeclaration(p.tokens[begin:p.pos])
	if err := p.balanced(); err != nil {
		return false, err
	}
	if declares {
		p.note(s, p.tokens[begin:p.pos])
		p.noteClass(p.tokens[begin:p.pos])
		return true, nil
	}
	if t := p.cur(); call && (isOperand(t) || t.kind == tokName && !joins(t)) {
		return false, p.syntax(t, "a semicolon or an operator is missing before this")
	}
	return false, nil
}

// endExpression takes the end of a statement. A last one without a semicolon
// is refused, as PHP does.
func (p *parser) endExpression(s scope, begin int) error {
	if p.cur().kind == tokEnd {
		return p.syntax(p.cur(), "the file ends within a statement")
	}
	p.note(s, p.tokens[begin:p.pos])
	p.next()
	return nil
}
