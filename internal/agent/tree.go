package agent

import (
	"context"

	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// treeService reads and writes site directories; ReadTree and WriteTree have files of their own.
type treeService struct {
	agentv1.UnimplementedTreeServiceServer
	*Agent
}

func (s *treeService) InspectTree(_ context.Context, req *agentv1.InspectTreeRequest) (*agentv1.InspectTreeResponse, error) {
	site, err := s.site(req.GetSite())
	if err != nil {
		return nil, err
	}
	state, err := s.stager.Inspect(site, req.GetTask())
	if err != nil {
		return nil, treeError(err)
	}
	return &agentv1.InspectTreeResponse{
		LiveInode: state.Live, StagedInode: state.Staged, FreeBytes: state.FreeBytes, FreeInodes: state.FreeInodes,
		Empty: state.Empty, NoParent: state.NoParent,
	}, nil
}

func (s *treeService) ExchangeTree(ctx context.Context, req *agentv1.ExchangeTreeRequest) (*agentv1.ExchangeTreeResponse, error) {
	site, err := s.siteAndTask(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	if err := s.align(ctx, req.GetSite(), site, req.GetTask()); err != nil {
		return nil, treeError(err)
	}
	err = s.stager.Exchange(ctx, site, req.GetTask(), req.GetLiveInode(), req.GetStagedInode())
	return &agentv1.ExchangeTreeResponse{}, treeError(err)
}

func (s *treeService) RemoveStaging(ctx context.Context, req *agentv1.RemoveStagingRequest) (*agentv1.RemoveStagingResponse, error) {
	site, err := s.siteAndTask(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	existed, err := s.stager.Remove(ctx, site, req.GetTask(), req.GetLiveInode())
	return &agentv1.RemoveStagingResponse{Existed: existed}, treeError(err)
}
