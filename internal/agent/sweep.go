package agent

import (
	"context"
	"time"
)

// sweepEvery is how late a lease that ran out may be ended.
const sweepEvery = 2 * time.Second

// Sweep ends maintenance whose lease has run out, at once and then again and
// again until ctx ends: a site is not left down by a master that died.
func (a *Agent) Sweep(ctx context.Context) {
	if a.web == nil {
		return
	}
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	failing := ""
	for {
		failing = a.sweepOnce(ctx, failing)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweepOnce tells of the same failure once.
func (a *Agent) sweepOnce(ctx context.Context, failing string) string {
	ended, err := a.web.SweepMaintenance(ctx, a.now())
	for _, m := range ended {
		a.log.Warn("the lease of a maintenance has run out; the site serves again", "site", m.Name, "task", m.Owner, "until", m.Until)
	}
	if err == nil || ctx.Err() != nil {
		return ""
	}
	if err.Error() != failing {
		a.log.Error("maintenance leases cannot be looked at", "error", err)
	}
	return err.Error()
}
