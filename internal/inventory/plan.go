package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// Action is what becomes of an object.
type Action string

// The actions.
const (
	Added     Action = "added"
	Changed   Action = "changed"
	Unchanged Action = "unchanged"
	Removed   Action = "removed"
	Waiting   Action = "waiting" // for an operator
)

// Field is a field of an object that changes; empty stands for one that is not set.
type Field struct{ Name, Before, After string }

// Change is what becomes of one object.
type Change struct {
	Kind   Kind
	Name   string
	Action Action
	Fields []Field
	Note   string // what an operator has to do
	// Look: the site must be looked at on its servers first, for it is new or lies elsewhere now.
	Look bool

	want *Object // nil if it is removed
}

// Site is what a document of that kind says. Kind and database are empty where they are to be found out.
func (c *Change) Site() model.Site { return c.want.Spec.(*siteSpec).site(c.Name) }

// Schedule is what a document of that kind says.
func (c *Change) Schedule() model.Schedule { return c.want.Spec.(*scheduleSpec).schedule(c.Name) }

// Retention is what a document of that kind says; of one that is removed, for what it was.
func (c *Change) Retention() model.Retention {
	if c.want == nil {
		return (&retentionSpec{}).retention(c.Name)
	}
	return c.want.Spec.(*retentionSpec).retention(c.Name)
}

// Client is what a document of that kind says.
func (c *Change) Client() model.Client {
	spec := c.want.Spec.(*clientSpec)
	return model.Client{Name: c.Name, MaxTasks: spec.MaxTasks, MaxSize: int64(spec.MaxSize)}
}

// Plan compares what is with what documents want, and says for each object what
// is to be done, by kind and name. With prune, what no document names is
// removed, but for servers. A document that refers to something that is nowhere
// is errs.Usage, with its file and line.
func Plan(have *model.Inventory, want []Object, prune bool) ([]Change, error) {
	p := &planner{have: have, recorded: map[key]*Object{}, wanted: map[key]*Object{}, sites: map[string]*model.Site{}}
	there := Objects(have)
	for i := range there {
		p.recorded[there[i].key()] = &there[i]
	}
	for i := range have.Sites {
		p.sites[have.Sites[i].Name] = &have.Sites[i]
	}
	for i := range want {
		p.wanted[want[i].key()] = &want[i]
	}
	for i := range want {
		if err := p.one(&want[i]); err != nil {
			return nil, err
		}
	}
	for i := range there {
		if o := &there[i]; prune && o.Kind != Server && p.wanted[o.key()] == nil {
			p.changes = append(p.changes, Change{Kind: o.Kind, Name: o.Name, Action: Removed})
		}
	}
	if err := p.references(want, prune); err != nil {
		return nil, err
	}
	slices.SortStableFunc(p.changes, func(a, b Change) int {
		return cmp.Or(slices.Index(kinds(), a.Kind)-slices.Index(kinds(), b.Kind), strings.Compare(a.Name, b.Name))
	})
	return p.changes, nil
}

type planner struct {
	have     *model.Inventory
	recorded map[key]*Object
	wanted   map[key]*Object
	sites    map[string]*model.Site // recorded
	changes  []Change
}

// one plans a document.
func (p *planner) one(o *Object) error {
	c := Change{Kind: o.Kind, Name: o.Name, want: o}
	old := p.recorded[o.key()]
	if site := p.sites[o.Name]; o.Kind == Site && old != nil {
		c.want, old = meet(o, site)
	}
	var before any
	if c.Action = Added; old != nil {
		before, c.Action = old.Spec, Changed
	}
	var err error
	if c.Fields, err = compare(before, c.want.Spec); err != nil {
		return fmt.Errorf("%s: %s %s: %w", o.Where, o.Kind, o.Name, err)
	}
	if old != nil && len(c.Fields) == 0 {
		c.Action = Unchanged
	}
	switch o.Kind {
	case Server:
		p.server(&c)
	case Site:
		p.site(&c)
	}
	p.changes = append(p.changes, c)
	return nil
}

// meet brings a document and what is recorded of its site to the same terms:
// what the document leaves to be found out was found out already.
func meet(o *Object, site *model.Site) (want, old *Object) {
	spec, recorded := *o.Spec.(*siteSpec), *specOfSite(site)
	if spec.Kind == "" {
		spec.Kind = site.Kind
	}
	recorded.Database = site.Database.Name
	if spec.Database == "" && spec.DBServer != "" {
		spec.Database = site.Database.Name
	}
	return &Object{Kind: Site, Name: o.Name, Spec: &spec, Where: o.Where}, &Object{Kind: Site, Name: o.Name, Spec: &recorded}
}

// compare returns the fields of two specs that differ; before may be nil.
func compare(before, after any) ([]Field, error) {
	var old []field
	if before != nil {
		var err error
		if old, err = fields(before); err != nil {
			return nil, err
		}
	}
	now, err := fields(after)
	if err != nil {
		return nil, err
	}
	var out []Field
	for _, name := range fieldsOf(after) {
		f := Field{Name: name, Before: valueOf(old, name), After: valueOf(now, name)}
		if f.Before != f.After {
			out = append(out, f)
		}
	}
	return out, nil
}

func valueOf(list []field, name string) string {
	for _, f := range list {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

// server: a machine joins, or takes another role, by its operator's hand alone.
func (p *planner) server(c *Change) {
	if c.Action == Unchanged {
		return
	}
	var roles strings.Builder
	for _, role := range c.want.Spec.(*serverSpec).Roles {
		roles.WriteString(" --role " + string(role))
	}
	c.Action = Waiting
	c.Note = "let it join with a token of: sitekeep server token " + c.Name + roles.String()
}

// site: one on a server that is still to join waits for it.
func (p *planner) site(c *Change) {
	if c.Action == Unchanged {
		return
	}
	spec := c.want.Spec.(*siteSpec)
	for _, server := range serversOf(spec) {
		if p.recorded[key{Server, server}] == nil && p.wanted[key{Server, server}] != nil {
			c.Action, c.Note = Waiting, "apply again when server "+server+" has joined"
			return
		}
	}
	c.Look = c.Action == Added || slices.ContainsFunc(c.Fields, func(f Field) bool {
		return slices.Contains([]string{"kind", "webServers", "dbServer", "database", "root", "docroot"}, f.Name)
	})
}

func serversOf(s *siteSpec) []string {
	if s.DBServer == "" {
		return s.WebServers
	}
	return append(slices.Clone(s.WebServers), s.DBServer)
}

// references refuses documents that name what will not be there.
func (p *planner) references(want []Object, prune bool) error {
	for i := range want {
		o := &want[i]
		var kind Kind
		var names []string
		switch spec := o.Spec.(type) {
		case *siteSpec:
			kind, names = Server, serversOf(spec)
		case *scheduleSpec:
			kind, names = Site, spec.Sites
		case *retentionSpec:
			if site, is := after(o.Name, siteName); is {
				kind, names = Site, []string{site}
			}
		}
		for _, name := range names {
			if k := (key{kind, name}); p.wanted[k] == nil && (p.recorded[k] == nil || prune && kind != Server) {
				return errs.New(errs.Usage, "add a document for it, or mend the name; nothing was changed",
					"%s: %s %s: there is no %s %s", o.Where, o.Kind, o.Name, strings.ToLower(string(kind)), name)
			}
		}
	}
	return nil
}
