// Package hub serves the master's public API and takes in agents. Each service
// checks who calls, translates, and asks the part that does the work; no work
// is done here.
package hub

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/sitekeep/sitekeep/internal/account"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/hub/fleet"
	"github.com/sitekeep/sitekeep/internal/intake"
	"github.com/sitekeep/sitekeep/internal/pki"
	"github.com/sitekeep/sitekeep/internal/policy"
	"github.com/sitekeep/sitekeep/internal/restore"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/internal/tasks"
	"github.com/sitekeep/sitekeep/internal/wire"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// Deps are the parts that the services ask.
type Deps struct {
	Catalogue *catalogue.Catalogue
	Store     *store.Local
	Tasks     *tasks.Manager
	Restorer  *restore.Restorer
	Importer  *intake.Importer
	Fleet     *fleet.Fleet
	Pruner    *policy.Pruner
	Accounts  *account.Book
	CA        *pki.CA
	Addresses []string // of the master, for join tokens
	Version   string
	Log       hclog.Logger
	Now       func() time.Time
	// LimitsChanged is told that clients' limits are others now. It may be nil.
	LimitsChanged func(ctx context.Context) error
}

// Hub is the API.
type Hub struct {
	Deps
	health *health.Server
	rules  map[string]rule
}

// New returns a hub over its parts.
func New(d Deps) *Hub { return &Hub{Deps: d, health: health.NewServer(), rules: rules()} }

const (
	maxMessage   = 16 << 20
	leastPing    = 5 * time.Second // clients may ask this often whether the master lives
	pingAfter    = 30 * time.Second
	pingWait     = 15 * time.Second
	chunk        = 512 << 10 // of downloads
	entriesChunk = 200
)

// Server makes the gRPC server with every service of the API, and health and reflection. The caller serves it on
// listeners of Listen and ListenLocal, which tell who calls, and stops it.
func (h *Hub) Server() *grpc.Server {
	s := grpc.NewServer(
		grpc.Creds(identified{}),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWait}),
		grpc.ChainUnaryInterceptor(wire.UnaryServerErrors(h.Log), h.unaryAccess),
		grpc.ChainStreamInterceptor(wire.StreamServerErrors(h.Log), h.streamAccess),
	)
	sitekeepv1.RegisterServerServiceServer(s, &serverService{Hub: h})
	sitekeepv1.RegisterSiteServiceServer(s, &siteService{Hub: h})
	sitekeepv1.RegisterBackupServiceServer(s, &backupService{Hub: h})
	sitekeepv1.RegisterRestoreServiceServer(s, &restoreService{Hub: h})
	sitekeepv1.RegisterTaskServiceServer(s, &taskService{Hub: h})
	sitekeepv1.RegisterScheduleServiceServer(s, &scheduleService{Hub: h})
	sitekeepv1.RegisterRetentionServiceServer(s, &retentionService{Hub: h})
	sitekeepv1.RegisterClientServiceServer(s, &clientService{Hub: h})
	sitekeepv1.RegisterInventoryServiceServer(s, &inventoryService{Hub: h})
	sitekeepv1.RegisterAccessServiceServer(s, &accessService{Hub: h})
	sitekeepv1.RegisterUserServiceServer(s, &userService{Hub: h})
	agentv1.RegisterEnrollmentServiceServer(s, &enrollmentService{Hub: h})
	healthv1.RegisterHealthServer(s, h.health)
	reflection.Register(s)
	return s
}

// Agents gives the fleet's agents as other packages want them.
type Agents[W, D any] struct {
	Fleet *fleet.Fleet
	Of    func(*fleet.Agent) (W, D)
}

// Web returns the agent of a web server.
func (a Agents[W, D]) Web(ctx context.Context, server string) (w W, err error) {
	agent, err := a.Fleet.Agent(ctx, server)
	if err == nil {
		w, _ = a.Of(agent)
	}
	return w, err
}

// DB returns the agent of a database server.
func (a Agents[W, D]) DB(ctx context.Context, server string) (d D, err error) {
	agent, err := a.Fleet.Agent(ctx, server)
	if err == nil {
		_, d = a.Of(agent)
	}
	return d, err
}

// Stopping tells health checks that no new call should come.
func (h *Hub) Stopping() { h.health.Shutdown() }
