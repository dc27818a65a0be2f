package backup_test

import (
	"testing"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// Visitors go before backups, but not while they wait for one: in maintenance, and before a restore.
func TestWhoGivesWay(t *testing.T) {
	for name, row := range map[string]struct {
		make   func(t *testing.T, r *rig)
		gentle bool
	}{
		"a backup":                {func(_ *testing.T, r *rig) { backedUp(r, false) }, true},
		"a backup in maintenance": {func(_ *testing.T, r *rig) { backedUp(r, true) }, false},
		"a safety backup": {func(t *testing.T, r *rig) {
			l := &backup.Library{Shelf: r.book, Store: r.shelf, Maker: r.maker}
			_, err := l.Safety(t.Context(), &r.site, "T1", "before", r.log)
			r.must(err)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			row.make(t, r)
			asked, dumps := r.agents.Asked(), r.agents.AskedDumps()
			if len(asked) != 1 || asked[0].Gentle != row.gentle || len(dumps) != 1 || dumps[0].Gentle != row.gentle {
				t.Errorf("files %+v, dumps %+v", asked, dumps)
			}
		})
	}
}

func backedUp(r *rig, quiesce bool) {
	r.task(tasks.SubmitRequest{Kind: model.TaskBackup, Site: r.site.Name, Spec: backup.Spec{Format: store.TarZst, Quiesce: quiesce}})
}
