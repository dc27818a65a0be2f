//go:build integration

package dbdump

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// A dump opens the tables of its own database: on a server of a thousand sites
// looking at the others' would cost more than the dump, and push theirs out of
// the table cache.
func TestADumpLeavesOtherDatabasesAlone(t *testing.T) {
	const others = 120
	m := bed(t)
	m.fresh(t, "alone_others", "utf8mb4")
	m.fresh(t, "alone_own", "utf8mb4")
	for i := range others {
		m.exec(t, fmt.Sprintf("CREATE TABLE alone_others.t%03d (id INT PRIMARY KEY, n INT)", i))
	}
	m.exec(t, "CREATE TABLE alone_own.t (id INT PRIMARY KEY, n INT)", "INSERT INTO alone_own.t VALUES (1, 1)",
		"CREATE TRIGGER alone_own.b BEFORE INSERT ON alone_own.t FOR EACH ROW SET NEW.n = 1", "FLUSH TABLES")
	in := m.open(t, m.server(), Options{})
	before := openedDefinitions(t, m)
	_, sum := dumped(t, in, DumpOptions{Database: "alone_own", Engine: EngineNative})
	if opened := openedDefinitions(t, m) - before; opened > others/2 {
		t.Errorf("a dump of one table opened %d", opened)
	}
	if sum.Rows != 1 {
		t.Errorf("%d rows", sum.Rows)
	}
	if plan := explained(t, m, "alone_own", triggersByTable); strings.Contains(plan, "all databases") {
		t.Errorf("the question for triggers looks into all databases: %s", plan)
	}
}

// explained is what the server says of how it would answer a query.
func explained(t *testing.T, m *mariadb, database, query string) string {
	t.Helper()
	var plan strings.Builder
	rows, err := m.db(t, database).Query("EXPLAIN " + query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v [10]sql.NullString
		if err := rows.Scan(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9]); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(v[9].String + "\n")
	}
	if plan.Len() == 0 || rows.Err() != nil {
		t.Fatal("no plan", rows.Err())
	}
	return plan.String()
}

// openedDefinitions is how many definitions of tables the server has opened so far.
func openedDefinitions(t *testing.T, m *mariadb) (n int) {
	t.Helper()
	var name string
	if err := m.db(t, "").QueryRow("SHOW GLOBAL STATUS LIKE 'Opened_table_definitions'").Scan(&name, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
