package restore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/saga/sagatest"
)

// Two sites share two web servers and a database server, and their names run
// into each other. The first one is restored.
const (
	siteName  = "ab.example"
	otherName = "a-b.example"
	oldDB     = "abexample"
	otherDB   = "abexample_0"
	newTask   = "01KACQ4J7XK0VJ7N3YH2M3T5QZ"
	newDB     = "abexample_m3t5qz"
)

// world is what a restore changes: it outlives every crash of the master.
type world struct {
	mu     sync.Mutex
	f      *sagatest.Faults
	quirks quirks
	webs   map[string]*webServer
	dbs    map[string]*database
	// accounts are users at hosts: "user@host".
	accounts map[string]*account
	inodes   uint64
	files    int
	safety   []string        // tasks that a safety backup was made for
	pinned   map[string]bool // by task
	mixed    []string        // what visitors must not have seen
	at       func()          // called before everything that happens; may be nil
	missing  *webServer      // that cannot be reached
	leaky    string          // web server on which maintenance keeps nobody out
	longest  time.Duration   // the longest lease that was asked for
	dumped   []model.Table   // what a dump of a new database finds; nil: what was restored
}

// quirks are what is special about a world.
type quirks struct {
	part     Part
	paths    string // with Selected: a glob, or nothing
	tables   string // the same
	views    bool   // views are in the backup and in the live database
	external bool   // the vhost is the operator's
	noRoot   bool   // the directory is gone on web2
	noData   bool   // the old database is gone
	shared   bool   // the other site uses the same database and user
	deploy   bool   // the backup is that of a site of another name
	fresh    bool   // with deploy: the site is a new one
	migrate  bool   // the site moves to web3, web4 and db2
	moved    bool   // with migrate: to another directory
	to       string // with migrate: other web servers and another database server than those
}

// Where a site migrates to that stays on some of its servers.
const (
	toDatabase = "web1 web2 db2" // no web server changes
	toWeb      = "web3 web4 db1" // the database server does not
	toPart     = "web2 web3 db1" // one web server stays, one goes, one comes
	toPartOfDB = "web2 web3 db2" // and another database server
	toFewer    = "web2 db1"      // one web server goes
	toMore     = "web1 web2 web3 db1"
)

// target are the servers that a site migrates to, the database server last.
func (q quirks) target() (webs []string, db string) {
	names := strings.Fields(cmp.Or(q.to, "web3 web4 db2"))
	return names[:len(names)-1], names[len(names)-1]
}

// viewsOnly: pages do not show what is replaced.
func (q quirks) viewsOnly() bool { return q.tables == "view*" }

type database struct {
	content string
	bare    bool              // its triggers are away
	views   map[string]string // bodies of their definitions
}

type account struct {
	password string
	rights   []string // databases
}

// webServer has directories by path, and what lies beside them.
type webServer struct {
	name    string
	host    string // as the database server sees it
	live    map[string]*tree
	staging map[string]*staging          // by site and task
	vhosts  map[string]string            // by site
	saved   map[string]string            // by site and task: what stood there before; "-" for nothing
	flags   map[string]map[string]string // by site and owner: which lease
	php     map[string]*credentials      // by site: the settings that PHP has compiled
}

// tree is a directory. Its inode is its identity.
type tree struct {
	inode    uint64
	content  string
	settings *settingsFile
}

type settingsFile struct {
	id int // the very file
	credentials
}

type credentials struct{ host, name, user, password string }

// staging is a directory beside the site's.
type staging struct {
	tree *tree
	half bool // files that are no tree yet, or no longer
	kept *settingsFile
}

const dbHost = "db1:3306"

// newDBHost is where a site migrates to.
const newDBHost = "db2:3306"

// formerName is that of the site whose backup is deployed, and renamedContent what comes of it.
const formerName, renamedContent = "former.example", "restored and renamed"

func newWorld(f *sagatest.Faults, q quirks) *world {
	w := &world{f: f, quirks: q, webs: map[string]*webServer{}, accounts: map[string]*account{}, pinned: map[string]bool{},
		dbs: map[string]*database{oldDB: {content: "old " + siteName}, otherDB: {content: "old " + otherName}}}
	names := []string{"web1", "web2"}
	if q.migrate {
		names = append(names, "web3", "web4")
	}
	for i, name := range names {
		s := &webServer{name: name, host: fmt.Sprintf("10.0.0.%d", i+1), live: map[string]*tree{}, staging: map[string]*staging{}, vhosts: map[string]string{},
			saved: map[string]string{}, flags: map[string]map[string]string{siteName: {}, otherName: {}}, php: map[string]*credentials{}}
		w.webs[name] = s
		if !q.fresh && i < 2 {
			w.live(s, siteName, oldDB)
		}
		w.live(s, otherName, w.databaseOf(otherName))
		s.vhosts[siteName+".old"] = "somebody's own"
		s.staging[siteName+" 01KACQ4J7XK0VJ7N3YH2OTHER1"] = &staging{tree: &tree{content: "another task's"}}
	}
	if q.views {
		w.dbs[oldDB].views = map[string]string{"view_old": "`view_old` AS SELECT 'as it was'"}
	}
	if q.noRoot {
		delete(w.webs["web2"].live, siteName)
	}
	if q.noData || q.fresh {
		delete(w.dbs, oldDB)
	}
	w.visit()
	w.mixed = nil
	return w
}

// databaseOf is what a site uses when the world begins.
func (w *world) databaseOf(site string) string {
	if site == otherName && !w.quirks.shared {
		return otherDB
	}
	return oldDB
}

func (w *world) live(s *webServer, site, db string) {
	w.inodes++
	w.files++
	s.live[site] = &tree{inode: w.inodes, content: "old " + site, settings: &settingsFile{w.files, credentials{dbHost, db, db, "secret of " + db}}}
	s.vhosts[site] = "old vhost of " + site
	w.allow(db, s.host, "secret of "+db, db)
}

func (w *world) allow(user, host, password, db string) {
	a := w.accounts[user+"@"+host]
	if a == nil {
		a = &account{}
		w.accounts[user+"@"+host] = a
	}
	a.password = password
	if !slices.Contains(a.rights, db) {
		a.rights = append(a.rights, db)
	}
}

// login is what a PHP program does.
func (w *world) login(s *webServer, c *credentials) (content string, err error) {
	a := w.accounts[c.user+"@"+s.host]
	switch {
	case c.host != dbHost && !w.quirks.migrate, c.host != w.hostOf(c.name):
		return "", fmt.Errorf("no database server at %s", c.host)
	case a == nil || a.password != c.password || !slices.Contains(a.rights, c.name):
		return "", fmt.Errorf("access denied for %s@%s to %s", c.user, s.host, c.name)
	case w.dbs[c.name] == nil:
		return "", fmt.Errorf("no database %s", c.name)
	}
	return w.dbs[c.name].String(), nil
}

// hostOf is the server on which a database is.
func (w *world) hostOf(database string) string {
	if w.quirks.migrate && database != oldDB && database != otherDB {
		_, db := w.quirks.target()
		return db + ":3306"
	}
	return dbHost
}

func (d *database) String() string {
	if d.bare {
		return d.content + " without triggers"
	}
	return d.content
}

// page is what a site answers: its files, and its database by the settings that PHP has.
func (w *world) page(s *webServer, site string) (files, data string, err error) {
	t := s.live[site]
	if t == nil || t.settings == nil {
		return "", "", fmt.Errorf("no site")
	}
	if s.php[site] == nil {
		c := t.settings.credentials
		s.php[site] = &c
	}
	data, err = w.login(s, s.php[site])
	return t.content, data, err
}

// visit lets a visitor look at every site on every server that lets him in. Files and database must belong together.
func (w *world) visit() {
	for _, s := range w.servers() {
		for _, site := range []string{siteName, otherName} {
			if len(s.flags[site]) > 0 {
				continue
			}
			if files, data, err := w.page(s, site); !w.whole(s, site, files, data, err) {
				w.saw(fmt.Sprintf("%s on %s: %q, %q, %v", site, s.name, files, data, err))
			}
		}
	}
	if w.quirks.migrate && w.open() > 1 {
		w.saw(twoPlaces)
	}
}

// saw keeps what no visitor must see.
func (w *world) saw(what string) {
	if !slices.Contains(w.mixed, what) {
		w.mixed = append(w.mixed, what)
	}
}

// twoPlaces is what a migration must never let happen: what is written at one of them is missing at the other.
const twoPlaces = "both places open"

// open counts the databases of the site that visitors can write to, now or when what keeps them out has run out by itself.
func (w *world) open() int {
	databases := map[string]bool{}
	for _, s := range w.servers() {
		held := slices.Contains(slices.Collect(maps.Values(s.flags[siteName])), "held")
		if t := s.live[siteName]; t != nil && t.settings != nil && !held {
			databases[t.settings.name] = true
		}
	}
	return len(databases)
}

func (w *world) whole(s *webServer, site, files, data string, err error) bool {
	old := files == "old "+site && data == "old "+w.ownerOf(site)
	if w.quirks.deploy && site == siteName {
		old = old || w.quirks.fresh && s.live[site] == nil
		return old || err == nil && files == renamedContent && data == renamedContent
	}
	if site != siteName {
		return err == nil && old
	}
	if w.quirks.migrate {
		return old || s.live[site] == nil || err == nil && files == w.quirks.migrated() && data == w.quirks.migrated()
	}
	if w.quirks.noData || w.quirks.noRoot && s.name == "web2" { // it was broken before
		old = old || err != nil && files != "restored"
	}
	chosen := [2]string{"old " + siteName, "old " + siteName}
	if w.quirks.paths != "" {
		chosen[0] = "restored"
	}
	if w.quirks.tables != "" && !w.quirks.viewsOnly() {
		chosen[1] = "restored"
	}
	if old || err != nil {
		return old
	}
	want := map[Part][2]string{Selected: chosen, Whole: {"restored", "restored"}, FilesOnly: {"restored", "old " + siteName}, DatabaseOnly: {"old " + siteName, "restored"}}[w.quirks.part]
	return files == want[0] && data == want[1]
}

// ownerOf says whose content a site's first database has.
func (w *world) ownerOf(site string) string {
	if w.quirks.shared {
		return siteName
	}
	return site
}

func (w *world) servers() []*webServer {
	return slices.SortedFunc(maps.Values(w.webs), func(a, b *webServer) int { return cmp.Compare(a.name, b.name) })
}

// act carries out the parts of a change, each with places for faults around it, and lets visitors look after each.
func (w *world) act(ctx context.Context, name string, parts ...func() error) error {
	w.happen()
	locked := make([]func() error, len(parts))
	for i, part := range parts {
		locked[i] = func() error {
			w.mu.Lock()
			defer w.mu.Unlock()
			defer w.visit()
			return part()
		}
	}
	return w.f.Act(ctx, name, locked...)
}

func (w *world) happen() {
	if w.at != nil {
		w.at()
	}
}

// look is for calls that change nothing.
func (w *world) look(ctx context.Context, name string, f func() error) error {
	w.happen()
	if err := w.f.At(ctx, name); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return f()
}

// Snapshot describes everything but inodes, new passwords, safety backups, and
// what PHP has compiled as long as it is right.
func (w *world) Snapshot() string { return w.snapshot(false) }

// snapshot leaves out, if asked, what is in the new database and in staged settings, which belong to no visitor yet:
// steps that fill what an earlier step has made leave the undoing to that.
func (w *world) snapshot(hidden bool) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.visit()
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, s := range w.servers() {
		for site, t := range s.live {
			add("%s: live %s: %s", s.name, site, t)
		}
		for key, st := range s.staging {
			t := st.tree
			half := st.half
			if hidden && t != nil && (t.content == "restored" || t.content == renamedContent) {
				t = &tree{content: "restored"}
			}
			if hidden && half && w.quirks.migrate { // send_ahead has made it, and removes it
				t, half = &tree{content: "restored"}, false
			}
			add("%s: staging %s: %s, half %v, kept %s", s.name, key, t, half, st.kept)
		}
		for name, text := range s.vhosts {
			add("%s: vhost %s: %s", s.name, name, text)
		}
		for key, text := range s.saved {
			add("%s: saved vhost %s: %s", s.name, key, text)
		}
		for site, owners := range s.flags {
			for owner, lease := range owners {
				add("%s: maintenance of %s by %s: %s", s.name, site, owner, lease)
			}
		}
		for site, c := range s.php {
			if t := s.live[site]; len(s.flags[site]) > 0 {
				continue // nobody sees it, and it is forgotten before anybody does
			} else if t == nil || t.settings == nil || t.settings.credentials != *c {
				add("%s: PHP has old settings of %s: %s", s.name, site, c.name)
			}
		}
	}
	for name, d := range w.dbs {
		if hidden && name == newDB && !w.usesNew() && w.accounts[newDB+"@"+w.quirks.lastHost()] != nil {
			continue
		}
		add("database %s: %s", name, d)
		for view, body := range d.views {
			add("view %s of %s: %s", view, name, body)
		}
	}
	for name, a := range w.accounts {
		add("account %s: %s on %v", name, passwordText(a.password), a.rights)
	}
	for _, m := range w.mixed {
		add("SEEN %s", m)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (w *world) usesNew() bool {
	for _, s := range w.webs {
		if t := s.live[siteName]; t != nil && t.settings != nil && t.settings.name == newDB {
			return true
		}
	}
	return false
}

func passwordText(p string) string {
	if strings.HasPrefix(p, "secret of ") {
		return p
	}
	return "a new password"
}

func (t *tree) String() string {
	if t == nil {
		return "nothing"
	}
	return fmt.Sprintf("%q with %s", t.content, t.settings)
}

func (s *settingsFile) String() string {
	if s == nil {
		return "no settings"
	}
	id := "a new file"
	if s.id > 0 {
		id = fmt.Sprintf("file %d", s.id)
	}
	return fmt.Sprintf("%s: %s on %s as %s with %s", id, s.name, s.host, s.user, passwordText(s.password))
}

// --- what a restore asks of the master's own parts

// migrated is what a migration makes of the site's content.
func (q quirks) migrated() string {
	if q.moved {
		return renamedContent
	}
	return "restored"
}

// lastHost is the address of the last web server that the site is restored to.
func (q quirks) lastHost() string {
	if q.migrate {
		webs, _ := q.target()
		return "10.0.0." + strings.TrimPrefix(webs[len(webs)-1], "web")
	}
	return "10.0.0.2"
}

// place is where the site migrates to.
func (q quirks) place() *Place {
	p := &Place{}
	p.WebServers, p.DBServer = q.target()
	if q.moved {
		p.Root = "/srv/" + siteName
	}
	return p
}

// site is the inventory's record of the restored site.
func (q quirks) site() model.Site {
	vhost := model.VhostManaged
	if q.external {
		vhost = model.VhostExternal
	}
	return model.Site{
		Name: siteName, Kind: "wordpress", WebServers: []string{"web1", "web2"}, DBServer: "db1", Root: "/var/www/" + siteName, Docroot: "/var/www/" + siteName,
		Database: model.Database{Name: oldDB, User: oldDB, Host: dbHost}, Vhost: vhost, CreatedAt: time.Unix(1e9, 0).UTC(),
	}
}

// Site is the inventory of tests that have no catalogue.
func (w *world) Site(context.Context, string) (model.Site, error) {
	if w.quirks.fresh {
		return model.Site{}, errs.New(errs.NotFound, "", "there is no site")
	}
	return w.quirks.site(), nil
}

// SitesUsingDatabase does not know of the restored site: what it uses after the commit is for the catalogue to say.
func (w *world) SitesUsingDatabase(_ context.Context, _, name string) ([]string, error) {
	if name == w.databaseOf(otherName) {
		return []string{otherName}, nil
	}
	return nil, nil
}

// RootFree knows of no other site's directory.
func (w *world) RootFree(context.Context, model.Site) error { return nil }

// Web finds an agent.
func (w *world) Web(_ context.Context, server string) (Web, error) {
	s := w.webs[server]
	if s == nil {
		return nil, errs.New(errs.Unreachable, "", "the agent of %s cannot be reached", server)
	}
	return &webAgent{w, s}, nil
}

// DB finds an agent.
func (w *world) DB(_ context.Context, server string) (DB, error) { return &dbAgent{w, server}, nil }
