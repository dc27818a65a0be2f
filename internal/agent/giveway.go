package agent

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"

	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// tooBusy is the pressure (see gentle.Gate.Busy) from which a gentle backup does one thing at a time.
const tooBusy = 0.2

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

// giveWayDumping does it for a dump, from its first rows on: while it begins, tables may be locked, and it hurries. So it
// does to its end if they stay locked, and with a client program, which would inherit the lowest priority for good.
func (a *Agent) giveWayDumping(gentle bool, o *dbdump.DumpOptions) (done func()) {
	if a.gate == nil {
		return func() {}
	}
	end := sync.OnceFunc(a.gate.Hurry())
	if !gentle || o.LockTables {
		return end
	}
	if o.Parallel == 0 && a.gate.Busy() > tooBusy {
		o.Parallel = 1
	}
	var begin sync.Once
	o.Pause = func(ctx context.Context) error {
		begin.Do(func() {
			hurried := end
			end = a.gate.Begin()
			hurried()
		})
		return a.gate.Pause(ctx)
	}
	return func() { end() }
}

// unhurried are the calls of which backups are made: they say themselves what they are, or take a moment.
var unhurried = []string{
	agentv1.TreeService_ReadTree_FullMethodName, agentv1.DatabaseService_Dump_FullMethodName,
	agentv1.AgentService_GetInfo_FullMethodName,
}

// hurry marks a call that somebody waits for, as for those of restores.
func (a *Agent) hurry(method string) (done func()) {
	if a.gate == nil || slices.Contains(unhurried, method) {
		return func() {}
	}
	return a.gate.Hurry()
}

func (a *Agent) hurryUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	defer a.hurry(info.FullMethod)()
	return handler(ctx, req)
}

func (a *Agent) hurryStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	defer a.hurry(info.FullMethod)()
	return handler(srv, stream)
}
