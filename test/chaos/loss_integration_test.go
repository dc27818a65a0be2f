//go:build integration

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestLosses has what is lost altogether come back out of the tarball and the
// catalogue alone, and an undo that cannot be done be done after a hand's turn.
func TestLosses(t *testing.T) {
	r := bed.Must(newRig(t.Context(), filepath.Join(publicDir(t), "rig"), plain))(t)
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	t.Run("database server and web root", func(t *testing.T) { loseEverything(t, r) })
	t.Run("web server's configuration", func(t *testing.T) { loseConfiguration(t, r) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// loseEverything restores to an empty database server and a web root that is
// gone: nothing of the old site is left anywhere but in the store.
func loseEverything(t *testing.T, r *rig) {
	must(t, r.ReplaceMariaDB(t.Context(), r.db))
	must(t, os.RemoveAll(r.site.Root))
	task := bed.Must(r.run(t.Context(), "restore", siteName, r.versions[0].backup, "--yes", "--grace", "0s", "--detach"))(t)
	must(t, r.ended(t.Context(), task))
	v := bed.Must(r.judge(t.Context(), task, state{1, 1}, state{0, 0}, false))(t)
	if v.outcome != wasNew {
		t.Fatalf("%s: %+v\n%s\n%s", v.outcome, v.task, strings.Join(v.problems, "\n"), bed.Must(r.run(t.Context(), "task", "log", task))(t))
	}
}

// loseConfiguration has the web server refuse its configuration as soon as the
// virtual host that a restore has written is taken back: the undo cannot be
// done, says what to type, and is done when that has been typed.
func loseConfiguration(t *testing.T, r *rig) {
	ctx, web := t.Context(), r.webs[0]
	vhost, trap := filepath.Join(web.VhostDir, siteName+".conf"), filepath.Join(web.OwnVhosts, "zz-trap.conf")
	must(t, os.Remove(vhost)) // the old site has none, so that there is one to take back
	must(t, web.Reload(ctx))
	must(t, os.WriteFile(trap, []byte("include "+vhost+";\n"), 0o644)) // which must be there, as it is no pattern
	must(t, os.WriteFile(r.breaker(1), nil, 0o644))
	task := bed.Must(r.run(ctx, "restore", siteName, r.versions[1].backup, "--yes", "--grace", "0s", "--detach"))(t)
	must(t, r.ended(ctx, task))
	stuck := bed.Must(read[taskInfo](ctx, r, "task", "show", task))(t)
	log := bed.Must(r.run(ctx, "task", "log", task))(t)
	if stuck.State != "needs_operator" || !strings.Contains(log, "nginx -t && nginx -s reload") || !strings.Contains(stuck.Hint, "task retry "+task) {
		t.Fatalf("an undo that cannot be done: %+v\n%s", stuck, log)
	}
	nothingDeleted(t, r, task)

	must(t, errors.Join(os.Remove(trap), os.Remove(r.breaker(1))))
	must(t, retry(ctx, r, task))
	after := bed.Must(read[taskInfo](ctx, r, "task", "show", task))(t)
	if _, err := os.Stat(vhost); after.State != "failed" || !os.IsNotExist(err) {
		t.Errorf("after task retry: %+v, the virtual host: %v", after, err)
	}
	bed.Must(r.run(ctx, "site", "verify", siteName))(t)
	v := bed.Must(r.judge(ctx, task, state{0, 0}, state{1, 1}, false))(t)
	if v.outcome != wasOld {
		t.Errorf("%s:\n%s", v.outcome, strings.Join(v.problems, "\n"))
	}
}

// nothingDeleted wants both directories, both databases and the safety backup.
func nothingDeleted(t *testing.T, r *rig, task string) {
	t.Helper()
	inv := bed.Must(bed.TakeInventory(t.Context(), []*bed.MariaDB{r.db}, r.webs))(t)
	added := strings.Join(r.clean.Added(inv.Nameless(r.site.Database)), "\n")
	for _, want := range []string{"directories: web1 .sitekeep-" + task, "databases: db1 "} {
		if !strings.Contains(added, want) {
			t.Errorf("no %q is there while the undo waits:\n%s", want, added)
		}
	}
	list := bed.Must(read[[]backupInfo](t.Context(), r, "backups"))(t)
	if list[0].Task != task || !list[0].Pinned {
		t.Errorf("the newest backup is not the pinned safety backup of %s: %+v", task, list[0])
	}
}

// retry is what an operator types when the harm is mended. The undone restore
// has failed all the same.
func retry(ctx context.Context, r *rig, task string) error {
	if _, err := r.master.CLI(ctx, "task", "retry", task); err != nil {
		return err
	}
	return r.ended(ctx, task)
}
