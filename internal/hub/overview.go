package hub

import (
	"context"
	"slices"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/policy"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

const (
	// staleAfter is a week, which is how rarely most are backed up, and a day for a run that comes late.
	staleAfter   = 8 * 24 * time.Hour
	overviewPage = 50
	overviewMost = 500
	anyTrouble   = "any"
)

func (s *siteService) ListOverview(ctx context.Context, q *sitekeepv1.ListOverviewRequest) (*sitekeepv1.ListOverviewResponse, error) {
	if q.Offset < 0 || q.PageSize < 0 {
		return nil, errs.New(errs.Usage, "give 0 or more", "a page of %d sites after %d", q.PageSize, q.Offset)
	}
	all, err := s.Catalogue.Standings(ctx, callerFrom(ctx).client, q.Search, s.Now().Add(-staleAfter))
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.ListOverviewResponse{Total: int64(len(all)), Troubles: map[string]int64{}}
	var chosen []catalogue.Standing
	for _, one := range all {
		out.Troubles[string(one.Trouble)]++
		if inTrouble(one.Trouble, q.Trouble) {
			chosen = append(chosen, one)
		}
	}
	size := int(q.PageSize)
	if size == 0 {
		size = overviewPage
	}
	from := min(int(q.Offset), len(chosen))
	out.Sites, err = s.fare(ctx, chosen[from:min(from+min(size, overviewMost), len(chosen))])
	return out, err
}

func inTrouble(have catalogue.Trouble, want string) bool {
	switch want {
	case "":
		return true
	case anyTrouble:
		return have != catalogue.TroubleNone && have != catalogue.TroubleDisabled
	}
	return string(have) == want
}

// fare tells all about the sites of one page.
func (s *siteService) fare(ctx context.Context, page []catalogue.Standing) (out []*sitekeepv1.SiteOverview, err error) {
	schedules, err := s.Catalogue.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range page {
		p, err := s.fareOf(ctx, one, schedules)
		if errs.Is(err, errs.NotFound) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (s *siteService) fareOf(ctx context.Context, one catalogue.Standing, schedules []model.Schedule) (*sitekeepv1.SiteOverview, error) {
	site, err := s.Catalogue.Site(ctx, one.Site)
	if err != nil {
		return nil, err
	}
	usage, err := s.Catalogue.SiteUsage(ctx, one.Site)
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.SiteOverview{
		Name: site.Name, Kind: site.Kind, Client: site.Client, Trouble: string(one.Trouble), Backups: usage.Count, BackupBytes: usage.Size,
	}
	good, err := s.Catalogue.LatestGood(ctx, one.Site)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	out.LastGoodBackup, out.LastGoodAt = good.ID, timeToProto(good.CreatedAt)
	last, _, err := s.Catalogue.Tasks(ctx, catalogue.TaskFilter{Site: one.Site, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(last) > 0 {
		out.LastTask = taskToProto(&last[0])
	}
	if out.LastDrill, err = s.lastDrill(ctx, one.Site); err != nil {
		return nil, err
	}
	next, err := s.nextRun(ctx, &site, schedules)
	out.NextRun = timeToProto(next)
	return out, err
}

// nextRun is when any schedule backs the site up next; zero if none does.
func (s *siteService) nextRun(ctx context.Context, site *model.Site, schedules []model.Schedule) (next time.Time, err error) {
	if site.Disabled || len(schedules) == 0 {
		return next, nil
	}
	states, err := s.Catalogue.SiteStates(ctx, site.Name)
	if err != nil {
		return next, err
	}
	known := make(map[string]*model.ScheduleState, len(states))
	for i := range states {
		known[states[i].Schedule] = &states[i]
	}
	for i := range schedules {
		m := &schedules[i]
		if m.Disabled || m.Kind == model.TaskDrill || !covers(m.Scope, site) {
			continue
		}
		calendar, err := policy.CheckSchedule(m)
		if err != nil {
			return next, err
		}
		if at := policy.Upcoming(calendar, s.Now(), site.Name, known[m.Name]); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, nil
}

func covers(scope model.Scope, site *model.Site) bool {
	return scope.All || scope.Client != "" && scope.Client == site.Client || slices.Contains(scope.Sites, site.Name)
}
