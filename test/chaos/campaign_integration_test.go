//go:build integration

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
)

func TestMain(m *testing.M) {
	os.Exit(apart(func(context.Context) int { return m.Run() }))
}

// seedOfTests has each run of the tests strike the same faults; make chaos
// strikes others each time.
const seedOfTests = 1

// TestShortCampaign strikes some sixty faults and wants no site that is neither
// the old nor the new one.
func TestShortCampaign(t *testing.T) {
	c := &campaign{seed: seedOfTests, short: true, lanes: 2, dir: publicDir(t), out: t.Output()}
	order := c.list(1, regexp.MustCompile(""))
	want := len(c.faults)
	mixed, err := c.run(t.Context())
	if err := c.print(t.Output(), order); err != nil {
		t.Error(err)
	}
	if err != nil || mixed > 0 || c.sum() != want {
		t.Errorf("%d of %d strikes, %d of them mixed, error %v", c.sum(), want, mixed, err)
	}
}

// publicDir is a directory that nobody can enter, removed when the test has passed.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := bed.Must(os.MkdirTemp("", "sk-chaos-"))(t)
	t.Cleanup(func() {
		if !t.Failed() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// plant puts something into a site that a restore must not leave, and takes it
// away again.
type plant struct {
	what        string
	sow, gather func(ctx context.Context, r *rig) error
	says        string
}

func statements(sow, gather string) (_, _ func(context.Context, *rig) error) {
	run := func(text string) func(context.Context, *rig) error {
		return func(ctx context.Context, r *rig) error {
			return r.db.Exec(ctx, strings.Split(strings.ReplaceAll(text, "SITE", bed.Ident(r.site.Database)), "; ")...)
		}
	}
	return run(sow), run(gather)
}

// paths plants a file. What is left of its directory's time, and what an agent
// has made of the file (of a flag, that who has its word sees the site), goes
// with it.
func paths(path func(r *rig) string) (_, _ func(context.Context, *rig) error) {
	var before os.FileInfo
	sow := func(_ context.Context, r *rig) (err error) {
		if before, err = os.Stat(filepath.Dir(path(r))); err != nil {
			return err
		}
		return os.WriteFile(path(r), []byte("x"), 0o644)
	}
	return sow, func(_ context.Context, r *rig) error {
		found, err := filepath.Glob(path(r) + "*")
		for _, f := range found {
			err = errors.Join(err, os.Remove(f))
		}
		return errors.Join(err, os.Chtimes(filepath.Dir(path(r)), before.ModTime(), before.ModTime()))
	}
}

func plants() []plant {
	var all []plant
	add := func(what, says string, sow, gather func(context.Context, *rig) error) {
		all = append(all, plant{what: what, says: says, sow: sow, gather: gather})
	}
	sow, gather := statements("UPDATE SITE.wp_options SET option_value = 'A' WHERE option_name = 'chaos_version'", "UPDATE SITE.wp_options SET option_value = 'B' WHERE option_name = 'chaos_version'")
	add("a row of the other version", "the database", sow, gather)
	sow, gather = statements("CREATE TABLE SITE.chaos_a (n INT)", "DROP TABLE SITE.chaos_a")
	add("a table of the other version", "the database", sow, gather)
	sow, gather = statements("CREATE DATABASE garden_left", "DROP DATABASE garden_left")
	add("a database", "databases: db1 garden_left", sow, gather)
	sow, gather = statements("CREATE USER left_over@'127.0.0.1'", "DROP USER left_over@'127.0.0.1'")
	add("a user", "left_over", sow, gather)
	sow, gather = statements("CREATE DATABASE kept; GRANT SELECT ON kept.* TO root@'127.0.0.1'; DROP DATABASE kept", "REVOKE SELECT ON kept.* FROM root@'127.0.0.1'")
	add("a grant", "grants: `kept`.*", sow, gather)
	for what, path := range map[string]func(r *rig) string{
		"a file in the site":           func(r *rig) string { return filepath.Join(r.site.Root, "wp-content", "left.txt") },
		"a staging directory":          func(r *rig) string { return filepath.Join(r.webs[0].Root, ".sitekeep-X") },
		"a maintenance flag":           func(r *rig) string { return filepath.Join(r.webs[0].VhostDir, siteName+".maintenance") },
		"a vhost":                      func(r *rig) string { return filepath.Join(r.webs[0].VhostDir, "left.conf.old") },
		"a partial tarball":            func(r *rig) string { return filepath.Join(r.master.DataDir, "store", siteName, "x.tar.zst.partial") },
		"a file of an agent":           func(r *rig) string { return filepath.Join(r.onDB.DataDir, "spool.sql") },
		"pages of the version that is": func(r *rig) string { return r.breaker(1) },
	} {
		sow, gather = paths(path)
		add(what, "", sow, gather)
	}
	return all
}

// TestJudgeSeesWhatIsLeft plants what a bad restore may leave, one after the
// other, beside a task that says that all is well.
func TestJudgeSeesWhatIsLeft(t *testing.T) {
	r := bed.Must(newRig(t.Context(), filepath.Join(publicDir(t), "rig"), plain))(t)
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	f := &fault{op: operationOf("restore"), kind: kind{strike: nothing}}
	last := ""
	f.strike = func(_ context.Context, _ *rig, _ *fault, at target) error { last = at.task; return nil }
	for range 2 { // to version A, and back to B
		if v, err := r.round(t.Context(), f); err != nil || v.outcome != wasNew {
			t.Fatalf("undisturbed: %+v, %v", v, err)
		}
	}
	judge := func() *verdict { return bed.Must(r.judge(t.Context(), last, state{0, 0}, state{1, 1}, false))(t) }
	for _, p := range plants() {
		if err := p.sow(t.Context(), r); err != nil {
			t.Fatalf("%s: %v", p.what, err)
		}
		v := judge()
		if text := strings.Join(v.problems, "\n"); v.outcome != wasMixed || !strings.Contains(text, p.says) {
			t.Errorf("%s is not seen: %s, %s", p.what, v.outcome, text)
		}
		if err := p.gather(t.Context(), r); err != nil {
			t.Fatalf("%s: %v", p.what, err)
		}
	}
	if v := judge(); v.outcome != wasNew {
		t.Errorf("with nothing left the judge says %s: %q", v.outcome, v.problems)
	}
	v := bed.Must(r.judge(t.Context(), last, state{1, 1}, state{0, 0}, false))(t)
	if v.outcome != wasMixed {
		t.Errorf("a task that does not tell the truth is not seen: %s", v.outcome)
	}
}
