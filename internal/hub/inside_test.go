package hub

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/sitekeep/sitekeep/internal/account"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/wire"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// pages is a connection as the pages have it, and users who can sign in.
func (r *rig) pages(t *testing.T) *grpc.ClientConn {
	t.Helper()
	r.hub.Accounts = account.New(r.hub.Catalogue, time.Now)
	inside := NewInside()
	t.Cleanup(func() { inside.Close() })
	r.serve(t, inside)
	conn, err := grpc.NewClient("passthrough:///inside", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return inside.Dial(ctx) }),
		grpc.WithChainUnaryInterceptor(wire.UnaryClientErrors()))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (r *rig) session(t *testing.T, name string, role catalogue.APIRole, client string) context.Context {
	t.Helper()
	const password = "correct horse battery"
	must(t, r.hub.Catalogue.CreateUser(t.Context(), catalogue.User{Name: name, Password: account.Hash(password), Role: role, Client: client}))
	token, err := r.hub.Accounts.SignIn(t.Context(), name, password, "192.0.2.1")
	must(t, err)
	return metadata.AppendToOutgoingContext(t.Context(), SessionKey, token)
}

// TestASessionIsItsUser: the table decides for sessions as it does for tokens, and what changes holds with the next call.
func TestASessionIsItsUser(t *testing.T) {
	r := newRig(t)
	conn := r.pages(t)
	access := sitekeepv1.NewAccessServiceClient(conn)
	for _, role := range []catalogue.APIRole{catalogue.APIViewer, catalogue.APIOperator, catalogue.APIAdmin} {
		ctx := r.session(t, string(role), role, "")
		who, err := access.GetCaller(ctx, &sitekeepv1.GetCallerRequest{Methods: true})
		if err != nil || who.Name != "user:"+string(role) || who.Role != string(role) {
			t.Fatalf("%v, %v", who, err)
		}
		for method, rule := range rules() {
			want := rule.least <= roleNames[role] && rule.least != agent
			if got := slices.Contains(who.Methods, method); got != want {
				t.Errorf("%s is told that it may call %s: %v", role, method, got)
			}
		}
	}
	ctx := r.session(t, "ada", catalogue.APIViewer, "")
	must(t, r.hub.Catalogue.DeleteUser(t.Context(), "ada"))
	if _, err := access.GetCaller(ctx, &sitekeepv1.GetCallerRequest{}); !errs.Is(err, errs.Permission) {
		t.Errorf("a user who was removed: %v", err)
	}
}

// TestSessionsAreGoodInsideAlone: who has stolen a session's token cannot use it with the API, and a caller from inside
// without a session is nobody, not an administrator.
func TestSessionsAreGoodInsideAlone(t *testing.T) {
	r := newRig(t)
	inside := sitekeepv1.NewSiteServiceClient(r.pages(t))
	ctx := r.session(t, "root", catalogue.APIAdmin, "")
	outside := sitekeepv1.NewSiteServiceClient(r.dial(t, r.pinned(), grpc.WithChainUnaryInterceptor(wire.UnaryClientErrors())))
	if _, err := outside.ListSites(ctx, &sitekeepv1.ListSitesRequest{}); !errs.Is(err, errs.Permission) {
		t.Errorf("from outside: %v", err)
	}
	if _, err := inside.ListSites(ctx, &sitekeepv1.ListSitesRequest{}); err != nil {
		t.Errorf("from inside: %v", err)
	}
	for name, ctx := range map[string]context.Context{
		"without": t.Context(), "unknown": metadata.AppendToOutgoingContext(t.Context(), SessionKey, "guess"),
		"twice": metadata.AppendToOutgoingContext(ctx, SessionKey, "guess"),
	} {
		if _, err := inside.ListSites(ctx, &sitekeepv1.ListSitesRequest{}); !errs.Is(err, errs.Permission) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUserService(t *testing.T) {
	r := newRig(t)
	users := sitekeepv1.NewUserServiceClient(r.local(t))
	const password = "correct horse battery"
	for _, q := range []*sitekeepv1.CreateUserRequest{
		{Name: "../x", Role: "viewer", Password: password}, {Name: "ada", Role: "root", Password: password},
		{Name: "ada", Role: "admin", Client: "acme", Password: password}, {Name: "ada", Role: "viewer", Password: "short"},
	} {
		if _, err := users.CreateUser(t.Context(), q); !errs.Is(err, errs.Usage) || errs.HintOf(err) == "" {
			t.Errorf("%s %s: %v", q.Name, q.Role, err)
		}
	}
	_, err := users.CreateUser(t.Context(), &sitekeepv1.CreateUserRequest{Name: "ada", Role: "viewer", Client: "acme", Password: password})
	must(t, err)
	list, err := users.ListUsers(t.Context(), &sitekeepv1.ListUsersRequest{})
	if err != nil || len(list.Users) != 1 || list.Users[0].Client != "acme" {
		t.Errorf("%v, %v", list, err)
	}
	_, err = users.SetUserPassword(t.Context(), &sitekeepv1.SetUserPasswordRequest{Name: "ada", Password: "another horse battery"})
	must(t, err)
	stored, err := r.hub.Catalogue.User(t.Context(), "ada")
	if err != nil || !account.Matches(stored.Password, "another horse battery") {
		t.Errorf("%v", err)
	}
	_, err = users.DeleteUser(t.Context(), &sitekeepv1.DeleteUserRequest{Name: "ada"})
	must(t, err)
	if _, err := users.DeleteUser(t.Context(), &sitekeepv1.DeleteUserRequest{Name: "ada"}); !errs.Is(err, errs.NotFound) {
		t.Errorf("a second time: %v", err)
	}
}

// TestOverview: a client's users see its sites alone, also when they search; pages follow one another.
func TestOverview(t *testing.T) {
	r := newRig(t)
	sites := sitekeepv1.NewSiteServiceClient(r.pages(t))
	r.addSite(t, "a.example", "acme")
	r.addSite(t, "b.example", "other")
	r.addSite(t, "c.example", "acme")
	admin, acme := r.session(t, "root", catalogue.APIAdmin, ""), r.session(t, "ann", catalogue.APIViewer, "acme")
	for _, q := range []struct {
		ctx    context.Context
		search string
		size   int32
		offset int32
		want   string
		total  int64
	}{
		{admin, "", 0, 0, "a.example b.example c.example", 3}, {admin, "", 2, 2, "c.example", 3}, {admin, "", 1, 9, "", 3},
		{acme, "", 0, 0, "a.example c.example", 2}, {acme, "b.example", 0, 0, "", 0}, {admin, "other", 0, 0, "b.example", 1},
	} {
		got, err := sites.ListOverview(q.ctx, &sitekeepv1.ListOverviewRequest{Search: q.search, PageSize: q.size, Offset: q.offset, Trouble: "no_backup"})
		must(t, err)
		names := ""
		for i, s := range got.Sites {
			if i > 0 {
				names += " "
			}
			names += s.Name
		}
		if names != q.want || got.Total != q.total || got.Troubles["no_backup"] != q.total {
			t.Errorf("%q %d+%d: %s (%v)", q.search, q.offset, q.size, names, got.Troubles)
		}
	}
}
