//go:build integration

package web_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sitekeep/sitekeep/test/bed"
)

// TestPages is an operator's way through the pages, from the first sign-in on, and what others get who try.
func TestPages(t *testing.T) {
	s := newStage(t)
	s.step("the first sign-in", s.firstSignIn)
	s.step("servers join", s.serversJoin)
	s.step("sites are put under care", s.addSites)
	s.step("a site is discovered", s.discoverSite)
	s.step("a backup, its log watched", s.backUp)
	s.step("a drill", s.drill)
	s.step("a wreck, a restore and its undo", s.wreckAndRestore)
	s.step("all pages", s.everyPage)
	s.step("time zones", s.readersZone)
	s.step("those who may not", s.thoseWhoMayNot)
	s.step("hostile text", s.hostileText)
	s.step("another's page", s.anothersPage)
	s.step("without a script", s.withoutScript)
}

func (s *stage) firstSignIn() {
	s.addUser("root", "--role", "admin")
	s.open("/tasks")
	s.sees("Sign in", "sitekeep user add")
	s.inspect("signin")
	s.types(`input[name=name]`, "root")
	s.types(`input[name=password]`, "not the password")
	s.click(`main button`)
	s.sees("Name or password is wrong")
	s.signIn("root")
	s.sees("No sites yet", "Join a server")
	s.inspect("empty")
}

// serversJoin: the page gives a command, which is run as it stands.
func (s *stage) serversJoin() {
	s.open("/servers")
	s.sees("No server has joined yet")
	s.types(`input[name=name]`, "web1")
	s.click(`main form button.primary`)
	s.sees("Join web1", "shown only now")
	s.inspect("join")
	command := asks[string](s, `document.getElementById("join").innerText`)
	s.agent = s.Agent(s.master, "web1", bed.AgentOptions{Web: s.web, Command: command})
	s.open("/servers")
	s.sees("web1", "Fine", "nginx", "%")
	s.lacks("skj_")
	s.Agent(s.master, "db1", bed.AgentOptions{DB: s.db})
}

// addSites adds a real site, and small ones that are as sites can be: new, broken, with a long name.
func (s *stage) addSites() {
	s.OK(s.master, "site", "add", siteName, "--web", "web1", "--db", "db1", "--root", s.site.Root)
	s.OK(s.master, "site", "verify", siteName)
	s.must(s.site.CheckPages(s.t.Context()))
	for _, name := range []string{"bakery.example", "broken.example", longName} {
		root := filepath.Join(s.web.Root, name)
		s.must(os.MkdirAll(root, 0o755))
		s.must(os.WriteFile(filepath.Join(root, "index.html"), []byte("<h1>"+name+"</h1>"), 0o644))
		for _, hostile := range hostileNames() {
			s.must(os.WriteFile(filepath.Join(root, hostile), []byte("hostile"), 0o644))
		}
		s.OK(s.master, "site", "add", name, "--web", "web1", "--root", root, "--kind", "generic", "--vhost", "external", "--client", "bakers")
	}
	s.must(os.RemoveAll(filepath.Join(s.web.Root, "broken.example")))
	if r := s.CLI(s.master, "backup", "broken.example"); r.Code == 0 {
		s.t.Fatal("a site that is gone was backed up")
	}
	s.OK(s.master, "backup", longName, "-m", "Before the campaign")
	s.addUser("ada", "--role", "operator")
	s.addUser("vic", "--role", "viewer")
	s.addUser("max", "--role", "operator", "--client", "others")
	s.signOut()
	s.signIn("ada")
	s.sees(siteName, "No good backup", "Last task failed", longName)
}

// discoverSite finds one that a virtual host leads to, and puts it under care.
func (s *stage) discoverSite() {
	const name = "florist.example"
	root := filepath.Join(s.web.Root, name)
	s.must(os.MkdirAll(root, 0o755))
	s.must(os.WriteFile(filepath.Join(root, "index.php"), []byte("<?php echo 'roses';"), 0o644))
	s.must(bed.Vhost{Web: s.web, Name: name, Docroot: root}.Publish(s.t.Context()))
	s.signOut()
	s.signIn("root")
	s.open("/servers")
	s.click(`a[href="/servers/web1/sites"]`)
	s.sees(name, "Under care as "+siteName)
	s.inspect("discover")
	s.click(`input[value="` + name + `"]`)
	s.click(`main form button.primary`)
	s.sees("Under care", name)
	s.click(`.note a`)
	s.sees("No backups yet", "external", root)
	s.signOut()
	s.signIn("ada")
}

// backUp is by keyboard alone. The agent stands still for a while, so that there is a live page to look at.
func (s *stage) backUp() {
	s.open("/sites/" + siteName)
	s.sees("No backups yet")
	s.tabsTo("Back up…")
	s.enter()
	s.comesBy("description")
	s.inspect("backup")
	s.open("/sites/" + siteName)
	s.tabsTo("Back up…")
	s.enter()
	s.comesBy("description")
	s.keys(reason)
	s.must(s.agent.Signal(syscall.SIGSTOP))
	s.enter()
	s.sees("Running", "Backup of "+siteName, "Cancel")
	s.inspect("running")
	running := asks[string](s, `location.pathname`)
	s.open("/sites/" + siteName)
	s.sees("Running", "begun")
	s.open(running)
	asks[bool](s, `new PerformanceObserver((list) => list.getEntries().forEach((e) => {
		if (!e.hadRecentInput) sessionStorage.shift = Number(sessionStorage.shift || 0) + e.value;
	})).observe({ type: "layout-shift" }), sessionStorage.shift = 0, true`)
	s.must(s.agent.Signal(syscall.SIGCONT))
	s.sees("Succeeded", "Backup of "+siteName, "Took", "files, ")
	if shift := asks[float64](s, `Number(sessionStorage.shift)`); shift > mostShift {
		s.t.Errorf("while the log filled, the layout shifted by %.4f", shift)
	}
	s.inspect("task")
	late := asks[string](s, `fetch(location.href).then((r) => r.text())`)
	if want := asks[string](s, `document.querySelector("#log p bdi").textContent`); !strings.Contains(late, want) {
		s.t.Errorf("a page that is opened late lacks %q", want)
	}
}

// drill tries the backup out beside the site, which serves meanwhile and afterwards what it did.
func (s *stage) drill() {
	s.open("/sites/" + siteName)
	s.sees("has not been tried")
	s.click(`.drill button`)
	s.sees("Drill of "+siteName, "Succeeded", "Took")
	s.must(s.site.CheckPages(s.t.Context()))
	s.open("/sites/" + siteName)
	s.sees("Passed")
	s.open("/?q=" + siteName)
	s.sees("Drill passed")
}

// wreckAndRestore: the restore is by keyboard, too.
func (s *stage) wreckAndRestore() {
	ctx := s.t.Context()
	before := bed.Must(s.site.Fingerprint(ctx))(s.t)
	s.must(s.site.Wreck(ctx))
	if s.site.CheckPages(ctx) == nil {
		s.t.Fatal("the wreck works still")
	}
	s.open("/sites/" + siteName)
	s.sees(reason)
	s.tabsTo("Restore…")
	s.enter()
	s.sees(reason, "Files and database")
	s.tabsTo("See what it would do")
	s.enter()
	s.sees("What the restore would do", "Site is down")
	s.inspect("plan")
	s.onPaper("plan")
	s.tabsTo("confirm")
	s.keys(siteName)
	s.enter()
	s.sees("Restore of "+siteName, "Downtime", "Safety backup")
	s.must(s.site.CheckPages(ctx))
	after := bed.Must(s.site.Fingerprint(ctx))(s.t)
	if diff := before.Diff(after); diff != "" {
		s.t.Errorf("the site is not what it was:\n%s", diff)
	}

	s.open("/sites/" + siteName)
	s.sees("Restored lately")
	s.inspect("site")
	s.onPaper("site")
	s.types(`input[name=confirm]`, siteName)
	s.click(`main .note button.danger`)
	s.sees("Undo of "+siteName, "Succeeded", "Took")
	if s.site.CheckPages(ctx) == nil {
		s.t.Error("the wreck is not back")
	}
}

// everyPage looks at those that were not come through.
func (s *stage) everyPage() {
	s.signOut()
	s.signIn("root")
	s.inspect("overview")
	s.open("/sites/" + siteName)
	s.do("inside the backup", chromedp.Click(`main table tbody th a`))
	s.sees("wp-config.php", "wp_posts", "Rows")
	s.inspect("contents")
	s.onPaper("contents")
	backup := asks[string](s, `location.pathname`)
	for page, path := range map[string]string{
		"restore": "/sites/" + siteName + "/restore", "clone": "/sites/" + siteName + "/clone", "settings": "/sites/" + siteName + "/settings",
		"retention": "/sites/" + siteName + "/retention?preview=yes&daily=1&last=1", "schedules": "/retention", "schedule": "/schedule?site=" + siteName,
		"client": "/clients/bakers/retention?preview=yes&daily=7", "remove": "/sites/" + longName + "/remove",
		"deploy-form": backup + "/deploy", "deploy-taken": backup + "/deploy/plan?name=bakery.example&web=web1&db=db1&root=/srv/x",
		"deploy": backup + "/deploy/plan?name=meadow.example&web=web1&db=db1&root=" + url.QueryEscape(filepath.Join(s.web.Root, "meadow.example")),
		"users":  "/users", "servers": "/servers", "tasks": "/tasks", "absent": "/sites/nowhere.example", "none-found": "/?q=nobody",
	} {
		s.open(path)
		s.inspect(page)
	}
	s.open("/?show=failed")
	s.do("the failed task", chromedp.Click(`td[data-label="Last task"] a`))
	s.sees("Failed", "What to do", "To the first error", "Try again")
	s.inspect("failed")
	s.onPaper("failed")
	s.click(`#first-error`)
	if id := asks[string](s, `document.querySelector(":target").className`); id != "error" {
		s.t.Errorf("the first error is %q", id)
	}
}

// readersZone: times come from the master as the reader has them, and the script finds nothing to change.
func (s *stage) readersZone() {
	s.open("/sites/" + siteName)
	s.sees("Times are in " + zone)
	const shown = `(html) => [...new DOMParser().parseFromString(html, "text/html").querySelectorAll("time")].map((t) => t.textContent)`
	sent := asks[[]string](s, `fetch(location.href).then((r) => r.text()).then(`+shown+`)`)
	rewritten := asks[[]string](s, `(`+shown+`)(document.documentElement.outerHTML)`)
	if len(sent) == 0 || strings.Join(sent, "|") != strings.Join(rewritten, "|") {
		s.t.Errorf("the master sends %q, the script shows %q", sent, rewritten)
	}
	if now := asks[bool](s, `(() => { const t = document.querySelector("main tbody time"), at = new Date(t.dateTime);
		return t.textContent.endsWith(at.toLocaleTimeString("en-GB", { timeZone: "`+zone+`", hour: "2-digit", minute: "2-digit" })); })()`); !now {
		s.t.Error("times are not those of the reader's zone")
	}
}
