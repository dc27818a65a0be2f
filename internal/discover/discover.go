// Package discover puts what an agent has found on a web server into the words
// of the inventory: which of the sites are under care, which database server
// each of them uses, and why one cannot be added. It changes nothing, and
// refuses to know how sites are found and how they are added.
package discover

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// Agent is the agent of a server.
type Agent interface {
	FindSites(ctx context.Context, sizes bool, found func(model.FoundSite) error, warn func(string) error) error
	Info(ctx context.Context) (model.AgentInfo, error)
	InspectDatabase(ctx context.Context, name string, collations []string) (model.DatabaseState, error)
}

// Agents finds agents by the names of their servers.
type Agents interface {
	Agent(ctx context.Context, server string) (Agent, error)
}

// Inventory is what is under care.
type Inventory interface {
	Servers(ctx context.Context) ([]model.Server, error)
	Sites(ctx context.Context) ([]model.Site, error)
}

// Resolver finds the addresses of a host; *net.Resolver is one.
type Resolver interface {
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// Finder is made of its parts.
type Finder struct {
	Agents    Agents
	Inventory Inventory
	Resolver  Resolver
}

// Site is a site that was found.
type Site struct {
	// Site is as it would be added.
	Site    model.Site
	Version string
	// KnownAs is the name under which it is under care; empty if it is not.
	KnownAs string
	// Obstacle says why it cannot be added as it is; empty if it can.
	Obstacle  string
	Warnings  []string
	VhostFile string
	// FileBytes and DatabaseBytes are 0 unless they were to be measured.
	FileBytes, DatabaseBytes int64
}

// parallel is how many sites' databases are looked at at a time.
const parallel = 8

// Find looks for the sites of a web server. Found and warn are called one at a
// time, in no order that means something; an error of theirs ends the search.
func (f *Finder) Find(ctx context.Context, server string, sizes bool, found func(Site) error, warn func(string) error) error {
	agent, err := f.Agents.Agent(ctx, server)
	if err != nil {
		return err
	}
	s := &search{Finder: f, server: server, sizes: sizes, claimed: map[database]string{}, resolved: map[string][]string{}}
	sites, err := f.Inventory.Sites(ctx)
	if err != nil {
		return err
	}
	s.known = sites
	if s.databases, err = f.databaseServers(ctx, warn); err != nil {
		return err
	}
	var list []model.FoundSite
	collect := func(site model.FoundSite) error { list = append(list, site); return nil }
	if err := agent.FindSites(ctx, sizes, collect, warn); err != nil {
		return err
	}
	return s.tell(ctx, list, found)
}

// search is one call of Find.
type search struct {
	*Finder
	server    string
	sizes     bool
	known     []model.Site
	databases []databaseServer
	claimed   map[database]string // by whom a database is used
	resolved  map[string][]string // addresses, by host
}

// database is one on a server.
type database struct{ server, name string }

// tell finishes the sites, several at a time, and tells of each in its turn.
func (s *search) tell(ctx context.Context, list []model.FoundSite, found func(Site) error) error {
	out := make([]Site, len(list))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := range list {
		out[i] = s.describe(inner, &list[i])
	}
	for i := range out {
		group.Go(func() error { return s.inspect(inner, &out[i]) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, site := range out {
		if err := found(site); err != nil {
			return err
		}
	}
	return nil
}

// describe says of one site what can be said without its database.
func (s *search) describe(ctx context.Context, f *model.FoundSite) Site {
	out := Site{
		Site: model.Site{
			Name: f.Site.Name, Aliases: f.Site.Aliases, Kind: f.Site.Kind, WebServers: []string{s.server}, Root: f.Site.Root,
			Docroot: f.Site.Docroot, Vhost: model.VhostManaged,
		},
		Version: f.Version, Warnings: f.Warnings, VhostFile: f.VhostFile, FileBytes: f.FileBytes, Obstacle: f.Problem,
	}
	if f.Site.External {
		out.Site.Vhost = model.VhostExternal
	}
	out.KnownAs = s.knownAs(&out.Site)
	if f.Settings != nil {
		s.settings(ctx, &out, f.Settings)
	}
	if out.Obstacle == "" && out.Site.Name == "" {
		out.Obstacle = "no virtual host names it; give it a name: sitekeep site add NAME --web " + s.server + " --root " + out.Site.Root
	}
	s.claim(&out)
	return out
}

// knownAs looks for the site among those under care: by its directory on this server, or by one of its names.
func (s *search) knownAs(site *model.Site) string {
	for _, k := range s.known {
		if slices.Contains(k.WebServers, s.server) && k.Root == site.Root {
			return k.Name
		}
	}
	names := append([]string{site.Name}, site.Aliases...)
	for _, k := range s.known {
		taken := append([]string{k.Name}, k.Aliases...)
		if site.Name != "" && slices.ContainsFunc(names, func(n string) bool { return slices.Contains(taken, n) }) {
			return k.Name
		}
	}
	return ""
}

// settings takes over what the site says of its database, and finds the server that it means.
func (s *search) settings(ctx context.Context, out *Site, d *model.DatabaseSettings) {
	out.Site.Database = model.Database{Name: d.Name, User: d.User, Host: d.Host}
	if d.Name == "" {
		return
	}
	server, err := s.serverOf(ctx, d.Host)
	if err != nil {
		if out.Obstacle == "" {
			out.Obstacle = text(err)
		}
		return
	}
	out.Site.DBServer = server
}

// claim notes who uses a database. A directory that nobody serves and that uses another site's is a copy of that one.
func (s *search) claim(out *Site) {
	if out.Site.DBServer == "" {
		return
	}
	key := database{out.Site.DBServer, out.Site.Database.Name}
	user := s.claimed[key]
	for _, k := range s.known {
		if user == "" && k.DBServer == key.server && k.Database.Name == key.name && k.Name != out.KnownAs {
			user = k.Name
		}
	}
	switch {
	case user == "":
		s.claimed[key] = out.Site.Name
	case out.VhostFile == "" && out.Obstacle == "" && out.KnownAs == "":
		out.Obstacle = fmt.Sprintf("no virtual host serves it, and %s uses its database %s: it seems to be a copy", user, key.name)
	}
	if out.VhostFile == "" && out.Obstacle == "" {
		out.Warnings = append(out.Warnings, "no virtual host was found for it; its name is that of its directory")
	}
}

// inspect looks at the database. That it is not there is an obstacle; only the end of the search is an error.
func (s *search) inspect(ctx context.Context, out *Site) error {
	if out.Site.DBServer == "" || out.Site.Database.Name == "" {
		return nil
	}
	agent, err := s.Agents.Agent(ctx, out.Site.DBServer)
	var state model.DatabaseState
	if err == nil {
		state, err = agent.InspectDatabase(ctx, out.Site.Database.Name, nil)
	}
	switch {
	case ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	case err != nil && out.Obstacle == "":
		out.Obstacle = text(err)
	case err == nil && !state.Exists && out.Obstacle == "":
		out.Obstacle = fmt.Sprintf("there is no database %q on %s", out.Site.Database.Name, out.Site.DBServer)
	case err == nil && s.sizes:
		out.DatabaseBytes = int64(state.Bytes)
	}
	return nil
}

// text is an error with its hint in one line.
func text(err error) string {
	if hint := errs.HintOf(err); hint != "" {
		return err.Error() + "; " + hint
	}
	return err.Error()
}
