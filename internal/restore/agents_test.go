package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// webAgent is the agent of a web server. A call that is broken off leaves what
// it has done: as if the agent had been killed too.
type webAgent struct {
	*world
	s *webServer
}

func (a *webAgent) act(ctx context.Context, name string, parts ...func() error) error {
	return a.world.act(ctx, a.s.name+" "+name, parts...)
}

func (a *webAgent) look(ctx context.Context, name string, f func() error) error {
	return a.world.look(ctx, a.s.name+" "+name, f)
}

func key(site model.SiteRef, task string) string { return site.Name + " " + task }

func (a *webAgent) staged(site model.SiteRef, task string) *tree {
	if st := a.s.staging[key(site, task)]; st != nil {
		return st.tree
	}
	return nil
}

func (a *webAgent) stage(site model.SiteRef, task string) *staging {
	st := a.s.staging[key(site, task)]
	if st == nil {
		st = &staging{}
		a.s.staging[key(site, task)] = st
	}
	return st
}

func inodeOf(t *tree) uint64 {
	if t == nil {
		return 0
	}
	return t.inode
}

func (a *webAgent) Info(ctx context.Context) (info model.AgentInfo, err error) {
	return model.AgentInfo{Version: "test"}, a.look(ctx, "info", func() error { return nil })
}

func (a *webAgent) InspectTree(ctx context.Context, site model.SiteRef, task string) (state model.TreeState, err error) {
	err = a.look(ctx, "inspect tree", func() error {
		state = model.TreeState{LiveInode: inodeOf(a.s.live[site.Name]), StagedInode: inodeOf(a.staged(site, task)), FreeBytes: 1 << 30, FreeInodes: 1 << 20}
		return nil
	})
	return state, err
}

func (a *webAgent) WriteTree(ctx context.Context, site model.SiteRef, task, _ string, frames Frames) (inode uint64, warnings []string, err error) {
	return a.writeTree(ctx, "write tree", site, task, func() error { return drained(frames) })
}

// unknownOwner is what an agent says of a user that its machine does not have.
const unknownOwner = `./files/a.php: user "ftp7" is unknown here: its number 1007 is used`

// WriteDelta takes everything from a live tree, if there is one, but for the first frame.
func (a *webAgent) WriteDelta(ctx context.Context, site model.SiteRef, task, _ string, from DeltaSource) (out model.StagedTree, err error) {
	out.Inode, out.Warnings, err = a.writeTree(ctx, "write delta", site, task, func() error {
		return errors.Join(drained(from.BaseFrames(0)), drained(from.ReadRuns(ctx, []archive.FrameRun{{First: 0, Count: 1}})), drained(from.OtherEntries()))
	})
	out.TakenFiles = 1
	if err == nil {
		out.Warnings = append(out.Warnings, unknownOwner)
	}
	return out, err
}

// CompareTree finds something of each sort, and nothing of a tree that is not there.
func (a *webAgent) CompareTree(ctx context.Context, site model.SiteRef, only [][]byte, paths int, index iter.Seq2[archive.BaseFrame, error]) (out model.TreeDifferences, err error) {
	err = a.look(ctx, "compare tree", func() error {
		out.Added = model.TreeDifference{Entries: 3, Bytes: 5, Paths: textPaths(only)}
		if a.s.live[site.Name] != nil {
			out.Changed = model.TreeDifference{Entries: 1, Bytes: 7, Paths: []string{"./wp-config.php"}[:min(paths, 1)]}
		}
		return drained(index)
	})
	return out, err
}

func drained[T any](items iter.Seq2[T, error]) error {
	for _, err := range items {
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *webAgent) writeTree(ctx context.Context, name string, site model.SiteRef, task string, take func() error) (inode uint64, warnings []string, err error) {
	err = a.act(ctx, name,
		func() error { a.s.staging[key(site, task)] = &staging{half: true}; return nil },
		func() error {
			if err := take(); err != nil {
				return err
			}
			a.inodes++
			inode = a.inodes
			a.s.staging[key(site, task)] = &staging{tree: &tree{
				inode: inode, content: "restored", settings: &settingsFile{credentials: credentials{"elsewhere", oldDB, "someone", "secret of long ago"}},
			}}
			return nil
		})
	return inode, nil, err
}

// pathInode stands for what lies at the chosen path: it is what the tree's content says.
func pathInode(t *tree) uint64 {
	switch {
	case t == nil || t.content == "":
		return 0
	case t.content == "restored":
		return 4711
	}
	return 4712
}

func (a *webAgent) WritePaths(ctx context.Context, site model.SiteRef, task, _ string, paths [][]byte, frames Frames) (warnings []string, err error) {
	return nil, a.act(ctx, "write paths",
		func() error { a.s.staging[key(site, task)] = &staging{half: true}; return nil },
		func() error {
			n := 0
			for _, err := range frames {
				if err != nil {
					return err
				}
				n++
			}
			if len(paths) == 0 || n == 0 {
				return errs.New(errs.Usage, "", "%d paths in %d frames", len(paths), n)
			}
			a.s.staging[key(site, task)] = &staging{tree: &tree{content: "restored"}}
			return nil
		})
}

func (a *webAgent) InspectPaths(ctx context.Context, site model.SiteRef, task string, paths [][]byte) (out []model.PathState, err error) {
	err = a.look(ctx, "inspect paths", func() error {
		for _, p := range paths {
			out = append(out, model.PathState{Path: p, Live: pathInode(a.s.live[site.Name]), Staged: pathInode(a.staged(site, task))})
		}
		return nil
	})
	return out, err
}

func (a *webAgent) ExchangePaths(ctx context.Context, site model.SiteRef, task string, paths []model.PathState, back bool) error {
	return a.act(ctx, "exchange paths", func() error {
		live, staged := a.s.live[site.Name], a.staged(site, task)
		was := paths[0]
		switch {
		case back && pathInode(live) == was.Live, !back && pathInode(live) == was.Staged:
			return nil
		case staged == nil || pathInode(live) != was.Live && pathInode(live) != was.Staged:
			return errs.New(errs.Precondition, "", "exchange of paths: %d and %d", pathInode(live), pathInode(staged))
		}
		live.content, staged.content = staged.content, live.content
		return nil
	})
}

func (a *webAgent) ExchangeTree(ctx context.Context, site model.SiteRef, task string, live, staged uint64) error {
	return a.act(ctx, "exchange tree", func() error {
		nowLive, nowStaged := a.s.live[site.Name], a.staged(site, task)
		switch {
		case inodeOf(nowLive) == staged && inodeOf(nowStaged) == live:
			return nil
		case inodeOf(nowLive) != live || inodeOf(nowStaged) != staged:
			return errs.New(errs.Precondition, "", "exchange: %d and %d in place of %d and %d", inodeOf(nowLive), inodeOf(nowStaged), live, staged)
		}
		a.stage(site, task).tree = nowLive
		if a.s.live[site.Name] = nowStaged; nowStaged == nil {
			delete(a.s.live, site.Name)
		}
		return nil
	})
}

func (a *webAgent) RemoveStaging(ctx context.Context, site model.SiteRef, task string, live uint64) error {
	return a.act(ctx, "remove staging",
		func() error {
			st := a.s.staging[key(site, task)]
			if st == nil {
				return nil
			}
			if live != 0 && inodeOf(a.s.live[site.Name]) != live {
				return errs.New(errs.Precondition, "", "another directory is live")
			}
			st.tree, st.half = nil, true
			return nil
		},
		func() error { delete(a.s.staging, key(site, task)); return nil })
}

func (a *webAgent) tree(site model.SiteRef, task string) (*tree, error) {
	t := a.s.live[site.Name]
	if task != "" {
		t = a.staged(site, task)
	}
	switch {
	case t == nil:
		return nil, errs.New(errs.NotFound, "", "there is no tree")
	case t.settings == nil:
		return nil, errs.New(errs.Precondition, "correct it", "settings in wp-config.php: it cannot be parsed")
	}
	return t, nil
}

func (a *webAgent) ReadSettings(ctx context.Context, site model.SiteRef, task string) (out *model.DatabaseSettings, err error) {
	err = a.look(ctx, "read settings", func() error {
		t, err := a.tree(site, task)
		if err == nil {
			out = &model.DatabaseSettings{Host: t.settings.host, Name: t.settings.name, User: t.settings.user, File: "wp-config.php"}
		}
		return err
	})
	if errors.Is(err, sagatest.ErrInjected) { // settings that cannot be read for good are a reason of their own to keep a database
		err = errs.New(errs.Unreachable, "", "%w", err)
	}
	return out, err
}

func (a *webAgent) WriteSettings(ctx context.Context, site model.SiteRef, task string, s model.DatabaseSettings, password string) error {
	return a.act(ctx, "write settings", func() error {
		t, err := a.tree(site, task)
		if err == nil {
			t.settings = &settingsFile{credentials: credentials{s.Host, s.Name, s.User, password}}
		}
		return err
	})
}

// RewriteSettings may be repeated.
func (a *webAgent) RewriteSettings(ctx context.Context, site model.SiteRef, task string, m model.Move) ([]string, error) {
	return []string{"WP_HOME"}, a.act(ctx, "rewrite settings", func() error {
		t, err := a.tree(site, task)
		if err == nil && len(m.Names)+len(m.Paths) > 0 {
			t.content = renamedContent
		}
		return err
	})
}

func (a *webAgent) InspectVhost(ctx context.Context, site model.SiteRef) (out model.VhostState, err error) {
	err = a.look(ctx, "inspect vhost", func() error {
		out.Exists = a.s.vhosts[site.Name] != ""
		out.Managed = out.Exists && a.s.vhosts[site.Name] != "somebody's own"
		return nil
	})
	return out, err
}

func (a *webAgent) CarrySettings(ctx context.Context, site model.SiteRef, task string) error {
	return a.act(ctx, "carry settings", func() error {
		live, err := a.tree(site, "")
		if err != nil {
			return err
		}
		staged, err := a.tree(site, task)
		if err == nil {
			staged.settings = &settingsFile{credentials: live.settings.credentials}
		}
		return err
	})
}

func (a *webAgent) SwitchSettings(ctx context.Context, site model.SiteRef, task string, s model.DatabaseSettings, password string) error {
	return a.act(ctx, "switch settings",
		func() error {
			live, err := a.tree(site, "")
			if st := a.stage(site, task); err == nil && st.kept == nil {
				st.kept = live.settings
			}
			return err
		},
		func() error {
			a.s.live[site.Name].settings = &settingsFile{credentials: credentials{s.Host, s.Name, s.User, password}}
			return nil
		})
}

func (a *webAgent) RevertSettings(ctx context.Context, site model.SiteRef, task string) error {
	return a.act(ctx, "revert settings",
		func() error {
			if st := a.s.staging[key(site, task)]; st != nil && st.kept != nil {
				a.s.live[site.Name].settings, st.kept = st.kept, nil
			}
			return nil
		},
		func() error {
			if st := a.s.staging[key(site, task)]; st != nil && st.kept == nil && st.tree == nil && !st.half {
				delete(a.s.staging, key(site, task))
			}
			return nil
		})
}

func (a *webAgent) ObserveAddress(ctx context.Context, address string) (host string, err error) {
	return a.s.host, a.look(ctx, "observe address", func() error {
		if address != dbHost && (address != newDBHost || !a.quirks.migrate) {
			return errs.New(errs.Usage, "", "%q is no database server", address)
		}
		return nil
	})
}

func (a *webAgent) WriteVhost(ctx context.Context, site model.SiteRef, task string) (string, error) {
	return "", a.act(ctx, "write vhost",
		func() error {
			if a.s.saved[key(site, task)] == "" {
				a.s.saved[key(site, task)] = cmp.Or(a.s.vhosts[site.Name], "-")
			}
			return nil
		},
		func() error { a.s.vhosts[site.Name] = "new vhost of " + site.Name; return nil },
		a.forgetPHP)
}

func (a *webAgent) forgetPHP() error {
	clear(a.s.php)
	return nil
}

func (a *webAgent) RevertVhost(ctx context.Context, site model.SiteRef, task string) error {
	return a.act(ctx, "revert vhost",
		func() error {
			switch old := a.s.saved[key(site, task)]; old {
			case "":
				return nil
			case "-":
				delete(a.s.vhosts, site.Name)
			default:
				a.s.vhosts[site.Name] = old
			}
			return a.forgetPHP()
		},
		func() error { delete(a.s.saved, key(site, task)); return nil })
}

func (a *webAgent) ForgetVhost(ctx context.Context, site model.SiteRef, task string) error {
	return a.act(ctx, "forget vhost", func() error { delete(a.s.saved, key(site, task)); return nil })
}

func (a *webAgent) RemoveVhost(ctx context.Context, site model.SiteRef) error {
	return a.act(ctx, "remove vhost", func() error { delete(a.s.vhosts, site.Name); return nil }, a.forgetPHP)
}

func leaseText(d time.Duration) string {
	if d > 24*time.Hour {
		return "held"
	}
	return "short"
}

func (a *webAgent) BeginMaintenance(ctx context.Context, site model.SiteRef, task string, lease time.Duration) (model.Closing, error) {
	var closing model.Closing
	if a.leaky == a.s.name {
		closing.Warning = "visitors get through"
	}
	return closing, a.act(ctx, "begin maintenance", func() error { a.s.flags[site.Name][task] = leaseText(lease); return nil })
}

func (a *webAgent) RenewMaintenance(ctx context.Context, site model.SiteRef, task string, lease time.Duration) error {
	return a.act(ctx, "renew maintenance", func() error {
		if a.s.flags[site.Name][task] == "" {
			return errs.New(errs.NotFound, "", "the lease has run out")
		}
		a.s.flags[site.Name][task] = leaseText(lease)
		a.longest = max(a.longest, lease)
		return nil
	})
}

func (a *webAgent) EndMaintenance(ctx context.Context, site model.SiteRef, task string) error {
	return a.act(ctx, "end maintenance", func() error { delete(a.s.flags[site.Name], task); return nil })
}

func (a *webAgent) ProbeSite(ctx context.Context, site model.SiteRef, _, _ string) (p model.PageProbe, err error) {
	err = a.look(ctx, "probe site", func() error {
		files, data, err := a.page(a.s, site.Name)
		old := files == "old "+site.Name && data == files && !a.quirks.viewsOnly()
		if p = (model.PageProbe{Status: 200}); err != nil || !a.whole(a.s, site.Name, files, data, nil) || old {
			p = model.PageProbe{Status: 500, Problem: fmt.Sprintf("the page answers 500 (%q, %q, %v)", files, data, err)}
		}
		return nil
	})
	return p, err
}

func (a *webAgent) ProbeDatabase(ctx context.Context, site model.SiteRef) (p model.DatabaseProbe, err error) {
	err = a.look(ctx, "probe database", func() error {
		t, err := a.tree(site, "")
		if err != nil {
			return err
		}
		if _, err := a.login(a.s, &t.settings.credentials); err != nil {
			p.Problem = err.Error()
		}
		return nil
	})
	return p, err
}

func (a *webAgent) Reload(ctx context.Context) (string, error) {
	return "", a.act(ctx, "reload", a.forgetPHP)
}

func (a *webAgent) CheckPermissions(ctx context.Context, _ model.SiteRef, _ bool) (model.Permissions, error) {
	return model.Permissions{}, a.look(ctx, "check permissions", func() error { return nil })
}

// dbAgent is the agent of the database server.
type dbAgent struct {
	*world
	server string
}

func (a *dbAgent) act(ctx context.Context, name string, parts ...func() error) error {
	return a.world.act(ctx, a.server+" "+name, parts...)
}

func (a *dbAgent) look(ctx context.Context, name string, f func() error) error {
	return a.world.look(ctx, a.server+" "+name, f)
}

// has refuses a database that is, or would be, on another server.
func (a *dbAgent) has(database string) error {
	if a.hostOf(database) != a.server+":3306" {
		return errs.New(errs.Usage, "", "database %s is not to be on %s", database, a.server)
	}
	return nil
}

func (a *dbAgent) Info(ctx context.Context) (model.AgentInfo, error) {
	return model.AgentInfo{DatabaseServer: "10.11.6-MariaDB", DatabaseAddress: a.server + ":3306"}, a.look(ctx, "info", func() error { return nil })
}

func (a *dbAgent) InspectDatabase(ctx context.Context, name string, _ []string) (state model.DatabaseState, err error) {
	err = a.look(ctx, "inspect database", func() error {
		state = model.DatabaseState{Exists: a.dbs[name] != nil, Server: "10.11.6-MariaDB"}
		return nil
	})
	return state, err
}

// CountRows finds a table less, one more and one changed.
func (a *dbAgent) CountRows(ctx context.Context, name string) (state model.DatabaseState, err error) {
	err = a.look(ctx, "count rows", func() error {
		if state.Exists = a.dbs[name] != nil; state.Exists {
			state.Tables = []model.Table{{Name: "posts", Rows: 9}, {Name: "log", Rows: 1000}}
		}
		return nil
	})
	return state, err
}

func (a *dbAgent) CreateDatabase(ctx context.Context, db model.NewDatabase) error {
	return a.act(ctx, "create database",
		func() error {
			if err := a.has(db.Name); err != nil {
				return err
			}
			if a.dbs[db.Name] == nil {
				a.dbs[db.Name] = &database{}
			}
			return nil
		},
		func() error { return a.ensure(db, db.Hosts[:min(1, len(db.Hosts))]) },
		func() error { return a.ensure(db, db.Hosts[min(1, len(db.Hosts)):]) })
}

func (a *dbAgent) ensure(db model.NewDatabase, hosts []string) error {
	for _, host := range hosts {
		a.allow(db.User, host, db.Password, db.Name)
	}
	return nil
}

func (a *dbAgent) DropDatabase(ctx context.Context, name, user string) (warnings []string, err error) {
	err = a.act(ctx, "drop database",
		func() error {
			if err := a.has(name); err != nil {
				return err
			}
			for at, acc := range a.accounts {
				if user == "" || !strings.HasPrefix(at, user+"@") {
					continue
				}
				if slices.ContainsFunc(acc.rights, func(db string) bool { return db != name }) {
					warnings = append(warnings, at+" has rights elsewhere")
					continue
				}
				delete(a.accounts, at)
			}
			return nil
		},
		func() error { delete(a.dbs, name); return nil })
	return warnings, err
}

func (a *dbAgent) Import(ctx context.Context, db model.NewDatabase, _ string, frames Frames) (out model.ImportSummary, err error) {
	err = a.act(ctx, "import",
		func() error {
			acc := a.accounts[db.User+"@"+db.Hosts[0]]
			if a.dbs[db.Name] == nil || acc == nil || acc.password != db.Password {
				return errs.New(errs.Permission, "", "access denied")
			}
			a.dbs[db.Name].content += "half of it"
			return nil
		},
		func() error {
			for _, err := range frames {
				if err != nil {
					return err
				}
			}
			if a.dbs[db.Name].content != "half of it" {
				return errs.New(errs.Failed, "", "table exists already")
			}
			a.dbs[db.Name].content = "restored"
			return nil
		})
	return model.ImportSummary{Tables: restoredTables()}, err
}

// RewriteTables changes a table and then another, and does it once more to what it has been done to.
func (a *dbAgent) RewriteTables(ctx context.Context, db model.NewDatabase, _ model.Move) ([]model.RewrittenTable, []string, error) {
	return []model.RewrittenTable{{Name: "posts", Rows: 1, Values: 2}}, nil, a.act(ctx, "rewrite tables",
		func() error { a.dbs[db.Name].content += " half renamed"; return nil },
		func() error {
			if a.dbs[db.Name].content == "restored half renamed" {
				a.dbs[db.Name].content = renamedContent
			}
			return nil
		})
}

func restoredTables() []model.Table {
	return []model.Table{{Name: "posts", Rows: 2}, {Name: "users", Rows: 1}}
}

func (a *dbAgent) InspectTables(ctx context.Context, database string, tables []string) (out []model.TableDetail, err error) {
	err = a.look(ctx, "inspect tables", func() error {
		for _, name := range tables {
			t := model.TableDetail{Name: name}
			if d := a.dbs[database]; d != nil && d.content != "" {
				t.Kind = "table"
				if strings.HasPrefix(name, "view") {
					t.Kind, t.View = d.view(name)
				}
			}
			out = append(out, t)
		}
		return nil
	})
	return out, err
}

func (d *database) view(name string) (kind string, v *model.ViewDefinition) {
	if body, ok := d.views[name]; ok {
		return "view", &model.ViewDefinition{Definer: "somebody@here", Body: []byte(body), Charset: "utf8mb4"}
	}
	return "", nil
}

// replaceView brings the new definition of a view, or the old one, or none.
func (d *database) replaceView(t model.TableSwap, back bool) {
	v := t.NewView
	if back {
		v = t.OldView
	}
	if v == nil {
		delete(d.views, t.Name)
		return
	}
	d.views[t.Name] = string(v.Body)
}

// ExchangeTables moves all tables at once, and then replaces one view after the other.
func (a *dbAgent) ExchangeTables(ctx context.Context, x model.TableExchange) error {
	if x.Back && a.dbs[x.Scratch] == nil {
		return nil
	}
	var views []func() error
	moved := false
	for _, t := range x.Tables {
		if t.NewView == nil {
			moved = true
			continue
		}
		views = append(views, func() error { a.dbs[x.Live].replaceView(t, x.Back); return nil })
	}
	room := func() error {
		if a.dbs[x.Kept] == nil && !x.Back {
			a.dbs[x.Kept] = &database{}
		}
		return nil
	}
	kept := a.dbs[x.Kept]
	if there := kept != nil && kept.content != ""; !moved || !a.dbs[x.Live].bare && there != x.Back { // every table is in its place
		return a.act(ctx, "exchange tables", append([]func() error{room}, views...)...)
	}
	parts := []func() error{
		func() error {
			a.dbs[x.Live].bare = true
			return room()
		},
		func() error {
			live, scratch, kept := a.dbs[x.Live], a.dbs[x.Scratch], a.dbs[x.Kept]
			switch {
			case !moved:
			case !x.Back && kept.content == "":
				kept.content, live.content, scratch.content = live.content, scratch.content, ""
			case x.Back && kept != nil && kept.content != "":
				kept.content, live.content, scratch.content = "", kept.content, live.content
			}
			return nil
		},
	}
	parts = append(append(parts, views...), func() error { a.dbs[x.Live].bare = false; return nil })
	return a.act(ctx, "exchange tables", parts...)
}
