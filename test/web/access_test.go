//go:build integration

package web_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// mostShift is how much of a page may move while it comes; up to 0.1 is called good (web.dev/articles/cls).
const mostShift = 0.005

// shiftScript adds up the shifts of the layout that nobody has caused, up to now.
const shiftScript = `new Promise((done) => {
	let sum = 0;
	const add = (entries) => entries.forEach((e) => { if (!e.hadRecentInput) sum += e.value; });
	const watch = new PerformanceObserver((list) => add(list.getEntries()));
	watch.observe({ type: "layout-shift", buffered: true });
	setTimeout(() => { add(watch.takeRecords()); watch.disconnect(); done(sum); }, 100);
})`

// lockFile has the version and the checksum of axe-core.
const lockFile = "../../tools/axe/package-lock.json"

// fetchAxe reads axe-core's program, which is fetched once for a machine.
func (s *stage) fetchAxe() string {
	s.t.Helper()
	lock, err := os.ReadFile(lockFile)
	s.must(err)
	sum := sha256.Sum256(lock)
	dir, err := s.Cached(s.t.Context(), "axe-"+hex.EncodeToString(sum[:8]), func(ctx context.Context, dir string) error {
		out, err := exec.CommandContext(ctx, "../../scripts/fetch-axe", dir).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	s.must(err)
	program, err := os.ReadFile(filepath.Join(dir, "axe.min.js"))
	s.must(err)
	return string(program)
}

// finding is what axe-core has against a page.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// findsNothing has axe-core judge the page: nothing may be serious or critical.
func (s *stage) findsNothing(page, shade string) {
	s.t.Helper()
	options := `{ resultTypes: ["violations"] }`
	if shade != "light" {
		options = `{ resultTypes: ["violations"], runOnly: ["color-contrast"] }` // nothing else depends on it
	}
	asks[bool](s, s.axe+"; true")
	for _, f := range asks[[]finding](s, `axe.run(document, `+options+`).then((r) => r.violations)`) {
		if f.Impact != "serious" && f.Impact != "critical" {
			s.t.Logf("%s, %s: %s: %s", page, shade, f.Impact, f.Help)
			continue
		}
		for _, n := range f.Nodes {
			s.t.Errorf("%s, %s: %s: %s (%s)\n%.200s\n%s", page, shade, f.Impact, f.Help, f.ID, n.HTML, n.FailureSummary)
		}
	}
}

// onPaper prints pages in the dark scheme: ink is dark on white, nothing is cut off, and what can be pressed is left out.
func (s *stage) onPaper(page string) {
	s.t.Helper()
	s.shade("paper")
	s.findsNothing(page, "paper")
	if ink := asks[[]string](s, `[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]`); ink[0] != "rgb(255, 255, 255)" || ink[1] != "rgb(0, 0, 0)" {
		s.t.Errorf("%s is printed in %s on %s", page, ink[1], ink[0])
	}
	if left := asks[[]string](s, `[...document.querySelectorAll("button, .button, .bar, dialog")].filter((e) => e.checkVisibility()).map((e) => e.innerText)`); len(left) > 0 {
		s.t.Errorf("%s is printed with %q", page, left)
	}
	if cut := asks[[]string](s, `[...document.querySelectorAll(".log, .scroll, .clamp")].filter((e) => e.scrollHeight > e.clientHeight + 1).map((e) => e.className)`); len(cut) > 0 {
		s.t.Errorf("%s is printed without the end of %q", page, cut)
	}
	s.shade("light")
}

// focused is where the keyboard is: the words on it, or its name in the form; and whether that can be seen.
const focused = `(() => {
	const e = document.activeElement, label = e.labels && e.labels[0];
	const seen = getComputedStyle(e).outlineStyle !== "none" || (label && getComputedStyle(label).outlineStyle !== "none");
	return [(e.innerText || e.name || e.value || e.tagName).trim(), e === document.body || seen ? "" : "unseen"];
})()`

// mostStops is more than any page has.
const mostStops = 200

// tabsTo walks with the Tab key to what has the words on it, as somebody without a mouse does. Wherever it comes through must
// show that it is there.
func (s *stage) tabsTo(words string) {
	s.t.Helper()
	var way []string
	for range mostStops {
		s.do("tab", chromedp.KeyEvent(kb.Tab))
		at := asks[[]string](s, focused)
		if at[1] != "" {
			s.t.Errorf("nobody can see that the keyboard is at %q", at[0])
		}
		if strings.HasPrefix(at[0], words) {
			return
		}
		way = append(way, at[0])
	}
	s.t.Fatalf("the keyboard does not get to %q but to %.1000q", words, way)
}

// enter presses the Enter key, as one key press: what its going down does may take the rest of it away.
func (s *stage) enter() {
	s.t.Helper()
	s.do("enter", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		key := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "Enter", Code: "Enter", Text: "\r", UnmodifiedText: "\r", WindowsVirtualKeyCode: 13, NativeVirtualKeyCode: 13}
		if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, key); err != nil {
			return err
		}
		key.Type, key.Text, key.UnmodifiedText = input.DispatchKeyEventTypeKeyUp, "", ""
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, key)
		return err
	}))
}

// keys types text where the keyboard is.
func (s *stage) keys(text string) {
	s.t.Helper()
	s.do("type", chromedp.KeyEvent(text))
}

// comesBy waits until the keyboard's focus is where a page or a dialog puts it by itself.
func (s *stage) comesBy(words string) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if at := asks[[]string](s, focused); strings.HasPrefix(at[0], words) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the focus does not come to %q\n%s", words, s.text())
		}
	}
}
