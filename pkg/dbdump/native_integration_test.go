//go:build integration

package dbdump

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The two engines read the same rows and the same objects.
func TestNativeAgreesWithClient(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	name := tortured(t, m)
	native, ours := dumped(t, in, DumpOptions{Database: name, Engine: EngineNative, Parallel: 3})
	client, theirs := dumped(t, in, DumpOptions{Database: name, Engine: EngineClient})
	if ours.Engine != EngineNative || theirs.Engine != EngineClient {
		t.Errorf("engines %q and %q", ours.Engine, theirs.Engine)
	}
	if diff := cmp.Diff(theirs.TableRows(), ours.TableRows()); diff != "" {
		t.Error(diff)
	}
	a, b := theirs.TableChecksums(), ours.TableChecksums()
	delete(a, "gen") // the client dumps what is generated
	delete(b, "gen")
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(theirs.Collations, ours.Collations); diff != "" {
		t.Error(diff)
	}
	if a, b := definitions(client.String()), definitions(native.String()); a != b {
		t.Error(firstDifference(a, b))
	}
}

// What clients of different ages write differently: statements about
// transactions, the columns of a table that stands for a view, and space at
// the end of a comment.
var (
	transactions = regexp.MustCompile(`(?i)^(set (@old_autocommit|autocommit)\b|commit\b)`)
	standIns     = regexp.MustCompile(`(?m)^ +(1|NULL) AS `)
	commentEnds  = regexp.MustCompile(`\s+\*/`)
)

// definitions takes comments, rows, transactions and the places of delimiters out of a dump.
func definitions(dump string) string {
	var b strings.Builder
	s := newSplitter(strings.NewReader(dump), nil)
	for {
		c, err := s.next()
		if err != nil {
			break
		}
		if c.kind == chunkStatement && !c.insert && !transactions.Match(bytes.TrimSpace(c.statement())) {
			text := standIns.ReplaceAll(bytes.TrimSpace(c.statement()), []byte(" NULL AS "))
			b.Write(commentEnds.ReplaceAll(text, []byte("*/")))
			b.WriteString(";\n")
		}
	}
	return b.String()
}

// certificate writes a self-signed certificate and its key for a server.
func certificate(t *testing.T, host string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(host)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "dbdump-tls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pk}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o644); err != nil { //nolint:gosec // the server is nobody
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the server is nobody
		t.Fatal(err)
	}
	return cert, key
}

// The torture goes to a server with other defaults and back, with TLS between.
func TestTortureOnOtherServer(t *testing.T) {
	m := bed(t)
	cert, key := certificate(t, "127.0.0.77")
	other, err := startMariaDB("--character-set-server=latin2", "--collation-server=latin2_czech_cs", "--default-time-zone=+05:30",
		"--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,STRICT_ALL_TABLES,NO_ZERO_DATE", "--default-storage-engine=Aria",
		"--explicit-defaults-for-timestamp=OFF", "--ssl-cert="+cert, "--ssl-key="+key, "--lc-messages=en_US", "--max-statement-time=20")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.stop)
	in, far := m.open(t, m.server(), Options{}), other.open(t, other.server(), Options{})
	name := tortured(t, m)
	want := portray(t, m, in, name)
	sink, sum := dumped(t, in, DumpOptions{Database: name, Engine: EngineNative})
	like := sum.Charset + " COLLATE " + sum.Collation
	path := t.TempDir() + "/database.sql"
	if err := os.WriteFile(path, sink.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	other.fresh(t, "torture", like)
	other.load(t, "torture", path)
	if diff := cmp.Diff(want, portray(t, other, far, "torture")); diff != "" {
		t.Errorf("by the client program: %s", diff)
	}
	other.fresh(t, "again", like)
	if _, err := far.Import(ctx, owner(t, far, "again", "again_u"), bytes.NewReader(sink.Bytes())); err != nil {
		t.Fatal(err, HintOf(err))
	}
	if diff := cmp.Diff(want, portray(t, other, far, "again")); diff != "" {
		t.Errorf("by Import: %s", diff)
	}

	other.exec(t, "CREATE USER tls@'%' IDENTIFIED BY 'p' REQUIRE SSL", "GRANT ALL PRIVILEGES ON *.* TO tls@'%'")
	secure := other.open(t, Server{Host: other.host, Port: other.port, User: "tls", Password: NewSecret("p"), TLS: TLSVerify, CAFile: cert}, Options{})
	l, err := dialLink(ctx, secure.server, "torture", 0)
	if err != nil || l.raw {
		t.Fatalf("TLS is not used: %v", err)
	}
	l.close()
	back, _ := dumped(t, secure, DumpOptions{Database: "torture", Engine: EngineNative, Parallel: 2})
	plain, _ := dumped(t, far, DumpOptions{Database: "torture", Engine: EngineNative})
	if a, b := hostLine(plain.String()), hostLine(back.String()); a != b {
		t.Errorf("the dump over TLS differs: %s", firstDifference(a, b))
	}
	m.fresh(t, "home", like)
	if _, err := in.Import(ctx, owner(t, in, "home", "home_u"), bytes.NewReader(back.Bytes())); err != nil {
		t.Fatal(err, HintOf(err))
	}
	if diff := cmp.Diff(want, portray(t, m, in, "home")); diff != "" {
		t.Errorf("and back: %s", diff)
	}
}

// hostLine takes the server's address out of a dump.
func hostLine(dump string) string {
	_, rest, _ := strings.Cut(dump, "Database: ")
	return rest
}

// With writers at work, all connections see one moment: every transaction puts
// a row into each table. No writer is hurt by the lock.
func TestParallelDumpIsOneSnapshot(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "moving", "utf8mb4")
	for i := range movingTables {
		m.exec(t, fmt.Sprintf("CREATE TABLE moving.t%d (id int AUTO_INCREMENT PRIMARY KEY, v bigint)", i))
	}
	db := m.db(t, "moving")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	var written atomic.Int64
	for w := range 3 {
		wg.Go(func() { moveRows(t, db, w, &written, stop) })
	}
	parallel := 0
	for n := 0; n < 60 && parallel < 25; n++ {
		_, sum := dumped(t, in, DumpOptions{Database: "moving", Engine: EngineNative, Parallel: 4})
		rows := sum.TableRows()
		for name, n := range rows {
			if n != rows["t0"] {
				t.Fatalf("the tables have %v rows (%s)", rows, name)
			}
		}
		if len(sum.Warnings) == 0 {
			parallel++
		}
	}
	if parallel == 0 || written.Load() == 0 {
		t.Errorf("%d parallel dumps, %d transactions", parallel, written.Load())
	}
}

const movingTables = 6

// moveRows writes the same value to all tables, one transaction after another,
// each beginning with another table.
func moveRows(t *testing.T, db *sql.DB, w int, written *atomic.Int64, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(n%3) * time.Millisecond):
		}
		tx, err := db.Begin()
		for i := range movingTables {
			if err == nil {
				_, err = tx.Exec(fmt.Sprintf("INSERT INTO t%d (v) VALUES (%d)", (i+w)%movingTables, n))
			}
		}
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			t.Errorf("a writer failed: %v", err)
			return
		}
		written.Add(1)
	}
}

// Where the tables cannot be locked for a moment, one connection reads, and who
// asked for more is told.
func TestParallelNeedsTheLock(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "held", "utf8mb4")
	m.exec(t, "CREATE TABLE held.a (id int PRIMARY KEY)", "CREATE TABLE held.b (id int PRIMARY KEY)", "INSERT INTO held.b VALUES (1)",
		"CREATE USER modest@localhost IDENTIFIED BY 'p'", "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON held.* TO modest@localhost")
	t.Cleanup(func() { m.exec(t, "DROP USER modest@localhost") })
	modest := m.open(t, Server{Socket: m.socket, User: "modest", Password: NewSecret("p")}, Options{})
	check := func(name string, in *Instance) {
		t.Helper()
		_, sum := dumped(t, in, DumpOptions{Database: "held", Engine: EngineNative, Parallel: 2})
		if len(sum.Warnings) != 1 || sum.Warnings[0].Code != WarnEngine || sum.TableRows()["b"] != 1 {
			t.Errorf("%s: %+v %v", name, sum.Warnings, sum.TableRows())
		}
		if _, sum = dumped(t, in, DumpOptions{Database: "held", Engine: EngineNative}); len(sum.Warnings) != 0 {
			t.Errorf("%s: %+v", name, sum.Warnings)
		}
	}
	check("no privilege", modest)
	tx, err := m.db(t, "held").Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // the end of the test
	if _, err := tx.Exec("INSERT INTO a VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	check("a transaction in the way", in)
}

// A large table is read in ranges; together they are the table, in its order.
func TestRangesOfLargeTable(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "large", "utf8mb4")
	m.exec(t, "CREATE TABLE large.t (id int PRIMARY KEY, v varchar(200))",
		"INSERT INTO large.t SELECT CAST(seq AS SIGNED)*3-100000, REPEAT(CHAR(97+seq%26), 100+seq%100) FROM large.seq_1_to_90000", "ANALYZE TABLE large.t")
	one, sum := dumped(t, in, DumpOptions{Database: "large", Engine: EngineNative, Parallel: 1})
	_, client := dumped(t, in, DumpOptions{Database: "large", Engine: EngineClient})
	if sum.TableRows()["t"] != 90000 || sum.TableChecksums()["t"] != client.TableChecksums()["t"] {
		t.Errorf("%v, %v and %v", sum.TableRows(), sum.TableChecksums(), client.TableChecksums())
	}
	n, l := lookedAt(t, in, "large")
	if ranges, err := n.ranges(ctx, l, n.tables["t"]); err != nil || len(ranges) < 3 {
		t.Errorf("ranges %q, %v", ranges, err)
	}
	for range 3 {
		many, _ := dumped(t, in, DumpOptions{Database: "large", Engine: EngineNative, Parallel: 4})
		if !bytes.Equal(one.Bytes(), many.Bytes()) {
			t.Error(firstDifference(one.String(), many.String()))
		}
	}
}

// lookedAt is an engine that knows the tables of a database, and a connection in a snapshot.
func lookedAt(t *testing.T, in *Instance, database string) (*native, *link) {
	t.Helper()
	n := &native{dump: &dump{in: in, o: DumpOptions{Database: database}}}
	var err error
	if n.dump.info, err = in.Inspect(ctx, database); err != nil {
		t.Fatal(err)
	}
	if err := n.prepare(ctx); err != nil {
		t.Fatal(err)
	}
	l, err := n.openLink(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	if err := l.exec(ctx, beginSnapshot); err != nil {
		t.Fatal(err)
	}
	return n, l
}

// Tables whose keys are texts are read in ranges too, whatever their characters and collations: each row is in one of them,
// none has far more than its share, and the rows come in the key's order.
func TestRangesOfTextKeys(t *testing.T) {
	const (
		hash   = "MD5(seq)"
		cache  = "CONCAT(ELT(1+(seq DIV 11)%5, 'views_data:en', 'theme_registry', 'Entity_View:node:', 'config:block.', 'Ä ö\\'%:'), seq)"
		padded = "CONCAT(ELT(1+seq%3, _utf8mb4 X'53747261C39F65', 'Am Markt ', 'WEG'), SUBSTR('abcdefghijklmnopqrstuvwxyz', 1+seq%26, 1), seq*7919%10007)"
	)
	const justFilled = "the statistics of an empty table"
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	for _, tt := range []struct {
		name, column, primary, key string
		least                      int
	}{
		{"hashes", "varchar(64) CHARACTER SET ascii COLLATE ascii_bin", "k", hash, 4},
		{"cache ids", "varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "k", cache, 4},
		{"cache ids without case", "varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci", "k", cache, 4},
		{"latin1", "char(100) CHARACTER SET latin1 COLLATE latin1_german2_ci", "k", padded, 4},
		{"utf16", "varchar(100) CHARACTER SET utf16 COLLATE utf16_swedish_ci", "k", padded, 4},
		{"first of several", "varchar(128)", "k, n", "ELT(1+seq%4, 'comment', 'node', 'Taxonomy_Term', 'user')", 3},
		{"all the same", "varchar(128)", "k, n", "'node'", 1},
		{"a beginning alone", "varchar(128)", "k(20), n", hash, 1},
		{justFilled, "varchar(128) CHARACTER SET ascii", "k", hash, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m.fresh(t, "texts", "utf8mb4")
			m.exec(t, "CREATE TABLE texts.t (k "+tt.column+" NOT NULL, n int, v mediumtext, PRIMARY KEY ("+tt.primary+")) STATS_AUTO_RECALC=0",
				"INSERT INTO texts.t SELECT "+tt.key+", seq, REPEAT(CHAR(97+seq%26), 6000+seq%1000) FROM texts.seq_1_to_4000")
			m.exec(t, "ANALYZE TABLE texts.t")
			if tt.name == justFilled { // as after a restart of the server before it has counted
				m.exec(t, "UPDATE mysql.innodb_table_stats SET n_rows=0, clustered_index_size=1 WHERE database_name='texts'", "FLUSH TABLE texts.t")
			}
			n, l := lookedAt(t, in, "texts")
			ranges, err := n.ranges(ctx, l, n.tables["t"])
			if err != nil || len(ranges) < tt.least {
				t.Fatalf("ranges %q, %v", ranges, err)
			}
			sum := 0
			for _, r := range ranges {
				where := ""
				if r != "" {
					where = " WHERE " + r
				}
				row, err := l.text(ctx, "SELECT COUNT(*) FROM t"+where)
				if err != nil {
					t.Fatal(err)
				}
				count, err := strconv.Atoi(row)
				if err != nil || tt.least > 3 && count > 3000 {
					t.Errorf("%s: %d rows, %v", r, count, err)
				}
				sum += count
			}
			if sum != 4000 {
				t.Errorf("%d rows in %q", sum, ranges)
			}
			one, got := dumped(t, in, DumpOptions{Database: "texts", Engine: EngineNative, Parallel: 1})
			many, _ := dumped(t, in, DumpOptions{Database: "texts", Engine: EngineNative, Parallel: 4})
			_, client := dumped(t, in, DumpOptions{Database: "texts", Engine: EngineClient})
			if !bytes.Equal(one.Bytes(), many.Bytes()) {
				t.Error(firstDifference(one.String(), many.String()))
			}
			if got.TableChecksums()["t"] != client.TableChecksums()["t"] {
				t.Errorf("%v and %v", got.TableChecksums(), client.TableChecksums())
			}
			if err := wholeInOrder(ctx, l, one.String(), tt.primary); err != nil {
				t.Error(err)
			}
		})
	}
}

// wholeInOrder compares the second column of the dump's rows with the order of the key.
func wholeInOrder(ctx context.Context, l *link, dump, primary string) error {
	rows, err := l.rows(ctx, "SELECT n FROM t FORCE INDEX (PRIMARY) ORDER BY "+strings.ReplaceAll(primary, "k(20)", "k"))
	if err != nil {
		return err
	}
	order := regexp.MustCompile(`(?m)^\(.*',([0-9]+),'([a-z])`).FindAllStringSubmatch(dump, -1)
	if len(order) != len(rows) {
		return fmt.Errorf("%d rows in the dump, %d in the table", len(order), len(rows))
	}
	for i, r := range rows {
		if order[i][1] != r[0] {
			return fmt.Errorf("row %d is %s, not %s", i, order[i][1], r[0])
		}
	}
	return nil
}

// Rows beyond one packet of the protocol go out and back.
func TestRowsBeyondOnePacket(t *testing.T) {
	m := bed(t)
	m.exec(t, "SET GLOBAL max_allowed_packet=134217728")
	t.Cleanup(func() { m.exec(t, "SET GLOBAL max_allowed_packet=16777216") })
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "wide", "utf8mb4")
	m.exec(t, "CREATE TABLE wide.t (id int PRIMARY KEY, a longblob, b longtext, c bit(9))",
		"INSERT INTO wide.t VALUES (1, 'x', 'y', 1), (2, REPEAT(UNHEX('00FF275C0A1A22C3'), 1200000), REPEAT('ä''\\n', 2000000), 257), (3, NULL, NULL, NULL)")
	sink, sum := dumped(t, in, DumpOptions{Database: "wide", Engine: EngineNative})
	if sum.Rows != 3 {
		t.Errorf("%d rows", sum.Rows)
	}
	want, err := in.Checksums(ctx, "wide")
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/database.sql"
	if err := os.WriteFile(path, sink.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	m.fresh(t, "wide_client", "utf8mb4")
	m.load(t, "wide_client", path)
	m.fresh(t, "wide_import", "utf8mb4")
	if _, err := in.Import(ctx, owner(t, in, "wide_import", "wide_u"), bytes.NewReader(sink.Bytes())); err != nil {
		t.Fatal(err, HintOf(err))
	}
	for _, name := range []string{"wide_client", "wide_import"} {
		if got, err := in.Checksums(ctx, name); err != nil || got["t"] != want["t"] {
			t.Errorf("%s: %v, want %v, %v", name, got, want, err)
		}
	}
}

// The history of a system-versioned table comes back by setting.
func TestHistory(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "past", "utf8mb4")
	m.exec(t, "CREATE TABLE past.hidden (a int PRIMARY KEY, g int AS (a+1)) WITH SYSTEM VERSIONING", "INSERT INTO past.hidden (a) VALUES (1),(2)", "UPDATE past.hidden SET a=a+10",
		"CREATE TABLE past.named (a int, `r s` timestamp(6) GENERATED ALWAYS AS ROW START, re timestamp(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME(`r s`, re)) WITH SYSTEM VERSIONING",
		"INSERT INTO past.named (a) VALUES (1)", "DELETE FROM past.named")
	sink, sum := dumped(t, in, DumpOptions{Database: "past", Engine: EngineNative, History: true})
	if rows := sum.TableRows(); rows["hidden"] != 4 || rows["named"] != 1 {
		t.Errorf("%v", rows)
	}
	_, plain := dumped(t, in, DumpOptions{Database: "past", Engine: EngineNative})
	if rows := plain.TableRows(); rows["hidden"] != 2 || rows["named"] != 0 {
		t.Errorf("without history: %v", rows)
	}
	path := t.TempDir() + "/database.sql"
	if err := os.WriteFile(path, sink.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	m.fresh(t, "past_back", "utf8mb4")
	m.load(t, "past_back", path)
	history := "SELECT CONCAT_WS(',', a, row_start, row_end) FROM %s.hidden FOR SYSTEM_TIME ALL UNION ALL SELECT CONCAT_WS(',', a, `r s`, re) FROM %s.named FOR SYSTEM_TIME ALL"
	want := names(t, m.db(t, ""), fmt.Sprintf(history, "past", "past"))
	if diff := cmp.Diff(want, names(t, m.db(t, ""), fmt.Sprintf(history, "past_back", "past_back"))); diff != "" || len(want) != 5 {
		t.Errorf("%d rows: %s", len(want), diff)
	}
}

func TestStructureOnlyPatternsAndProgress(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	name := tortured(t, m)
	for _, e := range []Engine{EngineNative, EngineClient} {
		var last DumpProgress
		_, sum := dumped(t, in, DumpOptions{Database: name, Engine: e, StructureOnly: []string{"cycle_*", "hostile", "nonesuch"}, Progress: func(p DumpProgress) { last = p }})
		rows := sum.TableRows()
		if rows["cycle_a"]+rows["cycle_b"]+rows["hostile"] != 0 || rows["types"] != 3 {
			t.Errorf("%s: %v", e, rows)
		}
		if last.EstimatedRows == 0 || last.EstimatedBytes == 0 || last.Bytes == 0 || last.Bytes > sum.Bytes {
			t.Errorf("%s: %+v", e, last)
		}
	}
}
