package dbdump

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync/atomic"
)

// tablePlan says how the rows of one table go in.
type tablePlan struct {
	insertHead
	columns []rowColumn // of a row in the dump
	params  int         // of a row, without dropped columns
	insert  string      // INSERT INTO `t` (`a`, ...) VALUES
	// fan: its rows may go in through several sessions at once, in any order.
	fan  bool
	keys deferredKeys
	// asIs: the statements run as the dump has them. Set for good once the
	// server had anything to say about rows that were handed over.
	asIs atomic.Bool
}

const (
	// leastBatch is how long an INSERT is, in bytes, before it is worth a look at its table.
	leastBatch = 32 << 10
	// mostParams is how many values one execution hands over; the protocol ends at 65,535.
	mostParams = 2048
)

// plainCharsets are those in which no byte of a longer character is a quote or
// a backslash.
var plainCharsets = []string{"utf8mb4", "utf8mb3", "utf8", "latin1", "ascii"}

// sessionAllows reports whether texts can be handed over in the session's
// charset, and a batch taken back.
func (s *session) sessionAllows(ctx context.Context) (bool, error) {
	var client, connection string
	var autocommit bool
	err := s.conn.QueryRowContext(ctx, "SELECT @@character_set_client, @@character_set_connection, @@autocommit").
		Scan(&client, &connection, &autocommit)
	return client == connection && !autocommit && slices.Contains(plainCharsets, client), err
}

// plan looks at a table; nil says that its rows run as the dump has them.
func (im *importer) plan(ctx context.Context, o order, h insertHead) (*tablePlan, error) {
	ok, err := im.main.sessionAllows(ctx)
	if err != nil || !ok {
		return nil, err
	}
	var name, create string
	err = im.main.conn.QueryRowContext(ctx, "SHOW CREATE TABLE "+QuoteIdent(h.table)).Scan(&name, &create)
	if err != nil {
		return nil, nil //nolint:nilerr // the INSERT itself tells better what is wrong
	}
	def := parseCreateTable(create)
	if def.engine != "InnoDB" || def.versioned {
		return nil, nil
	}
	p := &tablePlan{insertHead: h}
	if ok, err := im.planColumns(ctx, p); err != nil || !ok {
		return nil, err
	}
	p.fan = def.primary && !def.fulltext && !im.leavesNumbers(p, o)
	if im.created[h.table] && len(o.sql) >= leastDeferred && p.fan {
		if p.keys, err = im.deferKeys(ctx, h.table, create, def); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// leavesNumbers reports whether the first row leaves its number to the server,
// so that the order of rows matters, or is no plain row.
func (im *importer) leavesNumbers(p *tablePlan, o order) bool {
	r := o.rowReader(p)
	_, _, err := r.next(nil)
	return err != nil || r.counts
}

func (o order) rowReader(p *tablePlan) *rowReader {
	return &rowReader{s: o.sql, pos: len(p.text), columns: p.columns, noBackslash: o.noBackslash, ansiQuotes: o.ansiQuotes}
}

// tableColumn is a column as the server describes it.
type tableColumn struct {
	name, dataType, extra string
	generated             bool
}

// planColumns matches the columns of the INSERT with those of the table. It
// returns false where they do not fit, or where the server numbers the rows.
func (im *importer) planColumns(ctx context.Context, p *tablePlan) (bool, error) {
	all, err := im.tableColumns(ctx, p.table)
	if err != nil {
		return false, err
	}
	chosen, ok := chooseColumns(all, p.insertHead.columns)
	if !ok || slices.ContainsFunc(all, tableColumn.numbers) != slices.ContainsFunc(chosen, tableColumn.numbers) {
		return false, nil
	}
	var names []string
	for _, c := range chosen {
		p.columns = append(p.columns, rowColumn{class: classOf(c.dataType), drop: c.generated, auto: c.numbers()})
		if !c.generated {
			names = append(names, QuoteIdent(c.name))
		}
	}
	p.params = len(names)
	p.insert = "INSERT INTO " + QuoteIdent(p.table) + " (" + strings.Join(names, ",") + ") VALUES "
	return p.params > 0 && p.params <= mostParams, nil
}

// chooseColumns returns the columns of these names, in their order; without
// names all that are visible. It returns false if there is no such column.
func chooseColumns(all []tableColumn, names []string) ([]tableColumn, bool) {
	if names == nil {
		return slices.DeleteFunc(slices.Clone(all), func(c tableColumn) bool { return strings.Contains(c.extra, "INVISIBLE") }), true
	}
	chosen := make([]tableColumn, 0, len(names))
	for _, name := range names {
		i := slices.IndexFunc(all, func(c tableColumn) bool { return strings.EqualFold(c.name, name) })
		if i < 0 {
			return nil, false
		}
		chosen = append(chosen, all[i])
	}
	return chosen, true
}

// numbers reports whether it is the AUTO_INCREMENT column.
func (c tableColumn) numbers() bool { return strings.Contains(c.extra, "auto_increment") }

func (im *importer) tableColumns(ctx context.Context, table string) ([]tableColumn, error) {
	rows, err := im.main.conn.QueryContext(ctx, `SELECT COLUMN_NAME, LOWER(DATA_TYPE), EXTRA, COALESCE(GENERATION_EXPRESSION, '') <> ''
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`, im.o.Database, table)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var all []tableColumn
	for rows.Next() {
		var c tableColumn
		var extra sql.NullString
		if err := rows.Scan(&c.name, &c.dataType, &extra, &c.generated); err != nil {
			return nil, err
		}
		c.extra = extra.String
		all = append(all, c)
	}
	return all, rows.Err()
}

// classOf maps DATA_TYPE of information_schema.COLUMNS.
func classOf(dataType string) valueClass {
	switch dataType {
	case "decimal":
		return classDecimal
	case "float", "double":
		return classFloat
	case "bit":
		return classBits
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "geometry", "point", "linestring", "polygon",
		"multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return classBinary
	}
	return classOther
}
