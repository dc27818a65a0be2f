//go:build integration

package dbdump

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// contended is a dump of one table whose second statement ends with a row that
// somebody else has inserted, too, and not committed.
type contended struct {
	somebody *sql.Conn
	watch    *sql.DB
	inserted chan error // nil once somebody has the row
	own      uint64     // somebody's transaction; those of the import begin later
}

const (
	contendedRows = 120 // of each statement: more than leastBatch
	contendedKey  = 2 * contendedRows
)

// dump returns a dump that stops behind the definition of its table until the
// other one has its row.
func (c *contended) dump(t *testing.T) io.Reader {
	t.Helper()
	statement := func(from int) string {
		var rows []string
		for id := from; id < from+contendedRows; id++ {
			rows = append(rows, fmt.Sprintf("(%d,'%s')", id, strings.Repeat(fmt.Sprintf("%03d ", id), 100)))
		}
		return "INSERT INTO `t` VALUES " + strings.Join(rows, ",") + ";\n"
	}
	definition := "SET NAMES utf8mb4;\n--\n-- Table structure for table `t`\n--\n\nCREATE TABLE `t` (`id` int PRIMARY KEY, `v` text) ENGINE=InnoDB;\nSET @behind = 1;\n"
	data := "--\n-- Dumping data for table `t`\n--\n\n" + statement(1) + statement(contendedRows+1) + statement(2*contendedRows+1) + "\n-- Dump completed\n"
	return io.MultiReader(strings.NewReader(definition), &gate{open: func() error { return c.insert(t.Context()) }}, strings.NewReader(data))
}

// gate calls a function when a reader comes to it.
type gate struct{ open func() error }

func (g *gate) Read([]byte) (int, error) {
	if err := g.open(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// insert takes the key. The server breaks off the lighter one of two
// transactions that wait for each other: this one writes more rows.
func (c *contended) insert(ctx context.Context) error {
	err := eventually(func() (bool, error) {
		var n int
		err := c.watch.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'contended' AND TABLE_NAME = 't'").Scan(&n)
		return n == 1, err
	})
	for _, q := range []string{
		"BEGIN", "INSERT INTO `beside`.`heavy` SELECT seq FROM `beside`.`seq_1_to_5000`",
		fmt.Sprintf("INSERT INTO `contended`.`t` VALUES (%d, 'somebody')", contendedKey),
	} {
		if err == nil {
			err = c.exec(ctx, q)
		}
	}
	if err == nil {
		c.own, err = c.transaction(ctx, c.somebody, "trx_mysql_thread_id = CONNECTION_ID()", 0)
	}
	c.inserted <- err
	return err
}

// transaction returns the number of the transaction of which something holds, once it is a later one than another. The
// server looks ten times a second at most, and may tell of what is over.
func (c *contended) transaction(ctx context.Context, by interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, where string, after uint64) (id uint64, err error) {
	err = eventually(func() (bool, error) {
		err := by.QueryRowContext(ctx, "SELECT trx_id FROM information_schema.INNODB_TRX WHERE trx_id > ? AND "+where, after).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		return err == nil, err
	})
	return id, err
}

// waiting returns the number of a transaction that waits for a lock, later than another.
func (c *contended) waiting(ctx context.Context, after uint64) (uint64, error) {
	return c.transaction(ctx, c.watch, "trx_state = 'LOCK WAIT'", after)
}

func (c *contended) exec(ctx context.Context, q string) error {
	_, err := c.somebody.ExecContext(ctx, q)
	return err
}

func eventually(f func() (bool, error)) error {
	for range 400 {
		if ok, err := f(); ok || err != nil {
			return err
		}
		time.Sleep(150 * time.Millisecond)
	}
	return errors.New("it did not come to that within a minute")
}

func newContended(t *testing.T, m *mariadb) *contended {
	t.Helper()
	m.fresh(t, "contended", "utf8mb4")
	m.fresh(t, "beside", "utf8mb4")
	m.exec(t, "CREATE TABLE beside.heavy (id int)")
	db := m.db(t, "")
	conn, err := db.Conn(t.Context())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return &contended{somebody: conn, watch: db, inserted: make(chan error, 1)}
}

// importContended imports while somebody does what is given, and returns the import's failure.
func (c *contended) importContended(t *testing.T, in *Instance, parallel int, meanwhile func(context.Context) error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		err := <-c.inserted
		if err == nil {
			err = meanwhile(t.Context())
		}
		done <- err
	}()
	_, err := in.Import(t.Context(), ImportOptions{Database: "contended", TemporaryUser: "contended_imp", Parallel: parallel}, c.dump(t))
	if merr := <-done; merr != nil {
		t.Fatal(merr, err)
	}
	return err
}

// All rows are there, each once, and as the dump has them, after the server has
// broken off a transaction: of the one session of a serial import with what it
// had inserted before, and of one of several.
func TestRowsOfABrokenOffTransaction(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	whole := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err, HintOf(err))
		}
		got := names(t, m.db(t, "contended"), "SELECT CONCAT(COUNT(*), ' ', MIN(id), ' ', MAX(id), ' ', SUM(v = REPEAT(CONCAT(LPAD(id, 3, '0'), ' '), 100))) FROM t")
		if want := fmt.Sprintf("[%d 1 %d %d]", 3*contendedRows, 3*contendedRows, 3*contendedRows); fmt.Sprint(got) != want {
			t.Errorf("rows, first, last, as they were: %v, want %s", got, want)
		}
	}
	// In a serial import the row of the first statement is in the transaction too.
	for parallel, row := range map[int]int{1: 1, 2: contendedRows + 1} {
		t.Run(fmt.Sprintf("deadlock with %d", parallel), func(t *testing.T) {
			c := newContended(t, m)
			whole(t, c.importContended(t, in, parallel, func(ctx context.Context) error {
				if _, err := c.waiting(ctx, c.own); err != nil {
					return err
				}
				// It waits for us, and we for it.
				if err := c.exec(ctx, fmt.Sprintf("SELECT * FROM `contended`.`t` WHERE id = %d FOR UPDATE", row)); err != nil {
					return fmt.Errorf("we were broken off in its place: %w", err)
				}
				return c.exec(ctx, "ROLLBACK")
			}))
		})
	}
	t.Run("lock wait", func(t *testing.T) {
		c := newContended(t, m)
		m.exec(t, "SET GLOBAL innodb_lock_wait_timeout=2")
		defer m.exec(t, "SET GLOBAL innodb_lock_wait_timeout=50")
		whole(t, c.importContended(t, in, 2, func(ctx context.Context) error {
			first, err := c.waiting(ctx, c.own)
			if err == nil {
				_, err = c.waiting(ctx, first) // it has begun again
			}
			return errors.Join(err, c.exec(ctx, "ROLLBACK"))
		}))
	})
	t.Run("locked for good", func(t *testing.T) {
		c := newContended(t, m)
		m.exec(t, "SET GLOBAL innodb_lock_wait_timeout=0")
		defer m.exec(t, "SET GLOBAL innodb_lock_wait_timeout=50")
		err := c.importContended(t, in, 2, func(context.Context) error { return nil })
		if KindOf(err) != KindStatement || HintOf(err) != hintLocked || !hasNumber(err, errLockWait) {
			t.Errorf("%v; %s", err, HintOf(err))
		}
		must(t, c.exec(t.Context(), "ROLLBACK"))
	})
}
