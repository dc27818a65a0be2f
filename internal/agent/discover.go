package agent

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/kinds"
	"github.com/sitekeep/sitekeep/pkg/webserver"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

type discoveryService struct {
	agentv1.UnimplementedDiscoveryServiceServer
	*Agent
}

// FindSites tells of the sites of virtual hosts first, then of those that are directories alone.
func (s *discoveryService) FindSites(req *agentv1.FindSitesRequest, stream agentv1.DiscoveryService_FindSitesServer) error {
	f := &siteFinder{Agent: s.Agent, sizes: req.GetSizes(), send: stream.Send, docroots: map[string]bool{}, roots: map[string]bool{}}
	if err := f.findServed(stream.Context()); err != nil {
		return err
	}
	return f.findUnserved(stream.Context())
}

// siteFinder is one search.
type siteFinder struct {
	*Agent
	sizes  bool
	send   func(*agentv1.FindSitesResponse) error
	vhosts []webserver.FoundVhost
	// docroots and roots are real paths of what was found, or is known to be served.
	docroots, roots map[string]bool
}

func (f *siteFinder) warn(format string, args ...any) error {
	return f.send(&agentv1.FindSitesResponse{Warning: validName(fmt.Sprintf(format, args...))})
}

// served is a directory and what serves it.
type served struct {
	docroot string
	// names are those of its virtual hosts, in their order; none if it was found by itself.
	names    []string
	vhosts   []webserver.FoundVhost
	warnings []string
	// above is the directory that holds the link of a layout with releases, and linked the docroot over that link.
	above, linked string
}

// vhostOf returns the virtual host that has one of the names.
func (d *served) vhostOf(names []string) (v webserver.FoundVhost, ok bool) {
	for _, v := range d.vhosts {
		if slices.ContainsFunc(v.Names, func(n string) bool { return slices.Contains(names, n) }) {
			return v, true
		}
	}
	return v, false
}

// search tells of the sites that a docroot serves. What goes wrong with one is a warning, and the search goes on.
func (f *siteFinder) search(ctx context.Context, d served) error {
	top, founds, kind, err := f.sitesIn(ctx, d)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return f.tellOf(ctx, d, sitekind.Found{Names: d.names}, model.SiteRef{Root: d.docroot, Docroot: d.docroot}, problemText(err))
	}
	for _, found := range founds {
		ref := model.SiteRef{Kind: kind, Root: path.Join(top, found.Root), Docroot: d.docroot}
		if d.above != "" && len(founds) == 1 {
			ref.Root, ref.Docroot = d.above, d.linked
		}
		if len(d.vhosts) == 0 && (kind == genericKind || f.roots[ref.Root]) {
			continue // a directory that holds no known program, or is found already
		}
		if err := f.tellOf(ctx, d, found, ref, f.shared(d, ref)); err != nil {
			return err
		}
	}
	return nil
}

const genericKind = "generic"

// sitesIn asks the kinds, the most particular first. Paths are relative to top: the docroot, or the directory above it
// where that is allowed. What no kind knows is a generic site.
func (f *siteFinder) sitesIn(ctx context.Context, d served) (top string, founds []sitekind.Found, kind string, err error) {
	p, top, err := f.openDocroot(d.docroot)
	if err != nil {
		return "", nil, "", err
	}
	defer p.Close()
	for _, kind := range kinds.All() {
		finder, ok := kind.(sitekind.Finder)
		if !ok {
			continue
		}
		founds, err := finder.Find(ctx, p.Place, d.names)
		if err != nil {
			return "", nil, "", settingsError(fmt.Errorf("look for %s sites: %w", kind.Name(), err))
		}
		if len(founds) > 0 {
			return top, founds, kind.Name(), nil
		}
	}
	return top, []sitekind.Found{{Root: p.InDocroot("."), Names: d.names}}, genericKind, nil
}

// openDocroot opens the directory above a docroot, or the docroot where that is as far as the allow-list goes.
func (f *siteFinder) openDocroot(docroot string) (*place, string, error) {
	above, own := path.Dir(docroot), model.SiteRef{Name: unnamed, Root: docroot, Docroot: docroot}
	if site, err := f.guard.Site(model.SiteRef{Name: unnamed, Root: above, Docroot: docroot}); err == nil {
		root, err := site.OpenRoot()
		if err != nil {
			return nil, "", err
		}
		return &place{sitekind.Place{Root: root, Site: ".", Docroot: path.Base(docroot)}}, above, nil
	}
	site, err := f.guard.Site(own)
	if err != nil {
		return nil, "", err
	}
	root, err := site.OpenRoot()
	if err != nil {
		return nil, "", err
	}
	return &place{sitekind.Place{Root: root, Site: ".", Docroot: "."}}, docroot, nil
}

// unnamed stands for a name where there is none, because the allow-list wants one.
const unnamed = "unnamed"

// shared says why a site cannot reach above its docroot: other sites are there.
func (f *siteFinder) shared(d served, ref model.SiteRef) string {
	if ref.Root == ref.Docroot || strings.HasPrefix(ref.Root, ref.Docroot+"/") {
		return ""
	}
	for docroot := range f.docroots {
		if docroot != d.docroot && strings.HasPrefix(docroot, ref.Root+"/") && !strings.HasPrefix(docroot, d.docroot+"/") {
			return fmt.Sprintf("its settings lie in %s, where %s lies too; give each site a directory of its own, or add it with the root that is right",
				ref.Root, docroot)
		}
	}
	return ""
}

// tellOf sends a site with what its settings say.
func (f *siteFinder) tellOf(ctx context.Context, d served, found sitekind.Found, ref model.SiteRef, problem string) error {
	f.roots[ref.Root] = true
	names := hostNames(found.Names)
	out := &agentv1.FoundSite{Problem: problem, Warnings: validNames(d.warnings)}
	vhost, ok := d.vhostOf(found.Names)
	if ok {
		out.VhostFile = validName(vhost.File)
	}
	ref.External = !ok || !vhost.Managed
	if len(names) == 0 {
		names = f.ownName(found, ref)
	}
	if len(names) > 0 {
		ref.Name, ref.Aliases = names[0], names[1:]
	}
	if problem == "" {
		f.lookInto(ctx, ref, out)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	out.Site = &agentv1.SiteRef{Name: ref.Name, Kind: ref.Kind, Root: validName(ref.Root), Docroot: validName(ref.Docroot), Aliases: ref.Aliases, External: ref.External}
	return f.send(&agentv1.FindSitesResponse{Site: out})
}

// lookInto reads version, settings and size of a site.
func (f *siteFinder) lookInto(ctx context.Context, ref model.SiteRef, out *agentv1.FoundSite) {
	if ref.Name == "" {
		ref.Name = unnamed
	}
	site, err := f.guard.Site(ref)
	if err == nil {
		var seen *agentv1.DetectSiteResponse
		if seen, err = f.lookAt(ctx, site, func(name string) map[string]sitekind.Secret { return envOf(f.vhosts, name) }); err == nil {
			out.Version, out.Settings, out.Problem = validName(seen.GetVersion()), seen.GetSettings(), validName(seen.GetProblem())
		}
	}
	if err != nil {
		out.Problem = validName(problemText(err))
		return
	}
	if f.sizes {
		if out.FileBytes, err = treeSize(ctx, site); err != nil {
			out.Warnings = append(out.Warnings, validName(fmt.Sprintf("its files were not all measured: %v", err)))
		}
	}
}

// problemText is an error with its hint.
func problemText(err error) string {
	if hint := errs.HintOf(err); hint != "" {
		return err.Error() + "; " + hint
	}
	return err.Error()
}

// hostNames are those of names that a site may have.
func hostNames(names []string) (out []string) {
	for _, name := range names {
		if model.CheckSiteName(name) == nil {
			out = append(out, name)
		}
	}
	return out
}

// ownName guesses the name of a site that no virtual host names: that of its directory if it is a domain's.
func (f *siteFinder) ownName(found sitekind.Found, ref model.SiteRef) []string {
	candidates := []string{found.Own, path.Base(ref.Root)}
	if found.Own == "" && slices.Contains(servedNames, path.Base(ref.Root)) {
		candidates = []string{path.Base(path.Dir(ref.Root))}
	}
	for _, name := range candidates {
		if strings.Contains(name, ".") && model.CheckSiteName(name) == nil {
			return []string{name}
		}
	}
	return nil
}

// servedNames are usual names of docroots, which say nothing of the site.
var servedNames = []string{"html", "htdocs", "httpdocs", "public_html", "public", "web", "www", "docroot", "webroot", "current"}

func validNames(list []string) (out []string) {
	for _, s := range list {
		out = append(out, validName(s))
	}
	return out
}
