// Package catalogue is the master's durable memory: servers, tokens, sites,
// backups, tasks with their logs and journals, restores within their grace
// time, and the audit log, in one embedded SQLite file. Everything goes in and
// out as typed values; no caller sees SQL. It refuses to know what the records
// mean to those who act on them, where tarballs lie, and any secret: of tokens
// it holds hashes, of databases it holds names.
package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// readers bounds the connections that read at the same time. WAL lets them go
// on while the writer commits.
const readers = 4

// Catalogue is an open catalogue. It is safe for use by many goroutines of one
// process; the data directory's lock keeps other processes out.
type Catalogue struct {
	write *sql.DB // one connection: SQLite has one writer, so they queue here and not in busy loops
	read  *sql.DB
	shelf shelf
	// recall has one of read's connections to itself.
	recall recall
}

// Tx is a write transaction, given to functions that must take effect together
// with another change. It ends with the call that gave it.
type Tx struct{ q *sql.Tx }

// Also is a change that commits together with the one it is given to, or not at all.
type Also func(ctx context.Context, tx *Tx) error

// Open opens the catalogue at path and brings its schema up to date; it makes
// the file (mode 0600) and its directory (0700) if they are not there. A
// catalogue that a newer version has written is refused with errs.Precondition.
func Open(ctx context.Context, path string) (*Catalogue, error) {
	path, err := filepath.Abs(path) // a relative one would be taken for a host in SQLite's URI
	if err != nil {
		return nil, fmt.Errorf("open catalogue: %w", err)
	}
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	c := &Catalogue{shelf: shelf{seq: -1}}
	if c.write, err = sql.Open("sqlite", dsn(path, "synchronous(FULL)")); err != nil {
		return nil, fmt.Errorf("open catalogue %s: %w", path, err)
	}
	c.write.SetMaxOpenConns(1)
	if err := migrate(ctx, c.write, migrations()); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalogue %s: %w", path, classify(err)), c.write.Close())
	}
	if c.read, err = sql.Open("sqlite", dsn(path, "query_only(1)")); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalogue %s: %w", path, err), c.write.Close())
	}
	c.read.SetMaxOpenConns(readers + 1)
	c.read.SetMaxIdleConns(readers + 1)
	return c, nil
}

// Close waits for what runs and closes the file.
func (c *Catalogue) Close() error {
	return errors.Join(c.recall.close(), c.read.Close(), c.write.Close())
}

// Update runs change in one write transaction: all that it does through tx
// takes effect, or nothing.
func (c *Catalogue) Update(ctx context.Context, change Also) error {
	return c.update(ctx, change)
}

// update runs the changes in one transaction. Waiting for the writer ends with
// ctx; a transaction that has begun is not interrupted, so that an error means
// that nothing was written.
func (c *Catalogue) update(ctx context.Context, changes ...Also) error {
	conn, err := c.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("catalogue: %w", classify(err))
	}
	defer conn.Close()
	whole := context.WithoutCancel(ctx)
	tx, err := conn.BeginTx(whole, nil)
	if err != nil {
		return fmt.Errorf("catalogue: begin: %w", classify(err))
	}
	for _, change := range changes {
		if err := change(whole, &Tx{q: tx}); err != nil {
			return errors.Join(classify(err), rollback(tx))
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("catalogue: commit: %w", classify(err))
	}
	return nil
}

func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("catalogue: roll back: %w", err)
	}
	return nil
}

func dsn(path, pragma string) string {
	q := url.Values{"_txlock": {"immediate"}}
	for _, p := range []string{"busy_timeout(5000)", "journal_mode(WAL)", "foreign_keys(1)", pragma} {
		q.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// prepareFile makes the file before SQLite does, because SQLite gives its
// journal files the mode of the file they belong to.
func prepareFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the catalogue's directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return errs.New(errs.Permission, "run as the user that owns the data directory", "open catalogue: %w", err)
	}
	if err != nil {
		return fmt.Errorf("open catalogue: %w", err)
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}
