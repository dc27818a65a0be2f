package hub

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

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
	of := q.Client // of whose budget it is to speak, beside that of all
	if q.Site != "" {
		site, err := s.site(ctx, q.Site)
		if err != nil {
			return err
		}
		of = site.Client
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
	said := newDecisions(q.Packed)
	for i := range plan.Decisions {
		d := &plan.Decisions[i]
		if !seen(d.Backup) {
			continue
		}
		count(summary, d)
		if said.add(d) {
			if err := stream.Send(said.take()); err != nil {
				return err
			}
		}
	}
	for _, e := range plan.Excess {
		if speaksOf(e, client, of, q.Site == "" && q.Client == "") {
			summary.Excess = append(summary.Excess, policy.ExcessText(e))
		}
	}
	last := said.take()
	last.Summary = summary
	return stream.Send(last)
}

// speaksOf reports whether a plan tells of a budget that is exceeded: to a client's users of their own alone, and where
// one site or client was asked for, of no other client's.
func speaksOf(e retention.Excess, caller, asked string, all bool) bool {
	if caller != "" {
		return e.Client == caller
	}
	return all || e.Client == "" || e.Client == asked
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

func count(summary *sitekeepv1.PruneSummary, d *retention.Decision) {
	if d.Keep {
		summary.Kept++
		return
	}
	summary.Removed++
	summary.FreedBytes += d.Backup.Size
}

// decisions makes the messages of a plan.
type decisions interface {
	// add takes a decision and reports whether there is no room for another.
	add(d *retention.Decision) (full bool)
	// take returns what was added since the last time.
	take() *sitekeepv1.PlanPruneResponse
}

func newDecisions(packed bool) decisions {
	if packed {
		return newPacker()
	}
	c := &decisionChunk{words: reasonWords{}}
	c.begin()
	return c
}

// decisionChunk is the messages of some decisions, made at once: a plan has hundreds of thousands.
type decisionChunk struct {
	words     reasonWords
	decisions []sitekeepv1.PruneDecision
	times     []timestamppb.Timestamp
	out       []*sitekeepv1.PruneDecision
}

func (c *decisionChunk) begin() {
	c.decisions, c.times = make([]sitekeepv1.PruneDecision, decisionsChunk), make([]timestamppb.Timestamp, decisionsChunk)
	c.out = make([]*sitekeepv1.PruneDecision, 0, decisionsChunk)
}

func (c *decisionChunk) take() *sitekeepv1.PlanPruneResponse {
	out := &sitekeepv1.PlanPruneResponse{Decisions: c.out}
	c.begin()
	return out
}

func (c *decisionChunk) add(d *retention.Decision) (full bool) {
	n := len(c.out)
	to, at := &c.decisions[n], &c.times[n]
	if !d.Backup.At.IsZero() {
		at.Seconds, at.Nanos = d.Backup.At.Unix(), int32(d.Backup.At.Nanosecond())
		to.CreatedAt = at
	}
	to.Id, to.Site, to.Size, to.Keep, to.Reasons = d.Backup.ID, d.Backup.Site, d.Backup.Size, d.Keep, c.words.of(d.Reasons)
	c.out = append(c.out, to)
	return n+1 == len(c.decisions)
}

// reasonWords makes the words for a reason once a plan, not once a backup; most backups have one reason.
type reasonWords map[retention.Reason][]string

func (w reasonWords) of(reasons []retention.Reason) []string {
	var out []string
	for _, r := range reasons {
		text, known := w[r]
		if !known {
			text = []string{r.String()}
			w[r] = text
		}
		if len(reasons) == 1 {
			return text
		}
		out = append(out, text[0])
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
