package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
	"github.com/sitekeep/sitekeep/internal/tasks"
)

// rig has a real catalogue, for games one after the other.
type rig struct {
	*testing.T
	f     *fixture
	book  *catalogue.Catalogue
	games int
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, f: newFixture(t)}
	dir := t.TempDir()
	if fast, err := os.MkdirTemp("/dev/shm", "sitekeep-test-*"); err == nil { // a catalogue syncs with each record
		t.Cleanup(func() { os.RemoveAll(fast) })
		dir = fast
	}
	var err error
	r.book, err = catalogue.Open(t.Context(), filepath.Join(dir, "catalogue.db"))
	must(t, err)
	t.Cleanup(func() { must(t, r.book.Close()) })
	for _, name := range []string{"web1", "web2", "web3", "web4", "db1", "db2"} {
		must(t, r.book.CreateServer(t.Context(), model.Server{Name: name, Roles: []model.Role{model.RoleWeb, model.RoleDB}, JoinedAt: time.Now()}))
	}
	must(t, r.book.CreateSite(t.Context(), quirks{}.site()))
	other := quirks{}.site()
	other.Name, other.Root, other.Docroot, other.Database = otherName, "/var/www/"+otherName, "/var/www/"+otherName, model.Database{Name: otherDB, User: otherDB, Host: dbHost}
	must(t, r.book.CreateSite(t.Context(), other))
	return r
}

// game is one world with one catalogue, through any number of masters.
type game struct {
	*rig
	*world
	faults   *sagatest.Faults
	log      *diary
	number   int
	q        quirks
	sleeps   int
	awake    func(ctx context.Context, n int) // what happens while the n-th wait lasts, which ends with ctx
	about    string
	blinds   bool // with a record that cannot be written, the journal cannot be read either for a while
	blind    bool
	ticking  bool
	ticks    atomic.Int64
	parallel int // 0: one server after the other, so that each game is the same each time
}

// newGame begins with the catalogue as if nothing had been before.
func (r *rig) newGame(q quirks, faults ...sagatest.Fault) *game {
	r.Helper()
	r.games++
	g := &game{rig: r, faults: sagatest.NewFaults(faults...), log: &diary{}, number: r.games, q: q}
	g.world = newWorld(g.faults, q)
	open, err := r.book.OpenGraces(r.Context(), "")
	must(r, err)
	for _, o := range open {
		_, err := r.book.MoveGrace(r.Context(), o.TaskID, o.State, catalogue.GraceFinished)
		must(r, err)
	}
	for name, database := range map[string]string{siteName: oldDB, otherName: g.databaseOf(otherName)} {
		_, err := r.book.UpdateSite(r.Context(), name, func(s *model.Site) error {
			s.WebServers, s.DBServer, s.Disabled = q.site().WebServers, q.site().DBServer, false
			s.Database, s.Vhost = model.Database{Name: database, User: database, Host: dbHost}, q.site().Vhost
			return nil
		})
		must(r, err)
	}
	for _, task := range []string{g.first(), g.second(), g.third()} {
		_, err := r.book.AddTask(r.Context(), model.Task{ID: task, Kind: model.TaskRestore, Site: siteName, State: model.TaskQueued, CreatedAt: time.Now()}, false, false)
		must(r, err)
	}
	return g
}

// first, second and third are the ids of the game's tasks.
func (g *game) first() string  { return fmt.Sprintf("01KACQ4J7XK0VJ7N3Y1%06d", g.number) }
func (g *game) second() string { return fmt.Sprintf("01KACQ4J7XK0VJ7N3Y2%05d2", g.number) }
func (g *game) third() string  { return fmt.Sprintf("01KACQ4J7XK0VJ7N3Y3%05d3", g.number) }

// journals is the catalogue of a master that may die, before and after each record.
type journals struct{ *game }

func (j journals) at(ctx context.Context, what string, f func() error) error {
	j.happen()
	if err := j.faults.At(ctx, "before "+what); err != nil {
		j.blind = j.blinds
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return j.faults.At(ctx, "after "+what)
}

func (j journals) AppendJournal(ctx context.Context, task string, record []byte, also ...catalogue.Also) error {
	return j.at(ctx, "record", func() error { return j.book.AppendJournal(ctx, task, record, also...) })
}

func (j journals) CommitRestore(ctx context.Context, r catalogue.RestoreCommit, also ...catalogue.Also) error {
	return j.at(ctx, "commit", func() error { return j.book.CommitRestore(ctx, r, also...) })
}

func (j journals) MoveGrace(ctx context.Context, task string, from, to catalogue.GraceState) (moved bool, err error) {
	err = j.at(ctx, "move grace", func() (err error) {
		moved, err = j.book.MoveGrace(ctx, task, from, to)
		return err
	})
	return moved, err
}

func (j journals) JournalRecords(ctx context.Context, task string) ([][]byte, error) {
	switch {
	case j.faults.Dead():
		return nil, sagatest.ErrCrashed
	case j.blind:
		return nil, errors.New("the disk does not answer")
	}
	return j.book.JournalRecords(ctx, task)
}

func (j journals) OpenGraces(ctx context.Context, site string) ([]catalogue.Grace, error) {
	if j.faults.Dead() {
		return nil, sagatest.ErrCrashed
	}
	return j.book.OpenGraces(ctx, site)
}

func (j journals) Grace(ctx context.Context, task string) (catalogue.Grace, error) {
	if j.faults.Dead() {
		return catalogue.Grace{}, sagatest.ErrCrashed
	}
	return j.book.Grace(ctx, task)
}

// master is a process that has just been started.
func (g *game) master() *Restorer {
	return New(Deps{
		Agents: g.world, Sites: g.book, Backups: library{g.rig.f, g.world}, Journals: journals{g}, Graces: journals{g}, Drills: g.book,
		Now:    g.clock,
		Engine: saga.Options{Parallel: max(1, g.parallel), Sleep: g.sleep, Random: func() float64 { return 0 }},
	})
}

// clock is one on which each look takes a second, where a test wants that.
func (g *game) clock() time.Time {
	now := time.Unix(2e9, 0)
	if g.ticking {
		now = now.Add(time.Duration(g.ticks.Add(1)) * time.Second)
	}
	return now
}

// manyWaits is when what was away comes back.
const manyWaits = 100

// sleep takes no time.
func (g *game) sleep(ctx context.Context, _ time.Duration) error {
	switch {
	case g.faults.Dead():
		return sagatest.ErrCrashed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	g.mu.Lock()
	g.sleeps++
	n := g.sleeps
	g.mu.Unlock()
	if g.awake != nil {
		g.awake(ctx, n)
	}
	if n%manyWaits == 0 {
		g.faults.Restart()
	}
	return nil
}

// until calls a handler, as the queue does, until its task has ended: after each crash again, and when an operator was
// needed, who finds the fault gone.
func (g *game) until(call func(*Restorer) (*Outcome, error)) (out *Outcome, err error) {
	for range 12 {
		out, err = call(g.master())
		var stuck *tasks.NeedsOperator
		if !g.faults.Dead() && !errors.As(err, &stuck) {
			return out, err
		}
		g.faults.Restart()
	}
	g.Fatalf("%s: it does not end: %v\n%s", g.about, err, g.log)
	return nil, nil
}

func (g *game) restore(task string, grace time.Duration) (*Outcome, error) {
	q := g.q.request(g.rig.f.backup.ID, grace)
	if task != g.first() {
		q.Migrate = nil // what has migrated is restored where it is then
	}
	return g.until(func(r *Restorer) (*Outcome, error) {
		return r.restore(g.Context(), task, q, g.log)
	})
}

func (g *game) finish(task string) error {
	_, err := g.until(func(r *Restorer) (*Outcome, error) { return r.finish(g.Context(), Earlier{task}, g.log) })
	return err
}

func (g *game) undo(by, task string) (*Outcome, error) {
	return g.until(func(r *Restorer) (*Outcome, error) { return r.undo(g.Context(), by, Earlier{task}, g.log) })
}

// now describes everything: the world, what the catalogue has of the site, and which restores can be taken back.
func (g *game) now() string {
	g.Helper()
	site, err := g.book.Site(g.Context(), siteName)
	must(g, err)
	lines := []string{g.Snapshot(), fmt.Sprintf("recorded: %s as %s on %s, in %s on %s, %s", site.Database.Name, site.Database.User, site.Database.Host, site.Root, site.WebServers, site.DBServer)}
	for _, task := range []string{g.first(), g.second()} {
		grace, err := g.book.Grace(g.Context(), task)
		if err == nil {
			lines = append(lines, fmt.Sprintf("grace of %s: %s", task, grace.State))
		}
	}
	names := []string{}
	for i, task := range []string{g.first(), g.second(), g.third()} {
		names = append(names, task, fmt.Sprintf("TASK%d", i+1), databaseName(siteName, task), fmt.Sprintf("NEWDB%d", i+1))
	}
	lines = strings.Split(strings.NewReplacer(names...).Replace(strings.Join(lines, "\n")), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// is compares what there is with one of what there may be.
func (g *game) is(what string, want ...string) {
	g.Helper()
	if got := g.now(); !slices.Contains(want, got) {
		g.Fatalf("%s%s: there is\n%s\n\nin place of\n%s\n\nlog:\n%s", g.about, what, got, strings.Join(want, "\n\nor\n"), g.log)
	}
}

func sortLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// leave takes web2 away as a whole; comeBack brings it back as it was.
func (g *game) leave() {
	g.missing = g.webs["web2"]
	delete(g.webs, "web2")
}

func (g *game) comeBack() {
	g.webs["web2"], g.missing = g.missing, nil
	g.faults.Restart()
}
