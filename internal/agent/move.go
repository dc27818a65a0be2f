package agent

import (
	"context"
	"fmt"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/moved"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// moveFromProto refuses what is no name or no directory: neither may be any text.
func moveFromProto(p *agentv1.Move) (moved.Move, error) {
	var m moved.Move
	for _, r := range p.GetNames() {
		for _, name := range []string{r.GetOld(), r.GetNew()} {
			if err := model.CheckSiteName(name); err != nil {
				return m, err
			}
		}
		m.Names = append(m.Names, moved.Pair{Old: r.GetOld(), New: r.GetNew()})
	}
	for _, r := range p.GetPaths() {
		for _, dir := range []string{r.GetOld(), r.GetNew()} {
			if err := model.CheckPath("directory", dir); err != nil {
				return m, err
			}
		}
		m.Paths = append(m.Paths, moved.Pair{Old: r.GetOld(), New: r.GetNew()})
	}
	for _, r := range p.GetRelative() {
		for _, dir := range []string{r.GetOld(), r.GetNew()} {
			if err := model.CheckPath("directory", "/"+dir); err != nil {
				return m, err
			}
		}
		m.Relative = append(m.Relative, moved.Pair{Old: r.GetOld(), New: r.GetNew()})
	}
	if m.IsZero() {
		return m, errs.New(errs.Usage, "name what has moved", "nothing has moved")
	}
	return m, nil
}

// RewriteSettings changes staged trees alone. A kind that keeps no addresses has nothing to change.
func (s *settingsService) RewriteSettings(ctx context.Context, req *agentv1.RewriteSettingsRequest) (*agentv1.RewriteSettingsResponse, error) {
	site, err := s.siteAndTask(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	kind, err := kindByName(site.Kind)
	if err != nil {
		return nil, err
	}
	move, err := moveFromProto(req.GetMove())
	if err != nil {
		return nil, err
	}
	renamer, ok := kind.(sitekind.Renamer)
	if !ok {
		return &agentv1.RewriteSettingsResponse{}, nil
	}
	p, err := s.place(site, req.GetTask())
	if err != nil {
		return nil, err
	}
	defer p.Close()
	move.Again = true // an earlier call may have done some files of several
	changed, err := renamer.RewriteSettings(ctx, p.Place, move.Rewriter().Rewrite)
	return &agentv1.RewriteSettingsResponse{Changed: changed}, settingsError(err)
}

// RewriteTables works as the database's own user, which reaches nothing else.
func (s *databaseService) RewriteTables(ctx context.Context, req *agentv1.RewriteTablesRequest) (*agentv1.RewriteTablesResponse, error) {
	if req.GetUser() == "" {
		return nil, errs.New(errs.Usage, "give the user that CreateDatabase made", "rewrite %s: no user is named", req.GetName())
	}
	move, err := moveFromProto(req.GetMove())
	if err != nil {
		return nil, err
	}
	reply := &agentv1.RewriteTablesResponse{}
	err = s.withDatabase(ctx, req.GetName(), func(in *dbdump.Instance) error {
		tables, warnings, err := in.RewriteTables(ctx, dbdump.RewriteSpec{
			Database: req.GetName(), User: req.GetUser(), Password: dbdump.NewSecret(req.GetPassword()),
			Needles: move.Needles(), Rewrite: move.Rewriter().Rewrite,
		})
		for _, t := range tables {
			reply.Tables = append(reply.Tables, &agentv1.RewrittenTable{Name: validName(t.Table), Rows: t.Rows, Values: t.Values})
		}
		var list warningList
		for _, w := range warnings {
			list.add(validName(fmt.Sprintf("%s: %s", w.Subject, w.Message)))
		}
		reply.Warnings = list.lines()
		return err
	})
	return reply, err
}

// InspectVhost looks at the file alone: whether it is served does not matter.
func (s *vhostService) InspectVhost(ctx context.Context, req *agentv1.InspectVhostRequest) (*agentv1.InspectVhostResponse, error) {
	site, web, err := s.vhost(req.GetSite())
	if err != nil {
		return nil, err
	}
	state, err := web.VhostState(ctx, site.Name)
	return &agentv1.InspectVhostResponse{Exists: state.Exists, Managed: state.Managed}, vhostError(err)
}
