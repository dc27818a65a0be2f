package dbdump

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// What is reported is the earliest failure, but never a deadlock that another
// failure explains, in whatever order they come.
func TestPoolReportsTheCause(t *testing.T) {
	im := &importer{in: &Instance{}}
	failure := func(n uint16, statement int64) error {
		o := order{section: Section{Kind: SectionData, Name: "t"}, number: statement, sql: "INSERT INTO `t` VALUES (1)"}
		return im.statementFailed(o, fmt.Errorf("execute: %w", &mysql.MySQLError{Number: n, Message: "m"}))
	}
	const duplicate = 1062
	type failed struct {
		number    uint16
		statement int64
	}
	for _, c := range []struct {
		come []failed
		want failed
	}{
		{[]failed{{duplicate, 9}, {duplicate, 4}}, failed{duplicate, 4}},
		{[]failed{{duplicate, 4}, {duplicate, 9}}, failed{duplicate, 4}},
		{[]failed{{errDeadlock, 4}, {duplicate, 9}}, failed{duplicate, 9}},
		{[]failed{{duplicate, 9}, {errDeadlock, 4}}, failed{duplicate, 9}},
		{[]failed{{errDeadlock, 9}, {errDeadlock, 4}}, failed{errDeadlock, 4}},
		{[]failed{{errDeadlock, 4}, {duplicate, 9}, {duplicate, 7}}, failed{duplicate, 7}},
	} {
		p := &pool{im: im}
		for _, f := range c.come {
			p.note(f.statement, failure(f.number, f.statement))
		}
		var me *mysql.MySQLError
		if !errors.As(p.err(), &me) || me.Number != c.want.number || !strings.Contains(p.err().Error(), fmt.Sprintf("statement %d:", c.want.statement)) {
			t.Errorf("of %v: %v", c.come, p.err())
		}
	}
	var e *Error
	if err := failure(errDeadlock, 1); !errors.As(err, &e) || e.Kind != KindStatement || e.Hint != hintDeadlock {
		t.Errorf("a deadlock: %+v", e)
	}
}
