package dbdump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// snapshot is connections that see the database at one moment.
type snapshot struct {
	links []*link
	// lock holds the tables without transactions, if they are to be locked.
	lock *link
}

const (
	// lockPatience is how long it is tried to lock all tables for a moment.
	lockPatience = 2 * time.Second
	// lockPause is the longest time between two tries.
	lockPause = 40 * time.Millisecond
)

// locksWithoutWaiting reports whether LOCK TABLES can be told not to wait. One
// that waits for one table while it holds another can be in a circle with
// transactions of the site, of which the server then breaks one off (error 1213).
func locksWithoutWaiting(v Version) bool { return v.Flavour == MariaDB && v.AtLeast(10, 3, 0) }

// sessionSetup makes a connection one for dumps: values as they are, no limits of time.
func sessionSetup(v Version) []string {
	setup := []string{
		"SET SESSION sql_mode='', time_zone='+00:00', sql_quote_show_create=1, net_write_timeout=3600, wait_timeout=86400",
		"SET NAMES utf8mb4",
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
	}
	switch {
	case v.Flavour == MariaDB && v.AtLeast(10, 1, 0):
		setup = append(setup, "SET SESSION max_statement_time=0")
	case v.Flavour == MySQL && v.AtLeast(5, 7, 8):
		setup = append(setup, "SET SESSION max_execution_time=0")
	}
	return setup
}

const beginSnapshot = "START TRANSACTION WITH CONSISTENT SNAPSHOT"

// takeSnapshot opens the connections and begins their transactions.
func (n *native) takeSnapshot(ctx context.Context) (*snapshot, error) {
	s := &snapshot{}
	err := n.openSnapshot(ctx, s)
	if err != nil {
		s.close(n.dump.in, true)
		return nil, err
	}
	return s, nil
}

func (n *native) openSnapshot(ctx context.Context, s *snapshot) error {
	if err := n.lockForGood(ctx, s); err != nil {
		return err
	}
	for range n.connections() {
		l, err := n.openLink(ctx)
		if err != nil {
			return err
		}
		s.links = append(s.links, l)
	}
	if len(s.links) > 1 {
		done, err := n.beginTogether(ctx, s)
		if done || err != nil {
			return err
		}
		for _, l := range s.links[1:] {
			l.close()
		}
		s.links = s.links[:1]
	}
	return s.links[0].exec(ctx, beginSnapshot)
}

// lockForGood locks the tables without transactions for the time of the dump.
func (n *native) lockForGood(ctx context.Context, s *snapshot) error {
	names := n.lockList(false)
	if !n.dump.o.LockTables || names == "" {
		return nil
	}
	var err error
	if s.lock, err = n.openLink(ctx); err != nil {
		return err
	}
	err = s.lock.exec(ctx, "SET SESSION lock_wait_timeout=60")
	if err == nil {
		err = s.lock.exec(ctx, "LOCK TABLES "+names)
	}
	if err != nil {
		return fail("lock tables without transactions", n.dump.o.Database, err)
	}
	return nil
}

// lockList returns the tables, with or without transactions, as LOCK TABLES wants them.
func (n *native) lockList(transactional bool) string {
	var list []string
	for _, t := range n.dump.info.Tables {
		if n.tables[t.Name] != nil && t.Transactional == transactional {
			list = append(list, QuoteIdent(t.Name)+" READ")
		}
	}
	return strings.Join(list, ", ")
}

// quietAhead is how far the server may be ahead, in bytes, of a reader that pauses: it works on, at its usual priority,
// until the connection is full, and the kernel would let that grow to some MiB.
const quietAhead = 64 << 10

// openLink opens a connection for dumps.
func (n *native) openLink(ctx context.Context) (*link, error) {
	in := n.dump.in
	ahead := 0
	if n.dump.o.Pause != nil {
		ahead = quietAhead
	}
	l, err := dialLink(ctx, in.server, n.dump.o.Database, ahead)
	if err != nil {
		return nil, fail("log in for the dump", in.server.User+" at "+in.server.Address(), err)
	}
	l.release = context.AfterFunc(ctx, l.interrupt)
	for _, q := range sessionSetup(in.version) {
		if err := l.exec(ctx, q); err != nil {
			l.close()
			return nil, fail(opDump, n.dump.o.Database, err)
		}
	}
	if l.id, err = l.text(ctx, "SELECT CONNECTION_ID()"); err != nil {
		l.close()
		return nil, fail(opDump, n.dump.o.Database, err)
	}
	return l, nil
}

// beginTogether begins all transactions at one moment: while the tables are
// locked nobody's transaction that wrote to them is open, so all see the same. It
// reports false, with a warning if more than one connection was asked for, where
// the tables cannot be locked.
func (n *native) beginTogether(ctx context.Context, s *snapshot) (bool, error) {
	names := n.lockList(true)
	if names == "" {
		return false, nil
	}
	l, err := n.openLink(ctx)
	if err != nil {
		return false, err
	}
	defer l.close()
	defer n.dump.urgent()()
	if err := n.lockForAMoment(ctx, l, names); err != nil {
		if classify(err).kind == KindUnreachable || ctx.Err() != nil {
			return false, err
		}
		if n.dump.o.Parallel > 1 {
			n.dump.warn.add(WarnEngine, n.dump.o.Database, "one connection reads, because the tables could not be locked for a moment: "+err.Error())
		}
		return false, nil
	}
	for _, o := range s.links {
		if err := o.exec(ctx, beginSnapshot); err != nil {
			return false, err
		}
	}
	return true, l.exec(ctx, "UNLOCK TABLES")
}

// lockForAMoment locks tables against writing. Where the lock of the table's
// definition lets writers of open transactions pass (MySQL 5.6), InnoDB's own
// does not, which is taken without autocommit only.
func (n *native) lockForAMoment(ctx context.Context, l *link, names string) error {
	wait := 1 // second; the least there is in MySQL
	if locksWithoutWaiting(n.dump.in.version) {
		wait = 0
	}
	err := l.exec(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout=%d, innodb_lock_wait_timeout=%d, autocommit=0", wait, wait))
	if err != nil {
		return err
	}
	for end := time.Now().Add(lockPatience); ; {
		err := l.exec(ctx, "LOCK TABLES "+names)
		var me *mysql.MySQLError
		if !errors.As(err, &me) || me.Number != errLockWait || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(lockPause)):
		}
	}
}

// errLockWait is ER_LOCK_WAIT_TIMEOUT.
const errLockWait = 1205

// close ends all connections. If the dump was broken off, what the server still
// does for them is ended too.
func (s *snapshot) close(in *Instance, broken bool) {
	for _, l := range append(s.links, s.lock) {
		if l == nil {
			continue
		}
		l.close()
		if broken && l.id != "" {
			ctx, stop := context.WithTimeout(context.Background(), time.Second)
			_ = in.exec(ctx, "KILL "+l.id) // it may be gone already
			stop()
		}
	}
}

// interruptOn interrupts all connections when ctx ends; the result takes that back.
func (s *snapshot) interruptOn(ctx context.Context) func() bool {
	return context.AfterFunc(ctx, func() {
		for _, l := range s.links {
			l.interrupt()
		}
	})
}

// exec runs a statement and drops its rows.
func (l *link) exec(ctx context.Context, q string) error {
	_, err := l.rows(ctx, q)
	return err
}

// text returns the first value of the first row, "" for NULL.
func (l *link) text(ctx context.Context, q string) (string, error) {
	rows, err := l.rows(ctx, q)
	if err != nil {
		return "", err
	}
	if len(rows) == 0 || len(rows[0]) == 0 {
		return "", fmt.Errorf("%w: no rows", errMalformed)
	}
	return rows[0][0], nil
}

// maxMeta bounds a row about objects.
const maxMeta = 64 << 20

// rows returns a small result as texts, NULL as "".
func (l *link) rows(ctx context.Context, q string) ([][]string, error) {
	res, err := l.query(ctx, q)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for {
		row, large, err := res.next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		if large != nil {
			if row, err = wholeRow(large); err != nil {
				return nil, err
			}
		}
		texts, err := splitRow(row, res.columns())
		if err != nil {
			return nil, err
		}
		rows = append(rows, texts)
	}
}

// wholeRow reads a payload that is known to be of bounded size: the text of a routine.
func wholeRow(p payload) ([]byte, error) {
	var row []byte
	for {
		b, err := p.take(largePiece)
		if errors.Is(err, io.EOF) {
			return row, nil
		}
		if err != nil {
			return nil, err
		}
		if row = append(row, b...); len(row) > maxMeta {
			return nil, errStatementTooLong
		}
	}
}

// splitRow returns the values of a row.
func splitRow(row []byte, columns int) ([]string, error) {
	texts := make([]string, columns)
	for i := range texts {
		if len(row) > 0 && row[0] == markNull {
			row = row[1:]
			continue
		}
		n, skip, ok := lengthEncoded(row)
		if !ok || n > uint64(len(row)-skip) {
			return nil, errMalformed
		}
		texts[i] = string(row[skip : skip+int(n)])
		row = row[skip+int(n):]
	}
	return texts, nil
}
