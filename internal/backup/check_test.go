package backup_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// fullStore is on a disk without any room left.
type fullStore struct{ *store.Local }

type fullPending struct {
	store.Pending
	file *os.File
}

func (s *fullStore) Create(ctx context.Context, id, format string, estimate int64) (store.Pending, error) {
	p, err := s.Local.Create(ctx, id, format, estimate)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/full", unix.O_RDWR, 0)
	return &fullPending{p, os.NewFile(uintptr(fd), p.File().Name())}, err
}

func (p *fullPending) File() *os.File { return p.file }

func (p *fullPending) Abort() error {
	_ = p.file.Close() // the second call finds it closed
	return p.Pending.Abort()
}

// queue runs tasks of all kinds of this package.
func (r *rig) queue() *tasks.Manager {
	r.Helper()
	checker := &backup.Checker{Backups: r.book, Store: r.shelf, Now: func() time.Time { return r.now }}
	m, err := tasks.New(tasks.Config{Catalogue: r.book, Kinds: map[model.TaskKind]tasks.Kind{
		model.TaskBackup: {Handler: backup.Handler(r.maker, r.book)},
		model.TaskCheck:  {Handler: checker.Handle, Reads: true},
	}})
	r.must(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx) }()
	r.Cleanup(func() { stop(); r.must(<-done) })
	return m
}

func (r *rig) task(q tasks.SubmitRequest) model.Task {
	r.Helper()
	m := r.queue()
	t, err := m.Submit(r.Context(), q)
	r.must(err)
	t, err = m.Wait(r.Context(), t.ID)
	r.must(err)
	return t
}

// check runs a check task over one backup and returns what it found.
func (r *rig) check(ids ...string) string {
	r.Helper()
	return r.task(tasks.SubmitRequest{Kind: model.TaskCheck, Spec: backup.CheckSpec{IDs: ids, ReadData: true}}).Error
}

func TestCheck(t *testing.T) {
	r := newRig(t)
	good, flipped, gone := r.made(), r.made(func(q *backup.Request) { q.Full = true }), r.made()
	if problem := r.check(); problem != "" {
		t.Fatalf("three good ones: %s", problem)
	}
	r.flip(flipped.ID, flipped.Size/2)
	r.must(os.Remove(r.path(gone.ID)))
	problem := r.check()
	if !strings.Contains(problem, "2 of 3") {
		t.Errorf("found: %s", problem)
	}
	// The damaged ones are no base any more.
	base, err := r.book.LatestBase(t.Context(), r.site.Name, store.TarZst)
	if err != nil || base.ID != good.ID {
		t.Errorf("base %s, %v", base.ID, err)
	}
	if problem := r.check("example.com-20200101.000000"); problem == "" {
		t.Error("a backup that is not listed was checked")
	}
	if problem := r.check(good.ID); problem != "" {
		t.Errorf("the good one: %s", problem)
	}
}

func TestCheckFindsAnotherTarball(t *testing.T) {
	r := newRig(t)
	first := r.made()
	r.write("files/000.php", "other")
	second := r.made(func(q *backup.Request) { q.Full = true })
	r.must(os.Rename(r.path(second.ID), r.path(first.ID)))
	if problem := r.check(first.ID); !strings.Contains(problem, "1 of 1") {
		t.Errorf("found: %q", problem)
	}
	b, err := r.book.Backup(t.Context(), first.ID)
	r.must(err)
	if _, err := backup.OpenTarball(t.Context(), r.shelf, &b); !errs.Is(err, errs.Corrupt) {
		t.Errorf("opened: %v", err)
	}
}

// TestQuiesce: maintenance begins before anything is read, and ends whatever happens.
func TestQuiesce(t *testing.T) {
	broken := errs.New(errs.Failed, "", "it broke")
	for what, c := range map[string]struct {
		breaks string
		state  model.TaskState
	}{
		"well": {"", model.TaskSucceeded}, "the backup fails": {"tree", model.TaskFailed}, "it cannot begin on one server": {"begin web2", model.TaskFailed},
		"it cannot end on one server": {"end web1", model.TaskWarning},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.agents.Broken = func(call string) error {
				if call == c.breaks {
					return broken
				}
				return nil
			}
			got := r.task(tasks.SubmitRequest{Kind: model.TaskBackup, Site: r.site.Name, Spec: backup.Spec{Format: store.TarZst, Quiesce: true}})
			if got.State != c.state {
				t.Errorf("state %s: %s", got.State, got.Error)
			}
			calls := r.agents.Calls()
			count := map[string]int{}
			for _, call := range calls {
				count[call]++
			}
			if count["begin web1"] != 1 || count["begin web2"] != 1 || count["end web1"] != 1 || count["end web2"] != 1 {
				t.Errorf("calls: %v", calls)
			}
			if calls[0] != "begin web1" || calls[1] != "begin web2" {
				t.Errorf("something was read before the maintenance began: %v", calls[:3])
			}
			if last := calls[len(calls)-2:]; last[0] != "end web1" || last[1] != "end web2" {
				t.Errorf("something came after the maintenance ended: %v", last)
			}
		})
	}
}

func TestQuiesceEndsWithACancelledTask(t *testing.T) {
	r := newRig(t)
	m := r.queue()
	begun := make(chan struct{})
	asked := make(chan struct{})
	r.agents.Broken = func(call string) error {
		if call == "tree" {
			close(begun)
			<-asked
		}
		return nil
	}
	task, err := m.Submit(t.Context(), tasks.SubmitRequest{Kind: model.TaskBackup, Site: r.site.Name, Spec: backup.Spec{Format: store.TarZst, Quiesce: true}})
	r.must(err)
	<-begun
	_, err = m.Cancel(t.Context(), task.ID, "a test")
	r.must(err)
	close(asked)
	task, err = m.Wait(t.Context(), task.ID)
	r.must(err)
	if task.State != model.TaskCancelled {
		t.Errorf("state %s: %s", task.State, task.Error)
	}
	count := 0
	for _, call := range r.agents.Calls() {
		if strings.HasPrefix(call, "end ") {
			count++
		}
	}
	if count != 2 {
		t.Errorf("ended on %d servers: %v", count, r.agents.Calls())
	}
	r.nothing()
}

func TestSidecarRoundTrip(t *testing.T) {
	r := newRig(t)
	b := r.made()
	text, err := os.ReadFile(strings.TrimSuffix(r.path(b.ID), ".tar.zst") + ".manifest.json")
	if err != nil {
		t.Fatalf("%v; there is %v", err, r.left())
	}
	got, err := backup.ParseSidecar(text)
	r.must(err)
	listed, err := r.book.Backup(t.Context(), b.ID)
	r.must(err)
	if got.Digest != listed.Digest || got.Size != listed.Size || !got.CreatedAt.Equal(listed.CreatedAt) || got.Rows != listed.Rows || got.Description != listed.Description || got.ID != listed.ID {
		t.Errorf("sidecar %+v\nlisted %+v", got, listed)
	}
	if !strings.Contains(string(text), `"site_kind"`) || strings.Contains(strings.ToLower(string(text)), "password") {
		t.Errorf("sidecar:\n%s", text)
	}
	if _, err := backup.ParseSidecar([]byte("{")); err == nil {
		t.Error("half a sidecar was read")
	}
}

// TestSafety: one backup a task, pinned until it is unpinned.
func TestSafety(t *testing.T) {
	r := newRig(t)
	l := &backup.Library{Shelf: r.book, Store: r.shelf, Maker: r.maker}
	one, err := l.Safety(t.Context(), &r.site, "T1", "before", r.log)
	r.must(err)
	r.now = r.now.Add(time.Minute)
	again, err := l.Safety(t.Context(), &r.site, "T1", "before", r.log)
	r.must(err)
	other, err := l.Safety(t.Context(), &r.site, "T2", "before", r.log)
	r.must(err)
	if again.ID != one.ID || other.ID == one.ID || !one.Pinned || one.Origin != model.OriginSafety {
		t.Errorf("%s, %s, %s", one.ID, again.ID, other.ID)
	}
	r.must(l.UnpinSafety(t.Context(), r.site.Name, "T1"))
	r.must(l.UnpinSafety(t.Context(), r.site.Name, "T1"))
	r.must(l.UnpinSafety(t.Context(), r.site.Name, "T9"))
	for id, want := range map[string]bool{one.ID: false, other.ID: true} {
		if b, err := r.book.Backup(t.Context(), id); err != nil || b.Pinned != want {
			t.Errorf("%s pinned = %v, %v", id, b.Pinned, err)
		}
	}
}

// TestSafetyOfAFailedRestoreIsLetGoByTheNext: what a restore that failed has left pinned, the next one on the site lets
// go when it is confirmed; nothing newer, and nothing that somebody has pinned.
func TestSafetyOfAFailedRestoreIsLetGoByTheNext(t *testing.T) {
	r := newRig(t)
	l := &backup.Library{Shelf: r.book, Store: r.shelf, Maker: r.maker}
	want := map[string]bool{}
	for _, task := range []string{"FAILED", "PINNED", "NEXT", "NEWER"} {
		b, err := l.Safety(t.Context(), &r.site, task, "before", r.log)
		r.must(err)
		want[b.ID] = task == "PINNED" || task == "NEWER"
		if task == "PINNED" {
			yes, reason := true, "pinned by the gardener"
			_, err := r.book.UpdateBackup(t.Context(), b.ID, catalogue.BackupChange{Pinned: &yes, PinReason: &reason})
			r.must(err)
		}
		r.now = r.now.Add(time.Minute)
	}
	r.must(l.UnpinSafety(t.Context(), r.site.Name, "NEXT"))
	for id, pinned := range want {
		if b, err := r.book.Backup(t.Context(), id); err != nil || b.Pinned != pinned {
			t.Errorf("%s of task %s: pinned = %v, %v; want %v", id, b.TaskID, b.Pinned, err, pinned)
		}
	}
}
