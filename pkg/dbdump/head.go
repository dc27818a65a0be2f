package dbdump

// head is what the first words of a statement say.
type head struct {
	verb    string // CREATE, INSERT, SET, ...; in capitals
	object  string // TABLE, VIEW, ...; in capitals
	name    string // of the object
	schema  string // its qualifier
	owner   span   // the qualifier with its dot
	definer span   // the DEFINER clause, with the blank after it
	hasName bool
}

// span is a range of bytes.
type span struct{ from, to int }

func (s span) empty() bool { return s.to <= s.from }

// headParser walks over the first tokens of a statement.
type headParser struct {
	stmt []byte
	ts   *tokens
	tok  token // the one that is looked at
	ok   bool
	prev token
}

// parseHead reads the first words of a statement under the modes of l.
func parseHead(l *scanner, stmt []byte) head {
	p := &headParser{stmt: stmt, ts: l.tokens(stmt)}
	p.advance()
	p.skipMarks()
	var h head
	if !p.ok {
		return h
	}
	h.verb = p.upper()
	p.advance()
	switch h.verb {
	case "CREATE", "DROP", "ALTER":
		p.definition(&h)
	case "INSERT", "REPLACE":
		p.skipWords("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO")
		h.object = "TABLE"
		p.objectName(&h)
	case "LOCK", "UNLOCK", "TRUNCATE", "ANALYZE":
		p.skipWords("NO_WRITE_TO_BINLOG", "LOCAL")
		if p.is("TABLE") || p.is("TABLES") {
			h.object = "TABLE"
			p.advance()
		}
		p.objectName(&h)
	}
	return h
}

func (p *headParser) advance() {
	p.prev = p.tok
	p.tok, p.ok = p.ts.next()
}

// skipMarks goes over the borders of versioned comments.
func (p *headParser) skipMarks() {
	for p.ok && (p.tok.kind == tokOpen || p.tok.kind == tokClose) {
		p.advance()
	}
}

func (p *headParser) is(upper string) bool {
	p.skipMarks()
	return p.ok && p.tok.is(p.stmt, upper)
}

func (p *headParser) upper() string {
	if p.tok.kind != tokWord {
		return string(p.stmt[p.tok.start:p.tok.end])
	}
	w := make([]byte, p.tok.end-p.tok.start)
	for i, c := range p.stmt[p.tok.start:p.tok.end] {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		w[i] = c
	}
	return string(w)
}

func (p *headParser) skipWords(words ...string) {
	for p.skipMarks(); p.ok && p.tok.isAny(p.stmt, words...); p.skipMarks() {
		p.advance()
	}
}

// definition reads CREATE, DROP or ALTER up to the object's name.
func (p *headParser) definition(h *head) {
	for p.skipMarks(); p.ok; p.skipMarks() {
		switch {
		case p.is("DEFINER"):
			p.definer(h)
		case p.is("ALGORITHM"):
			p.assignment()
		case p.is("SQL"): // SQL SECURITY x
			p.advance()
			p.advance()
			p.advance()
		case p.tok.isAny(p.stmt, "OR", "REPLACE", "TEMPORARY", "AGGREGATE", "UNIQUE", "FULLTEXT", "SPATIAL", "ONLINE", "OFFLINE", "IGNORE"):
			p.advance()
		default:
			p.object(h)
			return
		}
	}
}

// assignment goes over WORD = value.
func (p *headParser) assignment() {
	p.advance()
	if p.ok && p.tok.isByte(p.stmt, '=') {
		p.advance()
	}
	p.advance()
}

// definer goes over DEFINER = user[@host], CURRENT_USER[()], and notes where it stood.
func (p *headParser) definer(h *head) {
	open, from := p.prev, p.tok.start
	p.assignment()
	for p.ok && (p.tok.isByte(p.stmt, '@') || p.tok.isByte(p.stmt, '(') || p.tok.isByte(p.stmt, ')')) {
		at := p.tok.isByte(p.stmt, '@')
		p.advance()
		if at {
			p.advance()
		}
	}
	if !h.definer.empty() || p.prev.end <= from {
		return
	}
	to := p.prev.end
	if open.kind == tokOpen && open.end > open.start && p.ok && p.tok.kind == tokClose {
		from, to = open.start, p.tok.end // nothing else in that comment
	}
	if to < len(p.stmt) && p.stmt[to] == ' ' {
		to++
	}
	h.definer = span{from, to}
}

// object reads TABLE, VIEW, ... and the name that follows.
func (p *headParser) object(h *head) {
	h.object = p.upper()
	p.advance()
	if h.object == "PACKAGE" {
		p.skipWords("BODY")
	}
	p.objectName(h)
}

// objectName reads [IF [NOT] EXISTS] [schema.]name.
func (p *headParser) objectName(h *head) {
	p.skipWords("IF", "NOT", "EXISTS")
	if !p.ok || !p.tok.isName() {
		return
	}
	h.name, h.hasName = p.tok.name(p.stmt), true
	from := p.tok.start
	p.advance()
	if p.ok && p.tok.isByte(p.stmt, '.') {
		h.owner = span{from, p.tok.end}
		p.advance()
		if p.ok && p.tok.isName() {
			h.schema, h.name = h.name, p.tok.name(p.stmt)
			p.advance()
		}
	}
}
