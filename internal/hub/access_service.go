package hub

import (
	"context"
	"slices"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type accessService struct {
	sitekeepv1.UnimplementedAccessServiceServer
	*Hub
}

func (s *accessService) CreateApiToken(ctx context.Context, q *sitekeepv1.CreateApiTokenRequest) (*sitekeepv1.CreateApiTokenResponse, error) {
	if err := model.CheckServerName(q.Name); err != nil {
		return nil, errs.New(errs.Usage, "use letters, digits, dots, hyphens and underscores", "token name %q cannot be used", q.Name)
	}
	if err := checkGrant(q.Role, q.Client); err != nil {
		return nil, err
	}
	token := pki.NewAPIToken(s.CA.Fingerprint())
	hash := token.Hash()
	record := catalogue.APIToken{Name: q.Name, Hash: hash[:], Role: catalogue.APIRole(q.Role), Client: q.Client, CreatedAt: s.Now().UTC()}
	if err := s.Catalogue.CreateAPIToken(ctx, record); err != nil {
		return nil, err
	}
	return &sitekeepv1.CreateApiTokenResponse{Token: token.Text(), ApiToken: tokenToProto(&record)}, nil
}

func (s *accessService) ListApiTokens(ctx context.Context, _ *sitekeepv1.ListApiTokensRequest) (*sitekeepv1.ListApiTokensResponse, error) {
	list, err := s.Catalogue.APITokens(ctx)
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.ListApiTokensResponse{}
	for i := range list {
		out.ApiTokens = append(out.ApiTokens, tokenToProto(&list[i]))
	}
	return out, nil
}

func (s *accessService) RevokeApiToken(ctx context.Context, q *sitekeepv1.RevokeApiTokenRequest) (*sitekeepv1.RevokeApiTokenResponse, error) {
	if err := s.Catalogue.RevokeAPIToken(ctx, q.Name, s.Now()); err != nil {
		return nil, err
	}
	list, err := s.Catalogue.APITokens(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Name == q.Name {
			return &sitekeepv1.RevokeApiTokenResponse{ApiToken: tokenToProto(&list[i])}, nil
		}
	}
	return nil, errs.New(errs.NotFound, "list them with: sitekeep token list", "there is no token %q", q.Name)
}

func (s *accessService) GetCaller(ctx context.Context, q *sitekeepv1.GetCallerRequest) (*sitekeepv1.GetCallerResponse, error) {
	c := callerFrom(ctx)
	out := &sitekeepv1.GetCallerResponse{Name: c.name, Role: c.roleName(), Client: c.client, Version: s.Version}
	if q.Methods {
		out.Methods = s.methodsOf(c)
	}
	return out, nil
}

// methodsOf lists what a caller may call, by name.
func (h *Hub) methodsOf(c caller) (names []string) {
	for name, r := range h.rules {
		if c.may(r) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func tokenToProto(t *catalogue.APIToken) *sitekeepv1.ApiToken {
	return &sitekeepv1.ApiToken{
		Name: t.Name, Role: string(t.Role), Client: t.Client, CreatedAt: timeToProto(t.CreatedAt), Revoked: !t.RevokedAt.IsZero(),
	}
}
