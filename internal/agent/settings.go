package agent

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/kinds"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

type settingsService struct {
	agentv1.UnimplementedSettingsServiceServer
	*Agent
}

// DetectSite answers for a directory that is not there too: a restore may be about to bring it back.
func (s *settingsService) DetectSite(ctx context.Context, req *agentv1.DetectSiteRequest) (*agentv1.DetectSiteResponse, error) {
	site, err := s.site(req.GetSite())
	if err != nil {
		return nil, err
	}
	return s.lookAt(ctx, site, s.vhostEnv)
}

// lookAt says what is in a site's directory. Env tells what a virtual host gives to PHP.
func (a *Agent) lookAt(ctx context.Context, site *guard.Site, env environment) (*agentv1.DetectSiteResponse, error) {
	p, err := livePlace(site)
	if errs.Is(err, errs.NotFound) {
		return &agentv1.DetectSiteResponse{Kind: site.Kind, Problem: fmt.Sprintf("%v; create it, or restore a backup", err)}, nil
	}
	if err != nil {
		return nil, err
	}
	defer p.Close()
	kind, found, err := detect(ctx, site.Kind, p.Place)
	if err != nil {
		return nil, err
	}
	reply := &agentv1.DetectSiteResponse{Kind: kind.Name(), Version: found.Version, RootExists: true}
	if !found.Found {
		reply.Problem = fmt.Sprintf("there is no %s site in %s; name another kind", kind.Name(), site.Root)
	}
	switch settings, err := readWith(ctx, kind, p.Place, site, env); {
	case err == nil && settings.Name == "" && settings.Cloaked():
		reply.Problem = cloakedText(settings) + ", and no virtual host of its name gives them; let the settings file say them itself"
	case err == nil:
		reply.Settings = settingsToProto(settings, p.relative(found.SettingsFile))
	case !errors.Is(err, sitekind.ErrNoSettings) && reply.Problem == "":
		reply.Problem = err.Error()
	}
	return reply, nil
}

// detect looks for one kind, or for the first that fits.
func detect(ctx context.Context, name string, p sitekind.Place) (sitekind.Kind, sitekind.Detection, error) {
	candidates := kinds.All()
	if name != "" {
		kind, err := kindByName(name)
		if err != nil {
			return nil, sitekind.Detection{}, err
		}
		candidates = []sitekind.Kind{kind}
	}
	for _, kind := range candidates {
		found, err := kind.Detect(ctx, p)
		if err != nil {
			return nil, found, settingsError(fmt.Errorf("look for a %s site: %w", kind.Name(), err))
		}
		if found.Found || name != "" {
			return kind, found, nil
		}
	}
	return nil, sitekind.Detection{}, errs.New(errs.NotFound, "name its kind with --kind", "no kind of site fits")
}

// escapeGlob makes a pattern that matches a text and nothing else.
func escapeGlob(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(text)
}

func kindByName(name string) (sitekind.Kind, error) {
	kind, err := kinds.ByName(name)
	if err != nil {
		return nil, errs.New(errs.Usage, "use one of them, or update the agent", "%w", err)
	}
	return kind, nil
}

func (s *settingsService) ReadSettings(ctx context.Context, req *agentv1.ReadSettingsRequest) (*agentv1.ReadSettingsResponse, error) {
	site, err := s.site(req.GetSite())
	if err != nil {
		return nil, err
	}
	p, err := s.place(site, req.GetTask())
	if err != nil {
		return nil, err
	}
	defer p.Close()
	kind, settings, err := s.readSettings(ctx, site, p)
	if errors.Is(err, sitekind.ErrNoSettings) {
		return &agentv1.ReadSettingsResponse{}, nil
	}
	if err == nil {
		settings, err = s.withStaged(ctx, site, req.GetTask(), settings)
	}
	if err != nil {
		return nil, settingsError(err)
	}
	found, err := kind.Detect(ctx, p.Place)
	reply := settingsToProto(settings, p.relative(found.SettingsFile))
	reply.RebuiltTables = rebuiltTables(kind, settings.Prefix)
	return &agentv1.ReadSettingsResponse{Settings: reply}, settingsError(err)
}

// rebuiltTables returns the patterns of the tables whose rows a site makes again, which its prefix begins.
func rebuiltTables(kind sitekind.Kind, prefix string) []string {
	k, ok := kind.(sitekind.StructureOnly)
	if !ok {
		return nil
	}
	prefix = escapeGlob(prefix)
	var list []string
	for _, p := range k.StructureOnly() {
		list = append(list, prefix+p)
	}
	return list
}

func (a *Agent) readSettings(ctx context.Context, site *guard.Site, p *place) (sitekind.Kind, sitekind.Settings, error) {
	kind, err := kindByName(site.Kind)
	if err != nil {
		return nil, sitekind.Settings{}, err
	}
	settings, err := readWith(ctx, kind, p.Place, site, a.vhostEnv)
	return kind, settings, err
}

// WriteSettings changes staged trees alone: the live settings are never rewritten.
func (s *settingsService) WriteSettings(ctx context.Context, req *agentv1.WriteSettingsRequest) (*agentv1.WriteSettingsResponse, error) {
	site, err := s.siteAndTask(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	kind, err := kindByName(site.Kind)
	if err != nil {
		return nil, err
	}
	settings, err := settingsFromProto(req.GetSettings(), req.GetPassword())
	if err != nil {
		return nil, err
	}
	p, err := s.place(site, req.GetTask())
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if err := s.stageCloaked(ctx, site, kind, p, req, settings); err != nil {
		return nil, err
	}
	return &agentv1.WriteSettingsResponse{}, settingsError(kind.WriteSettings(ctx, p.Place, settings))
}

// ProbeDatabase tells what goes wrong in its answer: the call fails only if the site's directory cannot be looked at.
func (s *settingsService) ProbeDatabase(ctx context.Context, req *agentv1.ProbeDatabaseRequest) (*agentv1.ProbeDatabaseResponse, error) {
	site, err := s.site(req.GetSite())
	if err != nil {
		return nil, err
	}
	p, err := livePlace(site)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	_, settings, err := s.readSettings(ctx, site, p)
	if err != nil {
		return &agentv1.ProbeDatabaseResponse{Problem: err.Error()}, nil
	}
	if settings.Name == "" && settings.Cloaked() {
		return &agentv1.ProbeDatabaseResponse{Problem: cloakedText(settings)}, nil
	}
	reply := &agentv1.ProbeDatabaseResponse{Settings: settingsToProto(settings, "")}
	reply.Tables, reply.MissingPrivileges, err = probeDatabase(ctx, settings)
	reply.Problem = problemOf(err)
	return reply, nil
}

// CheckPermissions lists the first differences and counts all of them.
func (s *settingsService) CheckPermissions(ctx context.Context, req *agentv1.CheckPermissionsRequest) (*agentv1.CheckPermissionsResponse, error) {
	site, err := s.site(req.GetSite())
	if err != nil {
		return nil, err
	}
	kind, err := kindByName(site.Kind)
	if err != nil {
		return nil, err
	}
	p, err := livePlace(site)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	rules, err := kind.Rules(ctx, p.Place)
	if err != nil {
		return nil, settingsError(err)
	}
	reply := &agentv1.CheckPermissionsResponse{}
	err = sitekind.CheckPermissions(ctx, p.Place, rules, s.webAccess(), func(d sitekind.Drift) error {
		return note(reply, p, d, req.GetMend())
	})
	return reply, settingsError(err)
}

const maxDifferences = 100

// note counts a difference and, if asked, mends it.
func note(reply *agentv1.CheckPermissionsResponse, p *place, d sitekind.Drift, mend bool) error {
	line := fmt.Sprintf("%s: %s (mode %04o, group %d; want mode %04o, group %d)", p.relative(d.Path), d.Reason, modeBits(d.Mode), d.GID, modeBits(d.WantMode), d.WantGID)
	if mend {
		if err := sitekind.MendPermission(p.Place, d); err != nil {
			return fmt.Errorf("mend: %w", err)
		}
		line += ": mended"
	}
	if reply.Count++; reply.Count <= maxDifferences {
		reply.Differences = append(reply.Differences, validName(line)) // names are bytes
	}
	return nil
}

// webAccess finds the web server's group; without one settings files are left as they are.
func (a *Agent) webAccess() sitekind.WebAccess {
	gid, err := a.webGroup()
	if err != nil {
		return sitekind.WebAccess{GID: -1}
	}
	return sitekind.WebAccess{GID: gid}
}

func (a *Agent) webGroup() (int, error) {
	if a.web == nil {
		return -1, errors.New("there is no web server")
	}
	group, err := user.LookupGroup(a.web.WebGroup())
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(group.Gid)
}

func (s *settingsService) ObserveAddress(ctx context.Context, req *agentv1.ObserveAddressRequest) (*agentv1.ObserveAddressResponse, error) {
	if err := checkAddress(req.GetAddress()); err != nil {
		return nil, err
	}
	host, err := dbdump.ObservedHost(ctx, req.GetAddress())
	return &agentv1.ObserveAddressResponse{Host: host}, databaseError(err)
}

// relative returns a path of the place as seen from the site's root.
func (p *place) relative(name string) string {
	if name == "" {
		return ""
	}
	rel, err := filepath.Rel(filepath.Join("/", p.Site), filepath.Join("/", name))
	if err != nil {
		return name
	}
	return rel
}
