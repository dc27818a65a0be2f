package fleet_test

import (
	"testing"

	"github.com/sitekeep/sitekeep/internal/model"
)

// TestAnOlderAgentHasNoHooks: it does not know the call, and tasks go on.
func TestAnOlderAgentHasNoHooks(t *testing.T) {
	r := newRig(t)
	a, _ := r.web1(&agent{hostname: "h"})
	err := a.RunHooks(t.Context(), model.SiteRef{Name: "example.com"}, model.Hook{Event: "before-backup", Task: "T1"}, func(hook, line string) {
		t.Errorf("said %s: %s", hook, line)
	})
	if err != nil {
		t.Error(err)
	}
}
