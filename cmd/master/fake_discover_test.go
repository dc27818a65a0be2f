package main

import (
	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/errs"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// DiscoverSites finds on web1 one site of every sort, on web2 nothing but good.
func (m *fakeMaster) DiscoverSites(r *pb.DiscoverSitesRequest, s grpc.ServerStreamingServer[pb.DiscoverSitesResponse]) error {
	m.called("DiscoverSites %s sizes=%v", r.Server, r.Sizes)
	if r.Server != "web1" && r.Server != "web2" {
		return errs.New(errs.NotFound, "list them with: sitekeep server list", "no server %s", r.Server)
	}
	site := func(name string) *pb.Site {
		return &pb.Site{Name: name, Kind: "wordpress", WebServers: []string{r.Server}, Root: "/var/www/" + name, DbServer: "db1", Database: "d", Vhost: "external"}
	}
	list := []*pb.DiscoverSitesResponse{{Site: &pb.DiscoveredSite{Site: site("new.example"), Version: "6.8.1", FileBytes: 2048, DatabaseBytes: 4096}}}
	if r.Server == "web1" {
		list = append(list,
			&pb.DiscoverSitesResponse{Warning: "/etc/nginx/x:3: broken\x1b"},
			&pb.DiscoverSitesResponse{Site: &pb.DiscoveredSite{Site: site("example.com")}}, // CreateSite says that it exists
			&pb.DiscoverSitesResponse{Site: &pb.DiscoveredSite{Site: site("static.example"), KnownAs: "static.example", Warnings: []string{"of no interest"}}},
			&pb.DiscoverSitesResponse{Site: &pb.DiscoveredSite{Site: site("www.static.example"), KnownAs: "static.example"}},
			&pb.DiscoverSitesResponse{Site: &pb.DiscoveredSite{Site: site("warn.example"), Warnings: []string{"over a link"}}},
			&pb.DiscoverSitesResponse{Site: &pb.DiscoveredSite{Site: site(""), Obstacle: "no virtual host names it"}})
	}
	for _, message := range list {
		if err := s.Send(message); err != nil {
			return err
		}
	}
	return nil
}
