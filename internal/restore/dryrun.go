package restore

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/sitekeep/sitekeep/internal/bytesize"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
)

// Preview is what a restore would do.
type Preview struct {
	Backup string
	Site   model.Site // as it will be
	// NewDatabase is the one that is made, with a user of its name; empty: none. Its last letters are random.
	NewDatabase string
	Steps       []PreviewStep
	Warnings    []string
	Room        []Room
	Files       []FileDifferences // by web server
	Tables      []TableDifference
	Downtime    Estimate
}

// PreviewStep is one step of it.
type PreviewStep struct {
	Name        string
	Servers     []string
	Description string
	Undo        string // how it is undone; empty if there is nothing to undo
	Downtime    bool   // the site is in maintenance meanwhile
}

// described is a step that can say what it does.
type described interface {
	saga.Step
	Describe() PreviewStep
}

// DryRun makes the very plan that Restore would run, runs its first step, which
// looks and changes nothing, and says what the others would do.
func (r *Restorer) DryRun(ctx context.Context, task string, q Request) (*Preview, error) {
	basis, err := r.Plan(ctx, task, q)
	if err != nil {
		return nil, err
	}
	notes := &notebook{}
	w, err := r.newRun(task, *basis, notes)
	if err != nil {
		return nil, err
	}
	if err := (checkEverything{w}).Do(ctx, nil); err != nil {
		return nil, err
	}
	out := &Preview{Backup: basis.Backup, Site: basis.Site}
	if basis.WithDatabase() || basis.WithTables() {
		out.NewDatabase = basis.NewDatabase
	}
	if err := w.compare(ctx, out); err != nil {
		return nil, err
	}
	if out.Downtime, err = r.estimate(ctx, w); err != nil {
		return nil, err
	}
	out.Warnings = notes.warnings
	for _, stage := range w.plan().Stages {
		for _, step := range stage {
			p := step.(described).Describe()
			p.Name = step.Name()
			out.Steps = append(out.Steps, p)
		}
	}
	return out, nil
}

// notebook is the log of a restore that does not happen.
type notebook struct {
	mu       sync.Mutex // web servers are looked at side by side
	warnings []string
}

// Log keeps nothing.
func (*notebook) Log(model.Level, string, ...any) {}

// Warn keeps the warning.
func (n *notebook) Warn(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.warnings = append(n.warnings, fmt.Sprintf(format, args...))
}

// Progress keeps nothing.
func (*notebook) Progress(string, int64, int64, int64) {}

func (r *run) onWeb(downtime bool, undo, format string, args ...any) PreviewStep {
	return PreviewStep{Servers: r.basis.Site.WebServers, Description: fmt.Sprintf(format, args...), Undo: undo, Downtime: downtime}
}

func (r *run) onDB(undo, format string, args ...any) PreviewStep {
	return PreviewStep{Servers: []string{r.basis.Site.DBServer}, Description: fmt.Sprintf(format, args...), Undo: undo}
}

// Describe says what the step does.
func (s checkEverything) Describe() PreviewStep {
	p := s.onWeb(false, "", "see that agents, room, versions and the backup are as the restore needs them")
	if s.basis.WithDatabase() || s.basis.WithTables() {
		p.Servers = append(p.Servers[:len(p.Servers):len(p.Servers)], s.basis.Site.DBServer)
	}
	return p
}

// Describe says what the step does.
func (s createDatabase) Describe() PreviewStep {
	return s.onDB("drop them", "make the database %s and a user of that name with a new password", s.basis.NewDatabase)
}

// Describe says what the step does.
func (s pushFiles) Describe() PreviewStep {
	return s.onWeb(false, "remove the staging directory", "write %d entries, %s, beside %s, in %s",
		s.basis.Entries, bytesize.Text(int64(s.basis.TreeBytes)), s.basis.Site.Root, s.stagingDir())
}

// Describe says what the step does.
func (s importDump) Describe() PreviewStep {
	return s.onDB("drop the new database", "import %s of SQL and compare tables and rows with the backup", bytesize.Text(int64(s.basis.DumpBytes)))
}

// Describe says what the step does.
func (s retireDatabase) Describe() PreviewStep {
	when := "at once after the commit"
	if s.basis.Grace > 0 {
		when = fmt.Sprintf("%s after the commit", s.basis.Grace)
	}
	old := s.basis.before()
	return PreviewStep{Servers: []string{old.DBServer},
		Description: fmt.Sprintf("find out whether the old database %q is this site's alone; drop it with its user %s", old.Database.Name, when)}
}

// Describe says what the step does.
func (s writeSettings) Describe() PreviewStep {
	return s.onWeb(false, "remove the staging directory", "write the new credentials into the staged settings; every other byte stays")
}

// Describe says what the step does.
func (s carrySettings) Describe() PreviewStep {
	return s.onWeb(false, "remove the staging directory", "write the credentials of the live settings into the staged ones; every other byte stays")
}

// Describe says what the step does.
func (s switchSettings) Describe() PreviewStep {
	return s.onWeb(true, "bring back the old settings file, reload PHP", "write the new credentials into the live settings, keep the old file, reload web server and PHP")
}

// Describe says what the step does.
func (s beginMaintenance) Describe() PreviewStep {
	return s.onWeb(true, "let visitors in", "answer 503 with Retry-After to visitors")
}

// Describe says what the step does.
func (s safetyBackup) Describe() PreviewStep {
	p := s.onWeb(true, "", "back the site up as it is now: %q", safetyDescription)
	if s.basis.Site.DBServer != "" {
		p.Servers = append(p.Servers[:len(p.Servers):len(p.Servers)], s.basis.Site.DBServer)
	}
	return p
}

// Describe says what the step does.
func (s exchangeTrees) Describe() PreviewStep {
	return s.onWeb(true, "exchange them back", "exchange %s and the staged directory, atomically", s.basis.Site.Root)
}

// Describe says what the step does.
func (s writeVhost) Describe() PreviewStep {
	if s.external() {
		return s.onWeb(true, "", "reload web server and PHP; the vhost is the operator's")
	}
	return s.onWeb(true, "bring back the old vhost and reload", "write the vhost of %s, test the configuration, reload web server and PHP",
		strings.Join(append([]string{s.basis.Site.Name}, s.basis.Site.Aliases...), ", "))
}

// Describe says what the step does.
func (s verifySite) Describe() PreviewStep {
	return s.onWeb(true, "", "ask each web server for the page, and the database with the new credentials")
}

// Describe says what the step does.
func (s endMaintenance) Describe() PreviewStep {
	return s.onWeb(false, "answer 503 again while the rest is undone", "let visitors in")
}

// Describe says what the step does.
func (s importTables) Describe() PreviewStep {
	if len(s.basis.Tables) == 0 {
		return s.onDB("drop the new database", "import nothing: views have no rows")
	}
	return s.onDB("drop the new database", "import the tables %s, %s of SQL, and compare rows with the backup",
		strings.Join(s.basis.Tables, ", "), bytesize.Text(int64(s.basis.DumpBytes)))
}

// Describe says what the step does.
func (s exchangeTables) Describe() PreviewStep {
	var what []string
	undo := "exchange them back"
	if len(s.basis.Tables) > 0 {
		what = append(what, fmt.Sprintf("exchange the tables of %s with the restored ones, all by one statement; keep the old ones in %s",
			s.basis.Site.Database.Name, s.basis.keptDatabase()))
	}
	if len(s.basis.ChosenViews) > 0 {
		what = append(what, fmt.Sprintf("replace the definitions of the views %s in %s; keep the old ones in the journal",
			strings.Join(s.basis.ChosenViews, ", "), s.basis.Site.Database.Name))
		undo += "; bring the old definitions of the views back"
	}
	p := s.onDB(undo, "%s", strings.Join(what, "; "))
	p.Downtime = true
	return p
}

// Describe says what the step does.
func (s pushPaths) Describe() PreviewStep {
	return s.onWeb(false, "remove the staging directory", "write %s beside %s, in %s", s.basis.describePaths(), s.basis.Site.Root, s.stagingDir())
}

// Describe says what the step does.
func (s exchangePaths) Describe() PreviewStep {
	return s.onWeb(true, "exchange them back, reload PHP",
		"exchange %s in %s with what was restored, each atomically; what is below them and not in the backup goes; reload web server and PHP",
		s.basis.describePathNames(), s.basis.Site.Root)
}
