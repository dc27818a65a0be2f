package dbdump

import (
	"fmt"
	"slices"
)

// policy says which statements of a dump may run. It is the second guard: the
// first is that the account of an import has no rights outside of its database.
type policy struct {
	lex      *scanner
	database string // names qualified with it are fine
}

// objects that a dump of one database creates, drops or alters.
var objects = []string{
	"TABLE", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "SEQUENCE", "PACKAGE", "INDEX", "KEY", "TABLES",
}

// plainVerbs need no closer look than at the name they work on.
var plainVerbs = []string{
	"INSERT", "REPLACE", "UPDATE", "DELETE", "TRUNCATE", "ANALYZE", "LOCK", "UNLOCK", "DO", "COMMIT", "ROLLBACK", "BEGIN",
}

// check returns why a statement is refused, or nil.
func (p policy) check(stmt []byte, h head) error {
	switch {
	case h.verb == "" && len(p.words(stmt)) == 0: // nothing but comments
		return nil
	case h.schema != "" && h.schema != p.database:
		return fmt.Errorf("it names the database %s", QuoteIdent(h.schema))
	case slices.Contains(plainVerbs, h.verb):
		return p.clauses(stmt, h)
	case h.verb == "CREATE" || h.verb == "DROP" || h.verb == "ALTER":
		return p.definition(stmt, h)
	case h.verb == "SET":
		return p.assignments(stmt)
	case h.verb == "SELECT", h.verb == "START" && slices.Contains(p.words(stmt), "TRANSACTION"):
		return p.clauses(stmt, h)
	case h.verb == `\`:
		return fmt.Errorf("it is a command of the mysql client")
	}
	return fmt.Errorf("%s has no place in the dump of one database", h.verb)
}

// words returns the plain words of a statement in capitals.
func (p policy) words(stmt []byte) []string {
	ts := p.lex.tokens(stmt)
	var words []string
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		if t.kind == tokWord {
			hp := headParser{stmt: stmt, tok: t}
			words = append(words, hp.upper())
		}
	}
	return words
}

// clauses refuses INTO OUTFILE and DUMPFILE. The values of an INSERT are not
// looked at: no statement that writes files has them.
func (p policy) clauses(stmt []byte, h head) error {
	if h.verb == "INSERT" || h.verb == "REPLACE" {
		stmt = stmt[:min(len(stmt), 4096)]
	}
	ts := p.lex.tokens(stmt)
	into := false
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		if into && t.isAny(stmt, "OUTFILE", "DUMPFILE") {
			return fmt.Errorf("it writes a file on the database server")
		}
		into = t.is(stmt, "INTO") || into && (t.kind == tokOpen || t.kind == tokClose)
	}
	return nil
}

// definition looks at CREATE, DROP and ALTER.
func (p policy) definition(stmt []byte, h head) error {
	if h.object == "DATABASE" || h.object == "SCHEMA" {
		return p.alterDatabase(stmt, h)
	}
	if !slices.Contains(objects, h.object) {
		return fmt.Errorf("%s %s has no place in the dump of one database", h.verb, h.object)
	}
	if h.verb == "CREATE" && h.object == "FUNCTION" && slices.Contains(p.words(stmt), "SONAME") {
		return fmt.Errorf("it loads a library into the database server")
	}
	if h.object == "TABLE" || h.object == "VIEW" {
		return p.clauses(stmt, h)
	}
	return nil
}

// alterDatabase allows ALTER DATABASE without a name: it means the database we are in.
func (p policy) alterDatabase(stmt []byte, h head) error {
	if h.verb != "ALTER" {
		return fmt.Errorf("it is %s %s: dump one database, without --databases", h.verb, h.object)
	}
	f := filter{lex: p.lex}
	if len(f.databaseName(stmt)) == 0 {
		return nil
	}
	return fmt.Errorf("it alters a database by name")
}

// forbiddenScopes are what follows SET, or @@, when it is not the session's.
var forbiddenScopes = []string{"GLOBAL", "PERSIST", "PERSIST_ONLY", "PASSWORD", "ROLE", "STATEMENT", "RESOURCE"}

// assignments refuses SET of anything but session and user variables.
func (p policy) assignments(stmt []byte) error {
	ts := p.lex.tokens(stmt)
	var back [2]token
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		if t.isAny(stmt, forbiddenScopes...) && p.isScope(stmt, back) {
			return fmt.Errorf("it sets more than its own session")
		}
		if back[1].is(stmt, "DEFAULT") && t.is(stmt, "ROLE") {
			return fmt.Errorf("it changes an account")
		}
		back = [2]token{back[1], t}
	}
	return nil
}

// isScope reports whether a word after these tokens is where a SET says what it
// sets: SET x, an assignment after a comma, or @@x. A value is none of these.
func (p policy) isScope(stmt []byte, back [2]token) bool {
	at := back[1].isByte(stmt, '@') && back[0].isByte(stmt, '@')
	return at || back[1].is(stmt, "SET") || back[1].isByte(stmt, ',') || back[1].kind == tokOpen || back[1].kind == tokClose
}
