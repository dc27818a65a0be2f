package staging_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/agent/staging"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

const task = "T1"

// place is a site in a directory of its own.
type place struct {
	t      *testing.T
	www    string
	site   *guard.Site
	stager *staging.Stager
}

func newPlace(t *testing.T) *place {
	t.Helper()
	www := t.TempDir()
	list := guard.New([]string{www}, nil, func(string) bool { return false })
	site, err := list.Site(model.SiteRef{Name: "example.com", Root: www + "/x"})
	if err != nil {
		t.Fatal(err)
	}
	return &place{t: t, www: www, site: site, stager: &staging.Stager{}}
}

func (p *place) live(content string) uint64 {
	p.t.Helper()
	return p.tree(p.www+"/x", content)
}

func (p *place) tree(dir, content string) uint64 {
	p.t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(dir+"/index", []byte(content), 0o644)); err != nil {
		p.t.Fatal(err)
	}
	return inode(p.t, dir)
}

func (p *place) staged(content string) uint64 {
	p.t.Helper()
	ino, err := p.stager.Fill(p.t.Context(), p.site, task, func(dir *os.Root) error {
		return dir.WriteFile("index", []byte(content), 0o644)
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return ino
}

func (p *place) stagingDir() string { return p.www + "/.sitekeep-" + task }

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// want compares what is in the two directories; empty: nothing is there.
func (p *place) want(live, staged string) {
	p.t.Helper()
	for path, want := range map[string]string{p.www + "/x": live, p.stagingDir() + "/x": staged} {
		got, err := os.ReadFile(path + "/index")
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			p.t.Fatal(err)
		}
		if string(got) != want {
			p.t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
}

func TestFillMakesAPrivateDirectory(t *testing.T) {
	p := newPlace(t)
	ino := p.staged("new")
	p.want("", "new")
	if got := inode(t, p.stagingDir()+"/x"); got != ino {
		t.Errorf("inode = %d, want %d", ino, got)
	}
	info, err := os.Stat(p.stagingDir())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the staging directory is %v", info.Mode())
	}
}

func TestFillStartsAnew(t *testing.T) {
	p := newPlace(t)
	p.staged("first")
	if err := os.WriteFile(p.stagingDir()+"/x/left", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	p.staged("second")
	p.want("", "second")
	if _, err := os.Stat(p.stagingDir() + "/x/left"); !errors.Is(err, os.ErrNotExist) {
		t.Error("what an earlier try left is still there")
	}
}

func TestFillLeavesNothingAfterFailure(t *testing.T) {
	broken := errors.New("broken")
	for name, fill := range map[string]func(cancel func(), dir *os.Root) error{
		"error":     func(_ func(), dir *os.Root) error { return errors.Join(dir.WriteFile("index", nil, 0o644), broken) },
		"cancelled": func(cancel func(), dir *os.Root) error { cancel(); return dir.WriteFile("index", nil, 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.live("old")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := p.stager.Fill(ctx, p.site, task, func(dir *os.Root) error { return fill(cancel, dir) })
			if !errors.Is(err, broken) && !errors.Is(err, context.Canceled) {
				t.Errorf("error = %v", err)
			}
			if _, err := os.Stat(p.stagingDir()); !errors.Is(err, os.ErrNotExist) {
				t.Error("the staging directory is still there")
			}
			p.want("old", "")
		})
	}
}

func TestUnfinishedTreeIsNotReported(t *testing.T) {
	p := newPlace(t)
	var during staging.State
	_, err := p.stager.Fill(t.Context(), p.site, task, func(dir *os.Root) (err error) {
		if err := dir.WriteFile("index", nil, 0o644); err != nil {
			return err
		}
		during, err = p.stager.Inspect(p.site, task)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if during.Staged != 0 {
		t.Error("a tree that is being written was reported as staged")
	}
	after, err := p.stager.Inspect(p.site, task)
	if err != nil || after.Staged == 0 || after.Live != 0 || after.FreeBytes == 0 {
		t.Errorf("state = %+v, %v", after, err)
	}
}

func TestFillMakesParents(t *testing.T) {
	p := newPlace(t)
	list := guard.New([]string{p.www}, nil, func(string) bool { return false })
	site, err := list.Site(model.SiteRef{Name: "example.com", Root: p.www + "/a/b/x"})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := p.stager.Inspect(site, task); err != nil || st.Live != 0 || st.FreeBytes == 0 {
		t.Fatalf("state = %+v, %v", st, err)
	}
	if existed, err := p.stager.Remove(t.Context(), site, task, 0); err != nil || existed {
		t.Fatalf("remove = %v, %v", existed, err)
	}
	if _, err := p.stager.Fill(t.Context(), site, task, func(*os.Root) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if inode(t, p.www+"/a/b/.sitekeep-T1/x") == 0 {
		t.Error("there is no staged tree")
	}
}

func TestExchange(t *testing.T) {
	const wrong = 1 // no directory of a test has this inode
	type step struct {
		live, staged func(l, s uint64) uint64
		kind         errs.Kind // of the error; Failed: none
		after        [2]string
	}
	L := func(l, _ uint64) uint64 { return l }
	S := func(_, s uint64) uint64 { return s }
	none := func(_, _ uint64) uint64 { return 0 }
	other := func(_, _ uint64) uint64 { return wrong }
	both, swapped := [2]string{"old", "new"}, [2]string{"new", "old"}
	for name, c := range map[string]struct {
		noLive bool
		steps  []step
	}{
		"do":                    {steps: []step{{L, S, 0, swapped}}},
		"do again":              {steps: []step{{L, S, 0, swapped}, {L, S, 0, swapped}}},
		"do and undo":           {steps: []step{{L, S, 0, swapped}, {S, L, 0, both}}},
		"undo again":            {steps: []step{{L, S, 0, swapped}, {S, L, 0, both}, {S, L, 0, both}}},
		"undo what never began": {steps: []step{{S, L, 0, both}}},
		"do, undo, do":          {steps: []step{{L, S, 0, swapped}, {S, L, 0, both}, {L, S, 0, swapped}}},
		"another live":          {steps: []step{{other, S, errs.Precondition, both}}},
		"another staged":        {steps: []step{{L, other, errs.Precondition, both}}},
		"live came back":        {steps: []step{{none, S, errs.Precondition, both}}},
		"staged unexpected":     {steps: []step{{L, none, errs.Precondition, both}}},
		"neither":               {steps: []step{{none, none, errs.Usage, both}}},

		"no live: do":            {noLive: true, steps: []step{{none, S, 0, [2]string{"new", ""}}}},
		"no live: do again":      {noLive: true, steps: []step{{none, S, 0, [2]string{"new", ""}}, {none, S, 0, [2]string{"new", ""}}}},
		"no live: undo":          {noLive: true, steps: []step{{none, S, 0, [2]string{"new", ""}}, {S, none, 0, [2]string{"", "new"}}}},
		"no live: undo again":    {noLive: true, steps: []step{{none, S, 0, [2]string{"new", ""}}, {S, none, 0, [2]string{"", "new"}}, {S, none, 0, [2]string{"", "new"}}}},
		"no live: never began":   {noLive: true, steps: []step{{S, none, 0, [2]string{"", "new"}}}},
		"no live: one was named": {noLive: true, steps: []step{{other, S, errs.Precondition, [2]string{"", "new"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			var live uint64
			if !c.noLive {
				live = p.live("old")
			}
			staged := p.staged("new")
			for i, s := range c.steps {
				err := p.stager.Exchange(t.Context(), p.site, task, s.live(live, staged), s.staged(live, staged))
				if s.kind == errs.Failed && err != nil || s.kind != errs.Failed && !errs.Is(err, s.kind) {
					t.Errorf("step %d: error = %v, want kind %v", i, err, s.kind)
				}
				p.want(s.after[0], s.after[1])
			}
		})
	}
}

func TestUndoMakesTheStagingDirectoryAgain(t *testing.T) {
	p := newPlace(t)
	live := p.live("new")
	if err := p.stager.Exchange(t.Context(), p.site, task, live, 0); err != nil {
		t.Fatal(err)
	}
	p.want("", "new")
}

func TestExchangeRefusesWhatIsNoDirectory(t *testing.T) {
	p := newPlace(t)
	staged := p.staged("new")
	if err := os.Symlink("/etc", p.www+"/x"); err != nil {
		t.Fatal(err)
	}
	err := p.stager.Exchange(t.Context(), p.site, task, 0, staged)
	if !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
		t.Errorf("a link as the live directory: error = %v", err)
	}
}

func TestRemove(t *testing.T) {
	p := newPlace(t)
	live := p.live("old")
	staged := p.staged("new")
	if _, err := p.stager.Remove(t.Context(), p.site, task, staged); !errs.Is(err, errs.Precondition) {
		t.Errorf("the live directory is another one: error = %v", err)
	}
	p.want("old", "new")
	if err := p.stager.Exchange(t.Context(), p.site, task, live, staged); err != nil {
		t.Fatal(err)
	}
	if _, err := p.stager.Remove(t.Context(), p.site, task, live); !errs.Is(err, errs.Precondition) {
		t.Errorf("the old site would have gone: error = %v", err)
	}
	p.want("new", "old")
	for i, want := range []bool{true, false, false} {
		existed, err := p.stager.Remove(t.Context(), p.site, task, staged)
		if err != nil || existed != want {
			t.Errorf("remove %d = %v, %v", i, existed, err)
		}
	}
	p.want("new", "")
	if _, err := os.Stat(p.stagingDir()); !errors.Is(err, os.ErrNotExist) {
		t.Error("the staging directory is still there")
	}
}

func TestRemoveWithoutALiveDirectory(t *testing.T) {
	p := newPlace(t)
	staged := p.staged("new")
	if _, err := p.stager.Remove(t.Context(), p.site, task, staged); !errs.Is(err, errs.Precondition) {
		t.Errorf("a live directory was expected: error = %v", err)
	}
	if existed, err := p.stager.Remove(t.Context(), p.site, task, 0); err != nil || !existed {
		t.Errorf("remove = %v, %v", existed, err)
	}
}

// What another user made under the name of a staging directory is neither entered nor removed.
func TestForeignStagingDirectories(t *testing.T) {
	elsewhere := t.TempDir()
	for name, make := range map[string]func(path string) error{
		"link":            func(path string) error { return os.Symlink(elsewhere, path) },
		"file":            func(path string) error { return os.WriteFile(path, nil, 0o700) },
		"open to others":  func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o755)) },
		"somebody else's": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chown(path, 65534, 65534)) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "somebody else's" && os.Geteuid() != 0 {
				t.Log("only root can make a directory of another user; the other cases hold for everybody")
				return
			}
			p := newPlace(t)
			live := p.live("old")
			if err := make(p.stagingDir()); err != nil {
				t.Fatal(err)
			}
			if _, err := p.stager.Fill(t.Context(), p.site, task, func(*os.Root) error { return nil }); !errs.Is(err, errs.Precondition) {
				t.Errorf("fill: error = %v", err)
			}
			if _, err := p.stager.Remove(t.Context(), p.site, task, live); !errs.Is(err, errs.Precondition) {
				t.Errorf("remove: error = %v", err)
			}
			if err := p.stager.Exchange(t.Context(), p.site, task, live, 0); !errs.Is(err, errs.Precondition) {
				t.Errorf("exchange: error = %v", err)
			}
			if _, err := os.Lstat(p.stagingDir()); err != nil {
				t.Errorf("it was removed: %v", err)
			}
			p.want("old", "")
		})
	}
}

func TestTasksDoNotMeet(t *testing.T) {
	p := newPlace(t)
	p.live("old")
	p.staged("new")
	if _, _, err := p.stager.Open(p.site, "T2"); !errs.Is(err, errs.NotFound) {
		t.Errorf("the staged tree of another task: error = %v", err)
	}
	for _, bad := range []string{"", "../x", "a/b"} {
		if _, err := p.stager.Remove(t.Context(), p.site, bad, 0); !errs.Is(err, errs.Usage) {
			t.Errorf("task %q: error = %v", bad, err)
		}
	}
	dir, around, err := p.stager.Open(p.site, task)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := around.Stat(p.site.Base()); err != nil || !info.IsDir() {
		t.Errorf("around the staged tree: %v, %v", info, err)
	}
	_ = errors.Join(dir.Close(), around.Close())
}

// A call that comes again while the first still works waits for it: otherwise
// the first one's cleaning up would remove what the second one makes.
func TestCallsForOneTaskTakeTurns(t *testing.T) {
	p := newPlace(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := p.stager.Fill(context.Background(), p.site, task, func(*os.Root) error {
			close(begun)
			<-goOn
			return errors.New("the connection broke")
		})
		if err == nil {
			t.Error("the first call did not fail")
		}
	})
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.stager.Remove(ctx, p.site, task, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second call did not wait: error = %v", err)
	}
	wg.Go(func() { time.Sleep(20 * time.Millisecond); close(goOn) })
	p.staged("second")
	wg.Wait()
	p.want("", "second")
}

func TestRemoveOpensLockedDirectories(t *testing.T) {
	p := newPlace(t)
	_, err := p.stager.Fill(t.Context(), p.site, task, func(dir *os.Root) error {
		return errors.Join(dir.Mkdir("a", 0o755), dir.WriteFile("a/f", nil, 0o644), dir.Chmod("a", 0o500))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.stager.Remove(t.Context(), p.site, task, 0); err != nil {
		t.Error(err)
	}
	if names, err := filepath.Glob(p.www + "/.sitekeep-*"); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

// TestRefillKeepsWhatCame when a connection breaks, and only then; what was staged as a whole is never gone on with.
func TestRefillKeepsWhatCame(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		kept bool
	}{
		"the connection breaks":  {errs.New(errs.Unreachable, "", "reset"), true},
		"the caller goes away":   {context.Canceled, true},
		"there is no room":       {errs.New(errs.NoSpace, "", "full"), false},
		"the frames are damaged": {errs.New(errs.Corrupt, "", "hash"), false},
		"it is finished":         {nil, false},
	} {
		p := newPlace(t)
		_, err := p.stager.Refill(t.Context(), p.site, task, func(dir *os.Root) error {
			return errors.Join(dir.Mkdir("sub", 0o500), dir.WriteFile("half", []byte("came"), 0o600), c.err)
		})
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
		var kept bool
		_, err = p.stager.Refill(t.Context(), p.site, task, func(dir *os.Root) error {
			_, statErr := dir.Stat("half")
			kept = statErr == nil
			return dir.WriteFile("index", []byte("new"), 0o644)
		})
		if err != nil || kept != c.kept {
			t.Errorf("%s: kept: %v, %v", name, kept, err)
		}
		p.want("", "new")
	}
}
