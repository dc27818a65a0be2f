package main

import (
	"context"
	"errors"
	"fmt"
)

// Figures of resident sets.
const (
	masterMiB = "master MiB"
	webMiB    = "web agent MiB"
	dbMiB     = "db agent MiB"
)

const (
	oneSite   = "one site"
	fourSites = "four sites at once"
)

// The goals for resident sets, in MiB.
const (
	agentLimit       = 96
	agentAim         = 64
	masterLimit      = 48
	masterMoreASite  = 8
	sitesMoreThanOne = 3
)

func rowMemory(ctx context.Context, w *world) (*row, error) {
	r := newRow(masterMiB, webMiB, dbMiB)
	if w.options.peers {
		return r, nil
	}
	s, err := w.ownSitekeep(ctx, "memory", nil)
	if err != nil {
		return nil, err
	}
	// Four sites, which are one, so that they cost no room.
	database, err := w.database()
	if err != nil {
		return nil, err
	}
	var sites []string
	for i := range 1 + sitesMoreThanOne {
		name := fmt.Sprintf("memory%d.bench.example.com", i)
		sites = append(sites, name)
		err := s.add(ctx, name, "--db", server(s.db), "--root", w.site, "--kind", "generic", "--database", database, "--vhost", "external")
		if err != nil {
			return nil, err
		}
	}
	r.add(oneSite, s.freshSide("--full", sites[:1]...), nil)
	r.add(fourSites, s.freshSide("--full", sites...), nil)
	r.want(
		within(webMiB, oneSite, agentLimit), within(webMiB, oneSite, agentAim).named("the aim"),
		within(dbMiB, oneSite, agentLimit), within(dbMiB, oneSite, agentAim).named("the aim"),
		within(masterMiB, oneSite, masterLimit), beyond(masterMiB, fourSites, oneSite, sitesMoreThanOne*masterMoreASite))
	return r, nil
}

// freshSide backs up in processes that did nothing before.
func (s *sitekeep) freshSide(how string, sites ...string) *side {
	return &side{
		prepare: s.restart,
		work: func(ctx context.Context, m *meter) error {
			return s.run(ctx, m, append([]string{"backup", "-m", "bench", how}, sites...)...)
		},
		check: func(ctx context.Context, m *meter) error {
			var errs []error
			for _, site := range sites {
				errs = append(errs, s.checked(ctx, m, site), s.forget(ctx, site))
			}
			return errors.Join(errs...)
		},
	}
}
