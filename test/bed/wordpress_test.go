//go:build integration

package bed_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/test/bed"
)

func TestWordPressServesAndIsTheSameTwice(t *testing.T) {
	b := bed.New(t)
	db := b.MariaDB("db1")
	web := b.Web("web1")
	began := time.Now()
	s := b.WordPress(web, db, "example.com")
	t.Logf("site after %s", time.Since(began))
	first := bed.Must(s.Fingerprint(t.Context()))(t)
	if first.Tree.Hash() == first.Tables.Hash() || len(first.Tree) < 1000 || len(first.Tables) < 30 {
		t.Fatalf("thin fingerprint: %d lines of tree, %d of tables", len(first.Tree), len(first.Tables))
	}
	if err := s.CheckPages(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := first.Diff(bed.Must(s.Fingerprint(t.Context()))(t)); d != "" {
		t.Errorf("a second look differs:\n%s", d)
	}
	t.Run("new credentials and salts apart", func(t *testing.T) { testConfigNormalised(t, s, first) })
	t.Run("every change is seen", func(t *testing.T) { testChangesAreSeen(t, s) })
	t.Run("wreck", func(t *testing.T) { testWreck(t, s, first) })
}

// testConfigNormalised changes the credentials: the fingerprint stays, unless
// something else in the file changes.
func testConfigNormalised(t *testing.T, s *bed.WordPress, before *bed.Fingerprint) {
	old := bed.Must(os.ReadFile(s.ConfigPath()))(t)
	config := bed.Must(s.ReadConfig())(t)
	if config["DB_PASSWORD"] != s.Password || config["DB_HOST"] != s.DB.Addr.String() {
		t.Fatalf("read %v from the settings", config)
	}
	write := func(text string) bed.Print {
		if err := os.WriteFile(s.ConfigPath(), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		return bed.Must(s.Tree())(t)
	}
	if d := before.Tree.Diff(write(strings.Replace(string(old), s.Password, `new'pass\`[:3], 1))); d != "" {
		t.Errorf("a new password counts:\n%s", d)
	}
	if d := before.Tree.Diff(write(string(old) + "// x\n")); !strings.Contains(d, "wp-config.php") {
		t.Errorf("a changed comment does not count: %q", d)
	}
	if d := before.Tree.Diff(write(string(old))); d != "" {
		t.Errorf("put back, it differs:\n%s", d)
	}
}

// testChangesAreSeen makes one small change after the other and takes it back.
func testChangesAreSeen(t *testing.T, s *bed.WordPress) {
	odd := filepath.Join(s.Root, "wp-content", "oddities")
	in := func(table string) string { return bed.Ident(s.Database) + "." + table }
	sql := func(q string) error { return s.DB.Exec(t.Context(), q) }
	for _, c := range []struct {
		name   string
		change func() error
		want   string
	}{
		{"mode", func() error { return os.Chmod(odd+"/plain.txt", 0o600) }, "plain.txt"},
		{"owner", func() error { return os.Lchown(odd+"/link", 1, 1) }, "oddities/link"},
		{"time", func() error { return os.Chtimes(odd+"/empty", time.Time{}, time.Unix(1, 5)) }, "oddities/empty"},
		{"content", func() error { return os.WriteFile(odd+"/-rf", []byte("DASH\n"), 0o444) }, "oddities/-rf"},
		{"attribute", func() error { return unix.Setxattr(odd+"/plain.txt", "user.origin", []byte("x"), 0) }, "plain.txt"},
		{"directory", func() error { return os.Chmod(odd+"/empty-dir", 0o770) }, "empty-dir"},
		{"link", func() error { return os.Remove(odd + "/hard-link") }, "hard-link"},
		{"row", func() error { return sql("UPDATE " + in("wp_posts") + " SET post_title = 'x' WHERE ID = 6") }, "checksum wp_posts"},
		{"column", func() error { return sql("ALTER TABLE " + in("wp_links") + " ADD x INT") }, "table wp_links"},
		{"view", func() error { return sql("CREATE VIEW " + in("v") + " AS SELECT 1") }, "view v"},
		{"trigger", func() error {
			return sql("CREATE TRIGGER " + in("tr") + " BEFORE INSERT ON " + in("wp_links") + " FOR EACH ROW SET @a = 1")
		}, "trigger"},
		{"routine", func() error { return sql("CREATE PROCEDURE " + in("p") + "() SELECT 1") }, "routine"},
		{"event", func() error { return sql("CREATE EVENT " + in("e") + " ON SCHEDULE EVERY 1 DAY DO SELECT 1") }, "event"},
		{"sequence", func() error { return sql("CREATE SEQUENCE " + in("s")) }, "sequence s"},
		{"charset", func() error { return sql("ALTER DATABASE " + bed.Ident(s.Database) + " CHARACTER SET latin1") }, "database"},
	} {
		before := takeTreeAndTables(t, s)
		if err := c.change(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if d := before.Diff(takeTreeAndTables(t, s)); !strings.Contains(d, c.want) {
			t.Errorf("%s: %q is not in the difference: %s", c.name, c.want, d)
		}
	}
}

func takeTreeAndTables(t *testing.T, s *bed.WordPress) *bed.Fingerprint {
	t.Helper()
	return &bed.Fingerprint{Tree: bed.Must(s.Tree())(t), Tables: bed.Must(s.DB.Tables(t.Context(), s.Database))(t)}
}

func testWreck(t *testing.T, s *bed.WordPress, before *bed.Fingerprint) {
	if err := s.Wreck(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := before.Tree.Diff(bed.Must(s.Tree())(t))
	for _, want := range []string{"rose.jpg", "stranger.php", "wp-config.php", "home.html"} {
		if !strings.Contains(d, want) {
			t.Errorf("the wreck spared %s: %s", want, d)
		}
	}
	d = before.Tables.Diff(bed.Must(s.DB.Tables(t.Context(), s.Database))(t))
	for _, want := range []string{"- table wp_posts", "rows wp_postmeta: 0", "checksum wp_options", "+ table wp_stranger"} {
		if !strings.Contains(d, want) {
			t.Errorf("the wreck spared %q: %s", want, d)
		}
	}
	res := bed.Must(s.Web.Get(t.Context(), s.Name, "/"))(t)
	if strings.Contains(res.Body, bed.FirstPost) {
		t.Error("a wrecked site shows its posts")
	}
}

func TestInventory(t *testing.T) {
	b := bed.New(t)
	db, web := b.MariaDB("db1"), b.Web("web1")
	take := func() *bed.Inventory {
		return bed.Must(bed.TakeInventory(t.Context(), []*bed.MariaDB{db}, []*bed.Web{web}))(t)
	}
	before := take()
	if err := db.CreateDatabase(t.Context(), "a_b", "u", bed.Secret()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(web.Root, ".staging"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(web.VhostDir, "x.conf.tmp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := before.Added(take())
	want := []string{
		"databases: db1 a_b", "users: db1 'u'@'127.0.0.1'",
		"grants: db1 GRANT USAGE ON *.* TO `u`@`127.0.0.1`",
		"grants: db1 GRANT ALL PRIVILEGES ON `a\\_b`.* TO `u`@`127.0.0.1`",
		"directories: web1 .staging", "vhosts: web1 x.conf.tmp",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("added:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if d := before.Diff(before); d != "" {
		t.Errorf("an inventory differs from itself: %s", d)
	}
}
