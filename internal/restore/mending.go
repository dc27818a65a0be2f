package restore

import (
	"context"
	"sync"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// mendingTime is for how long an undo or a clean-up waits for a file system that does not work, or has no room, before
// it takes a person to say so: long enough for a remount, a file system check or a reboot by whoever is on call.
const mendingTime = time.Hour

// mending judges what may pass of the errors of an undo or a clean-up. That an agent is away may take for ever. That its
// file system fails is waited for too, for mendingTime after the last act that succeeded. Anything else needs a person.
type mending struct {
	mu     sync.Mutex
	since  time.Time
	waited time.Duration
}

// unmounted is what to say of a web server on which nothing of a site is left that was there when the restore began: while
// its file system is not mounted there is only an empty directory, in which nothing is to be removed.
func (r *run) unmounted() error {
	return errs.New(errs.Storage, "mount the file system that holds "+r.basis.Site.Root+"; if all is gone for good, make that directory, empty",
		"neither %s nor what was staged beside it is there", r.basis.Site.Root)
}

// mounted fails while nothing is left of a site on a web server. It is for steps that began with a live directory, before
// they bring back or remove what they keep beside it: where nothing is, that would count as done.
func (r *run) mounted(ctx context.Context, web Web) error {
	state, err := web.InspectTree(ctx, r.ref(), r.task)
	if err == nil && state.LiveInode == 0 && state.StagedInode == 0 {
		return r.unmounted()
	}
	return err
}

// dropStaging removes what a step has kept beside a live directory.
func (r *run) dropStaging(ctx context.Context, _ string, web Web) error {
	if err := r.mounted(ctx, web); err != nil {
		return err
	}
	return web.RemoveStaging(ctx, r.ref(), r.task, 0)
}

// mayPass is called from several goroutines.
func (m *mending) mayPass(err error, now time.Time) bool {
	if !errs.Is(err, errs.Storage) && !errs.Is(err, errs.NoSpace) {
		return errs.Temporary(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since.IsZero() {
		m.since, m.waited = now, 0
	}
	return max(m.waited, now.Sub(m.since)) < mendingTime
}

// waits adds a pause: a clock that was set back must not prolong the waiting.
func (m *mending) waits(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waited += d
}

// gotOn begins the time anew.
func (m *mending) gotOn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.since = time.Time{}
}
