package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/hub/fleet"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/internal/tasks"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// site of the test: a hub that listens on TLS and on a socket, with real catalogue, store and CA.
type rig struct {
	hub     *Hub
	address string
	socket  string
	methods []string
	made    []string // tasks
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.InitCA(filepath.Join(dir, "ca"), "test", time.Now())
	must(t, err)
	leaf, err := pki.NewMasterLeaf(ca, time.Now)
	must(t, err)
	book, err := catalogue.Open(t.Context(), filepath.Join(dir, "catalogue.db"))
	must(t, err)
	t.Cleanup(func() { book.Close() })
	shelf, err := store.OpenLocal(filepath.Join(dir, "store"), store.Options{})
	must(t, err)
	revoked := func(_, serial string) bool {
		r, err := book.CertificateRevoked(context.Background(), serial)
		return r || err != nil
	}
	queue, err := tasks.New(tasks.Config{Catalogue: book, Kinds: map[model.TaskKind]tasks.Kind{
		model.TaskBackup:  {Handler: func(context.Context, *tasks.Run) (any, error) { return nil, nil }},
		model.TaskDrill:   {Handler: func(context.Context, *tasks.Run) (any, error) { return nil, nil }, Once: true},
		model.TaskVerify:  {Handler: func(context.Context, *tasks.Run) (any, error) { return nil, nil }},
		model.TaskDisable: {Handler: func(context.Context, *tasks.Run) (any, error) { return nil, nil }, Once: true},
		model.TaskEnable:  {Handler: func(context.Context, *tasks.Run) (any, error) { return nil, nil }, Once: true},
		model.TaskRestore: {Handler: func(context.Context, *tasks.Run) (any, error) { return nil, nil }, Recovery: tasks.Resume},
		model.TaskMigrate: {Handler: func(context.Context, *tasks.Run) (any, error) { return nil, nil }, Recovery: tasks.Resume},
	}})
	must(t, err)
	h := New(Deps{
		Catalogue: book, Store: shelf, CA: ca, Tasks: queue, Log: hclog.NewNullLogger(), Now: time.Now, Version: "test",
		Addresses: []string{"127.0.0.1:7440"},
		Fleet:     fleet.New(book, func(s string) *tls.Config { return pki.MasterDial(leaf, s, revoked, time.Now) }),
	})
	t.Cleanup(h.Fleet.Close)
	r := &rig{hub: h, socket: filepath.Join(dir, "s")}
	outer, err := h.Listen("127.0.0.1:0", pki.MasterServer(leaf, revoked, time.Now))
	must(t, err)
	r.address = outer.(*door).Addr().String()
	local, err := ListenLocal(r.socket)
	must(t, err)
	r.serve(t, outer, local)
	return r
}

func (r *rig) serve(t *testing.T, listeners ...net.Listener) {
	s := r.hub.Server()
	for name, info := range s.GetServiceInfo() {
		for _, m := range info.Methods {
			r.methods = append(r.methods, "/"+name+"/"+m.Name)
		}
	}
	for _, l := range listeners {
		go s.Serve(l) //nolint:errcheck // it ends with Stop
	}
	t.Cleanup(s.Stop)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// token makes an API token and returns what a caller sends.
func (r *rig) token(t *testing.T, role catalogue.APIRole, client string) string {
	t.Helper()
	token := pki.NewAPIToken(r.hub.CA.Fingerprint())
	hash := token.Hash()
	must(t, r.hub.Catalogue.CreateAPIToken(t.Context(), catalogue.APIToken{
		Name: string(role) + "-" + client + "-token", Hash: hash[:], Role: role, Client: client, CreatedAt: time.Now()}))
	return token.Text()
}

func (r *rig) dial(t *testing.T, config *tls.Config, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+r.address, append(opts, grpc.WithTransportCredentials(credentials.NewTLS(config)))...)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (r *rig) pinned() *tls.Config { return pki.Pinned(r.hub.CA.Fingerprint(), time.Now) }

// agent makes the identity of an agent, as joining does.
func (r *rig) agent(t *testing.T, name string) *pki.LiveIdentity {
	t.Helper()
	key, err := pki.NewKey()
	must(t, err)
	csr, err := pki.NewCSR(key)
	must(t, err)
	der, err := r.hub.CA.SignAgent(csr, name, time.Now(), time.Hour)
	must(t, err)
	id, err := pki.NewLiveIdentity(pki.Identity{Name: name, Key: key, Certificate: der, CA: r.hub.CA.Certificate().Raw, Addresses: []string{r.address}})
	must(t, err)
	return id
}

func withToken(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// refused calls a method with an empty request and reports whether the interceptors refused it.
func refused(t *testing.T, ctx context.Context, conn *grpc.ClientConn, method string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	must(t, err)
	// A server that has already refused the call answers a send with EOF; its status comes with the receive.
	if err := stream.SendMsg(&emptypb.Empty{}); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	must(t, stream.CloseSend())
	err = stream.RecvMsg(&emptypb.Empty{})
	return status.Code(err) == codes.PermissionDenied && strings.Contains(status.Convert(err).Message(), "may not call")
}

// TestEveryMethodWithEveryCaller is the table of permissions: what is not allowed here is refused there.
func TestEveryMethodWithEveryCaller(t *testing.T) {
	r := newRig(t)
	callers := map[string]struct {
		conn  *grpc.ClientConn
		token string
		role  role
	}{
		"nobody":   {r.dial(t, r.pinned()), "", anyone},
		"viewer":   {r.dial(t, r.pinned()), r.token(t, catalogue.APIViewer, ""), viewer},
		"operator": {r.dial(t, r.pinned()), r.token(t, catalogue.APIOperator, ""), operator},
		"admin":    {r.dial(t, r.pinned()), r.token(t, catalogue.APIAdmin, ""), admin},
		"agent":    {r.dial(t, pki.AgentDial(r.agent(t, "web1"), time.Now)), "", agent},
	}
	table := rules()
	if len(r.methods) < 30 {
		t.Fatalf("only %d methods are served", len(r.methods))
	}
	for _, method := range r.methods {
		rule, known := table[method]
		if !known {
			t.Errorf("nobody may call %s: it has no rule", method)
			continue
		}
		if strings.HasSuffix(method, "/Watch") {
			continue // it streams for ever to whom it is allowed
		}
		for name, c := range callers {
			want := !(rule.least == anyone || c.role == agent && rule.least == agent || c.role >= viewer && rule.least >= viewer && c.role >= rule.least)
			if got := refused(t, withToken(t.Context(), c.token), c.conn, method); got != want {
				t.Errorf("%s calls %s: refused = %v, want %v", name, method, got, want)
			}
		}
	}
	for method := range table {
		if !contains(r.methods, method) && !strings.Contains(method, "v1alpha") {
			t.Errorf("a rule for %s, which is not served", method)
		}
	}
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

func TestBadAndRevokedTokens(t *testing.T) {
	r := newRig(t)
	client := sitekeepv1.NewSiteServiceClient(r.dial(t, r.pinned()))
	good := r.token(t, catalogue.APIViewer, "")
	stranger := pki.NewAPIToken(r.hub.CA.Fingerprint()).Text()
	for name, token := range map[string]string{"mistyped": good[:len(good)-1], "unknown": stranger, "empty": " "} {
		if _, err := client.ListSites(withToken(t.Context(), token), &sitekeepv1.ListSitesRequest{}); status.Code(err) != codes.PermissionDenied {
			t.Errorf("%s token: %v", name, err)
		}
	}
	if _, err := client.ListSites(withToken(t.Context(), good), &sitekeepv1.ListSitesRequest{}); err != nil {
		t.Fatal(err)
	}
	must(t, r.hub.Catalogue.RevokeAPIToken(t.Context(), "viewer--token", time.Now()))
	if _, err := client.ListSites(withToken(t.Context(), good), &sitekeepv1.ListSitesRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a revoked token: %v", err)
	}
}

func (r *rig) addSite(t *testing.T, name, client string) {
	t.Helper()
	if _, err := r.hub.Catalogue.Server(t.Context(), "web1"); err != nil {
		must(t, r.hub.Catalogue.CreateServer(t.Context(), model.Server{Name: "web1", Roles: []model.Role{model.RoleWeb}, JoinedAt: time.Now()}))
	}
	must(t, r.hub.Catalogue.CreateSite(t.Context(), model.Site{
		Name: name, Kind: "generic", WebServers: []string{"web1"}, Root: "/var/www/" + name, Docroot: "/var/www/" + name,
		Client: client, Vhost: model.VhostManaged, CreatedAt: time.Now()}))
}

// TestAClientSeesOnlyItsOwn: what is another's is not found, so that nobody learns that it exists.
func TestAClientSeesOnlyItsOwn(t *testing.T) {
	r := newRig(t)
	r.addSite(t, "mine.example", "me")
	r.addSite(t, "theirs.example", "them")
	must(t, r.hub.Catalogue.InsertBackup(t.Context(), model.Backup{ID: "theirs.example-20261123.001336", Site: "theirs.example", CreatedAt: time.Now(), Format: "tar.zst"}))
	ctx := withToken(t.Context(), r.token(t, catalogue.APIOperator, "me"))
	conn := r.dial(t, r.pinned())
	sites, backups, restores := sitekeepv1.NewSiteServiceClient(conn), sitekeepv1.NewBackupServiceClient(conn), sitekeepv1.NewRestoreServiceClient(conn)

	list, err := sites.ListSites(ctx, &sitekeepv1.ListSitesRequest{Client: "them"})
	must(t, err)
	if len(list.Sites) != 1 || list.Sites[0].Name != "mine.example" {
		t.Errorf("listed: %v", list.Sites)
	}
	notFound := func(what string, err error) {
		t.Helper()
		if status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = sites.GetSite(ctx, &sitekeepv1.GetSiteRequest{Name: "theirs.example"})
	notFound("get site", err)
	_, err = backups.GetBackup(ctx, &sitekeepv1.GetBackupRequest{Id: "theirs.example-20261123.001336"})
	notFound("get backup", err)
	_, err = backups.DeleteBackup(ctx, &sitekeepv1.DeleteBackupRequest{Id: "theirs.example-20261123.001336"})
	notFound("delete backup", err)
	_, err = backups.CreateBackup(ctx, &sitekeepv1.CreateBackupRequest{Site: "theirs.example"})
	notFound("create backup", err)
	_, err = restores.RestoreSite(ctx, &sitekeepv1.RestoreSiteRequest{Site: "theirs.example", Backup: "latest"})
	notFound("restore", err)
	_, err = sites.VerifySite(ctx, &sitekeepv1.VerifySiteRequest{Name: "theirs.example"})
	notFound("verify", err)
	all, err := backups.ListBackups(ctx, &sitekeepv1.ListBackupsRequest{})
	must(t, err)
	if len(all.Backups) != 0 {
		t.Errorf("listed: %v", all.Backups)
	}
	if _, err := sitekeepv1.NewServerServiceClient(conn).ListServers(ctx, &sitekeepv1.ListServersRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("list servers: %v", err)
	}
}

func TestTheSocketIsForTheMastersOwnUser(t *testing.T) {
	r := newRig(t)
	conn, err := grpc.NewClient("unix://"+r.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	defer conn.Close()
	who, err := sitekeepv1.NewAccessServiceClient(conn).GetCaller(t.Context(), &sitekeepv1.GetCallerRequest{})
	must(t, err)
	if who.Role != "admin" || !strings.HasPrefix(who.Name, "uid:") {
		t.Fatalf("the socket's caller is %v", who)
	}
}

func TestJoinRenewRevoke(t *testing.T) {
	r := newRig(t)
	local, err := grpc.NewClient("unix://"+r.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	defer local.Close()
	servers := sitekeepv1.NewServerServiceClient(local)
	made, err := servers.CreateJoinToken(t.Context(), &sitekeepv1.CreateJoinTokenRequest{Name: "web9", Roles: []string{"web", "db"}})
	must(t, err)

	key, err := pki.NewKey()
	must(t, err)
	csr, err := pki.NewCSR(key)
	must(t, err)
	enrol := agentv1.NewEnrollmentServiceClient(r.dial(t, r.pinned()))
	request := &agentv1.EnrollRequest{Secret: made.Token, Csr: csr, ListenAddress: "0.0.0.0:7441"}
	joined, err := enrol.Enroll(t.Context(), request)
	must(t, err)
	if joined.Name != "web9" {
		t.Fatalf("joined as %q", joined.Name)
	}
	if _, err := enrol.Enroll(t.Context(), request); status.Code(err) != codes.PermissionDenied {
		t.Errorf("the token was taken twice: %v", err)
	}
	got, err := servers.GetServer(t.Context(), &sitekeepv1.GetServerRequest{Name: "web9"})
	must(t, err)
	if got.Server.Address != "127.0.0.1:7441" {
		t.Errorf("address %q: an agent that listens everywhere is dialled where it calls from", got.Server.Address)
	}

	id, err := pki.NewLiveIdentity(pki.Identity{Name: "web9", Key: key, Certificate: joined.Certificate, CA: joined.CaCertificate, Addresses: []string{r.address}})
	must(t, err)
	renew := agentv1.NewEnrollmentServiceClient(r.dial(t, pki.AgentDial(id, time.Now)))
	if _, err := renew.RenewCertificate(t.Context(), &agentv1.RenewCertificateRequest{Csr: csr}); err != nil {
		t.Fatal(err)
	}
	_, err = servers.RevokeServer(t.Context(), &sitekeepv1.RevokeServerRequest{Name: "web9"})
	must(t, err)
	again := agentv1.NewEnrollmentServiceClient(r.dial(t, pki.AgentDial(id, time.Now)))
	if _, err := again.RenewCertificate(t.Context(), &agentv1.RenewCertificateRequest{Csr: csr}); err == nil {
		t.Error("a revoked server renewed its certificate")
	}
}
