package agent

import (
	"context"

	"github.com/sitekeep/sitekeep/pkg/dbdump"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// InspectTables tells what an exchange needs to know.
func (s *databaseService) InspectTables(ctx context.Context, req *agentv1.InspectTablesRequest) (*agentv1.InspectTablesResponse, error) {
	reply := &agentv1.InspectTablesResponse{}
	err := s.withDatabase(ctx, req.GetName(), func(in *dbdump.Instance) error {
		tables, err := in.InspectTables(ctx, req.GetName(), req.GetTables())
		for _, t := range tables {
			reply.Tables = append(reply.Tables, &agentv1.TableDetail{
				Name: t.Name, Kind: t.Kind, Related: t.Related, Triggers: triggersToProto(t.Triggers),
				View: viewToProto(t.View), Broken: t.Broken,
			})
		}
		return err
	})
	return reply, err
}

// ExchangeTables passes only if the allow-list has all three databases.
func (s *databaseService) ExchangeTables(ctx context.Context, req *agentv1.ExchangeTablesRequest) (*agentv1.ExchangeTablesResponse, error) {
	for _, name := range []string{req.GetScratch(), req.GetKept()} {
		if err := s.guard.Database(name); err != nil {
			return nil, err
		}
	}
	spec := dbdump.ExchangeSpec{Live: req.GetName(), Scratch: req.GetScratch(), Kept: req.GetKept(), Back: req.GetBack(), User: req.GetUser()}
	for _, t := range req.GetTables() {
		spec.Tables = append(spec.Tables, dbdump.TableSwap{
			Name: t.GetName(), Existed: t.GetExisted(), Old: triggersFromProto(t.GetOldTriggers()), New: triggersFromProto(t.GetNewTriggers()),
			OldView: viewFromProto(t.GetOldView()), NewView: viewFromProto(t.GetNewView()),
		})
	}
	err := s.withDatabase(ctx, req.GetName(), func(in *dbdump.Instance) error { return in.ExchangeTables(ctx, spec) })
	return &agentv1.ExchangeTablesResponse{}, err
}

func viewToProto(v *dbdump.ViewDefinition) *agentv1.ViewDefinition {
	if v == nil {
		return nil
	}
	return &agentv1.ViewDefinition{
		Algorithm: v.Algorithm, Security: v.Security, Definer: v.Definer, Body: v.Body, Charset: v.Charset, Collation: v.Collation,
	}
}

func viewFromProto(v *agentv1.ViewDefinition) *dbdump.ViewDefinition {
	if v == nil {
		return nil
	}
	return &dbdump.ViewDefinition{
		Algorithm: v.GetAlgorithm(), Security: v.GetSecurity(), Definer: v.GetDefiner(), Body: v.GetBody(), Charset: v.GetCharset(), Collation: v.GetCollation(),
	}
}

func triggersToProto(list []dbdump.Trigger) []*agentv1.Trigger {
	var out []*agentv1.Trigger
	for _, t := range list {
		out = append(out, &agentv1.Trigger{
			Name: t.Name, Timing: t.Timing, Event: t.Event, Statement: t.Statement, SqlMode: t.SQLMode, Collation: t.Collation, Definer: t.Definer,
		})
	}
	return out
}

func triggersFromProto(list []*agentv1.Trigger) []dbdump.Trigger {
	var out []dbdump.Trigger
	for _, t := range list {
		out = append(out, dbdump.Trigger{
			Name: t.GetName(), Timing: t.GetTiming(), Event: t.GetEvent(), Statement: t.GetStatement(),
			SQLMode: t.GetSqlMode(), Collation: t.GetCollation(), Definer: t.GetDefiner(),
		})
	}
	return out
}
