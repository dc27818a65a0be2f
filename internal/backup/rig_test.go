package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/backup/backuptest"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/store"
)

// rig is a maker with real store and catalogue, over agents in memory.
type rig struct {
	*testing.T
	agents *backuptest.Agents
	book   *catalogue.Catalogue
	shelf  *store.Local
	dir    string
	maker  *backup.Maker
	log    *lines
	site   model.Site
	clock  sync.Mutex
	now    time.Time
}

// time is the maker's clock.
func (r *rig) time() time.Time {
	r.clock.Lock()
	defer r.clock.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.clock.Lock()
	defer r.clock.Unlock()
	r.now = r.now.Add(d)
}

// lines is a task's log.
type lines struct {
	mu       sync.Mutex
	on       func(line string) // called for every line; may be nil
	text     []string
	warnings []string
}

func (l *lines) Log(level model.Level, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(level)+": "+fmt.Sprintf(format, args...))
	if l.on != nil {
		l.on(l.text[len(l.text)-1])
	}
}

func (l *lines) Warn(format string, args ...any) {
	l.Log(model.LevelWarn, format, args...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

func (l *lines) Progress(string, int64, int64, int64) {}

func (l *lines) warned(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.warnings, func(w string) bool { return strings.Contains(w, text) })
}

func newRig(t *testing.T) *rig {
	t.Helper()
	top := t.TempDir()
	r := &rig{T: t, dir: filepath.Join(top, "store"), log: &lines{}, now: time.Date(2026, 11, 23, 0, 13, 36, 0, time.UTC)}
	r.agents = &backuptest.Agents{Dir: filepath.Join(top, "site"), Page: model.PageProbe{Status: 200}, Tables: []backuptest.Table{
		{Name: "posts", Rows: []string{"one", "two", "three"}}, {Name: "users", Rows: []string{"admin"}}, {Name: "empty"},
	}}
	var err error
	r.book, err = catalogue.Open(t.Context(), filepath.Join(top, "catalogue.db"))
	r.must(err)
	t.Cleanup(func() { r.must(r.book.Close()) })
	r.shelf, err = store.OpenLocal(r.dir, store.Options{})
	r.must(err)
	r.site = model.Site{
		Name: "example.com", Kind: "generic", WebServers: []string{"web1", "web2"}, DBServer: "db1", Root: "/var/www/example.com", Docroot: "/var/www/example.com",
		Database: model.Database{Name: "example", User: "example"}, Vhost: model.VhostManaged, CreatedAt: r.now,
	}
	for _, name := range []string{"web1", "web2", "db1"} {
		r.must(r.book.CreateServer(t.Context(), model.Server{Name: name, Roles: []model.Role{model.RoleWeb, model.RoleDB}, JoinedAt: r.now}))
	}
	r.must(r.book.CreateSite(t.Context(), r.site))
	r.use(r.shelf)
	r.plant()
	return r
}

// use puts a store under the maker.
func (r *rig) use(s backup.Store) {
	r.maker = backup.New(backup.Deps{
		Agents: r.agents, Store: s, Catalogue: r.book, Software: "sitekeep test", Server: hclog.NewNullLogger(),
		Now: r.time,
	})
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// plant makes a site of many small files and a large one.
func (r *rig) plant() {
	r.must(os.MkdirAll(filepath.Join(r.agents.Dir, "files"), 0o755))
	for i := range 100 {
		r.write(fmt.Sprintf("files/%03d.php", i), strings.Repeat(fmt.Sprintf("<?php echo %d;\n", i), 400))
	}
	big := make([]byte, 1<<20)
	state := uint64(1)
	for i := range big { // does not compress
		state = state*6364136223846793005 + 1442695040888963407
		big[i] = byte(state >> 56)
	}
	r.write("big.bin", string(big))
}

func (r *rig) write(name, text string) {
	r.Helper()
	path := filepath.Join(r.agents.Dir, name)
	r.must(os.WriteFile(path, []byte(text), 0o644))
	old := time.Now().Add(-time.Hour) // what changed lately is read again
	r.must(os.Chtimes(path, old, old))
}

// socket plants what no tarball can hold.
func (r *rig) socket(name string) {
	r.Helper()
	l, err := net.Listen("unix", filepath.Join(r.agents.Dir, name))
	r.must(err)
	r.Cleanup(func() { l.Close() })
}

func (r *rig) request() backup.Request {
	return backup.Request{Site: r.site, Task: "T1", Description: "a test", Format: store.TarZst, Origin: model.OriginManual}
}

func (r *rig) make(change ...func(*backup.Request)) (*model.Backup, error) {
	q := r.request()
	for _, f := range change {
		f(&q)
	}
	r.now = r.now.Add(time.Minute)
	return r.maker.Make(r.Context(), q, r.log)
}

func (r *rig) made(change ...func(*backup.Request)) *model.Backup {
	r.Helper()
	b, err := r.make(change...)
	r.must(err)
	return b
}

// open opens what the catalogue lists.
func (r *rig) open(id string) *backup.Tarball {
	r.Helper()
	b, err := r.book.Backup(r.Context(), id)
	r.must(err)
	t, err := backup.OpenTarball(r.Context(), r.shelf, &b)
	r.must(err)
	r.Cleanup(func() { r.must(t.Close()) })
	return t
}

// content reads one file of a backup.
func (r *rig) content(t *backup.Tarball, name string) string {
	r.Helper()
	e, err := t.Lookup(name)
	r.must(err)
	f, err := t.OpenEntry(r.Context(), e)
	r.must(err)
	defer f.Close()
	var out bytes.Buffer
	_, err = io.Copy(&out, f)
	r.must(err)
	return out.String()
}

// left lists what is in the store.
func (r *rig) left() []string {
	r.Helper()
	var out []string
	r.must(filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, filepath.Base(path))
		}
		return err
	}))
	return out
}

// nothing checks that nothing is listed and nothing is left.
func (r *rig) nothing(but ...string) {
	r.Helper()
	list, _, err := r.book.Backups(r.Context(), catalogue.BackupFilter{})
	r.must(err)
	if len(list) != len(but) {
		r.Errorf("listed: %v", list)
	}
	for _, name := range r.left() {
		if !slices.ContainsFunc(but, func(id string) bool { return strings.HasPrefix(name, id+".") }) {
			r.Errorf("left over in the store: %s", name)
		}
	}
}

// flip changes a byte in the middle of a tarball.
func (r *rig) flip(id string, at int64) {
	r.Helper()
	f, err := os.OpenFile(r.path(id), os.O_RDWR, 0)
	r.must(err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, at)
	r.must(err)
	b[0] ^= 0x40
	_, err = f.WriteAt(b, at)
	r.must(err)
}

// during returns a context that ends when the call comes.
func (r *rig) during(call string) context.Context {
	ctx, cancel := context.WithCancel(r.Context())
	r.Cleanup(cancel)
	r.agents.Broken = func(c string) error {
		if c == call {
			cancel()
			return ctx.Err()
		}
		return nil
	}
	return ctx
}

// path is where the store has a tarball.
func (r *rig) path(id string) string { return filepath.Join(r.dir, r.site.Name, id+".tar.zst") }
