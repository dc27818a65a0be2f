package restore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// Waits between two attempts at an upload that broke.
const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// attempt is one try at an upload. It tells how far it got, in frames; more is better.
type attempt func(ctx context.Context) (reached int64, err error)

// persist tries an upload again whose connection broke, until none of its attempts has got further for the time that
// Deps.RetryFor gives. The site is untouched and serves all the while. What an attempt does must be repeatable.
func (r *run) persist(ctx context.Context, what, server string, try attempt) error {
	var since time.Time
	best, failed := int64(-1), 0
	for {
		reached, err := try(ctx)
		if err == nil || ctx.Err() != nil || !errs.Temporary(err) || r.retryFor <= 0 {
			return err
		}
		now := r.now()
		if since.IsZero() || reached > best {
			best, failed, since = reached, 0, now
		}
		left := r.retryFor - now.Sub(since)
		if left <= 0 {
			return errs.GaveUp(fmt.Errorf("%s: gave up after %s without getting on: %w", what, r.retryFor, err))
		}
		wait := min(backoff(failed), left)
		failed++
		r.log.Log(model.LevelWarn, "%s: connection to %s lost, trying again in %s: %v", what, server, wait.Round(time.Millisecond), err)
		if err := r.pause(ctx, wait); err != nil {
			return err
		}
	}
}

// backoff doubles with every failure; half of it is chance, so that many uploads do not come back at once.
func backoff(failures int) time.Duration {
	d := lastPause
	if failures < 5 {
		d = firstPause << failures
	}
	return d/2 + rand.N(d/2+1)
}

// whole is an attempt that always begins with the first frame.
func whole(send func(ctx context.Context, counted func(Frames) Frames) error) attempt {
	return func(ctx context.Context) (int64, error) {
		var sent atomic.Int64
		err := send(ctx, func(frames Frames) Frames {
			return func(yield func(*archive.Frame, error) bool) {
				for f, err := range frames {
					if !yield(f, err) {
						return
					}
					sent.Add(1)
				}
			}
		})
		return sent.Load(), err
	}
}
