package catalogue

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// recall remembers what Standings has read, until anybody has written to the catalogue. SQLite tells a connection that never
// writes itself: https://sqlite.org/pragma.html#pragma_data_version.
type recall struct {
	mu      sync.Mutex
	conn    *sql.Conn // the number is one of a connection's own
	version int64
	fates   map[question][]fate
}

// question is what Standings is asked for.
type question struct{ client, search string }

// mostQuestions bounds what is remembered: a list of 5,000 sites takes half a megabyte.
const mostQuestions = 16

// look returns what was read for a question and is still so, and the version of what is read from now on; 0 where that
// cannot be told. What is returned is shared, and must not be changed.
func (r *recall) look(ctx context.Context, db *sql.DB, q question) (list []fate, known bool, version int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, err := r.now(context.WithoutCancel(ctx), db) // who goes away must not break a connection that others need
	if err != nil {
		r.forget(0)
		_ = r.leave() // the next one makes a connection anew
		return nil, false, 0
	}
	if now != r.version {
		r.forget(now)
	}
	list, known = r.fates[q]
	return list, known, now
}

// keep remembers what was read after look had told the version.
func (r *recall) keep(version int64, q question, list []fate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if version == 0 || version != r.version {
		return
	}
	if len(r.fates) >= mostQuestions {
		r.forget(version)
	}
	r.fates[q] = list
}

func (r *recall) forget(version int64) { r.version, r.fates = version, map[question][]fate{} }

func (r *recall) now(ctx context.Context, db *sql.DB) (version int64, err error) {
	if r.conn == nil {
		if r.conn, err = db.Conn(ctx); err != nil {
			return 0, err
		}
		r.forget(0)
	}
	err = r.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version)
	return version, err
}

// leave gives the connection back.
func (r *recall) leave() error {
	if r.conn == nil {
		return nil
	}
	err := r.conn.Close()
	r.conn = nil
	if errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

func (r *recall) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leave()
}
