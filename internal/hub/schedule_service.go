package hub

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/policy"
	"github.com/sitekeep/sitekeep/internal/schedule"
	"github.com/sitekeep/sitekeep/pkg/archive"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type scheduleService struct {
	sitekeepv1.UnimplementedScheduleServiceServer
	*Hub
}

func (s *scheduleService) ListSchedules(ctx context.Context, q *sitekeepv1.ListSchedulesRequest) (*sitekeepv1.ListSchedulesResponse, error) {
	list, err := s.chosen(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.ListSchedulesResponse{}
	for i := range list {
		one := scheduleToProto(&list[i])
		if one.Status, err = s.status(ctx, &list[i], q.Sites); err != nil {
			return nil, err
		}
		out.Schedules = append(out.Schedules, one)
	}
	return out, nil
}

// chosen are the schedules that the caller may see: a client's users see what is for them or for all.
func (s *scheduleService) chosen(ctx context.Context, name string) (list []model.Schedule, err error) {
	if name != "" {
		one, err := s.Catalogue.Schedule(ctx, name)
		if err != nil {
			return nil, err
		}
		list = []model.Schedule{one}
	} else if list, err = s.Catalogue.Schedules(ctx); err != nil {
		return nil, err
	}
	client := callerFrom(ctx).client
	var mine []model.Schedule
	for _, one := range list {
		if client == "" || one.Scope.Client == client {
			mine = append(mine, one)
		}
	}
	if name != "" && len(mine) == 0 {
		return nil, errs.New(errs.NotFound, "list them with: sitekeep schedule list", "no schedule %q", name)
	}
	return mine, nil
}

// status adds up what has become of a schedule's runs.
func (s *scheduleService) status(ctx context.Context, m *model.Schedule, each bool) (*sitekeepv1.ScheduleStatus, error) {
	calendar, err := policy.CheckSchedule(m)
	if err != nil {
		return nil, err
	}
	sites, err := s.Catalogue.ScopeSites(ctx, m.Scope)
	if err != nil {
		return nil, err
	}
	states, err := s.Catalogue.ScheduleStates(ctx, m.Name)
	if err != nil {
		return nil, err
	}
	known := make(map[string]*model.ScheduleState, len(states))
	for i := range states {
		known[states[i].Site] = &states[i]
	}
	out := &sitekeepv1.ScheduleStatus{Sites: int64(len(sites))}
	for _, site := range sites {
		one := siteOfSchedule(calendar, s.Now(), m, site, known[site])
		sum(out, one)
		if each {
			out.BySite = append(out.BySite, one)
		}
	}
	return out, nil
}

func siteOfSchedule(calendar *schedule.Schedule, now time.Time, m *model.Schedule, site string, state *model.ScheduleState) *sitekeepv1.ScheduleSite {
	out := &sitekeepv1.ScheduleSite{Site: site}
	if !m.Disabled {
		out.NextAt = timeToProto(policy.Upcoming(calendar, now, site, state))
	}
	if state != nil {
		out.LastAt, out.Task = timeToProto(state.RunAt), state.TaskID
		out.Missed, out.MissedAt, out.MissedWhy = state.Missed, timeToProto(state.MissedAt), state.Why
	}
	return out
}

// sum adds a site to the status of its schedule.
func sum(out *sitekeepv1.ScheduleStatus, one *sitekeepv1.ScheduleSite) {
	if next := one.NextAt; next != nil && (out.NextAt == nil || next.AsTime().Before(out.NextAt.AsTime())) {
		out.NextAt, out.NextSite = next, one.Site
	}
	if last := one.LastAt; last != nil && (out.LastAt == nil || last.AsTime().After(out.LastAt.AsTime())) {
		out.LastAt = last
	}
	out.Missed += one.Missed
	if at := one.MissedAt; at != nil && (out.MissedAt == nil || at.AsTime().After(out.MissedAt.AsTime())) {
		out.MissedAt, out.MissedSite, out.MissedWhy = at, one.Site, one.MissedWhy
	}
}

func (s *scheduleService) SetSchedule(ctx context.Context, q *sitekeepv1.SetScheduleRequest) (*sitekeepv1.SetScheduleResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	m := scheduleFromProto(q.GetSchedule())
	m.CreatedAt = s.Now().UTC()
	if _, err := policy.CheckSchedule(&m); err != nil {
		return nil, err
	}
	if m.Format != "" {
		if _, err := archive.ParseFormat(m.Format); err != nil {
			return nil, errs.New(errs.Usage, "use tar.zst or tar.gz", "%w", err)
		}
	}
	for _, site := range m.Scope.Sites {
		if _, err := s.site(ctx, site); err != nil {
			return nil, err
		}
	}
	if err := s.Catalogue.PutSchedule(ctx, m); err != nil {
		return nil, err
	}
	out := scheduleToProto(&m)
	var err error
	out.Status, err = s.status(ctx, &m, false)
	return &sitekeepv1.SetScheduleResponse{Schedule: out}, err
}

func (s *scheduleService) DeleteSchedule(ctx context.Context, q *sitekeepv1.DeleteScheduleRequest) (*sitekeepv1.DeleteScheduleResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	return &sitekeepv1.DeleteScheduleResponse{}, s.Catalogue.DeleteSchedule(ctx, q.Name)
}

func scheduleToProto(m *model.Schedule) *sitekeepv1.Schedule {
	out := &sitekeepv1.Schedule{
		Name: m.Name, Cron: m.Cron, Zone: m.Zone, Window: m.Window, SkipMissed: m.Skip, Disabled: m.Disabled,
		All: m.Scope.All, Client: m.Scope.Client, Sites: m.Scope.Sites, Format: m.Format, CreatedAt: timeToProto(m.CreatedAt), Kind: string(m.Kind),
	}
	if m.Spread != nil {
		out.Spread = durationpb.New(*m.Spread)
	}
	return out
}

// scheduleKind: backups are what is not named.
func scheduleKind(text string) model.TaskKind {
	if kind := model.TaskKind(text); kind != model.TaskBackup {
		return kind
	}
	return ""
}

func scheduleFromProto(p *sitekeepv1.Schedule) model.Schedule {
	m := model.Schedule{
		Name: p.GetName(), Cron: p.GetCron(), Zone: p.GetZone(), Window: p.GetWindow(), Skip: p.GetSkipMissed(), Disabled: p.GetDisabled(),
		Scope: model.Scope{All: p.GetAll(), Client: p.GetClient(), Sites: p.GetSites()}, Format: p.GetFormat(), Kind: scheduleKind(p.GetKind()),
	}
	if p.GetSpread() != nil {
		spread := p.GetSpread().AsDuration()
		m.Spread = &spread
	}
	return m
}
