package restore

import (
	"os"
	"runtime/debug"
	"testing"

	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

// TestMain has little collected: thousands of games are played, each with small garbage around large buffers.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1000)
	os.Exit(m.Run())
}

// kinds of restores that have plans, or endings, of their own.
func kindsOfRestores() map[string]quirks {
	return map[string]quirks{
		"files and database":            {},
		"files only":                    {part: FilesOnly},
		"database only":                 {part: DatabaseOnly},
		"tables":                        {part: Selected, tables: "post*"},
		"views":                         {part: Selected, tables: "view*", views: true},
		"tables and views":              {part: Selected, tables: "*o*", views: true},
		"paths":                         {part: Selected, paths: "files/*.php"},
		"paths and tables":              {part: Selected, paths: "files", tables: "users"},
		"deployed in place":             {deploy: true},
		"deployed as a new site":        {deploy: true, fresh: true},
		"deployed as a new site beside": {deploy: true, fresh: true, external: true},
		"migrated":                      {migrate: true, moved: true},
		"migrated to a database server": {migrate: true, to: toDatabase},
		"migrated to web servers":       {migrate: true, to: toWeb},
		"migrated in part":              {migrate: true, to: toPartOfDB, external: true},
		"no root, external vhost, shared database": {noRoot: true, external: true, shared: true},
	}
}

func (q quirks) fixture(t *testing.T) *fixture {
	t.Helper()
	if q.views {
		return newViewFixture(t)
	}
	return newFixture(t)
}

// TestCrashTable breaks every kind of restore at every place, in every way, and then what mends it, on two web servers
// and with a neighbour. Each time both sites must be wholly what they were or wholly what they should be, and visitors
// must never have seen anything else.
func TestCrashTable(t *testing.T) {
	for name, q := range kindsOfRestores() {
		f := q.fixture(t)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := sagatest.Config{New: f.worlds(t, q, false), Depth: 2, Budget: 150}
			switch {
			case q == (quirks{}):
				c.Depth, c.Budget = 3, 600
			case q.part == Selected, q.deploy, q.migrate:
				c.Budget = 60
			}
			r := sagatest.CrashTable(t, c)
			if r.Places < 100 {
				t.Errorf("only %d places were broken", r.Places)
			}
		})
	}
}

// TestStepsKeepTheirContract has a row for each step of each plan.
func TestStepsKeepTheirContract(t *testing.T) {
	kinds := kindsOfRestores()
	kinds["no old database"] = quirks{noData: true}
	kinds["migrated to more servers"] = quirks{migrate: true, to: toMore}
	for name, q := range kinds {
		f := q.fixture(t)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sagatest.StepSuite(t, f.worlds(t, q, true))
		})
	}
}

// TestADoThatIsRepeatedEndsTheSame looks at what the steps fill that leave the undoing to others.
func TestADoThatIsRepeatedEndsTheSame(t *testing.T) {
	for name, q := range kindsOfRestores() {
		f := q.fixture(t)
		for _, filling := range []string{"push_files", "import_dump", "push_paths", "import_tables", "write_settings", "carry_settings", "rename_settings"} {
			want, places := doStep(t, f, q, filling)
			if places == nil {
				continue // the plan has no such step
			}
			for _, place := range places {
				got, _ := doStep(t, f, q, filling, sagatest.Fault{Place: place, Mode: sagatest.Fail})
				if got != want {
					t.Fatalf("%s: %s was broken off at %s and repeated:\n%s\nwant\n%s", name, filling, place, got, want)
				}
			}
		}
	}
}

// doStep does the steps up to the named one, which it repeats if it fails, and returns the places that this one came to.
func doStep(t *testing.T, f *fixture, q quirks, name string, faults ...sagatest.Fault) (snapshot string, places []string) {
	t.Helper()
	injected := sagatest.NewFaults(faults...)
	w := f.worlds(t, q, false)(injected)
	for _, stage := range w.Plan().Stages {
		for _, step := range stage {
			memo, err := step.Prepare(t.Context())
			must(t, err)
			before := len(injected.Visits())
			err = step.Do(t.Context(), memo)
			if step.Name() != name {
				must(t, err)
				continue
			}
			for _, v := range injected.Visits()[before:] {
				places = append(places, v.Place)
			}
			if err != nil {
				must(t, step.Do(t.Context(), memo))
			}
			return w.Snapshot(), places
		}
	}
	return "", nil
}
