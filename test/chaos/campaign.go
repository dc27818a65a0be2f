package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// campaign strikes a list of faults, on several rigs at the same time.
type campaign struct {
	seed   uint64
	dir    string
	lanes  int
	short  bool
	limit  time.Duration // after which no further fault begins; 0: none
	out    io.Writer     // progress and failure reports
	faults []*fault

	mu     sync.Mutex
	struck int
	counts
	began time.Time
}

// random is the source of one fault's numbers, which no other fault changes.
func (c *campaign) random(row string, number int) *rand.Rand {
	h := uint64(14695981039346656037) // FNV-1a
	for _, b := range []byte(row) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return rand.New(rand.NewPCG(c.seed, h+uint64(number)))
}

func (c *campaign) logf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.out, format+"\n", args...)
}

// run strikes all faults and returns how many rounds ended mixed.
func (c *campaign) run(ctx context.Context) (mixed int, err error) {
	c.began = time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for lane := range min(c.lanes, len(c.faults)) {
		g.Go(func() error { return c.lane(ctx, lane) })
	}
	err = g.Wait()
	return c.mixed(), err
}

// take returns the next fault for a lane, nil when there is none left. What
// needs a rig of another form is for one lane alone, so that few are made.
func (c *campaign) take(lane int) *fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit > 0 && time.Since(c.began) > c.limit {
		return nil
	}
	for i, f := range c.faults {
		if f.form == plain || laneOf(f.form)%c.lanes == lane {
			c.faults = slices.Delete(c.faults, i, i+1)
			c.struck++
			return f
		}
	}
	return nil
}

func laneOf(form string) int {
	if form == cluster {
		return 1
	}
	return 0
}

// lane strikes until the list is empty. A rig on which something went wrong is
// kept, with its logs, and another one takes its place.
func (c *campaign) lane(ctx context.Context, lane int) (err error) {
	rigs := map[string]*rig{}
	defer func() {
		for _, r := range rigs {
			err = errors.Join(err, r.end(false))
		}
	}()
	for life := 0; ctx.Err() == nil; life++ {
		f := c.take(lane)
		if f == nil {
			return nil
		}
		r := rigs[f.form]
		if r == nil {
			if r, err = newRig(ctx, filepath.Join(c.dir, fmt.Sprintf("rig-%d-%d", lane, life)), f.form); err != nil {
				return fmt.Errorf("rig of form %q: %w", f.form, err)
			}
			rigs[f.form] = r
		}
		if good := c.play(ctx, r, f); !good {
			delete(rigs, f.form)
			if err := r.end(true); err != nil {
				c.logf("end of a rig: %v", err)
			}
		}
	}
	return ctx.Err()
}

// end stops a rig, and removes it unless something went wrong on it.
func (r *rig) end(keep bool) error {
	err := r.Close()
	if !keep {
		err = errors.Join(err, os.RemoveAll(r.Dir()))
	}
	return err
}

// play strikes one fault, and says whether the rig is still good.
func (c *campaign) play(ctx context.Context, r *rig, f *fault) bool {
	began := time.Now()
	err := r.calibrate(ctx, f.op)
	v := &verdict{outcome: wasMixed}
	if err == nil {
		v, err = r.round(ctx, f)
	}
	if err == nil && len(v.problems) == 0 {
		err = r.recover(ctx, f)
	}
	switch {
	case ctx.Err() != nil:
		return false
	case err != nil:
		v = &verdict{outcome: wasMixed, problems: []string{err.Error()}}
	case f.want != "" && v.outcome != wasMixed && v.outcome != f.want:
		v.problem("it came out as %s and must not", v.outcome)
		v.outcome = wasMixed
	}
	c.count(f.row, v.outcome)
	c.logf("%4d %6.1fs %-40s %s: %s, %s", c.sum(), time.Since(began).Seconds(), f, f.said, v.task.State, v.outcome)
	if len(v.problems) == 0 {
		return true
	}
	c.logf("%s", c.report(ctx, r, f, v))
	return false
}

// report says what differs, and how to see it again.
func (c *campaign) report(ctx context.Context, r *rig, f *fault, v *verdict) string {
	var out strings.Builder
	fmt.Fprintf(&out, "--- MIXED: %s, struck %s; task %s: %s %q\n", f, f.said, v.task.ID, v.task.State, v.task.Error)
	for _, p := range v.problems {
		fmt.Fprintf(&out, "  * %s\n", strings.ReplaceAll(strings.TrimSpace(p), "\n", "\n    "))
	}
	if v.task.ID != "" {
		if log, err := r.master.CLI(ctx, "task", "log", v.task.ID); err == nil {
			fmt.Fprintf(&out, "  the log of the task:\n    %s\n", strings.ReplaceAll(strings.TrimSpace(log.Stdout), "\n", "\n    "))
		}
	}
	fmt.Fprintf(&out, "  all logs: %s/log\n  again: make chaos CHAOS=\"%s-seed %d -only '%s #%d '\"\n", r.Dir(), c.form(), c.seed, f.row, f.number)
	return out.String()
}

func (c *campaign) form() string {
	if c.short {
		return "-short "
	}
	return ""
}
