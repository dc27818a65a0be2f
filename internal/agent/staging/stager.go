package staging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
)

// Stager does one thing at a time in a task's staging directory: a call that
// comes again after its connection broke waits until the first has cleaned up.
// The zero Stager is ready.
type Stager struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when free
}

// State is what there is of a site's directory.
type State struct {
	Live, Staged          uint64 // inodes, 0: there is none
	FreeBytes, FreeInodes uint64 // FreeInodes is 0 where they are not counted
	Empty                 bool   // there is a live directory, and nothing in it
	NoParent              bool   // the directory that the live one lies in is not there
}

// Inspect looks at the live and the staged tree and at the room for them.
// A staged tree that was not finished is not reported. Without a task there is none.
func (s *Stager) Inspect(site *guard.Site, task string) (State, error) {
	var st State
	room, err := site.Room()
	if err != nil {
		return st, err
	}
	defer room.Close()
	if st.FreeBytes, st.FreeInodes, err = Free(room); err != nil {
		return st, fmt.Errorf("room for %s: %w", site.Root, err)
	}
	a, err := look(site, task)
	if errs.Is(err, errs.NotFound) {
		st.NoParent = true
		return st, nil
	}
	if err != nil {
		return st, err
	}
	defer a.close()
	if st.Live, st.Staged, err = a.inodes(); err != nil || st.Live == 0 {
		return st, err
	}
	st.Empty, err = a.empty()
	return st, err
}

// empty reports whether nothing is in the live directory.
func (a *area) empty() (bool, error) {
	dir, err := a.parent.Open(a.site.Base())
	if err != nil {
		return false, a.explain("look into the site's directory", err)
	}
	defer dir.Close()
	_, err = dir.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

func (a *area) inodes() (live, staged uint64, err error) {
	live, liveErr := a.live()
	staged, stagedErr := a.staged()
	return live, staged, errors.Join(liveErr, stagedErr)
}

// Free returns how many bytes and inodes an unprivileged user may still use.
func Free(dir *os.Root) (bytes, inodes uint64, err error) {
	var st unix.Statfs_t
	if err := withFD(dir, func(fd int) error { return unix.Fstatfs(fd, &st) }); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Frsize), st.Ffree, nil
}

// Remove removes the task's staging directory with all that is in it. If live
// is not 0 and the live directory has another inode, nothing is removed: what
// lies in staging may then be the site. What is not there is no error.
func (s *Stager) Remove(ctx context.Context, site *guard.Site, task string, live uint64) (existed bool, err error) {
	release, err := s.acquire(ctx, site, task)
	if err != nil {
		return false, err
	}
	defer release()
	a, err := open(site, task)
	if errs.Is(err, errs.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer a.close()
	if a.dir == nil {
		return false, nil
	}
	now, err := a.live()
	if err != nil {
		return false, err
	}
	if live != 0 && now != live {
		return false, errs.New(errs.Precondition, "look which of the two directories is the site before anything is removed",
			"the live directory %s has inode %d in place of %d, so %s is not removed", site.Root, now, live, a.name)
	}
	return true, a.clear()
}

// clear removes the staging directory for good.
func (a *area) clear() error {
	removeFiles(a.dir)
	err := a.dir.RemoveAll(a.site.Base())
	if err != nil { // directories without the right to write: only root passes them
		openUp(a.dir)
	}
	if err := a.parent.RemoveAll(a.name); err != nil {
		return a.explain("remove staging directory", err)
	}
	return syncDir(a.parent)
}

func (s *Stager) acquire(ctx context.Context, site *guard.Site, task string) (release func(), err error) {
	key := site.Root + "\x00" + task
	for {
		busy := s.take(key)
		if busy == nil {
			return func() { s.free(key) }, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, fmt.Errorf("an earlier call for task %s still works in its staging directory: %w", task, ctx.Err())
		}
	}
}

func (s *Stager) take(key string) (busy <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held := s.held[key]; held != nil {
		return held
	}
	if s.held == nil {
		s.held = map[string]chan struct{}{}
	}
	s.held[key] = make(chan struct{})
	return nil
}

func (s *Stager) free(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.held[key])
	delete(s.held, key)
}
