//go:build integration

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestOneServerForBoth has web server and database under one agent.
func TestOneServerForBoth(t *testing.T) {
	t.Parallel()
	s := newServers(t)
	s.onWeb = s.Agent(s.master, "one", bed.AgentOptions{Web: s.web, DB: s.db})
	s.addSite("one", "one")
	own := filepath.Join(s.site.Root, "database.sql") // beside the dump, which has its name in a tarball
	s.must(os.WriteFile(own, []byte("the site's own\n"), 0o640))
	s.must(os.Link(own, filepath.Join(s.site.Root, "aa-link.sql")))
	before, inventory, database := s.fingerprint(), s.inventory(), s.site.Database
	id := s.backup()
	s.must(s.site.Wreck(t.Context()))
	s.done("restore", siteName, id, "--yes")
	s.isNow(before)
	s.done("restore", "--undo", siteName)
	s.done("restore", siteName, id, "--yes", "--grace", "0s")
	s.isNow(before)
	s.nothingLeft(inventory, database)
}

const staticName = "static.example"

// TestSiteWithoutDatabase takes a generic site through all of it, whose
// directory has what archives lose, a database.sql of its own, and names that
// would be somebody else's options or paths.
func TestSiteWithoutDatabase(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	s := &stage{T: b, t: t, web: b.Web("web1"), master: b.Master("master")}
	s.onWeb = s.Agent(s.master, "web1", bed.AgentOptions{Web: s.web})
	root := filepath.Join(s.web.Root, staticName)
	s.layHostile(root)
	s.done("site", "add", staticName, "--web", "web1", "--root", root, "--kind", "generic")
	s.done("site", "verify", staticName)
	before := bed.Must(bed.Tree(root))(t)
	outside := filepath.Join(s.web.Dir, "outside")
	s.must(os.WriteFile(outside, []byte("not the site's\n"), 0o644))

	for _, format := range []string{"tar.zst", "tar.gz"} {
		id := s.ok("backup", staticName, "--format", format)
		flag := map[string]string{"tar.zst": "--zstd", "tar.gz": "-z"}[format]
		dir := s.untar(backupInfo{ID: id}, flag)
		if d := before.Diff(bed.Must(bed.Tree(dir))(t)); d != "" {
			t.Errorf("%s: tar's tree differs:\n%s", format, d)
		}
		if r := s.CLI(s.master, "cat", id, "database.sql"); r.Stdout != "the site's own\n" {
			t.Errorf("%s: cat database.sql: %s", format, r)
		}
		s.empty(root)
		s.done("restore", staticName, id, "--yes", "--grace", "0s")
		if d := before.Diff(bed.Must(bed.Tree(root))(t)); d != "" {
			t.Errorf("%s: the restored tree differs:\n%s", format, d)
		}
		if page := bed.Must(s.web.Get(t.Context(), staticName, "/"))(t); page.Status != 200 || page.Body != "<h1>static</h1>\n" {
			t.Errorf("%s: the page is %d %q", format, page.Status, page.Body)
		}
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "not the site's\n" {
		t.Errorf("what links out of the site lead to was touched: %q, %v", text, err)
	}
	if left := bed.Must(os.ReadDir(s.web.Root))(t); len(left) != 1 {
		t.Errorf("beside the site lies something: %v", left)
	}
}

// empty removes all of a site and leaves a page of somebody else's.
func (s *stage) empty(root string) {
	s.t.Helper()
	for _, e := range bed.Must(os.ReadDir(root))(s.t) {
		s.must(os.RemoveAll(filepath.Join(root, e.Name())))
	}
	s.must(os.WriteFile(filepath.Join(root, "index.html"), []byte("owned"), 0o666))
}

func (s *stage) layHostile(root string) {
	s.t.Helper()
	in := func(name string) string { return filepath.Join(root, name) }
	for _, dir := range []string{"", "empty", "setgid", "-d", "deep/er/and/deeper"} {
		s.must(os.MkdirAll(in(dir), 0o755))
	}
	for name, text := range map[string]string{
		"index.html": "<h1>static</h1>\n", "database.sql": "the site's own\n", "database.sql~site": "another\n",
		"-rf": "dash\n", "--checkpoint=1": "option\n", "-d/-x": "deep dash\n", "new\nline": "line\n", "tab\tand \\ \"quote'": "quotes\n",
		"not utf-8 \xff\xfe": "bytes\n", "a:b": "colon\n", "*?[x]": "glob\n", " leading and trailing ": "space\n", "$(id) `id` ;id": "shell\n",
		"\x1b[31mred": "terminal\n", ".hidden": "dot\n", "...": "dots\n", "deep/er/and/deeper/still": "deep\n", "empty file": "",
		fmt.Sprintf("%0255d", 7): "a long name\n",
	} {
		s.must(os.WriteFile(in(name), []byte(text), 0o640))
	}
	s.random(in("large.bin"), 5<<20)
	links := map[string]string{
		"out": filepath.Join(s.web.Dir, "outside"), "up": "../../../../../etc/passwd", "dir-out": "/etc", "dangling": "nowhere", "in": "index.html",
	}
	for name, target := range links {
		s.must(os.Symlink(target, in(name)))
	}
	s.must(os.Link(in("-rf"), in("zz hard link")))
	s.must(os.Link(in("database.sql"), in("aa hard link of the dump")))
	s.must(os.Chmod(in("setgid"), 0o775|os.ModeSetgid))
	s.must(os.Chmod(in(".hidden"), 0o400))
	s.must(unix.Setxattr(in("-rf"), "user.canary", []byte("a\x00b\n"), 0))
	s.must(unix.Setxattr(in("setgid"), "user.dir", []byte("d"), 0))
	s.must(os.Lchown(in("a:b"), 12345, 54321))
	for _, name := range []string{"large.bin", "empty", "."} {
		at := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
		s.must(os.Chtimes(in(name), at, at))
	}
}
