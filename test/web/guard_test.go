//go:build integration

package web_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	_ "modernc.org/sqlite" // puts text into the catalogue that no client of the API can
)

// thoseWhoMayNot: a viewer starts nothing, and another client's user sees nothing, whatever addresses they know.
func (s *stage) thoseWhoMayNot() {
	backup := asks[string](s, `document.querySelector('main tbody th a[href^="/backups/"]').getAttribute("href")`)
	task := asks[string](s, `document.querySelector('main tbody th a[href^="/tasks/"]').getAttribute("href")`)
	s.signOut()
	s.signIn("vic")
	s.open("/sites/" + siteName)
	s.sees("Restore…")
	s.lacks("Back up…", "Download", "Delete…", "Clone…")
	if forms := asks[int64](s, `document.querySelectorAll("main form").length`); forms != 0 {
		s.t.Errorf("a viewer is offered %d forms", forms)
	}
	for _, form := range []string{"/sites/" + siteName + "/backup", "/sites/" + siteName + "/restore", "/sites/" + siteName + "/undo", "/sites/" + siteName + "/clone",
		backup + "/delete", backup + "/pin", task + "/cancel", task + "/retry", "/servers", "/users", "/schedule", "/retention"} {
		if status := s.posts(form, "confirm="+siteName); status != http.StatusForbidden {
			s.t.Errorf("a viewer sends %s: %d", form, status)
		}
	}
	s.signOut()
	s.signIn("max")
	s.sees("No sites yet")
	s.lacks(siteName, "Servers", "Users")
	for _, path := range []string{"/sites/" + siteName, "/sites/" + siteName + "/restore", backup, backup + "/download", task} {
		s.open(path)
		s.sees("Not found")
		s.lacks(reason)
	}
	for _, form := range []string{"/sites/" + siteName + "/backup", backup + "/pin", task + "/retry"} {
		if status := s.posts(form, ""); status != http.StatusNotFound {
			s.t.Errorf("another client's user sends %s: %d", form, status)
		}
	}
	s.signOut()
	s.signIn("root")
}

// posts sends a form with the session's own mark, as the page's script could.
func (s *stage) posts(path, fields string) int64 {
	s.t.Helper()
	return asks[int64](s, fmt.Sprintf(`fetch(%q, { method: "POST", redirect: "manual", headers: { "Content-Type": "application/x-www-form-urlencoded" },
		body: %q + "&csrf=" + document.querySelector("input[name=csrf]").value }).then((r) => r.status)`, path, fields))
}

const markup = `</td></table><script>document.title="owned"</script><img src=x onerror="document.title='owned'">`

// hostileNames are those of files that somebody has uploaded.
func hostileNames() []string {
	return []string{strings.ReplaceAll(markup, "/", "|"), "safe\u202Etxt.exe\u2066", strings.Repeat("long", 60)}
}

// asText is how hostile text is shown: what would turn its direction around can be seen.
func asText(text string) string {
	return strings.NewReplacer("\u202E", "\uFFFD", "\u2066", "\uFFFD").Replace(text)
}

// hostileText is shown, and is nothing but text: no markup, no other direction, no page that is wider than its window.
func (s *stage) hostileText() {
	hostile := map[string]string{"markup": markup, "direction": "safe\u202Etxt.exe\u2066", "length": strings.Repeat("x", 10_000)}
	db, err := sql.Open("sqlite", filepath.Join(s.master.DataDir, "catalogue.db")+"?_pragma=busy_timeout(10000)")
	s.must(err)
	defer func() { s.must(db.Close()) }()
	for name, text := range hostile {
		_, err := db.ExecContext(s.t.Context(), "UPDATE backups SET description = ? WHERE site = ?", text, siteName)
		s.must(err)
		_, err = db.ExecContext(s.t.Context(), "UPDATE tasks SET error = ?, hint = ? WHERE site = 'broken.example'", text, text)
		s.must(err)
		_, err = db.ExecContext(s.t.Context(), "UPDATE task_log SET text = ? WHERE task_id IN (SELECT id FROM tasks WHERE site = 'broken.example')", text)
		s.must(err)
		for _, path := range []string{"/sites/" + siteName, "/sites/" + siteName + "/restore", "/sites/" + siteName + "/clone", "/tasks", "/sites/broken.example"} {
			s.open(path)
			s.showsText(name+" on "+path, asText(text))
		}
		s.open("/?q=broken")
		s.do("the failed task", chromedp.Click(`td[data-label="Last task"] a`))
		s.sees("Failed", "What to do")
		s.showsText(name+" in a log", asText(text))
		asks[bool](s, fmt.Sprintf(`linesOf(document.getElementById("log"), localise)({ line: 1e6, time: "2026-11-23T12:00:00Z", level: "error", text: %q }), true`, asText(text)))
		s.showsText(name+" in a line that comes", asText(text))
	}
	s.open("/?q=" + "%3Cscript%3Edocument.title%3D%22owned%22%3C%2Fscript%3E")
	s.showsText("a search", `<script>document.title="owned"</script>`)
	s.hostileFiles()
	_, err = db.ExecContext(s.t.Context(), "UPDATE backups SET description = ? WHERE site = ?", reason, siteName)
	s.must(err)
}

// hostileFiles are in a backup, and in the plan of a restore that brings them back.
func (s *stage) hostileFiles() {
	for _, name := range hostileNames() {
		s.must(os.Remove(filepath.Join(s.web.Root, longName, name)))
	}
	s.open("/sites/" + longName)
	s.do("inside the backup", chromedp.Click(`main table tbody th a`))
	s.sees("index.html")
	for _, name := range hostileNames() {
		s.showsText("a file", asText(name))
	}
	s.open("/sites/" + longName + "/restore/plan?backup=latest")
	s.sees("Come")
	for _, name := range hostileNames() {
		s.showsText("a file in a plan", asText(name))
	}
}

func (s *stage) showsText(what, text string) {
	s.t.Helper()
	if !asks[bool](s, fmt.Sprintf(`document.body.textContent.includes(%q.slice(0, 70)) && document.title.endsWith(" – Sitekeep") && !document.querySelector("main script, main img")`, text)) {
		s.t.Errorf("%s is not shown as text: %.300s", what, s.text())
	}
	for _, width := range []int64{narrow, wide} {
		s.do("resize", chromedp.EmulateViewport(width, height))
		if over := asks[int64](s, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			s.t.Errorf("%s: the page is %d pixels too wide", what, over)
		}
	}
}

// stranger is a web server of somebody else's, without TLS, at the master's own address: for cookies, a port is nothing.
type stranger struct {
	mu      sync.Mutex
	cookies []string
	page    string
}

func (e *stranger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cookies = append(e.cookies, r.Header.Get("Cookie"))
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte(e.page))
}

// framed is where the frame in the page really is: a page that may not be framed is an error of the browser's own. The frame is
// another's, so it has a process and a target of its own.
func (s *stage) framed() string {
	s.t.Helper()
	frame := target.ID("")
	s.do("frame", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		got, err := cdp.Call(ctx, t, target.GetTargets, target.GetTargetsParams{})
		if err != nil {
			return err
		}
		for _, one := range got.TargetInfos {
			if one.Type == "iframe" {
				frame = one.TargetID
			}
		}
		return nil
	}))
	if frame == "" {
		s.t.Fatal("the page has no frame")
	}
	ctx, cancel := chromedp.NewContext(s.ctx, chromedp.WithTargetID(frame), chromedp.WithDetachOnCancel())
	defer cancel()
	where, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href`))
	s.must(err)
	return where
}

func (s *stage) startStranger() (*stranger, string) {
	s.t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(s.master.HTTP.Addr().String(), "0"))
	s.must(err)
	e := &stranger{}
	server := &http.Server{Handler: e}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	s.t.Cleanup(func() { _ = server.Close(); <-done })
	return e, fmt.Sprintf("http://%s:%d/", host, l.Addr().(*net.TCPAddr).Port)
}

// anothersPage: what is done from a page that is not the master's comes to nothing: no cookie without TLS, no form, no frame.
func (s *stage) anothersPage() {
	e, address := s.startStranger()
	s.open("/sites/" + siteName)
	pin := asks[string](s, `document.querySelector('form[action$="/pin"]').getAttribute("action")`)
	mark := asks[string](s, `document.querySelector("input[name=csrf]").value`)
	if cookies := asks[string](s, `document.cookie`); cookies != "sitekeep-zone="+zone {
		s.t.Errorf("a script sees the cookies %q", cookies)
	}

	e.page = fmt.Sprintf(`<form method="post" action="%s"><input name="csrf" value="%s"><button name="pinned" value="yes">Win</button></form>`, s.url(pin), mark)
	s.do("the stranger's page", chromedp.Navigate(address))
	s.do("its form", chromedp.Click("button"))
	s.sees("this form was not sent by a page of this address")

	e.page = fmt.Sprintf(`<iframe src="%s"></iframe><p>framed`, s.url("/sites/"+siteName))
	s.do("a frame", chromedp.Navigate(address))
	s.sees("framed")
	if where := s.framed(); !strings.HasPrefix(where, "chrome-error:") {
		s.t.Errorf("the page is framed: %s", where)
	}

	s.do("the master without TLS", chromedp.Navigate(strings.Replace(s.url("/"), "https:", "http:", 1)))
	s.sees("speaks https")
	s.lacks(siteName)

	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.cookies {
		if c != "" {
			s.t.Errorf("without TLS the browser sends %q", c)
		}
	}
	s.open("/sites/" + siteName)
	if n := asks[int64](s, fmt.Sprintf(`document.querySelectorAll('form[action=%q] button[value=no]').length`, pin)); n != 0 {
		s.t.Error("the stranger's form was obeyed")
	}
}
