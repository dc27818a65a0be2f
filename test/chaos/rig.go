package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

const siteName = "garden.example"

// Sizes of the file systems in memory that everything which can be full lies on.
const (
	webRoom      = "size=400m"
	storeRoom    = "size=1500m"
	databaseRoom = "size=700m"
)

// rig is a site under care that one fault after the other strikes. It belongs
// to one goroutine.
type rig struct {
	*bed.Bed
	db     *bed.MariaDB
	webs   []*bed.Web
	master *bed.Master
	onWeb  []*bed.Agent
	onDB   *bed.Agent
	site   *bed.WordPress // on the first web server

	versions  [2]version
	now       state          // which version the site is
	poison    string         // a backup whose import fails at its last statement
	clean     *bed.Inventory // the servers with the site and nothing else
	vhosts    []string       // what the virtual hosts look like
	dataFiles []string       // what lies in the data directories
	tasks     map[string]time.Duration
	journals  map[string][]string // records of an undisturbed task by operation
	taken     []string            // backups that rounds have left
}

// version is one of the two contents that the site goes back and forth between.
type version struct {
	backup       string
	tree, tables bed.Print
}

// state says of which version files and database are; mixed on purpose after a
// restore of one half.
type state struct{ tree, tables int }

func (s state) String() string {
	return fmt.Sprintf("files %c, database %c", 'A'+s.tree, 'A'+s.tables)
}

// Forms of a rig.
const (
	plain   = ""
	cluster = "cluster" // two web servers
	xfs     = "xfs"     // the web root on an XFS of its own
)

// newRig starts servers and agents, and has the site backed up in both versions.
func newRig(ctx context.Context, dir, form string) (r *rig, err error) {
	b, err := bed.Start(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	r = &rig{Bed: b, tasks: map[string]time.Duration{}, journals: map[string][]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if err := r.startServers(ctx, form); err != nil {
		return r, err
	}
	if err := r.startOurs(ctx); err != nil {
		return r, err
	}
	if err := r.makeVersions(ctx); err != nil {
		return r, err
	}
	return r, r.lookAtClean(ctx)
}

func (r *rig) startServers(ctx context.Context, form string) (err error) {
	if r.db, err = r.MariaDB(ctx, "db1"); err != nil {
		return err
	}
	if err := r.onTmpfs(ctx, r.db.Process, filepath.Join(r.db.Dir, "data"), databaseRoom, bed.Nobody, bed.Nogroup); err != nil {
		return err
	}
	switch form {
	case cluster: // a namespace has the mounts of its beginning, so none comes later
		return errors.Join(r.startWeb(ctx), r.startWeb(ctx))
	case xfs:
		return errors.Join(r.startWeb(ctx), r.onXFS(ctx))
	}
	if err := r.startWeb(ctx); err != nil {
		return err
	}
	return r.OnTmpfs(ctx, r.webs[0].Root, webRoom, bed.Nobody, bed.Nogroup)
}

// startWeb starts one more web server. It sees its own directory where the
// first one has that of the same name.
func (r *rig) startWeb(ctx context.Context) error {
	name := fmt.Sprintf("web%d", len(r.webs)+1)
	if len(r.webs) > 0 {
		r.Shadow(name, r.webs[0].Root, filepath.Join(r.Dir(), name, "www"))
	}
	web, err := r.Web(ctx, name)
	r.webs = append(r.webs, web)
	return err
}

// onTmpfs is Bed.OnTmpfs for a directory that a running process uses.
func (r *rig) onTmpfs(ctx context.Context, p *bed.Process, dir, options string, uid, gid int) error {
	if err := p.Stop(); err != nil {
		return err
	}
	if err := r.OnTmpfs(ctx, dir, options, uid, gid); err != nil {
		return err
	}
	return p.Start(ctx)
}

func (r *rig) startOurs(ctx context.Context) (err error) {
	if r.master, err = r.Master(ctx, "master"); err != nil {
		return err
	}
	if err := r.onTmpfs(ctx, r.master.Process, r.master.DataDir, storeRoom, 0, 0); err != nil {
		return err
	}
	var names []string
	for n, web := range r.webs {
		name := fmt.Sprintf("web%d", n+1)
		agent, err := r.Agent(ctx, r.master, name, bed.AgentOptions{Web: web})
		if err != nil {
			return err
		}
		if n > 0 { // it has its own directory where the first one's is
			agent.Config.Allow.Roots = []string{r.webs[0].Root}
			if err := errors.Join(agent.WriteConfig(), agent.Stop(), agent.Start(ctx)); err != nil {
				return err
			}
		}
		r.onWeb, names = append(r.onWeb, agent), append(names, name)
	}
	if r.onDB, err = r.Agent(ctx, r.master, "db1", bed.AgentOptions{DB: r.db}); err != nil {
		return err
	}
	return r.addSite(ctx, strings.Join(names, ","))
}

// addSite puts a small WordPress under care, served by managed vhosts alone.
func (r *rig) addSite(ctx context.Context, servers string) (err error) {
	if r.site, err = r.WordPress(ctx, r.webs[0], r.db, siteName); err != nil {
		return err
	}
	if err := r.shrink(); err != nil {
		return err
	}
	if err := r.site.RemoveVhost(ctx); err != nil {
		return err
	}
	if err := r.copyToOthers(ctx); err != nil {
		return err
	}
	if _, err := r.run(ctx, "site", "add", siteName, "--web", servers, "--db", "db1", "--root", r.site.Root); err != nil {
		return err
	}
	return patiently(func() error {
		_, err := r.run(ctx, "site", "verify", siteName)
		return err
	})
}

// patiently has a machine that is busy with something else try again what
// nothing was to disturb.
func patiently(f func() error) (err error) {
	for range 3 {
		if err = f(); err == nil {
			return nil
		}
	}
	return err
}

// copyToOthers gives the other web servers of a cluster the first one's tree.
func (r *rig) copyToOthers(ctx context.Context) error {
	for _, root := range r.roots()[1:] {
		if err := os.RemoveAll(root); err != nil {
			return err
		}
		if err := bed.CopyTree(ctx, r.site.Root, root); err != nil {
			return err
		}
	}
	return nil
}

// roots are the site's directories, as this process sees them.
func (r *rig) roots() (roots []string) {
	for _, web := range r.webs {
		roots = append(roots, filepath.Join(web.Root, siteName))
	}
	return roots
}

// run runs a command of the operator that must end well, warnings or not.
func (r *rig) run(ctx context.Context, args ...string) (string, error) {
	res, err := r.master.CLI(ctx, args...)
	if err != nil {
		return "", err
	}
	if res.Code != 0 && res.Code != 6 {
		return "", fmt.Errorf("sitekeep %s: %s", strings.Join(args, " "), res)
	}
	return strings.TrimSpace(res.Stdout), nil
}

// read runs a command with JSON for its result.
func read[V any](ctx context.Context, r *rig, args ...string) (v V, err error) {
	text, err := r.run(ctx, append(slices.Clone(args), "-o", "json")...)
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return v, fmt.Errorf("sitekeep %s: %w: %.300s", strings.Join(args, " "), err, text)
	}
	return v, nil
}

// process finds a process that can be struck by its name.
func (r *rig) processes(name string) []*bed.Process {
	switch name {
	case "master":
		return []*bed.Process{r.master.Process}
	case "db agent":
		return []*bed.Process{r.onDB.Process}
	case "mariadbd":
		return []*bed.Process{r.db.Process}
	case "web agent":
		return []*bed.Process{r.onWeb[0].Process}
	case "web server": // all of one machine
		last := len(r.webs) - 1
		return []*bed.Process{r.onWeb[last].Process, r.webs[last].Nginx, r.webs[last].PHP}
	}
	return []*bed.Process{r.master.Process, r.onWeb[0].Process, r.onDB.Process}
}
