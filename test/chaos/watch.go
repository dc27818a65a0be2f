package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// watcher reads the catalogue of a master beside it, so that a fault can strike
// between two records of a journal without the master's help.
type watcher struct {
	path string
	db   *sql.DB
}

func (r *rig) watch() (*watcher, error) {
	path := filepath.Join(r.master.DataDir, "catalogue.db")
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(2000)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return &watcher{path: path, db: db}, nil
}

func (w *watcher) close() error { return w.db.Close() }

// record is what the campaign reads of one entry of a journal.
type record struct {
	Kind string `json:"kind"`
	Step string `json:"step"`
}

// label names a record: "begun push_files".
func (r record) label() string {
	if r.Step == "" {
		return r.Kind
	}
	return r.Kind + " " + r.Step
}

// reading reads again for a while where a page was cut short: a master that has
// just come back recovers its log, and may cut it off under a reader.
func reading[T any](f func() (T, error)) (T, error) {
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		out, err := f()
		var e *sqlite.Error
		if !errors.As(err, &e) || e.Code()&0xff != sqlite3.SQLITE_IOERR || time.Now().After(end) {
			return out, err
		}
	}
}

// journal is the labels of a task's records, in their order.
func (w *watcher) journal(ctx context.Context, task string) ([]string, error) {
	return reading(func() ([]string, error) { return w.readJournal(ctx, task) })
}

func (w *watcher) readJournal(ctx context.Context, task string) (labels []string, err error) {
	rows, err := w.db.QueryContext(ctx, "SELECT record FROM journal WHERE task_id = ? ORDER BY seq", task)
	if err != nil {
		return nil, fmt.Errorf("journal of %s: %w", task, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text []byte
		var rec record
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("journal of %s: %w", task, err)
		}
		if err := json.Unmarshal(text, &rec); err != nil {
			return nil, fmt.Errorf("journal of %s: %w", task, err)
		}
		labels = append(labels, rec.label())
	}
	return labels, rows.Err()
}

// state is a task's, as the catalogue says.
func (w *watcher) state(ctx context.Context, task string) (string, error) {
	return reading(func() (state string, err error) {
		err = w.db.QueryRowContext(ctx, "SELECT state FROM tasks WHERE id = ?", task).Scan(&state)
		return state, err
	})
}

func final(state string) bool { return state != "queued" && state != "running" }

// await waits until a journal has a record, or its task has ended without it.
func (w *watcher) await(ctx context.Context, t target, label string) (found bool, err error) {
	for ctx.Err() == nil {
		labels, err := w.journal(ctx, t.journal)
		if err != nil || slices.Contains(labels, label) {
			return err == nil, err
		}
		state, err := w.state(ctx, t.task)
		if err != nil || final(state) {
			return false, err
		}
		time.Sleep(time.Millisecond)
	}
	return false, ctx.Err()
}

// SQLite's lock for the one writer of a database in WAL mode: byte 120 of the
// shared-memory file, https://www.sqlite.org/walformat.html section 2.3.1.
const walWriteLock = 120

// hold keeps the master from writing the next record until release is called,
// at most for the five seconds that it waits for its lock.
func (w *watcher) hold(ctx context.Context) (release func(), err error) {
	f, err := os.OpenFile(w.path+"-shm", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("hold the catalogue: %w", err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: unix.SEEK_SET, Start: walWriteLock, Len: 1}
	for {
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EAGAIN) || ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("hold the catalogue: %w", err), f.Close())
		}
		time.Sleep(50 * time.Microsecond)
	}
}
