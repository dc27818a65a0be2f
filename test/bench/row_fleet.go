package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/test/fleet"
)

const (
	fleetAgents = 20
	fleetSites  = 500
	fleetKills  = 50

	sitesAMinute = "sites/min"
	atOnce       = "at once"   // most tasks that ran together, by the queue's records
	onAgent      = "per agent" // of one agent
	onDatabase   = "per db"    // of the database server
	rssGrowth    = "grew MiB"  // the master's resident set, from a third of the run to its end
	pageP95      = "page p95 ms"
)

const (
	nothingElse = "the page alone"
	fleetRun    = "backup --all"
	fleetKilled = "backup --all, master killed"
)

// rowFleet backs many small sites up at once, and asks for another site's page meanwhile.
func rowFleet(ctx context.Context, w *world) (*row, error) {
	r := newRow(sitesAMinute, masterMiB, rssGrowth, atOnce, onAgent, onDatabase, pageP95)
	if w.options.peers {
		return r, nil
	}
	f, err := w.newFleet(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := w.openSitekeep(ctx); err != nil { // it serves the page
		return nil, err
	}
	runs := 0
	r.add(nothingElse, &side{work: func(ctx context.Context, m *meter) error {
		return w.visit(ctx, m, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Second):
			}
			return ctx.Err()
		})
	}}, nil)
	r.add(fleetRun, &side{
		work: func(ctx context.Context, m *meter) error {
			runs++
			return w.visit(ctx, m, func(ctx context.Context) error { return backUpFleet(ctx, m, f) })
		},
		check: func(ctx context.Context, m *meter) error {
			ran, err := f.Ran(ctx)
			if err != nil {
				return err
			}
			m.note(atOnce, float64(ran.Total))
			m.note(onAgent, float64(ran.PerAgent))
			m.note(onDatabase, float64(ran.PerDatabaseServer))
			return f.Judge(ctx, runs)
		},
	}, nil)
	r.want(ratio(pageP95, fleetRun, nothingElse, 1.20), within(atOnce, fleetRun, 8), within(onAgent, fleetRun, 2), within(onDatabase, fleetRun, 2),
		within(rssGrowth, fleetRun, 8))
	return r, nil
}

// rowFleetKills does it with a master that dies again and again.
func rowFleetKills(ctx context.Context, w *world) (*row, error) {
	const kills = "kills"
	r := newRow(kills, "rounds")
	if w.options.peers {
		return r, nil
	}
	f, err := w.newFleet(ctx)
	if err != nil {
		return nil, err
	}
	all := 0
	r.add(fleetKilled, &side{
		work: func(ctx context.Context, m *meter) error {
			rounds, err := f.BackUpUnderKills(ctx, fleetKills, rand.New(rand.NewPCG(corpusSeed, uint64(all))))
			all += rounds
			m.note(kills, fleetKills)
			m.note("rounds", float64(rounds))
			return err
		},
		check: func(ctx context.Context, _ *meter) error { return f.Judge(ctx, all) },
	}, nil)
	return r, nil
}

func (w *world) newFleet(ctx context.Context) (*fleet.Fleet, error) {
	f, err := fleet.New(ctx, w.bed, fleet.Options{Agents: fleetAgents, Sites: fleetSites, DB: w.db, Web: w.web})
	if err != nil {
		return nil, err
	}
	w.atRowEnd(f.Stop)
	return f, nil
}

// backUpFleet backs all sites up, and follows the master's resident set.
func backUpFleet(ctx context.Context, m *meter, f *fleet.Fleet) error {
	if err := m.watch(daemon{pid: f.Master.Pid(), label: "master"}); err != nil {
		return err
	}
	sizes, stop := make(chan []int64, 1), make(chan struct{})
	go func() { sizes <- residentSets(f.Master.Pid(), stop) }()
	began := time.Now()
	err := f.BackUp(ctx)
	m.note(sitesAMinute, float64(len(f.Sites))/time.Since(began).Minutes())
	close(stop)
	if seen := <-sizes; len(seen) > 3 {
		// What serving needs has come by a third of the run.
		m.note(rssGrowth, mebibytes(top(seen[len(seen)*2/3:])-top(seen[:len(seen)/3])))
	}
	return err
}

// residentSets looks at a process four times a second.
func residentSets(pid int, stop <-chan struct{}) (seen []int64) {
	for {
		var pages, resident int64
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)); err == nil {
			if _, err := fmt.Sscan(string(text), &pages, &resident); err == nil {
				seen = append(seen, resident*int64(os.Getpagesize()))
			}
		}
		select {
		case <-stop:
			return seen
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func top(list []int64) (most int64) {
	for _, n := range list {
		most = max(most, n)
	}
	return most
}

const visitEvery = 10 * time.Millisecond

// visit asks for the page of the world's site while beside runs, and notes what 95 of 100 answers took at most.
func (w *world) visit(ctx context.Context, m *meter, beside func(context.Context) error) error {
	visiting, leave := context.WithCancel(ctx)
	done := make(chan result, 1)
	var took []float64
	go func() {
		done <- repeat(visiting, func(ctx context.Context) error {
			began := time.Now()
			res, err := w.web.Get(ctx, w.domain, "/")
			if err == nil && (res.Status != http.StatusOK || !strings.HasPrefix(res.Body, "posts: ")) {
				err = fmt.Errorf("the page is %d %q", res.Status, res.Body)
			}
			if err == nil {
				took = append(took, float64(time.Since(began).Microseconds())/1000)
			}
			time.Sleep(visitEvery)
			return err
		})
	}()
	err := beside(ctx)
	leave()
	if r := <-done; err == nil {
		err = r.err
	}
	if err == nil && len(took) < 100 {
		err = fmt.Errorf("only %d pages came", len(took))
	}
	if err == nil {
		m.note(pageP95, percentile(took, 95))
	}
	return err
}

// percentile is the smallest of the values that so many of 100 do not exceed.
func percentile(values []float64, of int) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)*of+99)/100-1]
}
