package webui_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sitekeep/sitekeep/internal/account"
	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/master"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
)

const password = "correct horse battery"

// Hostile text: markup, characters that turn the direction around, and a lot of it.
const (
	markup = `<script>alert(1)</script><img src=x onerror=alert(2)>"'&{{.}}`
	rtl    = "evil\u202egpj.exe"
)

var (
	now  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	long = strings.Repeat("x", 10_000)
)

// ids of the tasks of the world.
const (
	failedTask = "01KACQ4J7XK0VJ7N3YH2M3T5QA"
	otherTask  = "01KACQ4J7XK0VJ7N3YH2M3T5QB"
)

// rig is a whole master with pages, and sites of two clients that nobody has backed up for real.
type rig struct {
	address string // host:port of the pages
	roots   *x509.CertPool
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func backupOf(site string, n int, description string) model.Backup {
	at := now.Add(time.Duration(n-10) * time.Hour)
	return model.Backup{ID: model.BackupID(site, at, 0), Site: site, CreatedAt: at, Description: description, Format: "tar.zst",
		Size: int64(n+1) << 20, NewBytes: 1 << 20, Origin: model.OriginManual, Digest: "sha256:00"}
}

func newRig(t testing.TB, more ...func(testing.TB, string)) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &rig{address: l.Addr().String(), roots: x509.NewCertPool()}
	must(t, l.Close())
	must(t, master.Init(dir, master.NewConfig("backup.example", "127.0.0.1:0", r.address), now))
	seed(t, filepath.Join(dir, "catalogue.db"))
	for _, f := range more {
		f(t, dir)
	}
	ca, err := pki.LoadCA(filepath.Join(dir, "ca"))
	must(t, err)
	r.roots.AddCert(ca.Certificate())
	ready := make(chan struct{})
	m, err := master.Open(t.Context(), master.Options{DataDir: dir, Version: "v9", Log: hclog.NewNullLogger(), Now: func() time.Time { return now }, Ready: func() { close(ready) }})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		must(t, m.Close())
	})
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	return r
}

func seed(t testing.TB, path string) {
	t.Helper()
	ctx := t.Context()
	c, err := catalogue.Open(ctx, path)
	must(t, err)
	defer c.Close()
	must(t, c.CreateServer(ctx, model.Server{Name: "web1", Roles: []model.Role{model.RoleWeb}}))
	for name, client := range map[string]string{"acme.example": "acme", "other.example": "other"} {
		must(t, c.CreateSite(ctx, model.Site{Name: name, Kind: "generic", Client: client, WebServers: []string{"web1"}, Root: "/var/www/" + name,
			Docroot: "/var/www/" + name, Vhost: model.VhostManaged, CreatedAt: now}))
	}
	for i, text := range []string{markup, rtl, long} {
		must(t, c.InsertBackup(ctx, backupOf("acme.example", i, text)))
	}
	must(t, c.InsertBackup(ctx, backupOf("other.example", 0, "a secret of the other client")))
	for id, site := range map[string]string{failedTask: "acme.example", otherTask: "other.example"} {
		_, err := c.AddTask(ctx, model.Task{ID: id, Kind: model.TaskBackup, Site: site, State: model.TaskQueued, Spec: []byte("{}"), CreatedAt: now}, true, false)
		must(t, err)
		for _, l := range []model.LogLine{{Level: model.LevelInfo, Text: "begun"}, {Level: model.LevelError, Text: markup}} {
			_, err = c.AppendLog(ctx, id, now, l.Level, l.Text)
			must(t, err)
		}
		_, err = c.MoveTask(ctx, model.Task{ID: id, State: model.TaskFailed, Error: markup, FinishedAt: now}, model.TaskQueued)
		must(t, err)
	}
	must(t, c.RecordDrill(ctx, model.Drill{Site: "acme.example", Backup: backupOf("acme.example", 2, "").ID, At: now.Add(-time.Hour), TaskID: failedTask, Problem: markup}))
	must(t, c.RecordDrill(ctx, model.Drill{Site: "other.example", Backup: backupOf("other.example", 0, "").ID, At: now.Add(-72 * time.Hour), TaskID: otherTask}))
	hash := account.Hash(password)
	for _, u := range []catalogue.User{{Name: "admin", Role: catalogue.APIAdmin}, {Name: "operator", Role: catalogue.APIOperator}, {Name: "viewer", Role: catalogue.APIViewer},
		{Name: "acme", Role: catalogue.APIOperator, Client: "acme"}} {
		u.Password = hash
		must(t, c.CreateUser(ctx, u))
	}
}

// browser keeps cookies and sends what a browser does.
type browser struct {
	*http.Client
	rig *rig
}

func (r *rig) browser(t testing.TB) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots, Time: func() time.Time { return now }}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{&http.Client{Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, r}
}

type reply struct {
	status int
	body   string
	header http.Header
}

func (b *browser) do(t testing.TB, method, path string, form url.Values, header ...string) reply {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, "https://"+b.rig.address+path, strings.NewReader(form.Encode()))
	must(t, err)
	if method == http.MethodPost {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.Header.Set("Origin", "https://"+b.rig.address)
		q.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	a, err := b.Do(q)
	must(t, err)
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	must(t, err)
	return reply{a.StatusCode, string(body), a.Header}
}

func (b *browser) get(t testing.TB, path string) reply {
	t.Helper()
	return b.do(t, http.MethodGet, path, nil)
}

// post sends a form with the session's mark.
func (b *browser) post(t testing.TB, path string, form url.Values) reply {
	t.Helper()
	all := url.Values{"csrf": {b.mark(t)}}
	for k, v := range form {
		all[k] = v
	}
	return b.do(t, http.MethodPost, path, all)
}

var markOf = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

func (b *browser) mark(t testing.TB) string {
	t.Helper()
	found := markOf.FindStringSubmatch(b.get(t, "/").body)
	if found == nil {
		t.Fatal("the page has no form of the session")
	}
	return found[1]
}

func (r *rig) signedIn(t testing.TB, user string) *browser {
	t.Helper()
	b := r.browser(t)
	got := b.do(t, http.MethodPost, "/signin", url.Values{"name": {user}, "password": {password}})
	if got.status != http.StatusSeeOther {
		t.Fatalf("%s signs in: %d %s", user, got.status, got.body)
	}
	return b
}
