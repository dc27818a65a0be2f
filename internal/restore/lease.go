package restore

import (
	"context"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

const (
	// leaseTime is how long a site stays in maintenance after the master was last heard of, as long as nothing was exchanged.
	leaseTime = 2 * time.Minute
	// heldLease is for the time after the exchange: only the saga ends the maintenance then, however long the master is away.
	heldLease = 30 * 24 * time.Hour
	// renewEvery leaves room for several tries within leaseTime.
	renewEvery = leaseTime / 6
)

// renewTimeout bounds one renewal. It is not cut short by the end of the renewing: an answer that nobody waits for
// could put the short lease in place of one that was taken since.
const renewTimeout = 15 * time.Second

func (r *run) renewLease(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewTimeout)
	defer cancel()
	return r.eachWebOf(ctx, r.basis.bothPlaces(), func(ctx context.Context, server string, web Web) error {
		return web.RenewMaintenance(ctx, r.refOn(server), r.task, leaseTime)
	})
}

// letGo is the reverse of holdLease, for a server on which everything is as it was: should nobody come to end the
// maintenance, it ends by itself. Nothing may be held there.
func (r *run) letGo(ctx context.Context, web Web) error {
	err := web.RenewMaintenance(ctx, r.ref(), r.task, leaseTime)
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// holdLease makes the lease one that does not run out by itself.
func (r *run) holdLease(ctx context.Context, web Web) error {
	r.lease.Stop()
	return web.RenewMaintenance(ctx, r.ref(), r.task, heldLease)
}
