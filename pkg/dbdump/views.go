package dbdump

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ViewDefinition is what makes a view again.
type ViewDefinition struct {
	Algorithm string // UNDEFINED, MERGE or TEMPTABLE; "": it is not said
	Security  string // DEFINER or INVOKER; "": it is not said
	Definer   string // user@host; "": it is not said
	// Body is the statement from the view's name on, without a database: `v` AS select ... Its bytes are in Charset.
	Body []byte
	// The character set of the client that made the view, and the collation of its connection. A collation "" is
	// the default of the character set.
	Charset, Collation string
}

// equal reports whether two definitions make the same view.
func (v *ViewDefinition) equal(o *ViewDefinition) bool {
	return v.Algorithm == o.Algorithm && v.Security == o.Security && v.Definer == o.Definer &&
		bytes.Equal(v.Body, o.Body) && v.Charset == o.Charset && v.Collation == o.Collation
}

// create returns the statement that makes the view, or replaces it, in the current database. It is in v.Charset.
func (v *ViewDefinition) create(definer string) string {
	var b bytes.Buffer
	b.WriteString("CREATE OR REPLACE ")
	if v.Algorithm != "" {
		fmt.Fprintf(&b, "ALGORITHM=%s ", v.Algorithm)
	}
	if definer != "" {
		fmt.Fprintf(&b, "DEFINER=%s ", definer)
	}
	if v.Security != "" {
		fmt.Fprintf(&b, "SQL SECURITY %s ", v.Security)
	}
	b.WriteString("VIEW ")
	b.Write(v.Body)
	return b.String()
}

// String is what an administrator types, in the view's database, to make the view or replace it.
func (v *ViewDefinition) String() string {
	definer := ""
	if v.Definer != "" {
		definer = quoteAccount(v.Definer)
	}
	return v.create(definer)
}

// ReadViews returns the views that a dump, or a part of one with its head, defines, by name. Where a dump defines one
// twice, first as a placeholder for other views to use, the last definition counts.
func ReadViews(dump io.Reader) (map[string]*ViewDefinition, error) {
	out := map[string]*ViewDefinition{}
	s := newSplitter(dump, nil)
	var session viewSession
	for {
		c, err := s.next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		if c.kind != chunkStatement || c.insert || !c.first || !c.last {
			continue
		}
		stmt := flatten(&s.lex, c.statement())
		session.follow(&s.lex, stmt)
		if v, name := parseView(&s.lex, stmt); v != nil {
			v.Charset, v.Collation = session.charset, session.collation
			out[name] = v
		}
	}
}

// viewSession is what of a dump's session a view remembers.
type viewSession struct{ charset, collation string }

// follow notes SET NAMES x, SET character_set_client = x and SET collation_connection = x. What brings an old value back
// is not followed: dumps set both anew before each view.
func (v *viewSession) follow(lex *scanner, stmt []byte) {
	ts := lex.tokens(stmt)
	if t, ok := ts.next(); !ok || !t.is(stmt, "SET") {
		return
	}
	what, _ := ts.next()
	value, ok := ts.next()
	if ok && value.isByte(stmt, '=') {
		value, ok = ts.next()
	}
	if !ok || value.kind != tokWord {
		return
	}
	text := string(stmt[value.start:value.end])
	switch {
	case what.is(stmt, "NAMES"):
		v.charset, v.collation = text, ""
	case what.is(stmt, "CHARACTER_SET_CLIENT"):
		v.charset = text
	case what.is(stmt, "COLLATION_CONNECTION"):
		v.collation = text
	}
}

// flatten takes the borders of versioned comments out of a statement, so that what is in them is plain SQL.
func flatten(lex *scanner, stmt []byte) []byte {
	var out []byte
	pos := 0
	ts := lex.tokens(stmt)
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		if t.kind == tokOpen || t.kind == tokClose {
			out = append(append(out, stmt[pos:t.start]...), ' ')
			pos = t.end
		}
	}
	return bytes.TrimSpace(append(out, stmt[pos:]...))
}

// parseView reads CREATE VIEW, which must hold no versioned comments. Of another statement it returns nil.
func parseView(lex *scanner, stmt []byte) (view *ViewDefinition, name string) {
	h := parseHead(lex, stmt)
	if h.verb != "CREATE" || h.object != "VIEW" || !h.hasName {
		return nil, ""
	}
	p := &viewParser{stmt: stmt, ts: lex.tokens(stmt), view: &ViewDefinition{}}
	p.options()
	if !h.owner.empty() {
		p.body = h.owner.to
	}
	p.view.Body = slices.Clone(stmt[p.body:])
	return p.view, h.name
}

// viewParser reads what stands before a view's name.
type viewParser struct {
	stmt []byte
	ts   *tokens
	view *ViewDefinition
	body int // where the name begins
}

func (p *viewParser) options() {
	for t, ok := p.ts.next(); ok; t, ok = p.ts.next() {
		switch {
		case t.is(p.stmt, "ALGORITHM"):
			p.ts.next() // =
			p.view.Algorithm = p.word()
		case t.is(p.stmt, "DEFINER"):
			p.ts.next() // =
			p.view.Definer = p.account()
		case t.is(p.stmt, "SECURITY"):
			p.view.Security = p.word()
		case t.is(p.stmt, "VIEW"):
			p.name()
			return
		}
	}
}

func (p *viewParser) word() string {
	t, _ := p.ts.next()
	return string(bytes.ToUpper(p.stmt[t.start:t.end]))
}

// account reads user[@host].
func (p *viewParser) account() string {
	user, _ := p.ts.next()
	before := *p.ts
	if at, ok := p.ts.next(); !ok || !at.isByte(p.stmt, '@') {
		*p.ts = before
		return user.name(p.stmt)
	}
	host, _ := p.ts.next()
	return user.name(p.stmt) + "@" + host.name(p.stmt)
}

// name goes over IF NOT EXISTS.
func (p *viewParser) name() {
	for t, ok := p.ts.next(); ok; t, ok = p.ts.next() {
		if !t.isAny(p.stmt, "IF", "NOT", "EXISTS") {
			p.body = t.start
			return
		}
	}
}
