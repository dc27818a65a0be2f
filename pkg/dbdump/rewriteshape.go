package dbdump

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// tableShape is what a rewriting has to know of a table.
type tableShape struct {
	name     string
	values   []shapeColumn // that may be rewritten
	key      []shapeColumn // that a row is known by; empty: there is none
	stamps   []string      // columns that the server sets when a row is changed
	triggers bool          // something happens when a row is changed
}

type shapeColumn struct {
	name          string
	bytes, number bool
}

func newShapeColumn(name, kind string) shapeColumn {
	return shapeColumn{name, kind == "binary" || slices.Contains(byteTypes, kind), slices.Contains(numberTypes, kind)}
}

// textTypes and byteTypes are the types of columns, as DATA_TYPE of
// information_schema.COLUMNS has them, that hold what programs write.
var (
	textTypes   = []string{"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "json"}
	byteTypes   = []string{"varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
	numberTypes = []string{"tinyint", "smallint", "mediumint", "int", "bigint", "year", "decimal"}
)

// shapes looks at all tables of a database.
func (in *Instance) shapes(ctx context.Context, database string) (map[string]*tableShape, error) {
	s := shaper{tables: map[string]*tableShape{}, types: map[[2]string]string{}, fixed: map[[2]string]bool{}}
	for _, look := range []func(context.Context, *Instance, string) error{s.fixedColumns, s.columns, s.keys, s.triggers} {
		if err := look(ctx, in, database); err != nil {
			return nil, err
		}
	}
	for name, t := range s.tables {
		t.values = slices.DeleteFunc(t.values, func(c shapeColumn) bool { return s.fixed[[2]string{name, c.name}] })
	}
	return s.tables, nil
}

// shaper collects shapes. Columns are named by table and name.
type shaper struct {
	tables map[string]*tableShape
	types  map[[2]string]string
	fixed  map[[2]string]bool // stay as they are
}

// fixedColumns are those that foreign keys bind, on both sides.
func (s *shaper) fixedColumns(ctx context.Context, in *Instance, database string) error {
	return in.each(ctx, 4, func(v []string) {
		s.fixed[[2]string{v[0], v[1]}], s.fixed[[2]string{v[2], v[3]}] = true, true
	}, `SELECT TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
		FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = ? AND REFERENCED_TABLE_NAME IS NOT NULL`, database)
}

func (s *shaper) columns(ctx context.Context, in *Instance, database string) error {
	return in.each(ctx, 5, func(v []string) {
		table, name, kind := v[0], v[1], v[2]
		t := s.tables[table]
		if t == nil {
			t = &tableShape{name: table}
			s.tables[table] = t
		}
		s.types[[2]string{table, name}] = kind
		switch {
		case v[4] != "": // generated
		case strings.Contains(strings.ToLower(v[3]), "on update"):
			t.stamps = append(t.stamps, name)
		case slices.Contains(textTypes, kind), slices.Contains(byteTypes, kind):
			t.values = append(t.values, newShapeColumn(name, kind))
		}
	}, `SELECT TABLE_NAME, COLUMN_NAME, LOWER(DATA_TYPE), COALESCE(EXTRA, ''), COALESCE(GENERATION_EXPRESSION, '')
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION`, database)
}

// keys finds for each table the primary key, or else a unique one without NULLs. Floating numbers are no key, since what
// is read is not always what is there, and neither is an ENUM, which is sorted by another order than it is compared.
func (s *shaper) keys(ctx context.Context, in *Instance, database string) error {
	type index struct {
		columns  []shapeColumn
		unusable bool
	}
	found := map[[2]string]*index{}
	var order [][2]string
	err := in.each(ctx, 4, func(v []string) {
		id := [2]string{v[0], v[1]}
		if found[id] == nil {
			found[id] = &index{}
			order = append(order, id)
		}
		kind := s.types[[2]string{v[0], v[2]}]
		found[id].columns = append(found[id].columns, newShapeColumn(v[2], kind))
		found[id].unusable = found[id].unusable || v[3] == "YES" || v[2] == "" || !keyType(kind)
	}, `SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME, NULLABLE FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = ? AND NON_UNIQUE = 0 ORDER BY TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX`, database)
	for _, id := range order {
		if t := s.tables[id[0]]; t != nil && len(t.key) == 0 && !found[id].unusable {
			t.key = found[id].columns
			for _, c := range t.key {
				s.fixed[[2]string{id[0], c.name}] = true
			}
		}
	}
	return err
}

func keyType(kind string) bool {
	return slices.Contains(numberTypes, kind) || slices.Contains(textTypes, kind) || slices.Contains(byteTypes, kind) ||
		slices.Contains([]string{"binary", "date", "datetime", "timestamp", "time"}, kind)
}

func (s *shaper) triggers(ctx context.Context, in *Instance, database string) error {
	return in.each(ctx, 1, func(v []string) {
		if t := s.tables[v[0]]; t != nil {
			t.triggers = true
		}
	}, `SELECT EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_MANIPULATION = 'UPDATE'`, database)
}

// refusal says why the table cannot be rewritten; empty: it can.
func (t *tableShape) refusal() string {
	switch {
	case t.triggers:
		return "it has triggers that act on a change"
	case len(t.key) == 0:
		return "it has no primary key and no unique one"
	}
	return ""
}

// filter is true for rows that hold a needle.
func (t *tableShape) filter(needles []string) (where string, args []any) {
	var terms []string
	for _, c := range t.values {
		for _, n := range needles {
			terms = append(terms, "LOCATE(?, "+QuoteIdent(c.name)+") > 0")
			args = append(args, n)
		}
	}
	return "(" + strings.Join(terms, " OR ") + ")", args
}

// page selects rows that hold a needle, in the order of the key, behind one.
func (t *tableShape) page(needles []string, after [][]byte) (query string, args []any) {
	names := make([]string, 0, len(t.key)+len(t.values))
	for _, c := range append(slices.Clone(t.key), t.values...) {
		names = append(names, QuoteIdent(c.name))
	}
	where, args := t.filter(needles)
	if after != nil {
		behind, more := t.behind(after)
		where, args = where+" AND ("+behind+")", append(args, more...)
	}
	return fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %d",
		strings.Join(names, ", "), QuoteIdent(t.name), where, strings.Join(names[:len(t.key)], ", "), rewriteRows), args
}

// behind is true for rows behind a key: a > 1 OR a = 1 AND b > 2, which servers look up in the index, and (a, b) > (1, 2) not.
func (t *tableShape) behind(after [][]byte) (where string, args []any) {
	var terms []string
	for i, c := range t.key {
		term, more := (&tableShape{key: t.key[:i]}).is(after[:i])
		place, arg := c.compared(after[i])
		if term != "" {
			term += " AND "
		}
		terms = append(terms, term+QuoteIdent(c.name)+" > "+place)
		args = append(append(args, more...), arg...)
	}
	return strings.Join(terms, " OR "), args
}

// is is true for the row of a key.
func (t *tableShape) is(key [][]byte) (where string, args []any) {
	var terms []string
	for i, c := range t.key {
		place, arg := c.compared(key[i])
		terms = append(terms, QuoteIdent(c.name)+" = "+place)
		args = append(args, arg...)
	}
	return strings.Join(terms, " AND "), args
}

// compared is how a value of the column stands in a comparison. A number stands there as it is: as a text it would be
// compared as a floating one.
func (c shapeColumn) compared(value []byte) (place string, arg []any) {
	if _, err := strconv.ParseFloat(string(value), 64); c.number && err == nil {
		return string(value), nil
	}
	return "?", []any{c.arg(string(value))}
}

// arg hands a value over as what the column holds.
func (c shapeColumn) arg(value string) any {
	if c.bytes {
		return []byte(value)
	}
	return value
}
