package restore

import "github.com/sitekeep/sitekeep/internal/saga"

// option is a step that a plan has if it is wanted.
type option struct {
	wanted bool
	step   saga.Step
}

// stages is the table of all steps. Those of one stage run at the same time.
func (r *run) stages() [][]option {
	b := &r.basis
	if b.Part == Drill {
		return r.drillStages()
	}
	if b.Migrates() {
		return r.migrationStages()
	}
	files, database := b.WithFiles(), b.WithDatabase()
	return [][]option{
		{{true, checkEverything{run: r}}},
		{{database || b.WithTables(), createDatabase{run: r}}},
		{{files, pushFiles{run: r}}, {database, importDump{run: r}}, {b.WithPaths(), pushPaths{run: r}}, {b.WithTables(), importTables{run: r}}},
		{{database && !b.New, retireDatabase{run: r}}},
		{{files && database, writeSettings{run: r}}, {b.carries(), carrySettings{run: r}}},
		{{files && b.Moves(), renameSettings{run: r}}},
		{{true, beginMaintenance{run: r}}},
		{{!b.New, safetyBackup{run: r}}},
		{{files, exchangeTrees{run: r}}, {database && !files, switchSettings{run: r}}, {b.WithTables(), exchangeTables{run: r}}},
		{{b.WithPaths(), exchangePaths{run: r}}},
		{{files, writeVhost{run: r}}},
		{{true, verifySite{run: r}}},
		{{true, endMaintenance{run: r}}},
	}
}

// carries reports whether restored files have to be told of the live database.
func (b *Basis) carries() bool { return b.Part == FilesOnly && b.Site.DBServer != "" || b.Carry }

// plan is what this restore does.
func (r *run) plan() saga.Plan {
	p := saga.Plan{Name: "restore", Version: planVersion, Grace: r.basis.Grace, Rehearsal: r.basis.Part == Drill}
	for _, options := range r.stages() {
		var steps []saga.Step
		for _, o := range options {
			if o.wanted {
				steps = append(steps, o.step)
			}
		}
		if len(steps) > 0 {
			p.Stages = append(p.Stages, steps)
		}
	}
	return p
}
