package dbdump

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	opInspectTables  = "inspect tables"
	opExchangeTables = "exchange tables"
)

// lockWait bounds, in seconds, how long an exchange waits for somebody who still uses one of the tables.
const lockWait = 30

// kindView is that of views; see TableDetail.
const kindView = "view"

// Trigger is what makes a trigger again.
type Trigger struct {
	Name      string
	Timing    string // BEFORE or AFTER
	Event     string // INSERT, UPDATE or DELETE
	Statement string
	SQLMode   string
	Collation string // of its connection
	Definer   string // user@host
}

// TableDetail is what an exchange must know of a table.
type TableDetail struct {
	Name     string
	Kind     string    // "table", "view" or "sequence"; "": it is not there
	Triggers []Trigger // in the order in which they fire
	// Related are the tables that foreign keys bind it to, in either direction, but itself; "database.table" where it is
	// another database's.
	Related []string
	View    *ViewDefinition // of a view; nil for one that is so broken that it is not shown
	Broken  string          // why a view cannot be used; "": it can
}

// InspectTables tells of tables of a database, in the order asked for.
func (in *Instance) InspectTables(ctx context.Context, database string, names []string) ([]TableDetail, error) {
	out := make([]TableDetail, len(names))
	at := map[string]*TableDetail{}
	for i, name := range names {
		out[i].Name = name
		at[name] = &out[i]
	}
	for _, look := range []func(context.Context, string, map[string]*TableDetail) error{in.kinds, in.triggers, in.relations, in.views} {
		if err := look(ctx, database, at); err != nil {
			return nil, fail(opInspectTables, database, err)
		}
	}
	return out, nil
}

func (in *Instance) kinds(ctx context.Context, database string, at map[string]*TableDetail) error {
	return in.each(ctx, 2, func(v []string) {
		if t := at[v[0]]; t != nil {
			switch v[1] {
			case "VIEW", "SYSTEM VIEW":
				t.Kind = kindView
			case "SEQUENCE":
				t.Kind = "sequence"
			default:
				t.Kind = "table"
			}
		}
	}, "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", database)
}

func (in *Instance) triggers(ctx context.Context, database string, at map[string]*TableDetail) error {
	return in.each(ctx, 8, func(v []string) {
		if t := at[v[0]]; t != nil {
			t.Triggers = append(t.Triggers, Trigger{v[1], v[2], v[3], v[4], v[5], v[6], v[7]})
		}
	}, `SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT, SQL_MODE, COLLATION_CONNECTION, DEFINER
		FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER`, database)
}

func (in *Instance) relations(ctx context.Context, database string, at map[string]*TableDetail) error {
	qualified := func(schema, table string) string {
		if schema == database {
			return table
		}
		return schema + "." + table
	}
	relate := func(schema, table, other string) {
		if t := at[table]; schema == database && t != nil && other != table && !slices.Contains(t.Related, other) {
			t.Related = append(t.Related, other)
		}
	}
	return in.each(ctx, 4, func(v []string) {
		relate(v[0], v[1], qualified(v[2], v[3]))
		relate(v[2], v[3], qualified(v[0], v[1]))
	}, `SELECT CONSTRAINT_SCHEMA, TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME
		FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ? OR UNIQUE_CONSTRAINT_SCHEMA = ?`, database, database)
}

// each calls f with the columns of each row as text, NULL as "".
func (in *Instance) each(ctx context.Context, columns int, f func([]string), query string, args ...any) error {
	rows, err := in.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	values, into := make([]sql.NullString, columns), make([]any, columns)
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		line := make([]string, columns)
		for i := range values {
			line[i] = values[i].String
		}
		f(line)
	}
	return rows.Err()
}

// TableSwap is one table of an exchange.
type TableSwap struct {
	Name     string
	Existed  bool      // there is an old table
	Old, New []Trigger // of the old table and of the new one, from before the exchange
	// Of a view, in place of all that: its definitions. Without an old one there was no such view.
	OldView, NewView *ViewDefinition
}

// ExchangeSpec is an exchange of tables between two databases of one server.
type ExchangeSpec struct {
	Live    string
	Scratch string // has the new tables
	Kept    string // gets the old ones; it is made if it is not there
	Tables  []TableSwap
	Back    bool   // bring the old tables back
	User    string // as whom new triggers run that the live database did not have
}

// ExchangeTables puts the tables of the scratch database in place of the live ones, which go into a third database, or
// takes that back. A third one, because names of constraints are unique in a database. All tables move by one RENAME TABLE, which is atomic for all of them on MariaDB
// since 10.6 and MySQL since 8.0, also when the server crashes (https://mariadb.com/kb/en/atomic-ddl/); on older ones
// a crash may leave some moved. It looks first where each table lies and moves only what is not there yet, so that it may be
// repeated whatever an earlier call has come to.
//
// Views cannot be renamed into another database: their definitions are replaced where they are, each atomically, after
// the tables have moved.
//
// Tables with triggers cannot be renamed into another database: triggers are dropped before and made again after.
// Between the two the tables have none; the caller keeps writers away. Foreign keys follow a table that is renamed: the
// caller sees to it that each table that is related to one of these is one of them.
func (in *Instance) ExchangeTables(ctx context.Context, spec ExchangeSpec) error {
	conn, err := in.db.Conn(ctx)
	if err != nil {
		return fail(opExchangeTables, spec.Live, err)
	}
	defer discard(conn)
	x := &exchange{ctx: ctx, in: in, conn: conn, spec: spec}
	if err := x.run(); err != nil {
		return fail(opExchangeTables, spec.Live, err)
	}
	return nil
}

type exchange struct {
	ctx  context.Context
	in   *Instance
	conn *sql.Conn
	spec ExchangeSpec
}

func (x *exchange) exec(format string, args ...any) error {
	_, err := x.conn.ExecContext(x.ctx, fmt.Sprintf(format, args...))
	return err
}

func (x *exchange) run() error {
	definer, err := x.definer()
	if err != nil {
		return err
	}
	if err := x.exec("SET lock_wait_timeout = %d, foreign_key_checks = 0", lockWait); err != nil {
		return err
	}
	if err := x.rehearseViews(); err != nil {
		return err
	}
	moves, err := x.moves()
	if err != nil {
		return err
	}
	ready, err := x.makeRoom()
	if err != nil || !ready {
		return err
	}
	settled, err := x.settled(moves)
	if err != nil {
		return err
	}
	if settled {
		return x.replaceViews(definer)
	}
	if err := x.dropTriggers(); err != nil {
		return err
	}
	if len(moves) > 0 {
		if err := x.exec("RENAME TABLE %s", strings.Join(moves, ", ")); err != nil {
			return err
		}
	}
	if err := x.replaceViews(definer); err != nil {
		return err
	}
	return x.makeTriggers(definer)
}

// settled reports whether every table lies where it shall, with its triggers. Then they are left alone: an undo that is
// repeated because its record was lost may find that visitors are back.
func (x *exchange) settled(moves []string) (bool, error) {
	if len(moves) > 0 {
		return false, nil
	}
	names := make([]string, len(x.spec.Tables))
	for i, t := range x.spec.Tables {
		names[i] = t.Name
	}
	tables, err := x.in.InspectTables(x.ctx, x.spec.Live, names)
	if err != nil {
		return false, err
	}
	for i, t := range x.spec.Tables {
		if !slices.EqualFunc(tables[i].Triggers, x.wanted(t), sameTrigger) {
			return false, nil
		}
	}
	return true, nil
}

// sameTrigger leaves the definer out: whoever made the trigger has seen to it.
func sameTrigger(a, b Trigger) bool {
	a.Definer = b.Definer
	return a == b
}

// wanted are the triggers that a live table shall have in the end.
func (x *exchange) wanted(t TableSwap) []Trigger {
	if x.spec.Back {
		return t.Old
	}
	return t.New
}

// makeRoom makes the database for old tables. Back there is nothing to do where the scratch database is gone: everything
// was taken back before that.
func (x *exchange) makeRoom() (ready bool, err error) {
	if x.spec.Back {
		there, err := x.in.column(x.ctx, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", x.spec.Scratch)
		return len(there) > 0, err
	}
	if err := checkDatabaseName(opExchangeTables, x.spec.Kept); err != nil {
		return false, err
	}
	return true, x.exec("CREATE DATABASE IF NOT EXISTS %s", QuoteIdent(x.spec.Kept))
}

// moves are the renames that are still to be done.
func (x *exchange) moves() ([]string, error) {
	live, err := x.present(x.spec.Live)
	if err != nil {
		return nil, err
	}
	scratch, err := x.present(x.spec.Scratch)
	if err != nil {
		return nil, err
	}
	kept, err := x.present(x.spec.Kept)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range x.spec.Tables {
		if t.isView() {
			continue
		}
		p := place{live: live[t.Name], next: scratch[t.Name], kept: kept[t.Name]}
		moves := x.backward
		if !x.spec.Back {
			moves = x.forward
		}
		renames, err := moves(t, p)
		if err != nil {
			return nil, err
		}
		out = append(out, renames...)
	}
	return out, nil
}

// place says where a table and its counterpart are found.
type place struct {
	live bool // one has the live name
	next bool // one has the new table's name in the scratch database
	kept bool // the old one is kept
}

func (x *exchange) forward(t TableSwap, p place) (out []string, err error) {
	gone := !t.Existed || p.kept
	switch {
	case !p.next && p.live && gone: // all is done
		return nil, nil
	case !p.next:
		return nil, failAs(KindInvalid, opExchangeTables, t.Name, "restore again", "there is no such table in %s", x.spec.Scratch)
	case !gone:
		out = append(out, x.name(x.spec.Live, t.Name)+" TO "+x.name(x.spec.Kept, t.Name))
	}
	return append(out, x.name(x.spec.Scratch, t.Name)+" TO "+x.name(x.spec.Live, t.Name)), nil
}

func (x *exchange) backward(t TableSwap, p place) (out []string, err error) {
	if t.Existed && !p.kept || !p.live && !p.kept || !t.Existed && p.next {
		return nil, nil // the old state
	}
	if p.live {
		out = append(out, x.name(x.spec.Live, t.Name)+" TO "+x.name(x.spec.Scratch, t.Name))
	}
	if p.kept {
		out = append(out, x.name(x.spec.Kept, t.Name)+" TO "+x.name(x.spec.Live, t.Name))
	}
	return out, nil
}

func (x *exchange) name(database, table string) string {
	return QuoteIdent(database) + "." + QuoteIdent(table)
}

// present are the tables of a database; of one that is gone there are none.
func (x *exchange) present(database string) (map[string]bool, error) {
	names, err := x.in.column(x.ctx, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", database)
	out := map[string]bool{}
	for _, name := range names {
		out[name] = true
	}
	return out, err
}

// dropTriggers drops those of every table that is exchanged, wherever it lies.
func (x *exchange) dropTriggers() error {
	var names []string
	for _, t := range x.spec.Tables {
		names = append(names, t.Name)
	}
	for _, database := range []string{x.spec.Live, x.spec.Scratch, x.spec.Kept} {
		tables, err := x.in.InspectTables(x.ctx, database, names)
		if err != nil {
			return err
		}
		for _, t := range tables {
			for _, trigger := range t.Triggers {
				if err := x.exec("DROP TRIGGER IF EXISTS %s", x.name(database, trigger.Name)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (x *exchange) makeTriggers(definer string) error {
	for _, t := range x.spec.Tables {
		for _, trigger := range x.wanted(t) {
			if err := x.makeTrigger(t, trigger, definer); err != nil {
				return fmt.Errorf("trigger %s: %w", trigger.Name, err)
			}
		}
	}
	return nil
}

func (x *exchange) makeTrigger(t TableSwap, trigger Trigger, definer string) error {
	runs := definer
	for _, old := range t.Old {
		if old.Name == trigger.Name {
			runs = quoteAccount(old.Definer)
		}
	}
	if err := x.exec("SET sql_mode = %s, collation_connection = %s", QuoteString(trigger.SQLMode), QuoteString(trigger.Collation)); err != nil {
		return err
	}
	_, err := x.conn.ExecContext(x.ctx, fmt.Sprintf("CREATE DEFINER = %s TRIGGER %s %s %s ON %s FOR EACH ROW ", runs, x.name(x.spec.Live, trigger.Name),
		trigger.Timing, trigger.Event, x.name(x.spec.Live, t.Name))+trigger.Statement)
	return errors.Join(err, x.exec("SET sql_mode = DEFAULT"))
}

// quoteAccount quotes user@host. A user's name may hold an @, a host's not.
func quoteAccount(account string) string {
	at := strings.LastIndexByte(account, '@')
	if at < 0 {
		return QuoteString(account)
	}
	return Account{account[:at], account[at+1:]}.String()
}

// definer finds an account for triggers and views that are new. They run with its rights, so it must not be the administrator's.
func (x *exchange) definer() (string, error) {
	needed := false
	for _, t := range x.spec.Tables {
		needed = needed || !x.spec.Back && t.NewView != nil && t.OldView == nil
		for _, n := range t.New {
			needed = needed || !x.spec.Back && !slices.ContainsFunc(t.Old, func(o Trigger) bool { return o.Name == n.Name })
		}
	}
	if !needed {
		return "", nil
	}
	hosts, err := x.in.column(x.ctx, "SELECT Host FROM mysql.user WHERE User = ? ORDER BY Host", x.spec.User)
	if err != nil {
		return "", err
	}
	if x.spec.User == "" || slices.Contains(systemUsers, x.spec.User) || len(hosts) == 0 {
		return "", failAs(KindInvalid, opExchangeTables, x.spec.Live, "restore the whole database: --db-only",
			"the backup's tables have triggers, or views are new, and %q is no account of the site as whom they could run", x.spec.User)
	}
	return Account{x.spec.User, hosts[0]}.String(), nil
}
