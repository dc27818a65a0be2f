//go:build integration

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/sitekeep/sitekeep/test/bed"
)

// closedByItself has a WordPress keep visitors out by its own switch while it is offline, without a line in its virtual host:
// through a backup, which has nothing of it, and a restore, which brings another tree. Then nothing of it is left.
func (e *example) closedByItself() {
	e.t.Helper()
	e.vhost.Includes = nil
	e.must(e.vhost.Publish(e.t.Context()))
	root := e.path(e.root)
	before := bed.Must(bed.Tree(root))(e.t)
	offline := func() {
		e.t.Helper()
		page := bed.Must(e.web.Get(e.t.Context(), e.name, "/"))(e.t)
		if _, err := os.Lstat(filepath.Join(root, ".maintenance")); page.Status != 503 || err != nil {
			e.t.Errorf("%s is offline and answers %d; its switch: %v", e.name, page.Status, err)
		}
	}
	e.done("site", "disable", e.name)
	offline()
	id := e.ok("backup", e.name)
	if list := e.ok("ls", id); strings.Contains(list, ".maintenance") {
		e.t.Errorf("%s: the switch is in the backup:\n%s", e.name, list)
	}
	e.must(os.RemoveAll(filepath.Join(root, "wp-content", "themes"))) // what says that it is offline is left
	e.done("restore", e.name, id, "--yes")
	if log := e.ok("task", "log", e.lastRestore()); !strings.Contains(log, "kept out by the site's own maintenance switch, .maintenance") {
		e.t.Errorf("%s: nobody was told how visitors were kept out:\n%s", e.name, log)
	}
	offline()
	e.done("site", "verify", e.name)
	e.done("restore", "--undo", e.name, "--yes")
	offline()
	e.done("restore", e.name, id, "--yes", "--grace", "0s")
	e.done("site", "enable", e.name)
	e.shows()
	e.sameTreeButSettings(root, before)
}

// sameTreeButSettings compares names alone: the settings have new credentials.
func (e *example) sameTreeButSettings(root string, before bed.Print) {
	e.t.Helper()
	if d := before.Diff(bed.Must(bed.Tree(root))(e.t)); strings.Contains(d, ".maintenance") {
		e.t.Errorf("%s: something of the switch is left:\n%s", e.name, d)
	}
}

// hardened has Drupal's own modes on a site that Aegir deploys from our .tar.gz as its user, and that a restore brings back.
func (e *example) hardened() {
	e.t.Helper()
	root := e.path(e.root)
	e.must(os.Chmod(e.path(e.settings), 0o444))
	e.must(os.Chmod(root, 0o555))
	id := e.ok("backup", e.name, "--format", "tar.gz")
	dir := e.untarAsNobody(bed.Must(os.ReadFile(e.tarball(id)))(e.t))
	for name, mode := range map[string]os.FileMode{".": 0o755, "settings.php": 0o444} {
		if st := bed.Must(os.Stat(filepath.Join(dir, name)))(e.t); st.Mode().Perm() != mode {
			e.t.Errorf("%s: tar has made %s %v", e.name, name, st.Mode())
		}
	}
	// What provision-deploy does next, in the directory and as the user that unpacked it.
	e.asNobody(dir, nil, "sh", "-c", "rm settings.php && echo '<?php' >settings.php && echo '<?php' >drushrc.php && rm database.sql")
	e.restored(id)
	for name, mode := range map[string]os.FileMode{root: 0o555, e.path(e.settings): 0o444} {
		if st := bed.Must(os.Stat(name))(e.t); st.Mode().Perm() != mode {
			e.t.Errorf("%s: the restore has made %s %v", e.name, name, st.Mode())
		}
	}
	e.done("check", id)
}

// lastRestore is the id of its task.
func (e *example) lastRestore() string {
	e.t.Helper()
	for _, task := range read[[]taskInfo](e.stage, "task", "list", e.name) {
		if task.Kind == "restore" {
			return task.ID
		}
	}
	e.t.Fatalf("%s was never restored", e.name)
	return ""
}
