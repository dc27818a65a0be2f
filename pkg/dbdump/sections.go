package dbdump

import (
	"bytes"
)

// headers are the comments that mysqldump and mariadb-dump write before the
// parts of a dump (client/mysqldump.c).
var headers = []struct {
	text string
	kind SectionKind
}{
	{"-- Table structure for table ", SectionStructure},
	{"-- Dumping data for table ", SectionData},
	{"-- Sequence structure for ", SectionSequence},
	{"-- Temporary table structure for view ", SectionPlaceholder},
	{"-- Temporary view structure for view ", SectionPlaceholder},
	{"-- Final view structure for view ", SectionView},
	{"-- Dumping events for database ", SectionEvents},
	{"-- Dumping routines for database ", SectionRoutines},
}

// tracker follows a dump from section to section.
type tracker struct {
	cur     Section
	headers bool // the dump has such comments; without them the statements decide
	begun   bool
}

// next returns the section of a statement, given the comments before it and
// its head, and whether it begins there.
func (t *tracker) next(comments, stmt []byte, h head) (Section, bool) {
	was := t.cur
	if !t.begun {
		was = Section{}
		t.cur = Section{Kind: SectionPreamble}
	}
	t.cur = t.place(comments, stmt, h)
	begins := !t.begun || t.cur != was
	t.begun = true
	return t.cur, begins
}

// trailing returns the trailer's section, and whether it begins only now.
func (t *tracker) trailing() (Section, bool) {
	begins := t.cur.Kind != SectionTrailer
	t.cur, t.begun = Section{Kind: SectionTrailer}, true
	return t.cur, begins
}

func (t *tracker) place(comments, stmt []byte, h head) Section {
	kind, name := headerIn(comments)
	t.headers = t.headers || kind != ""
	table := t.cur.Kind == SectionStructure || t.cur.Kind == SectionData
	switch {
	case restoresSession(stmt, h):
		return Section{Kind: SectionTrailer}
	case kind == SectionEvents || kind == SectionRoutines:
		return Section{Kind: kind}
	case kind != "":
		if h.hasName {
			name = h.name
		}
		return Section{Kind: kind, Name: name}
	case t.headers && table && beginsTriggers(stmt, h):
		return Section{Kind: SectionTriggers, Name: t.cur.Name}
	case !t.headers:
		return t.byStatement(h)
	}
	return t.cur
}

// byStatement places a statement of a dump without comments.
func (t *tracker) byStatement(h head) Section {
	switch {
	case h.verb == "INSERT" || h.verb == "REPLACE":
		return Section{Kind: SectionData, Name: h.name}
	case h.verb != "CREATE":
		return t.cur
	}
	switch h.object {
	case "TABLE":
		return Section{Kind: SectionStructure, Name: h.name}
	case "SEQUENCE":
		return Section{Kind: SectionSequence, Name: h.name}
	case "VIEW":
		return Section{Kind: SectionView, Name: h.name}
	case "TRIGGER":
		return Section{Kind: SectionTriggers, Name: t.cur.Name}
	case "EVENT":
		return Section{Kind: SectionEvents}
	case "PROCEDURE", "FUNCTION", "PACKAGE":
		return Section{Kind: SectionRoutines}
	}
	return t.cur
}

// headerIn finds the last header in the comments before a statement, and the
// name it gives.
func headerIn(comments []byte) (SectionKind, string) {
	var kind SectionKind
	var name string
	for len(comments) > 0 {
		i := bytes.Index(comments, []byte("-- "))
		if i < 0 {
			break
		}
		atLine := i == 0 || comments[i-1] == '\n'
		comments = comments[i:]
		for _, h := range headers {
			if atLine && bytes.HasPrefix(comments, []byte(h.text)) {
				kind, name = h.kind, quotedName(comments[len(h.text):])
			}
		}
		i = bytes.IndexByte(comments, '\n')
		if i < 0 {
			break
		}
		comments = comments[i+1:]
	}
	return kind, name
}

// quotedName reads a name in backticks. A line end in it is written with "-- "
// after it, to stay in the comment.
func quotedName(b []byte) string {
	if len(b) == 0 || b[0] != '`' {
		return ""
	}
	var name []byte
	for i := 1; i < len(b); i++ {
		if b[i] == '`' {
			i++
			if i == len(b) || b[i] != '`' {
				break
			}
		}
		name = append(name, b[i])
	}
	return string(bytes.ReplaceAll(name, []byte("\n-- "), []byte("\n")))
}

// beginsTriggers reports whether a statement after a table's rows belongs to
// its triggers, which have no header.
func beginsTriggers(stmt []byte, h head) bool {
	return bytes.HasPrefix(stmt, []byte("/*!50003 ")) || bytes.HasPrefix(stmt, []byte("/*!50032 ")) ||
		h.verb == "ALTER" && h.object != "TABLE" || h.object == "TRIGGER" || h.verb == "DELIMITER"
}

// restoresSession reports whether a statement is one of the trailer's: SET x=@OLD_x.
func restoresSession(stmt []byte, h head) bool {
	if h.verb != "SET" || len(stmt) > 256 {
		return false
	}
	text := bytes.ToUpper(stmt)
	return bytes.Contains(text, []byte("SET TIME_ZONE=@OLD_TIME_ZONE")) ||
		bytes.Contains(text, []byte("SET SQL_MODE=@OLD_SQL_MODE"))
}
