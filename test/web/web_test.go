//go:build integration

// Package web_test has a real browser drive the pages, over a real site.
package web_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/sitekeep/sitekeep/test/bed"
)

const (
	chromium = "/usr/bin/chromium"
	siteName = "garden.example"
	password = "correct horse battery"
	reason   = `Before the <b>update</b>`

	// patience bounds what must come by itself, on a machine that is busy too.
	patience = 2 * time.Minute
)

// stage is a site under care, and a browser.
type stage struct {
	*bed.T
	t      *testing.T
	site   *bed.WordPress
	master *bed.Master
	ctx    context.Context
}

func newStage(t *testing.T) *stage {
	t.Helper()
	b := bed.New(t)
	s := &stage{T: b, t: t}
	db, web := b.MariaDB("db1"), b.Web("web1")
	s.site = b.WordPress(web, db, siteName)
	s.master = b.Master("master")
	b.Agent(s.master, "web1", bed.AgentOptions{Web: web})
	b.Agent(s.master, "db1", bed.AgentOptions{DB: db})
	b.OK(s.master, "site", "add", siteName, "--web", "web1", "--db", "db1", "--root", s.site.Root)
	s.must(s.site.RemoveVhost(t.Context()))
	b.OK(s.master, "site", "verify", siteName)
	s.must(s.site.CheckPages(t.Context()))
	s.addUser("ada", "operator")
	s.addUser("vic", "viewer")
	s.browse()
	return s
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) addUser(name, role string) {
	s.t.Helper()
	cmd := s.master.Command(s.t.Context(), "user", "add", name, "--role", role)
	cmd.Stdin = strings.NewReader(password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("user add: %v\n%s", err, out)
	}
}

// browse starts a browser with a profile of its own. The master's authority is not one that it knows.
func (s *stage) browse() {
	s.t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox,
		chromedp.Flag("ignore-certificate-errors", true), chromedp.UserDataDir(s.t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(s.t.Context(), options...)
	s.t.Cleanup(cancel)
	s.ctx, cancel = chromedp.NewContext(ctx)
	s.t.Cleanup(cancel)
	s.must(chromedp.Do(s.ctx)) // the browser ends with the context of the first call
}

func (s *stage) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		s.t.Fatalf("%s: %v\n%s", what, err, s.text())
	}
}

func (s *stage) open(path string) {
	s.t.Helper()
	s.do("open "+path, chromedp.Navigate("https://"+s.master.HTTP.String()+path))
}

// text is what a reader sees; empty while a page is being replaced by another.
func (s *stage) text() string {
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body ? document.body.innerText : ''"))
	if err != nil {
		return ""
	}
	return text
}

// sees waits until the page has all of the words.
func (s *stage) sees(words ...string) {
	s.t.Helper()
	end := time.Now().Add(patience)
	for {
		text, missing := s.text(), ""
		for _, w := range words {
			if !strings.Contains(text, w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the page lacks %q:\n%s", missing, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *stage) signIn(name string) {
	s.t.Helper()
	s.open("/")
	s.do("sign in", chromedp.SendKeys(`input[name=name]`, name), chromedp.SendKeys(`input[name=password]`, password), chromedp.Click(`main button`))
	s.sees("Sign out", "Sites")
}

// shoot takes pictures of the page, light and dark, wide and narrow, if SITEKEEP_SCREENSHOTS names a directory.
func (s *stage) shoot(name string) {
	s.t.Helper()
	dir := os.Getenv("SITEKEEP_SCREENSHOTS")
	if dir == "" {
		return
	}
	for _, shade := range []string{"light", "dark"} {
		for form, width := range map[string]int64{"wide": 1280, "narrow": 390} {
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: shade}}}
			s.do("shade", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
				_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, media)
				return err
			}))
			s.do("resize", chromedp.EmulateViewport(width, 844))
			picture, err := chromedp.Run(s.ctx, chromedp.FullScreenshot(100))
			s.must(err)
			s.must(os.WriteFile(filepath.Join(dir, name+"-"+shade+"-"+form+".png"), picture, 0o644))
		}
	}
	s.do("resize", chromedp.EmulateViewport(1280, 844))
}

// TestAWreckAndTheWayBack: sign in, back up with a reason and watch the log, wreck the site, restore it from the list, take
// that back, all in a browser.
func TestAWreckAndTheWayBack(t *testing.T) {
	s := newStage(t)
	s.open("/tasks")
	s.shoot("signin")
	s.signIn("ada")
	s.sees(siteName, "No good backup")

	s.open("/sites/" + siteName)
	s.sees("No backups yet")
	s.do("back up", chromedp.Click(`a[data-dialog=backup]`), chromedp.WaitVisible(`dialog[open] input[name=description]`))
	s.shoot("backup")
	s.do("back up", chromedp.SendKeys(`dialog[open] input[name=description]`, reason), chromedp.Click(`dialog[open] button.primary`))
	s.do("the log fills", chromedp.WaitVisible(`#log p`))
	s.sees("succeeded", "Backup of "+siteName)
	s.shoot("task")

	before, err := s.site.Fingerprint(t.Context())
	s.must(err)
	s.must(s.site.Wreck(t.Context()))
	if s.site.CheckPages(t.Context()) == nil {
		t.Fatal("the wreck works still")
	}

	s.open("/sites/" + siteName)
	s.sees(reason)
	s.do("inside the backup", chromedp.Click(`main table tbody th a`))
	s.sees("wp-config.php", "wp_posts", "Rows")
	s.shoot("contents")
	s.open("/sites/" + siteName + "/restore")
	s.sees(reason, "Files and database")
	s.shoot("restore")
	s.do("plan", chromedp.Click(`main button.primary`))
	s.sees("What the restore would do", "Site is down")
	s.shoot("plan")
	s.do("restore", chromedp.SendKeys(`input[name=confirm]`, siteName), chromedp.Click(`main button.danger`))
	s.sees("Restore of "+siteName, "Downtime", "Safety backup")
	s.must(s.site.CheckPages(t.Context()))
	after, err := s.site.Fingerprint(t.Context())
	s.must(err)
	if diff := before.Diff(after); diff != "" {
		t.Errorf("the site is not what it was:\n%s", diff)
	}

	s.open("/sites/" + siteName)
	s.sees("Restored lately")
	s.shoot("site")
	s.do("undo", chromedp.SendKeys(`input[name=confirm]`, siteName), chromedp.Click(`main .note button.danger`))
	s.sees("Undo of "+siteName, "succeeded", "Took")
	if s.site.CheckPages(t.Context()) == nil {
		t.Error("the wreck is not back")
	}
	s.open("/")
	s.sees(siteName)
	s.shoot("overview")

	s.do("sign out", chromedp.Click(`.who button`))
	s.sees("Password")
	s.signIn("vic")
	s.open("/sites/" + siteName)
	s.sees("Restore…")
	if text := s.text(); strings.Contains(text, "Back up…") || strings.Contains(text, "Download") || strings.Contains(text, "Delete…") {
		t.Errorf("a viewer is offered more than looking:\n%s", text)
	}
	s.open("/servers")
	s.sees("web1", "db1", "Fine")
	s.shoot("servers")
}
