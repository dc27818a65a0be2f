package webui_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/webui"
	"github.com/sitekeep/sitekeep/internal/wire"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// fakes answer for services whose work takes servers: what the pages ask of them is what is looked at.
type fakes struct {
	sitekeepv1.UnimplementedAccessServiceServer
	sitekeepv1.UnimplementedSiteServiceServer
	sitekeepv1.UnimplementedBackupServiceServer
	sitekeepv1.UnimplementedServerServiceServer
	sitekeepv1.UnimplementedRestoreServiceServer

	mu       sync.Mutex
	cloned   *sitekeepv1.CloneSiteRequest
	preview  *sitekeepv1.PlanRestoreRequest
	restored *sitekeepv1.RestoreSiteRequest
	planned  *sitekeepv1.DeployBackupRequest
	deployed *sitekeepv1.DeployBackupRequest
	added    []string
}

func (f *fakes) GetCaller(context.Context, *sitekeepv1.GetCallerRequest) (*sitekeepv1.GetCallerResponse, error) {
	methods := []string{
		sitekeepv1.RestoreService_CloneSite_FullMethodName, sitekeepv1.SiteService_CreateSite_FullMethodName, sitekeepv1.SiteService_DiscoverSites_FullMethodName,
		sitekeepv1.ServerService_ListServers_FullMethodName, sitekeepv1.RestoreService_DeployBackup_FullMethodName,
		sitekeepv1.RestoreService_PlanRestore_FullMethodName, sitekeepv1.RestoreService_RestoreSite_FullMethodName,
		sitekeepv1.SiteService_GetSite_FullMethodName, sitekeepv1.BackupService_ListBackups_FullMethodName,
		sitekeepv1.TaskService_ListTasks_FullMethodName, sitekeepv1.TaskService_WatchTask_FullMethodName,
	}
	slices.Sort(methods)
	return &sitekeepv1.GetCallerResponse{Name: "user:root", Role: "admin", Version: "v9", Methods: methods}, nil
}

func (f *fakes) GetSite(_ context.Context, q *sitekeepv1.GetSiteRequest) (*sitekeepv1.GetSiteResponse, error) {
	if q.GetName() == "gone.example" {
		return nil, wire.ToStatus(errs.New(errs.NotFound, "", "no site"))
	}
	return &sitekeepv1.GetSiteResponse{Site: &sitekeepv1.Site{Name: q.GetName(), Root: "/var/www/" + q.GetName(), Docroot: "/var/www/" + q.GetName(),
		WebServers: []string{"web1"}, DbServer: "db1"}}, nil
}

func (f *fakes) ListBackups(context.Context, *sitekeepv1.ListBackupsRequest) (*sitekeepv1.ListBackupsResponse, error) {
	return &sitekeepv1.ListBackupsResponse{Backups: []*sitekeepv1.Backup{{Id: "garden.example-20261123.120000", Description: long}}}, nil
}

func (f *fakes) ListServers(context.Context, *sitekeepv1.ListServersRequest) (*sitekeepv1.ListServersResponse, error) {
	return &sitekeepv1.ListServersResponse{Servers: []*sitekeepv1.Server{
		{Name: "web1", Roles: []string{"web"}}, {Name: "web2", Roles: []string{"web"}}, {Name: "db1", Roles: []string{"db"}},
		{Name: "gone", Roles: []string{"web", "db"}, Revoked: true},
	}}, nil
}

func (f *fakes) CloneSite(_ context.Context, q *sitekeepv1.CloneSiteRequest) (*sitekeepv1.CloneSiteResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cloned = q
	return &sitekeepv1.CloneSiteResponse{Task: &sitekeepv1.Task{Id: failedTask}}, nil
}

// GetBackup finds one of the site whose name it begins with.
func (f *fakes) GetBackup(_ context.Context, q *sitekeepv1.GetBackupRequest) (*sitekeepv1.GetBackupResponse, error) {
	site, _, _ := strings.Cut(q.GetId(), "-")
	return &sitekeepv1.GetBackupResponse{Backup: &sitekeepv1.Backup{Id: q.GetId(), Site: site, Description: markup, Tables: 12, Rows: 159}}, nil
}

func (f *fakes) PlanRestore(_ context.Context, q *sitekeepv1.PlanRestoreRequest) (*sitekeepv1.PlanRestoreResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.preview = q
	return &sitekeepv1.PlanRestoreResponse{Backup: q.GetBackup(), ExpectedDowntimeMs: 3000, DowntimeBasis: "as in the last one",
		Files: []*sitekeepv1.PlanFiles{{Server: "web1", Removed: &sitekeepv1.PlanDifference{Entries: 1, Paths: []string{markup, rtl}}}}}, nil
}

func (f *fakes) RestoreSite(_ context.Context, q *sitekeepv1.RestoreSiteRequest) (*sitekeepv1.RestoreSiteResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.restored = q
	return &sitekeepv1.RestoreSiteResponse{Task: &sitekeepv1.Task{Id: failedTask}}, nil
}

func (f *fakes) DeployBackup(_ context.Context, q *sitekeepv1.DeployBackupRequest) (*sitekeepv1.DeployBackupResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if q.GetDryRun() {
		f.planned = q
		return planDeployment(q.GetSite())
	}
	f.deployed = q
	return &sitekeepv1.DeployBackupResponse{Task: &sitekeepv1.Task{Id: failedTask}}, nil
}

// planDeployment finds that taken.example is taken.
func planDeployment(asked *sitekeepv1.Site) (*sitekeepv1.DeployBackupResponse, error) {
	if asked.GetName() == "taken.example" {
		return nil, wire.ToStatus(errs.New(errs.Exists, "look at it", "taken.example belongs to somebody already"))
	}
	site := &sitekeepv1.Site{Name: asked.GetName(), Kind: "wordpress", WebServers: asked.GetWebServers(), DbServer: asked.GetDbServer(),
		Root: asked.GetRoot(), Docroot: asked.GetRoot() + "/web", Vhost: "managed"}
	return &sitekeepv1.DeployBackupResponse{Site: site, Plan: &sitekeepv1.PlanRestoreResponse{Warnings: []string{markup},
		Steps: []*sitekeepv1.PlanStep{{Name: "push_files", Servers: []string{"web2"}, Description: "write " + markup, Undo: "remove them"}},
		Room:  []*sitekeepv1.PlanRoom{{Server: "web2", Place: "beside /srv", NeededBytes: 3 << 20, FreeBytes: 5 << 30}}}}, nil
}

func (f *fakes) CreateSite(_ context.Context, q *sitekeepv1.CreateSiteRequest) (*sitekeepv1.CreateSiteResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.added = append(f.added, q.GetSite().GetName()+" in "+q.GetSite().GetRoot())
	return &sitekeepv1.CreateSiteResponse{Site: q.GetSite(), Warnings: []string{"its settings could not be read"}}, nil
}

func (f *fakes) DiscoverSites(q *sitekeepv1.DiscoverSitesRequest, stream sitekeepv1.SiteService_DiscoverSitesServer) error {
	site := func(name string) *sitekeepv1.Site {
		return &sitekeepv1.Site{Name: name, Kind: "wordpress", Root: "/var/www/" + name}
	}
	for _, m := range []*sitekeepv1.DiscoverSitesResponse{
		{Site: &sitekeepv1.DiscoveredSite{Site: site("new.example"), Version: "6.8.1", FileBytes: map[bool]int64{true: 3 << 20}[q.GetSizes()]}},
		{Site: &sitekeepv1.DiscoveredSite{Site: site("other.example"), Warnings: []string{markup}}},
		{Site: &sitekeepv1.DiscoveredSite{Site: site("known.example"), KnownAs: "known.example"}},
		{Site: &sitekeepv1.DiscoveredSite{Site: site("odd.example"), Obstacle: "its database server db9 has no agent"}},
		{Warning: "/etc/nginx/sites-enabled/x: permission denied"},
	} {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// openDoor lets everybody in.
type openDoor struct{}

func (openDoor) SignIn(context.Context, string, string, string) (string, error) { return "token", nil }
func (openDoor) SignOut(context.Context, string) error                          { return nil }

// newFakeRig has the pages over fakes, behind TLS.
func newFakeRig(t *testing.T) (*fakes, *browser) {
	t.Helper()
	f, pages := fakePages(t)
	server := httptest.NewTLSServer(pages) // its certificate is good for the years up to 2084
	t.Cleanup(server.Close)
	r := &rig{address: server.Listener.Addr().String(), roots: x509.NewCertPool()}
	r.roots.AddCert(server.Certificate())
	return f, r.signedIn(t, "root")
}

// fakePages are the pages over fakes.
func fakePages(t *testing.T) (*fakes, http.Handler) {
	t.Helper()
	f := &fakes{}
	api := grpc.NewServer()
	sitekeepv1.RegisterAccessServiceServer(api, f)
	sitekeepv1.RegisterSiteServiceServer(api, f)
	sitekeepv1.RegisterBackupServiceServer(api, f)
	sitekeepv1.RegisterServerServiceServer(api, f)
	sitekeepv1.RegisterRestoreServiceServer(api, f)
	sitekeepv1.RegisterTaskServiceServer(api, waiting{})
	l := bufconn.Listen(1 << 20)
	done := make(chan error, 1)
	go func() { done <- api.Serve(l) }()
	t.Cleanup(func() { api.Stop(); <-done })
	conn, err := grpc.NewClient("passthrough:fakes", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(wire.UnaryClientErrors()), grpc.WithChainStreamInterceptor(wire.StreamClientErrors()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	must(t, err)
	t.Cleanup(func() { must(t, conn.Close()) })
	ui, err := webui.New(webui.Options{Conn: conn, Session: func(ctx context.Context, _ string) context.Context { return ctx }, Door: openDoor{},
		Log: hclog.NewNullLogger(), Now: func() time.Time { return now }})
	must(t, err)
	return f, ui.Handler()
}

// TestThePagesThemselvesWantTLS, whoever serves them.
func TestThePagesThemselvesWantTLS(t *testing.T) {
	_, pages := fakePages(t)
	server := httptest.NewServer(pages)
	t.Cleanup(server.Close)
	for _, path := range []string{"/", "/signin", "/static/app.css"} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		must(t, err)
		q.AddCookie(&http.Cookie{Name: "__Host-sitekeep", Value: "token"})
		got, err := server.Client().Do(q)
		must(t, err)
		must(t, got.Body.Close())
		if got.StatusCode != http.StatusForbidden {
			t.Errorf("%s without TLS: %d", path, got.StatusCode)
		}
	}
}
