package retention

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"
)

// history is one site's life: backups are made, prunes run, clocks jump.
type history struct {
	r      *rand.Rand
	policy Policy
	most   int64 // budget of all, 0 for none
	now    time.Time
	latest time.Time       // the latest time at which a prune ran
	ever   []Backup        // every backup that was made
	kept   map[string]bool // those that are still there

	there, past, whole []Backup // of the last prune: their memory is used again
}

// ids of backups, in the order of their making.
var ids = func() (list [32]string) {
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	return list
}()

func newHistory(seed uint64) *history {
	r := rand.New(rand.NewPCG(seed, 7))
	n := func(most int) int { return max(0, r.IntN(2*most)-most) }
	h := &history{r: r, now: noon.Add(time.Duration(r.Int64N(int64(400 * 24 * time.Hour)))), kept: map[string]bool{}}
	h.policy = Policy{Last: n(4), Hourly: n(5), Daily: n(5), Weekly: n(4), Monthly: n(3), Yearly: n(2), MinAge: time.Duration(n(40)) * time.Hour}
	if r.IntN(4) == 0 {
		h.most = int64(r.IntN(80))
	}
	return h
}

func (h *history) live(events int) error {
	for range events {
		switch h.r.IntN(8) {
		case 0:
			h.now = h.now.Add(time.Duration(h.r.Int64N(int64(800*24*time.Hour))) - 400*24*time.Hour) // somebody set the clock
		case 1, 2:
			if err := h.prune(); err != nil {
				return err
			}
		default:
			h.now = h.now.Add(time.Duration(h.r.Int64N(int64(40 * time.Hour))))
			h.backUp()
		}
	}
	return h.prune()
}

func (h *history) backUp() {
	b := Backup{ID: ids[len(h.ever)], Site: "a.example", At: h.now, Size: int64(1 + h.r.IntN(9))}
	b.Pinned, b.Lacking, b.Safety = h.r.IntN(12) == 0, h.r.IntN(10) == 0, h.r.IntN(8) == 0
	h.ever = append(h.ever, b)
	h.kept[b.ID] = true
}

func (h *history) prune() error {
	if h.now.After(h.latest) {
		h.latest = h.now
	}
	h.there = h.there[:0]
	for _, b := range h.ever {
		if h.kept[b.ID] {
			h.there = append(h.there, b)
		}
	}
	plan := Make(h.now, bySite(h.there), func(_, _ string) Policy { return h.policy }, Budgets{Total: h.most})
	for _, d := range plan.Decisions {
		if len(d.Reasons) == 0 {
			return fmt.Errorf("backup %s has no reason", d.Backup.ID)
		}
		if d.Keep {
			continue
		}
		if b := d.Backup; b.Pinned || b.At.After(h.now.Add(tolerance)) || h.now.Sub(b.At) < h.policy.MinAge {
			return fmt.Errorf("backup %s goes, which is protected: %+v", b.ID, *b)
		}
		delete(h.kept, d.Backup.ID)
	}
	return h.promises(plan)
}

// promises checks against every backup that was ever made, not against what the
// plan was made of: so what one prune removed must not be missed by a later one.
// What a prune has once known as past counts, also after the clock was set back.
func (h *history) promises(plan Plan) error {
	past, whole := h.past[:0], h.whole[:0]
	for _, b := range h.ever {
		if !b.At.After(h.latest.Add(tolerance)) {
			past = append(past, b)
		}
	}
	slices.SortFunc(past, Compare)
	for i := range past {
		if past[i].whole() {
			whole = append(whole, past[i])
		}
	}
	h.past, h.whole = past, whole
	if len(whole) > 0 && h.most == 0 && !h.kept[whole[0].ID] {
		return fmt.Errorf("the last good backup %s is gone", whole[0].ID)
	}
	if len(past) > 0 && !slices.ContainsFunc(past, func(b Backup) bool { return h.kept[b.ID] }) {
		return fmt.Errorf("a site with %d backups has none left", len(past))
	}
	if h.most > 0 {
		return h.withinBudget(plan)
	}
	for _, slot := range slotsOf(h.policy) {
		periods := map[int64]bool{}
		for _, b := range whole {
			if p := slot.period(b.At.UTC()); !periods[p] {
				if periods[p] = true; len(periods) > slot.most {
					break
				}
				if !h.kept[b.ID] {
					return fmt.Errorf("%s: the newest backup %s of period %d of %d is gone", words[slot.rule], b.ID, len(periods), slot.most)
				}
			}
		}
	}
	return nil
}

func (h *history) withinBudget(plan Plan) error {
	size := int64(0)
	for _, d := range plan.Decisions {
		if d.Keep {
			size += d.Backup.Size
		}
	}
	if size > h.most && len(plan.Excess) == 0 {
		return fmt.Errorf("%d bytes stay of a budget of %d, and nobody is told", size, h.most)
	}
	return nil
}

// TestNoHistoryBreaksAPromise lives through 100,000 random histories.
func TestNoHistoryBreaksAPromise(t *testing.T) {
	const histories, workers, events = 100_000, 4, 24
	defer debug.SetGCPercent(debug.SetGCPercent(1000)) // each history is garbage at once
	var wait sync.WaitGroup
	for w := range uint64(workers) {
		wait.Go(func() {
			for seed := w; seed < histories && !t.Failed(); seed += workers {
				h := newHistory(seed)
				if err := h.live(events); err != nil {
					t.Errorf("history %d, policy %+v, budget %d: %v", seed, h.policy, h.most, err)
				}
			}
		})
	}
	wait.Wait()
}
