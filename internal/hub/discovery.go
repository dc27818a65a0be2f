package hub

import (
	"context"
	"net"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/discover"
	"github.com/sitekeep/sitekeep/internal/hub/fleet"
	"github.com/sitekeep/sitekeep/internal/model"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func (s *siteService) DiscoverSites(q *sitekeepv1.DiscoverSitesRequest, stream grpc.ServerStreamingServer[sitekeepv1.DiscoverSitesResponse]) error {
	ctx := stream.Context()
	if err := unscoped(ctx); err != nil {
		return err
	}
	if err := s.checkRole(ctx, q.Server, model.RoleWeb); err != nil {
		return err
	}
	finder := discover.Finder{Agents: finders{s.Fleet}, Inventory: stock{s.Catalogue}, Resolver: net.DefaultResolver}
	return finder.Find(ctx, q.Server, q.Sizes,
		func(d discover.Site) error { return stream.Send(discoveredToProto(&d)) },
		func(warning string) error { return stream.Send(&sitekeepv1.DiscoverSitesResponse{Warning: warning}) })
}

func discoveredToProto(d *discover.Site) *sitekeepv1.DiscoverSitesResponse {
	return &sitekeepv1.DiscoverSitesResponse{Site: &sitekeepv1.DiscoveredSite{
		Site: siteToProto(&d.Site, catalogue.Usage{}), Version: d.Version, KnownAs: d.KnownAs, Obstacle: d.Obstacle, Warnings: d.Warnings,
		VhostFile: d.VhostFile, FileBytes: d.FileBytes, DatabaseBytes: d.DatabaseBytes,
	}}
}

// finders gives the fleet's agents to package discover.
type finders struct{ *fleet.Fleet }

func (f finders) Agent(ctx context.Context, server string) (discover.Agent, error) {
	return f.Fleet.Agent(ctx, server)
}

// stock gives the catalogue to package discover.
type stock struct{ *catalogue.Catalogue }

func (c stock) Sites(ctx context.Context) (out []model.Site, err error) {
	for site, err := range c.AllSites(ctx, catalogue.SiteFilter{}) {
		if err != nil {
			return nil, err
		}
		out = append(out, site)
	}
	slices.SortFunc(out, func(a, b model.Site) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
