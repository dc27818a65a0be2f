// Package lease keeps something alive by renewing it from time to time. It
// refuses to know what the thing is.
package lease

import (
	"context"
	"sync"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Keeper renews until it is stopped. Its fields must not change while it runs.
type Keeper struct {
	// Every is the time between two renewals; leave room for several within the lease.
	Every time.Duration
	// Renew prolongs the lease. A temporary error is tried again at the next time.
	Renew func(ctx context.Context) error
	// Lost is called, once, when Renew has failed for good, and the renewing ends.
	Lost func(err error)

	mu   sync.Mutex
	end  context.CancelFunc // nil while nothing is kept
	done chan struct{}
}

// Keep begins to renew, until Stop is called or ctx ends. While it runs already it does nothing.
func (k *Keeper) Keep(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.end != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	k.end, k.done = cancel, make(chan struct{})
	go k.renewing(ctx, k.done)
}

// Stop ends the renewing and waits for it. It may be called at any time, and again.
func (k *Keeper) Stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.end == nil {
		return
	}
	k.end()
	<-k.done
	k.end = nil
}

func (k *Keeper) renewing(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(k.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := k.Renew(ctx); err != nil && ctx.Err() == nil && !errs.Temporary(err) {
			k.Lost(err)
			return
		}
	}
}
