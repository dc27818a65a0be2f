//go:build integration

package dbdump

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// schemaRows is how many rows each table of a schema gets: few enough that the shortest keys, CHAR(1), are distinct.
const schemaRows = 30

// TestRealSchemas fills the schemas of programs that Debian packages. Their dumps by both engines, imported in both
// ways, give databases that compare equal.
func TestRealSchemas(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	dir := fetchSchemas(t)
	for _, name := range []string{"bacula", "roundcube"} {
		t.Run(name, func(t *testing.T) {
			m.fresh(t, name, "utf8mb4")
			m.load(t, name, filepath.Join(dir, name+".sql"))
			m.fill(t, name)
			want := portray(t, m, in, name)
			for table, rows := range want.Rows {
				if rows < schemaRows {
					t.Errorf("the table %s has %d rows", table, rows)
				}
			}
			for _, engine := range []Engine{EngineNative, EngineClient} {
				sink, sum := dumped(t, in, DumpOptions{Database: name, Engine: engine})
				if sum.Engine != engine {
					t.Errorf("the engine %s was used in place of %s", sum.Engine, engine)
				}
				ours, theirs := name+"_imported", name+"_loaded"
				m.fresh(t, ours, "utf8mb4")
				if _, err := in.Import(t.Context(), ImportOptions{Database: ours, TemporaryUser: "schema_imp"}, bytes.NewReader(sink.Bytes())); err != nil {
					t.Fatal(err, HintOf(err))
				}
				m.fresh(t, theirs, "utf8mb4")
				m.load(t, theirs, writeTemp(t, sink.String()))
				for _, copied := range []string{ours, theirs} {
					if diff := cmp.Diff(want, portray(t, m, in, copied)); diff != "" {
						t.Errorf("%s by %s: %s", copied, engine, diff)
					}
				}
			}
		})
	}
}

// fetchSchemas returns a directory of the user's cache.
func fetchSchemas(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "sitekeep-bed", "schemas-1")
	if out, err := exec.Command("../../scripts/fetch-schemas", dir).CombinedOutput(); err != nil {
		t.Fatalf("fetch-schemas: %v: %s", err, out)
	}
	return dir
}

// fill puts rows into all tables. The numbers of a row are all its own, so that each foreign key finds its parent and
// unique keys are unique; what the schema brought along under the same key is replaced.
func (m *mariadb) fill(t *testing.T, database string) {
	t.Helper()
	ctx := context.Background()
	conn, err := m.db(t, database).Conn(ctx)
	must(t, err)
	defer conn.Close()
	_, err = conn.ExecContext(ctx, "SET sql_mode = 'STRICT_ALL_TABLES', foreign_key_checks = 0")
	must(t, err)
	for _, table := range names(t, m.db(t, database), "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'") {
		columns := schemaColumns(t, m.db(t, database), table)
		for i := 1; i <= schemaRows; i++ {
			var values []string
			for _, c := range columns {
				values = append(values, c.value(t, i))
			}
			if _, err := conn.ExecContext(ctx, fmt.Sprintf("REPLACE INTO %s VALUES (%s)", QuoteIdent(table), strings.Join(values, ", "))); err != nil {
				t.Fatalf("%s: %v", table, err)
			}
		}
	}
}

// schemaColumn is a column as information_schema describes it.
type schemaColumn struct {
	name, data, full string // DATA_TYPE and COLUMN_TYPE
	length           int64  // in characters or bytes
	free             bool   // it may be NULL, and is in no key
	generated        bool
}

func schemaColumns(t *testing.T, db *sql.DB, table string) (out []schemaColumn) {
	t.Helper()
	rows, err := db.Query(`SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, COALESCE(CHARACTER_MAXIMUM_LENGTH, 0), IS_NULLABLE = 'YES' AND COLUMN_KEY = '', GENERATION_EXPRESSION IS NOT NULL
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`, table)
	must(t, err)
	defer rows.Close()
	for rows.Next() {
		var c schemaColumn
		must(t, rows.Scan(&c.name, &c.data, &c.full, &c.length, &c.free, &c.generated))
		out = append(out, c)
	}
	must(t, rows.Err())
	return out
}

// value is what row i holds in a column, as SQL.
func (c schemaColumn) value(t *testing.T, i int) string {
	t.Helper()
	switch {
	case c.generated:
		return "DEFAULT"
	case c.free && i%5 == 0:
		return "NULL"
	}
	switch c.data {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "bit":
		return fmt.Sprint(i)
	case "decimal", "float", "double":
		return fmt.Sprintf("%d.5", i)
	case "date", "datetime", "timestamp":
		return fmt.Sprintf("'20%02d-02-28 23:59:%02d'", i, i)
	case "time":
		return fmt.Sprintf("'-%d:59:59'", i)
	case "year":
		return fmt.Sprint(2000 + i)
	case "enum", "set":
		return fmt.Sprint(1 + i%(1+strings.Count(c.full, ",")))
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		return QuoteString(string(c.cut([]rune(fmt.Sprintf("%c'\\\";\n-- DEFINER=`x`@`y` ünïcödé 漢字 /*!99999 %d */", key(i), i)))))
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		return fmt.Sprintf("x'%x'", schemaBytes(c, i))
	}
	t.Fatalf("column %s: no values of the type %s are known here", c.name, c.data)
	return ""
}

// cut leaves as much of a text as the column holds.
func (c schemaColumn) cut(text []rune) []rune { return text[:min(int64(len(text)), c.length)] }

// schemaBytes are bytes of every value, as many as the column holds, with the row's key in front.
func schemaBytes(c schemaColumn, i int) []byte {
	out := []byte{byte(key(i))}
	for b := range 256 {
		out = append(out, byte(b))
	}
	return out[:min(int64(len(out)), c.length)]
}

// key is a letter or digit of a row's own, whatever the collation.
func key(i int) rune { return rune("0123456789abcdefghijklmnopqrstuvwxyz"[i]) }
