package dbdump

import (
	"bytes"
)

// filter takes out of a statement what must not be in a dump that is imported
// elsewhere. It works on tokens: nothing within strings, names or data changes.
type filter struct {
	lex          *scanner // whose modes and skips apply
	database     string   // whose name is taken out of references to what it holds; "": any
	keepDefiners bool
	// foreignSequence, if set, is told of tables and views that use a sequence of another database.
	foreignSequence func(name string)
	out             []byte
}

// dropped reports whether a whole statement has no place in a dump: what sets
// the server's GTID state or turns the binary log off.
func (f *filter) dropped(stmt []byte, h head) bool {
	if h.verb != "SET" {
		return false
	}
	ts := f.lex.tokens(stmt)
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		if t.isAny(stmt, "GTID_PURGED", "SQL_LOG_BIN", "MYSQLDUMP_TEMP_LOG_BIN", "GTID_SLAVE_POS") {
			return true
		}
	}
	return false
}

// apply returns data, which holds stmt at offset, without what must go. The
// result is valid until the next call.
func (f *filter) apply(data []byte, offset, end int, h head) []byte {
	stmt := data[offset:end]
	cuts := f.cuts(stmt, h)
	if len(cuts) == 0 {
		return data
	}
	f.out = append(f.out[:0], data[:offset]...)
	pos := 0
	for _, c := range cuts {
		f.out = append(f.out, stmt[pos:c.from]...)
		pos = c.to
	}
	f.out = append(f.out, stmt[pos:]...)
	return append(f.out, data[end:]...)
}

// cuts returns what must go, in order.
func (f *filter) cuts(stmt []byte, h head) []span {
	var cuts []span
	if !f.keepDefiners && !h.definer.empty() {
		cuts = append(cuts, h.definer)
	}
	if h.verb == "CREATE" && !h.owner.empty() && (f.database == "" || h.schema == f.database) {
		cuts = append(cuts, h.owner) // SHOW CREATE gives triggers and routines as they were typed
	}
	switch {
	case h.verb == "ALTER" && (h.object == "DATABASE" || h.object == "SCHEMA"):
		cuts = append(cuts, f.databaseName(stmt)...)
	case h.verb == "CREATE" && (h.object == "TABLE" || h.object == "VIEW"):
		cuts = append(cuts, f.references(stmt, h)...)
	case h.verb == "CREATE" && h.object == "TRIGGER":
		cuts = append(cuts, f.triggerTable(stmt)...)
	}
	return cuts
}

// triggerTable finds the qualifier in CREATE TRIGGER name time event ON `db`.`table`.
func (f *filter) triggerTable(stmt []byte) []span {
	ts := f.lex.tokens(stmt)
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		if !t.is(stmt, "ON") {
			continue
		}
		name, ok := ts.next()
		dot, more := ts.next()
		if ok && more && name.isName() && dot.isByte(stmt, '.') && f.mine(stmt, name) {
			return []span{{name.start, dot.end}}
		}
		return nil
	}
	return nil
}

// databaseName finds the name in ALTER DATABASE name CHARACTER SET ..., which
// mysqldump writes around routines whose database had another default: without
// a name it means the database that is imported into.
func (f *filter) databaseName(stmt []byte) []span {
	ts := f.lex.tokens(stmt)
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		if !t.isAny(stmt, "DATABASE", "SCHEMA") {
			continue
		}
		n, ok := ts.next()
		if !ok || !n.isName() || isDatabaseOption(stmt, n) {
			return nil
		}
		to := n.end
		if to < len(stmt) && stmt[to] == ' ' {
			to++
		}
		return []span{{n.start, to}}
	}
	return nil
}

func isDatabaseOption(stmt []byte, t token) bool {
	return t.isAny(stmt, "CHARACTER", "CHARSET", "COLLATE", "DEFAULT", "COMMENT")
}

// references finds where a definition names its own database: in sequences,
// nextval(`db`.`seq`), lastval, setval, NEXT or PREVIOUS VALUE FOR `db`.`seq`;
// and in columns, `db`.`table`.`column`, as views without a living definer are shown.
func (f *filter) references(stmt []byte, h head) []span {
	var cuts []span
	var last [4]token // the newest last
	ts := f.lex.tokens(stmt)
	for t, ok := ts.next(); ok; t, ok = ts.next() {
		if t.isByte(stmt, '.') && last[3].isName() {
			cuts = append(cuts, f.qualifier(stmt, last, t, h)...)
		}
		last = [4]token{last[1], last[2], last[3], t}
	}
	return cuts
}

// qualifier returns the cut, if any, that a dot after these tokens completes.
func (f *filter) qualifier(stmt []byte, last [4]token, dot token, h head) []span {
	switch {
	case beforeSequence(stmt, last[:3]):
		if f.mine(stmt, last[3]) {
			return []span{{last[3].start, dot.end}}
		}
		if f.foreignSequence != nil {
			f.foreignSequence(h.name)
		}
	case last[2].isByte(stmt, '.') && last[1].kind == tokIdent && !last[0].isByte(stmt, '.') && f.mine(stmt, last[1]):
		return []span{{last[1].start, last[2].end}}
	}
	return nil
}

// mine reports whether a name is that of the database.
func (f *filter) mine(stmt []byte, name token) bool {
	return f.database == "" || name.name(stmt) == f.database
}

// beforeSequence reports whether the name after these tokens is a sequence's.
func beforeSequence(stmt []byte, last []token) bool {
	if last[2].isByte(stmt, '(') {
		return last[1].isAny(stmt, "NEXTVAL", "LASTVAL", "SETVAL")
	}
	return last[2].is(stmt, "FOR") && last[1].is(stmt, "VALUE") && last[0].isAny(stmt, "NEXT", "PREVIOUS")
}

// endMark is what mysqldump writes last.
var endMark = []byte("-- Dump completed")

// hasEndMark reports whether comments that nothing follows hold the end mark
// at the beginning of a line.
func hasEndMark(trailing []byte) bool {
	return bytes.HasPrefix(trailing, endMark) || bytes.Contains(trailing, append([]byte("\n"), endMark...))
}
