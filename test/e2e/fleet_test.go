//go:build integration

package e2e_test

import (
	"math/rand/v2"
	"testing"

	"github.com/sitekeep/sitekeep/test/bed"
	"github.com/sitekeep/sitekeep/test/fleet"
)

// TestAFleetIsBackedUpThoughTheMasterDies backs many sites up at once, within the queue's limits, and then again with
// the master killed in the middle of it.
func TestAFleetIsBackedUpThoughTheMasterDies(t *testing.T) {
	t.Parallel()
	b := bed.New(t)
	f := bed.Must(fleet.New(t.Context(), b.Bed, fleet.Options{Agents: 3, Sites: 18}))(t)
	if err := f.BackUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.Judge(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ran := bed.Must(f.Ran(t.Context()))(t)
	if ran.Total > 8 || ran.PerAgent > 2 || ran.PerDatabaseServer > 2 {
		t.Errorf("limits of 8, 2 and 2 tasks were exceeded: %+v", ran)
	}
	rounds := bed.Must(f.BackUpUnderKills(t.Context(), 5, rand.New(rand.NewPCG(1, 5))))(t)
	if err := f.Judge(t.Context(), 1+rounds); err != nil {
		t.Error(err)
	}
}
