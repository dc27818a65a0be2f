package dbdump

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

const hintViewNeeds = "restore the tables and views that it needs too, or the whole database: --db-only; nothing was changed"

// rehearseViews makes the new views in the scratch database, where the new tables are, and stand-ins for what stays as it
// is: a view that needs what will not be there is refused before anything is changed. Other reasons why a view cannot be
// made, such as a function that the scratch database has not, are left to the exchange, which can be taken back.
func (x *exchange) rehearseViews() (err error) {
	var left []*TableSwap
	for i, t := range x.spec.Tables {
		if t.NewView != nil && checkView(t.NewView, t.NewView.create(""), t.Name) == nil {
			left = append(left, &x.spec.Tables[i])
		}
	}
	if x.spec.Back || len(left) == 0 {
		return nil
	}
	exists, err := x.in.column(x.ctx, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", x.spec.Scratch)
	if err != nil || len(exists) == 0 { // all is done
		return err
	}
	there, err := x.present(x.spec.Scratch)
	if err != nil {
		return err
	}
	if err := x.exec("USE %s", QuoteIdent(x.spec.Scratch)); err != nil {
		return err
	}
	made, err := x.standIns(left, there)
	defer func() {
		for _, t := range left {
			made = append(made, t.Name)
		}
		for _, name := range made {
			err = orFirst(err, x.exec("DROP VIEW IF EXISTS %s", x.name(x.spec.Scratch, name)))
		}
	}()
	if err != nil {
		return err
	}
	return x.tryViews(left)
}

// standIns makes, in the scratch database, a view of each live table and view that the new views name and that is not
// there. One that cannot be made is missing, as what it stands for would be of no use.
func (x *exchange) standIns(views []*TableSwap, there map[string]bool) (made []string, err error) {
	columns, err := x.liveColumns(views, there)
	for name, list := range columns {
		create := "CREATE OR REPLACE VIEW " + x.name(x.spec.Scratch, name) + " AS SELECT " + strings.Join(list, ", ") + " FROM " + x.name(x.spec.Live, name)
		if _, cerr := x.conn.ExecContext(x.ctx, create); cerr == nil {
			made = append(made, name)
		}
		if x.ctx.Err() != nil {
			return made, x.ctx.Err()
		}
	}
	return made, err
}

// liveColumns are the quoted columns, those that SELECT * leaves out too, of live tables and views that stay.
func (x *exchange) liveColumns(views []*TableSwap, there map[string]bool) (map[string][]string, error) {
	replaced := map[string]bool{}
	for _, t := range x.spec.Tables {
		replaced[t.Name] = t.isView()
	}
	columns := map[string][]string{}
	err := x.in.each(x.ctx, 2, func(v []string) {
		if !there[v[0]] && !replaced[v[0]] && named(views, v[0]) {
			columns[v[0]] = append(columns[v[0]], QuoteIdent(v[1]))
		}
	}, "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION", x.spec.Live)
	return columns, err
}

// named reports whether a view may name a table. Of one in another character set that cannot be told.
func named(views []*TableSwap, table string) bool {
	quoted := QuoteIdent(table)
	name := bytes.ToLower([]byte(quoted[1 : len(quoted)-1]))
	for _, t := range views {
		body := t.NewView.Body
		if !utf8.Valid(body) || bytes.Contains(bytes.ToLower(body), name) {
			return true
		}
	}
	return false
}

// tryViews makes views in the current database; one may need another.
func (x *exchange) tryViews(left []*TableSwap) error {
	for len(left) > 0 {
		var failed []*TableSwap
		var missing error
		for _, t := range left {
			err := x.createView(t.NewView, t.NewView.create(""))
			if err == nil {
				continue
			}
			failed = append(failed, t)
			if lacks(err) {
				missing = orFirst(missing, failAs(KindInvalid, opExchangeTables, t.Name, hintViewNeeds,
					"the view cannot be made over the restored tables and the live ones: %w", err))
			}
		}
		if len(failed) == len(left) {
			return missing
		}
		left = failed
	}
	return nil
}

// lacks reports whether a view needs a column (1054), a table (1146) or something of another view (1356) that is not there.
func lacks(err error) bool {
	return hasNumber(err, 1054) || hasNumber(err, 1146) || hasNumber(err, 1356)
}
