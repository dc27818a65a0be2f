package catalogue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/sitekeep/sitekeep/internal/errs"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// querier is what a connection pool and a transaction have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// scanner is a row, alone or among others.
type scanner interface{ Scan(dest ...any) error }

func limitOf(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}

// nanos is how a time is kept: 0 stands for no time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// timeInto scans what nanos made, in UTC.
type timeInto struct{ t *time.Time }

func (x timeInto) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a time is kept as %T", v)
	}
	*x.t = time.Time{}
	if n != 0 {
		*x.t = time.Unix(0, n).UTC()
	}
	return nil
}

// jsonOf is how a list of strings is kept.
func jsonOf[T ~string](list []T) string {
	if len(list) == 0 {
		return "[]"
	}
	text, err := json.Marshal(list)
	if err != nil {
		return "[]" // cannot be: strings always marshal
	}
	return string(text)
}

// listInto scans what jsonOf or json_group_array made; an empty list is nil.
type listInto[T ~string] struct{ list *[]T }

func (x listInto[T]) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("a list is kept as %T", v)
	}
	*x.list = nil
	if text == "[]" {
		return nil
	}
	return json.Unmarshal([]byte(text), x.list)
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, classify(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, classify(err)
		}
		all = append(all, one)
	}
	return all, classify(rows.Err())
}

// single reads one row; none is missing().
func single[T any](ctx context.Context, q querier, scan func(scanner) (T, error), missing func() error, query string, args ...any) (T, error) {
	one, err := scan(q.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return one, missing()
	}
	return one, classify(err)
}

func scanString(row scanner) (s string, err error) {
	err = row.Scan(&s)
	return s, err
}

// exec runs a statement and says how many rows it changed.
func (tx *Tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := tx.q.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// pages turns a paged list into an iterator that holds one page at a time.
func pages[T any](page func(after string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for after := ""; ; {
			list, next, err := page(after)
			if err != nil {
				yield(none, err)
				return
			}
			for _, one := range list {
				if !yield(one, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			after = next
		}
	}
}

// isClash reports whether a row with that key is there already.
func isClash(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// classify gives SQLite's own failures a kind and a hint.
func classify(err error) error {
	var ours *errs.Error
	var e *sqlite.Error
	if errors.As(err, &ours) || !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return errs.New(errs.NoSpace, "free some room on the file system of the data directory", "catalogue: %w", err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return errs.New(errs.Corrupt, "stop the master and put a good copy of catalogue.db in its place, or move it away and run: sitekeep catalogue rebuild; the tarballs in the store were not touched", "catalogue: %w", err)
	case sqlite3.SQLITE_BUSY:
		return errs.New(errs.Unreachable, "end the program that holds the catalogue open", "catalogue: %w", err)
	}
	return fmt.Errorf("catalogue: %w", err)
}
