//go:build integration

package dbdump

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// exchangeBed has a live database and a scratch one with what was restored.
type exchangeBed struct {
	t  *testing.T
	m  *mariadb
	in *Instance
	ExchangeSpec
}

func newExchangeBed(t *testing.T, name string) *exchangeBed {
	t.Helper()
	m := bed(t)
	b := &exchangeBed{t: t, m: m, in: m.open(t, m.server(), Options{}), ExchangeSpec: ExchangeSpec{Live: "live_" + name, Scratch: "scratch_" + name, Kept: "kept_" + name, User: "site_" + name}}
	m.fresh(t, b.Live, "utf8mb4")
	m.fresh(t, b.Scratch, "utf8mb4")
	m.fresh(t, b.Kept, "utf8mb4")
	m.exec(t, "CREATE OR REPLACE USER '"+b.User+"'@'10.0.0.1' IDENTIFIED BY 'x'", "GRANT ALL ON `"+b.Live+"`.* TO '"+b.User+"'@'10.0.0.1'")
	t.Cleanup(func() { m.exec(t, "DROP USER '"+b.User+"'@'10.0.0.1'") })
	for _, db := range []string{b.Live, b.Scratch} {
		m.exec(t,
			fmt.Sprintf("CREATE TABLE `%s`.`po``sts` (id INT PRIMARY KEY, was TEXT)", db),
			fmt.Sprintf("INSERT INTO `%s`.`po``sts` VALUES (1, '%s')", db, db),
			fmt.Sprintf("CREATE TABLE `%s`.log (t TEXT)", db),
			fmt.Sprintf("CREATE TABLE `%s`.parent (id INT PRIMARY KEY)", db),
			fmt.Sprintf("CREATE TABLE `%s`.child (id INT PRIMARY KEY, p INT, CONSTRAINT ch FOREIGN KEY (p) REFERENCES parent (id))", db),
			fmt.Sprintf("INSERT INTO `%s`.parent VALUES (1)", db), fmt.Sprintf("INSERT INTO `%s`.child VALUES (1, 1)", db))
	}
	m.exec(t, fmt.Sprintf("CREATE TABLE `%s`.added (id INT)", b.Scratch),
		fmt.Sprintf("CREATE DEFINER='someone'@'%%' TRIGGER `%s`.old BEFORE INSERT ON `%s`.`po``sts` FOR EACH ROW SET NEW.was = 'old'", b.Live, b.Live),
		fmt.Sprintf("CREATE TRIGGER `%s`.tr BEFORE INSERT ON `%s`.`po``sts` FOR EACH ROW SET NEW.was = CONCAT('né', NEW.id)", b.Scratch, b.Scratch))
	b.prepare("po`sts", "parent", "child", "added")
	return b
}

// prepare notes what the master notes.
func (b *exchangeBed) prepare(names ...string) {
	b.t.Helper()
	live, err := b.in.InspectTables(b.t.Context(), b.Live, names)
	must(b.t, err)
	scratch, err := b.in.InspectTables(b.t.Context(), b.Scratch, names)
	must(b.t, err)
	for i, name := range names {
		b.Tables = append(b.Tables, TableSwap{
			Name: name, Existed: live[i].Kind != "", Old: live[i].Triggers, New: scratch[i].Triggers,
		})
	}
}

func (b *exchangeBed) exchange(back bool) error {
	spec := b.ExchangeSpec
	spec.Back = back
	return b.in.ExchangeTables(b.t.Context(), spec)
}

// state describes the live database in full, but its views.
func (b *exchangeBed) state() string {
	b.t.Helper()
	var out []string
	names, err := b.in.column(b.t.Context(), "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE <> 'VIEW' ORDER BY 1", b.Live)
	must(b.t, err)
	for _, name := range names {
		must(b.t, b.in.each(b.t.Context(), 2, func(v []string) { out = append(out, v[1]) }, "SHOW CREATE TABLE "+QuoteIdent(b.Live)+"."+QuoteIdent(name)))
		must(b.t, b.in.each(b.t.Context(), 2, func(v []string) { out = append(out, v[1]) }, "CHECKSUM TABLE "+QuoteIdent(b.Live)+"."+QuoteIdent(name)+" EXTENDED"))
	}
	details, err := b.in.InspectTables(b.t.Context(), b.Live, names)
	must(b.t, err)
	return strings.Join(append(out, fmt.Sprintf("%+v", details)), "\n")
}

// TestExchangeTables puts tables with triggers and foreign keys in place of others and takes it back, each twice.
func TestExchangeTables(t *testing.T) {
	b := newExchangeBed(t, "whole")
	before := b.state()
	var after string
	made := func() string {
		times, err := b.in.column(t.Context(), "SELECT CREATED FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?", b.Live)
		must(t, err)
		return strings.Join(times, " ")
	}
	var at string
	for i := range 2 {
		must(t, b.exchange(false))
		if i > 0 && made() != at {
			t.Error("repeated, it makes the triggers again, which visitors may need")
		}
		at = made()
		if now := b.state(); i > 0 && now != after {
			t.Errorf("repeated, it is\n%s\nin place of\n%s", now, after)
		} else {
			after = now
		}
	}
	for _, want := range []string{"`added`", "REFERENCES `parent`", "{Name:tr Timing:BEFORE Event:INSERT Statement:SET NEW.was = CONCAT('né', NEW.id)", "Definer:site_whole@10.0.0.1"} {
		if !strings.Contains(after, want) {
			t.Errorf("after it %q is missing:\n%s", want, after)
		}
	}
	if strings.Contains(after, "Name:old") || strings.Contains(after, "scratch_whole`") || strings.Contains(after, "kept_") {
		t.Errorf("after it there are still:\n%s", after)
	}
	b.m.exec(t, "INSERT INTO `live_whole`.child VALUES (2, 1)", "INSERT INTO `live_whole`.`po``sts` (id) VALUES (2)")
	if got, err := b.in.column(t.Context(), "SELECT was FROM live_whole.`po``sts` ORDER BY id"); err != nil || !slices.Equal(got, []string{"scratch_whole", "né2"}) {
		t.Errorf("rows %q, %v", got, err)
	}
	for i := range 2 {
		must(t, b.exchange(true))
		if i > 0 && made() != at {
			t.Error("taken back once more, it makes the triggers again")
		}
		at = made()
		if now := b.state(); now != before {
			t.Errorf("taken back, it is\n%s\nin place of\n%s", now, before)
		}
	}
}

// TestExchangeBrokenOff begins in every state that a crash on an old server may leave, and ends the same.
func TestExchangeBrokenOff(t *testing.T) {
	b := newExchangeBed(t, "broken")
	before := b.state()
	must(t, b.exchange(false))
	after := b.state()
	must(t, b.exchange(true))
	renames := []string{"`live_broken`.`po``sts` TO `kept_broken`.`po``sts`", "`scratch_broken`.`po``sts` TO `live_broken`.`po``sts`",
		"`live_broken`.parent TO `kept_broken`.parent", "`scratch_broken`.added TO `live_broken`.added"}
	for n := range len(renames) + 1 {
		for _, back := range []bool{false, true} {
			b.m.exec(t, "DROP TRIGGER IF EXISTS live_broken.old", "DROP TRIGGER IF EXISTS scratch_broken.tr")
			for _, r := range renames[:n] {
				b.m.exec(t, "RENAME TABLE "+r)
			}
			must(t, b.exchange(back))
			want := map[bool]string{false: after, true: before}[back]
			if now := b.state(); now != want {
				t.Fatalf("after %d renames, back %v, it is\n%s\nin place of\n%s", n, back, now, want)
			}
			must(t, b.exchange(true))
			if now := b.state(); now != before {
				t.Fatalf("after %d renames, taken back, it is\n%s\nin place of\n%s", n, now, before)
			}
		}
	}
	b.m.exec(t, "DROP DATABASE scratch_broken")
	must(t, b.exchange(true))
	if now := b.state(); now != before {
		t.Errorf("without the scratch database it is\n%s", now)
	}
	if err := b.exchange(false); KindOf(err) != KindInvalid || b.state() != before {
		t.Errorf("nothing to exchange with: %v", err)
	}
}

// TestExchangeNeedsAnAccountOfTheSite: a trigger out of a backup never runs as the administrator.
func TestExchangeNeedsAnAccountOfTheSite(t *testing.T) {
	b := newExchangeBed(t, "owner")
	before := b.state()
	for _, user := range []string{"", "root", "nobody_at_all"} {
		b.User = user
		if err := b.exchange(false); KindOf(err) != KindInvalid || HintOf(err) == "" || b.state() != before {
			t.Errorf("%q: %v", user, err)
		}
	}
	b.User = "site_owner" // for the cleanup
	if got, err := b.in.InspectTables(t.Context(), b.Live, []string{"child", "parent", "none"}); err != nil ||
		!slices.Equal(got[0].Related, []string{"parent"}) || !slices.Equal(got[1].Related, []string{"child"}) || got[2].Kind != "" {
		t.Errorf("relations: %+v, %v", got, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
