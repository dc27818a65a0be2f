package restore

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

// TestDryRun prints the plan of each part, and touches nothing.
func TestDryRun(t *testing.T) {
	r := newRig(t)
	unknown := "neither a restore nor a backup of the site is on record yet"
	tables := "tables [{log removed 0 1000} {posts changed 2 9} {users added 1 0}]"
	differences := map[Part]string{
		Whole:        "2 servers' files, " + tables + ", 3 rooms, " + unknown,
		FilesOnly:    "2 servers' files, tables [], 2 rooms, " + unknown,
		DatabaseOnly: "0 servers' files, " + tables + ", 1 rooms, " + unknown,
	}
	for part, want := range map[Part]string{
		Whole: "check_everything create_database push_files import_dump retire_database write_settings begin_maintenance safety_backup " +
			"exchange_trees write_vhost verify_site end_maintenance",
		FilesOnly: "check_everything push_files carry_settings begin_maintenance safety_backup exchange_trees write_vhost verify_site end_maintenance",
		DatabaseOnly: "check_everything create_database import_dump retire_database begin_maintenance safety_backup switch_settings " +
			"verify_site end_maintenance",
	} {
		g := r.newGame(quirks{part: part})
		before := g.now()
		p, err := g.master().DryRun(t.Context(), g.first(), Request{Site: siteName, Backup: g.rig.f.backup.ID, Part: part, Grace: grace})
		must(t, err)
		var names []string
		for _, s := range p.Steps {
			names = append(names, s.Name)
			if s.Description == "" || len(s.Servers) == 0 {
				t.Errorf("%+v", s)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s", part, got)
		}
		differs := fmt.Sprintf("%d servers' files, tables %v, %d rooms, %s", len(p.Files), p.Tables, len(p.Room), p.Downtime.Basis)
		if differs != differences[part] {
			t.Errorf("%s: %s", part, differs)
		}
		g.is("dry run", before)
	}
}

// TestDryRunOfTables compares the chosen tables and no others.
func TestDryRunOfTables(t *testing.T) {
	g := newRig(t).newGame(quirks{part: Selected, tables: "post*"})
	p, err := g.master().DryRun(t.Context(), g.first(), g.q.request(g.rig.f.backup.ID, grace))
	must(t, err)
	if got := fmt.Sprint(p.Tables); got != "[{posts changed 2 9}]" {
		t.Error(got)
	}
}

// TestDryRunOfABrokenSite: what cannot be compared is a warning, because such a site is what a restore is for.
func TestDryRunOfABrokenSite(t *testing.T) {
	r := newRig(t)
	for _, q := range []quirks{{noData: true}, {noRoot: true}} {
		g := r.newGame(q)
		p, err := g.master().DryRun(t.Context(), g.first(), Request{Site: siteName, Backup: g.rig.f.backup.ID, Grace: grace})
		must(t, err)
		if len(p.Files) != 2 || len(p.Tables) == 0 || q.noRoot && p.Files[1].Changed.Entries != 0 {
			t.Errorf("%+v: %+v", q, p)
		}
		g = r.newGame(q, sagatest.Fault{Place: "web1 compare tree", Mode: sagatest.Fail}, sagatest.Fault{Place: "db1 count rows", Mode: sagatest.Fail})
		p, err = g.master().DryRun(t.Context(), g.first(), Request{Site: siteName, Backup: g.rig.f.backup.ID, Grace: grace})
		must(t, err)
		if len(p.Files) != 1 || p.Tables != nil || len(p.Warnings) < 2 {
			t.Errorf("%+v: %+v", q, p)
		}
	}
}

// history is what is on record of a site.
type history []model.Task

func (h history) Tasks(context.Context, catalogue.TaskFilter) ([]model.Task, string, error) {
	return h, "", nil
}

func TestExpectedDowntime(t *testing.T) {
	r := newRig(t)
	at := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	backedUp := model.Task{Kind: model.TaskBackup, StartedAt: at, FinishedAt: at.Add(7 * time.Second)}
	restored := model.Task{Kind: model.TaskRestore, StartedAt: at, FinishedAt: at.Add(time.Minute), Result: []byte(`{"downtime":3000000000}`)}
	failed := model.Task{Kind: model.TaskRestore, Result: []byte(`{}`)}
	for name, c := range map[string]struct {
		history History
		want    time.Duration
		basis   string
	}{
		"nothing":           {history{failed}, 0, "neither a restore nor a backup"},
		"nobody remembers":  {nil, 0, "neither a restore nor a backup"},
		"a backup":          {history{failed, backedUp}, 7 * time.Second, "last backup took, 7s on 2026-11-23 04:00:07"},
		"a restore as well": {history{backedUp, restored}, 3 * time.Second, "last restore, of 2026-11-23 04:01:00"},
	} {
		g := r.newGame(quirks{})
		m := g.master()
		m.deps.History = c.history
		p, err := m.DryRun(t.Context(), g.first(), Request{Site: siteName, Backup: g.rig.f.backup.ID, Grace: grace})
		must(t, err)
		if p.Downtime.Downtime != c.want || !strings.Contains(p.Downtime.Basis, c.basis) {
			t.Errorf("%s: %+v", name, p.Downtime)
		}
	}
}

// TestDryRunOfPaths compares the chosen paths on every web server, and tells of the room for them.
func TestDryRunOfPaths(t *testing.T) {
	g := newRig(t).newGame(quirks{part: Selected, paths: "files/*.php"})
	p, err := g.master().DryRun(t.Context(), g.first(), g.q.request(g.rig.f.backup.ID, grace))
	must(t, err)
	for _, f := range p.Files {
		if fmt.Sprint(f.Added.Paths) != "[./files/a.php]" {
			t.Errorf("compared were %q", f.Added.Paths)
		}
	}
	if len(p.Files) != 2 || len(p.Room) != 2 || len(p.Tables) > 0 {
		t.Errorf("%+v", p)
	}
}

// TestDryRunOfANewSite: there is nothing to compare with and nobody to keep out, but a name and a place that must be free.
func TestDryRunOfANewSite(t *testing.T) {
	r := newRig(t)
	start := func() *game {
		g := r.newGame(quirks{deploy: true})
		must(t, r.book.DeleteSite(t.Context(), siteName))
		q := quirks{deploy: true, fresh: true}
		g.q, g.world = q, newWorld(g.faults, q)
		return g
	}
	g := start()
	before := g.Snapshot()
	p, err := g.master().DryRun(t.Context(), g.first(), g.deployment())
	must(t, err)
	var names []string
	for _, s := range p.Steps {
		names = append(names, s.Name)
	}
	want := "check_everything create_database push_files import_dump write_settings rename_settings begin_maintenance exchange_trees write_vhost verify_site end_maintenance"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("its steps: %s", got)
	}
	if len(p.Files) != 0 || len(p.Warnings) != 0 || len(p.Room) != 3 || p.Downtime.Downtime != 0 || p.Site.Name != siteName || p.Site.Docroot == "" {
		t.Errorf("%+v", p)
	}
	if after := g.Snapshot(); after != before {
		t.Errorf("it has changed something:\n%s\n%s", before, after)
	}
	if visits := fmt.Sprint(g.faults.Visits()); strings.Contains(visits, "compare tree") {
		t.Errorf("what is not there was compared: %s", visits)
	}
	g.world = newWorld(g.faults, quirks{deploy: true}) // something lies there
	if _, err := g.master().DryRun(t.Context(), g.first(), g.deployment()); !errs.Is(err, errs.Exists) {
		t.Errorf("in a place that is taken: %v", err)
	}
}
