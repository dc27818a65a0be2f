package saga_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/sitekeep/sitekeep/internal/saga"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

// servers are one web server and one database server, with several sites on
// them whose names run into each other.
type servers struct {
	mu     sync.Mutex
	Dirs   map[string]tree
	DBs    map[string]database
	Users  map[string]string // name → the database it may use
	VHosts map[string]vhost
}

type tree struct{ Content, Settings string }

type database struct{ Owner, Content string }

type vhost struct {
	Database    string
	Maintenance bool
}

// newServers has the sites a-b.org and ab.org, whose databases both want to be
// called aborg, and a directory that only looks like a staging directory.
func newServers() *servers {
	return &servers{
		Dirs: map[string]tree{
			"/www/a-b.org":     {"old a-b", "aborg"},
			"/www/ab.org":      {"old ab", "aborg_0"},
			"/www/ab.org.new1": {"somebody's own", ""},
		},
		DBs:    map[string]database{"aborg": {"a-b.org", "old a-b"}, "aborg_0": {"ab.org", "old ab"}},
		Users:  map[string]string{"aborg": "aborg", "aborg_0": "aborg_0"},
		VHosts: map[string]vhost{"a-b.org": {"aborg", false}, "ab.org": {"aborg_0", false}},
	}
}

func (s *servers) snapshot() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		panic(err)
	}
	return string(text)
}

// of is what belongs to one site, for tests with several sagas.
func (s *servers) of(site string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.VHosts[site]
	live := s.Dirs["/www/"+site]
	return fmt.Sprintf("files %q, database %q, maintenance %t, consistent %t",
		live.Content, s.DBs[live.Settings].Content, v.Maintenance, v.Database == live.Settings && s.Users[live.Settings] == live.Settings)
}

func (s *servers) counts() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%d directories, %d databases, %d users, %d vhosts", len(s.Dirs), len(s.DBs), len(s.Users), len(s.VHosts))
}

// restoreWorld is the restore of one site on the servers.
type restoreWorld struct {
	*servers
	f    *sagatest.Faults
	site string
	want string // content that is restored
}

func newRestoreWorld(f *sagatest.Faults) sagatest.World {
	return &restoreWorld{servers: newServers(), f: f, site: "ab.org", want: "restored"}
}

func (w *restoreWorld) Snapshot() string { return w.snapshot() }

func (w *restoreWorld) Plan() saga.Plan {
	r := &restore{restoreWorld: w}
	push, imp := r.pushFiles(), r.importDump()
	return saga.Plan{Name: "restore", Version: 1, Stages: [][]saga.Step{
		{r.check()},
		{r.createDatabase()},
		{push, imp},
		{r.writeSettings()},
		{r.beginMaintenance()},
		{r.safetyBackup()},
		{r.exchange()},
		{r.writeVHost()},
		{r.verify()},
		{r.endMaintenance()},
		{r.retire()},
	}}
}

// restore is what the steps of one run of the program share in memory: lost in a crash.
type restore struct {
	*restoreWorld
	db string // set by createDatabase
}

// memo is the memo of all these steps.
type memo struct {
	DB, Owner     string
	Dir, Settings string
	VHost         vhost
	Old, New      tree
}

// step is a saga.Step made of functions.
type step struct {
	name     string
	f        *sagatest.Faults
	prepare  func() (memo, error)
	do, undo func(ctx context.Context, m memo) error
}

type finishingStep struct {
	step
	finish func(ctx context.Context, m memo) error
}

func (s step) Name() string { return s.name }

func (s step) Prepare(ctx context.Context) (saga.Memo, error) {
	if err := s.f.At(ctx, "prepare "+s.name); err != nil {
		return nil, err
	}
	m, err := s.prepare()
	if err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

func (s step) Do(ctx context.Context, m saga.Memo) error   { return with(ctx, m, s.do) }
func (s step) Undo(ctx context.Context, m saga.Memo) error { return with(ctx, m, s.undo) }

func (s finishingStep) Finish(ctx context.Context, m saga.Memo) error { return with(ctx, m, s.finish) }

func (s step) Manual(saga.Memo) []string { return []string{"mend " + s.name} }

func with(ctx context.Context, text saga.Memo, f func(context.Context, memo) error) error {
	var m memo
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	return f(ctx, m)
}

// act carries out parts under the lock, each with its place for a fault.
func (r *restore) act(ctx context.Context, name string, parts ...func() error) error {
	locked := make([]func() error, len(parts))
	for i, part := range parts {
		locked[i] = func() error {
			r.mu.Lock()
			defer r.mu.Unlock()
			return part()
		}
	}
	return r.f.Act(ctx, name, locked...)
}

func (r *restore) root() string    { return "/www/" + r.site }
func (r *restore) staging() string { return r.root() + ".new" }

func nothing() error { return nil }

func (r *restore) look(m memo) func() (memo, error) { return func() (memo, error) { return m, nil } }

func (r *restore) check() saga.Step {
	idle := func(ctx context.Context, _ memo) error { return r.act(ctx, "check", nothing) }
	return step{"check", r.f, r.look(memo{}), idle, idle}
}

func (r *restore) createDatabase() saga.Step {
	return step{
		"create_database", r.f,
		func() (memo, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			name := "aborg"
			for n := 0; r.DBs[name] != (database{}) || r.Users[name] != ""; n++ {
				name = fmt.Sprintf("aborg_%d", n)
			}
			return memo{DB: name}, nil
		},
		func(ctx context.Context, m memo) error {
			r.db = m.DB
			return r.act(ctx, "do create_database", func() error { return r.makeDatabase(m.DB) },
				func() error { r.Users[m.DB] = m.DB; return nil })
		},
		func(ctx context.Context, m memo) error {
			return r.act(ctx, "undo create_database",
				func() error { return r.ifMine(m.DB, func() { delete(r.Users, m.DB) }) },
				func() error { return r.ifMine(m.DB, func() { delete(r.DBs, m.DB) }) })
		},
	}
}

func (r *restore) mine() string { return "saga of " + r.site }

func (r *restore) makeDatabase(name string) error {
	if have, there := r.DBs[name]; there && have.Owner != r.mine() {
		return errors.New("the database's name was taken meanwhile")
	}
	r.DBs[name] = database{Owner: r.mine(), Content: r.DBs[name].Content}
	return nil
}

func (r *restore) ifMine(name string, act func()) error {
	if r.DBs[name].Owner == r.mine() {
		act()
	}
	return nil
}

func (r *restore) pushFiles() saga.Step {
	set := func(content string) func() error {
		return func() error { r.Dirs[r.staging()] = tree{content, ""}; return nil }
	}
	return step{
		"push_files", r.f, r.look(memo{Dir: r.staging()}),
		func(ctx context.Context, _ memo) error {
			return r.act(ctx, "do push_files", set("half of "+r.want), set(r.want))
		},
		func(ctx context.Context, m memo) error {
			return r.act(ctx, "undo push_files",
				func() error {
					if _, there := r.Dirs[m.Dir]; there {
						return set("half of " + r.want)()
					}
					return nil
				},
				func() error { delete(r.Dirs, m.Dir); return nil })
		},
	}
}

func (r *restore) importDump() saga.Step {
	set := func(name, content string) func() error {
		return func() error {
			return r.ifMine(name, func() { r.DBs[name] = database{r.mine(), content} })
		}
	}
	return step{
		"import_dump", r.f,
		func() (memo, error) { return memo{DB: r.db}, nil },
		func(ctx context.Context, m memo) error {
			return r.act(ctx, "do import_dump", set(m.DB, "half of "+r.want), set(m.DB, r.want))
		},
		func(ctx context.Context, m memo) error { return r.act(ctx, "undo import_dump", set(m.DB, "")) },
	}
}

func (r *restore) writeSettings() saga.Step {
	set := func(ctx context.Context, act, dir, settings string) error {
		return r.act(ctx, act+" write_settings", func() error {
			if t, there := r.Dirs[dir]; there {
				r.Dirs[dir] = tree{t.Content, settings}
			}
			return nil
		})
	}
	return step{
		"write_settings", r.f,
		func() (memo, error) { return memo{DB: r.db, Dir: r.staging()}, nil },
		func(ctx context.Context, m memo) error { return set(ctx, "do", m.Dir, m.DB) },
		func(ctx context.Context, m memo) error { return set(ctx, "undo", m.Dir, m.Settings) },
	}
}

// vhostStep changes the site's vhost; its undo puts back what Prepare saw.
func (r *restore) vhostStep(name string, change func(m memo, v *vhost)) saga.Step {
	put := func(v vhost) func() error { return func() error { r.VHosts[r.site] = v; return nil } }
	return step{
		name, r.f,
		func() (memo, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			return memo{VHost: r.VHosts[r.site], DB: r.db}, nil
		},
		func(ctx context.Context, m memo) error {
			v := m.VHost
			change(m, &v)
			return r.act(ctx, "do "+name, put(v))
		},
		func(ctx context.Context, m memo) error { return r.act(ctx, "undo "+name, put(m.VHost)) },
	}
}

func (r *restore) beginMaintenance() saga.Step {
	return r.vhostStep("begin_maintenance", func(_ memo, v *vhost) { v.Maintenance = true })
}

func (r *restore) writeVHost() saga.Step {
	return r.vhostStep("write_vhost", func(m memo, v *vhost) { v.Database = m.DB })
}

func (r *restore) endMaintenance() saga.Step {
	return r.vhostStep("end_maintenance", func(_ memo, v *vhost) { v.Maintenance = false })
}

func (r *restore) safetyBackup() saga.Step {
	idle := func(ctx context.Context, _ memo) error { return r.act(ctx, "safety_backup", nothing, nothing) }
	return step{"safety_backup", r.f, r.look(memo{}), idle, idle}
}

func (r *restore) exchange() saga.Step {
	live := func(m memo, t tree) error {
		if r.Dirs[r.root()] != t {
			r.Dirs[r.root()], r.Dirs[m.Dir] = r.Dirs[m.Dir], r.Dirs[r.root()]
		}
		return nil
	}
	return finishingStep{
		step{
			"exchange", r.f,
			func() (memo, error) {
				r.mu.Lock()
				defer r.mu.Unlock()
				return memo{Dir: r.staging(), Old: r.Dirs[r.root()], New: r.Dirs[r.staging()]}, nil
			},
			func(ctx context.Context, m memo) error {
				return r.act(ctx, "do exchange", func() error { return live(m, m.New) })
			},
			func(ctx context.Context, m memo) error {
				return r.act(ctx, "undo exchange", func() error { return live(m, m.Old) })
			},
		},
		func(ctx context.Context, m memo) error {
			return r.act(ctx, "finish exchange", func() error { delete(r.Dirs, m.Dir); return nil })
		},
	}
}

// verify finds a site whose parts do not fit.
func (r *restore) verify() saga.Step {
	idle := func(ctx context.Context, _ memo) error { return r.act(ctx, "undo verify", nothing) }
	look := func() error {
		t := r.Dirs[r.root()]
		if db := r.DBs[t.Settings]; t.Content != r.want || db.Content != r.want || r.VHosts[r.site].Database != t.Settings {
			return fmt.Errorf("the site is not whole: %v, %v, %v", t, db, r.VHosts[r.site])
		}
		return nil
	}
	return step{
		"verify", r.f, r.look(memo{}),
		func(ctx context.Context, _ memo) error { return r.act(ctx, "do verify", look) }, idle,
	}
}

// retire changes nothing until the commit; then the old database and user go.
// It goes by the owner, not by the name alone: after a crash in the middle the
// name may be a neighbour's already.
func (r *restore) retire() saga.Step {
	idle := func(ctx context.Context, _ memo) error { return r.act(ctx, "retire", nothing) }
	ifOld := func(m memo, act func()) func() error {
		return func() error {
			if have, there := r.DBs[m.DB]; there && have.Owner == m.Owner {
				act()
			}
			return nil
		}
	}
	return finishingStep{
		step{
			"retire", r.f,
			func() (memo, error) {
				r.mu.Lock()
				defer r.mu.Unlock()
				old := r.Dirs[r.staging()].Settings
				return memo{DB: old, Owner: r.DBs[old].Owner}, nil
			},
			idle, idle,
		},
		func(ctx context.Context, m memo) error {
			return r.act(ctx, "finish retire",
				ifOld(m, func() { delete(r.Users, m.DB) }), ifOld(m, func() { delete(r.DBs, m.DB) }))
		},
	}
}
