package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
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
	rssStart     = "start MiB" // the master's resident set before the run; master MiB is its peak
	pageP95      = "page p95 ms"
	pageAlone    = "alone p95 ms" // the same page before and after the run
	pageRatio    = "p95 ratio"    // of the two, in one round
)

const (
	fleetRun    = "backup --all"
	fleetKilled = "backup --all, master killed"
)

// rowFleet backs many small sites up at once, gently as agents do by themselves, and visits another site on the same
// machine before, meanwhile and after. Run it at the usual priority: what is measured is who goes first.
func rowFleet(ctx context.Context, w *world) (*row, error) {
	r := newRow(sitesAMinute, rssStart, masterMiB, rssGrowth, atOnce, onAgent, onDatabase, pageAlone, pageP95, pageRatio)
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
	r.add(fleetRun, &side{
		work: func(ctx context.Context, m *meter) error {
			runs++
			return w.visitedMeanwhile(ctx, m, func(ctx context.Context) error { return backUpFleet(ctx, m, f) })
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
	r.want(within(pageRatio, fleetRun, 1.20), within(atOnce, fleetRun, 8), within(onAgent, fleetRun, 2), within(onDatabase, fleetRun, 2),
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
	if size, err := residentSet(f.Master.Pid()); err == nil {
		m.note(rssStart, mebibytes(size))
	}
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
		if size, err := residentSet(pid); err == nil {
			seen = append(seen, size)
		}
		select {
		case <-stop:
			return seen
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// residentSet is a process's, in bytes: statm of proc(5) has it in pages, after the size of all.
func residentSet(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var pages, resident int64
	_, err = fmt.Sscan(string(text), &pages, &resident)
	return resident * int64(os.Getpagesize()), err
}

func top(list []int64) (most int64) {
	for _, n := range list {
		most = max(most, n)
	}
	return most
}
