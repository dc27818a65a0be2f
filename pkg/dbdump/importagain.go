package dbdump

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/go-sql-driver/mysql"
)

// An import's transactions can be broken off by the server: two of its own that
// wait for each other, one that waits for somebody else's locks, a cluster that
// takes another node's rows first. What was in such a transaction runs again, by
// itself: no other session of the import has locks then.

const (
	// againTries is how often it is tried.
	againTries = 3
	// againPause is the longest time before a try that follows a failed one.
	againPause = time.Second
)

const hintLocked = "something else keeps rows or tables of this database locked: see SHOW FULL PROCESSLIST on the database server, and try again"

// heldRows are an INSERT of the open transaction.
type heldRows struct {
	order order
	plan  *tablePlan
}

// isDeadlock reports whether the server broke one off of two transactions that
// waited for each other.
func isDeadlock(err error) bool { return hasNumber(err, errDeadlock) }

// isBrokenOff reports whether a transaction came to nothing because of others:
// it may do better on its own, or later. Of one that has waited too long for a
// lock the server takes back the last statement alone.
func isBrokenOff(err error) bool { return isDeadlock(err) || hasNumber(err, errLockWait) }

func hasNumber(err error, number uint16) bool {
	var me *mysql.MySQLError
	return errors.As(err, &me) && me.Number == number
}

// together runs f, which puts rows in through s, beside other sessions. It waits
// while one of them wants to be alone, without rows that are not committed.
func (s *session) together(ctx context.Context, of Section, f func() error) error {
	if !s.im.lane.TryRLock() {
		if err := s.endure(ctx, s.commit(ctx, of)); err != nil {
			return err
		}
		s.im.lane.RLock()
	}
	err := f()
	s.im.lane.RUnlock()
	return s.endure(ctx, err)
}

// endure returns err, unless it is that the transaction was broken off: then the
// rows of the transaction run again, alone. They do not if the import has failed
// elsewhere, which explains it.
func (s *session) endure(ctx context.Context, err error) error {
	if !isBrokenOff(err) || !s.holdsAll() {
		return err
	}
	if s.rollback(ctx) != nil {
		return err
	}
	s.im.lane.Lock()
	defer s.im.lane.Unlock()
	for try := 0; try < againTries && isBrokenOff(err) && !s.im.hasFailed(); try++ {
		if try > 0 && !pause(ctx, rand.N(againPause)) {
			return err
		}
		if err = s.again(ctx); err != nil && s.rollback(ctx) != nil {
			return err
		}
	}
	return err
}

// pause returns false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// holdsAll reports whether nothing but what is held is in the transaction.
func (s *session) holdsAll() bool {
	var held int64
	for _, h := range s.held {
		held += int64(h.order.bytes)
	}
	return len(s.held) > 0 && s.dirty <= held
}

// again runs what is held, and commits it.
func (s *session) again(ctx context.Context) error {
	var last Section
	for _, h := range s.held {
		if err := s.insert(ctx, h.order, h.plan); err != nil {
			return err
		}
		last = h.order.section
	}
	return s.commit(ctx, last)
}

// rollback lets go of all locks; what is held stays so.
func (s *session) rollback(ctx context.Context) error {
	s.dirty = 0
	_, err := s.conn.ExecContext(ctx, "ROLLBACK")
	return err
}

// hasFailed reports whether a session of the pool has.
func (im *importer) hasFailed() bool { return im.pool != nil && im.pool.err() != nil }
