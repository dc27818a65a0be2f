package dbdump

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every value of the key is in exactly one range.
func TestKeyRangesCoverAll(t *testing.T) {
	for _, tt := range [][3]int64{
		{1, 1000, 4}, {0, 0, 2}, {-500, 500, 3}, {math.MinInt64, math.MaxInt64, 7}, {math.MaxInt64 - 5, math.MaxInt64, 2}, {5, 6, 100}, {1, 1 << 40, 50},
	} {
		ranges := keyRanges("k`", tt[0], tt[1], tt[2])
		if len(ranges) > int(4*tt[2])+2 {
			t.Errorf("%v: %d ranges", tt, len(ranges))
		}
		var last *int64
		for i, r := range ranges {
			var from, to int64
			switch n, _ := fmt.Sscanf(strings.ReplaceAll(r, "`k```", "k"), "k >= %d AND k < %d", &from, &to); {
			case i == 0 && len(ranges) == 1:
				if r != "" {
					t.Errorf("%v: %q", tt, r)
				}
			case i == 0:
				if _, err := fmt.Sscanf(strings.ReplaceAll(r, "`k```", "k"), "k < %d", &to); err != nil {
					t.Errorf("%v: %q", tt, r)
				}
				last = &to
			case n < 1 || from != *last || n == 1 != (i == len(ranges)-1) || n == 2 && to <= from:
				t.Errorf("%v: range %d is %q behind %d", tt, i, r, *last)
			default:
				last = &to
			}
		}
	}
	if diff := cmp.Diff([]string{"`a` < 512", "`a` >= 512"}, keyRanges("a", 1, 1000, 3)); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(keyRanges("a", 1, 1000, 3), keyRanges("a", 7, 1010, 3)) {
		t.Error("the ranges move with the rows")
	}
}

// A table that was just filled may be said to be empty: its keys tell.
func TestRangeCount(t *testing.T) {
	for _, tt := range []struct {
		name  string
		bytes int64
		width uint64
		want  int64
	}{
		{"small", 16 << 10, 500, 1},
		{"large rows", 200 << 20, 500, 50},
		{"statistics of an empty table", 16 << 10, 1_000_000, 30},
		{"keys that lie far apart", 16 << 10, 1 << 62, rangesByKey},
		{"all keys there are", 0, math.MaxUint64, rangesByKey},
		{"both", 400 << 20, 1 << 20, 100},
	} {
		if got := rangeCount(tt.bytes, tt.width); got != tt.want {
			t.Errorf("%s: %d ranges, want %d", tt.name, got, tt.want)
		}
	}
}

func TestVersionedDefinitions(t *testing.T) {
	view := versionedView("CREATE ALGORITHM=MERGE DEFINER=`a VIEW`@`%` SQL SECURITY DEFINER VIEW `v` AS select 'VIEW' WITH LOCAL CHECK OPTION")
	want := "/*!50001 CREATE ALGORITHM=MERGE */\n/*!50013 DEFINER=`a VIEW`@`%` SQL SECURITY DEFINER */\n/*!50001 VIEW `v` AS select 'VIEW' */\n/*!50002 WITH LOCAL CHECK OPTION */"
	if view != want {
		t.Error(view)
	}
	o := stored{create: "CREATE DEFINER=\"a\"@\"b\" TRIGGER \"t\" BEFORE INSERT ON \"x\" FOR EACH ROW SET @a='DEFINER=`c`@`d` '", sqlMode: "ANSI_QUOTES"}
	want = "/*!50003 CREATE*/ /*!50017 DEFINER=\"a\"@\"b\"*/ /*!50003 TRIGGER \"t\" BEFORE INSERT ON \"x\" FOR EACH ROW SET @a='DEFINER=`c`@`d` ' \n*/"
	if got := o.versioned("50003", "50017"); got != want {
		t.Error(got)
	}
	if got := (stored{create: "CREATE EVENT e DO SELECT 1"}).versioned("50106", "50117"); got != "/*!50106 CREATE EVENT e DO SELECT 1 \n*/" {
		t.Error(got)
	}
}
