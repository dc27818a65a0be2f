package agent

import (
	"context"
	"slices"

	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// tooBusy is the pressure (see gentle.Gate.Busy) from which a gentle backup does one thing at a time.
const tooBusy = 0.2

// turn waits until a gentle call may begin.
func (a *Agent) turn(ctx context.Context, gentle bool) error {
	if a.gate == nil || !gentle {
		return nil
	}
	return a.gate.Turn(ctx)
}

// giveWay has a backup of files go behind visitors, if it is to. Call done when it has ended.
func (a *Agent) giveWay(gentle bool, o *archive.SourceOptions) (done func()) {
	switch {
	case a.gate == nil:
		return func() {}
	case !gentle:
		return a.gate.Hurry()
	case a.gate.Busy() > tooBusy:
		o.Workers = 1
	}
	o.Pause = a.gate.Pause
	return a.gate.Begin()
}

// giveWayDumping does it for a dump. The lowest priority is the agent's own: the server reads for it at the usual one, so
// one connection reads, which needs no lock either, unless the operator has set how many do. While tables are locked, the
// dump hurries, and so it does while a client program dumps, which would have the lowest priority for good.
func (a *Agent) giveWayDumping(gentle bool, o *dbdump.DumpOptions) (done func()) {
	switch {
	case a.gate == nil:
		return func() {}
	case !gentle || o.LockTables:
		return a.gate.Hurry()
	case o.Parallel == 0:
		o.Parallel = 1
	}
	o.Pause, o.Urgent = a.gate.PauseForServer, a.gate.Hurry
	return a.gate.Begin()
}

// judgesItself are the calls that say themselves whether they give way, or take a moment.
var judgesItself = []string{
	agentv1.TreeService_ReadTree_FullMethodName, agentv1.DatabaseService_Dump_FullMethodName, agentv1.HookService_RunHooks_FullMethodName,
	agentv1.AgentService_GetInfo_FullMethodName,
}

// rank has a call go behind visitors if its caller asks for that. Others hurry, as those of restores: somebody waits for
// them.
func (a *Agent) rank(ctx context.Context, method string) (done func()) {
	switch {
	case a.gate == nil, slices.Contains(judgesItself, method):
		return func() {}
	case wire.AsksGently(ctx):
		return a.gate.Begin()
	}
	return a.gate.Hurry()
}

// hurry has the programs that the agent starts until done run at the usual priority.
func (a *Agent) hurry() (done func()) {
	if a.gate == nil {
		return func() {}
	}
	return a.gate.Hurry()
}

func (a *Agent) hurryUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	defer a.rank(ctx, info.FullMethod)()
	return handler(ctx, req)
}

func (a *Agent) hurryStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	defer a.rank(stream.Context(), info.FullMethod)()
	return handler(srv, stream)
}
