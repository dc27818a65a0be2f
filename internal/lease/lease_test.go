package lease_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/lease"
)

func TestRenewsUntilStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renewed := 0
		k := &lease.Keeper{Every: time.Second, Renew: func(context.Context) error { renewed++; return nil },
			Lost: func(err error) { t.Errorf("lost: %v", err) }}
		k.Keep(t.Context())
		k.Keep(t.Context())
		time.Sleep(3500 * time.Millisecond)
		k.Stop()
		k.Stop()
		time.Sleep(5 * time.Second)
		if renewed != 3 {
			t.Fatalf("renewed %d times, want 3", renewed)
		}
	})
}

func TestATemporaryErrorIsTriedAgainAndALastingOneEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []error{errs.New(errs.Unreachable, "", "away"), nil, errs.New(errs.NotFound, "", "ran out"), nil}
		calls := 0
		var lost error
		k := &lease.Keeper{Every: time.Second, Lost: func(err error) { lost = err },
			Renew: func(context.Context) error { calls++; return answers[calls-1] }}
		k.Keep(t.Context())
		time.Sleep(10 * time.Second)
		k.Stop()
		if calls != 3 || !errs.Is(lost, errs.NotFound) {
			t.Fatalf("calls = %d, lost = %v", calls, lost)
		}
	})
}

func TestTheEndOfTheContextIsNoLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		k := &lease.Keeper{Every: time.Second, Lost: func(err error) { t.Errorf("lost: %v", err) },
			Renew: func(ctx context.Context) error { <-ctx.Done(); return errors.New("cut") }}
		k.Keep(ctx)
		time.Sleep(1500 * time.Millisecond)
		cancel()
		k.Stop()
	})
}
