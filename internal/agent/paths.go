package agent

import (
	"bytes"
	"context"
	"path"
	"strings"

	"github.com/sitekeep/sitekeep/internal/agent/staging"
	"github.com/sitekeep/sitekeep/internal/errs"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// InspectPaths looks at paths of the live and of the staged tree.
func (s *treeService) InspectPaths(_ context.Context, req *agentv1.InspectPathsRequest) (*agentv1.InspectPathsResponse, error) {
	site, err := s.site(req.GetSite())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range req.GetPaths() {
		name, err := pathBelow(p)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	states, err := s.stager.InspectPaths(site, req.GetTask(), names)
	if err != nil {
		return nil, treeError(err)
	}
	reply := &agentv1.InspectPathsResponse{}
	for _, p := range states {
		reply.Paths = append(reply.Paths, &agentv1.PathState{Path: []byte("./" + p.Name), LiveInode: p.Live, StagedInode: p.Staged})
	}
	return reply, nil
}

// ExchangePaths swaps them, or takes that back.
func (s *treeService) ExchangePaths(ctx context.Context, req *agentv1.ExchangePathsRequest) (*agentv1.ExchangePathsResponse, error) {
	site, err := s.siteAndTask(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	var swaps []staging.PathState
	for _, p := range req.GetPaths() {
		name, err := pathBelow(p.GetPath())
		if err != nil {
			return nil, err
		}
		swaps = append(swaps, staging.PathState{Name: name, Live: p.GetLiveInode(), Staged: p.GetStagedInode()})
	}
	if err := s.align(ctx, req.GetSite(), site, req.GetTask()); err != nil {
		return nil, treeError(err)
	}
	err = s.stager.ExchangePaths(ctx, site, req.GetTask(), swaps, req.GetBack())
	return &agentv1.ExchangePathsResponse{}, treeError(err)
}

// pathBelow takes "./a/b" as "a/b", and refuses what is not below the site's directory.
func pathBelow(p []byte) (string, error) {
	name, ok := strings.CutPrefix(string(p), "./")
	if !ok || name == "" || path.Clean("/"+name) != "/"+name || bytes.IndexByte(p, 0) >= 0 {
		return "", errs.New(errs.Usage, "give it as ./a/b", "%q is no path below the site's directory", p)
	}
	return name, nil
}

// selection is what WriteTree extracts: the paths, what is below them, and the directories above them. Without any it
// is nil: everything.
func selection(paths [][]byte) func(string) bool {
	if len(paths) == 0 {
		return nil
	}
	covers, above := covered(paths), map[string]bool{"./": true}
	for _, p := range paths {
		for dir := parentOf(string(p)); dir != ""; dir = parentOf(dir) {
			above[dir] = true
		}
	}
	return func(name string) bool { return above[name] || covers(name) }
}

// covered reports of a name whether it is one of the paths or lies below one. Without paths everything is covered.
func covered(paths [][]byte) func(string) bool {
	chosen := map[string]bool{}
	for _, p := range paths {
		chosen[string(p)] = true
	}
	return func(name string) bool {
		if len(chosen) == 0 {
			return true
		}
		for ; name != ""; name = parentOf(name) {
			if chosen[name] {
				return true
			}
		}
		return false
	}
}

// parentOf gives "./a" of "./a/b", and nothing of "./a".
func parentOf(name string) string {
	i := strings.LastIndexByte(name, '/')
	if i <= 1 {
		return ""
	}
	return name[:i]
}
