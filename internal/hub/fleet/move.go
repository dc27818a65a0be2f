package fleet

import (
	"context"

	"github.com/sitekeep/sitekeep/internal/model"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

func moveToProto(m model.Move) *agentv1.Move {
	return &agentv1.Move{Names: replacements(m.Names), Paths: replacements(m.Paths), Relative: replacements(m.Relative)}
}

func replacements(list []model.Replacement) []*agentv1.Replacement {
	var out []*agentv1.Replacement
	for _, r := range list {
		out = append(out, &agentv1.Replacement{Old: r.Old, New: r.New})
	}
	return out
}

// RewriteSettings puts a new name and directory into the settings of a staged tree, and names the settings that changed.
func (a *Agent) RewriteSettings(ctx context.Context, site model.SiteRef, task string, m model.Move) (changed []string, err error) {
	p, err := call(ctx, a, a.settings.RewriteSettings, &agentv1.RewriteSettingsRequest{Site: ref(site), Task: task, Move: moveToProto(m)})
	return p.GetChanged(), err
}

// RewriteTables puts a new name and directory into all tables of a database. It may take long.
func (a *Agent) RewriteTables(ctx context.Context, db model.NewDatabase, m model.Move) (tables []model.RewrittenTable, warnings []string, err error) {
	p, err := a.database.RewriteTables(ctx, &agentv1.RewriteTablesRequest{
		Name: db.Name, User: db.User, Password: db.Password, Move: moveToProto(m),
	})
	for _, t := range p.GetTables() {
		tables = append(tables, model.RewrittenTable{Name: t.Name, Rows: t.Rows, Values: t.Values})
	}
	return tables, p.GetWarnings(), a.named(ctx, err)
}

// InspectVhost looks for the file of a site's virtual host.
func (a *Agent) InspectVhost(ctx context.Context, site model.SiteRef) (model.VhostState, error) {
	p, err := call(ctx, a, a.vhost.InspectVhost, &agentv1.InspectVhostRequest{Site: ref(site)})
	return model.VhostState{Exists: p.GetExists(), Managed: p.GetManaged()}, err
}
