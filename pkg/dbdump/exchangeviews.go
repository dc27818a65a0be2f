package dbdump

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"unicode/utf8"
)

// discard closes a connection whose session was changed: the pool must not hand it out again.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = conn.Close()
}

// views tells how the views among the tables are defined, and which of them cannot be used.
func (in *Instance) views(ctx context.Context, database string, at map[string]*TableDetail) error {
	found := map[string]*TableDetail{}
	for name, t := range at {
		if t.Kind == kindView {
			found[name] = t
		}
	}
	if len(found) == 0 {
		return nil
	}
	conn, err := in.verbatimConn(ctx, database)
	if err != nil {
		return err
	}
	defer discard(conn)
	for name, t := range found {
		if err := in.view(ctx, conn, database, name, t); err != nil {
			return fmt.Errorf("view %s: %w", name, err)
		}
	}
	return nil
}

// verbatimConn is in a database and gets definitions as they are stored; see link.verbatim. It is to be discarded.
func (in *Instance) verbatimConn(ctx context.Context, database string) (*sql.Conn, error) {
	conn, err := in.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	for _, q := range []string{"USE " + QuoteIdent(database), "SET sql_mode = '', character_set_results = 'binary'"} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			discard(conn)
			return nil, err
		}
	}
	return conn, nil
}

// view looks at one. The server says in the comment of a view what is wrong with it.
func (in *Instance) view(ctx context.Context, conn *sql.Conn, database, name string, t *TableDetail) error {
	broken, err := in.column(ctx, `SELECT TABLE_COMMENT FROM information_schema.TABLES
		WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND TABLE_COMMENT <> 'VIEW' AND TABLE_ROWS IS NULL`, database, name)
	if err != nil {
		return err
	}
	if len(broken) > 0 {
		t.Broken = broken[0]
	}
	t.View, err = shownView(ctx, conn, name)
	if err != nil && t.Broken != "" && ctx.Err() == nil {
		return nil // some of the broken ones are not even shown
	}
	return err
}

func shownView(ctx context.Context, conn *sql.Conn, name string) (*ViewDefinition, error) {
	var shown, statement []byte
	var charset, collation string
	if err := conn.QueryRowContext(ctx, "SHOW CREATE VIEW "+QuoteIdent(name)).Scan(&shown, &statement, &charset, &collation); err != nil {
		return nil, err
	}
	v, _ := parseView(&scanner{}, statement)
	if v == nil {
		return nil, errMalformed
	}
	v.Charset, v.Collation = charset, collation
	return v, nil
}

// isView reports whether it is a view that is exchanged: its definition is replaced where it is, because a view cannot be
// renamed into another database.
func (t *TableSwap) isView() bool { return t.OldView != nil || t.NewView != nil }

// replaceViews gives all views their definitions, the new ones or the old ones; one that did not exist is dropped on the
// way back. A view that uses another one may have to wait for it, so those that fail are tried again as long as
// any comes to pass. What is as it should be is left alone: this may be repeated.
func (x *exchange) replaceViews(definer string) error {
	var left []*TableSwap
	for i := range x.spec.Tables {
		if x.spec.Tables[i].isView() {
			left = append(left, &x.spec.Tables[i])
		}
	}
	if len(left) == 0 {
		return nil
	}
	if err := x.exec("USE %s", QuoteIdent(x.spec.Live)); err != nil {
		return err
	}
	for len(left) > 0 {
		var failed []*TableSwap
		var first error
		for _, t := range left {
			if err := x.replaceView(t, definer); err != nil {
				failed = append(failed, t)
				first = orFirst(first, fmt.Errorf("view %s: %w", t.Name, err))
			}
		}
		if len(failed) == len(left) {
			return first
		}
		left = failed
	}
	return nil
}

func orFirst(first, err error) error {
	if first != nil {
		return first
	}
	return err
}

func (x *exchange) replaceView(t *TableSwap, definer string) error {
	want := t.NewView
	if x.spec.Back {
		want = t.OldView
	}
	if want == nil {
		return x.exec("DROP VIEW IF EXISTS %s", x.name(x.spec.Live, t.Name))
	}
	if t.OldView != nil { // it runs as who it ran as
		definer = quoteAccount(t.OldView.Definer)
	}
	statement := want.create(definer)
	if err := checkView(want, statement, t.Name); err != nil {
		return err
	}
	if done, err := x.isDefined(t.Name, statement, want); done || err != nil {
		return err
	}
	return x.createView(want, statement)
}

// isDefined reports whether a view is already what a statement makes of it.
func (x *exchange) isDefined(name, statement string, want *ViewDefinition) (bool, error) {
	now, err := x.in.InspectTables(x.ctx, x.spec.Live, []string{name})
	if err != nil || now[0].View == nil {
		return false, err
	}
	made, _ := parseView(&scanner{}, []byte(statement))
	made.Charset, made.Collation = want.Charset, want.Collation
	return made.equal(now[0].View), nil
}

// createView makes a view as the client did that made it first.
func (x *exchange) createView(v *ViewDefinition, statement string) error {
	session := "SET sql_mode = '', character_set_client = " + QuoteString(v.Charset)
	if v.Collation != "" {
		session += ", collation_connection = " + QuoteString(v.Collation)
	}
	if err := x.exec("%s", session); err != nil {
		return err
	}
	_, err := x.conn.ExecContext(x.ctx, statement)
	if back := x.exec("SET NAMES utf8mb4"); err == nil {
		err = back
	}
	return err
}

// checkView refuses what is not the definition of that very view of the current database: it runs as the administrator.
// A name that is not UTF-8 cannot be compared.
func checkView(v *ViewDefinition, statement, name string) error {
	lex := &scanner{}
	h := parseHead(lex, []byte(statement))
	options := slices.Contains([]string{"", "UNDEFINED", "MERGE", "TEMPTABLE"}, v.Algorithm) && slices.Contains([]string{"", "DEFINER", "INVOKER"}, v.Security)
	if !options || h.verb != "CREATE" || h.object != "VIEW" || utf8.ValidString(h.name) && h.name != name {
		return failAs(KindInvalid, opExchangeTables, name, "restore the whole database: --db-only", "this is not the definition of the view: %s", excerpt([]byte(statement)))
	}
	if err := (policy{lex: lex}).check([]byte(statement), h); err != nil {
		return failAs(KindInvalid, opExchangeTables, name, "restore the whole database: --db-only", "%w", err)
	}
	return nil
}
