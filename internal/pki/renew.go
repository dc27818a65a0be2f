package pki

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Renewer gets an agent's certificate renewed in time: when two thirds of its
// life are over, a random tenth of the life earlier so that a thousand agents
// do not come at once. Each renewal is with a new key.
type Renewer struct {
	// Live is the identity that is kept fresh.
	Live *LiveIdentity
	// Renew has the master sign the request csr (DER) and returns the
	// certificate (DER).
	Renew func(ctx context.Context, csr []byte) (cert []byte, err error)
	// Save keeps the new identity, usually with SaveIdentity.
	Save func(Identity) error
	// Notify is told of every attempt; may be nil.
	Notify func(Renewal)
	// Clock tells the time; nil is time.Now. Waiting is by timer, in pieces of
	// at most an hour, so that a clock that was set is noticed.
	Clock Clock
	// Random returns a number in [0,1); nil is math/rand/v2.
	Random func() float64
}

// Renewal is what came of one attempt.
type Renewal struct {
	// Err is nil if the new certificate is in use and saved. Otherwise the
	// renewer tries again at Next.
	Err      error
	NotAfter time.Time // of the certificate now in use
	Next     time.Time
}

const (
	renewRetryFirst = time.Minute
	renewRetryLast  = time.Hour
	renewLook       = time.Hour // the longest time between two looks at the clock
)

// Run renews until ctx ends, and then returns ctx's error. Failures are
// reported to Notify and tried again, with growing waits, for ever.
func (r Renewer) Run(ctx context.Context) error {
	failures := 0
	next := r.due()
	for {
		if err := r.waitUntil(ctx, next); err != nil {
			return err
		}
		err := r.Once(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failures++
			next = r.Clock.now().Add(r.backoff(failures))
		} else {
			failures, next = 0, r.dueAfter(r.longestWait())
		}
		r.notify(err, next)
	}
}

// Once renews now. The new certificate comes into use even if it could not be
// saved, which is an error all the same.
func (r Renewer) Once(ctx context.Context) error {
	id := r.Live.Identity()
	fresh, err := r.request(ctx, id)
	if err != nil {
		return r.failed(fmt.Errorf("renew the certificate of agent %s: %w", id.Name, err))
	}
	if err := r.Live.Replace(fresh); err != nil {
		return r.failed(fmt.Errorf("renew the certificate: the master's answer: %w", err))
	}
	return r.Save(fresh)
}

func (r Renewer) request(ctx context.Context, id Identity) (Identity, error) {
	key, err := NewKey()
	if err != nil {
		return Identity{}, err
	}
	csr, err := NewCSR(key)
	if err != nil {
		return Identity{}, err
	}
	id.Key = key
	id.Certificate, err = r.Renew(ctx, csr)
	return id, err
}

// failed adds the hint for an agent that has been away for too long.
func (r Renewer) failed(err error) error {
	_, end := r.life()
	if r.Clock.now().Before(end) {
		return err
	}
	return errs.New(errs.Permission, "join again with a new token: the certificate has run out",
		"%w (certificate expired at %s)", err, end.UTC().Format(time.RFC3339))
}

func (r Renewer) life() (begin, end time.Time) {
	cert, _ := r.Live.Current()
	return cert.Leaf.NotBefore, cert.Leaf.NotAfter
}

func (r Renewer) due() time.Time {
	begin, end := r.life()
	life := end.Sub(begin)
	return begin.Add(life*2/3 - time.Duration(r.random()*float64(life)/10))
}

// dueAfter is due, but not before d has passed: a master whose clock is wrong
// is not to be asked again and again.
func (r Renewer) dueAfter(d time.Duration) time.Time {
	if soonest := r.Clock.now().Add(d); soonest.After(r.due()) {
		return soonest
	}
	return r.due()
}

// longestWait is less than an hour for certificates of a short life.
func (r Renewer) longestWait() time.Duration {
	begin, end := r.life()
	return min(renewRetryLast, end.Sub(begin)/20)
}

// backoff grows from a minute to longestWait.
func (r Renewer) backoff(failures int) time.Duration {
	last := r.longestWait()
	d := min(renewRetryFirst, last)
	for range failures - 1 {
		d = min(2*d, last)
	}
	return d - time.Duration(r.random()*float64(d)/2)
}

func (r Renewer) waitUntil(ctx context.Context, t time.Time) error {
	for {
		d := min(t.Sub(r.Clock.now()), renewLook)
		if d <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(d)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

func (r Renewer) notify(err error, next time.Time) {
	if r.Notify != nil {
		_, end := r.life()
		r.Notify(Renewal{Err: err, NotAfter: end, Next: next})
	}
}

func (r Renewer) random() float64 {
	if r.Random == nil {
		return rand.Float64()
	}
	return r.Random()
}
