package main

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// fakePolicy answers what the master says of schedules and retention.
type fakePolicy struct {
	pb.UnimplementedScheduleServiceServer
	pb.UnimplementedRetentionServiceServer
	master *fakeMaster
}

func (p *fakePolicy) ListSchedules(_ context.Context, q *pb.ListSchedulesRequest) (*pb.ListSchedulesResponse, error) {
	nightly := &pb.Schedule{Name: "nightly", Cron: "0 3 * * *", Zone: "Europe/Berlin", Window: "22:00-06:00", All: true, Status: &pb.ScheduleStatus{
		Sites: 2, NextAt: at(7200), LastAt: at(-3600), Missed: 3, MissedAt: at(-7200), MissedSite: "example.com", MissedWhy: "the master was away"}}
	if q.Sites {
		nightly.Status.BySite = []*pb.ScheduleSite{{Site: "example.com", NextAt: at(7200), LastAt: at(-3600), Task: "T1", Missed: 3, MissedWhy: "the master was away"}}
	}
	off := &pb.Schedule{Name: "off", Kind: "drill", Cron: "@hourly", Sites: []string{"a.example", "b.example"}, Disabled: true, Status: &pb.ScheduleStatus{}}
	switch q.Name {
	case "":
		return &pb.ListSchedulesResponse{Schedules: []*pb.Schedule{nightly, off}}, nil
	case "nightly":
		return &pb.ListSchedulesResponse{Schedules: []*pb.Schedule{nightly}}, nil
	}
	return nil, errs.New(errs.NotFound, "list them with: sitekeep schedule list", "no schedule %q", q.Name)
}

func (p *fakePolicy) SetSchedule(_ context.Context, q *pb.SetScheduleRequest) (*pb.SetScheduleResponse, error) {
	s := q.Schedule
	if s.Kind != "" {
		p.master.called("SetSchedule %s kind=%s ", s.Name, s.Kind)
	}
	p.master.called("SetSchedule %s cron=%s zone=%s window=%s spread=%v skip=%v all=%v client=%s sites=%v",
		s.Name, s.Cron, s.Zone, s.Window, s.Spread.AsDuration(), s.SkipMissed, s.All, s.Client, s.Sites)
	return &pb.SetScheduleResponse{Schedule: s}, nil
}

func (p *fakePolicy) DeleteSchedule(_ context.Context, q *pb.DeleteScheduleRequest) (*pb.DeleteScheduleResponse, error) {
	p.master.called("DeleteSchedule %s", q.Name)
	return &pb.DeleteScheduleResponse{}, nil
}

func (p *fakePolicy) ListRetentions(context.Context, *pb.ListRetentionsRequest) (*pb.ListRetentionsResponse, error) {
	return &pb.ListRetentionsResponse{Retentions: []*pb.Retention{{KeepDaily: 7, MaxSize: 2 << 40}, {Client: "acme", KeepLast: 3}, {Site: "example.com", KeepYearly: 1}}}, nil
}

func (p *fakePolicy) SetRetention(_ context.Context, q *pb.SetRetentionRequest) (*pb.SetRetentionResponse, error) {
	r := q.Retention
	p.master.called("SetRetention client=%s site=%s last=%d daily=%d age=%v size=%d", r.Client, r.Site, r.KeepLast, r.KeepDaily, r.MinAge.AsDuration(), r.MaxSize)
	return &pb.SetRetentionResponse{Retention: r}, nil
}

func (p *fakePolicy) DeleteRetention(_ context.Context, q *pb.DeleteRetentionRequest) (*pb.DeleteRetentionResponse, error) {
	p.master.called("DeleteRetention client=%s site=%s", q.Client, q.Site)
	return &pb.DeleteRetentionResponse{}, nil
}

func (p *fakePolicy) PlanPrune(q *pb.PlanPruneRequest, stream pb.RetentionService_PlanPruneServer) error {
	summary := &pb.PruneSummary{Kept: 1, Removed: 1, FreedBytes: 2048}
	if q.Site == "doubt.example" {
		summary.Held = "the clock was set back; nothing is removed before 2026-11-24T00:13:36Z"
	}
	if q.Packed && q.Site != "plain.example" { // a master of before they were packed
		return stream.Send(&pb.PlanPruneResponse{Packed: packedPlan(), Summary: summary})
	}
	for _, r := range []*pb.PlanPruneResponse{
		{Decisions: []*pb.PruneDecision{{Id: "example.com-20261123.001336", Site: "example.com", Size: 4096, Keep: true, Reasons: []string{"pinned", "daily 1 of 7"}}}},
		{Decisions: []*pb.PruneDecision{{Id: "example.com-20261122.001336", Site: "example.com", Size: 2048, Reasons: []string{"no rule keeps it"}}}, Summary: summary},
	} {
		if err := stream.Send(r); err != nil {
			return err
		}
	}
	return nil
}

// packedPlan is what PlanPrune says in other messages too.
func packedPlan() *pb.PackedDecisions {
	return &pb.PackedDecisions{
		Words: []string{"pinned", "daily 1 of 7", "no rule keeps it"}, Sites: []string{"example.com"}, SiteRuns: []uint32{2},
		Ids: "example.com-20261123.001336example.com-20261122.001336", IdLengths: []uint32{27, 27}, CreatedAt: []int64{1795392816e9, 0},
		Sizes: []int64{4096, 2048}, Keep: []bool{true, false}, ReasonCounts: []uint32{2, 1}, Reasons: []uint32{0, 1, 2},
	}
}

func (p *fakePolicy) Prune(_ context.Context, q *pb.PruneRequest) (*pb.PruneResponse, error) {
	p.master.called("Prune trust=%v", q.TrustClock)
	t, err := p.master.start("prune", "", false)
	return &pb.PruneResponse{Task: t}, err
}
