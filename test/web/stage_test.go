//go:build integration

// Package web_test has a real browser drive the pages, over a real site.
package web_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	longName = "a-rather-long-name-that-somebody-chose-for-a-campaign.and-its-subdomain.example"
	password = "correct horse battery"
	reason   = `Before the <b>update</b>`
	zone     = "Europe/Berlin"
	// host is the master's name for the browser, which trusts addresses of its own machine as if they had TLS.
	host = "backup.example"

	// patience bounds what must come by itself, on a machine that is busy too.
	patience = 2 * time.Minute
)

// stage is a site whose servers have not joined yet, a master, and a browser.
type stage struct {
	*bed.T
	t      *testing.T // the step that runs
	web    *bed.Web
	db     *bed.MariaDB
	site   *bed.WordPress
	master *bed.Master
	agent  *bed.Agent // of the web server, once it has joined
	ctx    context.Context
	axe    string // the program
}

func newStage(t *testing.T) *stage {
	t.Helper()
	b := bed.New(t)
	s := &stage{T: b, t: t}
	s.db, s.web = b.MariaDB("db1"), b.Web("web1")
	s.site = b.WordPress(s.web, s.db, siteName)
	s.must(s.site.RemoveVhost(t.Context()))
	s.master = b.Master("master")
	s.axe = s.fetchAxe()
	s.browse()
	return s
}

// step runs one after another: what follows needs what was done before.
func (s *stage) step(name string, do func()) {
	whole := s.t
	defer func() { s.t = whole }()
	if !whole.Run(name, func(t *testing.T) { s.t = t; do() }) {
		whole.FailNow()
	}
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// addUser makes one as an operator does: the password comes from standard input.
func (s *stage) addUser(name string, flags ...string) {
	s.t.Helper()
	cmd := s.master.Command(s.t.Context(), append([]string{"user", "add", name}, flags...)...)
	cmd.Stdin = strings.NewReader(password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("user add: %v\n%s", err, out)
	}
}

// browse starts a browser with a profile of its own. The master's authority is not one that it knows.
func (s *stage) browse() {
	s.t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox,
		chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("host-resolver-rules", "MAP "+host+" "+s.master.HTTP.Addr().String()), chromedp.UserDataDir(s.t.TempDir()))
	ctx, cancel := chromedp.NewExecAllocator(s.t.Context(), options...)
	s.t.Cleanup(cancel)
	s.ctx, cancel = chromedp.NewContext(ctx)
	s.t.Cleanup(cancel)
	s.must(chromedp.Do(s.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error { // the browser ends with the context of the first call
		_, err := cdp.Call(ctx, t, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: zone})
		return err
	})))
}

func (s *stage) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		s.t.Fatalf("%s: %v\n%s", what, err, s.text())
	}
}

// asks has the page evaluate an expression, which may be a promise.
func asks[V any](s *stage, expression string) V {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[V](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		s.t.Fatalf("%.200s: %v", expression, err)
	}
	return value
}

func (s *stage) url(path string) string {
	return fmt.Sprintf("https://%s:%d%s", host, s.master.HTTP.Port(), path)
}

func (s *stage) open(path string) {
	s.t.Helper()
	s.do("open "+path, chromedp.Navigate(s.url(path)))
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

func (s *stage) lacks(words ...string) {
	s.t.Helper()
	text := s.text()
	for _, w := range words {
		if strings.Contains(text, w) {
			s.t.Errorf("the page has %q:\n%s", w, text)
		}
	}
}

func (s *stage) click(selector string) {
	s.t.Helper()
	s.do("click "+selector, chromedp.Click(selector))
}

func (s *stage) types(selector, text string) {
	s.t.Helper()
	s.do("type into "+selector, chromedp.SendKeys(selector, text))
}

func (s *stage) signIn(name string) {
	s.t.Helper()
	s.open("/")
	s.types(`input[name=name]`, name)
	s.types(`input[name=password]`, password)
	s.click(`main button`)
	s.sees("Sign out", "Sites")
}

func (s *stage) signOut() {
	s.t.Helper()
	s.click(`.who button`)
	s.sees("Password")
}

// shade has pages come in a colour scheme; "paper" is a print by somebody who has the dark one.
func (s *stage) shade(name string) {
	s.t.Helper()
	scheme, medium := name, ""
	if name == "paper" {
		scheme, medium = "dark", "print"
	}
	media := emulation.SetEmulatedMediaParams{Media: medium, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	s.do("shade", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, media)
		return err
	}))
}

// Widths of a window, in CSS pixels.
const (
	wide   = 1280
	narrow = 360
	height = 844
)

var forms = map[int64]string{wide: "wide", narrow: "narrow"}

// inspect looks at the page as every page is looked at: whether people who see or move otherwise can use it, in both colour
// schemes; whether it jumped while it came; whether it fits a telephone. Then it has its picture taken.
func (s *stage) inspect(name string) {
	s.t.Helper()
	if shift := asks[float64](s, shiftScript); shift > mostShift {
		s.t.Errorf("%s: its layout shifts by %.4f", name, shift)
	}
	for width := range forms {
		s.do("resize", chromedp.EmulateViewport(width, height))
		if over := asks[int64](s, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
			s.t.Errorf("%s: it is %d pixels wider than a window of %d", name, over, width)
		}
	}
	s.fitsCards(name)
	for _, shade := range []string{"dark", "light"} {
		s.shade(shade)
		s.findsNothing(name, shade)
		s.shoot(name, shade)
	}
	s.do("resize", chromedp.EmulateViewport(wide, height))
}

// fitsCards: on a telephone the rows of tables are cards, and nothing in them is cut off at the right.
func (s *stage) fitsCards(name string) {
	s.t.Helper()
	s.do("resize", chromedp.EmulateViewport(narrow, height))
	if cut := asks[[]string](s, `[...document.querySelectorAll(".scroll")].filter((e) => e.querySelector(".cards") && e.scrollWidth > e.clientWidth).map((e) => e.innerText.slice(0, 200))`); len(cut) > 0 {
		s.t.Errorf("%s: cards are cut off: %q", name, cut)
	}
	if lines := asks[int64](s, `new Set([...document.querySelectorAll(".bar nav a, .tabs a")].map((e) => e.offsetTop)).size`); lines > 2 {
		s.t.Errorf("%s: the ways within the pages take %d lines", name, lines)
	}
}

// pictured are the pages whose pictures the documentation has.
var pictured = []string{"overview", "site", "running", "failed", "restore", "plan", "contents", "deploy", "retention", "servers", "discover"}

// tallest is what is shown of a page, in CSS pixels.
const tallest = 1400

// shoot takes a picture if SITEKEEP_SCREENSHOTS names a directory. The window is made as tall as the page: what sticks to its
// end is there then.
func (s *stage) shoot(page, shade string) {
	s.t.Helper()
	dir := os.Getenv("SITEKEEP_SCREENSHOTS")
	if dir == "" || !slices.Contains(pictured, page) {
		return
	}
	for width, form := range forms {
		s.do("resize", chromedp.EmulateViewport(width, height))
		s.do("resize", chromedp.EmulateViewport(width, min(asks[int64](s, `document.documentElement.scrollHeight`), tallest)))
		picture, err := chromedp.Run(s.ctx, chromedp.CaptureScreenshot())
		s.must(err)
		small, err := shrink(picture)
		s.must(err)
		s.must(os.WriteFile(filepath.Join(dir, strings.Join([]string{page, shade, form}, "-")+".png"), small, 0o644))
	}
}
