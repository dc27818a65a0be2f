package hub

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

func TestWhereTheMasterDials(t *testing.T) {
	from := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 55555}})
	six := peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 55555}})
	for _, c := range []struct {
		ctx       context.Context
		q         *agentv1.EnrollRequest
		want, bad string
	}{
		{from, &agentv1.EnrollRequest{DialOut: true}, "", ""},
		{from, &agentv1.EnrollRequest{ListenAddress: "0.0.0.0:7441"}, "192.0.2.7:7441", ""},
		{from, &agentv1.EnrollRequest{ListenAddress: ":7441"}, "192.0.2.7:7441", ""},
		{six, &agentv1.EnrollRequest{ListenAddress: "[::]:7441"}, "[2001:db8::7]:7441", ""},
		{from, &agentv1.EnrollRequest{ListenAddress: "10.0.0.1:7441"}, "10.0.0.1:7441", ""},
		{from, &agentv1.EnrollRequest{ListenAddress: "web1.example.com:7441"}, "web1.example.com:7441", ""},
		{from, &agentv1.EnrollRequest{ListenAddress: "7441"}, "", "usage"},
		{from, &agentv1.EnrollRequest{ListenAddress: ":"}, "", "usage"},
		{from, &agentv1.EnrollRequest{ListenAddress: ":0"}, "", "usage"},
		{from, &agentv1.EnrollRequest{ListenAddress: ":99999"}, "", "usage"},
		{from, &agentv1.EnrollRequest{}, "", "usage"},
		{context.Background(), &agentv1.EnrollRequest{ListenAddress: ":7441"}, "", "usage"},
	} {
		got, err := listenAddress(c.ctx, c.q)
		if got != c.want || (err != nil) != (c.bad != "") || err != nil && errs.KindOf(err).String() != c.bad {
			t.Errorf("%v: %q, %v", c.q, got, err)
		}
	}
}

// spoke is an agent that knows one site and one database.
type spoke struct {
	agentv1.UnimplementedSettingsServiceServer
	agentv1.UnimplementedDatabaseServiceServer
}

func (spoke) DetectSite(_ context.Context, q *agentv1.DetectSiteRequest) (*agentv1.DetectSiteResponse, error) {
	if q.Site.Root != "/var/www/wp" {
		return &agentv1.DetectSiteResponse{Kind: "generic", RootExists: strings.HasPrefix(q.Site.Root, "/var/www/")}, nil
	}
	return &agentv1.DetectSiteResponse{Kind: "wordpress", RootExists: true, Settings: &agentv1.DatabaseSettings{Host: "db1:3306", Name: "wp", User: "wpuser", File: "wp-config.php"}}, nil
}

func (spoke) InspectDatabase(_ context.Context, q *agentv1.InspectDatabaseRequest) (*agentv1.InspectDatabaseResponse, error) {
	return &agentv1.InspectDatabaseResponse{Exists: q.Name == "wp"}, nil
}

// serveSpoke starts an agent with both roles under the name web1.
func (r *rig) serveSpoke(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(pki.AgentServer(r.agent(t, "web1"), time.Now))))
	agentv1.RegisterSettingsServiceServer(s, spoke{})
	agentv1.RegisterDatabaseServiceServer(s, spoke{})
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	must(t, r.hub.Catalogue.CreateServer(t.Context(), model.Server{
		Name: "web1", Roles: []model.Role{model.RoleWeb, model.RoleDB}, Address: l.Addr().String(), JoinedAt: time.Now()}))
	must(t, r.hub.Catalogue.CreateServer(t.Context(), model.Server{Name: "web2", Roles: []model.Role{model.RoleWeb}, Address: "127.0.0.1:1", JoinedAt: time.Now()}))
}

func TestCreateSite(t *testing.T) {
	r := newRig(t)
	r.serveSpoke(t)
	c := sitekeepv1.NewSiteServiceClient(r.local(t))
	good := func() *sitekeepv1.Site {
		return &sitekeepv1.Site{Name: "example.com", WebServers: []string{"web1"}, DbServer: "web1", Root: "/var/www/wp"}
	}
	for what, q := range map[string]struct {
		change func(*sitekeepv1.Site)
		want   errs.Kind
	}{
		"no name":               {func(s *sitekeepv1.Site) { s.Name = "" }, errs.Usage},
		"a path as its name":    {func(s *sitekeepv1.Site) { s.Name = "../x" }, errs.Usage},
		"a bad alias":           {func(s *sitekeepv1.Site) { s.Aliases = []string{"a b"} }, errs.Usage},
		"no web server":         {func(s *sitekeepv1.Site) { s.WebServers = nil }, errs.Usage},
		"an unknown server":     {func(s *sitekeepv1.Site) { s.WebServers = []string{"web9"} }, errs.NotFound},
		"the wrong role":        {func(s *sitekeepv1.Site) { s.DbServer = "web2" }, errs.Usage},
		"a server that is down": {func(s *sitekeepv1.Site) { s.WebServers = []string{"web1", "web2"} }, errs.Unreachable},
		"a relative root":       {func(s *sitekeepv1.Site) { s.Root = "www" }, errs.Usage},
		"a root with dots":      {func(s *sitekeepv1.Site) { s.Root = "/var/www/../etc" }, errs.Usage},
		"a relative docroot":    {func(s *sitekeepv1.Site) { s.Docroot = "web" }, errs.Usage},
		"a missing root":        {func(s *sitekeepv1.Site) { s.Root = "/srv/none" }, errs.NotFound},
		"no database":           {func(s *sitekeepv1.Site) { s.Root = "/var/www/static" }, errs.Usage},
		"an unknown database":   {func(s *sitekeepv1.Site) { s.Database = "other" }, errs.NotFound},
		"a vhost of its own":    {func(s *sitekeepv1.Site) { s.Vhost = "mine" }, errs.Usage},
	} {
		s := good()
		q.change(s)
		if _, err := c.CreateSite(t.Context(), &sitekeepv1.CreateSiteRequest{Site: s}); !errs.Is(err, q.want) {
			t.Errorf("%s: %v (%v)", what, err, errs.KindOf(err))
		}
	}
	if _, err := c.CreateSite(t.Context(), &sitekeepv1.CreateSiteRequest{}); !errs.Is(err, errs.Usage) {
		t.Errorf("nothing: %v", err)
	}
	reply, err := c.CreateSite(t.Context(), &sitekeepv1.CreateSiteRequest{Site: good()})
	must(t, err)
	if s := reply.Site; s.Kind != "wordpress" || s.Database != "wp" || s.DatabaseUser != "wpuser" || s.DatabaseHost != "db1:3306" || s.Docroot != s.Root || s.Vhost != "managed" || len(reply.Warnings) != 0 {
		t.Errorf("made %v", reply)
	}
	if _, err := c.CreateSite(t.Context(), &sitekeepv1.CreateSiteRequest{Site: good()}); !errs.Is(err, errs.Exists) {
		t.Errorf("twice: %v", err)
	}
	second := good()
	second.Name = "second.example"
	reply, err = c.CreateSite(t.Context(), &sitekeepv1.CreateSiteRequest{Site: second})
	if err != nil || !strings.Contains(strings.Join(reply.GetWarnings(), "\n"), "used by example.com") {
		t.Errorf("a shared database: %v, %v", reply, err)
	}
	static := &sitekeepv1.Site{Name: "static.example", WebServers: []string{"web1"}, Root: "/var/www/wp"}
	reply, err = c.CreateSite(t.Context(), &sitekeepv1.CreateSiteRequest{Site: static})
	if err != nil || reply.Site.Database != "" || len(reply.Warnings) != 1 {
		t.Errorf("without a database server: %v, %v", reply, err)
	}
}
