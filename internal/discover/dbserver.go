package discover

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

const (
	defaultPort = "3306"
	// lookupTimeout bounds asking for the addresses of one host.
	lookupTimeout = 3 * time.Second
)

// databaseServer is a server with the role db, and where web servers reach it.
type databaseServer struct {
	name       string
	host, port string // empty if its agent does not say
	machine    string // the name that its operating system gives itself
}

// databaseServers asks the agents of all database servers; one that does not answer is a warning.
func (f *Finder) databaseServers(ctx context.Context, warn func(string) error) ([]databaseServer, error) {
	servers, err := f.Inventory.Servers(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var out []databaseServer
	var warnings []string
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, s := range servers {
		if !s.HasRole(model.RoleDB) || s.Revoked {
			continue
		}
		group.Go(func() error {
			d, err := f.databaseServer(ctx, s.Name)
			mu.Lock()
			defer mu.Unlock()
			out = append(out, d)
			if err != nil {
				warnings = append(warnings, "where database server "+s.Name+" is reached is not known: "+text(err))
			}
			return nil
		})
	}
	_ = group.Wait() // None fails.
	slices.SortFunc(out, func(a, b databaseServer) int { return strings.Compare(a.name, b.name) })
	for _, w := range warnings {
		if err := warn(w); err != nil {
			return nil, err
		}
	}
	return out, ctx.Err()
}

func (f *Finder) databaseServer(ctx context.Context, name string) (databaseServer, error) {
	d := databaseServer{name: name}
	agent, err := f.Agents.Agent(ctx, name)
	if err != nil {
		return d, err
	}
	info, err := agent.Info(ctx)
	d.machine = info.Hostname
	if host, port, splitErr := net.SplitHostPort(info.DatabaseAddress); splitErr == nil {
		d.host, d.port = host, port
	}
	return d, err
}

// serverOf finds the database server that a site means by a host, a host:port or a host:/socket. What means the web
// server itself is that server's own database; of others the address counts first, then what it resolves to.
func (s *search) serverOf(ctx context.Context, address string) (string, error) {
	host, port, local := takeApart(address)
	if local || host == "localhost" || host == "127.0.0.1" || host == "::1" {
		return s.ownDatabase(address)
	}
	for _, d := range s.databases {
		if d.is(host, port) {
			return d.name, nil
		}
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Unmap().IsLoopback() {
		return s.ownDatabase(address)
	}
	addresses := s.resolve(ctx, host)
	for _, d := range s.databases {
		theirs := s.resolve(ctx, d.host)
		if d.port == port && slices.ContainsFunc(addresses, func(a string) bool { return slices.Contains(theirs, a) }) {
			return d.name, nil
		}
	}
	return "", errs.New(errs.NotFound, "let that machine join with the role db: sitekeep server token NAME --role db; or set mysql.advertise in its agent.yaml to this address",
		"no database server under care has the address %s that its settings name", address)
}

// takeApart splits what sitekind.FormatAddress writes. Local says that it means this machine whatever its addresses are.
func takeApart(address string) (host, port string, local bool) {
	if i := strings.Index(address, ":/"); i >= 0 || address == "" {
		return "", "", true
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), defaultPort
	}
	return strings.ToLower(strings.TrimSuffix(host, ".")), port, false
}

// is says whether a host and port are plainly those of a server.
func (d *databaseServer) is(host, port string) bool {
	if d.port != port && (d.port != "" || port != defaultPort) {
		return false
	}
	return host != "" && (host == strings.ToLower(d.host) || host == strings.ToLower(d.name) || host == strings.ToLower(d.machine))
}

// ownDatabase is the web server's own, if it has the role db.
func (s *search) ownDatabase(address string) (string, error) {
	if slices.ContainsFunc(s.databases, func(d databaseServer) bool { return d.name == s.server }) {
		return s.server, nil
	}
	if address == "" {
		address = "localhost"
	}
	return "", errs.New(errs.NotFound, "let it join again with both roles: sitekeep server token "+s.server+" --role web --role db",
		"its settings name the database server %s, which is %s itself, and that has not the role db", address, s.server)
}

// resolve gives the addresses of a host, each in one form; none if it cannot be found.
func (s *search) resolve(ctx context.Context, host string) (out []string) {
	if host == "" {
		return nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return []string{addr.Unmap().String()}
	}
	if found, ok := s.resolved[host]; ok {
		return found
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	list, _ := s.Resolver.LookupHost(ctx, host) // A name without an address leads nowhere.
	for _, a := range list {
		if addr, err := netip.ParseAddr(a); err == nil {
			out = append(out, addr.Unmap().String())
		}
	}
	s.resolved[host] = out
	return out
}
