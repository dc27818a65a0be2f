package dbdump

import (
	"context"
	"strings"
)

// leastDeferred is how long the first INSERT of a table is, in bytes, for its
// keys to be added after its rows. mysqldump's statements are just under 1 MiB
// (net_buffer_length) where there are rows enough for more than one.
const leastDeferred = 512 << 10

// deferredKeys are the secondary keys that a table gets after its rows: sorted
// once, not row by row. Both fields are the clauses of an ALTER TABLE, or empty.
type deferredKeys struct{ drop, add string }

// createTable is what matters here of a SHOW CREATE TABLE, which has a line
// for each column and key (show_create_table in sql/sql_show.cc).
type createTable struct {
	engine    string
	keys      []string // KEY `name` (...) ..., without comma: neither unique, FULLTEXT nor SPATIAL
	primary   bool
	fulltext  bool
	special   bool // partitions, foreign keys, SPATIAL keys
	versioned bool
}

func parseCreateTable(text string) createTable {
	var d createTable
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, ") ENGINE="):
			d.engine, _, _ = strings.Cut(line[len(") ENGINE="):], " ")
		case strings.HasPrefix(line, "  PRIMARY KEY ("):
			d.primary = true
		case strings.HasPrefix(line, "  KEY `"):
			d.keys = append(d.keys, strings.TrimSuffix(line[2:], ","))
		case strings.HasPrefix(line, "  FULLTEXT KEY "):
			d.fulltext = true
		case strings.HasPrefix(line, "  SPATIAL KEY "), strings.Contains(line, " FOREIGN KEY ("), strings.Contains(line, "PARTITION BY"):
			d.special = true
		}
		d.versioned = d.versioned || strings.Contains(line, "SYSTEM VERSIONING") || strings.Contains(line, "PERIOD FOR SYSTEM_TIME")
	}
	return d
}

// deferKeys drops the secondary keys of an empty table of ours, if adding them
// again gives the same table. That is tried before there are rows.
func (im *importer) deferKeys(ctx context.Context, table, create string, def createTable) (deferredKeys, error) {
	if len(def.keys) == 0 || def.special {
		return deferredKeys{}, nil
	}
	if referenced, err := im.referenced(ctx, table); err != nil || referenced {
		return deferredKeys{}, err
	}
	k := keyClauses(table, def.keys)
	if _, err := im.main.conn.ExecContext(ctx, k.drop); err != nil {
		return deferredKeys{}, nil //nolint:nilerr // AUTO_INCREMENT may need one of them; nothing was changed
	}
	var name, after string
	_, err := im.main.conn.ExecContext(ctx, k.add)
	if err == nil {
		err = im.main.conn.QueryRowContext(ctx, "SHOW CREATE TABLE "+QuoteIdent(table)).Scan(&name, &after)
	}
	again := []string{k.drop}
	if err != nil || after != create {
		again = []string{"DROP TABLE " + QuoteIdent(table), create}
		k = deferredKeys{}
	}
	for _, q := range again {
		if _, err := im.main.conn.ExecContext(ctx, q); err != nil {
			return k, fail(opImport, im.subject(Section{Kind: SectionStructure, Name: table}), err)
		}
	}
	return k, nil
}

func keyClauses(table string, keys []string) deferredKeys {
	var drop []string
	for _, k := range keys {
		drop = append(drop, "DROP KEY "+QuoteIdent(quotedName([]byte(strings.TrimPrefix(k, "KEY ")))))
	}
	alter := "ALTER TABLE " + QuoteIdent(table) + " "
	return deferredKeys{drop: alter + strings.Join(drop, ", "), add: alter + "ADD " + strings.Join(keys, ", ADD ")}
}

// referenced reports whether a foreign key of another table needs this one's keys.
func (im *importer) referenced(ctx context.Context, table string) (bool, error) {
	if !im.references {
		return false, nil
	}
	var n int
	err := im.main.conn.QueryRowContext(ctx, `SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS
		WHERE CONSTRAINT_SCHEMA = ? AND REFERENCED_TABLE_NAME = ?`, im.o.Database, table).Scan(&n)
	return n > 0, err
}

// addKeys gives a table its keys after its rows.
func (s *session) addKeys(ctx context.Context, p *tablePlan) error {
	o := order{section: Section{Kind: SectionStructure, Name: p.table}, sql: p.keys.add}
	s.unprepare()
	return s.exec(ctx, o)
}
