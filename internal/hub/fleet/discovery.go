package fleet

import (
	"context"
	"errors"
	"io"

	"github.com/sitekeep/sitekeep/internal/model"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// FindSites has the agent look for sites, with the sizes of their files if asked. Found and warn are called one after
// another; an error of theirs ends the search.
func (a *Agent) FindSites(ctx context.Context, sizes bool, found func(model.FoundSite) error, warn func(string) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.finding.FindSites(ctx, &agentv1.FindSitesRequest{Sizes: sizes})
	if err != nil {
		return a.named(ctx, err)
	}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return a.named(ctx, err)
		case m.GetSite() != nil:
			err = found(foundSite(m.GetSite()))
		default:
			err = warn(m.GetWarning())
		}
		if err != nil {
			return err
		}
	}
}

func foundSite(p *agentv1.FoundSite) model.FoundSite {
	s := p.GetSite()
	return model.FoundSite{
		Site: model.SiteRef{Name: s.GetName(), Kind: s.GetKind(), Root: s.GetRoot(), Docroot: s.GetDocroot(), Aliases: s.GetAliases(),
			External: s.GetExternal()},
		Version: p.GetVersion(), Settings: settingsOf(p.GetSettings()), Problem: p.GetProblem(), VhostFile: p.GetVhostFile(),
		Warnings: p.GetWarnings(), FileBytes: p.GetFileBytes(),
	}
}
