package dbdump

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

const (
	// rangeBytes is about how much of a table, as the server stores it, one
	// connection reads at a time. Up to twice as much may come, see keyRanges.
	rangeBytes = 4 << 20
	// rangeKeys is how many values of a key are worth a range of their own,
	// whatever the server takes the table's size for: a table that was just
	// filled may have the statistics of an empty one. There are no more than
	// rangesByKey such ranges, because keys may lie far apart.
	rangeKeys   = 32 << 10
	rangesByKey = 64
)

// plan lists the parts of the dump in its order.
func (n *native) plan(ctx context.Context, l *link) ([]*part, error) {
	triggers, err := n.triggers(ctx, l)
	if err != nil {
		return nil, fail(opDump, n.dump.o.Database, err)
	}
	parts := []*part{n.fixed(n.headScript()), n.sequences()}
	var views []*part
	for _, t := range n.dump.info.Tables {
		switch {
		case t.Broken != "":
		case t.Type == "VIEW":
			parts = append(parts, &part{subject: t.Name, read: n.viewPlaceholder(t.Name)})
			views = append(views, &part{subject: t.Name, read: n.viewFinal(t.Name)})
		case n.tables[t.Name] != nil:
			more, err := n.tableParts(ctx, l, n.tables[t.Name], triggers[t.Name])
			if err != nil {
				return nil, n.tableError(t.Name, err)
			}
			parts = append(parts, more...)
		}
	}
	parts = append(parts, &part{read: n.events}, &part{read: n.routines})
	return append(append(parts, views...), n.fixed(n.tailScript())), nil
}

// fixed is a part that needs no server.
func (n *native) fixed(s *script) *part {
	return &part{read: func(_ context.Context, _ *link, w *partWriter) error { return s.send(w) }}
}

// triggersByTable lists all triggers in the order in which they fire. A trigger's database is its table's; MariaDB looks
// into that one alone only when it is named so.
const triggersByTable = `SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE()
	ORDER BY EVENT_OBJECT_TABLE, FIELD(EVENT_MANIPULATION, 'INSERT', 'UPDATE', 'DELETE'), FIELD(ACTION_TIMING, 'BEFORE', 'AFTER'), ACTION_ORDER`

// triggers returns the names of all triggers in the order in which they fire, by table.
func (n *native) triggers(ctx context.Context, l *link) (map[string][]string, error) {
	rows, err := l.rows(ctx, triggersByTable)
	if err != nil {
		return nil, err
	}
	names := map[string][]string{}
	for _, r := range rows {
		names[r[0]] = append(names[r[0]], r[1])
	}
	return names, nil
}

// tableParts returns the parts of a table: one, or one for each range of its
// key. The first begins with its structure, the last ends with its triggers.
func (n *native) tableParts(ctx context.Context, l *link, t *table, triggers []string) ([]*part, error) {
	if n.dump.o.structureOnly(t.info.Name) {
		return []*part{{subject: t.info.Name, read: func(ctx context.Context, l *link, w *partWriter) error {
			return errors.Join(n.structure(ctx, l, w, t), n.triggersOf(ctx, l, w, triggers))
		}}}, nil
	}
	ranges, err := n.ranges(ctx, l, t)
	if err != nil {
		return nil, err
	}
	var parts []*part
	for i, where := range ranges {
		first, last := i == 0, i == len(ranges)-1
		parts = append(parts, &part{subject: t.info.Name, read: func(ctx context.Context, l *link, w *partWriter) error {
			return n.tablePart(ctx, l, w, t, where, first, last, triggers)
		}})
	}
	return parts, nil
}

func (n *native) tablePart(ctx context.Context, l *link, w *partWriter, t *table, where string, first, last bool, triggers []string) error {
	if first {
		if err := n.structure(ctx, l, w, t); err != nil {
			return err
		}
		if err := n.beforeRows(t).send(w); err != nil {
			return err
		}
	}
	err := w.readRows(ctx, l, t, n.selectRows(l, t, where))
	if err != nil {
		if err = n.spare(w, t.info.Name, err); err != nil {
			return err
		}
	}
	if !last {
		return nil
	}
	if err := n.afterRows(t).send(w); err != nil {
		return err
	}
	return n.triggersOf(ctx, l, w, triggers)
}

// ranges returns the conditions whose rows together are the table's. Their
// borders are multiples of a power of two, so that they stay where they are
// while the table grows.
func (n *native) ranges(ctx context.Context, l *link, t *table) ([]string, error) {
	if t.textKey && !t.history {
		return n.textRanges(ctx, l, t)
	}
	if t.key == "" || t.textKey || t.history || max(t.info.Bytes/rangeBytes, t.info.AutoIncrement/rangeKeys) < 2 {
		return []string{""}, nil
	}
	k := QuoteIdent(t.key)
	var rows [][]string
	err := l.within(ctx, func() (err error) {
		rows, err = l.rows(ctx, fmt.Sprintf("SELECT MIN(%s), MAX(%s) FROM %s", k, k, QuoteIdent(t.info.Name)))
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, errMalformed
	}
	low, err1 := strconv.ParseInt(rows[0][0], 10, 64)
	high, err2 := strconv.ParseInt(rows[0][1], 10, 64)
	if err1 != nil || err2 != nil { // empty, or beyond 63 bits
		return []string{""}, nil
	}
	return keyRanges(t.key, low, high, rangeCount(t.info.Bytes, uint64(high)-uint64(low))), nil
}

// rangeCount returns about how many ranges a table of so many bytes, by the
// server's estimate, is cut into, whose keys are so far apart.
func rangeCount(bytes int64, width uint64) int64 {
	return max(bytes/rangeBytes, int64(min(width/rangeKeys, rangesByKey)), 1)
}

// keyRanges cuts all values of a key into about count ranges, of which the first
// and the last are open.
func keyRanges(key string, low, high, count int64) []string {
	width := uint64(high) - uint64(low)
	step := uint64(1) << min(bits.Len64(width/uint64(count)), 62)
	var ranges []string
	from := ""
	for border := low &^ int64(step-1); ; {
		next := border + int64(step)
		if next < border || next > high {
			return append(ranges, rangeOf(key, from, ""))
		}
		to := strconv.FormatInt(next, 10)
		ranges = append(ranges, rangeOf(key, from, to))
		from, border = to, next
	}
}

// rangeOf is the condition for a key from one literal up to, not with, another; "" stands for no border.
func rangeOf(key, from, to string) string {
	k := QuoteIdent(key)
	var both []string
	if from != "" {
		both = append(both, k+" >= "+from)
	}
	if to != "" {
		both = append(both, k+" < "+to)
	}
	return strings.Join(both, " AND ")
}

// within runs f and lets go of the tables that it used: a transaction keeps them
// from being altered until it ends, and whoever wants to alter one keeps
// everybody else from it.
func (l *link) within(ctx context.Context, f func() error) error {
	if err := l.exec(ctx, "SAVEPOINT sp"); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return l.exec(ctx, "ROLLBACK TO SAVEPOINT sp")
}

// readPart reads one part over one connection.
func (n *native) readPart(ctx context.Context, p *part, l *link, w *partWriter) error {
	err := l.within(ctx, func() error {
		err := p.read(ctx, l, w)
		if err == nil || p.subject == "" {
			return err
		}
		return n.spare(w, p.subject, err)
	})
	if err != nil && p.subject != "" && ctx.Err() == nil {
		return n.tableError(p.subject, err)
	}
	return err
}

// spare turns what the server said of one object into a warning if the dump is
// to take what can be read. The connection is as good as before.
func (n *native) spare(w *partWriter, subject string, err error) error {
	var me *mysql.MySQLError
	told := errors.As(err, &me) && classify(err).kind != KindUnreachable || KindOf(err) == KindPrivilege
	if !n.dump.o.Salvage || !told {
		return err
	}
	return w.send(batch{warning: &Warning{
		Code: WarnSkipped, Subject: subject, Message: "not or only partly in the dump: " + err.Error(),
	}})
}
