// Package inventory reads and writes what an operator says of servers, clients,
// sites, schedules and retention as YAML documents, and says what would have to
// change for the catalogue to agree with them. It changes nothing itself, and
// asks no agent.
package inventory

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/model"
)

// APIVersion is what documents of this form carry.
const APIVersion = "sitekeep/v1"

// Kind is what a document is about.
type Kind string

// The kinds, in the order in which they are written and applied.
const (
	Server    Kind = "Server"
	Client    Kind = "Client"
	Site      Kind = "Site"
	Schedule  Kind = "Schedule"
	Retention Kind = "Retention"
)

func kinds() []Kind { return []Kind{Server, Client, Site, Schedule, Retention} }

// Names of Retention documents: what they hold for.
const (
	forAll     = "all"
	clientName = "client/"
	siteName   = "site/"
)

// Object is one document. Its spec is a pointer to the kind's.
type Object struct {
	Kind  Kind
	Name  string
	Spec  any
	Where string // file:line, for errors; empty if it comes out of the catalogue
}

type key struct {
	kind Kind
	name string
}

func (o *Object) key() key { return key{o.Kind, o.Name} }

// The specs. What is left out has its default, and is not written.
type (
	serverSpec struct {
		Roles []model.Role `yaml:"roles,flow"`
	}
	clientSpec struct {
		MaxTasks int  `yaml:"maxTasks,omitempty"`
		MaxSize  size `yaml:"maxSize,omitempty"`
	}
	siteSpec struct {
		Client        string          `yaml:"client,omitempty"`
		Aliases       []string        `yaml:"aliases,omitempty"`
		Kind          string          `yaml:"kind,omitempty"` // found out
		WebServers    []string        `yaml:"webServers,flow"`
		DBServer      string          `yaml:"dbServer,omitempty"`
		Database      string          `yaml:"database,omitempty"` // read from the site's settings
		Root          string          `yaml:"root"`
		Docroot       string          `yaml:"docroot,omitempty"`
		Excludes      []string        `yaml:"excludes,omitempty"`
		ExcludeCaches bool            `yaml:"excludeCaches,omitempty"`
		StructureOnly []string        `yaml:"structureOnly,omitempty"`
		AllRows       bool            `yaml:"allRows,omitempty"`
		Blank         bool            `yaml:"blankCredentials,omitempty"`
		Vhost         model.VhostMode `yaml:"vhost,omitempty"`
		// How visitors are kept out behind an external vhost.
		Maintenance model.MaintenanceMode `yaml:"maintenance,omitempty"`
		Disabled    bool                  `yaml:"disabled,omitempty"`
	}
	scheduleSpec struct {
		Cron       string   `yaml:"cron"`
		Zone       string   `yaml:"zone,omitempty"`
		Window     string   `yaml:"window,omitempty"`
		Spread     *length  `yaml:"spread,omitempty"`
		SkipMissed bool     `yaml:"skipMissed,omitempty"`
		Disabled   bool     `yaml:"disabled,omitempty"`
		All        bool     `yaml:"all,omitempty"`
		Client     string   `yaml:"client,omitempty"`
		Sites      []string `yaml:"sites,omitempty"`
		Format     string   `yaml:"format,omitempty"`
		Kind       string   `yaml:"kind,omitempty"` // drill; empty or backup for backups
	}
	retentionSpec struct {
		KeepLast    int    `yaml:"keepLast,omitempty"`
		KeepHourly  int    `yaml:"keepHourly,omitempty"`
		KeepDaily   int    `yaml:"keepDaily,omitempty"`
		KeepWeekly  int    `yaml:"keepWeekly,omitempty"`
		KeepMonthly int    `yaml:"keepMonthly,omitempty"`
		KeepYearly  int    `yaml:"keepYearly,omitempty"`
		MinAge      length `yaml:"minAge,omitempty"`
		KeepSafety  length `yaml:"keepSafety,omitempty"`
		Zone        string `yaml:"zone,omitempty"`
		MaxSize     size   `yaml:"maxSize,omitempty"` // of all; a client's stands in its own document
	}
)

// genericKind keeps no settings, so that its database's name can be read nowhere; see pkg/sitekind.
const genericKind = "generic"

// Objects are the documents that say what an inventory is, by kind and name.
// The database of a site that keeps settings is not among it: they name it,
// and a restore changes it.
func Objects(inv *model.Inventory) []Object {
	var all []Object
	for i := range inv.Servers {
		if s := &inv.Servers[i]; !s.Revoked {
			all = append(all, Object{Kind: Server, Name: s.Name, Spec: &serverSpec{Roles: sorted(s.Roles)}})
		}
	}
	for _, c := range inv.Clients {
		all = append(all, Object{Kind: Client, Name: c.Name, Spec: &clientSpec{c.MaxTasks, size(c.MaxSize)}})
	}
	for i := range inv.Sites {
		all = append(all, Object{Kind: Site, Name: inv.Sites[i].Name, Spec: specOfSite(&inv.Sites[i])})
	}
	for i := range inv.Schedules {
		all = append(all, Object{Kind: Schedule, Name: inv.Schedules[i].Name, Spec: specOfSchedule(&inv.Schedules[i])})
	}
	for i := range inv.Retentions {
		if o := objectOfRetention(&inv.Retentions[i]); o != nil {
			all = append(all, *o)
		}
	}
	sortObjects(all)
	return all
}

func sortObjects(list []Object) {
	slices.SortStableFunc(list, func(a, b Object) int {
		return cmp.Or(slices.Index(kinds(), a.Kind)-slices.Index(kinds(), b.Kind), strings.Compare(a.Name, b.Name))
	})
}

func sorted(roles []model.Role) []model.Role { return slices.Sorted(slices.Values(roles)) }

func specOfSite(s *model.Site) *siteSpec {
	spec := &siteSpec{
		Client: s.Client, Aliases: s.Aliases, Kind: s.Kind, WebServers: s.WebServers, DBServer: s.DBServer, Database: s.Database.Name,
		Root: s.Root, Docroot: s.Docroot, Excludes: s.Excludes, ExcludeCaches: s.ExcludeCaches, Vhost: s.Vhost, Disabled: s.Disabled,
		StructureOnly: s.StructureOnly, AllRows: s.AllRows, Blank: s.BlankCredentials, Maintenance: s.Maintenance,
	}
	spec.shorten()
	if spec.Kind != genericKind {
		spec.Database = ""
	}
	return spec
}

// shorten leaves out what is the default.
func (s *siteSpec) shorten() {
	if s.Docroot == s.Root {
		s.Docroot = ""
	}
	if s.Vhost == model.VhostManaged {
		s.Vhost = ""
	}
	s.Maintenance = model.MaintenanceModeOf(string(s.Maintenance))
}

// site is what the spec says. Empty kind and database are to be found out.
func (s *siteSpec) site(name string) model.Site {
	site := model.Site{
		Name: name, Client: s.Client, Aliases: s.Aliases, Kind: s.Kind, WebServers: s.WebServers, DBServer: s.DBServer,
		Database: model.Database{Name: s.Database}, Root: s.Root, Docroot: s.Docroot, Excludes: s.Excludes,
		ExcludeCaches: s.ExcludeCaches, StructureOnly: s.StructureOnly, AllRows: s.AllRows,
		BlankCredentials: s.Blank, Vhost: s.Vhost, Maintenance: s.Maintenance, Disabled: s.Disabled,
	}
	if site.Docroot == "" {
		site.Docroot = site.Root
	}
	if site.Vhost == "" {
		site.Vhost = model.VhostManaged
	}
	return site
}

func specOfSchedule(s *model.Schedule) *scheduleSpec {
	return &scheduleSpec{
		Cron: s.Cron, Zone: s.Zone, Window: s.Window, Spread: (*length)(s.Spread), SkipMissed: s.Skip, Disabled: s.Disabled,
		All: s.Scope.All, Client: s.Scope.Client, Sites: s.Scope.Sites, Format: s.Format, Kind: string(s.Kind),
	}
}

func (s *scheduleSpec) schedule(name string) model.Schedule {
	return model.Schedule{
		Name: name, Cron: s.Cron, Zone: s.Zone, Window: s.Window, Spread: (*time.Duration)(s.Spread), Skip: s.SkipMissed,
		Disabled: s.Disabled, Scope: model.Scope{All: s.All, Client: s.Client, Sites: s.Sites}, Format: s.Format, Kind: s.kind(),
	}
}

func (s *scheduleSpec) kind() model.TaskKind {
	if kind := model.TaskKind(s.Kind); kind != model.TaskBackup {
		return kind
	}
	return ""
}

// objectOfRetention is nil for a setting that holds a client's budget alone.
func objectOfRetention(r *model.Retention) *Object {
	spec := &retentionSpec{
		KeepLast: r.Last, KeepHourly: r.Hourly, KeepDaily: r.Daily, KeepWeekly: r.Weekly, KeepMonthly: r.Monthly, KeepYearly: r.Yearly,
		MinAge: length(r.MinAge), KeepSafety: length(r.Safety), Zone: r.Zone, MaxSize: size(r.MaxSize),
	}
	name := forAll
	switch {
	case r.Site != "":
		name = siteName + r.Site
	case r.Client != "":
		name = clientName + r.Client
		if spec.MaxSize = 0; *spec == (retentionSpec{}) {
			return nil
		}
	}
	return &Object{Kind: Retention, Name: name, Spec: spec}
}

func (s *retentionSpec) retention(name string) model.Retention {
	r := model.Retention{
		Last: s.KeepLast, Hourly: s.KeepHourly, Daily: s.KeepDaily, Weekly: s.KeepWeekly, Monthly: s.KeepMonthly, Yearly: s.KeepYearly,
		MinAge: time.Duration(s.MinAge), Safety: time.Duration(s.KeepSafety), Zone: s.Zone, MaxSize: int64(s.MaxSize),
	}
	r.Client, _ = after(name, clientName)
	r.Site, _ = after(name, siteName)
	return r
}

// after is strings.CutPrefix with nothing where the prefix is missing.
func after(text, prefix string) (string, bool) {
	rest, found := strings.CutPrefix(text, prefix)
	if !found {
		return "", false
	}
	return rest, true
}
