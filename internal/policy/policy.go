// Package policy makes backups happen, and go, by themselves: it asks
// internal/schedule what is due and internal/retention what may go, keeps how
// far it has come, and hands the work on. It makes no backup itself.
package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/retention"
	"github.com/sitekeep/sitekeep/internal/schedule"
)

// CheckSchedule returns what a schedule means; what is wrong with it is errs.Usage.
func CheckSchedule(s *model.Schedule) (*schedule.Schedule, error) {
	if err := checkName(s.Name); err != nil {
		return nil, err
	}
	if err := checkKind(s); err != nil {
		return nil, fmt.Errorf("schedule %s: %w", s.Name, err)
	}
	if err := checkScope(s.Scope); err != nil {
		return nil, fmt.Errorf("schedule %s: %w", s.Name, err)
	}
	zone, err := location(s.Zone)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: %w", s.Name, err)
	}
	out, err := schedule.New(schedule.Spec{Name: s.Name, Cron: s.Cron, Location: zone, Window: s.Window, Spread: s.Spread, Skip: s.Skip})
	if err != nil {
		return nil, fmt.Errorf("schedule %s: %w", s.Name, err)
	}
	return out, nil
}

const longName = 64

func checkName(name string) error {
	odd := func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }
	if name == "" || len(name) > longName || name[0] == '-' || slices.ContainsFunc([]rune(name), odd) {
		return errs.New(errs.Usage, "use up to 64 letters, digits, dots and hyphens, such as nightly", "a schedule cannot be named %q", name)
	}
	return nil
}

func checkKind(s *model.Schedule) error {
	switch {
	case s.Kind != "" && s.Kind != model.TaskDrill:
		return errs.New(errs.Usage, "use backup or drill", "no schedule can be of kind %q", s.Kind)
	case s.Kind == model.TaskDrill && s.Format != "":
		return errs.New(errs.Usage, "leave the format out", "a drill makes no backup, so it has no format")
	}
	return nil
}

func checkScope(s model.Scope) error {
	ways := 0
	for _, given := range []bool{s.All, s.Client != "", len(s.Sites) > 0} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return errs.New(errs.Usage, "give one of --all, --client and --site", "it must be for all sites, for a client's, or for some by name")
	}
	return nil
}

func location(zone string) (*time.Location, error) {
	if zone == "" {
		return time.UTC, nil
	}
	l, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, errs.New(errs.Usage, "use a name such as Europe/Berlin", "there is no time zone %q", zone)
	}
	return l, nil
}

// CheckRetention refuses what retention cannot mean: errs.Usage.
func CheckRetention(r *model.Retention) error {
	if r.Client != "" && r.Site != "" {
		return errs.New(errs.Usage, "give one of --client and --site", "retention is for a site, or for a client's sites, not both")
	}
	if r.Site != "" && r.MaxSize != 0 {
		return errs.New(errs.Usage, "leave --max-size to clients and to all", "a single site has no size budget")
	}
	for _, n := range []int64{int64(r.Last), int64(r.Hourly), int64(r.Daily), int64(r.Weekly), int64(r.Monthly), int64(r.Yearly), int64(r.MinAge), int64(r.Safety), r.MaxSize} {
		if n < 0 {
			return errs.New(errs.Usage, "give 0 or more", "%d is less than nothing", n)
		}
	}
	_, err := location(r.Zone)
	return err
}

// rules are all that is recorded about retention, ready to be asked.
type rules struct {
	standard retention.Policy
	clients  map[string]retention.Policy
	sites    map[string]retention.Policy
	budgets  retention.Budgets
}

func rulesOf(list []model.Retention) (rules, error) {
	r := rules{clients: map[string]retention.Policy{}, sites: map[string]retention.Policy{}, budgets: retention.Budgets{Clients: map[string]int64{}}}
	for _, one := range list {
		zone, err := location(one.Zone)
		if err != nil {
			return r, err
		}
		p := retention.Policy{
			Last: one.Last, Hourly: one.Hourly, Daily: one.Daily, Weekly: one.Weekly, Monthly: one.Monthly, Yearly: one.Yearly,
			MinAge: one.MinAge, Safety: one.Safety, Location: zone,
		}
		switch {
		case one.Site != "":
			r.sites[one.Site] = p
		case one.Client != "":
			r.clients[one.Client] = p
			r.budgets.Clients[one.Client] = one.MaxSize
		default:
			r.standard = p
			r.budgets.Total = one.MaxSize
		}
	}
	return r, nil
}

// of returns what holds for a site: the most particular rule, whole.
func (r rules) of(site, client string) retention.Policy {
	if p, ok := r.sites[site]; ok {
		return p
	}
	if p, ok := r.clients[client]; ok && client != "" && p.Counts() {
		return p
	}
	return r.standard
}
