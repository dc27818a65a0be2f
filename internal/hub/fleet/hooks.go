package fleet

import (
	"context"
	"errors"
	"io"

	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/wire"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// RunHooks has the agent run its hooks of an event. Say is called with each line that one of them writes, one after
// another. It takes as long as they do. An agent that is too old to have hooks has none.
func (a *Agent) RunHooks(ctx context.Context, site model.SiteRef, h model.Hook, say func(hook, line string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.hooks.RunHooks(ctx, &agentv1.RunHooksRequest{
		Site: ref(site), Event: h.Event, Task: h.Task, Backup: h.Backup, Outcome: h.Outcome,
	})
	if err != nil {
		return a.named(ctx, err)
	}
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF), wire.Unimplemented(err):
			return nil
		case err != nil:
			return a.named(ctx, err)
		}
		say(m.GetHook(), string(m.GetLine()))
	}
}
