package main

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func (m *fakeMaster) CreateSite(_ context.Context, r *pb.CreateSiteRequest) (*pb.CreateSiteResponse, error) {
	m.called("CreateSite %v", compact(r.Site))
	if r.Site.Name == "example.com" {
		return nil, errs.New(errs.Exists, "choose another name", "site example.com is there already")
	}
	resp := &pb.CreateSiteResponse{Site: proto.CloneOf(r.Site)}
	if strings.HasPrefix(r.Site.Name, "warn.") {
		resp.Warnings = []string{"settings could not be read"}
	}
	return resp, nil
}

func (m *fakeMaster) ListSites(_ context.Context, r *pb.ListSitesRequest) (*pb.ListSitesResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := &pb.ListSitesResponse{}
	for _, s := range m.sites {
		if r.Client == "" || r.Client == s.Client {
			list.Sites = append(list.Sites, s)
		}
	}
	return list, nil
}

func (m *fakeMaster) site(name string) (*pb.Site, error) {
	for _, s := range m.sites {
		if s.Name == name {
			return s, nil
		}
	}
	if strings.HasPrefix(name, "down.") { // its agent is
		return &pb.Site{Name: name}, nil
	}
	return nil, errs.New(errs.NotFound, "list them with: sitekeep site list", "no site %s", name)
}

func (m *fakeMaster) GetSite(_ context.Context, r *pb.GetSiteRequest) (*pb.GetSiteResponse, error) {
	s, err := m.site(r.Name)
	return &pb.GetSiteResponse{Site: s}, err
}

func (m *fakeMaster) DeleteSite(_ context.Context, r *pb.DeleteSiteRequest) (*pb.DeleteSiteResponse, error) {
	m.called("DeleteSite %s", r.Name)
	s, err := m.site(r.Name)
	return &pb.DeleteSiteResponse{BackupsKept: s.GetBackups()}, err
}

func (m *fakeMaster) CloneSite(_ context.Context, r *pb.CloneSiteRequest) (*pb.CloneSiteResponse, error) {
	m.called("CloneSite site=%s backup=%s queue=%v %v", r.Site, r.Backup, r.Queue, compact(r.NewSite))
	if strings.HasPrefix(r.Site, "missing.") {
		_, err := m.site(r.Site)
		return nil, err
	}
	if r.DryRun {
		m.called("CloneSite dry run")
		return &pb.CloneSiteResponse{Plan: previewed(r.Backup)}, nil
	}
	t, err := m.start("clone", r.NewSite.Name, r.Queue)
	return &pb.CloneSiteResponse{Task: t}, err
}

func (m *fakeMaster) MigrateSite(_ context.Context, r *pb.MigrateSiteRequest) (*pb.MigrateSiteResponse, error) {
	m.called("MigrateSite site=%s web=%v db=%s root=%s docroot=%s grace=%s queue=%v", r.Site, r.WebServers, r.DbServer, r.Root, r.Docroot, graceOf(r.Grace), r.Queue)
	if strings.HasPrefix(r.Site, "missing.") {
		_, err := m.site(r.Site)
		return nil, err
	}
	if r.DryRun {
		m.called("MigrateSite dry run")
		return &pb.MigrateSiteResponse{Plan: previewed("latest")}, nil
	}
	t, err := m.start("migrate", r.Site, r.Queue)
	return &pb.MigrateSiteResponse{Task: t}, err
}

func (m *fakeMaster) VerifySite(_ context.Context, r *pb.VerifySiteRequest) (*pb.VerifySiteResponse, error) {
	m.called("VerifySite %s queue=%v dry_run=%v", r.Name, r.Queue, r.DryRun)
	t, err := m.start("verify", r.Name, r.Queue)
	return &pb.VerifySiteResponse{Task: t}, err
}

func (m *fakeMaster) DisableSite(_ context.Context, r *pb.DisableSiteRequest) (*pb.DisableSiteResponse, error) {
	m.called("DisableSite %s queue=%v", r.Name, r.Queue)
	t, err := m.start("disable", r.Name, r.Queue)
	return &pb.DisableSiteResponse{Task: t}, err
}

func (m *fakeMaster) EnableSite(_ context.Context, r *pb.EnableSiteRequest) (*pb.EnableSiteResponse, error) {
	m.called("EnableSite %s queue=%v", r.Name, r.Queue)
	t, err := m.start("enable", r.Name, r.Queue)
	return &pb.EnableSiteResponse{Task: t}, err
}

// --- servers

func (m *fakeMaster) CreateJoinToken(_ context.Context, r *pb.CreateJoinTokenRequest) (*pb.CreateJoinTokenResponse, error) {
	m.called("CreateJoinToken %s %v", r.Name, r.Roles)
	return &pb.CreateJoinTokenResponse{Token: "skj_SECRET", ExpiresAt: at(3600)}, nil
}

func (m *fakeMaster) ListServers(context.Context, *pb.ListServersRequest) (*pb.ListServersResponse, error) {
	return &pb.ListServersResponse{Servers: m.servers}, nil
}

func (m *fakeMaster) server(name string) (*pb.Server, error) {
	for _, s := range m.servers {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, errs.New(errs.NotFound, "list them with: sitekeep server list", "no server %s", name)
}

func (m *fakeMaster) GetServer(_ context.Context, r *pb.GetServerRequest) (*pb.GetServerResponse, error) {
	s, err := m.server(r.Name)
	return &pb.GetServerResponse{Server: s}, err
}

func (m *fakeMaster) CheckServer(_ context.Context, r *pb.CheckServerRequest) (*pb.CheckServerResponse, error) {
	s, err := m.server(r.Name)
	if err != nil {
		return nil, err
	}
	resp := &pb.CheckServerResponse{Server: s, Version: "v1.2.3", Hostname: "web1.example", Webserver: "nginx", DumpProgram: "mariadb-dump 10.11",
		Roots: []*pb.AllowedRoot{{Path: "/var/www", FreeBytes: 5 << 30}, {Path: "/srv", FreeBytes: 1<<64 - 1}}}
	switch r.Name {
	case "db1":
		return nil, errs.New(errs.Unreachable, "start sitekeep-agent on db1", "agent db1 does not answer")
	case "sick1":
		resp.Problems = []string{"nginx -t fails: \x1b[31munknown directive", "/srv is full"}
	}
	return resp, nil
}

func (m *fakeMaster) RevokeServer(_ context.Context, r *pb.RevokeServerRequest) (*pb.RevokeServerResponse, error) {
	m.called("RevokeServer %s", r.Name)
	s, err := m.server(r.Name)
	if err == nil {
		s = proto.CloneOf(s)
		s.Revoked = true
	}
	return &pb.RevokeServerResponse{Server: s}, err
}

// --- access

func (m *fakeMaster) CreateApiToken(_ context.Context, r *pb.CreateApiTokenRequest) (*pb.CreateApiTokenResponse, error) {
	m.called("CreateApiToken %s role=%s client=%s", r.Name, r.Role, r.Client)
	return &pb.CreateApiTokenResponse{Token: "skt_SECRET", ApiToken: &pb.ApiToken{Name: r.Name, Role: r.Role, Client: r.Client, CreatedAt: at(0)}}, nil
}

func (m *fakeMaster) ListApiTokens(context.Context, *pb.ListApiTokensRequest) (*pb.ListApiTokensResponse, error) {
	return &pb.ListApiTokensResponse{ApiTokens: m.tokens}, nil
}

func (m *fakeMaster) RevokeApiToken(_ context.Context, r *pb.RevokeApiTokenRequest) (*pb.RevokeApiTokenResponse, error) {
	for _, t := range m.tokens {
		if t.Name == r.Name {
			t = proto.CloneOf(t)
			t.Revoked = true
			return &pb.RevokeApiTokenResponse{ApiToken: t}, nil
		}
	}
	return nil, errs.New(errs.NotFound, "list them with: sitekeep token list", "no token %s", r.Name)
}

func (m *fakeMaster) GetCaller(ctx context.Context, _ *pb.GetCallerRequest) (*pb.GetCallerResponse, error) {
	return &pb.GetCallerResponse{Name: callerName(ctx), Role: "admin", Version: "v9"}, nil
}
