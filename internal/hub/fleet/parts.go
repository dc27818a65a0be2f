package fleet

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/model"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// InspectPaths looks at paths of the live and of a task's staged tree.
func (a *Agent) InspectPaths(ctx context.Context, site model.SiteRef, task string, paths [][]byte) ([]model.PathState, error) {
	p, err := call(ctx, a, a.tree.InspectPaths, &agentv1.InspectPathsRequest{Site: ref(site), Task: task, Paths: paths})
	var out []model.PathState
	for _, s := range p.GetPaths() {
		out = append(out, model.PathState{Path: s.Path, Live: s.LiveInode, Staged: s.StagedInode})
	}
	return out, err
}

// ExchangePaths swaps paths of the live and of the staged tree, or takes that back.
func (a *Agent) ExchangePaths(ctx context.Context, site model.SiteRef, task string, paths []model.PathState, back bool) error {
	q := &agentv1.ExchangePathsRequest{Site: ref(site), Task: task, Back: back}
	for _, p := range paths {
		q.Paths = append(q.Paths, &agentv1.PathState{Path: p.Path, LiveInode: p.Live, StagedInode: p.Staged})
	}
	_, err := call(ctx, a, a.tree.ExchangePaths, q)
	return err
}

// InspectTables tells of tables what an exchange needs to know.
func (a *Agent) InspectTables(ctx context.Context, database string, tables []string) ([]model.TableDetail, error) {
	p, err := call(ctx, a, a.database.InspectTables, &agentv1.InspectTablesRequest{Name: database, Tables: tables})
	var out []model.TableDetail
	for _, t := range p.GetTables() {
		d := model.TableDetail{Name: t.Name, Kind: t.Kind, Related: t.Related, View: view(t.View), Broken: t.Broken}
		for _, g := range t.Triggers {
			d.Triggers = append(d.Triggers, model.Trigger{
				Name: g.Name, Timing: g.Timing, Event: g.Event, Statement: g.Statement, SQLMode: g.SqlMode, Collation: g.Collation, Definer: g.Definer,
			})
		}
		out = append(out, d)
	}
	return out, err
}

// ExchangeTables puts tables of one database in place of those of another, or takes that back.
func (a *Agent) ExchangeTables(ctx context.Context, x model.TableExchange) error {
	q := &agentv1.ExchangeTablesRequest{Name: x.Live, Scratch: x.Scratch, Kept: x.Kept, Back: x.Back, User: x.User}
	for _, t := range x.Tables {
		q.Tables = append(q.Tables, &agentv1.TableSwap{
			Name: t.Name, Existed: t.Existed, OldTriggers: triggers(t.Old), NewTriggers: triggers(t.New),
			OldView: viewToProto(t.OldView), NewView: viewToProto(t.NewView),
		})
	}
	_, err := call(ctx, a, a.database.ExchangeTables, q)
	return err
}

func view(v *agentv1.ViewDefinition) *model.ViewDefinition {
	if v == nil {
		return nil
	}
	return &model.ViewDefinition{Algorithm: v.Algorithm, Security: v.Security, Definer: v.Definer, Body: v.Body, Charset: v.Charset, Collation: v.Collation}
}

func viewToProto(v *model.ViewDefinition) *agentv1.ViewDefinition {
	if v == nil {
		return nil
	}
	return &agentv1.ViewDefinition{Algorithm: v.Algorithm, Security: v.Security, Definer: v.Definer, Body: v.Body, Charset: v.Charset, Collation: v.Collation}
}

func triggers(list []model.Trigger) []*agentv1.Trigger {
	var out []*agentv1.Trigger
	for _, t := range list {
		out = append(out, &agentv1.Trigger{
			Name: t.Name, Timing: t.Timing, Event: t.Event, Statement: t.Statement, SqlMode: t.SQLMode, Collation: t.Collation, Definer: t.Definer,
		})
	}
	return out
}
