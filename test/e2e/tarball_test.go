//go:build integration

package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/test/bed"
)

// TestPlainTarballs gets the site back from tarballs of both formats with GNU
// tar and the database's own client, and none of our programs.
func TestPlainTarballs(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.programs()
	for _, c := range []struct{ format, flag string }{{"tar.zst", "--zstd"}, {"tar.gz", "-z"}} {
		t.Run(c.format, func(t *testing.T) {
			inner := *s
			inner.t = t
			inner.plainTarballs(c.format, c.flag)
		})
	}
}

// programs gives the database what a dump easily loses.
func (s *stage) programs() {
	s.t.Helper()
	db := bed.Must(s.db.OpenAs("unix", s.db.Socket, "root", s.db.Password, s.site.Database))(s.t)
	defer func() { _ = db.Close() }()
	for _, statement := range []string{
		"CREATE VIEW v_posts AS SELECT ID, post_title FROM wp_posts",
		"CREATE TABLE `back``tick and space` (a INT PRIMARY KEY, b BLOB, c JSON)",
		"INSERT INTO `back``tick and space` VALUES (1, x'00ff27225c0a1a', '{\"a\": \"\\\\n\"}')",
		"CREATE TRIGGER t_one BEFORE INSERT ON wp_comments FOR EACH ROW SET NEW.comment_author = 'x'",
		"CREATE PROCEDURE p_one() BEGIN SELECT 1; SELECT ';'; END",
		"CREATE EVENT e_one ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' DO DELETE FROM wp_comments WHERE 1 = 0",
		"CREATE SEQUENCE s_one START WITH 5",
		"CREATE TABLE from_sequence (a INT DEFAULT nextval(s_one))",
	} {
		if _, err := db.ExecContext(s.t.Context(), statement); err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (s *stage) plainTarballs(format, flag string) {
	s.t.Helper()
	s.backup("--format", format)
	s.sameByTar(s.latest(), flag)
	if format == "tar.gz" {
		s.fitsAegir(s.latest())
	}

	file := filepath.Join(s.site.Root, "wp-content", "uploads", "late-"+format)
	s.must(os.WriteFile(file, []byte("late\n"), 0o640))
	s.must(s.db.Exec(s.t.Context(), "CREATE TABLE "+bed.Ident(s.site.Database)+"."+bed.Ident("late_"+format)+" (a INT)"))
	s.backup("--format", format)
	second := s.latest()
	if second.NewBytes*8 > second.Size || second.NewBytes == 0 {
		s.t.Errorf("the second backup has %d new bytes of %d", second.NewBytes, second.Size)
	}
	incremental := s.sameByTar(second, flag)

	s.backup("--format", format, "--full")
	full := s.latest()
	if full.NewBytes < full.Size*9/10 {
		s.t.Errorf("the full backup has %d new bytes of %d", full.NewBytes, full.Size)
	}
	if d := incremental.Diff(s.sameByTar(full, flag)); d != "" {
		s.t.Errorf("tar sees a difference between incremental and full:\n%s", d)
	}
}

func (s *stage) latest() backupInfo {
	s.t.Helper()
	list := read[[]backupInfo](s, "backups", siteName, "--limit", "1")
	if len(list) != 1 {
		s.t.Fatal("no backup is listed")
	}
	return list[0]
}

// sameByTar has tar unpack a backup, compares the tree with the live one and
// the database, imported by the client, with the live one. It gives what tar
// made of the tarball, the dump included.
func (s *stage) sameByTar(b backupInfo, flag string) bed.Print {
	s.t.Helper()
	dir := s.untar(b, flag)
	all := bed.Must(bed.Tree(dir, bed.Normalise("database.sql", withoutDates)))(s.t)
	dump := s.takeOut(filepath.Join(dir, "database.sql"))
	live, got := bed.Must(bed.Tree(s.site.Root))(s.t), bed.Must(bed.Tree(dir))(s.t)
	if d := live.Diff(got); d != "" {
		s.t.Errorf("%s: the tree differs:\n%s", b.ID, d)
	}
	copied := "copy_" + strings.NewReplacer(".", "_", "-", "_").Replace(filepath.Base(dir))
	s.must(s.db.Exec(s.t.Context(), "CREATE DATABASE "+copied+" CHARACTER SET utf8mb4"))
	s.must(s.db.Import(s.t.Context(), copied, bytes.NewReader(dump)))
	was, is := bed.Must(s.db.Tables(s.t.Context(), s.site.Database))(s.t), bed.Must(s.db.Tables(s.t.Context(), copied))(s.t)
	if d := was.Diff(is); d != "" {
		s.t.Errorf("%s: the database differs:\n%s", b.ID, d)
	}
	s.must(s.db.Exec(s.t.Context(), "DROP DATABASE "+copied))
	return all
}

func (s *stage) untar(b backupInfo, flag string) string {
	s.t.Helper()
	dir := bed.Must(os.MkdirTemp(s.Dir(), "tar"))(s.t)
	cmd := exec.CommandContext(s.t.Context(), "tar", flag, "--xattrs", "--xattrs-include=*", "-xpf", s.tarball(b.ID), "-C", dir)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		s.t.Fatalf("%s: %v: %s", cmd, err, out)
	}
	return dir
}

// takeOut reads a file and removes it; its directory keeps its time.
func (s *stage) takeOut(path string) []byte {
	s.t.Helper()
	dir := filepath.Dir(path)
	info := bed.Must(os.Stat(dir))(s.t)
	text := bed.Must(os.ReadFile(path))(s.t)
	s.must(os.Remove(path))
	s.must(os.Chtimes(dir, info.ModTime(), info.ModTime()))
	return text
}

var dumpDate = regexp.MustCompile(`(?m)^-- Dump completed.*$`)

func withoutDates(sql []byte) []byte { return dumpDate.ReplaceAll(sql, nil) }

// TestShelf looks into backups, fetches, checks and deletes them.
func TestShelf(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first := s.backup("-m", "the first")
	s.must(os.WriteFile(filepath.Join(s.site.Root, "new.txt"), []byte("new\n"), 0o644))
	second := s.backup()
	if list := s.backups(); len(list) != 2 || list[0].ID != second || list[1].ID != first ||
		list[1].Description != "the first" || list[0].Description != "Generated on request" {
		t.Errorf("the list, newest first, is %+v", list)
	}
	s.looksInside(first, second)
	s.downloads(second)
	s.deletes(first)
	s.findsDamage(second)
}

func (s *stage) looksInside(first, second string) {
	s.t.Helper()
	odd := "wp-content/oddities/"
	for path, want := range map[string]string{
		odd + "plain.txt": "plain\n", odd + "hard-link": "plain\n", odd + "new\nline.txt": "line\n",
		odd + "-rf": "dash\n", odd + "database.sql": "-- the site's own\n", odd + "empty": "",
	} {
		if r := s.CLI(s.master, "cat", first, path); r.Code != 0 || r.Stdout != want {
			s.t.Errorf("cat %q: %s", path, r)
		}
	}
	if dump := s.ok("cat", first, "database.sql"); !strings.Contains(dump, "CREATE TABLE `wp_posts`") {
		s.t.Errorf("cat database.sql: %.200s", dump)
	}
	config := bed.Must(os.ReadFile(s.site.ConfigPath()))(s.t)
	if r := s.CLI(s.master, "cat", "latest", "wp-config.php"); r.Stdout != string(config) {
		s.t.Errorf("cat latest wp-config.php is not the file: %s", r)
	}
	if list := s.ok("ls", first, "wp-content/uploads"); !strings.Contains(list, "rose.jpg") || strings.Contains(list, "themes") {
		s.t.Errorf("ls wp-content/uploads:\n%s", list)
	}
	s.ok("ls", second, "new.txt")
	s.refused(3, []string{"new.txt"}, "cat", first, "new.txt")
	s.refused(3, []string{"no/such"}, "ls", first, "no/such")
}

func (s *stage) downloads(id string) {
	s.t.Helper()
	want := bed.Must(os.ReadFile(s.tarball(id)))(s.t)
	if r := s.CLI(s.master, "download", id, "-O", "-"); r.Code != 0 || r.Stdout != string(want) {
		s.t.Errorf("download -O -: exit status %d, %d bytes in place of %d", r.Code, len(r.Stdout), len(want))
	}
	to := filepath.Join(s.Dir(), "fetched.tar.zst")
	s.ok("download", id, "-O", to)
	if got := bed.Must(os.ReadFile(to))(s.t); !bytes.Equal(got, want) {
		s.t.Errorf("download -O FILE: %d bytes in place of %d", len(got), len(want))
	}
	if info := bed.Must(os.Stat(to))(s.t); info.Mode().Perm() != 0o600 {
		s.t.Errorf("the downloaded file has mode %v", info.Mode())
	}
}

func (s *stage) deletes(id string) {
	s.t.Helper()
	s.ok("pin", id)
	s.refused(1, []string{"pinned"}, "delete", id, "--yes")
	s.tarball(id)
	s.ok("unpin", id)
	s.ok("delete", id, "--yes")
	s.refused(3, nil, "cat", id, "index.php")
	if len(s.backups()) != 1 {
		s.t.Errorf("after the deletion are listed: %+v", s.backups())
	}
	s.storeIsListed()
}

// findsDamage flips a bit of a tarball. The check finds it; a restore refuses
// it and leaves the site alone; the next backup is not built on it.
func (s *stage) findsDamage(id string) {
	s.t.Helper()
	s.ok("check", "--all")
	s.ok("check", id, "--read-data")
	path := s.tarball(id)
	data := bed.Must(os.ReadFile(path))(s.t)
	data[len(data)/2] ^= 1
	s.must(os.WriteFile(path, data, 0o600))
	s.refused(1, []string{id, "corrupt"}, "check", "--all")

	// A restore reads what the live site has not, and the dump.
	data[s.dumpFrame(path)] ^= 1
	s.must(os.WriteFile(path, data, 0o600))
	before, inventory := s.fingerprint(), s.inventory()
	s.refused(1, nil, "restore", siteName, id, "--yes", "--grace", "0s")
	s.isNow(before)
	s.nothingLeft(inventory, s.site.Database)
	third := s.backup()
	s.ok("check", third, "--read-data")
}

// dumpFrame returns where the middle of a tarball's first dump frame lies.
func (s *stage) dumpFrame(path string) int64 {
	s.t.Helper()
	r := bed.Must(archive.OpenFile(path))(s.t)
	defer r.Close()
	for f, err := range r.Frames() {
		s.must(err)
		if f.Kind == archive.KindDump {
			return f.Offset + f.Length/2
		}
	}
	s.t.Fatalf("%s holds no dump", path)
	return 0
}
