package webui_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/webui"
)

var backupID = backupOf("acme.example", 0, "").ID

// trial is a request with the least role that it takes, by the table of the API.
type trial struct {
	method, path string
	least        string // "viewer", "operator" or "admin"
	status       int    // for who may
	form         url.Values
}

var routes = []trial{
	{"GET", "/", "viewer", 200, nil},
	{"GET", "/sites/acme.example", "viewer", 200, nil},
	{"GET", "/sites/acme.example/retention", "viewer", 200, nil},
	{"GET", "/sites/acme.example/restore", "viewer", 200, nil},
	{"GET", "/sites/acme.example/restore/plan?backup=" + backupID, "viewer", 404, nil}, // its tarball is not there
	{"GET", "/backups/" + backupID, "viewer", 404, nil},
	{"GET", "/tasks", "viewer", 200, nil},
	{"GET", "/tasks/" + failedTask, "viewer", 200, nil},
	{"GET", "/tasks/" + failedTask + "/events", "viewer", 200, nil},
	{"GET", "/sites/acme.example/backup", "operator", 200, nil},
	{"GET", "/backups/" + backupID + "/download", "operator", 404, nil},
	{"GET", "/backups/" + backupID + "/file?at=aW5kZXgucGhw", "operator", 404, nil},
	{"POST", "/sites/acme.example/restore", "operator", 303, url.Values{"backup": {backupID}, "confirm": {"acme.example"}}},
	{"POST", "/sites/acme.example/drill", "operator", 303, nil},
	{"POST", "/sites/acme.example/undo", "operator", 409, url.Values{"confirm": {"acme.example"}}},
	{"POST", "/backups/" + backupID + "/pin", "operator", 303, url.Values{"pinned": {"yes"}}},
	{"POST", "/backups/" + backupID + "/delete", "operator", 409, nil}, // it is pinned
	{"GET", "/backups/" + backupID + "/deploy", "admin", 200, nil},
	{"GET", "/backups/" + backupID + "/deploy/plan", "admin", 400, nil}, // nothing is said of the site
	{"POST", "/backups/" + backupID + "/deploy", "admin", 400, nil},
	{"POST", "/sites/never.example/backup", "operator", 404, nil},
	{"POST", "/sites/never.example/verify", "operator", 404, nil},
	{"GET", "/sites/acme.example/disable", "operator", 200, nil},
	{"POST", "/sites/never.example/disable", "operator", 404, url.Values{"confirm": {"never.example"}}},
	{"POST", "/sites/never.example/enable", "operator", 404, nil},
	{"POST", "/sites/acme.example/clone", "admin", 400, nil},
	{"POST", "/tasks/01KACQ4J7XK0VJ7N3YH2M3T5ZZ/retry", "operator", 404, nil},
	{"POST", "/tasks/" + failedTask + "/cancel", "operator", 409, nil},
	{"POST", "/backups/" + backupID + "/check", "operator", 303, nil},
	{"GET", "/retention", "viewer", 200, nil},
	{"POST", "/retention", "admin", 303, url.Values{"daily": {"7"}}},
	{"POST", "/retention/delete", "admin", 303, nil},
	{"POST", "/sites/acme.example/retention", "admin", 303, url.Values{"daily": {"7"}}},
	{"POST", "/sites/acme.example/retention/delete", "admin", 303, nil},
	{"POST", "/clients/acme/retention", "admin", 303, url.Values{"daily": {"7"}}},
	{"GET", "/clients/acme/retention", "viewer", 200, nil},
	{"POST", "/clients/acme/retention/delete", "admin", 303, nil},
	{"GET", "/schedule", "admin", 200, nil},
	{"POST", "/schedule", "admin", 400, nil},
	{"POST", "/schedule/delete", "admin", 404, url.Values{"name": {"never"}}},
	{"GET", "/sites/acme.example/clone", "admin", 200, nil},
	{"GET", "/sites/acme.example/settings", "admin", 200, nil},
	{"POST", "/sites/acme.example/settings", "admin", 303, url.Values{"client": {"acme"}}},
	{"GET", "/sites/acme.example/remove", "admin", 200, nil},
	{"POST", "/sites/acme.example/remove", "admin", 400, nil},
	{"POST", "/sites/other.example/remove/backup", "admin", 303, nil},
	{"POST", "/servers/web1/sites", "admin", 400, nil},
	{"POST", "/servers/web1/revoke", "admin", 400, nil},
	{"GET", "/users", "admin", 200, nil},
	{"POST", "/users", "admin", 400, nil},
	{"POST", "/users/nobody/password", "admin", 404, url.Values{"password": {password}, "again": {password}}},
	{"POST", "/users/nobody/delete", "admin", 404, nil},
}

func TestEveryPageWithEveryRole(t *testing.T) {
	r := newRig(t)
	rank := map[string]int{"viewer": 1, "operator": 2, "admin": 3, "acme": 2}
	for _, user := range []string{"viewer", "operator", "admin", "acme", ""} {
		b := r.browser(t)
		if user != "" {
			b = r.signedIn(t, user)
		}
		for _, route := range routes {
			want, form := http.StatusForbidden, route.form
			switch {
			case rank[user] >= map[string]int{"viewer": 1, "operator": 2, "admin": 3}[route.least]:
				want = route.status
			case user == "" && route.method == http.MethodGet:
				want = http.StatusSeeOther
			}
			var got reply
			if route.method == http.MethodPost && user != "" {
				got = b.post(t, route.path, form)
			} else {
				got = b.do(t, route.method, route.path, form)
			}
			begins := strings.HasSuffix(route.path, "/restore") || strings.HasSuffix(route.path, "/drill")
			busy := want == http.StatusSeeOther && got.status == http.StatusConflict && begins // another one runs
			if got.status != want && !busy {
				t.Errorf("%q %s %s: %d, want %d", user, route.method, route.path, got.status, want)
			}
			if user == "" && route.method == http.MethodGet && !strings.HasPrefix(got.header.Get("Location"), "/signin") {
				t.Errorf("%s leads to %q", route.path, got.header.Get("Location"))
			}
		}
	}
}

// TestNoRouteIsForgotten: every page and every form has a line in the table above, or a test of its own for every role.
func TestNoRouteIsForgotten(t *testing.T) {
	own := []string{"POST /signout", "GET /servers", "POST /servers", "GET /servers/{server}/sites"} // which asks an agent
	for _, pattern := range webui.Patterns() {
		method, path, _ := strings.Cut(pattern, " ")
		like := regexp.MustCompile("^" + regexp.MustCompile(`\\{[a-z]+\\}`).ReplaceAllString(regexp.QuoteMeta(strings.TrimSuffix(path, "{$}")), "[^/]+") + "$")
		tried := slices.ContainsFunc(routes, func(r trial) bool {
			at, _, _ := strings.Cut(r.path, "?")
			return r.method == method && like.MatchString(at)
		})
		if !tried && !slices.Contains(own, pattern) {
			t.Errorf("nobody tries %s", pattern)
		}
	}
}

// TestAViewerStartsNothing sends every form there is, whatever else would be wrong with it, and counts what has begun.
func TestAViewerStartsNothing(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "viewer")
	before := b.get(t, "/tasks").body
	for _, pattern := range webui.Patterns() {
		path, isForm := strings.CutPrefix(pattern, "POST ")
		if !isForm || path == "/signout" {
			continue
		}
		path = strings.NewReplacer("{site}", "acme.example", "{backup}", backupID, "{task}", failedTask, "{server}", "web1", "{client}", "acme", "{user}", "operator").Replace(path)
		form := url.Values{"confirm": {"acme.example"}, "backup": {backupID}, "no_backup": {"yes"}, "pinned": {"yes"}, "name": {"web1"}, "role": {"web"}}
		if got := b.post(t, path, form); got.status != http.StatusForbidden {
			t.Errorf("a viewer sends %s: %d", path, got.status)
		}
	}
	if after := b.get(t, "/tasks").body; after != before {
		t.Errorf("something has begun: %s", after)
	}
}

func TestServersAreForThoseWhoSeeAll(t *testing.T) {
	r := newRig(t)
	join := url.Values{"name": {"web2"}, "role": {"web"}}
	for user, want := range map[string]struct{ get, post int }{"admin": {200, 200}, "operator": {200, 403}, "viewer": {200, 403}, "acme": {403, 403}} {
		b := r.signedIn(t, user)
		if got := b.get(t, "/servers"); got.status != want.get {
			t.Errorf("%s looks: %d", user, got.status)
		}
		got := b.post(t, "/servers", join)
		if got.status != want.post || (got.status == 200) != strings.Contains(got.body, "| sitekeep-agent join --token-file -") {
			t.Errorf("%s joins: %d", user, got.status)
		}
	}
}

// nobodys is the address of nothing that is like one of another client's.
func nobodys(address string) string {
	return strings.NewReplacer("other.example", "never.example", otherTask, "01KACQ4J7XK0VJ7N3YH2M3T5ZZ").Replace(address)
}

// told is what a page says, without the names that were asked for.
func told(body string) string {
	_, main, _ := strings.Cut(body, "<main")
	return regexp.MustCompile(`(other|never)\.example(-[0-9.]+)?|01KACQ4J7XK0VJ7N3YH2M3T5[A-Z]{2}|(other|never)\b`).ReplaceAllString(main, "NAME")
}

// TestAClientSeesItsSitesAlone: what is another's is answered like what is not there, word for word.
func TestAClientSeesItsSitesAlone(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "acme")
	other := backupOf("other.example", 0, "").ID
	for theirs, nobodys := range map[string]string{
		"/backups/" + other + "/file?at=aW5kZXgucGhw":       "/backups/never.example-20200101.000000/file?at=aW5kZXgucGhw",
		"/sites/other.example?before=x":                     "/sites/never.example?before=x",
		"/sites/other.example":                              "/sites/never.example",
		"/sites/other.example/backup":                       "/sites/never.example/backup",
		"/sites/other.example/restore":                      "/sites/never.example/restore",
		"/sites/other.example/retention":                    "/sites/never.example/retention",
		"/clients/other/retention":                          "/clients/never/retention",
		"/backups/" + other:                                 "/backups/never.example-20200101.000000",
		"/backups/" + other + "/download":                   "/backups/never.example-20200101.000000/download",
		"/sites/other.example/restore/plan?backup=" + other: "/sites/never.example/restore/plan?backup=" + other,
		"/sites/acme.example/restore/plan?backup=" + other:  "/sites/acme.example/restore/plan?backup=never.example-20200101.000000",
		"/tasks/" + otherTask:                               "/tasks/01KACQ4J7XK0VJ7N3YH2M3T5ZZ",
		"/tasks/" + otherTask + "/events":                   "/tasks/01KACQ4J7XK0VJ7N3YH2M3T5ZZ/events",
	} {
		got, absent := b.get(t, theirs), b.get(t, nobodys)
		if got.status != http.StatusNotFound || absent.status != got.status || told(got.body) != told(absent.body) {
			t.Errorf("%s: %d; %s: %d\n%s\n%s", theirs, got.status, nobodys, absent.status, told(got.body), told(absent.body))
		}
	}
	for _, form := range []string{"/sites/other.example/backup", "/sites/other.example/verify", "/sites/other.example/drill", "/sites/*/drill", "/sites/other.example/undo",
		"/sites/other.example/disable", "/sites/other.example/enable", "/sites/other.example/restore", "/sites/acme.example/restore", "/backups/" + other + "/pin", "/backups/" + other + "/check", "/backups/" + other + "/delete",
		"/tasks/" + otherTask + "/cancel", "/tasks/" + otherTask + "/retry"} {
		site, _, _ := strings.Cut(strings.TrimPrefix(form, "/sites/"), "/")
		fields := url.Values{"confirm": {site}, "backup": {other}}
		got, absent := b.post(t, form, fields), b.post(t, nobodys(form), url.Values{"confirm": {nobodys(site)}, "backup": {nobodys(other)}})
		if got.status != http.StatusNotFound || absent.status != got.status || told(got.body) != told(absent.body) {
			t.Errorf("%s: %d, %d\n%s\n%s", form, got.status, absent.status, told(got.body), told(absent.body))
		}
	}
	for _, path := range []string{"/", "/?q=other", "/tasks"} {
		if got := b.get(t, path); got.status != 200 || strings.Contains(got.body, "other.example") {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

// TestHostileTextIsText: it is shown, and is nothing but text.
func TestHostileTextIsText(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "operator")
	for path, shown := range map[string][]string{
		"/sites/acme.example":              {"&lt;script&gt;alert(1)", "evil\uFFFDgpj.exe", long},
		"/sites/acme.example/restore":      {"&lt;script&gt;alert(1)", "evil\uFFFDgpj.exe", long},
		"/tasks":                           {"&lt;script&gt;alert(1)"},
		"/tasks/" + failedTask:             {"&lt;script&gt;alert(1)", `href="#line-2"`},
		"/?q=" + url.QueryEscape(markup):   {"&lt;script&gt;alert(1)"},
		"/sites/" + url.PathEscape(markup): {"&lt;script&gt;alert(1)"},
		"/backups/" + backupID + "?at=%ff": {"is not the address of a path"},
	} {
		body := b.get(t, path).body
		for _, want := range shown {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not show %.40q", path, want)
			}
		}
		for _, never := range []string{"<script>alert", "<img src=x", "\u202e", "onerror=alert(2)>\""} {
			if strings.Contains(body, never) {
				t.Errorf("%s has %q", path, never)
			}
		}
	}
	events := b.get(t, "/tasks/"+failedTask+"/events")
	if !strings.Contains(events.body, "id: 2\nevent: line\n") || !strings.Contains(events.body, `"final":true`) || strings.Contains(events.body, "<script>") {
		t.Errorf("events: %s", events.body)
	}
	if again := b.do(t, "GET", "/tasks/"+failedTask+"/events?after=0", nil, "Last-Event-ID", "1").body; strings.Contains(again, "id: 1\n") || !strings.Contains(again, "id: 2\n") {
		t.Errorf("a browser that comes back gets %s", again)
	}
}

// TestForgedForms: each lacks one thing that a form of our own page has.
func TestForgedForms(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "operator")
	mark, path := b.mark(t), "/backups/"+backupID+"/pin"
	good := url.Values{"csrf": {mark}, "pinned": {"yes"}}
	foreign := r.signedIn(t, "operator").mark(t)
	for name, forged := range map[string]struct {
		form   url.Values
		header []string
	}{
		"no mark":                   {url.Values{"pinned": {"yes"}}, nil},
		"the mark of another":       {url.Values{"csrf": {foreign}, "pinned": {"yes"}}, nil},
		"another origin":            {good, []string{"Origin", "https://evil.example"}},
		"an origin without TLS":     {good, []string{"Origin", "http://" + r.address}},
		"a hidden origin":           {good, []string{"Origin", "null"}},
		"no origin":                 {good, []string{"Origin", ""}},
		"a page of the same domain": {good, []string{"Sec-Fetch-Site", "same-site"}},
	} {
		if got := b.do(t, http.MethodPost, path, forged.form, forged.header...); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if got := b.do(t, http.MethodPost, path, good); got.status != http.StatusSeeOther {
		t.Errorf("the page's own form: %d", got.status)
	}
	if got := r.browser(t).do(t, http.MethodPost, "/signin", url.Values{"name": {"viewer"}, "password": {password}}, "Origin", "https://evil.example"); got.status != http.StatusForbidden {
		t.Errorf("signed in by another's page: %d", got.status)
	}
}

func TestHeadersAndCookie(t *testing.T) {
	r := newRig(t)
	b := r.browser(t)
	in := b.do(t, http.MethodPost, "/signin", url.Values{"name": {"viewer"}, "password": {password}, "next": {"/tasks"}})
	cookie := in.header.Get("Set-Cookie")
	for _, want := range []string{"__Host-sitekeep=", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %s lacks %s", cookie, want)
		}
	}
	if in.header.Get("Location") != "/tasks" || strings.Contains(cookie, "Domain") {
		t.Errorf("%v", in.header)
	}
	for _, path := range []string{"/signin", "/", "/nowhere", "/static/app.js", "/tasks/" + failedTask + "/events"} {
		got := b.get(t, path)
		csp := got.header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %s", path, csp)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000"} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s: %q", path, name, got.header.Get(name))
			}
		}
		for _, inline := range []string{"<style", " style=", " onclick=", "javascript:", "http://", "https://"} {
			if strings.HasPrefix(got.header.Get("Content-Type"), "text/html") && strings.Contains(got.body, inline) {
				t.Errorf("%s has %s", path, inline)
			}
		}
	}
	if got := b.post(t, "/signout", nil); got.status != http.StatusSeeOther || !strings.Contains(got.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("signing out: %d", got.status)
	}
}

// TestAStolenCookieIsUselessWithoutTLS: nothing but the health page answers there, with cookie or without.
func TestAStolenCookieIsUselessWithoutTLS(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "admin")
	home, err := url.Parse("https://" + r.address + "/")
	must(t, err)
	stolen := b.Jar.Cookies(home)
	if len(stolen) != 1 {
		t.Fatalf("cookies: %v", stolen)
	}
	for path, want := range map[string]int{"/": 403, "/signin": 403, "/sites/acme.example": 403, "/static/app.js": 403, "/healthz": 200} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.address+path, nil)
		must(t, err)
		q.AddCookie(stolen[0])
		got, err := http.DefaultTransport.RoundTrip(q)
		must(t, err)
		body, err := io.ReadAll(got.Body)
		must(t, errors.Join(err, got.Body.Close()))
		if got.StatusCode != want || got.Header.Get("Location") != "" || want == 403 && !strings.Contains(string(body), "this address speaks https") {
			t.Errorf("http %s: %d %s", path, got.StatusCode, body)
		}
	}
	b.post(t, "/signout", nil)
	thief := r.browser(t)
	thief.Jar.SetCookies(home, stolen)
	if got := thief.get(t, "/sites/acme.example"); got.status != http.StatusSeeOther {
		t.Errorf("after signing out the cookie is good still: %d", got.status)
	}
	c, err := tls.Dial("tcp", r.address, &tls.Config{RootCAs: r.roots, Time: b.Transport.(*http.Transport).TLSClientConfig.Time, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10, ServerName: "backup.example"})
	if err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

func TestSignIn(t *testing.T) {
	r := newRig(t)
	b := r.browser(t)
	for range 5 {
		got := b.do(t, http.MethodPost, "/signin", url.Values{"name": {"viewer"}, "password": {"wrong"}})
		if got.status != http.StatusForbidden || got.header.Get("Set-Cookie") != "" || !strings.Contains(got.body, "Name or password is wrong") || strings.Contains(got.body, `value="wrong"`) {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	got := b.do(t, http.MethodPost, "/signin", url.Values{"name": {"viewer"}, "password": {password}})
	if got.status != http.StatusConflict || !strings.Contains(got.body, "too many attempts") {
		t.Errorf("after too many attempts: %d", got.status)
	}
	for next, want := range map[string]string{"https://evil.example/": "/", "//evil.example": "/", `/\evil.example`: "/", "/tasks?x=1": "/tasks?x=1", "": "/"} {
		got := b.do(t, http.MethodPost, "/signin", url.Values{"name": {"admin"}, "password": {password}, "next": {next}})
		if got.header.Get("Location") != want {
			t.Errorf("%q leads to %q", next, got.header.Get("Location"))
		}
	}
}

// TestRestoreWantsTheSitesName: without it nothing begins.
func TestRestoreWantsTheSitesName(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "operator")
	for _, typed := range []string{"", "other.example", "ACME.example"} {
		got := b.post(t, "/sites/acme.example/restore", url.Values{"backup": {backupID}, "confirm": {typed}})
		if got.status != http.StatusBadRequest || !strings.Contains(got.body, "type acme.example") {
			t.Errorf("%q: %d", typed, got.status)
		}
	}
}

func TestOverview(t *testing.T) {
	r := newRig(t)
	b := r.signedIn(t, "viewer")
	for path, want := range map[string]string{
		"/": "1–2 of 2", "/?q=ACME": "1–1 of 1", "/?show=failed": "1–2 of 2", "/?show=stale": "No site is in that state", "/?page=7": "ends before this page", "/?q=nobody": "“<bdi>nobody</bdi>”", "/?page=x": "1–2 of 2", "/?page=-1": "1–2 of 2",
	} {
		if got := b.get(t, path); got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := b.get(t, "/"); strings.Contains(got.body, ">Back up…<") {
		t.Error("a viewer is offered what a viewer may not do")
	}
}
