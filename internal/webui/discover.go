package webui

import (
	"slices"

	"github.com/sitekeep/sitekeep/internal/errs"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// discoverData is what there is on a server.
type discoverData struct {
	Server   string
	Sizes    bool
	New      []*sitekeepv1.DiscoveredSite // that can be added
	Others   []*sitekeepv1.DiscoveredSite // that are under care, or cannot be added
	Warnings []string
	Added    []addedSite
}

// addedSite is what has become of a site that was to be added.
type addedSite struct {
	Name          string
	Warnings      []string
	Problem, Hint string // empty if it was added
}

func (u *UI) discover(r *request) error {
	d, err := u.discovered(r)
	if err != nil {
		return err
	}
	return u.render(r, "discover", "Sites on "+d.Server, d)
}

// discovered looks at a server.
func (u *UI) discovered(r *request) (*discoverData, error) {
	d := &discoverData{Server: r.PathValue("server"), Sizes: r.FormValue("sizes") != ""}
	stream, err := u.sites.DiscoverSites(r.ctx, &sitekeepv1.DiscoverSitesRequest{Server: d.Server, Sizes: d.Sizes})
	if err != nil {
		return nil, err
	}
	err = each(stream.Recv, func(m *sitekeepv1.DiscoverSitesResponse) error {
		d.sort(m)
		return nil
	})
	return d, err
}

func (d *discoverData) sort(m *sitekeepv1.DiscoverSitesResponse) {
	if m.GetWarning() != "" {
		d.Warnings = append(d.Warnings, m.GetWarning())
	}
	switch s := m.GetSite(); {
	case s == nil:
	case s.GetKnownAs() == "" && s.GetObstacle() == "":
		d.New = append(d.New, s)
	default:
		d.Others = append(d.Others, s)
	}
}

// addSites puts the chosen ones under care, as they are found at this moment: the form says nothing but their names.
func (u *UI) addSites(r *request) error {
	chosen := r.PostForm["site"]
	if len(chosen) == 0 {
		return errs.New(errs.Usage, "go back and choose some", "no site was chosen")
	}
	d, err := u.discovered(r)
	if err != nil {
		return err
	}
	for _, name := range chosen {
		d.Added = append(d.Added, u.addSite(r, d.New, name))
	}
	d.New = slices.DeleteFunc(d.New, d.wasAdded)
	return u.render(r, "discover", "Sites on "+d.Server, d)
}

func (u *UI) addSite(r *request, found []*sitekeepv1.DiscoveredSite, name string) addedSite {
	at := slices.IndexFunc(found, func(s *sitekeepv1.DiscoveredSite) bool { return s.GetSite().GetName() == name })
	if at < 0 {
		return addedSite{Name: name, Problem: "It is not there any more, or is under care already."}
	}
	got, err := u.sites.CreateSite(r.ctx, &sitekeepv1.CreateSiteRequest{Site: found[at].GetSite()})
	if err != nil {
		return addedSite{Name: name, Problem: sentence(err.Error()), Hint: errs.HintOf(err)}
	}
	return addedSite{Name: got.GetSite().GetName(), Warnings: got.GetWarnings()}
}

func (d *discoverData) wasAdded(s *sitekeepv1.DiscoveredSite) bool {
	return slices.ContainsFunc(d.Added, func(a addedSite) bool { return a.Name == s.GetSite().GetName() && a.Problem == "" })
}
