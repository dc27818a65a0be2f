package restore

import (
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/backup/backuptest"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

// TestViewsAreReplaced: one that is there, and one that is new, without a table.
func TestViewsAreReplaced(t *testing.T) {
	f, q := newViewFixture(t), quirks{part: Selected, tables: "view*", views: true}
	w := f.worlds(t, q, false)(sagatest.NewFaults()).(*sagaWorld)
	before := w.Snapshot()
	for _, stage := range w.Plan().Stages {
		for _, step := range stage {
			m, err := step.Prepare(t.Context())
			must(t, err)
			must(t, step.Do(t.Context(), m))
			if step.Name() != (exchangeTables{}).Name() {
				continue
			}
			now := w.Snapshot()
			for _, want := range []string{"view view_old of " + oldDB + ": `view_old` AS SELECT x FROM posts", "view view_new of " + oldDB + ": `view_new` AS SELECT x FROM users",
				"database " + oldDB + ": old " + siteName} {
				if !strings.Contains(now, want) {
					t.Errorf("%q is missing in\n%s", want, now)
				}
			}
			by := strings.Join(exchangeTables{&run{basis: w.basis}}.Manual(m), "\n")
			if !strings.Contains(by, "DEFINER='somebody'@'here' VIEW `view_old` AS SELECT 'as it was';") || !strings.Contains(by, "DROP VIEW IF EXISTS `view_new`;") {
				t.Errorf("by hand:\n%s", by)
			}
		}
	}
	if w.Snapshot() == before {
		t.Error("nothing has changed")
	}
}

// TestDryRunShowsViews in its plan and among the differences.
func TestDryRunShowsViews(t *testing.T) {
	f, q := newViewFixture(t), quirks{part: Selected, tables: "view*", views: true}
	p, err := f.restorer(newWorld(sagatest.NewFaults(), q)).DryRun(t.Context(), newTask, q.request(f.backup.ID, 0))
	must(t, err)
	var said []string
	for _, s := range p.Steps {
		said = append(said, s.Name+": "+s.Description+" | "+s.Undo)
	}
	if text := strings.Join(said, "\n"); !strings.Contains(text, "exchange_tables: replace the definitions of the views view_old, view_new in "+oldDB) ||
		!strings.Contains(text, "bring the old definitions of the views back") {
		t.Errorf("the plan is\n%s", text)
	}
	if len(p.Tables) != 2 || p.Tables[0].Name != "view_new" || p.Tables[0].Change != TableAdded {
		t.Errorf("differences %+v", p.Tables)
	}
}

// TestWhatCannotBeReplaced is refused with what to do.
func TestWhatCannotBeReplaced(t *testing.T) {
	view := &model.ViewDefinition{}
	for says, c := range map[string]struct {
		check func(*model.TableDetail) error
		found model.TableDetail
	}{
		"":                               {checkLiveView, model.TableDetail{Kind: "view", View: view}},
		"could not be brought back":      {checkLiveView, model.TableDetail{Kind: "view", View: view, Broken: "x"}},
		"too old":                        {checkLiveView, model.TableDetail{Kind: "view"}},
		"a table in the live database":   {checkLiveView, model.TableDetail{Kind: "table"}},
		"a view in the live database":    {checkLiveTable, model.TableDetail{Kind: "view", View: view}},
		"a sequence in the live databas": {checkLiveView, model.TableDetail{Kind: "sequence"}},
	} {
		err := c.check(&c.found)
		if says == "" && err == nil {
			continue
		}
		if !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", says, err)
		}
	}
}

// TestTablesWithoutRowsStay: an empty table never comes in place of a full one by a glob; by its name it is refused.
func TestTablesWithoutRowsStay(t *testing.T) {
	bare := func(s *model.Site) { s.StructureOnly = []string{"post_cache"} }
	f := newFixtureOf(t, []backuptest.Table{{Name: "posts", Rows: []string{"a", "b"}}, {Name: "post_cache", Rows: []string{"c"}}}, bare)
	q := quirks{part: Selected, tables: "post*"}
	r := f.restorer(newWorld(sagatest.NewFaults(), q))
	b, err := r.Plan(t.Context(), newTask, q.request(f.backup.ID, 0))
	must(t, err)
	if strings.Join(b.Tables, " ") != "posts" || strings.Join(b.Bare, " ") != "post_cache" {
		t.Errorf("tables %q, left alone %q", b.Tables, b.Bare)
	}
	p, err := r.DryRun(t.Context(), newTask, q.request(f.backup.ID, 0))
	must(t, err)
	if !strings.Contains(strings.Join(p.Warnings, "\n"), "the table post_cache stays as it is") {
		t.Errorf("warnings %q", p.Warnings)
	}
	for _, name := range []string{"post_cache", "post_*"} {
		q.tables = name
		if _, err := r.Plan(t.Context(), newTask, q.request(f.backup.ID, 0)); !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if err := r.CheckSelection(t.Context(), &f.backup, nil, []string{name}); !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
			t.Errorf("%s, before there is a task: %v", name, err)
		}
	}
	must(t, r.CheckSelection(t.Context(), &f.backup, nil, []string{"post*"}))
}
