//go:build integration

package dbdump

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var viewNames = []string{"a`bove", "ünder", "new", "Checked"}

// newViewBed has views in the live database, and a dump of others of the same names, which use a column that
// only the restored table has, and each other the other way round.
func newViewBed(t *testing.T, name string, engine Engine) *exchangeBed {
	t.Helper()
	b := newExchangeBed(t, name)
	b.Tables = nil
	from := "from_" + name
	b.m.fresh(t, from, "utf8mb4")
	b.m.exec(t, "CREATE OR REPLACE USER 'some''one'@'%' IDENTIFIED BY 'x'", "GRANT ALL ON `"+b.Live+"`.* TO 'some''one'@'%'")
	t.Cleanup(func() { b.m.exec(t, "DROP USER 'some''one'@'%'") })
	for _, q := range []string{
		"DEFINER='some''one'@'%%' VIEW `%[1]s`.`ünder` AS SELECT id, 'was' AS w FROM `%[1]s`.`po``sts`",
		"ALGORITHM=MERGE DEFINER='some''one'@'%%' VIEW `%[1]s`.`a``bove` AS SELECT w FROM `%[1]s`.`ünder`",
		"DEFINER='some''one'@'%%' SQL SECURITY INVOKER VIEW `%[1]s`.Checked AS SELECT id FROM `%[1]s`.`po``sts` WHERE id > 0",
	} {
		b.m.exec(t, fmt.Sprintf("CREATE "+q, b.Live))
	}
	b.m.exec(t, fmt.Sprintf("ALTER TABLE `%s`.`po``sts` ADD n INT DEFAULT 7", b.Scratch),
		fmt.Sprintf("CREATE TABLE `%s`.`po``sts` LIKE `%s`.`po``sts`", from, b.Scratch))
	b.m.load(t, from, writeTemp(t, "SET NAMES latin1;\n"+
		"CREATE ALGORITHM=TEMPTABLE VIEW `a``bove` AS SELECT id, n, 'DEFINER=`x`@`y` VIEW */ \xe9' AS `d;` FROM `po``sts`;\n"+
		"SET NAMES utf8mb4;\n"+
		"CREATE VIEW `ünder` AS SELECT n FROM `a``bove`;\n"+
		"CREATE VIEW new AS SELECT n AS `né` FROM `ünder`;\n"+
		"CREATE SQL SECURITY INVOKER VIEW Checked AS SELECT id FROM `po``sts` WHERE id > 5 WITH CASCADED CHECK OPTION;\n"))
	b.prepare("po`sts")
	sink, _ := dumped(t, b.in, DumpOptions{Database: from, Engine: engine})
	b.prepareViews(sink.Bytes())
	return b
}

// prepareViews notes what the master notes.
func (b *exchangeBed) prepareViews(dump []byte) {
	b.t.Helper()
	views, err := ReadViews(bytes.NewReader(dump))
	must(b.t, err)
	live, err := b.in.InspectTables(b.t.Context(), b.Live, viewNames)
	must(b.t, err)
	for i, name := range viewNames {
		if views[name] == nil || live[i].Broken != "" || (live[i].View == nil) != (name == "new") {
			b.t.Fatalf("%s: %v, live %+v", name, views[name], live[i])
		}
		b.Tables = append(b.Tables, TableSwap{Name: name, OldView: live[i].View, NewView: views[name]})
	}
}

// whole describes the live database and all that belongs to its views.
func (b *exchangeBed) whole() string {
	b.t.Helper()
	definers, err := b.in.column(b.t.Context(), "SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME", b.Live)
	must(b.t, err)
	return b.state() + "\n" + b.views(b.Live) + "\n" + strings.Join(definers, " ")
}

// views describes the views of a database in full.
func (b *exchangeBed) views(database string) string {
	b.t.Helper()
	var out []string
	must(b.t, b.in.each(b.t.Context(), 8, func(v []string) { out = append(out, strings.ReplaceAll(strings.Join(v, " "), "`"+database+"`.", "")) },
		`SELECT TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION, SECURITY_TYPE, ALGORITHM, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, IS_UPDATABLE
		FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? ORDER BY 1`, database))
	return strings.Join(out, "\n")
}

// TestExchangeViews puts views out of the dumps of both engines in place of others, with the table they use, and takes it
// back, each twice.
func TestExchangeViews(t *testing.T) {
	for _, engine := range []Engine{EngineNative, EngineClient} {
		t.Run(string(engine), func(t *testing.T) {
			b := newViewBed(t, "views", engine)
			before := b.whole()
			for range 2 {
				must(t, b.exchange(false))
				if got, want := b.views(b.Live), b.views("from_views"); got != want {
					t.Errorf("the views are\n%s\nin place of\n%s", got, want)
				}
			}
			b.runAs(map[string]string{"a`bove": "some'one@%", "ünder": "some'one@%", "Checked": "some'one@%", "new": b.User + "@10.0.0.1"})
			if got, err := b.in.column(t.Context(), "SELECT `d;` FROM live_views.`a``bove`"); err != nil || !slices.Equal(got, []string{"DEFINER=`x`@`y` VIEW */ é"}) {
				t.Errorf("rows %q, %v", got, err)
			}
			for range 2 {
				must(t, b.exchange(true))
				if now := b.whole(); now != before {
					t.Errorf("taken back, it is\n%s\nin place of\n%s", now, before)
				}
			}
		})
	}
}

func (b *exchangeBed) runAs(want map[string]string) {
	b.t.Helper()
	must(b.t, b.in.each(b.t.Context(), 2, func(v []string) {
		if want[v[0]] != v[1] {
			b.t.Errorf("%s runs as %s", v[0], v[1])
		}
	}, "SELECT TABLE_NAME, DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ?", b.Live))
}

// TestExchangeViewsBrokenOff begins after each of the statements that replace views, and ends the same.
func TestExchangeViewsBrokenOff(t *testing.T) {
	b := newViewBed(t, "half", EngineNative)
	before := b.whole()
	must(t, b.exchange(false))
	after := b.whole()
	must(t, b.exchange(true))
	all := b.Tables
	for n := range all {
		for _, back := range []bool{false, true} {
			b.Tables = slices.Concat(all[:1], all[len(all)-n:])
			if err := b.exchange(false); err != nil && n == len(all)-1 { // fewer may lack one that they use
				t.Fatal(err)
			}
			b.Tables = all
			must(t, b.exchange(back))
			if now, want := b.whole(), map[bool]string{false: after, true: before}[back]; now != want {
				t.Fatalf("after %d views, back %v, it is\n%s\nin place of\n%s", n, back, now, want)
			}
			must(t, b.exchange(true))
			if now := b.whole(); now != before {
				t.Fatalf("after %d views, taken back, it is\n%s", n, now)
			}
		}
	}
}

// TestExchangeViewThatCannotBeMade names the view, and everything can be taken back.
func TestExchangeViewThatCannotBeMade(t *testing.T) {
	b := newViewBed(t, "cannot", EngineNative)
	before := b.whole()
	good := b.Tables[2].NewView
	for body, kind := range map[string]Kind{ // KindOther: any
		"`ünder` AS SELECT nothing FROM `po``sts`":               KindOther,
		"`other`.`ünder` AS SELECT 1":                            KindInvalid,
		"`another` AS SELECT 1":                                  KindInvalid,
		"`ünder` AS SELECT 1 INTO OUTFILE '/tmp/sitekeep-never'": KindInvalid,
		"`ünder` AS SELECT 1; DROP TABLE child":                  KindOther,
	} {
		bad := *good
		bad.Body = []byte(body)
		b.Tables[2].NewView = &bad
		if err := b.exchange(false); err == nil || kind != KindOther && KindOf(err) != kind || !strings.Contains(err.Error(), "ünder") {
			t.Errorf("%s: %v", body, err)
		}
		must(t, b.exchange(true))
		if now := b.whole(); now != before {
			t.Errorf("%s: taken back, it is\n%s\nin place of\n%s", body, now, before)
		}
	}
	b.m.exec(t, "DROP USER '"+b.User+"'@'10.0.0.1'")
	b.Tables[2].NewView = good
	if err := b.exchange(false); KindOf(err) != KindInvalid || HintOf(err) == "" || b.whole() != before {
		t.Errorf("a new view without an account: %v", err)
	}
	b.m.exec(t, "CREATE USER '"+b.User+"'@'10.0.0.1'")
}

// TestExchangeViewThatNeedsMore: what a view needs and will not have is found before anything is changed, and what stays
// live counts: a table, a view, an invisible column.
func TestExchangeViewThatNeedsMore(t *testing.T) {
	b := newViewBed(t, "needs", EngineNative)
	b.m.exec(t, "CREATE TABLE live_needs.stays (id INT, hidden INT INVISIBLE DEFAULT 1)", "CREATE VIEW live_needs.Stays2 AS SELECT id AS i FROM live_needs.stays")
	before, scratch := b.whole(), b.views(b.Scratch)
	good := b.Tables[2].NewView
	for body, missing := range map[string]string{
		"`ünder` AS SELECT `gone` FROM `po``sts`":                                            "gone",
		"`ünder` AS SELECT `n`, `w` FROM `po``sts` JOIN `stays`":                             "'w'",
		"`ünder` AS SELECT `n` FROM `nowhere`":                                               "nowhere",
		"`ünder` AS SELECT p.`n`, i, hidden FROM `po``sts` p JOIN `stays` s JOIN `Stays2` z": "",
	} {
		needs := *good
		needs.Body = []byte(body)
		b.Tables[2].NewView = &needs
		err := b.exchange(false)
		if missing == "" {
			must(t, err)
			must(t, b.exchange(true))
		} else if KindOf(err) != KindInvalid || HintOf(err) != hintViewNeeds || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), "ünder") {
			t.Errorf("%s: %v", body, err)
		}
		if now := b.whole(); now != before {
			t.Errorf("%s: it is\n%s\nin place of\n%s", body, now, before)
		}
		if now := b.views(b.Scratch); now != scratch {
			t.Errorf("%s: in the scratch database there is %s", body, now)
		}
	}
}

// TestInspectBrokenViews: one whose table is gone could not be made again.
func TestInspectBrokenViews(t *testing.T) {
	m := bed(t)
	in := m.open(t, m.server(), Options{})
	m.fresh(t, "brokenviews", "utf8mb4")
	m.exec(t, "CREATE TABLE brokenviews.t (a INT, b INT)", "CREATE VIEW brokenviews.v AS SELECT a FROM brokenviews.t", "CREATE VIEW brokenviews.w AS SELECT b FROM brokenviews.t",
		"ALTER TABLE brokenviews.t DROP a")
	got, err := in.InspectTables(t.Context(), "brokenviews", []string{"v", "w", "t", "none"})
	must(t, err)
	if got[0].Broken == "" || got[0].Kind != "view" || got[1].Broken != "" || got[1].View == nil || got[2].View != nil || got[3].View != nil {
		t.Errorf("%+v", got)
	}
}

func writeTemp(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.sql")
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
