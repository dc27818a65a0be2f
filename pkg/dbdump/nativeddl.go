package dbdump

import (
	"context"
	"strings"
)

// heading is the comment that begins a section, as tracker reads it.
func heading(text, name string) string {
	return "\n--\n-- " + text + " " + strings.ReplaceAll(name, "\n", "\n-- ") + "\n--\n\n"
}

// headScript saves the session's settings and makes those for the dump.
func (n *native) headScript() *script {
	d, s := n.dump, &script{}
	family := "MariaDB"
	if d.in.version.Flavour == MySQL {
		family = "MySQL"
	}
	host := d.in.server.Host
	if host == "" {
		host = "localhost"
	}
	s.say("-- " + family + " dump by Sitekeep\n--\n-- Host: " + host + "    Database: " + strings.ReplaceAll(d.o.Database, "\n", "\n-- ") +
		"\n-- ------------------------------------------------------\n-- Server version\t" + d.in.version.Full + "\n\n")
	for _, q := range []string{
		"/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */",
		"/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */",
		"/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */",
		"/*!40101 SET NAMES utf8mb4 */",
		"/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */",
		"/*!40103 SET TIME_ZONE='+00:00' */",
		"/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */",
		"/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */",
		"/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */",
		"/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */",
	} {
		s.add(q, ";\n")
	}
	return s
}

// tailScript brings the session's settings back and ends the dump.
func (n *native) tailScript() *script {
	s := &script{}
	s.add("/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */", ";\n")
	s.say("\n")
	for _, q := range []string{
		"/*!40101 SET SQL_MODE=@OLD_SQL_MODE */",
		"/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */",
		"/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */",
		"/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */",
		"/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */",
		"/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */",
		"/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */",
	} {
		s.add(q, ";\n")
	}
	s.say("\n" + string(endMark) + "\n")
	s.end()
	return s
}

// shown returns the first row of a SHOW CREATE, or an error if it has fewer columns.
func (l *link) shown(ctx context.Context, what, name string, columns int) ([]string, error) {
	rows, err := l.rows(ctx, "SHOW CREATE "+what+" "+QuoteIdent(name))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || len(rows[0]) < columns {
		return nil, errMalformed
	}
	return rows[0], nil
}

// sequences writes all sequences, which defaults of tables may need.
func (n *native) sequences() *part {
	return &part{read: func(ctx context.Context, l *link, w *partWriter) error {
		for _, t := range n.dump.info.Tables {
			if t.Type != "SEQUENCE" || t.Broken != "" {
				continue
			}
			err := n.sequence(ctx, l, w, t.Name)
			if err != nil {
				err = n.spare(w, t.Name, err)
			}
			if err != nil {
				return n.tableError(t.Name, err)
			}
		}
		return nil
	}}
}

func (n *native) sequence(ctx context.Context, l *link, w *partWriter, name string) error {
	create, err := l.shown(ctx, "SEQUENCE", name, 2)
	if err != nil {
		return err
	}
	q := QuoteIdent(name)
	next, err := l.text(ctx, "SELECT next_not_cached_value FROM "+q)
	if err != nil {
		return err
	}
	s := &script{}
	s.say(heading("Sequence structure for", q))
	s.add("DROP SEQUENCE IF EXISTS "+q, ";\n")
	s.add(create[1], ";\n")
	s.add("DO SETVAL("+q+", "+next+", 0)", ";\n")
	return s.send(w)
}

// structure writes a table's definition.
func (n *native) structure(ctx context.Context, l *link, w *partWriter, t *table) error {
	q := QuoteIdent(t.info.Name)
	// From here to the part's end nobody alters the table.
	if err := l.exec(ctx, "SELECT 1 FROM "+q+" LIMIT 0"); err != nil {
		return err
	}
	create, err := l.shown(ctx, "TABLE", t.info.Name, 2)
	if err != nil {
		return err
	}
	s := &script{}
	s.say(heading("Table structure for table", q))
	s.add("DROP TABLE IF EXISTS "+q, ";\n")
	s.add("/*!40101 SET @saved_cs_client     = @@character_set_client */", ";\n")
	s.add("/*!40101 SET character_set_client = utf8mb4 */", ";\n")
	s.add(create[1], ";\n")
	s.add("/*!40101 SET character_set_client = @saved_cs_client */", ";\n")
	return s.send(w)
}

// beforeRows makes the insertion of many rows cheap.
func (n *native) beforeRows(t *table) *script {
	s := &script{}
	s.say(heading("Dumping data for table", QuoteIdent(t.info.Name)))
	if t.history {
		s.add("/*M!101100 SET @old_system_versioning_insert_history=@@session.system_versioning_insert_history, @@session.system_versioning_insert_history=1 */", ";\n")
	}
	s.add("SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0", ";\n")
	s.add("/*!40000 ALTER TABLE "+QuoteIdent(t.info.Name)+" DISABLE KEYS */", ";\n")
	return s
}

func (n *native) afterRows(t *table) *script {
	s := &script{}
	s.add("/*!40000 ALTER TABLE "+QuoteIdent(t.info.Name)+" ENABLE KEYS */", ";\n")
	s.add("COMMIT", ";\n")
	s.add("SET AUTOCOMMIT=@OLD_AUTOCOMMIT", ";\n")
	if t.history {
		s.add("/*M!101100 SET system_versioning_insert_history=@old_system_versioning_insert_history */", ";\n")
	}
	return s
}

// verbatim runs f while texts come as they are stored: a definition is in the
// character set of the client that made it.
func (l *link) verbatim(ctx context.Context, f func() error) error {
	if err := l.exec(ctx, "SET SESSION character_set_results='binary'"); err != nil {
		return err
	}
	err := f()
	if berr := l.exec(ctx, "SET SESSION character_set_results='utf8mb4'"); err == nil {
		err = berr
	}
	return err
}

// viewPlaceholder writes a view without meaning that has the right columns, for
// other views to use until all are there.
func (n *native) viewPlaceholder(name string) func(context.Context, *link, *partWriter) error {
	return func(ctx context.Context, l *link, w *partWriter) error {
		var fields [][]string
		err := l.verbatim(ctx, func() (err error) {
			fields, err = l.rows(ctx, "SHOW FIELDS FROM "+QuoteIdent(name))
			return err
		})
		if err != nil {
			return err
		}
		value := " NULL AS "
		if n.dump.in.version.Flavour == MySQL {
			value = " 1 AS "
		}
		var columns []string
		for _, f := range fields {
			columns = append(columns, value+QuoteIdent(f[0]))
		}
		return placeholderScript(QuoteIdent(name), columns).send(w)
	}
}

func placeholderScript(q string, columns []string) *script {
	s := &script{}
	s.say(heading("Temporary table structure for view", q))
	s.add("DROP TABLE IF EXISTS "+q, ";\n")
	s.add("/*!50001 DROP VIEW IF EXISTS "+q+"*/", ";\n")
	s.add("SET @saved_cs_client     = @@character_set_client", ";\n")
	s.add("SET character_set_client = utf8mb4", ";\n")
	s.add("/*!50001 CREATE VIEW "+q+" AS SELECT\n"+strings.Join(columns, ",\n")+" */", ";\n")
	s.add("SET character_set_client = @saved_cs_client", ";\n")
	return s
}

// viewFinal writes a view as it is.
func (n *native) viewFinal(name string) func(context.Context, *link, *partWriter) error {
	return func(ctx context.Context, l *link, w *partWriter) error {
		var create []string
		err := l.verbatim(ctx, func() (err error) {
			create, err = l.shown(ctx, "VIEW", name, 4)
			return err
		})
		if err != nil {
			return err
		}
		q := QuoteIdent(name)
		s := &script{}
		s.say(heading("Final view structure for view", q))
		s.add("/*!50001 DROP VIEW IF EXISTS "+q+"*/", ";\n")
		s.add("/*!50001 SET @saved_cs_client          = @@character_set_client */", ";\n")
		s.add("/*!50001 SET @saved_cs_results         = @@character_set_results */", ";\n")
		s.add("/*!50001 SET @saved_col_connection     = @@collation_connection */", ";\n")
		s.add("/*!50001 SET character_set_client      = "+create[2]+" */", ";\n")
		s.add("/*!50001 SET character_set_results     = "+create[2]+" */", ";\n")
		s.add("/*!50001 SET collation_connection      = "+create[3]+" */", ";\n")
		s.add(versionedView(create[1]), ";\n")
		s.add("/*!50001 SET character_set_client      = @saved_cs_client */", ";\n")
		s.add("/*!50001 SET character_set_results     = @saved_cs_results */", ";\n")
		s.add("/*!50001 SET collation_connection      = @saved_col_connection */", ";\n")
		return s.send(w)
	}
}

// versionedView puts the parts of CREATE VIEW into versioned comments, each of
// the version that brought it.
func versionedView(create string) string {
	stmt := []byte(create)
	definer, view := -1, -1
	ts := (&scanner{}).tokens(stmt)
	for t, ok := ts.next(); ok && view < 0; t, ok = ts.next() {
		switch {
		case t.is(stmt, "VIEW"):
			view = t.start
		case definer < 0 && t.isAny(stmt, "DEFINER", "SQL"):
			definer = t.start
		}
	}
	if definer <= 0 || view < definer {
		return "/*!50001 " + create + " */"
	}
	text, check := cutCheckOption(create[view:])
	return "/*!50001 " + create[:definer] + "*/\n/*!50013 " + create[definer:view] + "*/\n/*!50001 " + text + " */" + check
}

// cutCheckOption takes WITH ... CHECK OPTION off the end of a view.
func cutCheckOption(view string) (text, check string) {
	for _, c := range []string{" WITH LOCAL CHECK OPTION", " WITH CASCADED CHECK OPTION"} {
		if text, ok := strings.CutSuffix(view, c); ok {
			return text, "\n/*!50002" + c + " */"
		}
	}
	return view, ""
}
