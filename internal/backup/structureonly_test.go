package backup_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/sitekeep/sitekeep/internal/backup/backuptest"
	"github.com/sitekeep/sitekeep/internal/model"
)

// Rows that the site makes again stay out, and the manifest says so; rows whose patterns nobody could find out do not.
func TestTablesWithoutRows(t *testing.T) {
	settings := &model.DatabaseSettings{RebuiltTables: []string{"d_cache_*"}}
	for name, c := range map[string]struct {
		site     func(*model.Site)
		settings *model.DatabaseSettings
		err      error
		bare     []string
	}{
		"by its kind":            {func(*model.Site) {}, settings, nil, []string{"d_cache_page"}},
		"more by its record":     {func(s *model.Site) { s.StructureOnly = []string{"d_sess*"} }, settings, nil, []string{"d_cache_page", "d_sessions"}},
		"all rows":               {func(s *model.Site) { s.AllRows = true }, settings, nil, nil},
		"a kind that knows none": {func(*model.Site) {}, &model.DatabaseSettings{}, nil, nil},
		"no settings":            {func(s *model.Site) { s.StructureOnly = []string{"d_sessions"} }, nil, nil, []string{"d_sessions"}},
		"unreadable settings":    {func(s *model.Site) { s.StructureOnly = []string{"d_sessions"} }, nil, errors.New("broken"), []string{"d_sessions"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.agents.Settings, r.agents.SettingsErr = c.settings, c.err
			r.agents.Tables = []backuptest.Table{
				{Name: "cache_page", Rows: []string{"a"}}, {Name: "d_cache_page", Rows: []string{"a", "b"}}, {Name: "d_sessions", Rows: []string{"c"}},
			}
			q := r.request()
			c.site(&q.Site)
			b, err := r.maker.Make(t.Context(), q, r.log)
			r.must(err)
			for _, table := range r.open(b.ID).Manifest().GetDump().GetTables() {
				bare := slices.Contains(c.bare, table.GetName())
				if table.GetStructureOnly() != bare || (table.GetRows() == 0) != bare {
					t.Errorf("%v", table)
				}
			}
		})
	}
}
