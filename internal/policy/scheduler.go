package policy

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/schedule"
)

// Records keeps schedules and how far they have come; internal/catalogue does.
type Records interface {
	Schedules(ctx context.Context) ([]model.Schedule, error)
	ScheduleStates(ctx context.Context, schedule string) ([]model.ScheduleState, error)
	PutScheduleStates(ctx context.Context, states []model.ScheduleState) error
	DropScheduleStates(ctx context.Context, schedule string, sites []string) error
}

// Sites is the inventory.
type Sites interface {
	// ScopeSites names the enabled sites of a scope, sorted.
	ScopeSites(ctx context.Context, scope model.Scope) ([]string, error)
}

// Runs are the backups that schedules begin.
type Runs interface {
	// SubmitRun begins a site's run of a tick and returns its task's id.
	SubmitRun(ctx context.Context, s *model.Schedule, site string, tick time.Time) (task string, err error)
	// FindRun returns the id of the task that was begun for a tick, or "".
	FindRun(ctx context.Context, s *model.Schedule, site string, tick time.Time) (task string, err error)
	// RunEnded reports whether a task has ended; one that is not known any more has.
	RunEnded(ctx context.Context, task string) (bool, error)
}

// Scheduler begins scheduled backups. A run is written down before it is
// submitted, so that after a crash it is found, or begun, and never begun twice.
type Scheduler struct {
	Records Records
	Sites   Sites
	Runs    Runs
	Log     hclog.Logger
}

// longest is the longest time between two looks: what an operator changes takes
// effect within it, and so does a clock that was set.
const longest = 30 * time.Second

// Serve looks at the clock until ctx ends. An error of one look is logged, and
// the next look tries again.
func (s *Scheduler) Serve(ctx context.Context, now func() time.Time) error {
	for {
		next, err := s.Look(ctx, now())
		if err != nil && ctx.Err() == nil {
			s.Log.Error("schedules cannot be followed", "error", err)
		}
		wait := min(max(next.Sub(now()), time.Second), longest)
		if next.IsZero() {
			wait = longest
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// Look begins what is due at a time, reports what was missed, and returns when
// something is due next; zero for never.
func (s *Scheduler) Look(ctx context.Context, now time.Time) (next time.Time, err error) {
	list, err := s.Records.Schedules(ctx)
	if err != nil {
		return next, err
	}
	for i := range list {
		if list[i].Disabled {
			continue
		}
		at, err := s.follow(ctx, now, &list[i])
		if err != nil {
			s.Log.Error("a schedule cannot be followed", "schedule", list[i].Name, "error", err)
			at = now.Add(longest)
		}
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, nil
}

// follow looks at one schedule.
func (s *Scheduler) follow(ctx context.Context, now time.Time, m *model.Schedule) (next time.Time, err error) {
	calendar, err := CheckSchedule(m)
	if err != nil {
		return next, err
	}
	states, err := s.states(ctx, now, m)
	if err != nil {
		return next, err
	}
	var touched, due []*model.ScheduleState
	for _, state := range states {
		v := calendar.Decide(now, state.Site, state.Handled)
		if !v.Next.IsZero() && (next.IsZero() || v.Next.Before(next)) {
			next = v.Next
		}
		changed, err := s.settle(ctx, now, m, state, v)
		if err != nil {
			return next, err
		}
		if changed {
			touched = append(touched, state)
		}
		if !state.Pending.IsZero() {
			due = append(due, state)
		}
	}
	if err := s.put(ctx, touched); err != nil {
		return next, err
	}
	return next, s.begin(ctx, now, m, due)
}

// states returns the state of each site of the schedule; a site that is new to it begins now.
func (s *Scheduler) states(ctx context.Context, now time.Time, m *model.Schedule) ([]*model.ScheduleState, error) {
	sites, err := s.Sites.ScopeSites(ctx, m.Scope)
	if err != nil {
		return nil, err
	}
	known, err := s.Records.ScheduleStates(ctx, m.Name)
	if err != nil {
		return nil, err
	}
	bySite := make(map[string]*model.ScheduleState, len(known))
	for i := range known {
		bySite[known[i].Site] = &known[i]
	}
	var all, fresh []*model.ScheduleState
	for _, site := range sites {
		state := bySite[site]
		if state == nil {
			state = &model.ScheduleState{Schedule: m.Name, Site: site, Handled: now}
			fresh = append(fresh, state)
		}
		all = append(all, state)
	}
	if err := s.drop(ctx, m, sites, known); err != nil {
		return nil, err
	}
	return all, s.put(ctx, fresh)
}

// drop forgets sites that the schedule is not for now: one that comes back, or
// is enabled again, begins anew.
func (s *Scheduler) drop(ctx context.Context, m *model.Schedule, sites []string, known []model.ScheduleState) error {
	var gone []string
	for i := range known {
		if _, in := slices.BinarySearch(sites, known[i].Site); !in {
			gone = append(gone, known[i].Site)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.Records.DropScheduleStates(ctx, m.Name, gone)
}

func (s *Scheduler) put(ctx context.Context, states []*model.ScheduleState) error {
	if len(states) == 0 {
		return nil
	}
	list := make([]model.ScheduleState, len(states))
	for i, state := range states {
		list[i] = *state
	}
	return s.Records.PutScheduleStates(ctx, list)
}

// settle writes a verdict into the state and reports whether it must be kept.
func (s *Scheduler) settle(ctx context.Context, now time.Time, m *model.Schedule, state *model.ScheduleState, v schedule.Verdict) (bool, error) {
	if !state.Pending.IsZero() { // a look before this one was cut short: that run goes first
		return false, nil
	}
	if v.ClockBack {
		s.Log.Warn("the clock was set back; the schedule goes on from now", "schedule", m.Name, "site", state.Site, "handled", state.Handled)
		state.Handled = v.Handled
		return true, nil
	}
	if !v.Run && v.Missed == 0 {
		return false, nil
	}
	if v.Missed > 0 {
		s.miss(now, state, v.Missed, fmt.Sprintf("no run could begin in its time, from %s on", v.MissedFrom.Format(time.RFC3339)))
	}
	state.Handled = v.Handled
	if !v.Run {
		return true, nil
	}
	ended, err := s.Runs.RunEnded(ctx, state.TaskID)
	if err != nil {
		return false, err
	}
	if !ended {
		s.miss(now, state, 1, "the run before had not ended: task "+state.TaskID)
		return true, nil
	}
	state.Pending = v.Tick.At
	return true, nil
}

func (s *Scheduler) miss(now time.Time, state *model.ScheduleState, count int, why string) {
	state.Missed += int64(count)
	state.MissedAt, state.Why = now, why
	s.Log.Warn("scheduled runs did not happen", "schedule", state.Schedule, "site", state.Site, "count", count, "why", why)
}

// begin submits the runs that are written down as pending. What may pass stays
// pending for the next look.
func (s *Scheduler) begin(ctx context.Context, now time.Time, m *model.Schedule, due []*model.ScheduleState) error {
	var done []*model.ScheduleState
	var failed error
	for _, state := range due {
		task, err := s.Runs.FindRun(ctx, m, state.Site, state.Pending)
		if err == nil && task == "" {
			task, err = s.Runs.SubmitRun(ctx, m, state.Site, state.Pending)
		}
		switch {
		case err == nil:
			state.TaskID, state.RunAt = task, now
		case errs.Is(err, errs.Precondition), errs.Is(err, errs.NotFound), errs.Is(err, errs.Usage):
			s.miss(now, state, 1, err.Error())
		default:
			failed = fmt.Errorf("begin the run of %s: %w", state.Site, err)
			continue
		}
		state.Pending = time.Time{}
		done = append(done, state)
	}
	if err := s.put(ctx, done); err != nil {
		return err
	}
	return failed
}

// Upcoming is when a site's next run of a schedule is due.
func Upcoming(calendar *schedule.Schedule, now time.Time, site string, state *model.ScheduleState) time.Time {
	handled := now
	if state != nil {
		handled = state.Handled
	}
	if v := calendar.Decide(now, site, handled); !v.Run {
		return v.Next
	}
	return now
}
