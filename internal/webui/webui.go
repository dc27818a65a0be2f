// Package webui is the pages: what people do in a browser. It is a client of
// the public API, as the commands are, under the identity of the user who is
// signed in; so what a page may show or do is decided where it is decided for
// every caller. It refuses to know how any of it is done.
package webui

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// Door lets people in and out.
type Door interface {
	// SignIn begins a session and returns its token. errs.Permission: name or password is wrong; errs.Precondition: there
	// were too many attempts.
	SignIn(ctx context.Context, name, password, address string) (token string, err error)
	// SignOut ends a session. It may be repeated.
	SignOut(ctx context.Context, token string) error
}

// Options are what the pages need.
type Options struct {
	// Conn is a connection to the API whose errors are classified.
	Conn grpc.ClientConnInterface
	// Session makes a context for calls on behalf of a session.
	Session func(ctx context.Context, token string) context.Context
	Door    Door
	Log     hclog.Logger
	Now     func() time.Time
}

//go:embed templates/*.html templates/*.tmpl static/*
var files embed.FS

// UI is the pages.
type UI struct {
	o        Options
	views    views
	assets   map[string]asset
	access   sitekeepv1.AccessServiceClient
	sites    sitekeepv1.SiteServiceClient
	backups  sitekeepv1.BackupServiceClient
	restores sitekeepv1.RestoreServiceClient
	tasks    sitekeepv1.TaskServiceClient
	servers  sitekeepv1.ServerServiceClient
	policy   sitekeepv1.RetentionServiceClient
	runs     sitekeepv1.ScheduleServiceClient
	users    sitekeepv1.UserServiceClient
	clients  sitekeepv1.ClientServiceClient
}

// New makes the pages.
func New(o Options) (*UI, error) {
	assets, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	u := &UI{
		o: o, assets: assets,
		access: sitekeepv1.NewAccessServiceClient(o.Conn), sites: sitekeepv1.NewSiteServiceClient(o.Conn),
		backups: sitekeepv1.NewBackupServiceClient(o.Conn), restores: sitekeepv1.NewRestoreServiceClient(o.Conn),
		tasks: sitekeepv1.NewTaskServiceClient(o.Conn), servers: sitekeepv1.NewServerServiceClient(o.Conn),
		policy: sitekeepv1.NewRetentionServiceClient(o.Conn), runs: sitekeepv1.NewScheduleServiceClient(o.Conn),
		users: sitekeepv1.NewUserServiceClient(o.Conn), clients: sitekeepv1.NewClientServiceClient(o.Conn),
	}
	if u.views, err = loadViews(u.assetPath, o.Now); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return u, nil
}

// Handler serves the pages. Serve it over TLS alone.
func (u *UI) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /static/{file}", u.serveAsset)
	mux.HandleFunc("GET /signin", u.signInPage)
	mux.HandleFunc("POST /signin", u.signIn)
	for _, r := range u.routes() {
		mux.HandleFunc(r.pattern, u.signedIn(r))
	}
	mux.HandleFunc("/", u.signedIn(route{handle: nowhere}))
	return guarded(mux)
}
