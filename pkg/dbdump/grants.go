package dbdump

import (
	"context"
	"slices"
	"strings"
)

// grant is one line of SHOW GRANTS.
type grant struct {
	privileges []string // in capitals, without column lists
	database   string   // pattern as it stands: "*" for all
	table      string   // "*" for all of the database
	role       string   // a granted role; the rest is empty
}

// parseGrant reads a line of SHOW GRANTS. It returns false for lines that
// grant nothing (SET DEFAULT ROLE, REVOKE).
func parseGrant(line string) (grant, bool) {
	var l scanner
	stmt := []byte(line)
	ts := l.tokens(stmt)
	t, ok := ts.next()
	if !ok || !t.is(stmt, "GRANT") {
		return grant{}, false
	}
	var g grant
	var words []string
	for t, ok = ts.next(); ok && !t.is(stmt, "ON") && !t.is(stmt, "TO"); t, ok = ts.next() {
		if t.isByte(stmt, '(') {
			skipParens(ts, stmt)
			continue
		}
		if t.isByte(stmt, ',') {
			g.privileges = append(g.privileges, strings.Join(words, " "))
			words = nil
			continue
		}
		words = append(words, strings.ToUpper(t.name(stmt)))
		if t.kind != tokWord || g.role != "" {
			g.role = t.name(stmt)
		}
	}
	g.privileges = append(g.privileges, strings.Join(words, " "))
	if !ok || t.is(stmt, "TO") { // GRANT role TO user
		if g.role == "" {
			g.role = strings.ToLower(strings.Join(g.privileges, ","))
		}
		return g, true
	}
	g.role = ""
	g.object(ts, stmt)
	return g, true
}

func skipParens(ts *tokens, stmt []byte) {
	for t, ok := ts.next(); ok && !t.isByte(stmt, ')'); t, ok = ts.next() {
	}
}

// object reads [TABLE|FUNCTION|...] db.table.
func (g *grant) object(ts *tokens, stmt []byte) {
	var parts []string
	for t, ok := ts.next(); ok && !t.is(stmt, "TO"); t, ok = ts.next() {
		if !t.isByte(stmt, '.') && !t.isAny(stmt, "TABLE", "FUNCTION", "PROCEDURE", "PACKAGE", "BODY") {
			parts = append(parts, t.name(stmt))
		}
	}
	if len(parts) == 2 {
		g.database, g.table = parts[0], parts[1]
		return
	}
	g.database, g.table = "*", "*" // PROXY and the like: no limit that we know
}

// nothing reports whether the line gives no right but to log in.
func (g grant) nothing() bool {
	return g.role == "" && len(g.privileges) == 1 && g.privileges[0] == "USAGE"
}

// within reports whether it is limited to this database.
func (g grant) within(database string) bool {
	if g.role != "" || g.database == "*" {
		return false
	}
	return g.database == grantPattern(database) || g.database == database && !strings.ContainsAny(database, `_%\`)
}

// covers reports whether the line gives a privilege on all of a database. The
// pattern may hold wildcards.
func (g grant) covers(privilege, database string) bool {
	if g.role != "" || g.table != "*" {
		return false
	}
	if g.database != "*" && g.database != database && !likeMatch(g.database, database) {
		return false
	}
	return slices.ContainsFunc(g.privileges, func(p string) bool {
		return p == privilege || p == "ALL PRIVILEGES" || p == "ALL"
	})
}

// likeMatch matches SQL's LIKE: _ one character, % any, \ escapes.
func likeMatch(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	switch c := pattern[0]; {
	case c == '%':
		for i := 0; i <= len(s); i++ {
			if likeMatch(pattern[1:], s[i:]) {
				return true
			}
		}
		return false
	case s == "":
		return false
	case c == '_':
		return likeMatch(pattern[1:], s[1:])
	case c == '\\' && len(pattern) > 1:
		return pattern[1] == s[0] && likeMatch(pattern[2:], s[1:])
	default:
		return c == s[0] && likeMatch(pattern[1:], s[1:])
	}
}

// grants parses the lines of SHOW GRANTS.
func parseGrants(lines []string) []grant {
	var gs []grant
	for _, line := range lines {
		if g, ok := parseGrant(line); ok {
			gs = append(gs, g)
		}
	}
	return gs
}

// confined reports whether these grants reach exactly database and nothing
// else; beyond names what else they reach.
func confined(gs []grant, database string) (beyond string, ok bool) {
	for _, g := range gs {
		switch {
		case g.nothing() || g.within(database):
		case g.role != "":
			return "the role " + g.role, false
		default:
			return g.database + "." + g.table, false
		}
	}
	return "", true
}

// dumpPrivileges are what a dump needs on its database. Without SHOW VIEW and
// the like the dump program fails; without TRIGGER it leaves triggers out and
// says nothing.
var dumpPrivileges = []string{"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"}

// mayDump refuses a dump that would silently leave something out.
func (in *Instance) mayDump(ctx context.Context, database string) error {
	lines, err := in.column(ctx, "SHOW GRANTS")
	if err != nil {
		return fail("check privileges", in.server.User, err)
	}
	gs := parseGrants(lines)
	for _, p := range dumpPrivileges {
		if !slices.ContainsFunc(gs, func(g grant) bool { return g.covers(p, database) }) {
			return failAs(KindPrivilege, opDump, database,
				"grant "+p+" on it to the account of the agent", "the account %s lacks the privilege %s", in.server.User, p)
		}
	}
	return nil
}
