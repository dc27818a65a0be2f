package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
	"github.com/sitekeep/sitekeep/internal/verify"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

type siteService struct {
	sitekeepv1.UnimplementedSiteServiceServer
	*Hub
}

// site returns a site that the caller may see. Another client's is not found: nobody learns that it exists.
func (h *Hub) site(ctx context.Context, name string) (model.Site, error) {
	s, err := h.Catalogue.Site(ctx, name)
	if err != nil {
		return s, err
	}
	if c := callerFrom(ctx); c.client != "" && c.client != s.Client {
		return model.Site{}, errs.New(errs.NotFound, "list them with: sitekeep site list", "no site %q", name) // word for word what the catalogue says of one that is not there
	}
	return s, nil
}

func (s *siteService) CreateSite(ctx context.Context, q *sitekeepv1.CreateSiteRequest) (*sitekeepv1.CreateSiteResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	site, err := newSite(q.Site)
	if err != nil {
		return nil, err
	}
	site.CreatedAt = s.Now().UTC()
	warnings, err := s.survey(ctx, site, false)
	if err != nil {
		return nil, err
	}
	if err := s.Catalogue.CreateSite(ctx, *site); err != nil {
		return nil, err
	}
	return &sitekeepv1.CreateSiteResponse{Site: siteToProto(site, catalogue.Usage{}), Warnings: warnings}, nil
}

// newSite checks what a request says on its own.
func newSite(q *sitekeepv1.Site) (*model.Site, error) {
	site := &model.Site{
		Name: q.GetName(), Aliases: q.GetAliases(), Kind: q.GetKind(), WebServers: q.GetWebServers(), DBServer: q.GetDbServer(),
		Root: q.GetRoot(), Docroot: q.GetDocroot(), Client: q.GetClient(), Excludes: q.GetExcludes(), Vhost: model.VhostMode(q.GetVhost()),
		Database: model.Database{Name: q.GetDatabase()}, ExcludeCaches: q.GetExcludeCaches(),
		StructureOnly: q.GetStructureOnly(), AllRows: q.GetAllRows(), BlankCredentials: q.GetBlankCredentials(),
		Maintenance: model.MaintenanceModeOf(q.GetMaintenance()),
	}
	if site.Docroot == "" {
		site.Docroot = site.Root
	}
	if site.Vhost == "" {
		site.Vhost = model.VhostManaged
	}
	if err := checkSite(site); err != nil {
		return nil, err
	}
	return site, nil
}

func checkSite(s *model.Site) error {
	for _, name := range append([]string{s.Name}, s.Aliases...) {
		if err := model.CheckSiteName(name); err != nil {
			return err
		}
	}
	if s.Client != "" {
		if err := model.CheckClientName(s.Client); err != nil {
			return err
		}
	}
	switch {
	case len(s.WebServers) == 0:
		return errs.New(errs.Usage, "give --web SERVER", "site %s needs a web server", s.Name)
	case s.Vhost != model.VhostManaged && s.Vhost != model.VhostExternal:
		return errs.New(errs.Usage, "it is managed or external", "there is no vhost mode %q", s.Vhost)
	}
	if err := errors.Join(model.CheckStructureOnly(s.StructureOnly, s.AllRows), model.CheckMaintenance(s.Maintenance)); err != nil {
		return err
	}
	if err := model.CheckPath("root", s.Root); err != nil {
		return err
	}
	return model.CheckPath("docroot", s.Docroot)
}

// survey looks at the site on its servers and fills in what the request left out. With strict, a database that is not the
// one of the site's settings is refused: it is another's.
func (h *Hub) survey(ctx context.Context, site *model.Site, strict bool) (warnings []string, err error) {
	s := &siteService{Hub: h}
	if err := s.checkRoles(ctx, site); err != nil {
		return nil, err
	}
	for i, server := range site.WebServers {
		agent, err := s.Fleet.Agent(ctx, server)
		if err != nil {
			return nil, err
		}
		found, err := agent.DetectSite(ctx, site.Ref())
		if err != nil {
			return nil, err
		}
		if !found.RootExists {
			return nil, errs.New(errs.NotFound, "check --root, or put the site there first", "%s is not on %s", site.Root, server)
		}
		if i == 0 {
			warnings = append(warnings, adopt(site, found)...)
			if strict && found.Settings != nil && site.DBServer != "" && site.Database.Name != found.Settings.Name {
				return nil, errs.New(errs.Precondition, "name the database that the site uses, or none to have it found out",
					"site %s: %s", site.Name, warnings[len(warnings)-1])
			}
		}
	}
	more, err := s.surveyDatabase(ctx, site)
	return append(warnings, more...), err
}

func (s *siteService) checkRoles(ctx context.Context, site *model.Site) error {
	need := map[string]model.Role{}
	if site.DBServer != "" {
		need[site.DBServer] = model.RoleDB
	}
	for _, w := range site.WebServers {
		if err := s.checkRole(ctx, w, model.RoleWeb); err != nil {
			return err
		}
	}
	for server, role := range need {
		if err := s.checkRole(ctx, server, role); err != nil {
			return err
		}
	}
	return nil
}

func (s *siteService) checkRole(ctx context.Context, name string, role model.Role) error {
	server, err := s.Catalogue.Server(ctx, name)
	if err != nil {
		return err
	}
	if !server.HasRole(role) {
		return errs.New(errs.Usage, "let it join again with: sitekeep server token "+name+" --role web --role db", "server %s has not the role %s", name, role)
	}
	return nil
}

// adopt takes over what was found where the request said nothing.
func adopt(site *model.Site, found model.Detection) (warnings []string) {
	if site.Kind == "" {
		site.Kind = found.Kind
	}
	if found.Problem != "" {
		warnings = append(warnings, found.Problem)
	}
	if found.Settings == nil {
		return warnings
	}
	if site.Database.Name == "" {
		site.Database.Name = found.Settings.Name
	}
	if site.Database.Name != found.Settings.Name {
		return append(warnings, fmt.Sprintf("the settings in %s name the database %q, not %q", found.Settings.File, found.Settings.Name, site.Database.Name))
	}
	site.Database.User, site.Database.Host = found.Settings.User, found.Settings.Host
	return warnings
}

func (s *siteService) surveyDatabase(ctx context.Context, site *model.Site) (warnings []string, err error) {
	if site.DBServer == "" {
		if site.Database.Name != "" {
			warnings = append(warnings, fmt.Sprintf("the site uses the database %q; give --db SERVER to have it backed up too", site.Database.Name))
		}
		site.Database = model.Database{}
		return warnings, nil
	}
	if site.Database.Name == "" {
		return nil, errs.New(errs.Usage, "give --database NAME", "no database is named by the settings of %s", site.Name)
	}
	agent, err := s.Fleet.Agent(ctx, site.DBServer)
	if err != nil {
		return nil, err
	}
	state, err := agent.InspectDatabase(ctx, site.Database.Name, nil)
	if err != nil {
		return nil, err
	}
	if !state.Exists {
		return nil, errs.New(errs.NotFound, "check --db and --database", "there is no database %q on %s", site.Database.Name, site.DBServer)
	}
	sharing, err := s.Catalogue.SitesUsingDatabase(ctx, site.DBServer, site.Database.Name)
	if sharing = slices.DeleteFunc(sharing, func(name string) bool { return name == site.Name }); len(sharing) > 0 {
		warnings = append(warnings, fmt.Sprintf("the database %q is used by %s too: a restore of one will not touch the others, and will not drop it",
			site.Database.Name, strings.Join(sharing, ", ")))
	}
	return warnings, err
}

func (s *siteService) ListSites(ctx context.Context, q *sitekeepv1.ListSitesRequest) (*sitekeepv1.ListSitesResponse, error) {
	client := q.Client
	if c := callerFrom(ctx); c.client != "" {
		client = c.client
	}
	usages, err := s.usages(ctx)
	if err != nil {
		return nil, err
	}
	drills, err := s.lastDrills(ctx)
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.ListSitesResponse{}
	for site, err := range s.Catalogue.AllSites(ctx, catalogue.SiteFilter{Client: client}) {
		if err != nil {
			return nil, err
		}
		p := siteToProto(&site, usages[site.Name])
		p.LastDrill = drills[site.Name]
		out.Sites = append(out.Sites, p)
	}
	return out, nil
}

func (s *siteService) usages(ctx context.Context) (map[string]catalogue.Usage, error) {
	list, err := s.Catalogue.Usages(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]catalogue.Usage, len(list))
	for _, u := range list {
		out[u.Site] = u
	}
	return out, nil
}

func (s *siteService) GetSite(ctx context.Context, q *sitekeepv1.GetSiteRequest) (*sitekeepv1.GetSiteResponse, error) {
	site, err := s.site(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	usage, err := s.Catalogue.SiteUsage(ctx, site.Name)
	if err != nil {
		return nil, err
	}
	out := &sitekeepv1.GetSiteResponse{Site: siteToProto(&site, usage)}
	last, err := s.Catalogue.LatestBackup(ctx, site.Name)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	out.Site.LastBackup = last.ID
	open, err := s.Catalogue.OpenGraces(ctx, site.Name)
	if err == nil && len(open) > 0 && open[0].State == catalogue.GraceWaiting {
		out.UndoUntil = timeToProto(open[0].Due)
	}
	if err != nil {
		return nil, err
	}
	out.Site.LastDrill, err = s.lastDrill(ctx, site.Name)
	return out, err
}

func (s *siteService) DeleteSite(ctx context.Context, q *sitekeepv1.DeleteSiteRequest) (*sitekeepv1.DeleteSiteResponse, error) {
	if err := unscoped(ctx); err != nil {
		return nil, err
	}
	if err := s.mended(ctx, q.Name); err != nil {
		return nil, err
	}
	usage, err := s.Catalogue.SiteUsage(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	open, err := s.Catalogue.OpenGraces(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	if len(open) > 0 {
		return nil, errs.New(errs.Precondition, "wait until its grace time is over, or take it back with: sitekeep restore --undo "+q.Name,
			"site %s was restored lately, and what was replaced is still kept", q.Name)
	}
	if err := s.Catalogue.DeleteSite(ctx, q.Name); err != nil {
		return nil, err
	}
	return &sitekeepv1.DeleteSiteResponse{BackupsKept: usage.Count}, nil
}

func (s *siteService) VerifySite(ctx context.Context, q *sitekeepv1.VerifySiteRequest) (*sitekeepv1.VerifySiteResponse, error) {
	if _, err := s.site(ctx, q.Name); err != nil {
		return nil, err
	}
	if err := s.mended(ctx, q.Name); err != nil {
		return nil, err
	}
	t, err := s.Tasks.Submit(ctx, tasks.SubmitRequest{Kind: model.TaskVerify, Site: q.Name, Spec: verify.Request{DryRun: q.DryRun}, Queue: q.Queue})
	if err != nil {
		return nil, err
	}
	return &sitekeepv1.VerifySiteResponse{Task: taskToProto(&t)}, nil
}

func siteToProto(s *model.Site, u catalogue.Usage) *sitekeepv1.Site {
	return &sitekeepv1.Site{
		Name: s.Name, Aliases: s.Aliases, Kind: s.Kind, WebServers: s.WebServers, DbServer: s.DBServer, Root: s.Root, Docroot: s.Docroot,
		Database: s.Database.Name, DatabaseUser: s.Database.User, DatabaseHost: s.Database.Host, Client: s.Client, Excludes: s.Excludes,
		Vhost: string(s.Vhost), Disabled: s.Disabled, CreatedAt: timeToProto(s.CreatedAt),
		ExcludeCaches: s.ExcludeCaches, StructureOnly: s.StructureOnly, AllRows: s.AllRows, BlankCredentials: s.BlankCredentials,
		Maintenance: string(cmp.Or(s.Maintenance, "auto")),
		Backups:     u.Count, BackupBytes: u.Size, LastBackupAt: timeToProto(u.Newest),
	}
}
