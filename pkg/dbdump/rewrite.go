package dbdump

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

const opRewrite = "rewrite tables"

// RewriteSpec says what RewriteTables changes.
type RewriteSpec struct {
	Database string
	// User and Password are the account that changes the rows: that of the
	// database, which can touch nothing else.
	User     string
	Password Secret
	// Needles are texts of which each value holds one that Rewrite may change.
	// The server looks for them, by each column's collation: in bytes (BLOB)
	// case matters.
	Needles []string
	// Rewrite returns what a value becomes, and whether it is another one.
	Rewrite func(value string) (string, bool)
}

// TableRewrite is what was done to one table.
type TableRewrite struct {
	Table  string
	Rows   int64 // changed
	Values int64 // changed
}

// Bounds of what is read at once: the rows of a page, and of them, in bytes, as
// many as it takes to reach the second, so that memory holds that and a row.
const (
	rewriteRows  = 200
	rewriteBytes = 4 << 20
)

// RewriteTables passes the values of all columns of texts and bytes through
// Rewrite, a table at a time, each in one transaction. It returns the tables
// in which something has changed.
//
// Columns that rows are known by (those of the key, and of foreign keys) and
// generated ones stay as they are, and so do columns that note the time of a
// change. A row that the server refuses as changed (too long, a duplicate, a
// broken check), a table without a key and one whose triggers would act on a
// change are left as they are, with a warning.
//
// Whether a second run changes more is up to Rewrite: after a failure, tables
// may be done that a second run would do again.
func (in *Instance) RewriteTables(ctx context.Context, s RewriteSpec) (done []TableRewrite, list []Warning, err error) {
	if err := checkDatabaseName(opRewrite, s.Database); err != nil {
		return nil, nil, err
	}
	info, err := in.Inspect(ctx, s.Database)
	if err != nil {
		return nil, nil, err
	}
	if !info.Exists {
		return nil, nil, failAs(KindUnknownDatabase, opRewrite, s.Database, "check the database's name", "it does not exist")
	}
	r := &rewriter{in: in, spec: s}
	if err := r.open(ctx); err != nil {
		return nil, nil, err
	}
	defer r.close()
	for _, t := range info.Tables {
		if !t.IsTable() || t.Broken != "" {
			continue
		}
		result, err := r.table(ctx, t.Name)
		if err != nil {
			return nil, nil, fail(opRewrite, s.Database+"."+t.Name, err)
		}
		if result.Values > 0 {
			done = append(done, result)
		}
	}
	return done, r.warn.list, nil
}

// rewriter is one run over a database, through one connection of its user.
type rewriter struct {
	in     *Instance
	spec   RewriteSpec
	db     *sql.DB
	conn   *sql.Conn
	shapes map[string]*tableShape
	warn   warnings
}

// open logs in. A text that would be cut to fit is an error for the session, and
// what a row refers to is not looked at, since no column of a key changes.
func (r *rewriter) open(ctx context.Context) (err error) {
	if r.shapes, err = r.in.shapes(ctx, r.spec.Database); err != nil {
		return fail(opRewrite, r.spec.Database, err)
	}
	server := r.in.server
	server.User, server.Password = r.spec.User, r.spec.Password
	if r.db, err = server.open(r.spec.Database); err != nil {
		return err
	}
	r.conn, err = r.db.Conn(ctx)
	for _, q := range []string{"SET SESSION sql_mode='STRICT_ALL_TABLES', foreign_key_checks=0", "SET NAMES utf8mb4"} {
		if err == nil {
			_, err = r.conn.ExecContext(ctx, q)
		}
	}
	if err != nil {
		r.close()
		return fail("log in to rewrite", r.spec.User, scrubErr(err, r.spec.Password))
	}
	return nil
}

func (r *rewriter) close() {
	if r.conn != nil {
		_ = r.conn.Close()
	}
	_ = r.db.Close() // what was not committed is gone
}

// table rewrites one table, all or nothing.
func (r *rewriter) table(ctx context.Context, name string) (TableRewrite, error) {
	result := TableRewrite{Table: name}
	shape := r.shapes[name]
	if shape == nil || len(shape.values) == 0 || len(r.spec.Needles) == 0 {
		return result, nil
	}
	if why := shape.refusal(); why != "" {
		return result, r.leave(ctx, shape, why)
	}
	tx, err := r.conn.BeginTx(ctx, nil)
	if err != nil {
		return result, err
	}
	defer tx.Rollback()
	t := &tableRun{rewriter: r, tx: tx, shape: shape, result: &result}
	if err := t.run(ctx); err != nil {
		return result, err
	}
	if t.refused > 0 {
		r.warn.add(WarnData, name, fmt.Sprintf("%d rows keep old addresses: %s", t.refused, t.reason))
	}
	return result, tx.Commit()
}

// leave warns of a table that cannot be rewritten, if there is something in it.
func (r *rewriter) leave(ctx context.Context, shape *tableShape, why string) error {
	var n int64
	filter, args := shape.filter(r.spec.Needles)
	err := r.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+QuoteIdent(shape.name)+" WHERE "+filter, args...).Scan(&n)
	if err == nil && n > 0 {
		r.warn.add(WarnSkipped, shape.name, fmt.Sprintf("%d rows may hold old addresses and were left as they are: %s", n, why))
	}
	return err
}

// tableRun is the transaction of one table.
type tableRun struct {
	*rewriter
	tx      *sql.Tx
	shape   *tableShape
	result  *TableRewrite
	refused int64  // rows
	reason  string // of the first
}

// run goes over the table by its key, a page at a time.
func (t *tableRun) run(ctx context.Context) error {
	var after [][]byte
	for {
		page, more, err := t.page(ctx, after)
		if err != nil {
			return err
		}
		for _, row := range page {
			if err := t.row(ctx, row); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
		after = page[len(page)-1][:len(t.shape.key)]
	}
}

// page reads rows behind a key that hold a needle: the values of the key, and those of the columns.
func (t *tableRun) page(ctx context.Context, after [][]byte) (page [][][]byte, more bool, err error) {
	query, args := t.shape.page(t.spec.Needles, after)
	rows, err := t.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	bytes := 0
	for rows.Next() {
		row := make([][]byte, len(t.shape.key)+len(t.shape.values))
		into := make([]any, len(row))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, false, err
		}
		page = append(page, row)
		for _, v := range row {
			bytes += len(v)
		}
		if bytes >= rewriteBytes {
			return page, true, nil
		}
	}
	return page, len(page) == rewriteRows, rows.Err()
}

// row changes a row if any of its values becomes another one.
func (t *tableRun) row(ctx context.Context, row [][]byte) error {
	key, values := row[:len(t.shape.key)], row[len(t.shape.key):]
	var sets []string
	var args []any
	for i, v := range values {
		if v == nil {
			continue
		}
		if text, changed := t.spec.Rewrite(string(v)); changed {
			sets = append(sets, QuoteIdent(t.shape.values[i].name)+" = ?")
			args = append(args, t.shape.values[i].arg(text))
		}
	}
	if len(sets) == 0 {
		return nil
	}
	changed := len(sets)
	for _, c := range t.shape.stamps { // else the server notes that the row was changed now
		sets = append(sets, QuoteIdent(c)+" = "+QuoteIdent(c))
	}
	where, more := t.shape.is(key)
	result, err := t.tx.ExecContext(ctx, "UPDATE "+QuoteIdent(t.shape.name)+" SET "+strings.Join(sets, ", ")+" WHERE "+where, append(args, more...)...)
	if refusesRow(err) {
		if t.refused++; t.reason == "" {
			t.reason = err.Error()
		}
		return nil
	}
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("a row was to be changed, and %d were", n))
	}
	t.result.Rows++
	t.result.Values += int64(changed)
	return nil
}

// refusesRow reports whether the server takes the row as it was and not as it would be: too long, a duplicate, a value
// that a check or the type JSON refuses.
func refusesRow(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains([]uint16{1406, 1062, 4025, 3819, 3140}, e.Number)
}
