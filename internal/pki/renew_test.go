package pki_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
)

// renewal is a Renewer in a synctest bubble, with its master.
type renewal struct {
	*testing.T
	ca       *pki.CA
	live     *pki.LiveIdentity
	validity time.Duration
	refuse   error
	saveFail error
	asked    []time.Time
	saved    int
	notes    []pki.Renewal
	random   float64
	shift    atomic.Int64 // of everybody's clock, in ns
}

func newRenewal(t *testing.T, validity time.Duration) *renewal {
	t.Helper()
	ca, err := pki.InitCA(t.TempDir(), "hub", time.Now())
	must(t, err)
	r := &renewal{T: t, ca: ca, validity: validity}
	key, err := pki.NewKey()
	must(t, err)
	csr, err := pki.NewCSR(key)
	must(t, err)
	cert, err := ca.SignAgent(csr, "web1", time.Now(), validity)
	must(t, err)
	r.live, err = pki.NewLiveIdentity(pki.Identity{Name: "web1", Key: key, Certificate: cert, CA: ca.Certificate().Raw})
	must(t, err)
	return r
}

func (r *renewal) now() time.Time { return time.Now().Add(time.Duration(r.shift.Load())) }

func (r *renewal) sign(_ context.Context, csr []byte) ([]byte, error) {
	r.asked = append(r.asked, time.Now())
	if r.refuse != nil {
		return nil, r.refuse
	}
	return r.ca.SignAgent(csr, "web1", r.now(), r.validity)
}

func (r *renewal) renewer() pki.Renewer {
	return pki.Renewer{
		Live: r.live, Renew: r.sign,
		Save:   func(pki.Identity) error { r.saved++; return r.saveFail },
		Notify: func(n pki.Renewal) { r.notes = append(r.notes, n) },
		Random: func() float64 { return r.random },
	}
}

// runFor runs the renewer for d and waits until it has stopped.
func (r *renewal) runFor(d time.Duration) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), d)
	defer cancel()
	if err := r.renewer().Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		r.Errorf("run ended with %v", err)
	}
}

func (r *renewal) serial() string {
	cert, err := r.live.Current()
	must(r.T, err)
	return cert.Leaf.SerialNumber.String()
}

func TestRenewalIsInTime(t *testing.T) {
	for _, random := range []float64{0, 0.5, 0.999} {
		synctest.Test(t, func(t *testing.T) {
			r := newRenewal(t, pki.AgentValidity)
			r.random = random
			began, first := time.Now(), r.serial()
			r.runFor(60 * 24 * time.Hour)
			if len(r.asked) < 2 || len(r.asked) > 4 || r.saved != len(r.asked) || r.serial() == first {
				t.Fatalf("asked at %v, saved %d", r.asked, r.saved)
			}
			life := pki.AgentValidity + pki.ClockSkew
			want := began.Add(-pki.ClockSkew).Add(life*2/3 - time.Duration(random*float64(life)/10))
			if off := r.asked[0].Sub(want); off < 0 || off > time.Second {
				t.Errorf("asked at %s instead of %s", r.asked[0], want)
			}
			for _, n := range r.notes {
				if n.Err != nil || !n.Next.Before(n.NotAfter) {
					t.Errorf("%+v", n)
				}
			}
		})
	}
}

func TestEachRenewalHasANewKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewal(t, pki.AgentValidity)
		public := func() any { return r.live.Identity().Key.Public() }
		first := public()
		must(t, r.renewer().Once(t.Context()))
		if k, ok := first.(interface{ Equal(x any) bool }); ok && k.Equal(public()) || r.saved != 1 {
			t.Error("the key is the old one, or nothing was saved")
		}
	})
}

func TestRenewalIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewal(t, pki.AgentValidity)
		r.refuse = errs.New(errs.Unreachable, "", "the master is away")
		first := r.serial()
		r.runFor(22 * 24 * time.Hour)
		if len(r.asked) < 30 || r.serial() != first || r.saved != 0 {
			t.Fatalf("asked %d times, saved %d", len(r.asked), r.saved)
		}
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			if got := r.asked[i+1].Sub(r.asked[i]); got != want*time.Minute {
				t.Errorf("wait %d is %s", i, got)
			}
		}
		if r.notes[0].Err == nil || !r.notes[0].Next.Equal(r.asked[1]) {
			t.Errorf("%+v", r.notes[0])
		}
		r.refuse = nil
		r.runFor(time.Hour)
		if r.serial() == first || r.saved != 1 {
			t.Error("not renewed when the master was back")
		}
	})
}

func TestExpiredCertificateSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewal(t, time.Hour)
		r.refuse = errors.New("certificate expired")
		r.runFor(2 * time.Hour)
		last := r.notes[len(r.notes)-1]
		if errs.HintOf(last.Err) == "" || errs.HintOf(r.notes[0].Err) != "" {
			t.Errorf("%v", last.Err)
		}
		if len(r.asked) > 60 {
			t.Errorf("asked %d times in two hours", len(r.asked))
		}
	})
}

func TestMastersAnswerIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewal(t, time.Hour)
		first := r.serial()
		bad := r.renewer()
		otherKey, err := pki.NewKey()
		must(t, err)
		otherCSR, err := pki.NewCSR(otherKey)
		must(t, err)
		for name, answer := range map[string]func(csr []byte) ([]byte, error){
			"nothing":      func([]byte) ([]byte, error) { return nil, nil },
			"another key":  func([]byte) ([]byte, error) { return r.ca.SignAgent(otherCSR, "web1", time.Now(), time.Hour) },
			"another name": func(csr []byte) ([]byte, error) { return r.ca.SignAgent(csr, "web2", time.Now(), time.Hour) },
			"another CA": func(csr []byte) ([]byte, error) {
				return newRenewal(t, time.Hour).ca.SignAgent(csr, "web1", time.Now(), time.Hour)
			},
		} {
			bad.Renew = func(_ context.Context, csr []byte) ([]byte, error) { return answer(csr) }
			if err := bad.Once(t.Context()); err == nil || r.serial() != first || r.saved != 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestUnsavedCertificateIsUsedAndRenewedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewal(t, pki.AgentValidity)
		r.saveFail = errors.New("disk full")
		first := r.serial()
		r.runFor(21 * 24 * time.Hour)
		if r.serial() == first || r.saved < 2 || r.notes[0].Err == nil {
			t.Errorf("saved %d times, %v", r.saved, r.notes[0].Err)
		}
	})
}

// A master whose clock is far behind issues certificates that are due at once.
func TestRenewalDoesNotRunHot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewal(t, 10*time.Hour)
		slow := r.renewer()
		asked := 0
		slow.Renew = func(_ context.Context, csr []byte) ([]byte, error) {
			asked++
			return r.ca.SignAgent(csr, "web1", time.Now().Add(-9*time.Hour), 10*time.Hour)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Hour)
		defer cancel()
		slow.Run(ctx)
		if asked < 2 || asked > 8*2+1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

func TestRenewerNoticesAClockThatWasSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRenewal(t, pki.AgentValidity)
		renewer := r.renewer()
		renewer.Clock = r.now
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- renewer.Run(ctx) }()
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		r.shift.Store(int64(25 * 24 * time.Hour))
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(r.asked) != 1 {
			t.Errorf("asked %d times", len(r.asked))
		}
		cancel()
		<-done
	})
}
