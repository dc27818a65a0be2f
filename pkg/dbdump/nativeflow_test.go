package dbdump

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
)

// newPartWriter writes one part, as far ahead as it will.
func newPartWriter(out chan batch, free *freeBuffers) *partWriter {
	return &partWriter{ctx: context.Background(), part: &part{out: out}, ahead: &lead{most: 1 << 20}, free: free}
}

// The part that is handed out is the furthest ahead, those behind it less and less, and each gets one more when it moves up.
func TestPartsThatAreAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		a := newLead(8)
		defer context.AfterFunc(ctx, func() { a.change(func() {}) })()
		parts := make([]*part, 8)
		ended := make(chan error, len(parts))
		for i := range parts {
			parts[i] = &part{place: i}
			go func() {
				for {
					if err := a.take(ctx, parts[i]); err != nil {
						ended <- err
						return
					}
				}
			}()
		}
		check := func(when string, from int, want ...int) {
			t.Helper()
			synctest.Wait()
			a.mu.Lock()
			defer a.mu.Unlock()
			var got []int
			for _, p := range parts[from:] {
				got = append(got, p.queued)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %v are ahead, want %v", when, got, want)
			}
		}
		check("in the beginning", 0, 3, 2, 1, 1, 1, 1, 1, 1)
		a.change(func() { parts[0].queued -= 2 })
		check("two were handed out", 0, 3, 2, 1, 1, 1, 1, 1, 1)
		a.change(func() { a.place = 2 })
		check("the third part's turn", 2, 3, 2, 1, 1, 1, 1)
		cancel()
		for range parts {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
	if a := newLead(1); a.most != 2 {
		t.Errorf("one connection alone is %d ahead", a.most)
	}
}
