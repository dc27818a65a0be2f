package agent

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sitekeep/sitekeep/internal/agent/config"
	"github.com/sitekeep/sitekeep/internal/agent/staging"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

type infoService struct {
	agentv1.UnimplementedAgentServiceServer
	*Agent
}

// GetInfo looks at everything and lists what is wrong; it fails for nothing.
func (s *infoService) GetInfo(ctx context.Context, req *agentv1.GetInfoRequest) (*agentv1.GetInfoResponse, error) {
	reply := &agentv1.GetInfoResponse{Version: s.opts.Version, Now: timestamppb.New(s.now()), Databases: s.guard.Databases()}
	for _, r := range s.opts.Roles {
		reply.Roles = append(reply.Roles, string(r))
	}
	if s.opts.CertificateNotAfter != nil {
		reply.CertificateNotAfter = timestamppb.New(s.opts.CertificateNotAfter())
	}
	reply.Processors = int32(runtime.NumCPU())
	if !req.GetBrief() {
		s.lookAround(ctx, reply)
	}
	return reply, nil
}

// lookAround adds what has to be looked at, tested or asked for, and what is wrong with it.
func (s *infoService) lookAround(ctx context.Context, reply *agentv1.GetInfoResponse) {
	p := problems{&reply.Problems}
	var err error
	reply.Hostname, err = os.Hostname()
	p.add(err)
	reply.Load, err = load()
	p.add(err)
	s.lookAtRoots(reply, p)
	if s.hasRole(model.RoleWeb) {
		s.lookAtWeb(ctx, reply, p)
		if hooks := s.hooks(); hooks != nil {
			p.add(hooks.Check())
		}
	}
	if s.hasRole(model.RoleDB) {
		s.lookAtDatabase(ctx, reply, p)
	}
}

// load is how many processes ran or waited for the disk, on average over the last five minutes: proc_loadavg(5).
func load() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, fmt.Errorf("load of the machine: %w", err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("load of the machine: /proc/loadavg is %q", text)
	}
	average, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return 0, fmt.Errorf("load of the machine: %w", err)
	}
	return average, nil
}

// problems collects sentences with the next action.
type problems struct{ list *[]string }

func (p problems) add(err error) {
	switch hint := errs.HintOf(err); {
	case err == nil:
	case hint != "":
		*p.list = append(*p.list, err.Error()+"; "+hint)
	default:
		*p.list = append(*p.list, err.Error())
	}
}

func (p problems) addf(format string, args ...any) {
	*p.list = append(*p.list, fmt.Sprintf(format, args...))
}

func (a *Agent) lookAtRoots(reply *agentv1.GetInfoResponse, p problems) {
	for _, path := range a.guard.Roots() {
		root := &agentv1.Root{Path: path}
		reply.Roots = append(reply.Roots, root)
		dir, err := os.OpenRoot(path)
		if err != nil {
			p.addf("allowed directory: %v; create it, or correct allow.roots in agent.yaml", err)
			continue
		}
		root.FreeBytes, root.FreeInodes, err = staging.Free(dir)
		p.add(err)
		_ = dir.Close()
	}
	if a.hasRole(model.RoleWeb) && len(reply.Roots) == 0 {
		p.addf("no directory is allowed; add allow.roots to agent.yaml")
	}
}

func (a *Agent) lookAtWeb(ctx context.Context, reply *agentv1.GetInfoResponse, p problems) {
	if a.web == nil {
		p.addf("the server has the role web, and agent.yaml no section webserver; add it")
		return
	}
	reply.Webserver = a.cfg.Webserver.Kind
	if _, err := os.Stat(a.cfg.Webserver.VhostDir); err != nil {
		p.addf("directory of virtual hosts: %v; create it and let the web server include %s/*.conf", err, a.cfg.Webserver.VhostDir)
	}
	if _, err := a.webGroup(); err != nil {
		p.addf("webserver.web_group: %v; correct it in agent.yaml", err)
	}
	p.add(vhostError(a.web.Test(ctx)))
	p.add(a.web.CheckTemplates())
}

func (a *Agent) lookAtDatabase(ctx context.Context, reply *agentv1.GetInfoResponse, p problems) {
	if len(a.guard.Databases()) == 0 {
		p.addf("no database is allowed; add allow.databases to agent.yaml")
	}
	if a.cfg.MySQL != nil {
		reply.DatabaseAddress = a.databaseAddress(a.cfg.MySQL)
	}
	in, err := a.instance(ctx)
	if err != nil {
		p.add(err)
		return
	}
	defer func() { p.add(in.Close()) }()
	reply.DatabaseServer = in.Version().Full
	program, version, err := in.DumpProgram(ctx)
	p.add(err)
	if err == nil {
		reply.DumpProgram = program + " " + version.Full
	}
}

// databaseAddress is host:port for web servers: as configured, or the
// configured host unless that is this machine alone, or the agent's own address.
func (a *Agent) databaseAddress(m *config.MySQL) string {
	switch {
	case m.Advertise != "":
		return m.Advertise
	case m.Host != "" && !onlyHere(m.Host):
		return net.JoinHostPort(m.Host, strconv.Itoa(m.PortOrDefault()))
	case a.opts.Host != "":
		return net.JoinHostPort(a.opts.Host, strconv.Itoa(m.PortOrDefault()))
	}
	return ""
}

// onlyHere reports whether a host is the usual name of the machine itself. Other
// addresses of the loopback network are somebody's choice, and are passed on.
func onlyHere(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }
