package restore

import (
	"context"
	"time"
)

const (
	// leaseTime is how long a site stays in maintenance after the master was last heard of, as long as nothing was exchanged.
	leaseTime = 2 * time.Minute
	// heldLease is for the time after the exchange: only the saga ends the maintenance then, however long the master is away.
	heldLease = 30 * 24 * time.Hour
	// renewEvery leaves room for several tries within leaseTime.
	renewEvery = leaseTime / 6
)

func (r *run) renewLease(ctx context.Context) error {
	return r.eachWeb(ctx, func(ctx context.Context, _ string, web Web) error {
		return web.RenewMaintenance(ctx, r.ref(), r.task, leaseTime)
	})
}

// holdLease makes the lease one that does not run out by itself.
func (r *run) holdLease(ctx context.Context, web Web) error {
	r.lease.Stop()
	return web.RenewMaintenance(ctx, r.ref(), r.task, heldLease)
}
