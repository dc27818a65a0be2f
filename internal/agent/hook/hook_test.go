package hook_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sitekeep/sitekeep/internal/agent/hook"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// rig is a directory of hooks, and a site's.
type rig struct {
	t    *testing.T
	top  string
	site string
	said []string
	on   func(line string) // told of each line
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	r := &rig{t: t, top: filepath.Join(dir, "hooks"), site: filepath.Join(dir, "site"), on: func(string) {}}
	r.must(err)
	r.must(os.Mkdir(r.top, 0o755))
	r.must(os.Mkdir(r.site, 0o755))
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// put writes a hook that is a shell script.
func (r *rig) put(name, script string, mode os.FileMode) {
	r.t.Helper()
	path := filepath.Join(r.top, name)
	r.must(os.MkdirAll(filepath.Dir(path), 0o755))
	r.must(os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o600))
	r.must(os.Chmod(path, mode))
}

func (r *rig) runner() *hook.Runner {
	return hook.New(hook.Options{Directory: r.top, Timeout: time.Minute}).KillAfter(100 * time.Millisecond)
}

func (r *rig) run(ctx context.Context, runner *hook.Runner, event string) error {
	r.t.Helper()
	r.said = nil
	return runner.Run(ctx, hook.Call{
		Hook: model.Hook{Event: event, Task: "T1", Backup: "B1", Outcome: "succeeded"},
		Site: model.SiteRef{Name: "example.com", Kind: "drupal", Root: r.site, Docroot: r.site + "/web"},
		Dir:  r.site, Owner: hook.Owner{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())},
		Say: func(name, line string) {
			r.said = append(r.said, strings.TrimPrefix(name+": "+line, ": "))
			r.on(line)
		},
	})
}

// lines are what was said, without how long it took.
func (r *rig) lines() (list []string) {
	for _, line := range r.said {
		if !strings.Contains(line, ": done in ") {
			list = append(list, line)
		}
	}
	return list
}

func (r *rig) wantLines(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.lines()); diff != "" {
		r.t.Errorf("said (-want +got):\n%s", diff)
	}
}

func (r *rig) wantError(err error, kind errs.Kind, words ...string) {
	r.t.Helper()
	if !errs.Is(err, kind) || errs.HintOf(err) == "" {
		r.t.Fatalf("error %v of kind %v with hint %q, want kind %v and a hint", err, errs.KindOf(err), errs.HintOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			r.t.Errorf("%q lacks %q", err, w)
		}
	}
}

func TestHooksAreToldWhatTheyMayKnow(t *testing.T) {
	t.Setenv("SITEKEEP_TOKEN", "secret")
	r := newRig(t)
	r.put("after-restore/20-last", "pwd", 0o755)
	r.put("after-restore/10-first", "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^HOME= -e ^USER= -e ^LOGNAME= | sort", 0o755)
	r.must(r.run(t.Context(), r.runner(), "after-restore"))
	var want []string
	for _, v := range []string{
		"LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SITEKEEP_BACKUP=B1", "SITEKEEP_DOCROOT=" + r.site + "/web",
		"SITEKEEP_EVENT=after-restore", "SITEKEEP_KIND=drupal", "SITEKEEP_OUTCOME=succeeded", "SITEKEEP_ROOT=" + r.site,
		"SITEKEEP_SITE=example.com", "SITEKEEP_TASK=T1",
	} {
		want = append(want, "after-restore/10-first: "+v)
	}
	r.wantLines(append(want, "after-restore/20-last: "+r.site)...)
	if n := len(r.said) - len(r.lines()); n != 2 {
		t.Errorf("%d hooks are said to be done: %q", n, r.said)
	}
}

func TestWithoutHooksNothingIsDone(t *testing.T) {
	r := newRig(t)
	r.must(r.run(t.Context(), r.runner(), "before-backup"))
	r.wantLines()
	for _, event := range []string{"", "backup", "before-", "before-../after-restore", "after-Restore", "after-restore/x", "before-a\nb"} {
		r.wantError(r.run(t.Context(), r.runner(), event), errs.Usage, "no event")
	}
}

func TestWhatIsPassedOver(t *testing.T) {
	r := newRig(t)
	r.put("before-backup/off", "echo ran", 0o644)
	r.put("before-backup/old.dpkg-dist", "echo ran", 0o755)
	r.put("before-backup/old~", "echo ran", 0o755)
	r.must(r.run(t.Context(), r.runner(), "before-backup"))
	r.wantLines(
		"before-backup/off: passed over: it is not executable",
		"passed over: before-backup/old.dpkg-dist: a hook's name has letters, digits, hyphens and underscores alone",
		"passed over: before-backup/old~: a hook's name has letters, digits, hyphens and underscores alone",
	)
}

// TestRefusals: one that cannot be trusted keeps all of them from running.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *rig) error
		kind   errs.Kind
		words  string
	}{
		"writable by others": {func(r *rig) error { return os.Chmod(r.top+"/before-backup/10-good", 0o757) }, errs.Permission, "may be changed by others"},
		"writable by group":  {func(r *rig) error { return os.Chmod(r.top+"/before-backup/10-good", 0o775) }, errs.Permission, "may be changed by others"},
		"event's directory":  {func(r *rig) error { return os.Chmod(r.top+"/before-backup", 0o777) }, errs.Permission, "may be changed by others"},
		"sticky directory":   {func(r *rig) error { return os.Chmod(r.top+"/before-backup", 0o777|os.ModeSticky) }, errs.Permission, "may be changed by others"},
		"directory of hooks": {func(r *rig) error { return os.Chmod(r.top, 0o775) }, errs.Permission, "may be changed by others"},
		"directory around":   {func(r *rig) error { return os.Chmod(filepath.Dir(r.top), 0o777) }, errs.Permission, "may be changed by others"},
		"link out":           {func(r *rig) error { return os.Symlink("/bin/true", r.top+"/before-backup/20-out") }, errs.Permission, "leads out"},
		"link to nothing":    {func(r *rig) error { return os.Symlink("nothing", r.top+"/before-backup/20-gone") }, errs.Precondition, "20-gone"},
		"a directory":        {func(r *rig) error { return os.Mkdir(r.top+"/before-backup/20-dir", 0o755) }, errs.Precondition, "is no file"},
		"event is a link out": {func(r *rig) error {
			return errors.Join(os.Rename(r.top+"/before-backup", r.site+"/away"), os.Symlink(r.site+"/away", r.top+"/before-backup"))
		}, errs.Permission, "leads out"},
		"event is a file": {func(r *rig) error {
			return errors.Join(os.RemoveAll(r.top+"/before-backup"), os.WriteFile(r.top+"/before-backup", nil, 0o755))
		}, errs.Precondition, "not a directory"},
		"no directory": {func(r *rig) error { return os.RemoveAll(r.top) }, errs.Precondition, "directory of hooks"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.put("before-backup/10-good", "echo ran", 0o755)
			r.must(r.run(t.Context(), r.runner(), "before-backup"))
			r.wantLines("before-backup/10-good: ran")
			r.must(c.change(r))
			r.wantError(r.run(t.Context(), r.runner(), "before-backup"), c.kind, c.words)
			r.wantLines()
		})
	}
}

func TestCheck(t *testing.T) {
	r := newRig(t)
	r.must(r.runner().Check())
	r.must(os.Chmod(r.top, 0o777))
	r.wantError(r.runner().Check(), errs.Permission, r.top)
	r.must(os.Remove(r.top))
	r.wantError(r.runner().Check(), errs.Precondition, r.top)
}

func TestLinksWithinRun(t *testing.T) {
	r := newRig(t)
	r.put("drupal", "echo $SITEKEEP_EVENT", 0o755)
	r.must(os.Mkdir(r.top+"/after-clone", 0o755))
	r.must(os.Symlink("../drupal", r.top+"/after-clone/drupal"))
	r.must(r.run(t.Context(), r.runner(), "after-clone"))
	r.wantLines("after-clone/drupal: after-clone")
}

func TestFailures(t *testing.T) {
	r := newRig(t)
	for _, event := range []string{"before-restore", "after-restore"} {
		r.put(event+"/1", "echo one; exit 3", 0o755)
		r.put(event+"/2", "echo two; kill -9 $$", 0o755)
		r.put(event+"/3", "echo three", 0o755)
	}
	r.wantError(r.run(t.Context(), r.runner(), "before-restore"), errs.Failed, "before-restore/1: exit status 3")
	r.wantLines("before-restore/1: one")
	err := r.run(t.Context(), r.runner(), "after-restore")
	r.wantError(err, errs.Failed, "after-restore/1: exit status 3", "after-restore/2: signal: killed")
	r.wantLines("after-restore/1: one", "after-restore/2: two", "after-restore/3: three")

	r.put("before-verify/none", "", 0o755)
	r.must(os.WriteFile(r.top+"/before-verify/none", []byte("#!/no/such/shell\n"), 0o755))
	r.wantError(r.run(t.Context(), r.runner(), "before-verify"), errs.Failed, "before-verify/none", "no such file")
}

func TestOutputIsBounded(t *testing.T) {
	r := newRig(t)
	r.put("after-backup/much", `printf 'a\r\nb\377\033[31m\n\n'; echo err >&2
head -c 3000 /dev/zero | tr '\0' x; echo; i=0; while [ $i -lt 600 ]; do echo $i; i=$((i+1)); done; printf end`, 0o755)
	r.must(r.run(t.Context(), r.runner(), "after-backup"))
	got := r.lines()
	const name = "after-backup/much: "
	want := []string{name + "a", name + "b\377\033[31m", name, name + "err", name + strings.Repeat("x", 1000) + "…", name + "0"}
	if len(got) != 501 || !slices.Equal(got[:len(want)], want) {
		t.Fatalf("%d lines, first %.200q", len(got), got[:min(len(got), len(want))])
	}
	if last := got[500]; last != name+"(106 more lines are left out)" {
		t.Errorf("last: %s", last)
	}
	r.put("after-backup/much", "printf end", 0o755)
	r.must(r.run(t.Context(), r.runner(), "after-backup"))
	r.wantLines(name + "end")
}

func TestTimeout(t *testing.T) {
	r := newRig(t)
	r.put("before-backup/slow", "exec sleep 600", 0o755)
	runner := hook.New(hook.Options{Directory: r.top, Timeout: 50 * time.Millisecond})
	r.wantError(r.run(t.Context(), runner, "before-backup"), errs.Failed, "before-backup/slow", "longer than 50ms", "hooks.timeout")
}

// runs reports whether a process is there and no zombie.
func runs(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	_, rest, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

func (r *rig) wantGone(pid string) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); runs(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("process %s still runs", pid)
		}
	}
}

// TestCancelEndsAllOfIt: a hook that does not listen, and what it has begun.
func TestCancelEndsAllOfIt(t *testing.T) {
	r := newRig(t)
	r.put("after-restore/deaf", `trap '' TERM; sleep 600 & echo $!; wait; wait; sleep 600`, 0o755)
	r.put("after-restore/next", "echo ran", 0o755)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pid string
	r.on = func(line string) { pid = line; cancel() }
	err := r.run(ctx, r.runner(), "after-restore")
	if !errors.Is(err, context.Canceled) || !errs.Is(err, errs.Cancelled) {
		t.Errorf("error %v of kind %v", err, errs.KindOf(err))
	}
	r.wantLines("after-restore/deaf: " + pid)
	r.wantGone(pid)
}

// TestNothingIsLeftBehind: a hook that has ended leaves no process of its group, and is not waited for longer if
// another keeps its output open.
func TestNothingIsLeftBehind(t *testing.T) {
	r := newRig(t)
	r.put("after-restore/fork", `sleep 600 & echo $!`, 0o755)
	r.must(r.run(t.Context(), r.runner(), "after-restore"))
	if len(r.said) != 2 {
		t.Fatalf("said %q", r.said)
	}
	r.wantGone(strings.TrimPrefix(r.said[0], "after-restore/fork: "))

	r.put("after-restore/fork", fmt.Sprintf("setsid sh -c 'echo $$ >%s/pid; exec sleep 600' & while [ ! -s %[1]s/pid ]; do sleep 0.01; done", r.site), 0o755)
	r.must(r.run(t.Context(), r.runner(), "after-restore"))
	pid, err := os.ReadFile(r.site + "/pid")
	r.must(err)
	r.must(kill(strings.TrimSpace(string(pid))))
}
