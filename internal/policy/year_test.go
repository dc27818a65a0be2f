package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/schedule"
)

var errCrash = errors.New("the master was killed")

// world is what survives a crash of the master: the catalogue and the queue. A
// call may fail, or be the last one that the master makes.
type world struct {
	r         *rand.Rand
	now       time.Time
	schedules []model.Schedule
	sites     []string
	states    map[string]model.ScheduleState // by schedule and site
	runs      map[string][]*run              // by site
	tasks     map[string]*run
	faults    bool
	crashes   int
}

type run struct {
	id, site, schedule string
	tick, begun, ends  time.Time
}

// fault makes some calls fail before they act, and some masters die after they did.
func (w *world) fault(act func() error) error {
	if !w.faults {
		return act()
	}
	switch w.r.IntN(400) {
	case 0:
		return errors.New("the disk hiccups")
	case 1:
		w.crashes++
		return errCrash
	case 2:
		w.crashes++
		return errors.Join(act(), errCrash)
	}
	return act()
}

func (w *world) Schedules(context.Context) ([]model.Schedule, error) { return w.schedules, nil }

func (w *world) ScheduleStates(_ context.Context, name string) (out []model.ScheduleState, err error) {
	return out, w.fault(func() error {
		for _, key := range slices.Sorted(maps.Keys(w.states)) {
			if s := w.states[key]; s.Schedule == name {
				out = append(out, s)
			}
		}
		return nil
	})
}

func (w *world) PutScheduleStates(_ context.Context, states []model.ScheduleState) error {
	return w.fault(func() error {
		for _, s := range states {
			w.states[s.Schedule+" "+s.Site] = s
		}
		return nil
	})
}

func (w *world) DropScheduleStates(_ context.Context, name string, sites []string) error {
	return w.fault(func() error {
		for _, site := range sites {
			delete(w.states, name+" "+site)
		}
		return nil
	})
}

func (w *world) ScopeSites(_ context.Context, scope model.Scope) ([]string, error) {
	if scope.All {
		return w.sites, nil
	}
	return scope.Sites, nil
}

func (w *world) SubmitRun(_ context.Context, s *model.Schedule, site string, tick time.Time) (id string, err error) {
	if w.faults && w.r.IntN(300) == 0 {
		return "", errs.New(errs.Precondition, "", "task X on site %s needs an operator first", site)
	}
	return id, w.fault(func() error {
		took := time.Duration(w.r.Int64N(int64(20 * time.Minute)))
		if w.r.IntN(100) == 0 {
			took = time.Duration(w.r.Int64N(int64(40 * time.Hour)))
		}
		one := &run{id: fmt.Sprint(len(w.tasks)), site: site, schedule: s.Name, tick: tick, begun: w.now, ends: w.now.Add(took)}
		id = one.id
		w.tasks[id] = one
		w.runs[site] = append(w.runs[site], one)
		return nil
	})
}

func (w *world) FindRun(_ context.Context, s *model.Schedule, site string, tick time.Time) (id string, err error) {
	return id, w.fault(func() error {
		for _, one := range w.runs[site] {
			if one.schedule == s.Name && one.tick.Equal(tick) {
				id = one.id
			}
		}
		return nil
	})
}

func (w *world) RunEnded(_ context.Context, task string) (bool, error) {
	one := w.tasks[task]
	return one == nil || !one.ends.After(w.now), nil
}

func newWorld(seed uint64, sites int, schedules ...model.Schedule) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 3)), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		states: map[string]model.ScheduleState{}, runs: map[string][]*run{}, tasks: map[string]*run{}, schedules: schedules}
	for i := range sites {
		w.sites = append(w.sites, fmt.Sprintf("site%03d.example", i))
	}
	return w
}

func (w *world) look(t *testing.T) time.Time {
	s := &Scheduler{Records: w, Sites: w, Runs: w, Log: hclog.NewNullLogger()}
	next, err := s.Look(t.Context(), w.now)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// TestAYear lets 200 sites live through a year: backups take their time, calls
// fail, the master is killed between any two of them and is away for days, and
// its clock is set. In the end each tick was run once or is counted as missed.
func TestAYear(t *testing.T) {
	nightly := model.Schedule{Name: "nightly", Cron: "0 3 * * *", Zone: "Europe/Berlin", Window: "22:00-06:00", Scope: model.Scope{All: true}}
	w := newWorld(1, 200, nightly)
	calendar, err := CheckSchedule(&nightly)
	if err != nil {
		t.Fatal(err)
	}
	w.look(t)
	begin := w.now
	jumps, away := 0, 0
	w.faults = true
	for days := 0; days < 365; days++ {
		for range 16 {
			step := time.Duration(w.r.Int64N(int64(3 * time.Hour)))
			switch w.r.IntN(1400) {
			case 0, 1:
				step, away = step+time.Duration(w.r.Int64N(int64(6*24*time.Hour))), away+1
			case 2:
				step, jumps = -time.Duration(w.r.Int64N(int64(20*time.Hour))), jumps+1
			}
			w.now = w.now.Add(step)
			w.look(t)
		}
	}
	w.faults = false
	w.look(t)
	if w.crashes < 50 || jumps < 2 || away < 5 {
		t.Fatalf("a quiet year: %d crashes, %d jumps of the clock, %d absences", w.crashes, jumps, away)
	}
	for _, site := range w.sites {
		w.account(t, calendar, site, begin)
	}
}

// account checks one site's year.
func (w *world) account(t *testing.T, calendar *schedule.Schedule, site string, begin time.Time) {
	t.Helper()
	state := w.states["nightly "+site]
	runs := w.runs[site]
	seen := map[time.Time]int{}
	for _, one := range runs {
		seen[one.tick]++
	}
	for i, one := range runs {
		// A clock that was set back brings a tick again, and then it runs again.
		if seen[one.tick] > 1 && i > 0 && runs[i-1].tick.Equal(one.tick) && !one.begun.After(runs[i-1].ends) {
			t.Errorf("%s: tick %s was begun twice", site, one.tick)
		}
		if i > 0 && one.begun.Before(runs[i-1].ends) && one.begun.After(runs[i-1].begun) {
			t.Errorf("%s: a run at %s began before that of %s had ended", site, one.begun, runs[i-1].begun)
		}
	}
	ticks := 0
	for at := calendar.After(begin); !at.After(state.Handled); at = calendar.After(at) {
		ticks++
	}
	if total := len(runs) + int(state.Missed); total < ticks {
		t.Errorf("%s: %d ticks came, %d ran and %d were reported", site, ticks, len(runs), state.Missed)
	}
	if len(runs) < 180 {
		t.Errorf("%s: %d runs in a year", site, len(runs))
	}
}

func TestARunThatWasWrittenDownIsFoundAfterACrash(t *testing.T) {
	hourly := model.Schedule{Name: "hourly", Cron: "0 * * * *", Scope: model.Scope{All: true}}
	for _, submitted := range []bool{false, true} {
		w := newWorld(1, 1, hourly)
		w.look(t)
		tick := w.now.Add(time.Hour)
		w.now = tick.Add(time.Minute)
		state := w.states["hourly site000.example"]
		state.Pending, state.Handled = tick, tick
		w.states["hourly site000.example"] = state
		if submitted {
			if _, err := w.SubmitRun(t.Context(), &hourly, "site000.example", tick); err != nil {
				t.Fatal(err)
			}
		}
		w.look(t)
		if runs := w.runs["site000.example"]; len(runs) != 1 || !runs[0].tick.Equal(tick) {
			t.Errorf("submitted %v: %d runs", submitted, len(runs))
		}
		if state = w.states["hourly site000.example"]; state.TaskID == "" || !state.Pending.IsZero() {
			t.Errorf("%+v", state)
		}
	}
}

func TestRunsOfOneSiteNeverOverlap(t *testing.T) {
	w := newWorld(1, 1, model.Schedule{Name: "hourly", Cron: "0 * * * *", Scope: model.Scope{All: true}})
	w.look(t)
	w.now = w.now.Add(time.Hour)
	w.look(t)
	w.runs["site000.example"][0].ends = w.now.Add(90 * time.Minute)
	w.now = w.now.Add(time.Hour)
	w.look(t)
	state := w.states["hourly site000.example"]
	if len(w.runs["site000.example"]) != 1 || state.Missed != 1 || state.Why != "the run before had not ended: task 0" {
		t.Errorf("%d runs, %+v", len(w.runs["site000.example"]), state)
	}
	w.now = w.now.Add(time.Hour)
	w.look(t)
	if len(w.runs["site000.example"]) != 2 {
		t.Error("the run after it did not begin")
	}
}

func TestOneBadScheduleStopsNoOther(t *testing.T) {
	w := newWorld(1, 1, model.Schedule{Name: "bad", Cron: "never", Scope: model.Scope{All: true}},
		model.Schedule{Name: "hourly", Cron: "0 * * * *", Scope: model.Scope{All: true}},
		model.Schedule{Name: "off", Cron: "0 * * * *", Scope: model.Scope{All: true}, Disabled: true})
	w.look(t)
	w.now = w.now.Add(time.Hour)
	w.look(t)
	var names []string
	for _, one := range w.runs["site000.example"] {
		names = append(names, one.schedule)
	}
	if !slices.Equal(names, []string{"hourly"}) {
		t.Error(names)
	}
}

func TestASiteThatComesBackBeginsAnew(t *testing.T) {
	w := newWorld(1, 2, model.Schedule{Name: "hourly", Cron: "0 * * * *", Scope: model.Scope{All: true}})
	w.look(t)
	both := w.sites
	w.sites = both[:1] // the other was disabled
	w.now = w.now.Add(30 * time.Minute)
	w.look(t)
	w.now = w.now.Add(300 * time.Hour)
	w.sites = both
	w.look(t)
	if state := w.states["hourly "+both[1]]; state.Missed != 0 || len(w.runs[both[1]]) != 0 || !state.Handled.Equal(w.now) {
		t.Errorf("%+v", state)
	}
}
