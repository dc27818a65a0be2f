package agent

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/webserver"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const (
	// removal is the token under which RemoveVhost changes files; the change is forgotten at once.
	removal = "remove"
	// serveWait is how long a web server may take to serve what was written.
	serveWait = 15 * time.Second
	// settleTime is for how long a page that PHP did not finish is asked for again.
	settleTime = 3 * time.Second
)

type vhostService struct {
	agentv1.UnimplementedVhostServiceServer
	*Agent
}

// vhost checks the reference and returns the web server that the site's vhost is for.
func (s *vhostService) vhost(ref *agentv1.SiteRef) (*guard.Site, *webserver.Server, error) {
	site, err := s.site(ref)
	if err != nil {
		return nil, nil, err
	}
	web, err := s.webServer()
	return site, web, err
}

// held is vhost for calls that name a task.
func (s *vhostService) held(ref *agentv1.SiteRef, task string) (*guard.Site, *webserver.Server, error) {
	if err := guard.CheckTask(task); err != nil {
		return nil, nil, err
	}
	return s.vhost(ref)
}

// WriteVhost returns when the running web server serves what was written; otherwise what was there is put back. A vhost
// that somebody has edited, or that is not ours, is left as it is: whoever wrote it knew why.
func (s *vhostService) WriteVhost(ctx context.Context, req *agentv1.WriteVhostRequest) (*agentv1.WriteVhostResponse, error) {
	site, web, err := s.held(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	wanted, err := s.wantedVhost(ctx, site, req.GetTask())
	if err != nil {
		return nil, err
	}
	result, err := web.WriteVhost(ctx, wanted, req.GetTask())
	if foreign := (*webserver.ForeignVhostError)(nil); errors.As(err, &foreign) {
		return leave(ctx, web, foreign)
	}
	if err != nil {
		return nil, vhostError(err)
	}
	if err := s.serving(ctx, web, site.Name); err != nil {
		return nil, putBack(ctx, web, site.Name, req.GetTask(), err)
	}
	return &agentv1.WriteVhostResponse{Changed: result.Changed, Warning: result.Reload.Warning}, nil
}

// wantedVhost is what the site's managed virtual host is made from.
func (a *Agent) wantedVhost(ctx context.Context, site *guard.Site, task string) (webserver.Site, error) {
	env, err := a.siteEnv(ctx, site, task)
	return webserver.Site{
		Name: site.Name, Aliases: site.Aliases, Docroot: site.Docroot, Root: site.Root, Kind: site.Kind,
		PHP: a.cfg.Webserver.RunsPHP(), Env: env,
	}, err
}

func (s *vhostService) CompareVhost(ctx context.Context, req *agentv1.CompareVhostRequest) (*agentv1.CompareVhostResponse, error) {
	site, web, err := s.vhost(req.GetSite())
	if err != nil {
		return nil, err
	}
	wanted, err := s.wantedVhost(ctx, site, "")
	if err != nil {
		return nil, err
	}
	drift, err := web.CompareVhost(wanted)
	return &agentv1.CompareVhostResponse{Reason: validName(drift.Reason), Lines: validNames(drift.Lines)}, vhostError(err)
}

// leave reloads and says why nothing was written.
func leave(ctx context.Context, web *webserver.Server, foreign *webserver.ForeignVhostError) (*agentv1.WriteVhostResponse, error) {
	result, err := web.Reload(ctx)
	if err != nil {
		return nil, vhostError(err)
	}
	warning := foreign.Error() + "; it is left as it is"
	if result.Warning != "" {
		warning += "; " + result.Warning
	}
	return &agentv1.WriteVhostResponse{Warning: warning}, nil
}

func (s *vhostService) serving(ctx context.Context, web *webserver.Server, name string) error {
	ctx, cancel := context.WithTimeout(ctx, serveWait)
	defer cancel()
	if err := web.WaitServing(ctx, name); err != nil {
		return errs.New(errs.Failed, "let the web server include *.conf of "+s.cfg.Webserver.VhostDir+
			", and see that webserver.listen in agent.yaml is what it listens on", "virtual host of %s: %w", name, err)
	}
	return nil
}

func putBack(ctx context.Context, web *webserver.Server, name, task string, cause error) error {
	ctx, cancel := detach(ctx)
	defer cancel()
	if _, err := web.RevertVhost(ctx, name, task); err != nil {
		return errs.New(errs.KindOf(cause), errs.HintOf(cause), "%w; and it could not be put back: %w", cause, err)
	}
	return cause
}

// detach bounds cleaning up, which goes on when the caller has gone.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

func (s *vhostService) RevertVhost(ctx context.Context, req *agentv1.RevertVhostRequest) (*agentv1.RevertVhostResponse, error) {
	site, web, err := s.held(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	_, err = web.RevertVhost(ctx, site.Name, req.GetTask())
	return &agentv1.RevertVhostResponse{}, vhostError(err)
}

func (s *vhostService) ForgetVhost(ctx context.Context, req *agentv1.ForgetVhostRequest) (*agentv1.ForgetVhostResponse, error) {
	site, web, err := s.held(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	return &agentv1.ForgetVhostResponse{}, vhostError(web.ForgetVhost(ctx, site.Name, req.GetTask()))
}

func (s *vhostService) RemoveVhost(ctx context.Context, req *agentv1.RemoveVhostRequest) (*agentv1.RemoveVhostResponse, error) {
	site, web, err := s.vhost(req.GetSite())
	if err != nil {
		return nil, err
	}
	if _, err := web.RemoveVhost(ctx, site.Name, removal); err != nil {
		return nil, vhostError(err)
	}
	return &agentv1.RemoveVhostResponse{}, vhostError(web.ForgetVhost(ctx, site.Name, removal))
}

func (s *vhostService) BeginMaintenance(ctx context.Context, req *agentv1.BeginMaintenanceRequest) (*agentv1.BeginMaintenanceResponse, error) {
	site, web, err := s.held(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	lease, err := leaseOf(req.GetLease())
	if err != nil {
		return nil, err
	}
	begin, ref := web.BeginMaintenance, req.GetSite()
	if ref.GetExternal() && model.MaintenanceMode(ref.GetMaintenance()) != model.MaintenanceKind {
		begin = web.BeginExternalMaintenance
	}
	result, err := begin(ctx, site.Name, req.GetTask(), lease)
	if err != nil {
		return nil, vhostError(err)
	}
	return s.ensure(ctx, ref, site, result), nil
}

func (s *vhostService) RenewMaintenance(ctx context.Context, req *agentv1.RenewMaintenanceRequest) (*agentv1.RenewMaintenanceResponse, error) {
	site, web, err := s.held(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	lease, err := leaseOf(req.GetLease())
	if err != nil {
		return nil, err
	}
	until, err := web.RenewMaintenance(ctx, site.Name, req.GetTask(), lease)
	if err != nil {
		return nil, vhostError(err)
	}
	if until.IsZero() { // for ever
		return &agentv1.RenewMaintenanceResponse{}, nil
	}
	return &agentv1.RenewMaintenanceResponse{Until: timestamppb.New(until)}, nil
}

// leaseOf returns the lease; one beyond the 292 years of a Go duration is for ever.
func leaseOf(p *durationpb.Duration) (time.Duration, error) {
	if err := p.CheckValid(); err != nil || p.AsDuration() <= 0 {
		return 0, errs.New(errs.Usage, "give a lease such as 60s", "lease %s cannot be used", p)
	}
	return p.AsDuration(), nil
}

func (s *vhostService) EndMaintenance(ctx context.Context, req *agentv1.EndMaintenanceRequest) (*agentv1.EndMaintenanceResponse, error) {
	site, web, err := s.held(req.GetSite(), req.GetTask())
	if err != nil {
		return nil, err
	}
	ended, err := web.EndMaintenance(ctx, site.Name, req.GetTask())
	if err == nil && ended && req.GetSite().GetExternal() {
		err = s.dropSwitch(ctx, site)
	}
	return &agentv1.EndMaintenanceResponse{}, vhostError(err)
}

// Reload goes on without the web server where its configuration does not pass its test: no virtual host was changed, so
// that is somebody else's doing, and what is loaded serves on. An undo must not stop at it.
func (s *vhostService) Reload(ctx context.Context, _ *agentv1.ReloadRequest) (*agentv1.ReloadResponse, error) {
	web, err := s.webServer()
	if err != nil {
		return nil, err
	}
	result, err := web.Reload(ctx)
	if failed, ok := errors.AsType[*webserver.CommandError](err); ok && failed.OfTest() {
		s.log.Warn("the web server was not reloaded", "error", failed)
		result, err = web.ReloadPHP(ctx)
	}
	return &agentv1.ReloadResponse{Warning: result.Warning}, vhostError(err)
}

func (s *vhostService) ProbeSite(ctx context.Context, req *agentv1.ProbeSiteRequest) (*agentv1.ProbeSiteResponse, error) {
	site, web, err := s.vhost(req.GetSite())
	if err != nil {
		return nil, err
	}
	if req.GetTask() != "" {
		if err := guard.CheckTask(req.GetTask()); err != nil {
			return nil, err
		}
	}
	probe := webserver.ProbeRequest{Name: site.Name, Path: req.GetPath(), AsVisitor: req.GetTask() == ""}
	hidden, err := s.beyond(ctx, site, &probe)
	if err != nil {
		return nil, vhostError(err)
	}
	result, err := settledProbe(ctx, web, probe)
	if err != nil {
		return nil, vhostError(err)
	}
	// A site that knows its own port sends those without it there, as it would a browser.
	if probe.Host = ownHost(site.Name, result); probe.Host != "" {
		if result, err = settledProbe(ctx, web, probe); err != nil {
			return nil, vhostError(err)
		}
	}
	return &agentv1.ProbeSiteResponse{
		Status: int32(result.Status), Location: result.Location, BodyBytes: result.BodyBytes, Problem: result.Problem,
		Took:        durationpb.New(result.Duration),
		Maintenance: result.Maintenance || hidden && result.Status == http.StatusServiceUnavailable,
	}, nil
}

// settledProbe asks again for a while where the answer may be that of a PHP which is being reloaded: its reload
// command returns before its workers have ended, with the pages they were making.
func settledProbe(ctx context.Context, web *webserver.Server, probe webserver.ProbeRequest) (webserver.ProbeResult, error) {
	until := time.Now().Add(settleTime)
	return web.WaitProbe(ctx, probe, func(r webserver.ProbeResult) bool {
		return !r.Cut && r.Status != http.StatusBadGateway || time.Now().After(until)
	})
}

// ownHost returns the host with a port to which an answer redirects within the same site; empty if it does not.
func ownHost(name string, result webserver.ProbeResult) string {
	if result.Status < 300 || result.Status >= 400 {
		return ""
	}
	u, err := url.Parse(result.Location)
	if err != nil || u.Scheme != "http" || u.Port() == "" || u.Hostname() != name {
		return ""
	}
	return u.Host
}
