package saga_test

import (
	"testing"

	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

func TestCrashTable(t *testing.T) {
	r := sagatest.CrashTable(t, sagatest.Config{New: newRestoreWorld})
	if r.Places < 100 {
		t.Errorf("only %d places were broken", r.Places)
	}
}

func TestCrashTableWithStepsSideBySide(t *testing.T) {
	sagatest.CrashTable(t, sagatest.Config{New: newRestoreWorld, Parallel: 4, Depth: 2, Budget: 500})
}

func TestCrashTableFindsMistakes(t *testing.T) {
	for _, m := range saga.Mutations() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			r := sagatest.Check(sagatest.Config{New: newRestoreWorld, Engine: saga.NewMutant(m), Depth: 2, Budget: 500, StopAfter: 1})
			if len(r.Violations) == 0 {
				t.Fatalf("%d games and nobody noticed", r.Total())
			}
			t.Logf("found %d times, first: %s", len(r.Violations), r.Violations[0])
		})
	}
}

func TestStepsKeepTheirContract(t *testing.T) {
	sagatest.StepSuite(t, newRestoreWorld)
}
