package saga_test

import (
	"context"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

// neighbour is the saga of one of two sites on the same servers.
type neighbour struct {
	f *sagatest.Faults
	w *restoreWorld
	j *sagatest.Journal
}

func (s *servers) neighbour(site string, faults ...sagatest.Fault) neighbour {
	f := sagatest.NewFaults(faults...)
	return neighbour{f, &restoreWorld{servers: s, f: f, site: site, want: "restored " + site}, sagatest.NewJournal(f)}
}

func (n neighbour) engine() *saga.Engine {
	return saga.New(saga.Options{
		Parallel: 1,
		Sleep:    func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
}

func (n neighbour) run() {
	n.engine().Run(context.Background(), n.j, n.w.Plan())
	n.f.Restart()
}

func (n neighbour) recover(t *testing.T) {
	t.Helper()
	o, err := n.engine().Recover(context.Background(), n.j, n.w.Plan())
	if !o.Final() || err != nil {
		t.Errorf("recovery of %s: %s, %v", n.w.site, o, err)
	}
}

// whole checks that the site is the old or the new one, and says if it is the new one.
func (n neighbour) whole(t *testing.T, old string) {
	t.Helper()
	is := n.w.of(n.w.site)
	want := "files \"restored " + n.w.site + "\", database \"restored " + n.w.site + "\", maintenance false, consistent true"
	if is != old && is != want {
		t.Errorf("%s is mixed: %s", n.w.site, is)
	}
}

const (
	oneSite   = "ab.org"
	otherSite = "a-b.org"
	oldOne    = `files "old ab", database "old ab", maintenance false, consistent true`
	oldOther  = `files "old a-b", database "old a-b", maintenance false, consistent true`
)

func places(site string) []string {
	n := newServers().neighbour(site)
	n.run()
	var out []string
	for _, v := range n.f.Visits() {
		out = append(out, v.Place)
	}
	return out
}

func crashAt(place string) sagatest.Fault { return sagatest.Fault{Place: place, Mode: sagatest.Crash} }

// A crashed saga and a whole one of a neighbour whose names run into its own.
func TestNeighbourRunsWhileOneIsDown(t *testing.T) {
	for _, place := range places(oneSite) {
		s := newServers()
		before := s.counts()
		one, other := s.neighbour(oneSite, crashAt(place)), s.neighbour(otherSite)
		one.run()
		other.run()
		one.recover(t)
		one.whole(t, oldOne)
		other.whole(t, "")
		if after := s.counts(); after != before || t.Failed() {
			t.Fatalf("crash at %s: %s before, %s after", place, before, after)
		}
	}
}

// Two crashed sagas, recovered in either order.
func TestNeighboursBothCrash(t *testing.T) {
	otherPlaces := places(otherSite)
	for i, place := range places(oneSite) {
		for k := i % 5; k < len(otherPlaces); k += 5 {
			s := newServers()
			before := s.counts()
			one, other := s.neighbour(oneSite, crashAt(place)), s.neighbour(otherSite, crashAt(otherPlaces[k]))
			one.run()
			other.run()
			first, second := one, other
			if k%2 == 0 {
				first, second = other, one
			}
			first.recover(t)
			second.recover(t)
			one.whole(t, oldOne)
			other.whole(t, oldOther)
			if after := s.counts(); after != before || t.Failed() {
				t.Fatalf("crashes at %s and %s: %s before, %s after", place, otherPlaces[k], before, after)
			}
		}
	}
}
