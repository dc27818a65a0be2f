package hub

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/inventory"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type inventoryService struct {
	sitekeepv1.UnimplementedInventoryServiceServer
	*Hub
}

// applyText is what the audit log says of a request.
func applyText(q *sitekeepv1.ApplyRequest) string {
	text := fmt.Sprintf("%d files", len(q.GetFiles()))
	if q.GetPrune() {
		text += ", prune"
	}
	if q.GetDryRun() {
		text += ", dry run"
	}
	return text
}

func (s *inventoryService) Export(ctx context.Context, _ *sitekeepv1.ExportRequest) (*sitekeepv1.ExportResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	have, err := s.Catalogue.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := inventory.Write(&text, inventory.Objects(&have)); err != nil {
		return nil, err
	}
	return &sitekeepv1.ExportResponse{Content: text.Bytes()}, nil
}

// Apply looks at servers first, since a transaction must not wait for them, and then plans anew within the transaction
// that carries the plan out.
func (s *inventoryService) Apply(ctx context.Context, q *sitekeepv1.ApplyRequest) (*sitekeepv1.ApplyResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	var files []inventory.File
	for _, f := range q.Files {
		files = append(files, inventory.File{Name: f.GetName(), Content: f.GetContent()})
	}
	want, err := inventory.Parse(files)
	if err != nil {
		return nil, err
	}
	have, err := s.Catalogue.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := inventory.Plan(&have, want, q.Prune)
	if err != nil {
		return nil, err
	}
	a := &application{hub: s.Hub, surveyed: map[string]survey{}}
	warnings, err := a.lookAt(ctx, &have, plan)
	if err != nil {
		return nil, err
	}
	if !q.DryRun {
		err = s.Catalogue.Update(ctx, func(ctx context.Context, tx *catalogue.Tx) error {
			if have, err = tx.Inventory(ctx); err != nil {
				return err
			}
			if plan, err = inventory.Plan(&have, want, q.Prune); err != nil {
				return err
			}
			a.tx, a.have, a.turns = tx, sitesByName(&have), nil
			return a.carryOut(ctx, plan)
		})
		if err != nil {
			return nil, err
		}
		if err := s.limitsChanged(ctx); err != nil {
			return nil, err
		}
	}
	out := &sitekeepv1.ApplyResponse{}
	out.Tasks, out.Warnings = a.begin(ctx)
	out.Warnings = append(warnings, out.Warnings...)
	for i := range plan {
		out.Changes = append(out.Changes, changeToProto(&plan[i]))
	}
	return out, nil
}

func changeToProto(c *inventory.Change) *sitekeepv1.InventoryChange {
	out := &sitekeepv1.InventoryChange{Kind: string(c.Kind), Name: c.Name, Action: string(c.Action), Note: c.Note}
	for _, f := range c.Fields {
		out.Fields = append(out.Fields, &sitekeepv1.InventoryField{Path: f.Name, Before: f.Before, After: f.After})
	}
	return out
}

func sitesByName(inv *model.Inventory) map[string]*model.Site {
	out := make(map[string]*model.Site, len(inv.Sites))
	for i := range inv.Sites {
		out[inv.Sites[i].Name] = &inv.Sites[i]
	}
	return out
}

// survey is what was found of a site that was asked for.
type survey struct{ asked, found model.Site }

// application is one Apply.
type application struct {
	hub      *Hub
	surveyed map[string]survey
	have     map[string]*model.Site
	tx       *catalogue.Tx
	turns    []turn
}

// turn takes a site offline, or lets visitors in. That is a task's work, which records it when it is done.
type turn struct {
	site string
	kind model.TaskKind
}

func (a *application) turn(site *model.Site, now bool) {
	switch {
	case site.Disabled && !now:
		a.turns = append(a.turns, turn{site.Name, model.TaskDisable})
	case !site.Disabled && now:
		a.turns = append(a.turns, turn{site.Name, model.TaskEnable})
	}
	site.Disabled = now
}

// begin starts the tasks. What was applied stands if one cannot be: applying it again tries that again.
func (a *application) begin(ctx context.Context) (out []*sitekeepv1.Task, warnings []string) {
	for _, t := range a.turns {
		task, err := a.hub.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: t.kind, Site: t.site, Queue: true})
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("site %s: its task %s was not begun: %v", t.site, t.kind, err))
			continue
		}
		out = append(out, taskToProto(&task))
	}
	return out, warnings
}

// lookAt looks at each site that is new or lies elsewhere. The first that is not there ends it.
func (a *application) lookAt(ctx context.Context, have *model.Inventory, plan []inventory.Change) (warnings []string, err error) {
	recorded := sitesByName(have)
	for i := range plan {
		if !plan[i].Look {
			continue
		}
		asked := plan[i].Site()
		found := asked
		if old := recorded[asked.Name]; old != nil && old.Database.Name == asked.Database.Name {
			found.Database = old.Database
		}
		said, err := a.hub.survey(ctx, &found, true)
		if err != nil {
			return nil, fmt.Errorf("site %s: %w", asked.Name, err)
		}
		for _, text := range said {
			warnings = append(warnings, "site "+asked.Name+": "+text)
		}
		a.surveyed[asked.Name] = survey{asked, found}
	}
	return warnings, nil
}

// carryOut goes so that what names something comes after it, and a domain is free before another site takes it.
func (a *application) carryOut(ctx context.Context, plan []inventory.Change) error {
	passes := []func(context.Context, *inventory.Change) error{a.removeRules, a.removeSite, a.putClient, a.freeAliases, a.putSite, a.putRules, a.removeClient}
	for _, pass := range passes {
		for i := range plan {
			if err := pass(ctx, &plan[i]); err != nil {
				return fmt.Errorf("%s %s: %w", plan[i].Kind, plan[i].Name, err)
			}
		}
	}
	return nil
}

func puts(c *inventory.Change, kind inventory.Kind) bool {
	return c.Kind == kind && (c.Action == inventory.Added || c.Action == inventory.Changed)
}

func removes(c *inventory.Change, kind inventory.Kind) bool {
	return c.Kind == kind && c.Action == inventory.Removed
}

func (a *application) removeRules(ctx context.Context, c *inventory.Change) error {
	switch {
	case removes(c, inventory.Schedule):
		return a.tx.DeleteSchedule(ctx, c.Name)
	case removes(c, inventory.Retention):
		r := c.Retention()
		return a.tx.RemoveRules(ctx, r.Client, r.Site)
	}
	return nil
}

func (a *application) removeSite(ctx context.Context, c *inventory.Change) error {
	if !removes(c, inventory.Site) {
		return nil
	}
	if err := a.tx.SiteAtRest(ctx, c.Name); err != nil {
		return err
	}
	return a.tx.DeleteSite(ctx, c.Name)
}

func (a *application) removeClient(ctx context.Context, c *inventory.Change) error {
	if !removes(c, inventory.Client) {
		return nil
	}
	return a.tx.RemoveClient(ctx, c.Name)
}

func (a *application) putClient(ctx context.Context, c *inventory.Change) error {
	if !puts(c, inventory.Client) {
		return nil
	}
	return a.tx.PutClient(ctx, c.Client())
}

// freeAliases lets two sites exchange a domain.
func (a *application) freeAliases(ctx context.Context, c *inventory.Change) error {
	if !puts(c, inventory.Site) || a.have[c.Name] == nil || !slices.ContainsFunc(c.Fields, func(f inventory.Field) bool { return f.Name == "aliases" }) {
		return nil
	}
	_, err := a.tx.UpdateSite(ctx, c.Name, func(s *model.Site) error { s.Aliases = nil; return nil })
	return err
}

func (a *application) putSite(ctx context.Context, c *inventory.Change) error {
	if !puts(c, inventory.Site) {
		return nil
	}
	site, old := c.Site(), a.have[c.Name]
	if c.Look {
		seen := a.surveyed[c.Name]
		if !reflect.DeepEqual(seen.asked, site) {
			return changedMeanwhile("site " + c.Name)
		}
		site = seen.found
	} else {
		site.Database = old.Database
	}
	a.turn(&site, old != nil && old.Disabled)
	if old == nil {
		site.CreatedAt = a.hub.Now().UTC()
		return a.tx.CreateSite(ctx, site)
	}
	if c.Look {
		if err := a.tx.SiteAtRest(ctx, c.Name); err != nil {
			return err
		}
	}
	_, err := a.tx.UpdateSite(ctx, c.Name, func(s *model.Site) error { *s = site; return nil })
	return err
}

func (a *application) putRules(ctx context.Context, c *inventory.Change) error {
	switch {
	case puts(c, inventory.Schedule):
		m := c.Schedule()
		m.CreatedAt = a.hub.Now().UTC()
		return a.tx.PutSchedule(ctx, m)
	case puts(c, inventory.Retention):
		return a.tx.PutRules(ctx, c.Retention())
	}
	return nil
}
