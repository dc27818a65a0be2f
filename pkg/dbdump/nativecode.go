package dbdump

import (
	"context"
	"strings"
)

// stored is a trigger, event or routine, and the settings it was made under.
type stored struct {
	create, sqlMode, timeZone      string
	charset, collation, dbCollates string
}

// hintRoutine is for routines whose text the account may not see.
const hintRoutine = "grant the account of the agent SELECT on mysql.proc (MariaDB) or SHOW_ROUTINE (MySQL 8)"

// stored reads a SHOW CREATE of something that runs; zone says whether the
// third column is a time zone.
func (n *native) stored(ctx context.Context, l *link, what, name string, zone bool) (stored, error) {
	r, err := l.shown(ctx, what, name, 6)
	if err != nil {
		return stored{}, err
	}
	o := stored{sqlMode: r[1]}
	if r = r[2:]; zone {
		if len(r) < 5 {
			return o, errMalformed
		}
		o.timeZone, r = r[0], r[1:]
	}
	o.create, o.charset, o.collation, o.dbCollates = r[0], r[1], r[2], r[3]
	if o.create == "" {
		return o, failAs(KindPrivilege, opDump, QuoteIdent(n.dump.o.Database)+"."+QuoteIdent(name), hintRoutine,
			"the server does not show the text of the %s to the account %s", strings.ToLower(what), n.dump.in.server.User)
	}
	return o, nil
}

// charsetOf returns the character set of a collation: what stands before its first underscore.
func charsetOf(collation string) string {
	set, _, _ := strings.Cut(collation, "_")
	return set
}

// enter makes the settings that an object was made under; end is the terminator
// in force. The database's default is part of them: a routine's parameters take
// theirs from it.
func (n *native) enter(s *script, o stored, end string) {
	n.alterDatabase(s, o, o.dbCollates, end)
	for _, q := range []string{
		"SET @saved_cs_client      = @@character_set_client",
		"SET @saved_cs_results     = @@character_set_results",
		"SET @saved_col_connection = @@collation_connection",
		"SET character_set_client  = " + o.charset,
		"SET character_set_results = " + o.charset,
		"SET collation_connection  = " + o.collation,
	} {
		s.add("/*!50003 "+q+" */ ", end)
	}
}

// enterMode sets the sql_mode.
func (o stored) enterMode(s *script, end string) {
	s.add("/*!50003 SET @saved_sql_mode       = @@sql_mode */ ", end)
	s.add("/*!50003 SET sql_mode              = '"+o.sqlMode+"' */ ", end)
}

// leave takes back what enter and enterMode did.
func (n *native) leave(s *script, o stored, end string) {
	for _, q := range []string{
		"SET sql_mode              = @saved_sql_mode",
		"SET character_set_client  = @saved_cs_client",
		"SET character_set_results = @saved_cs_results",
		"SET collation_connection  = @saved_col_connection",
	} {
		s.add("/*!50003 "+q+" */ ", end)
	}
	n.alterDatabase(s, o, n.dump.info.Collation, end)
}

func (n *native) alterDatabase(s *script, o stored, collation, end string) {
	if o.dbCollates == n.dump.info.Collation || o.dbCollates == "" {
		return
	}
	s.add("ALTER DATABASE "+QuoteIdent(n.dump.o.Database)+" CHARACTER SET "+charsetOf(collation)+" COLLATE "+collation+" ", end)
}

// versioned puts CREATE, DEFINER and the rest each into the versioned comment
// of the version that brought it.
func (o stored) versioned(create, definer string) string {
	lex := &scanner{
		noBackslash: strings.Contains(o.sqlMode, "NO_BACKSLASH_ESCAPES"), ansiQuotes: strings.Contains(o.sqlMode, "ANSI_QUOTES"),
	}
	h := parseHead(lex, []byte(o.create))
	if h.definer.empty() || !strings.HasPrefix(o.create, "CREATE ") || h.definer.from != len("CREATE ") {
		return "/*!" + create + " " + o.create + " \n*/"
	}
	return "/*!" + create + " CREATE*/ /*!" + definer + " " + strings.TrimSuffix(o.create[h.definer.from:h.definer.to], " ") +
		"*/ /*!" + create + " " + o.create[h.definer.to:] + " \n*/"
}

// triggersOf writes the triggers of one table.
func (n *native) triggersOf(ctx context.Context, l *link, w *partWriter, names []string) error {
	if len(names) == 0 {
		return nil
	}
	return l.verbatim(ctx, func() error {
		for _, name := range names {
			o, err := n.stored(ctx, l, "TRIGGER", name, false)
			if err != nil {
				if err = n.spare(w, name, err); err != nil {
					return err
				}
				continue
			}
			s := &script{}
			n.enter(s, o, ";\n")
			o.enterMode(s, ";\n")
			s.delimiter(";;")
			s.add(o.versioned("50003", "50017"), ";;\n")
			s.delimiter(";")
			n.leave(s, o, ";\n")
			if err := s.send(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// heads the comment before all events or routines; nothing is in the dump without one of them.
func (n *native) codeHeading(kind string) string {
	name := strings.ReplaceAll(n.dump.o.Database, "\n", "\n-- ")
	return "\n--\n-- Dumping " + kind + " for database '" + name + "'\n--\n"
}

// events writes all events, each in its own time zone.
func (n *native) events(ctx context.Context, l *link, w *partWriter) error {
	rows, err := l.rows(ctx, "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY EVENT_NAME")
	if err != nil || len(rows) == 0 {
		return err
	}
	s := &script{}
	s.say(n.codeHeading("events"))
	s.add("/*!50106 SET @save_time_zone= @@TIME_ZONE */ ", ";\n")
	err = l.verbatim(ctx, func() error {
		for _, r := range rows {
			if err := n.event(ctx, l, s, r[0]); err != nil {
				if err = n.spare(w, r[0], err); err != nil {
					return n.tableError(r[0], err)
				}
			}
			if err := s.send(w); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.add("/*!50106 SET TIME_ZONE= @save_time_zone */ ", ";\n")
	return s.send(w)
}

func (n *native) event(ctx context.Context, l *link, s *script, name string) error {
	o, err := n.stored(ctx, l, "EVENT", name, true)
	if err != nil {
		return err
	}
	s.add("/*!50106 DROP EVENT IF EXISTS "+QuoteIdent(name)+" */", ";\n")
	s.delimiter(";;")
	n.enter(s, o, ";;\n")
	o.enterMode(s, ";;\n")
	s.add("/*!50003 SET @saved_time_zone      = @@time_zone */ ", ";;\n")
	s.add("/*!50003 SET time_zone             = '"+o.timeZone+"' */ ", ";;\n")
	s.add(o.versioned("50106", "50117")+" ", ";;\n")
	s.add("/*!50003 SET time_zone             = @saved_time_zone */ ", ";;\n")
	n.leave(s, o, ";;\n")
	s.delimiter(";")
	return nil
}

// routineKinds are what information_schema.ROUTINES can list, in the dump's order.
var routineKinds = []string{"FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY"}

// routines writes all functions, procedures and packages.
func (n *native) routines(ctx context.Context, l *link, w *partWriter) error {
	rows, err := l.rows(ctx, `SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()
		ORDER BY FIELD(ROUTINE_TYPE, 'FUNCTION', 'PROCEDURE', 'PACKAGE', 'PACKAGE BODY'), ROUTINE_NAME`)
	if err != nil || len(rows) == 0 {
		return err
	}
	s := &script{}
	s.say(n.codeHeading("routines"))
	return l.verbatim(ctx, func() error {
		for _, r := range rows {
			if err := n.routine(ctx, l, s, r[0], r[1]); err != nil {
				if err = n.spare(w, r[1], err); err != nil {
					return n.tableError(r[1], err)
				}
			}
			if err := s.send(w); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *native) routine(ctx context.Context, l *link, s *script, kind, name string) error {
	o, err := n.stored(ctx, l, kind, name, false)
	if err != nil {
		return err
	}
	o.enterMode(s, ";\n")
	s.add("/*!50003 DROP "+kind+" IF EXISTS "+QuoteIdent(name)+" */", ";\n")
	n.enter(s, o, ";\n")
	s.delimiter(";;")
	s.add(o.create+"\n", ";;\n")
	s.delimiter(";")
	n.leave(s, o, ";\n")
	return nil
}
