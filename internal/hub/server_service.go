package hub

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type serverService struct {
	sitekeepv1.UnimplementedServerServiceServer
	*Hub
}

func (s *serverService) CreateJoinToken(ctx context.Context, q *sitekeepv1.CreateJoinTokenRequest) (*sitekeepv1.CreateJoinTokenResponse, error) {
	if err := model.CheckServerName(q.Name); err != nil {
		return nil, err
	}
	roles, err := parseRoles(q.Roles)
	if err != nil {
		return nil, err
	}
	token, err := pki.NewJoinToken(s.Addresses, s.CA.Fingerprint())
	if err != nil {
		return nil, err
	}
	now, hash := s.Now(), token.Hash()
	expires := now.Add(pki.JoinTokenValidity)
	err = s.Catalogue.AddJoinToken(ctx, catalogue.JoinToken{Name: q.Name, Roles: roles, Hash: hash[:], CreatedAt: now, ExpiresAt: expires})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.CreateJoinTokenResponse{Token: token.Text(), ExpiresAt: timestamppb.New(expires)}, nil
}

func parseRoles(names []string) ([]model.Role, error) {
	var roles []model.Role
	for _, n := range names {
		if r := model.Role(n); r == model.RoleWeb || r == model.RoleDB {
			roles = append(roles, r)
			continue
		}
		return nil, errs.New(errs.Usage, "the roles are web and db", "there is no role %q", n)
	}
	if len(roles) == 0 {
		return nil, errs.New(errs.Usage, "give --role web, --role db or both", "a server needs a role")
	}
	return roles, nil
}

func (s *serverService) ListServers(ctx context.Context, _ *sitekeepv1.ListServersRequest) (*sitekeepv1.ListServersResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	list, err := s.Catalogue.Servers(ctx)
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.ListServersResponse{}
	for i := range list {
		out.Servers = append(out.Servers, serverToProto(&list[i]))
	}
	return out, nil
}

// unscoped refuses callers of one client: servers belong to nobody.
func unscoped(ctx context.Context) error {
	if c := callerFrom(ctx); c.client != "" {
		return errs.New(errs.Permission, "ask an admin for a token without a client", "%s sees the sites of client %s only", c.name, c.client)
	}
	return nil
}

func (s *serverService) GetServer(ctx context.Context, q *sitekeepv1.GetServerRequest) (*sitekeepv1.GetServerResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	server, err := s.Catalogue.Server(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.GetServerResponse{Server: serverToProto(&server)}, nil
}

func (s *serverService) CheckServer(ctx context.Context, q *sitekeepv1.CheckServerRequest) (*sitekeepv1.CheckServerResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	server, err := s.Catalogue.Server(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	agent, err := s.Fleet.Agent(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	info, err := agent.Info(ctx)
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.CheckServerResponse{
		Server: serverToProto(&server), Version: info.Version, Hostname: info.Hostname, Webserver: info.Webserver,
		DatabaseServer: info.DatabaseServer, DatabaseAddress: info.DatabaseAddress, DumpProgram: info.DumpProgram,
		Problems: append(info.Problems, s.clockProblem(info.Now)...), Load: info.Load, Processors: info.Processors,
	}
	for _, r := range info.Roots {
		out.Roots = append(out.Roots, &sitekeepv1.AllowedRoot{Path: r.Path, FreeBytes: r.FreeBytes})
	}
	return out, nil
}

// mostSkew between two clocks; certificates tolerate ten minutes.
const mostSkew = time.Minute

func (s *serverService) clockProblem(theirs time.Time) []string {
	if skew := s.Now().Sub(theirs); skew > mostSkew || skew < -mostSkew {
		return []string{"its clock and the master's differ by " + skew.Abs().Round(time.Second).String() + "; let both be set by NTP"}
	}
	return nil
}

func (s *serverService) RevokeServer(ctx context.Context, q *sitekeepv1.RevokeServerRequest) (*sitekeepv1.RevokeServerResponse, error) {
	if err := s.Catalogue.RevokeServer(ctx, q.Name); err != nil {
		return nil, err
	}
	s.Fleet.Drop(q.Name)
	server, err := s.Catalogue.Server(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.RevokeServerResponse{Server: serverToProto(&server)}, nil
}

func serverToProto(s *model.Server) *sitekeepv1.Server {
	out := &sitekeepv1.Server{
		Name: s.Name, Address: s.Address, DialOut: s.DialOut, Revoked: s.Revoked,
		JoinedAt: timeToProto(s.JoinedAt), CertificateNotAfter: timeToProto(s.NotAfter),
	}
	for _, r := range s.Roles {
		out.Roles = append(out.Roles, string(r))
	}
	return out
}

// timeToProto leaves a zero time out.
func timeToProto(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
