//go:build integration

package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sitekeep/sitekeep/test/bed"
)

const siteName = "garden.example"

// patience bounds what must come by itself, on a machine that is busy too.
const patience = 2 * time.Minute

// stage is a site under care: servers, a master, agents.
type stage struct {
	*bed.T
	t      *testing.T
	db     *bed.MariaDB
	web    *bed.Web
	master *bed.Master
	onWeb  *bed.Agent
	onDB   *bed.Agent
	site   *bed.WordPress
}

// newStage has a WordPress under care, its web server and its database server
// with an agent each.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := newServers(t)
	s.onWeb = s.Agent(s.master, "web1", bed.AgentOptions{Web: s.web})
	s.onDB = s.Agent(s.master, "db1", bed.AgentOptions{DB: s.db})
	s.addSite("web1", "db1")
	return s
}

// newServers starts all but the agents.
func newServers(t *testing.T) *stage {
	t.Helper()
	b := bed.New(t)
	s := &stage{T: b, t: t, db: b.MariaDB("db1"), web: b.Web("web1")}
	s.site = b.WordPress(s.web, s.db, siteName)
	s.master = b.Master("master")
	return s
}

// addSite puts the WordPress under care, served by the managed vhost alone.
func (s *stage) addSite(web, db string) {
	s.t.Helper()
	s.ok("site", "add", siteName, "--web", web, "--db", db, "--root", s.site.Root)
	s.must(s.site.RemoveVhost(s.t.Context()))
	s.ok("site", "verify", siteName)
	s.must(s.site.CheckPages(s.t.Context()))
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// ok runs a command that must end with 0, and gives its standard output.
func (s *stage) ok(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(s.OK(s.master, args...))
}

// done is ok for what may end with warnings.
func (s *stage) done(args ...string) string {
	s.t.Helper()
	r := s.CLI(s.master, args...)
	if r.Code != 0 && r.Code != 6 {
		s.t.Fatalf("sitekeep %s: %s", strings.Join(args, " "), r)
	}
	return strings.TrimSpace(r.Stdout)
}

// refused runs a command that must end with a status, say all of the words on
// standard error, and give a hint.
func (s *stage) refused(status int, words []string, args ...string) *bed.Result {
	s.t.Helper()
	r := s.CLI(s.master, args...)
	judgeRefusal(s.t, r, status, words, args)
	return r
}

func judgeRefusal(t *testing.T, r *bed.Result, status int, words, args []string) {
	t.Helper()
	command := "sitekeep " + strings.Join(args, " ")
	if r.Code != status {
		t.Errorf("%s: want exit status %d: %s", command, status, r)
		return
	}
	for _, w := range append(slices.Clone(words), "hint: ") {
		if !strings.Contains(r.Stderr, w) {
			t.Errorf("%s: standard error lacks %q: %s", command, w, r)
		}
	}
}

// read runs a command with JSON for its result.
func read[V any](s *stage, args ...string) V {
	s.t.Helper()
	return decode[V](s, s.ok(append(args, "-o", "json")...))
}

// decode reads what a command has printed.
func decode[V any](s *stage, text string) V {
	s.t.Helper()
	var v V
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		s.t.Fatalf("%v: %.300s", err, text)
	}
	return v
}

// backupInfo and taskInfo are what scripts rely on.
type backupInfo struct {
	ID          string    `json:"id"`
	Site        string    `json:"site"`
	CreatedAt   time.Time `json:"created_at"`
	Description string    `json:"description"`
	Format      string    `json:"format"`
	Size        int64     `json:"size"`
	NewBytes    int64     `json:"new_bytes"`
	Files       int64     `json:"files"`
	Digest      string    `json:"digest"`
	Pinned      bool      `json:"pinned"`
	Warnings    []string  `json:"warnings"`
	Task        string    `json:"task"`
}

type taskInfo struct {
	ID     string `json:"id"`
	Kind   string `json:"kind"`
	Site   string `json:"site"`
	State  string `json:"state"`
	Error  string `json:"error"`
	Hint   string `json:"hint"`
	Backup string `json:"backup"`
	Safety string `json:"safety_backup"`

	Attempt int `json:"attempt"`
}

func (t taskInfo) final() bool { return t.State != "queued" && t.State != "running" }

func (t taskInfo) good() bool { return t.State == "succeeded" || t.State == "warning" }

func (s *stage) backups() []backupInfo {
	s.t.Helper()
	return read[[]backupInfo](s, "backups")
}

func (s *stage) backup(args ...string) string {
	s.t.Helper()
	return s.ok(append([]string{"backup", siteName}, args...)...)
}

func (s *stage) task(id string) taskInfo {
	s.t.Helper()
	return read[taskInfo](s, "task", "show", id)
}

// ended waits for a task's end, and fails the test when it does not come by
// itself.
func (s *stage) ended(id string) taskInfo {
	s.t.Helper()
	var last taskInfo
	eventually(s.t, "the end of task "+id, func() error {
		if last = s.task(id); !last.final() {
			return fmt.Errorf("it is %s", last.State)
		}
		return nil
	})
	return last
}

// eventually asks until there is no error, for the time of patience.
func eventually(t *testing.T, what string, ask func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come within %s: %v", what, patience, err)
		}
	}
}

// fingerprint is all that the site is now.
func (s *stage) fingerprint() *bed.Fingerprint {
	s.t.Helper()
	return bed.Must(s.site.Fingerprint(s.t.Context()))(s.t)
}

// isNow fails the test unless the site is what it was.
func (s *stage) isNow(want *bed.Fingerprint) {
	s.t.Helper()
	if d := want.Diff(s.fingerprint()); d != "" {
		s.t.Errorf("the site is not what it was:\n%s", d)
	}
}

// settle takes over into the stage which credentials the site has now.
func (s *stage) settle() {
	s.t.Helper()
	c := bed.Must(s.site.ReadConfig())(s.t)
	s.site.Database, s.site.User, s.site.Password = c["DB_NAME"], c["DB_USER"], c["DB_PASSWORD"]
}

// inventory is what lies on the servers.
func (s *stage) inventory() *bed.Inventory {
	s.t.Helper()
	return bed.Must(bed.TakeInventory(s.t.Context(), []*bed.MariaDB{s.db}, []*bed.Web{s.web}))(s.t)
}

// nothingLeft holds the servers against what was there before, but for the
// name of the site's database and its user: no other database, user, grant,
// directory, vhost, or flag has come or gone.
func (s *stage) nothingLeft(before *bed.Inventory, database string) {
	s.t.Helper()
	now := bed.Must(s.site.ReadConfig())(s.t)["DB_NAME"]
	if d := before.Nameless(database).Diff(s.inventory().Nameless(now)); d != "" {
		s.t.Errorf("on the servers something came or went (database was %s, is %s):\n%s", database, now, d)
	}
}

// change makes the site another one, that serves all the same: a post is
// renamed, a table comes, an upload goes, another comes. The backup of the
// site as it was differs from it in tree, tables and pages.
func (s *stage) change(n int) {
	s.t.Helper()
	s.settle()
	in := bed.Ident(s.site.Database) + "."
	uploads := filepath.Join(s.site.Root, "wp-content", "uploads")
	s.must(s.db.Exec(s.t.Context(),
		fmt.Sprintf("UPDATE %swp_posts SET post_title = 'Changed %d' WHERE post_title = '%s'", in, n, bed.FirstPost),
		fmt.Sprintf("CREATE TABLE %swp_changed (n INT) SELECT %d AS n", in, n)))
	s.must(os.Remove(filepath.Join(uploads, "plan.png")))
	s.must(os.WriteFile(filepath.Join(uploads, "changed.txt"), fmt.Append(nil, n), 0o644))
}

// store lists the files below the store, by their paths in it.
func (s *stage) store() []string {
	s.t.Helper()
	root := filepath.Join(s.master.DataDir, "store")
	var files []string
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			rel, _ := filepath.Rel(root, path)
			files = append(files, rel)
		}
		return err
	})
	s.must(err)
	return files
}

// storeIsListed fails the test unless the store holds a tarball and a manifest
// for each listed backup, and nothing else that looks like a backup or a part
// of one.
func (s *stage) storeIsListed() {
	s.t.Helper()
	want := map[string]bool{}
	for _, b := range s.backups() {
		want[filepath.Join(b.Site, b.ID+"."+b.Format)] = true
		want[filepath.Join(b.Site, b.ID+".manifest.json")] = true
	}
	for _, f := range s.store() {
		if !want[f] && strings.HasPrefix(f, siteName) {
			s.t.Errorf("in the store and not listed: %s", f)
		}
		delete(want, f)
	}
	for f := range want {
		s.t.Errorf("listed and not in the store: %s", f)
	}
}

// tarball is where a backup lies.
func (s *stage) tarball(id string) string {
	s.t.Helper()
	for _, f := range s.store() {
		if name := filepath.Base(f); name == id+".tar.zst" || name == id+".tar.gz" {
			return filepath.Join(s.master.DataDir, "store", f)
		}
	}
	s.t.Fatalf("no tarball %s in the store", id)
	return ""
}
