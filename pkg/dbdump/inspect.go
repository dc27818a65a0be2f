package dbdump

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// systemDatabases belong to the server itself.
var systemDatabases = []string{"mysql", "information_schema", "performance_schema", "sys", "ndbinfo"}

// IsSystemDatabase reports whether a name is one of the server's own databases.
func IsSystemDatabase(name string) bool {
	for _, s := range systemDatabases {
		if strings.EqualFold(name, s) {
			return true
		}
	}
	return false
}

// TableInfo describes a table, view or sequence.
type TableInfo struct {
	Name          string
	Type          string // "BASE TABLE", "VIEW", "SEQUENCE", "SYSTEM VERSIONED"
	Engine        string // empty for views and broken tables
	Transactional bool
	Rows          int64  // the server's estimate
	Bytes         int64  // data and indexes, the server's estimate
	AutoIncrement int64  // the next value of the key that the server counts, 0 without one
	Broken        string // why it cannot be read, if the server says so
}

// IsTable reports whether it holds rows of its own.
func (t TableInfo) IsTable() bool { return t.Type == "BASE TABLE" || t.Type == "SYSTEM VERSIONED" }

// DatabaseInfo describes a database.
type DatabaseInfo struct {
	Name               string
	Exists             bool // the rest is empty when false
	Charset, Collation string
	Tables             []TableInfo // by name; views and sequences too
	Rows, Bytes        int64       // sums of the estimates
}

// ListDatabases returns the names of all databases but the system's, sorted.
func (in *Instance) ListDatabases(ctx context.Context) ([]string, error) {
	all, err := in.column(ctx, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME")
	if err != nil {
		return nil, fail("list databases", "", err)
	}
	var names []string
	for _, n := range all {
		if !IsSystemDatabase(n) {
			names = append(names, n)
		}
	}
	return names, nil
}

// Inspect looks at a database; one that does not exist is no error.
func (in *Instance) Inspect(ctx context.Context, database string) (DatabaseInfo, error) {
	const op = "inspect database"
	info := DatabaseInfo{Name: database}
	err := in.db.QueryRowContext(ctx, `SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME
		FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?`, database).Scan(&info.Charset, &info.Collation)
	if errors.Is(err, sql.ErrNoRows) {
		return info, nil
	}
	if err != nil {
		return info, fail(op, database, err)
	}
	info.Exists = true
	if info.Tables, err = in.tables(ctx, database); err != nil {
		return info, fail(op, database, err)
	}
	for _, t := range info.Tables {
		info.Rows += t.Rows
		info.Bytes += t.Bytes
	}
	return info, nil
}

// tables lists what a database holds. The server puts its reason into the
// comment of a table or view that it cannot open.
func (in *Instance) tables(ctx context.Context, database string) ([]TableInfo, error) {
	rows, err := in.db.QueryContext(ctx, `SELECT t.TABLE_NAME, t.TABLE_TYPE, COALESCE(t.ENGINE, ''),
		COALESCE(e.TRANSACTIONS, 'NO') = 'YES', COALESCE(t.TABLE_ROWS, 0),
		COALESCE(t.DATA_LENGTH, 0) + COALESCE(t.INDEX_LENGTH, 0), LEAST(COALESCE(t.AUTO_INCREMENT, 0), 9223372036854775807), COALESCE(t.TABLE_COMMENT, '')
		FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
		WHERE t.TABLE_SCHEMA = ?`, database)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var tables []TableInfo
	for rows.Next() {
		var t TableInfo
		var comment string
		if err := rows.Scan(&t.Name, &t.Type, &t.Engine, &t.Transactional, &t.Rows, &t.Bytes, &t.AutoIncrement, &comment); err != nil {
			return nil, err
		}
		if t.Type == "VIEW" && comment != "VIEW" && comment != "" || t.IsTable() && t.Engine == "" {
			t.Broken = strings.TrimSpace(comment)
			if t.Broken == "" {
				t.Broken = "the server cannot open it"
			}
		}
		tables = append(tables, t)
	}
	sort.Slice(tables, func(i, j int) bool { return tables[i].Name < tables[j].Name })
	return tables, rows.Err()
}

// CountRows counts the rows of every table exactly, in one snapshot.
func (in *Instance) CountRows(ctx context.Context, database string) (map[string]int64, error) {
	counts := map[string]int64{}
	err := in.eachTable(ctx, "count rows", database, func(c *sql.Conn, name, table string) error {
		var n int64
		err := c.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&n)
		counts[name] = n
		return err
	})
	return counts, err
}

// Checksums returns CHECKSUM TABLE ... EXTENDED of every table. Two are only
// comparable when the tables are defined alike.
func (in *Instance) Checksums(ctx context.Context, database string) (map[string]uint64, error) {
	sums := map[string]uint64{}
	err := in.eachTable(ctx, "checksum", database, func(c *sql.Conn, name, table string) error {
		var full string
		var sum sql.NullInt64
		err := c.QueryRowContext(ctx, "CHECKSUM TABLE "+table+" EXTENDED").Scan(&full, &sum)
		if err == nil && !sum.Valid {
			err = errors.New("the server gave no checksum: the table cannot be read")
		}
		sums[name] = uint64(sum.Int64)
		return err
	})
	return sums, err
}

// eachTable calls do with every table that holds rows, in one snapshot.
func (in *Instance) eachTable(ctx context.Context, op, database string, do func(c *sql.Conn, name, quoted string) error) error {
	info, err := in.Inspect(ctx, database)
	if err != nil {
		return err
	}
	if !info.Exists {
		return failAs(KindUnknownDatabase, op, database, "check the database's name", "it does not exist")
	}
	c, err := in.db.Conn(ctx)
	if err != nil {
		return fail(op, database, err)
	}
	defer c.Close() //nolint:errcheck // goes back to the pool
	if _, err := c.ExecContext(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return fail(op, database, err)
	}
	for _, t := range info.Tables {
		name := QuoteIdent(database) + "." + QuoteIdent(t.Name)
		if !t.IsTable() {
			continue
		}
		if err = do(c, t.Name, name); err != nil {
			err = fail(op, name, err)
			break
		}
	}
	_, rerr := c.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	if err == nil && rerr != nil {
		err = fail(op, database, rerr)
	}
	return err
}

// UnknownCollations returns those of names that this server does not know.
func (in *Instance) UnknownCollations(ctx context.Context, names []string) ([]string, error) {
	known, err := in.column(ctx, "SELECT COLLATION_NAME FROM information_schema.COLLATIONS")
	if err != nil {
		return nil, fail("list collations", "", err)
	}
	set := map[string]bool{}
	for _, n := range known {
		set[strings.ToLower(n)] = true
	}
	// MariaDB lists its UCA 14.0.0 collations without the charset they stand for.
	var unknown []string
	for _, n := range names {
		l := strings.ToLower(n)
		_, short, _ := strings.Cut(l, "_")
		if !set[l] && !(in.version.Flavour == MariaDB && strings.HasPrefix(short, "uca1400_") && set[short]) {
			unknown = append(unknown, n)
		}
	}
	return unknown, nil
}

// OwnHost returns the host under which the server sees our connections
// ("localhost" through a socket): the host part of an account for Import.
func (in *Instance) OwnHost(ctx context.Context) (string, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ownHost != "" {
		return in.ownHost, nil
	}
	var user string
	if err := in.db.QueryRowContext(ctx, "SELECT USER()").Scan(&user); err != nil {
		return "", fail("ask for our address", "", err)
	}
	i := strings.LastIndexByte(user, '@')
	if i < 0 || i+1 == len(user) {
		return "", fail("ask for our address", "", fmt.Errorf("the server says %q", user))
	}
	in.ownHost = user[i+1:]
	return in.ownHost, nil
}
