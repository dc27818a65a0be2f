package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// visitEvery has as many visitors come as a busy small site has, whether those before have their page or not.
	visitEvery = time.Second / 30
	// aloneFor is how long they come before what is measured, and after it.
	aloneFor = 20 * time.Second
	// fewest pages of which a percentile says anything.
	fewestVisits = 200
)

// visitedMeanwhile notes how long visitors wait for their page while work runs, and before and after it.
func (w *world) visitedMeanwhile(ctx context.Context, m *meter, work func(context.Context) error) error {
	alone := func(ctx context.Context) error {
		select {
		case <-ctx.Done():
		case <-time.After(aloneFor):
		}
		return ctx.Err()
	}
	var took [3][]float64
	for i, beside := range []func(context.Context) error{alone, work, alone} {
		var err error
		if took[i], err = w.visit(ctx, beside); err != nil {
			return err
		}
	}
	without, with := percentile(slices.Concat(took[0], took[2]), 95), percentile(took[1], 95)
	m.note(pageAlone, without)
	m.note(pageP95, with)
	m.note(pageRatio, with/without)
	return nil
}

// visit returns how many milliseconds each visitor waited who came while beside ran.
func (w *world) visit(ctx context.Context, beside func(context.Context) error) (took []float64, err error) {
	visitors := &visitors{}
	visiting, leave := context.WithCancel(ctx)
	var door sync.WaitGroup
	door.Go(func() {
		tick := time.NewTicker(visitEvery)
		defer tick.Stop()
		for {
			select {
			case <-visiting.Done():
				return
			case came := <-tick.C:
				door.Go(func() { visitors.note(came, w.page(ctx)) })
			}
		}
	})
	err = beside(ctx)
	leave()
	door.Wait()
	if err = errors.Join(err, visitors.failed); err == nil && len(visitors.took) < fewestVisits {
		err = fmt.Errorf("only %d pages came", len(visitors.took))
	}
	return visitors.took, err
}

// visitors are those that have their page.
type visitors struct {
	mu     sync.Mutex
	took   []float64
	failed error // of one that has not got it
}

func (v *visitors) note(came time.Time, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.failed = err
		return
	}
	v.took = append(v.took, float64(time.Since(came).Microseconds())/1000)
}

// page asks for the page of the world's site.
func (w *world) page(ctx context.Context) error {
	res, err := w.web.Get(ctx, w.domain, "/")
	if err == nil && (res.Status != http.StatusOK || !strings.HasPrefix(res.Body, "posts: ")) {
		err = fmt.Errorf("the page is %d %q", res.Status, res.Body)
	}
	return err
}

// percentile is the smallest of the values that so many of 100 do not exceed.
func percentile(values []float64, of int) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)*of+99)/100-1]
}
