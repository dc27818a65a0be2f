//go:build integration

package web_test

import (
	"crypto/tls"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/html"
)

// reader is a browser without a script: it follows links and sends the forms that are on the page, and nothing else.
type reader struct {
	*stage
	client *http.Client
	at     *url.URL
	page   *html.Node
}

func (s *stage) newReader() *reader {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	s.must(err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // as the other browser
	s.t.Cleanup(transport.CloseIdleConnections)
	return &reader{stage: s, client: &http.Client{Jar: jar, Transport: transport}}
}

// withoutScript does everything but the live parts, in plain forms.
func (s *stage) withoutScript() {
	b := s.newReader()
	b.get("/")
	b.submit("Sign in", "name", "root", "password", password)
	b.has("garden.example")
	b.managesUsers()
	b.plans()
	b.backsUpAndRestores()
	b.clonesAndRemoves()
	b.deploysWhatIsLeft()
	b.cancels()
}

func (b *reader) managesUsers() {
	b.t.Helper()
	b.get("/users")
	b.submit("Make the user", "name", "zoe", "role", "viewer", "password", password, "again", "another password")
	b.has("two passwords differ")
	b.get("/users")
	b.submit("Make the user", "name", "zoe", "role", "viewer", "password", password, "again", password)
	b.has("zoe")
	b.submitNear("zoe", "Set it", "password", "changed at once", "again", "changed at once")
	b.submit("Remove zoe")
	b.lacks("zoe")
}

// plans sets a schedule and what is kept, and takes both back.
func (b *reader) plans() {
	b.t.Helper()
	b.get("/sites/" + siteName + "/retention")
	b.follow("New schedule…")
	b.submit("Make the schedule", "cron", "61 3 * * *")
	b.has("What to do")
	b.get("/schedule?site=" + siteName)
	b.submit("Make the schedule", "name", "nightly", "cron", "30 3 * * *", "zone", zone, "spread", "2h")
	b.has("nightly", "30 3 * * *", zone, "in ")
	b.follow("Change…")
	b.submit("Save", "cron", "0 4 * * *", "disabled", "yes")
	b.has("0 4 * * *", "Off")
	b.follow("Change…")
	b.submit("Remove nightly")
	b.lacks("0 4 * * *")
	b.follow("New schedule…")
	b.submit("Make the schedule", "name", "trial", "cron", "0 5 * * 0", "kind", "drill")
	b.has("Drill of "+siteName, "None of these makes backups")
	b.follow("Change…")
	b.submit("Remove trial")
	b.has("Nothing is set: every backup is kept")
	b.submit("See what it would do", "last", "1", "min_age", "36h")
	b.has("Not set yet", "Stays")
	b.submit("Set this for this site")
	b.has("What is set for this site holds here")
	if got := b.value("min_age"); got != "36h" {
		b.t.Errorf("the form has %q", got)
	}
	b.submit("Take back what is set for this site alone")
	b.has("Nothing is set")
	b.get("/retention")
	b.follow("bakers")
	b.submit("See what it would do", "weekly", "4")
	b.submit("Set this for this client")
	b.has("What is set for the client bakers holds here")
	b.submit("Take back what is set for this client")
	b.has("Nothing is set")
}

func (b *reader) backsUpAndRestores() {
	b.t.Helper()
	b.get("/sites/" + siteName)
	b.follow("Back up…")
	b.submit("Back up", "description", "without a script")
	b.ends("Succeeded")
	b.get("/sites/" + siteName)
	b.submitNear("without a script", "Pin")
	b.has("Unpin")
	b.submitNear("without a script", "Unpin")
	b.follow("Restore…")
	b.submit("See what it would do")
	b.has("What the restore would do")
	b.submit("Restore", "confirm", "another.example")
	b.has("nothing was done")
	b.get("/sites/" + siteName + "/restore")
	b.submit("See what it would do", "backup", b.oldest()) // of the whole site, which is a wreck again
	b.submit("Restore", "confirm", siteName)
	b.ends("Succeeded")
	b.takesOut()
	b.get("/sites/" + siteName)
	b.submit("Undo the restore", "confirm", siteName)
	b.ends("Succeeded")
	b.lacksUploads()
	b.get("/sites/" + siteName)
	b.submitNear("without a script", "Delete for ever")
	b.lacks("without a script")
}

// clonesAndRemoves makes a site of a good backup while the site itself lacks its pictures, and takes it out of care again.
func (b *reader) clonesAndRemoves() {
	b.t.Helper()
	const name = "orchard.example"
	b.get("/sites/" + siteName + "/restore")
	good := b.oldest()
	b.get("/sites/" + siteName)
	b.follow("Clone…")
	b.submit("Clone", "name", name, "backup", good)
	b.has("Clone of " + name)
	b.ends("Succeeded")
	twin := *b.site
	twin.Name = name
	b.must(twin.CheckPages(b.t.Context()))

	b.get("/sites/" + name + "/settings")
	b.follow("Take the site out of care…")
	b.has("There is no backup of this site")
	b.submit("Take it out of care", "confirm", name)
	b.has("it stays under care")
	b.get("/sites/" + name + "/remove")
	b.submit("Back up first")
	b.ends("Succeeded")
	b.follow("Take it out of care…")
	b.has("That will do as the last one", "The backup is kept")
	b.submit("Take it out of care", "confirm", name)
	b.has(name, "Not under care")
}

// deploysWhatIsLeft makes a site of the backup that a removed one has left.
func (b *reader) deploysWhatIsLeft() {
	b.t.Helper()
	const name = "meadow.example"
	b.follow("Deploy…")
	b.has("orchard.example is not under care")
	place := filepath.Join(b.web.Root, name)
	b.submit("See what it would do", "name", siteName, "root", place, "web", "web1")
	b.has("here is a site "+siteName+" already", "What to do")
	b.submit("See what it would do", "name", name, "root", filepath.Join(b.web.Root, siteName))
	b.has("What to do")
	b.submit("See what it would do", "name", name, "root", place)
	b.has("Name and place are free", "a new one on db1", "Push files")
	if _, err := os.Stat(place); err == nil {
		b.t.Error("the plan has made something")
	}
	b.submit("Make the site")
	b.has("Deploy of " + name)
	b.ends("Succeeded")
	twin := *b.site
	twin.Name = name
	b.must(twin.CheckPages(b.t.Context()))
}

// cancels ends a task while the agent stands still.
func (b *reader) cancels() {
	b.t.Helper()
	b.must(b.agent.Signal(syscall.SIGSTOP))
	b.get("/sites/" + siteName + "/backup")
	b.submit("Back up")
	b.submit("Cancel")
	b.must(b.agent.Signal(syscall.SIGCONT))
	b.ends("Cancelled")
	b.submit("Try again")
	b.ends("Succeeded")
}

func (b *reader) get(path string) {
	b.t.Helper()
	q, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "https://"+b.master.HTTP.String()+path, nil)
	b.must(err)
	b.load(q)
}

func (b *reader) load(q *http.Request) {
	b.t.Helper()
	got, err := b.client.Do(q)
	b.must(err)
	defer got.Body.Close()
	b.page, err = html.Parse(got.Body)
	b.must(err)
	b.at = got.Request.URL
}

// ends loads a task's page until it is in a final state.
func (b *reader) ends(state string) {
	b.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		b.get(b.at.RequestURI())
		if now := wordsOf(find(b.page, func(n *html.Node) bool { return attr(n, "id") == "state" })); now != "Running" && now != "Queued" {
			if now != state {
				b.t.Fatalf("%s is %s, not %s\n%s", b.at.Path, now, state, b.words())
			}
			return
		}
	}
	b.t.Fatalf("%s does not end", b.at.Path)
}

func (b *reader) words() string {
	return wordsOf(find(b.page, func(n *html.Node) bool { return n.Data == "main" }))
}

func (b *reader) has(words ...string) {
	b.t.Helper()
	for _, w := range words {
		if !strings.Contains(b.words(), w) {
			b.t.Fatalf("%s lacks %q:\n%s", b.at.Path, w, b.words())
		}
	}
}

func (b *reader) lacks(word string) {
	b.t.Helper()
	if strings.Contains(b.words(), word) {
		b.t.Fatalf("%s has %q", b.at.Path, word)
	}
}

// value is what a form's field holds.
func (b *reader) value(name string) string {
	return attr(find(b.page, func(n *html.Node) bool {
		return n.Data == "input" && attr(n, "name") == name && attr(n, "type") != "hidden"
	}), "value")
}

// oldest is the last backup in the list to choose from.
func (b *reader) oldest() (id string) {
	for n := range b.page.Descendants() {
		if n.Type == html.ElementNode && n.Data == "input" && attr(n, "name") == "backup" {
			id = attr(n, "value")
		}
	}
	return id
}

func (b *reader) follow(words string) {
	b.t.Helper()
	to, err := b.at.Parse(b.linkTo(words))
	b.must(err)
	b.get(to.RequestURI())
}

// submit presses a button, with some fields filled in.
func (b *reader) submit(button string, fields ...string) {
	b.t.Helper()
	b.press(b.page, button, fields)
}

// submitNear presses the button in the row of a table that has the words in it.
func (b *reader) submitNear(words, button string, fields ...string) {
	b.t.Helper()
	row := find(b.page, func(n *html.Node) bool { return n.Data == "tr" && strings.Contains(wordsOf(n), words) })
	if row == nil {
		b.t.Fatalf("%s has no row with %q:\n%s", b.at.Path, words, b.words())
	}
	b.press(row, button, fields)
}

func (b *reader) press(within *html.Node, words string, fields []string) {
	b.t.Helper()
	isButton := func(n *html.Node) bool { return n.Data == "button" && wordsOf(n) == words }
	button := find(within, isButton)
	form := find(within, func(n *html.Node) bool { return n.Data == "form" && find(n, isButton) != nil })
	if form == nil || button == nil {
		b.t.Fatalf("%s has no button %q:\n%s", b.at.Path, words, b.words())
	}
	values := valuesOf(form)
	for i := 0; i+1 < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	if name := attr(button, "name"); name != "" {
		values.Set(name, attr(button, "value"))
	}
	to, err := b.at.Parse(attr(form, "action"))
	b.must(err)
	b.send(attr(form, "method"), to, values)
}

// send sends a form as a browser does.
func (b *reader) send(method string, to *url.URL, values url.Values) {
	b.t.Helper()
	if method == "get" {
		to.RawQuery = values.Encode()
		b.get(to.RequestURI())
		return
	}
	q, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, to.String(), strings.NewReader(values.Encode()))
	b.must(err)
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header.Set("Origin", "https://"+to.Host)
	b.load(q)
}

// valuesOf is what a form sends if nobody touches it.
func valuesOf(form *html.Node) url.Values {
	out := url.Values{}
	for n := range form.Descendants() {
		name, kind := attr(n, "name"), attr(n, "type")
		switch {
		case name == "":
		case n.Data == "input" && (kind != "checkbox" && kind != "radio" || hasAttr(n, "checked")):
			out.Add(name, attr(n, "value"))
		case n.Data == "textarea":
			out.Add(name, wordsOf(n))
		case n.Data == "select":
			option := find(n, func(o *html.Node) bool { return hasAttr(o, "selected") })
			if option == nil {
				option = find(n, func(o *html.Node) bool { return o.Data == "option" })
			}
			value := wordsOf(option)
			if hasAttr(option, "value") {
				value = attr(option, "value")
			}
			out.Add(name, value)
		}
	}
	return out
}

// find is the first element, from the top, that is wanted.
func find(within *html.Node, wanted func(*html.Node) bool) *html.Node {
	for n := range within.Descendants() {
		if n.Type == html.ElementNode && wanted(n) {
			return n
		}
	}
	return nil
}

func hasAttr(n *html.Node, name string) bool {
	return n != nil && slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func attr(n *html.Node, name string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// wordsOf is an element's text.
func wordsOf(n *html.Node) string {
	if n == nil {
		return ""
	}
	var out strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			out.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(out.String())
}
