package agent

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/wire"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const (
	// maxMessage leaves room for the largest frame (archive.MaxDataLength) with its entries.
	maxMessage = 8 << 20
	// The master may ask every 10 s whether the connection lives; a little less is no offence.
	leastPing = 8 * time.Second
	// A connection that is silent for pingAfter is asked; without an answer within pingWait it is broken,
	// and what was staged over it is removed.
	pingAfter = 15 * time.Second
	pingWait  = 15 * time.Second
	// helloWait bounds the handshake of a connection.
	helloWait = 20 * time.Second
)

// NewServer returns a gRPC server with all services of the agent, health and reflection. The caller serves and stops it.
func (a *Agent) NewServer(creds credentials.TransportCredentials) *grpc.Server {
	s := grpc.NewServer(
		grpc.Creds(creds), grpc.ConnectionTimeout(helloWait),
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage), grpc.ForceServerCodecV2(wire.NewCodec()),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWait}),
		grpc.ChainUnaryInterceptor(wire.UnaryServerErrors(a.log), storageUnary, a.logUnary, a.roleUnary, a.hurryUnary),
		grpc.ChainStreamInterceptor(wire.StreamServerErrors(a.log), storageStream, a.logStream, a.roleStream, a.hurryStream),
		grpc.WaitForHandlers(true), // a handler that stages removes what it staged
	)
	agentv1.RegisterAgentServiceServer(s, &infoService{Agent: a})
	agentv1.RegisterTreeServiceServer(s, &treeService{Agent: a})
	agentv1.RegisterSettingsServiceServer(s, &settingsService{Agent: a})
	agentv1.RegisterVhostServiceServer(s, &vhostService{Agent: a})
	agentv1.RegisterDatabaseServiceServer(s, &databaseService{Agent: a})
	agentv1.RegisterDiscoveryServiceServer(s, &discoveryService{Agent: a})
	agentv1.RegisterHookServiceServer(s, &hookService{Agent: a})
	healthv1.RegisterHealthServer(s, health.NewServer())
	reflection.Register(s)
	return s
}

// roleNeeded returns the role that a service belongs to; empty for those of every agent.
func roleNeeded(method string) model.Role {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	switch service {
	case agentv1.TreeService_ServiceDesc.ServiceName, agentv1.SettingsService_ServiceDesc.ServiceName, agentv1.VhostService_ServiceDesc.ServiceName,
		agentv1.DiscoveryService_ServiceDesc.ServiceName, agentv1.HookService_ServiceDesc.ServiceName:
		return model.RoleWeb
	case agentv1.DatabaseService_ServiceDesc.ServiceName:
		return model.RoleDB
	}
	return ""
}

func (a *Agent) checkRole(method string) error {
	role := roleNeeded(method)
	if role == "" || a.hasRole(role) {
		return nil
	}
	return errs.New(errs.Permission, "name another server, or let it join again with: sitekeep server token "+a.opts.Name+" --role "+string(role),
		"server %s has not the role %s", a.opts.Name, role)
}

func (a *Agent) roleUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := a.checkRole(info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (a *Agent) roleStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := a.checkRole(info.FullMethod); err != nil {
		return err
	}
	return handler(srv, stream)
}

func (a *Agent) logUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	begun := a.now()
	reply, err := handler(ctx, req)
	var site string
	if r, ok := req.(interface{ GetSite() *agentv1.SiteRef }); ok {
		site = r.GetSite().GetName()
	}
	a.logCall(info.FullMethod, site, begun, err)
	return reply, err
}

func (a *Agent) logStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	begun := a.now()
	err := handler(srv, stream)
	a.logCall(info.FullMethod, "", begun, err)
	return err
}

// logCall writes what was called and what came of it, never what was sent: passwords come in messages.
func (a *Agent) logCall(method, site string, begun time.Time, err error) {
	fields := []any{"method", method, "took", a.now().Sub(begun).Round(time.Millisecond)}
	if site != "" {
		fields = append(fields, "site", site)
	}
	if err != nil {
		a.log.Warn("call failed", append(fields, "kind", errs.KindOf(err), "error", err)...)
		return
	}
	a.log.Debug("call", fields...)
}
