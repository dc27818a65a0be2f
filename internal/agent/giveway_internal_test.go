package agent

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/sitekeep/sitekeep/internal/agent/gentle"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/wire"
	"github.com/sitekeep/sitekeep/pkg/archive"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// levels are the priorities that an agent takes, true for the lowest.
type levels []bool

func (l *levels) take(lowest bool) { *l = append(*l, lowest) }

func (l *levels) want(t *testing.T, want ...bool) {
	t.Helper()
	if !slices.Equal(*l, want) {
		t.Errorf("priorities %v, want %v", *l, want)
	}
}

// A dump gives way from its beginning to its end, but for what others would have to wait for, or would not come back from
// the lowest priority.
func TestADumpGivesWay(t *testing.T) {
	var seen levels
	a := &Agent{gate: gentle.New(nil, seen.take)}
	var o dbdump.DumpOptions
	done := a.giveWayDumping(true, &o)
	seen.want(t, true)
	unlocked := o.Urgent()
	seen.want(t, true, false)
	unlocked()
	seen.want(t, true, false, true)
	for range 3 {
		if err := o.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	seen.want(t, true, false, true)
	done()
	seen.want(t, true, false, true) // for a moment more, see gentle.Gate
}

// What holds a site up hurries to its end.
func TestADumpThatHoldsUpHurries(t *testing.T) {
	for name, row := range map[string]struct {
		gentle bool
		o      dbdump.DumpOptions
	}{
		"not asked to be gentle": {false, dbdump.DumpOptions{}},
		"tables stay locked":     {true, dbdump.DumpOptions{LockTables: true}},
	} {
		var seen levels
		a := &Agent{gate: gentle.New(nil, seen.take)}
		other := a.gate.Begin()
		done := a.giveWayDumping(row.gentle, &row.o)
		if row.o.Pause != nil {
			t.Errorf("%s: it pauses", name)
		}
		seen.want(t, true, false)
		done()
		seen.want(t, true, false, true)
		other()
	}
}

// On a busy machine a backup reads one file at a time, and on any a dump reads over one connection: the database server
// has no lower priority for it. A setting of the operator's stands.
func TestABusyMachineGetsOneThingAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		a := &Agent{gate: gentle.New(func() (time.Duration, bool) { return time.Since(began), true }, nil)}
		look := func() (files archive.SourceOptions, one, set dbdump.DumpOptions) {
			set.Parallel = 3
			for _, done := range []func(){a.giveWay(true, &files), a.giveWayDumping(true, &one), a.giveWayDumping(true, &set)} {
				done()
			}
			return files, one, set
		}
		if files, one, set := look(); files.Workers != 0 || one.Parallel != 1 || set.Parallel != 3 {
			t.Errorf("on a quiet machine: %d workers, %d and %d connections", files.Workers, one.Parallel, set.Parallel)
		}
		done := a.gate.Begin()
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			if err := a.gate.Pause(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		done()
		if files, one, set := look(); files.Workers != 1 || one.Parallel != 1 || set.Parallel != 3 {
			t.Errorf("on a busy machine: %d workers, %d and %d connections", files.Workers, one.Parallel, set.Parallel)
		}
	})
}

// An agent whose configuration has it so gives no way.
func TestAnAgentWithoutAGateGivesNoWay(t *testing.T) {
	a := &Agent{}
	var files archive.SourceOptions
	var o dbdump.DumpOptions
	a.giveWay(true, &files)()
	a.giveWayDumping(true, &o)()
	a.rank(t.Context(), "/any")()
	a.hurry()()
	if files.Pause != nil || o.Pause != nil {
		t.Error("it pauses")
	}
}

// What a backup asks beside its streams gives way as they do; what anybody else asks hurries.
func TestCallsGiveWayWhenAsked(t *testing.T) {
	for name, row := range map[string]struct {
		ctx    context.Context
		method string
		lowest bool
	}{
		"a gentle backup's call": {called(t, model.GiveWay(t.Context())), agentv1.VhostService_ProbeSite_FullMethodName, true},
		"a restore's":            {called(t, t.Context()), agentv1.VhostService_ProbeSite_FullMethodName, false},
		"who the agent is":       {called(t, t.Context()), agentv1.AgentService_GetInfo_FullMethodName, true},
		"one that judges itself": {called(t, t.Context()), agentv1.TreeService_ReadTree_FullMethodName, true},
	} {
		var seen levels
		a := &Agent{gate: gentle.New(nil, seen.take)}
		other := a.gate.Begin()
		done := a.rank(row.ctx, row.method)
		if lowest := seen[len(seen)-1]; lowest != row.lowest {
			t.Errorf("%s: the lowest priority is %t, want %t", name, lowest, row.lowest)
		}
		done()
		other()
	}
}

// called is the context in which a server sees a call made under ctx.
func called(t *testing.T, ctx context.Context) (seen context.Context) {
	t.Helper()
	err := wire.UnaryClientGentle(ctx, "/any", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		sent, _ := metadata.FromOutgoingContext(ctx)
		seen = metadata.NewIncomingContext(t.Context(), sent)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}
