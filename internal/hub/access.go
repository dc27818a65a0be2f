package hub

import (
	"context"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/pki"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
	sitekeepv1 "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// role is what a caller may do; a higher one may do all that a lower one may.
type role int

const (
	anyone   role = iota // no identity is needed
	agent                // with the certificate of an agent
	viewer               // looks
	operator             // backs up, restores, reads what is in backups
	admin                // adds and removes servers, sites and tokens
)

var roleNames = map[catalogue.APIRole]role{catalogue.APIViewer: viewer, catalogue.APIOperator: operator, catalogue.APIAdmin: admin}

// rule is who may call a method, and whether it changes something and so goes into the audit log.
type rule struct {
	least   role
	changes bool
}

// rules has every method of the API. What is not here nobody may call.
func rules() map[string]rule {
	look := func(names ...string) map[string]rule { return all(rule{viewer, false}, names) }
	read := func(names ...string) map[string]rule { return all(rule{operator, false}, names) }
	work := func(names ...string) map[string]rule { return all(rule{operator, true}, names) }
	govern := func(names ...string) map[string]rule { return all(rule{admin, true}, names) }
	return merge(
		look(sitekeepv1.ServerService_ListServers_FullMethodName, sitekeepv1.ServerService_GetServer_FullMethodName,
			sitekeepv1.ServerService_CheckServer_FullMethodName,
			sitekeepv1.SiteService_ListOverview_FullMethodName,
			sitekeepv1.SiteService_ListSites_FullMethodName, sitekeepv1.SiteService_GetSite_FullMethodName,
			sitekeepv1.BackupService_ListBackups_FullMethodName, sitekeepv1.BackupService_GetBackup_FullMethodName,
			sitekeepv1.BackupService_ListTables_FullMethodName, sitekeepv1.BackupService_DiffBackups_FullMethodName,
			sitekeepv1.BackupService_ListEntries_FullMethodName, sitekeepv1.RestoreService_PlanRestore_FullMethodName,
			sitekeepv1.TaskService_ListTasks_FullMethodName, sitekeepv1.TaskService_GetTask_FullMethodName,
			sitekeepv1.ScheduleService_ListSchedules_FullMethodName, sitekeepv1.RetentionService_ListRetentions_FullMethodName,
			sitekeepv1.RetentionService_PlanPrune_FullMethodName,
			sitekeepv1.ClientService_ListClients_FullMethodName, sitekeepv1.ClientService_GetClient_FullMethodName,
			sitekeepv1.TaskService_WatchTask_FullMethodName, sitekeepv1.TaskService_WatchTasks_FullMethodName, sitekeepv1.AccessService_GetCaller_FullMethodName),
		read(sitekeepv1.BackupService_ReadEntry_FullMethodName, sitekeepv1.BackupService_ReadTables_FullMethodName,
			sitekeepv1.BackupService_DownloadBackup_FullMethodName),
		work(sitekeepv1.SiteService_VerifySite_FullMethodName, sitekeepv1.SiteService_DisableSite_FullMethodName,
			sitekeepv1.SiteService_EnableSite_FullMethodName, sitekeepv1.BackupService_CreateBackup_FullMethodName,
			sitekeepv1.BackupService_CreateBackups_FullMethodName,
			sitekeepv1.BackupService_PinBackup_FullMethodName, sitekeepv1.BackupService_DeleteBackup_FullMethodName,
			sitekeepv1.BackupService_CheckBackups_FullMethodName, sitekeepv1.RestoreService_RestoreSite_FullMethodName,
			sitekeepv1.RestoreService_UndoRestore_FullMethodName, sitekeepv1.RestoreService_DrillSites_FullMethodName, sitekeepv1.TaskService_CancelTask_FullMethodName,
			sitekeepv1.TaskService_RetryTask_FullMethodName),
		govern(sitekeepv1.ServerService_CreateJoinToken_FullMethodName, sitekeepv1.ServerService_RevokeServer_FullMethodName,
			sitekeepv1.ScheduleService_SetSchedule_FullMethodName, sitekeepv1.ScheduleService_DeleteSchedule_FullMethodName,
			sitekeepv1.RetentionService_SetRetention_FullMethodName, sitekeepv1.RetentionService_DeleteRetention_FullMethodName,
			sitekeepv1.RetentionService_Prune_FullMethodName,
			sitekeepv1.SiteService_CreateSite_FullMethodName, sitekeepv1.SiteService_DeleteSite_FullMethodName,
			sitekeepv1.SiteService_UpdateSite_FullMethodName, sitekeepv1.BackupService_ImportBackup_FullMethodName,
			sitekeepv1.RestoreService_DeployBackup_FullMethodName, sitekeepv1.RestoreService_CloneSite_FullMethodName,
			sitekeepv1.RestoreService_MigrateSite_FullMethodName,
			sitekeepv1.ClientService_SetClient_FullMethodName, sitekeepv1.ClientService_DeleteClient_FullMethodName,
			sitekeepv1.InventoryService_Apply_FullMethodName,
			sitekeepv1.AccessService_CreateApiToken_FullMethodName, sitekeepv1.AccessService_RevokeApiToken_FullMethodName,
			sitekeepv1.UserService_CreateUser_FullMethodName, sitekeepv1.UserService_SetUserPassword_FullMethodName,
			sitekeepv1.UserService_DeleteUser_FullMethodName),
		all(ruleOf(admin), []string{sitekeepv1.SiteService_DiscoverSites_FullMethodName,
			sitekeepv1.AccessService_ListApiTokens_FullMethodName, sitekeepv1.InventoryService_Export_FullMethodName,
			sitekeepv1.UserService_ListUsers_FullMethodName}),
		all(ruleOf(anyone), []string{agentv1.EnrollmentService_Enroll_FullMethodName,
			"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List"}),
		all(ruleOf(viewer), []string{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
			"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}),
		all(ruleOf(agent), []string{agentv1.EnrollmentService_RenewCertificate_FullMethodName}),
	)
}

func ruleOf(least role) rule { return rule{least: least} }

func all(r rule, names []string) map[string]rule {
	out := map[string]rule{}
	for _, n := range names {
		out[n] = r
	}
	return out
}

func merge(tables ...map[string]rule) map[string]rule {
	out := map[string]rule{}
	for _, t := range tables {
		for n, r := range t {
			out[n] = r
		}
	}
	return out
}

// caller is who calls.
type caller struct {
	name   string
	role   role
	client string // sees only this client's sites; empty for all
	agent  pki.Peer
}

type callerKey struct{}

// callerFrom returns who calls; the interceptors have put it there.
func callerFrom(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

func (c caller) roleName() string {
	for name, r := range roleNames {
		if r == c.role {
			return string(name)
		}
	}
	return ""
}

// identify finds out who calls.
func (h *Hub) identify(ctx context.Context) (caller, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return caller{}, errs.New(errs.Permission, "", "the connection has no peer")
	}
	switch info := p.AuthInfo.(type) {
	case localInfo:
		if info.uid != 0 && int(info.uid) != os.Geteuid() {
			return caller{}, errs.New(errs.Permission, "run the command as the user of the master, or with an API token", "user %d may not use the master's socket", info.uid)
		}
		return caller{name: fmt.Sprintf("uid:%d", info.uid), role: admin}, nil
	case insideInfo:
		return h.identifySession(ctx)
	case credentials.TLSInfo:
		return h.identifyRemote(ctx, info)
	}
	return caller{}, errs.New(errs.Permission, "", "the connection has no identity")
}

func (h *Hub) identifyRemote(ctx context.Context, info credentials.TLSInfo) (caller, error) {
	if who, err := pki.PeerOf(info.State); err == nil && who.Role == pki.RoleAgent {
		return caller{name: "agent:" + who.Name, role: agent, agent: who}, nil
	}
	text, ok := bearer(ctx)
	if !ok {
		return caller{role: anyone}, nil
	}
	token, err := pki.ParseAPIToken(text)
	if err != nil {
		return caller{}, errs.New(errs.Permission, "check SITEKEEP_TOKEN; an admin makes tokens with: sitekeep token create", "API token: %w", err)
	}
	hash := token.Hash()
	known, err := h.Catalogue.APITokenByHash(ctx, hash[:])
	if err != nil {
		return caller{}, err
	}
	return caller{name: known.Name, role: roleNames[known.Role], client: known.Client}, nil
}

func bearer(ctx context.Context) (string, bool) {
	md, _ := metadata.FromIncomingContext(ctx)
	values := md.Get("authorization")
	if len(values) != 1 {
		return "", false
	}
	return strings.CutPrefix(values[0], "Bearer ")
}

// admit lets a call through, or says why not.
func (h *Hub) admit(ctx context.Context, method string) (context.Context, caller, rule, error) {
	who, err := h.identify(ctx)
	if err != nil {
		return ctx, who, rule{}, err
	}
	r, known := h.rules[method]
	if !known || !who.may(r) {
		return ctx, who, r, errs.New(errs.Permission, "ask an admin for a token with a higher role", "%s may not call %s", who.label(), method)
	}
	return context.WithValue(ctx, callerKey{}, who), who, r, nil
}

// may: an agent's certificate opens the agents' door alone.
func (c caller) may(r rule) bool {
	if c.role == agent || r.least == agent {
		return r.least == c.role || r.least == anyone
	}
	return c.role >= r.least
}

func (c caller) label() string {
	if c.name == "" {
		return "a caller without a token"
	}
	return c.name
}

func (h *Hub) unaryAccess(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	ctx, who, r, err := h.admit(ctx, info.FullMethod)
	if err != nil {
		h.audit(ctx, who, info.FullMethod, req, err)
		return nil, err
	}
	reply, err := next(ctx, req)
	if r.changes {
		h.audit(ctx, who, info.FullMethod, req, err)
	}
	return reply, err
}

func (h *Hub) streamAccess(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, who, r, err := h.admit(stream.Context(), info.FullMethod)
	if err != nil {
		h.audit(ctx, who, info.FullMethod, nil, err)
		return err
	}
	admitted := &admittedStream{ServerStream: stream, ctx: ctx}
	err = next(srv, admitted)
	if r.changes {
		h.audit(ctx, who, info.FullMethod, admitted.first, err)
	}
	return err
}

type admittedStream struct {
	grpc.ServerStream
	ctx   context.Context
	first any // message that came
}

// RecvMsg keeps the first message, which names what a stream is about.
func (s *admittedStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	if err == nil && s.first == nil {
		s.first = m
	}
	return err
}

// Context returns the one that knows the caller.
func (s *admittedStream) Context() context.Context { return s.ctx }

// audit notes a change, or a refusal. It holds nothing up: without it the call has still happened.
func (h *Hub) audit(ctx context.Context, who caller, method string, req any, err error) {
	entry := catalogue.AuditEntry{Time: h.Now(), Who: who.label(), Role: who.roleName(), Method: method, Subject: subject(req), Outcome: "ok"}
	if err != nil {
		entry.Outcome = errs.KindOf(err).String()
	}
	if err := h.Catalogue.AddAudit(context.WithoutCancel(ctx), entry); err != nil {
		h.Log.Error("audit log", "method", method, "error", err)
	}
}

// subject is the thing that a request names.
func subject(req any) string {
	switch q := req.(type) {
	case *sitekeepv1.CreateBackupsRequest:
		return scopeText(q)
	case *sitekeepv1.DrillSitesRequest:
		return scopeText(&sitekeepv1.CreateBackupsRequest{All: q.All, Client: q.Client, Names: q.Names})
	case *sitekeepv1.ApplyRequest:
		return applyText(q)
	case *sitekeepv1.ImportBackupRequest:
		return q.GetHeader().GetSite()
	case interface{ GetSite() string }:
		return q.GetSite()
	case interface{ GetName() string }:
		return q.GetName()
	case interface{ GetId() string }:
		return q.GetId()
	case interface{ GetSite() *sitekeepv1.Site }:
		return q.GetSite().GetName()
	case interface{ GetSchedule() *sitekeepv1.Schedule }:
		return q.GetSchedule().GetName()
	case interface{ GetRetention() *sitekeepv1.Retention }:
		return q.GetRetention().GetClient() + q.GetRetention().GetSite()
	}
	return ""
}
