package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

// patience bounds what must come by itself, on a machine that is busy too.
const patience = 3 * time.Minute

// taskInfo and backupInfo are what scripts rely on.
type taskInfo struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Error  string `json:"error"`
	Hint   string `json:"hint"`
	Safety string `json:"safety_backup"`
}

func (t taskInfo) good() bool { return t.State == "succeeded" || t.State == "warning" }

type backupInfo struct {
	ID     string `json:"id"`
	Site   string `json:"site"`
	Format string `json:"format"`
	Task   string `json:"task"`
	Pinned bool   `json:"pinned"`
}

// Outcomes of a round.
const (
	wasOld   = "old"
	wasNew   = "new"
	wasMixed = "mixed"
)

// verdict is what came of a round; problems make it a mixed one.
type verdict struct {
	outcome  string
	task     taskInfo
	problems []string
}

func (v *verdict) problem(format string, args ...any) {
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
}

// ended waits for a task's end, which must come by itself.
func (r *rig) ended(ctx context.Context, task string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w, err := r.watch()
	if err != nil {
		return err
	}
	defer func() { _ = w.close() }()
	for {
		state, err := w.state(ctx, task)
		if ctx.Err() != nil {
			return fmt.Errorf("task %s is %s and came to no end within %s", task, state, patience)
		}
		if err != nil {
			return err
		}
		if final(state) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// judge is the one strict check of what a round has left: the site is wholly
// the old one or the new one, whichever the task says, and nothing else is left
// anywhere. With kept, what the grace time keeps may lie about.
func (r *rig) judge(ctx context.Context, task string, old, new state, kept bool) (*verdict, error) {
	v := &verdict{}
	var err error
	if v.task, err = read[taskInfo](ctx, r, "task", "show", task); err != nil {
		return nil, err
	}
	want := old
	if v.outcome = wasOld; v.task.good() {
		want, v.outcome = new, wasNew
	}
	if v.task.State == "needs_operator" || v.task.good() != (v.task.Error == "") {
		v.problem("task %s is %s with the error %q", task, v.task.State, v.task.Error)
	}
	if err := r.settle(); err != nil {
		v.problem("the site's settings: %v", err)
	}
	for _, check := range []func(context.Context, *verdict, state) error{r.judgeTrees, r.judgeTables, r.judgePages, r.judgeRecords} {
		if err := check(ctx, v, want); err != nil {
			v.problem("%v", err)
		}
	}
	if !kept {
		if err := r.judgeLeftovers(ctx, v); err != nil {
			v.problem("%v", err)
		}
	}
	if err := r.judgeStore(ctx, v); err != nil {
		v.problem("%v", err)
	}
	if len(v.problems) > 0 {
		v.outcome = wasMixed
	}
	r.now = want
	return v, nil
}

// settle takes over which credentials the site has now.
func (r *rig) settle() error {
	c, err := r.site.ReadConfig()
	if err != nil {
		return err
	}
	r.site.Database, r.site.User, r.site.Password = c["DB_NAME"], c["DB_USER"], c["DB_PASSWORD"]
	return nil
}

func (r *rig) judgeTrees(_ context.Context, v *verdict, want state) error {
	for n, root := range r.roots() {
		at := *r.site
		at.Root = root
		tree, err := at.Tree()
		if err != nil {
			return err
		}
		if d := r.versions[want.tree].tree.Diff(tree); d != "" {
			v.problem("the files on web%d are not version %c:\n%s", n+1, 'A'+want.tree, d)
		}
		c, err := at.ReadConfig()
		if err != nil {
			return err
		}
		if c["DB_NAME"] != r.site.Database || c["DB_PASSWORD"] != r.site.Password {
			v.problem("the settings on web%d name the database %s, those on web1 %s", n+1, c["DB_NAME"], r.site.Database)
		}
	}
	return nil
}

func (r *rig) judgeTables(ctx context.Context, v *verdict, want state) error {
	tables, err := r.db.Tables(ctx, r.site.Database)
	if err != nil {
		return err
	}
	if d := r.versions[want.tables].tables.Diff(tables); d != "" {
		v.problem("the database %s is not version %c:\n%s", r.site.Database, 'A'+want.tables, d)
	}
	return nil
}

// judgePages asks as a visitor: files of PHP and of the web server's own, and
// the database behind them.
func (r *rig) judgePages(ctx context.Context, v *verdict, want state) error {
	mark := fmt.Sprintf("<!-- chaos: files %c, database %c -->", 'A'+want.tree, 'A'+want.tables)
	for n, web := range r.webs {
		for path, texts := range map[string][]string{
			"/":                               {bed.SiteTitleHTML, bed.FirstPost, bed.SecondPost, bed.ThemeFooter, mark},
			"/wp-content/uploads/version.txt": {string(rune('A'+want.tree)) + "\n"},
		} {
			res, err := web.Get(ctx, siteName, path)
			if err != nil {
				return err
			}
			for _, text := range texts {
				if res.Status != 200 || !strings.Contains(res.Body, text) {
					v.problem("page %s of web%d: status %d, %d bytes, without %q: …%s", path, n+1, res.Status, len(res.Body), text, res.Body[max(0, len(res.Body)-200):])
					break
				}
			}
		}
	}
	return nil
}

// judgeRecords wants the inventory to have the site's credentials.
func (r *rig) judgeRecords(ctx context.Context, v *verdict, _ state) error {
	recorded, err := read[struct {
		Database string `json:"database"`
		User     string `json:"database_user"`
	}](ctx, r, "site", "show", siteName)
	if err == nil && (recorded.Database != r.site.Database || recorded.User != r.site.User) {
		v.problem("the inventory says %+v, the site uses %s as %s", recorded, r.site.Database, r.site.User)
	}
	return err
}

// lookAtClean remembers what lies on the servers when nothing goes on.
func (r *rig) lookAtClean(ctx context.Context) (err error) {
	inv, err := bed.TakeInventory(ctx, []*bed.MariaDB{r.db}, r.webs)
	if err != nil {
		return err
	}
	r.clean = inv.Nameless(r.site.Database)
	if r.vhosts, err = r.vhostTexts(); err != nil {
		return err
	}
	r.dataFiles, err = r.listData()
	return err
}

// judgeLeftovers holds the servers against what lay there before: databases,
// users, grants, directories, virtual hosts with their text, files of agents and
// master.
func (r *rig) judgeLeftovers(ctx context.Context, v *verdict) error {
	inv, err := bed.TakeInventory(ctx, []*bed.MariaDB{r.db}, r.webs)
	if err != nil {
		return err
	}
	if d := r.clean.Diff(inv.Nameless(r.site.Database)); d != "" {
		v.problem("on the servers something came or went (the database is %s):\n%s", r.site.Database, d)
	}
	vhosts, err := r.vhostTexts()
	if err != nil {
		return err
	}
	if d := bed.Print(r.vhosts).Diff(vhosts); d != "" {
		v.problem("the virtual hosts are not as they were:\n%s", d)
	}
	files, err := r.listData()
	if d := bed.Print(r.dataFiles).Diff(files); d != "" {
		v.problem("in the data directories something came or went:\n%s", d)
	}
	return err
}

func (r *rig) vhostTexts() (texts []string, err error) {
	for _, web := range r.webs {
		entries, err := os.ReadDir(web.VhostDir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			text, err := os.ReadFile(filepath.Join(web.VhostDir, e.Name()))
			if err != nil {
				return nil, err
			}
			texts = append(texts, fmt.Sprintf("%s/%s: %s", web.VhostDir, e.Name(), text))
		}
	}
	return texts, nil
}

// passing is what comes and goes in data directories: SQLite's own files and
// sockets.
var passing = regexp.MustCompile(`(-wal|-shm|\.sock)$|^store/|^(catalogue-copies|copies)/`)

func (r *rig) listData() (files []string, err error) {
	dirs := []string{r.master.DataDir, r.onDB.DataDir}
	for _, a := range r.onWeb {
		dirs = append(dirs, a.DataDir)
	}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if rel, _ := filepath.Rel(dir, path); err == nil && !e.IsDir() && !passing.MatchString(rel) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// judgeStore wants a tarball and a manifest for each listed backup and nothing
// else, and the safety backup of a task that got so far: listed, and whole.
func (r *rig) judgeStore(ctx context.Context, v *verdict) error {
	list, err := read[[]backupInfo](ctx, r, "backups")
	if err != nil {
		return err
	}
	var want, own []string
	r.taken = nil
	for _, b := range list {
		base := filepath.Join(b.Site, b.ID)
		want = append(want, base+"."+b.Format, base+".manifest.json")
		if b.Task == v.task.ID {
			own = append(own, b.ID)
		}
		if b.ID != r.versions[0].backup && b.ID != r.versions[1].backup && b.ID != r.poison {
			r.taken = append(r.taken, b.ID)
		}
	}
	if err := r.compareStore(v, want); err != nil {
		return err
	}
	return r.judgeSafety(ctx, v, own)
}

func (r *rig) compareStore(v *verdict, want []string) error {
	root := filepath.Join(r.master.DataDir, "store")
	var have []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasPrefix(path, filepath.Join(root, siteName)) {
			rel, _ := filepath.Rel(root, path)
			have = append(have, rel)
		}
		return err
	})
	slices.Sort(want)
	slices.Sort(have)
	if d := bed.Print(want).Diff(have); d != "" {
		v.problem("what is listed (-) is not what lies in the store (+):\n%s", d)
	}
	return err
}

func (r *rig) judgeSafety(ctx context.Context, v *verdict, own []string) error {
	w, err := r.watch()
	if err != nil {
		return err
	}
	journal, err := w.journal(ctx, v.task.ID)
	if err := errors.Join(err, w.close()); err != nil {
		return err
	}
	if taken := slices.Contains(journal, "done safety_backup"); taken && len(own) == 0 || v.task.Safety != "" && !slices.Contains(own, v.task.Safety) {
		v.problem("the safety backup %q was taken and is not listed: %q", v.task.Safety, own)
	}
	if len(own) == 0 {
		return nil
	}
	if _, err := r.run(ctx, append([]string{"check"}, own...)...); err != nil {
		v.problem("the safety backup is not whole: %v", err)
	}
	return nil
}
