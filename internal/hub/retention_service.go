package hub

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/policy"
	"github.com/sitekeep/sitekeep/internal/retention"
	"github.com/sitekeep/sitekeep/internal/tasks"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type retentionService struct {
	sitekeepv1.UnimplementedRetentionServiceServer
	*Hub
}

func (s *retentionService) ListRetentions(ctx context.Context, _ *sitekeepv1.ListRetentionsRequest) (*sitekeepv1.ListRetentionsResponse, error) {
	list, err := s.Catalogue.Retentions(ctx)
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.ListRetentionsResponse{}
	for i := range list {
		if s.concerns(ctx, &list[i]) {
			out.Retentions = append(out.Retentions, retentionToProto(&list[i]))
		}
	}
	return out, nil
}

// concerns reports whether the caller may see a setting: a client's users see their client's and their sites'.
func (s *retentionService) concerns(ctx context.Context, r *model.Retention) bool {
	switch client := callerFrom(ctx).client; {
	case client == "":
		return true
	case r.Site != "":
		_, err := s.site(ctx, r.Site)
		return err == nil
	default:
		return r.Client == client
	}
}

func (s *retentionService) SetRetention(ctx context.Context, q *sitekeepv1.SetRetentionRequest) (*sitekeepv1.SetRetentionResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	m := retentionFromProto(q.GetRetention())
	if err := policy.CheckRetention(&m); err != nil {
		return nil, err
	}
	if m.Site != "" {
		if _, err := s.site(ctx, m.Site); err != nil {
			return nil, err
		}
	}
	if err := s.Catalogue.PutRetention(ctx, m); err != nil {
		return nil, err
	}
	return &sitekeepv1.SetRetentionResponse{Retention: retentionToProto(&m)}, nil
}

func (s *retentionService) DeleteRetention(ctx context.Context, q *sitekeepv1.DeleteRetentionRequest) (*sitekeepv1.DeleteRetentionResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	return &sitekeepv1.DeleteRetentionResponse{}, s.Catalogue.DeleteRetention(ctx, q.Client, q.Site)
}

// decisionsChunk keeps a message of a plan small.
const decisionsChunk = 500

func (s *retentionService) PlanPrune(q *sitekeepv1.PlanPruneRequest, stream sitekeepv1.RetentionService_PlanPruneServer) error {
	ctx := stream.Context()
	client := callerFrom(ctx).client
	if client != "" && q.Client != "" && q.Client != client {
		return errs.New(errs.NotFound, "leave --client out", "there is no client %s", q.Client)
	}
	if q.Site != "" {
		if _, err := s.site(ctx, q.Site); err != nil {
			return err
		}
	}
	proposed, err := s.proposed(ctx, q.Proposed)
	if err != nil {
		return err
	}
	plan, err := s.Pruner.PlanAs(ctx, proposed)
	if err != nil {
		return err
	}
	seen := func(b *retention.Backup) bool {
		return (q.Site == "" || b.Site == q.Site) && (q.Client == "" || b.Client == q.Client) && (client == "" || b.Client == client)
	}
	summary := &sitekeepv1.PruneSummary{Held: s.Pruner.Doubt()}
	words := reasonWords{}
	var chunk []*sitekeepv1.PruneDecision
	for _, d := range plan.Decisions {
		if !seen(d.Backup) {
			continue
		}
		count(summary, d)
		if chunk = append(chunk, decisionToProto(d, words)); len(chunk) == decisionsChunk {
			if err := stream.Send(&sitekeepv1.PlanPruneResponse{Decisions: chunk}); err != nil {
				return err
			}
			chunk = nil
		}
	}
	for _, e := range plan.Excess {
		if client == "" || e.Client == client {
			summary.Excess = append(summary.Excess, policy.ExcessText(e))
		}
	}
	return stream.Send(&sitekeepv1.PlanPruneResponse{Decisions: chunk, Summary: summary})
}

// proposed is what a caller who may set it proposes to set; nil for nothing.
func (s *retentionService) proposed(ctx context.Context, p *sitekeepv1.Retention) (*model.Retention, error) {
	if p == nil {
		return nil, nil
	}
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	m := retentionFromProto(p)
	if m.Site != "" {
		if _, err := s.site(ctx, m.Site); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

func count(summary *sitekeepv1.PruneSummary, d retention.Decision) {
	if d.Keep {
		summary.Kept++
		return
	}
	summary.Removed++
	summary.FreedBytes += d.Backup.Size
}

// reasonWords makes the words for a reason once a plan, not once a backup.
type reasonWords map[retention.Reason]string

func (w reasonWords) of(r retention.Reason) string {
	text, known := w[r]
	if !known {
		text = r.String()
		w[r] = text
	}
	return text
}

func decisionToProto(d retention.Decision, words reasonWords) *sitekeepv1.PruneDecision {
	out := &sitekeepv1.PruneDecision{Id: d.Backup.ID, Site: d.Backup.Site, CreatedAt: timeToProto(d.Backup.At), Size: d.Backup.Size, Keep: d.Keep}
	out.Reasons = make([]string, len(d.Reasons))
	for i, r := range d.Reasons {
		out.Reasons[i] = words.of(r)
	}
	return out
}

func (s *retentionService) Prune(ctx context.Context, q *sitekeepv1.PruneRequest) (*sitekeepv1.PruneResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	t, err := s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskPrune, Spec: policy.PruneSpec{TrustClock: q.TrustClock}})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.PruneResponse{Task: taskToProto(&t)}, nil
}

func retentionToProto(m *model.Retention) *sitekeepv1.Retention {
	return &sitekeepv1.Retention{
		Client: m.Client, Site: m.Site, KeepLast: int32(m.Last), KeepHourly: int32(m.Hourly), KeepDaily: int32(m.Daily),
		KeepWeekly: int32(m.Weekly), KeepMonthly: int32(m.Monthly), KeepYearly: int32(m.Yearly),
		MinAge: durationToProto(m.MinAge), KeepSafety: durationToProto(m.Safety), Zone: m.Zone, MaxSize: m.MaxSize,
	}
}

func durationToProto(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func retentionFromProto(p *sitekeepv1.Retention) model.Retention {
	return model.Retention{
		Client: p.GetClient(), Site: p.GetSite(), Last: int(p.GetKeepLast()), Hourly: int(p.GetKeepHourly()), Daily: int(p.GetKeepDaily()),
		Weekly: int(p.GetKeepWeekly()), Monthly: int(p.GetKeepMonthly()), Yearly: int(p.GetKeepYearly()),
		MinAge: p.GetMinAge().AsDuration(), Safety: p.GetKeepSafety().AsDuration(), Zone: p.GetZone(), MaxSize: p.GetMaxSize(),
	}
}
