package webserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// newAnswering returns a bench whose listen address answers with a handler.
func newAnswering(t *testing.T, h http.HandlerFunc) *bench {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return newBench(t, "nginx", func(c *Config) { c.Listen = []string{server.Listener.Addr().String()} })
}

func TestProbe(t *testing.T) {
	tests := []struct {
		name             string
		answer           http.HandlerFunc
		problem, warning string
	}{
		{"page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }, "", ""},
		{"empty page", func(http.ResponseWriter, *http.Request) {}, "empty page", ""},
		{"no content", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "", ""},
		{"500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 500) }, "answers 500", ""},
		{"502", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 502) }, "answers 502", ""},
		{"503 of its own", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 503) }, "answers 503", ""},
		{"maintenance", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(maintenanceHeader, "1")
			w.WriteHeader(503)
		}, "maintenance", ""},
		{"not found", func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }, "", "answers 404"},
		{"login", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "", ""},
		{"redirect", redirectTo("https://example.com/"), "", ""},
		{"WordPress's installer", redirectTo("http://example.com/wp-admin/install.php"), "installer", ""},
		{"WordPress's set-up", redirectTo("/blog/wp-admin/setup-config.php"), "installer", ""},
		{"Drupal's installer", redirectTo("/core/install.php?x=1"), "installer", ""},
		{"Drupal 7's installer", redirectTo("install.php"), "installer", ""},
		{"page about an installer", redirectTo("/how-to-install.php"), "", ""},
		{"cut body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "x")
		}, "no whole answer", ""},
		{"hangs up", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, "no whole answer", ""},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			b := newAnswering(t, c.answer)
			r, err := b.Probe(t.Context(), ProbeRequest{Name: "example.com"})
			if err != nil || (r.Problem == "") != (c.problem == "") || !strings.Contains(r.Problem, c.problem) || r.Warning != c.warning {
				t.Errorf("got %+v, %v", r, err)
			}
			if r.Cut != (c.problem == "no whole answer") {
				t.Errorf("cut is %v", r.Cut)
			}
			if r.Duration <= 0 || r.Address == "" {
				t.Errorf("no duration or address: %+v", r)
			}
		})
	}
}

func redirectTo(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(302)
	}
}

func TestProbeSendsWhatItIsTold(t *testing.T) {
	var got *http.Request
	b := newAnswering(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Retry-After", "7")
		io.WriteString(w, strings.Repeat("x", 3*maxProbeBody))
	})
	r, err := b.Probe(t.Context(), ProbeRequest{Name: "example.com", Path: "/a?b=c"})
	if err != nil || got.Host != "example.com" || got.URL.String() != "/a?b=c" || got.Method != "GET" {
		t.Errorf("asked %+v, %v", got, err)
	}
	if r.BodyBytes != maxProbeBody || len(r.Body) != keptBody || r.RetryAfter != "7" || r.Problem != "" {
		t.Errorf("read %d bytes, kept %d, %+v", r.BodyBytes, len(r.Body), r.RetryAfter)
	}
	if _, err := b.Probe(t.Context(), ProbeRequest{Name: "example.com", Host: "www.example.com:8080"}); err != nil || got.Host != "www.example.com:8080" {
		t.Errorf("asked for %s, %v", got.Host, err)
	}
	for _, bad := range []ProbeRequest{{Name: "example.com", Path: "x"}, {Name: "example.com", Listen: "81"}, {Name: "a b"}} {
		if _, err := b.Probe(t.Context(), bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestProbePassesOurMaintenanceUnlessAsVisitor(t *testing.T) {
	var pass string
	b := newAnswering(t, func(w http.ResponseWriter, r *http.Request) {
		pass = r.Header.Get(PassHeader)
		io.WriteString(w, "x")
	})
	ask := func(visitor bool) string {
		t.Helper()
		if _, err := b.Probe(t.Context(), ProbeRequest{Name: "example.com", AsVisitor: visitor}); err != nil {
			t.Fatal(err)
		}
		return pass
	}
	if ask(false) != "" {
		t.Error("a pass without maintenance")
	}
	b.begin(t, "task", time.Minute)
	first := ask(false)
	if !validPass(first) || ask(true) != "" {
		t.Errorf("pass %q, or a visitor has one", first)
	}
	b.begin(t, "task", time.Minute)
	if ask(false) != first {
		t.Error("renewing changed the pass")
	}
	b.end(t, "task")
	b.begin(t, "task", time.Minute)
	if ask(false) == first {
		t.Error("the pass is used again in the next maintenance")
	}
}

func TestProbeOfNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	b := newBench(t, "nginx", func(c *Config) { c.Listen = []string{address} })
	if r, err := b.Probe(t.Context(), ProbeRequest{Name: "example.com"}); err != nil || r.Status != 0 || !strings.Contains(r.Problem, address) {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestProbeEndsInTime(t *testing.T) {
	release := make(chan struct{})
	b := newAnswering(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	begun := time.Now()
	r, err := b.Probe(t.Context(), ProbeRequest{Name: "example.com", Timeout: 50 * time.Millisecond})
	if err != nil || r.Problem == "" || time.Since(begun) > 5*time.Second {
		t.Errorf("got %+v, %v after %s", r, err, time.Since(begun))
	}
}

func TestWaitProbe(t *testing.T) {
	var asked atomic.Int64
	b := newAnswering(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(500)
		}
		io.WriteString(w, "x")
	})
	good := func(r ProbeResult) bool { return r.Problem == "" }
	if r, err := b.WaitProbe(t.Context(), ProbeRequest{Name: "example.com"}, good); err != nil || r.Status != 200 || asked.Load() != 3 {
		t.Errorf("got %+v, %v after %d", r, err, asked.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, err := b.WaitProbe(ctx, ProbeRequest{Name: "example.com"}, func(ProbeResult) bool { return false })
	if !errors.Is(err, context.DeadlineExceeded) || r.Status == 0 && r.Problem == "" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestWaitServingWantsTheNewConfigurationSeveralTimes(t *testing.T) {
	var asked, last atomic.Int64
	var b *bench
	b = newAnswering(t, func(w http.ResponseWriter, r *http.Request) {
		state, err := b.VhostState(t.Context(), "example.com")
		if err != nil {
			t.Error(err)
		}
		// An old worker answers the first and the third request, and after a while once more.
		if n := asked.Add(1); n == 1 || n == 3 || n == 4+inARow {
			last.Store(time.Now().UnixNano())
			http.NotFound(w, r)
			return
		}
		if r.URL.Path != "/.well-known/sitekeep/"+state.Generation {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, state.Generation+"\n")
	})
	if err := b.WaitServing(t.Context(), "example.com"); !errors.Is(err, ErrNoVhost) {
		t.Errorf("no virtual host: %v", err)
	}
	b.put(t, "server {}", 0o644)
	if _, ok := errors.AsType[*ForeignVhostError](b.WaitServing(t.Context(), "example.com")); !ok {
		t.Error("it waits for what is not ours")
	}
	text, err := b.RenderVhost(b.site())
	if err != nil {
		t.Fatal(err)
	}
	b.put(t, string(text), 0o644)
	err = b.WaitServing(t.Context(), "example.com")
	if since := time.Since(time.Unix(0, last.Load())); err != nil || since < steady || asked.Load() < 4+2*inARow {
		t.Errorf("%v after %d requests, %s after the old one's last answer", err, asked.Load(), since)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := b.waitGeneration(ctx, "example.com", b.Listens()[0], "0123456789abcdef"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("another generation is believed: %v", err)
	}
}
