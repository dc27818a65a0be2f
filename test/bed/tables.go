package bed

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// definer is left out of fingerprints: who owns a view or a trigger is not
// what a database contains, and a restore may change it.
var definer = regexp.MustCompile("DEFINER=`(?:[^`]|``)*`@`(?:[^`]|``)*` ?")

// Tables takes the fingerprint of a database: its default character set, and
// for each table SHOW CREATE, CHECKSUM TABLE EXTENDED and the number of rows,
// for each view, trigger, routine, event and sequence its definition. The
// database's own name and definers do not count.
func (m *MariaDB) Tables(ctx context.Context, database string) (Print, error) {
	t := &tablePrint{ctx: ctx, db: m.root, name: database}
	t.line("database", "SELECT CONCAT(default_character_set_name, ' ', default_collation_name) FROM information_schema.schemata WHERE schema_name = ?", database)
	tables, err := t.pairs("SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = ? ORDER BY table_name", database)
	if err != nil {
		return nil, err
	}
	for _, table := range tables {
		t.table(table[0], table[1])
	}
	t.programs()
	if t.err != nil {
		return nil, fmt.Errorf("fingerprint of database %s: %w", database, t.err)
	}
	if len(t.print) == 0 {
		return nil, fmt.Errorf("fingerprint of database %s: there is no such database", database)
	}
	return t.print, nil
}

// tablePrint collects lines until the first error. It lives for one call.
type tablePrint struct {
	ctx   context.Context
	db    *sql.DB
	name  string
	print Print
	err   error
}

func (t *tablePrint) table(name, kind string) {
	full := Ident(t.name) + "." + Ident(name)
	switch kind {
	case "VIEW":
		t.create("view "+name, "SHOW CREATE VIEW "+full, 1)
		return
	case "SEQUENCE":
		t.create("sequence "+name, "SHOW CREATE SEQUENCE "+full, 1)
		t.line("sequence "+name+" next", "SELECT next_not_cached_value FROM "+full)
		return
	}
	t.create("table "+name, "SHOW CREATE TABLE "+full, 1)
	t.create("checksum "+name, "CHECKSUM TABLE "+full+" EXTENDED", 1)
	t.line("rows "+name, "SELECT COUNT(*) FROM "+full)
}

// programs are triggers, routines and events, which SHOW CREATE needs one by
// one and information_schema has all at once.
func (t *tablePrint) programs() {
	t.lines("trigger", `SELECT CONCAT_WS(' ', trigger_name, action_timing, event_manipulation, event_object_table,
		action_order, action_statement, sql_mode, character_set_client, collation_connection)
		FROM information_schema.triggers WHERE trigger_schema = ? ORDER BY 1`)
	t.lines("routine", `SELECT CONCAT_WS(' ', r.routine_type, r.routine_name, p.param_list, p.returns, r.routine_definition,
		r.is_deterministic, r.sql_data_access, r.security_type, r.sql_mode, r.routine_comment)
		FROM information_schema.routines r JOIN mysql.proc p ON p.db = r.routine_schema AND p.name = r.routine_name AND p.type = r.routine_type
		WHERE r.routine_schema = ? ORDER BY 1`)
	t.lines("event", `SELECT CONCAT_WS(' ', event_name, event_definition, execute_at, interval_value, interval_field,
		starts, ends, status, on_completion, sql_mode, event_comment)
		FROM information_schema.events WHERE event_schema = ? ORDER BY 1`)
}

// create adds a line with one column of the single row that a SHOW statement
// returns.
func (t *tablePrint) create(what, query string, column int) {
	if t.err != nil {
		return
	}
	rows, err := t.db.QueryContext(t.ctx, query)
	if err != nil {
		t.err = fmt.Errorf("%s: %w", query, err)
		return
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err == nil && !rows.Next() {
		err = errors.Join(sql.ErrNoRows, rows.Err())
	}
	if err != nil {
		t.err = fmt.Errorf("%s: %w", query, err)
		return
	}
	values := make([]sql.NullString, len(columns))
	targets := make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	if err := rows.Scan(targets...); err != nil {
		t.err = fmt.Errorf("%s: %w", query, err)
		return
	}
	t.add(what, values[column].String)
}

// line adds a line with the one value of a query.
func (t *tablePrint) line(what, query string, args ...any) {
	if t.err != nil {
		return
	}
	var value sql.NullString
	if err := t.db.QueryRowContext(t.ctx, query, args...).Scan(&value); err != nil {
		t.err = fmt.Errorf("%s: %w", what, err)
		return
	}
	t.add(what, value.String)
}

// lines adds a line for each row of a query over the database's name.
func (t *tablePrint) lines(what, query string) {
	if t.err != nil {
		return
	}
	values, err := column(t.ctx, t.db, query, t.name)
	if err != nil {
		t.err = fmt.Errorf("%ss: %w", what, err)
	}
	for _, v := range values {
		t.add(what, v)
	}
}

// add normalises a value; a long one stands as its beginning and its hash.
func (t *tablePrint) add(what, value string) {
	value = strings.ReplaceAll(value, Ident(t.name)+".", "")
	value = strings.Join(strings.Fields(definer.ReplaceAllString(value, "")), " ")
	if len(value) > 120 {
		value = fmt.Sprintf("%.100s… %x", value, sha256.Sum256([]byte(value)))
	}
	t.print = append(t.print, what+": "+value)
}

func (t *tablePrint) pairs(query string, args ...any) ([][2]string, error) {
	rows, err := t.db.QueryContext(t.ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", t.name, err)
	}
	defer func() { _ = rows.Close() }()
	var all [][2]string
	for rows.Next() {
		var pair [2]string
		if err := rows.Scan(&pair[0], &pair[1]); err != nil {
			return nil, fmt.Errorf("database %s: %w", t.name, err)
		}
		all = append(all, pair)
	}
	return all, rows.Err()
}

// column reads the first column of all rows.
func column(ctx context.Context, db *sql.DB, query string, args ...any) ([]string, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var value sql.NullString
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
		all = append(all, value.String)
	}
	return all, rows.Err()
}
