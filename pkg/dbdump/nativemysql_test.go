package dbdump

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
)

// answer is what a recorded server says to a query: rows of texts ("\x00" for
// NULL), or an error.
type answer struct {
	rows [][]string
	err  *mysql.MySQLError
}

// recordedLink is a connection to a server that gives recorded answers, in the
// old form (EOF packets) or the new one. Statements that are not recorded
// succeed without rows if they begin with SET, SAVEPOINT or ROLLBACK.
func recordedLink(t *testing.T, newEOF bool, answers map[string]answer) *link {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	go func() {
		for {
			head := make([]byte, 4)
			if _, err := io.ReadFull(server, head); err != nil {
				return
			}
			q := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
			if _, err := io.ReadFull(server, q); err != nil {
				return
			}
			if _, err := server.Write(reply(string(q[1:]), newEOF, answers)); err != nil {
				return
			}
		}
	}()
	tap := &tapConn{Conn: client}
	return &link{raw: true, newEOF: newEOF, tap: tap, in: newPacketReader(tap)}
}

func reply(q string, newEOF bool, answers map[string]answer) []byte {
	q = strings.Join(strings.Fields(q), " ")
	a, ok := answers[q]
	verb, _, _ := strings.Cut(q, " ")
	switch {
	case a.err != nil:
		p := binary.LittleEndian.AppendUint16([]byte{markErr}, a.err.Number)
		return packets([]byte(string(p) + "#42000" + a.err.Message))
	case !ok && slices.Contains([]string{"SET", "SAVEPOINT", "ROLLBACK"}, verb):
		return packets([]byte{markOK, 0, 0, 2, 0, 0, 0})
	case !ok:
		p := binary.LittleEndian.AppendUint16([]byte{markErr}, 1064)
		return packets([]byte(string(p) + "#42000not recorded: " + q))
	case len(a.rows) == 0:
		a.rows = [][]string{nil}
	}
	end := []byte{markEOF, 0, 0, 2, 0}
	if newEOF {
		end = endPacket
	}
	out := [][]byte{{byte(max(len(a.rows[0]), 1))}}
	for range max(len(a.rows[0]), 1) {
		out = append(out, []byte("\x03def a definition of a column"))
	}
	if !newEOF {
		out = append(out, end)
	}
	for _, r := range a.rows {
		var values [][]byte
		for _, v := range r {
			if v == "\x00" {
				values = append(values, nil)
			} else {
				values = append(values, []byte(v))
			}
		}
		if r != nil {
			out = append(out, textRow(values...))
		}
	}
	return packets(append(out, end)...)
}

// mysql80 is a database as MySQL 8.0 tells of it.
func mysql80() (*native, map[string]answer) {
	d := &dump{
		in: &Instance{version: parseVersion("8.0.36", "MySQL Community Server - GPL"), server: Server{Host: "db1"}}, o: DumpOptions{Database: "shop"},
		info: DatabaseInfo{Name: "shop", Exists: true, Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci", Tables: []TableInfo{
			{Name: "orders", Type: "BASE TABLE", Engine: "InnoDB", Transactional: true}, {Name: "recent", Type: "VIEW"},
		}},
		collations: map[string]bool{},
	}
	d.filter = filter{database: "shop"}
	orders := &table{info: d.info.Tables[0], primary: true, key: "id"}
	for _, c := range [][3]string{
		{"id", "bigint", "auto_increment"}, {"uid", "binary", "DEFAULT_GENERATED"}, {"doc", "json", ""}, {"total", "decimal", ""},
		{"tax", "decimal", "STORED GENERATED"}, {"secret", "varchar", "INVISIBLE"}, {"at", "point", ""},
	} {
		if err := orders.addColumn(c[0], c[1], strings.ToUpper(c[2])); err != nil {
			panic(err)
		}
	}
	n := &native{dump: d, tables: map[string]*table{"orders": orders}}
	return n, map[string]answer{
		"SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE() ORDER BY EVENT_OBJECT_TABLE, FIELD(EVENT_MANIPULATION, 'INSERT', 'UPDATE', 'DELETE'), FIELD(ACTION_TIMING, 'BEFORE', 'AFTER'), ACTION_ORDER": {rows: [][]string{{"orders", "bi"}}},
		"SELECT 1 FROM `orders` LIMIT 0": {},
		"SHOW CREATE TABLE `orders`": {rows: [][]string{{"orders", "CREATE TABLE `orders` (\n  `id` bigint unsigned NOT NULL AUTO_INCREMENT,\n  `uid` binary(16) DEFAULT (uuid_to_bin(uuid())),\n" +
			"  `doc` json DEFAULT NULL,\n  `total` decimal(10,2) DEFAULT NULL,\n  `tax` decimal(10,2) GENERATED ALWAYS AS ((`total` * 0.2)) STORED,\n" +
			"  `secret` varchar(10) COLLATE utf8mb4_bin DEFAULT NULL /*!80023 INVISIBLE */,\n  `at` point /*!80003 SRID 4326 */ DEFAULT NULL,\n  PRIMARY KEY (`id`),\n" +
			"  CONSTRAINT `c` CHECK ((`total` > 0)) /*!80016 NOT ENFORCED */\n) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci"}}},
		"SELECT /*!40001 SQL_NO_CACHE */ `id`, `uid`, `doc`, `total`, `secret`, `at` FROM `orders` FORCE INDEX (PRIMARY)": {rows: [][]string{
			{"1", "\x01'\xff", `{"a": "b\"'"}`, "12.50", "\x00", "\x00"}, {"2", "\x00", "\x00", "\x00", "s", "\xe6\x10"},
		}},
		"SHOW CREATE TRIGGER `bi`": {rows: [][]string{{"bi", "ONLY_FULL_GROUP_BY,NO_ENGINE_SUBSTITUTION", "CREATE DEFINER=`root`@`%` TRIGGER `bi` BEFORE INSERT ON `orders` FOR EACH ROW set new.secret = 'x'",
			"utf8mb4", "utf8mb4_0900_ai_ci", "latin1_swedish_ci", "2026-01-01 00:00:00.00"}}},
		"SHOW FIELDS FROM `recent`": {rows: [][]string{{"id", "bigint unsigned", "NO", "", "0", ""}}},
		"SHOW CREATE VIEW `recent`": {rows: [][]string{{"recent", "CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `recent` AS select `orders`.`id` AS `id` from `orders`",
			"utf8mb4", "utf8mb4_0900_ai_ci"}}},
		"SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY EVENT_NAME": {rows: [][]string{{"ev"}}},
		"SHOW CREATE EVENT `ev`": {rows: [][]string{{"ev", "", "SYSTEM", "CREATE DEFINER=`root`@`localhost` EVENT `ev` ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 00:00:00' ON COMPLETION NOT PRESERVE ENABLE DO delete from orders",
			"utf8mb4", "utf8mb4_0900_ai_ci", "utf8mb4_0900_ai_ci"}}},
		"SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() ORDER BY FIELD(ROUTINE_TYPE, 'FUNCTION', 'PROCEDURE', 'PACKAGE', 'PACKAGE BODY'), ROUTINE_NAME": {rows: [][]string{{"PROCEDURE", "p"}}},
		"SHOW CREATE PROCEDURE `p`": {rows: [][]string{{"p", "NO_BACKSLASH_ESCAPES", "CREATE DEFINER=`root`@`localhost` PROCEDURE `p`()\nselect '\\', ';'", "utf8mb4", "utf8mb4_0900_ai_ci", "utf8mb4_0900_ai_ci"}}},
	}
}

// flowRecorded dumps what recorded servers tell.
func flowRecorded(t *testing.T, n *native, sink Sink, links ...*link) error {
	t.Helper()
	n.dump.sink = sink
	return n.judge(context.Background(), n.flow(context.Background(), &snapshot{links: links}, n.dump.chunk))
}

// The dump of a MySQL 8.0 server is the recorded one, whichever form its
// packets have and however many connections read.
func TestNativeDumpOfMySQL8(t *testing.T) {
	want, err := os.ReadFile("testdata/native-mysql-8.0.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, newEOF := range []bool{false, true} {
		for _, links := range []int{1, 3} {
			n, answers := mysql80()
			var all []*link
			for range links {
				all = append(all, recordedLink(t, newEOF, answers))
			}
			var sink collect
			if err := flowRecorded(t, n, &sink, all...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), sink.String()); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// What the server refuses is an error of the right kind; a best-effort dump
// goes on and names it.
func TestNativeRefusals(t *testing.T) {
	for q, tt := range map[string]struct {
		code uint16
		want Kind
		name string
	}{
		"SHOW CREATE VIEW `recent`":      {1356, KindBroken, "recent"},
		"SHOW FIELDS FROM `recent`":      {1449, KindBroken, "recent"},
		"SELECT 1 FROM `orders` LIMIT 0": {1412, KindChanged, "orders"},
		"SHOW CREATE TRIGGER `bi`":       {1227, KindPrivilege, "bi"},
		"SHOW CREATE PROCEDURE `p`":      {1305, KindChanged, "p"},
		"SHOW CREATE EVENT `ev`":         {1539, KindChanged, "ev"},
		"SELECT /*!40001 SQL_NO_CACHE */ `id`, `uid`, `doc`, `total`, `secret`, `at` FROM `orders` FORCE INDEX (PRIMARY)": {1194, KindBroken, "orders"},
	} {
		for _, salvage := range []bool{false, true} {
			n, answers := mysql80()
			n.dump.o.Salvage = salvage
			answers[q] = answer{err: &mysql.MySQLError{Number: tt.code, Message: "refused"}}
			var sink collect
			err := flowRecorded(t, n, &sink, recordedLink(t, true, answers))
			if salvage {
				if w := n.dump.warn.list; err != nil || len(w) != 1 || w[0].Code != WarnSkipped || w[0].Subject != tt.name {
					t.Errorf("%s: %v, warnings %+v", q, err, w)
				}
				continue
			}
			if KindOf(err) != tt.want || HintOf(err) == "" || strings.Contains(sink.String(), string(endMark)) {
				t.Errorf("%s: %s %v", q, KindOf(err), err)
			}
		}
	}
	n, answers := mysql80()
	answers["SHOW CREATE PROCEDURE `p`"] = answer{rows: [][]string{{"p", "", "\x00", "utf8mb4", "utf8mb4_0900_ai_ci", "utf8mb4_0900_ai_ci"}}}
	if err := flowRecorded(t, n, &collect{}, recordedLink(t, true, answers)); KindOf(err) != KindPrivilege || !strings.Contains(HintOf(err), "mysql.proc") {
		t.Errorf("a routine without its text: %v", err)
	}
}

// A dump that stops before the end mark, for whatever reason, is not a good one.
func TestNativeNeedsTheEndMark(t *testing.T) {
	n, _ := mysql80()
	if err := n.judge(context.Background(), nil); KindOf(err) != KindIncomplete {
		t.Error(err)
	}
}

func TestUnknownKinds(t *testing.T) {
	tab := &table{info: TableInfo{Name: "t"}}
	var unknown errUnknown
	if err := tab.addColumn("c", "cube", ""); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "cube") {
		t.Error(err)
	}
	for v, want := range map[string]bool{
		"10.11.6-MariaDB": true, "5.5.5-10.3.39-MariaDB": true, "11.8.1-MariaDB": true, "8.0.36": true, "9.1.0": true, "5.7.44": true,
		"5.1.73": false, "17.0.1-MariaDB": false, "26.1.0": false,
	} {
		if got := knowsServer(parseVersion(v, "")); got != want {
			t.Errorf("%s: %v", v, got)
		}
	}
}

func TestIsGenerated(t *testing.T) {
	for extra, want := range map[string]bool{
		"": false, "AUTO_INCREMENT": false, "DEFAULT_GENERATED": false, "DEFAULT_GENERATED ON UPDATE CURRENT_TIMESTAMP": false, "INVISIBLE": false,
		"STORED GENERATED": true, "VIRTUAL GENERATED": true, "STORED GENERATED, INVISIBLE": true, "VIRTUAL GENERATED INVISIBLE": true, "PERSISTENT": true, "VIRTUAL": true,
	} {
		if got := isGenerated(extra); got != want {
			t.Errorf("%q: %v", extra, got)
		}
	}
}

// A busy server is waited for, but not for ever, and one that cannot be asked not at all.
func TestThrottle(t *testing.T) {
	var asked atomic.Int64
	th := &throttle{limit: 3, running: func(context.Context) (int, error) {
		if asked.Add(1) < 3 {
			return 9, nil
		}
		return 3, nil
	}}
	if err := th.wait(context.Background()); err != nil || asked.Load() != 3 {
		t.Errorf("asked %d times: %v", asked.Load(), err)
	}
	if err := th.wait(context.Background()); err != nil || asked.Load() != 3 && time.Since(th.asked) < throttleEvery {
		t.Errorf("asked again at once: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	busy := &throttle{limit: 1, running: func(context.Context) (int, error) { stop(); return 9, nil }}
	if err := busy.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	broken := &throttle{limit: 1, running: func(context.Context) (int, error) { return 0, errors.New("gone") }}
	if err := broken.wait(context.Background()); err != nil {
		t.Error(err)
	}
	if err := (*throttle)(nil).wait(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestDumpOptionsAreChecked(t *testing.T) {
	for _, o := range []DumpOptions{{Engine: "mydumper"}, {Parallel: -1}, {MaxThreadsRunning: -1}, {StructureOnly: []string{"[a"}}} {
		if err := o.check(); KindOf(err) != KindInvalid || HintOf(err) == "" {
			t.Errorf("%+v: %v", o, err)
		}
	}
	o := DumpOptions{StructureOnly: []string{"cache_*", "a[b"}}
	for name, want := range map[string]bool{"cache_x": true, "cache": false, "a[b": true, "x": false} {
		if o.structureOnly(name) != want {
			t.Error(name)
		}
	}
}

// A dump that nothing was handed out of begins again when a table was altered.
func TestMayBeginAgain(t *testing.T) {
	n, answers := mysql80()
	n.tables["orders"].info.Bytes = 100 << 20
	minMax := "SELECT MIN(`id`), MAX(`id`) FROM `orders`"
	answers[minMax] = answer{err: &mysql.MySQLError{Number: 1412, Message: "Table definition has changed, please retry transaction"}}
	if err := flowRecorded(t, n, &collect{}, recordedLink(t, true, answers)); !n.dump.mayBeginAgain(err) {
		t.Errorf("before the first byte: %v", err)
	}
	n, answers = mysql80()
	answers["SHOW CREATE VIEW `recent`"] = answer{err: &mysql.MySQLError{Number: 1146, Message: "no such table"}}
	err := flowRecorded(t, n, &collect{}, recordedLink(t, true, answers))
	if KindOf(err) == KindChanged && n.dump.mayBeginAgain(err) || err == nil {
		t.Errorf("behind it: %v", err)
	}
}
