package restore

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// patient is a run whose clock goes on by its pauses alone.
func patient(retryFor time.Duration) *run {
	now := time.Unix(1e9, 0)
	return &run{log: &diary{}, retryFor: retryFor, now: func() time.Time { return now },
		pause: func(ctx context.Context, d time.Duration) error { now = now.Add(d); return context.Cause(ctx) }}
}

var errLost = errs.New(errs.Unreachable, "", "connection reset")

func TestUploadsPersist(t *testing.T) {
	const bound = 10 * time.Minute
	rows := map[string]struct {
		bound   time.Duration
		attempt func(n int) (int64, error)
		tries   int // 0: many
		gaveUp  bool
		fails   bool
	}{
		"it comes through":             {bound, func(int) (int64, error) { return 5, nil }, 1, false, false},
		"the third time":               {bound, func(n int) (int64, error) { return 0, failsUpTo(n, 2) }, 3, false, false},
		"it never gets on":             {bound, func(int) (int64, error) { return 3, errLost }, 0, true, true},
		"it gets on each time":         {bound, func(n int) (int64, error) { return int64(n), failsUpTo(n, 500) }, 501, false, false},
		"it fails for another reason":  {bound, func(int) (int64, error) { return 0, errs.New(errs.NoSpace, "", "full") }, 1, false, true},
		"nothing is to be tried again": {0, func(int) (int64, error) { return 0, errLost }, 1, false, true},
	}
	for name, c := range rows {
		r, n := patient(c.bound), 0
		begun := r.now()
		err := r.persist(t.Context(), "push files", "web1", func(context.Context) (int64, error) { n++; return c.attempt(n) })
		took := r.now().Sub(begun)
		if (err != nil) != c.fails || c.tries > 0 && n != c.tries || c.tries == 0 && n < 10 {
			t.Errorf("%s: %d tries, %v", name, n, err)
		}
		if c.gaveUp && (took != bound || errs.Temporary(err) || !errs.Is(err, errs.Unreachable)) {
			t.Errorf("%s: gave up after %s with %v (temporary: %v)", name, took, err, errs.Temporary(err))
		}
	}
}

func failsUpTo(n, last int) error {
	if n <= last {
		return errLost
	}
	return nil
}

func TestUploadsEndWithTheirTask(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	r, n := patient(time.Hour), 0
	err := r.persist(ctx, "push files", "web1", func(context.Context) (int64, error) {
		if n++; n == 3 {
			cancel(tasks.ErrCancelled)
		}
		return 0, errLost
	})
	if n != 3 || err == nil {
		t.Errorf("%d tries, %v", n, err)
	}
}

// cutAgent breaks uploads off so many times. From each of the first 40 that break one more frame has come.
type cutAgent struct {
	*webAgent
	cuts *int
	had  *uint64
}

type cutAgents struct {
	*world
	cuts int
	had  uint64
}

func (a *cutAgents) Web(ctx context.Context, server string) (Web, error) {
	web, err := a.world.Web(ctx, server)
	if err != nil {
		return nil, err
	}
	return &cutAgent{web.(*webAgent), &a.cuts, &a.had}, nil
}

func (a *cutAgent) WriteDelta(ctx context.Context, site model.SiteRef, task, format string, from DeltaSource) (model.StagedTree, error) {
	if *a.cuts > 0 {
		*a.cuts--
		const frames = 1000
		err := drained(from.ReadRuns(ctx, []archive.FrameRun{{First: *a.had, Count: frames - *a.had}}))
		*a.had = min(*a.had+1, 40)
		return model.StagedTree{}, errors.Join(errLost, err)
	}
	return a.webAgent.WriteDelta(ctx, site, task, format, from)
}

type cutDB struct {
	*dbAgent
	cuts *int
}

func (a *cutAgents) DB(context.Context, string) (DB, error) {
	return &cutDB{&dbAgent{a.world, "db1"}, &a.cuts}, nil
}

func (a *cutDB) Import(ctx context.Context, db model.NewDatabase, format string, frames Frames) (model.ImportSummary, error) {
	if *a.cuts > 0 {
		*a.cuts--
		next, stop := iter.Pull2(frames)
		defer stop()
		next()
		return model.ImportSummary{}, errLost
	}
	return a.dbAgent.Import(ctx, db, format, frames)
}

// TestAnUploadThatBreaksOff is gone on with for as long as that helps, and undone only then.
func TestAnUploadThatBreaksOff(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	for _, c := range []struct {
		cuts     int
		retryFor time.Duration
		succeeds bool
	}{{20, time.Minute, true}, {1, 0, true}, {1 << 30, time.Minute, false}} {
		g := r.newGame(quirks{})
		g.ticking = true
		m := g.master()
		m.deps.Agents, m.deps.RetryFor = &cutAgents{world: g.world, cuts: c.cuts}, c.retryFor
		_, err := m.restore(g.Context(), g.first(), g.q.request(g.rig.f.backup.ID, 0), g.log)
		if (err == nil) != c.succeeds {
			t.Errorf("%d cuts: %v\n%s", c.cuts, err, g.log)
			continue
		}
		g.ended("restore", err, o.old, o.new)
		if c.retryFor > 0 && !strings.Contains(g.log.String(), "trying again in") {
			t.Errorf("%d cuts: the log does not tell of them\n%s", c.cuts, g.log)
		}
	}
}
