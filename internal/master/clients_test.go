package master

import (
	"slices"
	"testing"

	"github.com/sitekeep/sitekeep/internal/model"
)

// TestClientsLimits: a limit holds as soon as it is recorded, and for the tasks of that client's sites alone.
func TestClientsLimits(t *testing.T) {
	m := withSite(t)
	ctx := t.Context()
	keys := m.agentsOf(ctx, model.Task{Site: "a.example"})
	if !slices.Equal(keys, []string{"web1", "client:acme"}) {
		t.Fatalf("the task loads %q", keys)
	}
	if n := m.perAgent("client:acme"); n != 0 {
		t.Errorf("without a limit: %d", n)
	}
	_, err := m.catalogue.ChangeClient(ctx, "acme", func(c *model.Client) error { c.MaxTasks = 3; return nil })
	must(t, err)
	must(t, m.hub.LimitsChanged(ctx))
	if n, server := m.perAgent("client:acme"), m.perAgent("acme"); n != 3 || server != m.config.Limits.PerAgent {
		t.Errorf("%d for the client, %d for a server of its name", n, server)
	}
}
