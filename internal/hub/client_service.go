package hub

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type clientService struct {
	sitekeepv1.UnimplementedClientServiceServer
	*Hub
}

func (s *clientService) ListClients(ctx context.Context, _ *sitekeepv1.ListClientsRequest) (*sitekeepv1.ListClientsResponse, error) {
	list, err := s.Catalogue.Clients(ctx)
	if err != nil {
		return nil, err
	}
	usages, err := s.Catalogue.ClientUsages(ctx)
	if err != nil {
		return nil, err
	}
	by := make(map[string]catalogue.ClientUsage, len(usages))
	for _, u := range usages {
		by[u.Client] = u
	}
	mine := callerFrom(ctx).client
	out := &sitekeepv1.ListClientsResponse{}
	for _, c := range list {
		if mine == "" || c.Name == mine {
			out.Clients = append(out.Clients, clientToProto(c, by[c.Name]))
		}
	}
	return out, nil
}

func (s *clientService) GetClient(ctx context.Context, q *sitekeepv1.GetClientRequest) (*sitekeepv1.GetClientResponse, error) {
	all, err := s.ListClients(ctx, &sitekeepv1.ListClientsRequest{})
	if err != nil {
		return nil, err
	}
	for _, c := range all.Clients {
		if c.Name == q.Name {
			return &sitekeepv1.GetClientResponse{Client: c}, nil
		}
	}
	return nil, errs.New(errs.NotFound, "list them with: sitekeep client list", "no client %q", q.Name)
}

func (s *clientService) SetClient(ctx context.Context, q *sitekeepv1.SetClientRequest) (*sitekeepv1.SetClientResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	if err := model.CheckClientName(q.Name); err != nil {
		return nil, err
	}
	if q.GetMaxTasks() < 0 || q.GetMaxSize() < 0 {
		return nil, errs.New(errs.Usage, "give 0 or more; 0 is no bound", "client %s cannot have less than nothing", q.Name)
	}
	c, err := s.Catalogue.ChangeClient(ctx, q.Name, func(c *model.Client) error {
		if q.MaxTasks != nil {
			c.MaxTasks = int(*q.MaxTasks)
		}
		if q.MaxSize != nil {
			c.MaxSize = *q.MaxSize
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.SetClientResponse{Client: clientToProto(c, catalogue.ClientUsage{})}, s.limitsChanged(ctx)
}

func (s *clientService) DeleteClient(ctx context.Context, q *sitekeepv1.DeleteClientRequest) (*sitekeepv1.DeleteClientResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	if err := s.Catalogue.DeleteClient(ctx, q.Name); err != nil {
		return nil, err
	}
	return &sitekeepv1.DeleteClientResponse{}, s.limitsChanged(ctx)
}

// limitsChanged lets the queue know.
func (h *Hub) limitsChanged(ctx context.Context) error {
	if h.LimitsChanged == nil {
		return nil
	}
	return h.LimitsChanged(context.WithoutCancel(ctx))
}

func clientToProto(c model.Client, u catalogue.ClientUsage) *sitekeepv1.Client {
	return &sitekeepv1.Client{
		Name: c.Name, MaxTasks: int32(c.MaxTasks), MaxSize: c.MaxSize, Sites: u.Sites, Backups: u.Backups, BackupBytes: u.Size,
	}
}
