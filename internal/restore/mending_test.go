package restore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// brokenDisk lets the exchange of trees, and the removal of what was staged, fail as on a file system that was shut down;
// or there is only the empty directory on which it is to be mounted.
type brokenDisk struct {
	*world
	broken func() bool
	empty  bool
}

func (d *brokenDisk) Web(ctx context.Context, server string) (Web, error) {
	web, err := d.world.Web(ctx, server)
	return &diskOf{web, d}, err
}

type diskOf struct {
	Web
	disk *brokenDisk
}

func (d *diskOf) fails() error {
	if d.disk.broken() {
		return errs.New(errs.Storage, "mend it", "input/output error")
	}
	return nil
}

func (d *diskOf) ExchangeTree(ctx context.Context, site model.SiteRef, task string, live, staged uint64) error {
	if err := d.fails(); err != nil {
		return err
	}
	return d.Web.ExchangeTree(ctx, site, task, live, staged)
}

func (d *diskOf) InspectTree(ctx context.Context, site model.SiteRef, task string) (model.TreeState, error) {
	if d.disk.empty && d.disk.broken() {
		return model.TreeState{}, nil
	}
	return d.Web.InspectTree(ctx, site, task)
}

func (d *diskOf) RemoveStaging(ctx context.Context, site model.SiteRef, task string, live uint64) error {
	if d.disk.empty && d.disk.broken() {
		return nil // there is nothing
	}
	if err := d.fails(); err != nil {
		return err
	}
	return d.Web.RemoveStaging(ctx, site, task, live)
}

// ExchangePaths and RevertSettings do on an empty directory what an agent does.
func (d *diskOf) ExchangePaths(ctx context.Context, site model.SiteRef, task string, paths []model.PathState, back bool) error {
	if d.disk.empty && d.disk.broken() {
		return errs.New(errs.Precondition, "restore the site as a whole", "root is not there")
	}
	return d.Web.ExchangePaths(ctx, site, task, paths, back)
}

func (d *diskOf) RevertSettings(ctx context.Context, site model.SiteRef, task string) error {
	if d.disk.empty && d.disk.broken() {
		return nil
	}
	return d.Web.RevertSettings(ctx, site, task)
}

// onABrokenDisk restores, with a disk that breaks when the site's page is asked for and works again after so many waits;
// 0: never.
func (r *rig) onABrokenDisk(waits int) (*game, error) {
	g := r.newGame(quirks{}, sagatest.Fault{Place: "web1 probe site", Mode: sagatest.Fail})
	broken := func() bool { return len(g.faults.Unhit()) == 0 && (waits == 0 || g.sleeps < waits) }
	m := g.master()
	m.deps.Agents = &brokenDisk{world: g.world, broken: broken}
	_, err := m.restore(g.Context(), g.first(), g.q.request(g.rig.f.backup.ID, grace), g.log)
	return g, err
}

// TestAFileSystemThatComesBack: an undo on a file system that was shut down, or mounted read-only, waits for it, says so,
// and comes to its end without a hand.
func TestAFileSystemThatComesBack(t *testing.T) {
	r := newRig(t)
	o := r.learn(quirks{})
	for _, waits := range []int{1, 30, 90} {
		g, err := r.onABrokenDisk(waits)
		if err == nil || !g.ended("restore", err, o.old, "") && strings.Contains(g.log.String(), "waiting, and trying again") != (waits > 20) {
			t.Errorf("after %d waits: %v\n%s", waits, err, g.log)
		}
	}
}

// someWaits are more than an act has that fails for good.
const someWaits = 20

// TestAFileSystemThatIsNotMounted: an undo does not take the empty directory for one from which all is removed.
func TestAFileSystemThatIsNotMounted(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		place string
		q     quirks
	}{
		{"web1 write settings 0/1", quirks{}},
		{"web1 exchange paths 0/1", quirks{part: Selected, paths: "files/*.php"}},
		{"web1 probe site", quirks{part: Selected, paths: "files/*.php"}},
		{"web1 switch settings 1/2", quirks{part: DatabaseOnly}},
		{"web1 probe site", quirks{part: DatabaseOnly}},
	} {
		o := r.learn(c.q)
		g := r.newGame(c.q, sagatest.Fault{Place: c.place, Mode: sagatest.Fail})
		m := g.master()
		m.deps.Agents = &brokenDisk{world: g.world, empty: true, broken: func() bool { return len(g.faults.Unhit()) == 0 && g.sleeps < someWaits }}
		_, err := m.restore(g.Context(), g.first(), g.q.request(g.rig.f.backup.ID, grace), g.log)
		if err == nil || g.ended("restore", err, o.old, "") || g.sleeps < someWaits {
			t.Errorf("%s, part %s, after %d waits: %v\n%s", c.place, c.q.part, g.sleeps, err, g.log)
		}
	}
}

// TestAFileSystemThatIsNotMountedAtTheEnd: nor does a clean-up.
func TestAFileSystemThatIsNotMountedAtTheEnd(t *testing.T) {
	r := newRig(t)
	for _, q := range []quirks{{}, {part: DatabaseOnly}, {part: Selected, paths: "files/*.php"}} {
		o := r.learn(q)
		g := r.newGame(q)
		m := g.master()
		m.deps.Agents = &brokenDisk{world: g.world, empty: true, broken: func() bool {
			return strings.Contains(g.log.String(), "end_maintenance: done") && g.sleeps < someWaits
		}}
		_, err := m.restore(g.Context(), g.first(), g.q.request(g.rig.f.backup.ID, 0), g.log)
		if !g.ended("restore", err, o.old, o.new) || g.sleeps < someWaits {
			t.Errorf("part %s, after %d waits: %v\n%s", q.part, g.sleeps, err, g.log)
		}
	}
}

// TestAFileSystemThatStaysBroken takes a person in the end, who is told what to do.
func TestAFileSystemThatStaysBroken(t *testing.T) {
	r := newRig(t)
	g, err := r.onABrokenDisk(0)
	var stuck *tasks.NeedsOperator
	if !errors.As(err, &stuck) || len(stuck.Commands) == 0 || g.sleeps < int(mendingTime/awayMost) {
		t.Fatalf("after %d waits: %v, %+v", g.sleeps, err, stuck)
	}
}

func TestWhatIsWaitedFor(t *testing.T) {
	at := time.Unix(1e9, 0)
	fault := errs.New(errs.Storage, "", "i/o error")
	var m mending
	for _, step := range []struct {
		err   error
		after time.Duration
		want  bool
	}{
		{errs.New(errs.Failed, "", "no"), 0, false}, {errs.New(errs.Precondition, "", "no"), 0, false},
		{errs.New(errs.Unreachable, "", "away"), 0, true}, {fault, 0, true}, {errs.New(errs.NoSpace, "", "full"), mendingTime - 1, true},
		{fault, mendingTime, false}, {errs.New(errs.Unreachable, "", "away"), mendingTime, true},
	} {
		if got := m.mayPass(step.err, at.Add(step.after)); got != step.want {
			t.Errorf("%v after %s: %v", step.err, step.after, got)
		}
	}
	m.gotOn()
	if !m.mayPass(fault, at.Add(2*mendingTime)) {
		t.Error("another fault after something succeeded is not waited for")
	}
	m.waits(mendingTime)
	if m.mayPass(fault, at) {
		t.Error("a clock that was set back prolongs the waiting")
	}
}
