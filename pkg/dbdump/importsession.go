package dbdump

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math/bits"
	"strings"
)

// session is one connection of an import. One goroutine at a time uses it.
type session struct {
	im       *importer
	conn     *sql.Conn
	id       int64      // of the connection
	settings int        // how many of the dump's settings it has
	dirty    int64      // bytes of statements that are not committed
	held     []heldRows // of them, what can run again
	plan     *tablePlan
	prepared map[int]driver.Stmt // of plan, by rows
	args     []driver.NamedValue
}

// commitEvery bounds a transaction, in bytes of its statements, which are held
// until it is committed: they run again if the server breaks it off.
const commitEvery = 4 << 20

// sessionSettings are for speed and for long waits; the dump's own come later.
// Timeouts are the longest that every server takes.
var sessionSettings = []string{
	"SET SESSION unique_checks=0, foreign_key_checks=0, sql_mode='NO_AUTO_VALUE_ON_ZERO', autocommit=0",
	"SET SESSION wait_timeout=86400, net_read_timeout=3600, net_write_timeout=3600",
}

// newSession logs in and sets up.
func (im *importer) newSession(ctx context.Context) (*session, error) {
	conn, err := im.db.Conn(ctx)
	if err != nil {
		return nil, fail("log in for import", im.server.User, scrubErr(err, im.server.Password))
	}
	s := &session{im: im, conn: conn}
	for _, q := range sessionSettings {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			s.close()
			return nil, fail(opImport, im.o.Database, err)
		}
	}
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&s.id); err != nil {
		s.close()
		return nil, fail(opImport, im.o.Database, err)
	}
	return s, nil
}

// close ends the connection; what is not committed is gone.
func (s *session) close() {
	s.unprepare()
	_ = s.conn.Close()
}

// catchUp runs those of the dump's settings that the session does not have yet.
func (s *session) catchUp(ctx context.Context, settings []order) error {
	for _, o := range settings[min(s.settings, len(settings)):] {
		if err := s.exec(ctx, o); err != nil {
			return err
		}
		s.settings++
	}
	return nil
}

// exec runs a statement as the dump has it.
func (s *session) exec(ctx context.Context, o order) error {
	if _, err := s.conn.ExecContext(ctx, o.sql); err != nil {
		return s.im.statementFailed(o, err)
	}
	if !o.insert {
		return nil
	}
	s.dirty += int64(o.bytes)
	return s.noteWarnings(ctx, o)
}

// commit ends the transaction, if there is one.
func (s *session) commit(ctx context.Context, of Section) error {
	if s.dirty == 0 {
		return nil
	}
	if _, err := s.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return s.im.statementFailed(order{section: of, sql: "COMMIT"}, err)
	}
	s.dirty, s.held = 0, nil
	return nil
}

// rows puts the rows of an INSERT into their table as its plan says, and
// commits from time to time.
func (s *session) rows(ctx context.Context, o order, p *tablePlan) error {
	s.held = append(s.held, heldRows{o, p})
	if err := s.insert(ctx, o, p); err != nil {
		return err
	}
	if s.dirty < commitEvery {
		return nil
	}
	return s.commit(ctx, o.section)
}

// insert hands rows over as parameters of a prepared INSERT, which saves the
// server from reading their text. What it does not take without a word is taken
// back and runs as the dump has it, so that errors and warnings are the same. A
// huge statement runs so from the start: its values would be copied twice more.
func (s *session) insert(ctx context.Context, o order, p *tablePlan) error {
	if p.asIs.Load() || o.over != nil || len(o.sql) > s.im.packet/2 {
		return s.exec(ctx, o)
	}
	if _, err := s.conn.ExecContext(ctx, "SAVEPOINT sitekeep"); err != nil {
		return s.im.statementFailed(o, err)
	}
	clean, err := s.handOver(ctx, o, p)
	if clean {
		s.dirty += int64(o.bytes)
		return nil
	}
	if err != nil && (ctx.Err() != nil || isBrokenOff(err) || classify(err).kind == KindUnreachable) {
		return s.im.statementFailed(o, err)
	}
	p.asIs.Store(true)
	if _, rerr := s.conn.ExecContext(ctx, "ROLLBACK TO SAVEPOINT sitekeep"); rerr != nil {
		return s.im.statementFailed(o, firstError(err, rerr))
	}
	return s.exec(ctx, o)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// handOver executes an INSERT in batches of rows. clean says that all went in
// and the server had nothing to remark; without an error the rows are not plain.
func (s *session) handOver(ctx context.Context, o order, p *tablePlan) (clean bool, err error) {
	s.use(p)
	r := o.rowReader(p)
	most := mostRows(p.params)
	var total int64
	for more := true; more; {
		s.args = s.args[:0]
		rows := 0
		for rows < most {
			if s.args, more, err = r.next(s.args); err != nil {
				return false, nil //nolint:nilerr // not plain: the statement runs as it is
			}
			if !more {
				break
			}
			rows++
		}
		if clean, err = s.executeRows(ctx, rows); !clean {
			return false, err
		}
		total += int64(rows)
	}
	return total == o.rows && (!r.counts || !p.fan), nil
}

// mostRows is how many rows one execution hands over: a power of two.
func mostRows(params int) int { return 1 << (bits.Len(uint(mostParams/params)) - 1) }

// executeRows hands over the rows in args: powers of two, so that few
// statements are prepared.
func (s *session) executeRows(ctx context.Context, rows int) (clean bool, err error) {
	args := s.args
	for rows > 0 {
		n := 1 << (bits.Len(uint(rows)) - 1)
		if clean, err := s.executeBatch(ctx, n, args[:n*s.plan.params]); !clean {
			return false, err
		}
		args, rows = args[n*s.plan.params:], rows-n
	}
	return true, nil
}

func (s *session) executeBatch(ctx context.Context, rows int, args []driver.NamedValue) (clean bool, err error) {
	for i := range args {
		args[i].Ordinal = i + 1
	}
	var changed int64
	err = s.conn.Raw(func(c any) error {
		stmt, err := s.statement(ctx, c, rows)
		if err != nil {
			return err
		}
		res, err := stmt.ExecContext(ctx, args)
		if err != nil {
			return err
		}
		changed, err = res.RowsAffected()
		return err
	})
	if err != nil || changed != int64(rows) {
		return false, err
	}
	var remarks int
	err = s.conn.QueryRowContext(ctx, "SELECT @@warning_count").Scan(&remarks)
	return err == nil && remarks == 0, err
}

// statement prepares the INSERT of a number of rows, once.
func (s *session) statement(ctx context.Context, c any, rows int) (driver.StmtExecContext, error) {
	stmt := s.prepared[rows]
	if stmt == nil {
		row := "(?" + strings.Repeat(",?", s.plan.params-1) + ")"
		var err error
		stmt, err = c.(driver.ConnPrepareContext).PrepareContext(ctx, s.plan.insert+row+strings.Repeat(","+row, rows-1))
		if err != nil {
			return nil, err
		}
		s.prepared[rows] = stmt
	}
	return stmt.(driver.StmtExecContext), nil
}

// use makes p the plan whose statements are prepared.
func (s *session) use(p *tablePlan) {
	if s.plan == p {
		return
	}
	s.unprepare()
	s.plan, s.prepared = p, map[int]driver.Stmt{}
}

func (s *session) unprepare() {
	if len(s.prepared) > 0 {
		_ = s.conn.Raw(func(any) error { // a broken connection has lost them anyway
			for _, stmt := range s.prepared {
				_ = stmt.Close()
			}
			return nil
		})
	}
	s.plan, s.prepared = nil, nil
}

// errGenerated is ER_WARNING_NON_DEFAULT_VALUE_FOR_GENERATED_COLUMN: mariadb-dump
// writes values for them, which the server computes anew.
const errGenerated = 1906

// noteWarnings reports, once for a table and number, that the server changed a value.
func (s *session) noteWarnings(ctx context.Context, o order) error {
	var n int
	if err := s.conn.QueryRowContext(ctx, "SELECT @@warning_count").Scan(&n); err != nil {
		return s.im.statementFailed(o, err)
	}
	if n == 0 {
		return nil
	}
	rows, err := s.conn.QueryContext(ctx, "SHOW WARNINGS LIMIT 100")
	if err != nil {
		return s.im.statementFailed(o, err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		var level, message string
		var code int
		if err := rows.Scan(&level, &code, &message); err != nil {
			return s.im.statementFailed(o, err)
		}
		s.im.noteWarning(o.section.Name, level, code, message)
	}
	if err := rows.Err(); err != nil {
		return s.im.statementFailed(o, err)
	}
	return nil
}

func (im *importer) noteWarning(table, level string, code int, message string) {
	if code == errGenerated || level == "Note" {
		return
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	key := fmt.Sprintf("%s\x00%d", table, code)
	if im.warned[key] {
		return
	}
	if im.warned == nil {
		im.warned = map[string]bool{}
	}
	im.warned[key] = true
	im.warn.add(WarnData, table, fmt.Sprintf("%s (%d), perhaps in more rows", message, code))
}
