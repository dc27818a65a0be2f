package link_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sitekeep/sitekeep/internal/agent/link"
	"github.com/sitekeep/sitekeep/internal/agent/link/linktest"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/pki"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

const soon = 10 * time.Second

func TestJoin(t *testing.T) {
	m := linktest.New(t, "web", "db")
	dir := filepath.Join(t.TempDir(), "agent")
	member, err := link.Join(t.Context(), link.JoinOptions{DataDir: dir, Token: m.Token("web1", time.Hour), Listen: "127.0.0.9"})
	if err != nil {
		t.Fatal(err)
	}
	if member.Name != "web1" || member.Listen != "127.0.0.9:7441" || len(member.Roles) != 2 {
		t.Errorf("member = %+v", member)
	}
	if req := <-m.Requests; req.GetListenAddress() != "127.0.0.9:7441" || req.GetDialOut() {
		t.Errorf("request = %v", req)
	}
	id, err := pki.LoadIdentity(dir)
	if err != nil || id.Name != "web1" || id.Addresses[0] != m.Address {
		t.Errorf("identity of %q at %v, %v", id.Name, id.Addresses, err)
	}
	joined, err := link.LoadJoined(dir)
	if err != nil || joined.Listen != "127.0.0.9:7441" || joined.Roles[1] != model.RoleDB || joined.DialOut {
		t.Errorf("joined = %+v, %v", joined, err)
	}
	for name, mode := range map[string]os.FileMode{"": 0o700, "identity.pem": 0o600, "joined.json": 0o600, "agent.yaml.sample": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestListenAddresses(t *testing.T) {
	m := linktest.New(t, "web")
	for given, want := range map[string]string{
		"": ":7441", ":9000": ":9000", "192.0.2.7": "192.0.2.7:7441", "2001:db8::1": "[2001:db8::1]:7441",
		"[2001:db8::1]": "[2001:db8::1]:7441", "[::]:80": "[::]:80", "web1.example.com": "web1.example.com:7441",
	} {
		member, err := link.Join(t.Context(), link.JoinOptions{DataDir: t.TempDir(), Token: m.Token("web1", time.Hour), Listen: given})
		if err != nil || member.Listen != want {
			t.Errorf("%q became %q, %v", given, member.Listen, err)
		}
	}
}

func TestJoinTwice(t *testing.T) {
	m := linktest.New(t, "web")
	dir := t.TempDir()
	first := m.Token("web1", time.Hour)
	if _, err := link.Join(t.Context(), link.JoinOptions{DataDir: dir, Token: first, DialOut: true}); err != nil {
		t.Fatal(err)
	}
	if req := <-m.Requests; !req.GetDialOut() || req.GetListenAddress() != "" {
		t.Errorf("request = %v", req)
	}
	second := m.Token("web2", time.Hour)
	_, err := link.Join(t.Context(), link.JoinOptions{DataDir: dir, Token: second})
	if !errs.Is(err, errs.Exists) || !strings.Contains(err.Error(), "web1") || !strings.Contains(errs.HintOf(err), "--replace") {
		t.Errorf("joining twice: error = %v, hint %q", err, errs.HintOf(err))
	}
	// The token was not used up by the refusal.
	member, err := link.Join(t.Context(), link.JoinOptions{DataDir: dir, Token: second, Replace: true})
	if err != nil || member.Name != "web2" {
		t.Errorf("member = %+v, %v", member, err)
	}
	if _, err := link.Join(t.Context(), link.JoinOptions{DataDir: t.TempDir(), Token: second}); !errs.Is(err, errs.Permission) || errs.HintOf(err) == "" {
		t.Errorf("a used token: error = %v (%v)", err, errs.KindOf(err))
	}
}

func TestJoinRefused(t *testing.T) {
	m := linktest.New(t, "web")
	good := m.Token("web1", time.Hour)
	other := linktest.New(t, "web")
	stranger, err := pki.NewJoinToken([]string{m.Address}, other.CA.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	away, err := pki.NewJoinToken([]string{"127.0.0.1:1"}, m.CA.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    link.JoinOptions
		kind errs.Kind
	}{
		"mistyped":         {link.JoinOptions{Token: good[:len(good)-1] + "x"}, errs.Usage},
		"empty":            {link.JoinOptions{}, errs.Usage},
		"expired":          {link.JoinOptions{Token: m.Token("web1", -time.Minute)}, errs.Permission},
		"unknown":          {link.JoinOptions{Token: unknownToken(t, m)}, errs.Permission},
		"another CA":       {link.JoinOptions{Token: stranger.Text()}, errs.Permission},
		"nobody answers":   {link.JoinOptions{Token: away.Text()}, errs.Unreachable},
		"bad address":      {link.JoinOptions{Token: good, Listen: "127.0.0.1:http:x"}, errs.Usage},
		"port too large":   {link.JoinOptions{Token: good, Listen: "127.0.0.1:77777"}, errs.Usage},
		"a path":           {link.JoinOptions{Token: good, Listen: "/run/x.sock"}, errs.Usage},
		"port 0":           {link.JoinOptions{Token: good, Listen: ":0"}, errs.Usage},
		"no directory":     {link.JoinOptions{Token: good, DataDir: blocked}, errs.Failed},
		"no parent either": {link.JoinOptions{Token: good, DataDir: blocked + "/x"}, errs.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			if c.o.DataDir == "" {
				c.o.DataDir = t.TempDir()
			}
			_, err := link.Join(t.Context(), c.o)
			if !errs.Is(err, c.kind) || errs.HintOf(err) == "" {
				t.Fatalf("error = %v (kind %v, hint %q), want kind %v", err, errs.KindOf(err), errs.HintOf(err), c.kind)
			}
			if c.o.Token != "" && strings.Contains(err.Error()+errs.HintOf(err), c.o.Token) {
				t.Error("the token is in the error")
			}
			if _, err := pki.LoadIdentity(c.o.DataDir); err == nil {
				t.Error("there is an identity")
			}
		})
	}
	if _, err := link.Join(t.Context(), link.JoinOptions{DataDir: t.TempDir(), Token: good}); err != nil {
		t.Errorf("the token was used up by a failure on this side: %v", err)
	}
}

// TestAnswersThatAreRefused: what a master says is believed only as far as the token goes.
func TestAnswersThatAreRefused(t *testing.T) {
	other := linktest.New(t, "web")
	for name, c := range map[string]struct {
		change func(*agentv1.EnrollResponse)
		kind   errs.Kind
	}{
		"another CA":     {func(r *agentv1.EnrollResponse) { r.CaCertificate = other.CA.Certificate().Raw }, errs.Permission},
		"no CA":          {func(r *agentv1.EnrollResponse) { r.CaCertificate = nil }, errs.Corrupt},
		"another name":   {func(r *agentv1.EnrollResponse) { r.Name = "web2" }, errs.Failed},
		"no certificate": {func(r *agentv1.EnrollResponse) { r.Certificate = nil }, errs.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			m := linktest.New(t, "web")
			m.Change = c.change
			dir := t.TempDir()
			_, err := link.Join(t.Context(), link.JoinOptions{DataDir: dir, Token: m.Token("web1", time.Hour)})
			if !errs.Is(err, c.kind) || errs.HintOf(err) == "" {
				t.Errorf("error = %v (%v, hint %q)", err, errs.KindOf(err), errs.HintOf(err))
			}
			if _, err := pki.LoadIdentity(dir); !errs.Is(err, errs.NotFound) {
				t.Errorf("there is an identity: %v", err)
			}
		})
	}
}

func unknownToken(t *testing.T, m *linktest.Master) string {
	token, err := pki.NewJoinToken([]string{m.Address}, m.CA.Fingerprint())
	if err != nil {
		t.Fatal(err)
	}
	return token.Text()
}

func TestSecondAddressIsTried(t *testing.T) {
	m := linktest.New(t, "web")
	id := m.Identity("web1")
	id.Addresses = []string{"127.0.0.1:1", m.Address}
	live, err := pki.NewLiveIdentity(id)
	if err != nil {
		t.Fatal(err)
	}
	before := live.Identity().Certificate
	dir := t.TempDir()
	r := pki.Renewer{Live: live, Renew: link.Renew(live), Save: func(id pki.Identity) error { return pki.SaveIdentity(dir, id) }}
	if err := r.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if string(live.Identity().Certificate) == string(before) {
		t.Error("the certificate is the old one")
	}
	if saved, err := pki.LoadIdentity(dir); err != nil || string(saved.Certificate) != string(live.Identity().Certificate) {
		t.Errorf("what was saved is not in use (%v)", err)
	}
}

func TestRevokedAgentIsNotRenewed(t *testing.T) {
	m := linktest.New(t, "web")
	live := m.Live("web1")
	m.Revoke("web1")
	if _, err := link.Renew(live)(t.Context(), nil); err == nil {
		t.Error("a revoked agent got an answer")
	}
}

// healthServer is a gRPC server with nothing but the health service.
func healthServer(opts ...grpc.ServerOption) *grpc.Server {
	s := grpc.NewServer(opts...)
	healthv1.RegisterHealthServer(s, health.NewServer())
	return s
}

func check(ctx context.Context, c *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	_, err := healthv1.NewHealthClient(c).Check(ctx, &healthv1.HealthCheckRequest{}, grpc.WaitForReady(false))
	return err
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestListenLetsTheMasterAloneIn(t *testing.T) {
	m := linktest.New(t, "web")
	address := freeAddress(t)
	ctx, cancel := context.WithCancel(t.Context())
	listening := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		server := healthServer(grpc.Creds(link.ListenCredentials(m.Live("web1"))))
		if err := link.Listen(ctx, address, server, func() { close(listening) }); err != nil {
			t.Error(err)
		}
	})
	<-listening
	if err := check(t.Context(), m.Dial("web1", address)); err != nil {
		t.Errorf("the master: %v", err)
	}
	stranger := linktest.New(t, "web")
	for name, c := range map[string]*grpc.ClientConn{
		"another agent":        m.DialWith(pki.AgentDial(m.Live("web2"), nil), address),
		"another master":       stranger.Dial("web1", address),
		"nobody in particular": m.DialWith(pki.Pinned(m.CA.Fingerprint(), nil), address),
		"wrong name":           m.Dial("web2", address),
	} {
		if err := check(t.Context(), c); err == nil {
			t.Errorf("%s was let in", name)
		}
	}
	if err := link.Listen(t.Context(), address, healthServer(), func() {}); !errs.Is(err, errs.Failed) || errs.HintOf(err) == "" {
		t.Errorf("address in use: error = %v", err)
	}
	cancel()
	wg.Wait()
}

// logLines collects a log.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logLines) has(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), part)
}

// dialOut starts an agent that dials; stop waits for its end.
func dialOut(t *testing.T, m *linktest.Master, log io.Writer) (connected chan struct{}, stop func()) {
	t.Helper()
	id := m.Identity("web1")
	id.Addresses = []string{m.Address}
	live, err := pki.NewLiveIdentity(id)
	if err != nil {
		t.Fatal(err)
	}
	connected = make(chan struct{}, 16)
	r := &link.Reverse{
		Live: live, Log: hclog.New(&hclog.LoggerOptions{Output: log}),
		Connected: func() { connected <- struct{}{} },
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Run(ctx, healthServer(grpc.Creds(link.ReverseCredentials()))); err != nil {
			t.Error(err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return connected, stop
}

func next[T any](t *testing.T, c chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(soon):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestDialOutServesAndComesBack(t *testing.T) {
	m := linktest.New(t, "web")
	connected, stop := dialOut(t, m, io.Discard)
	for range 3 {
		client := m.Over(next(t, m.Reversed))
		if err := check(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		next(t, connected)
		_ = client.Close() // the master goes away; the agent dials again
	}
	client := m.Over(next(t, m.Reversed))
	if err := check(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := check(t.Context(), client); err == nil {
		t.Error("an agent that has stopped answers")
	}
}

func TestDialOutSaysWhyItIsRefused(t *testing.T) {
	m := linktest.New(t, "web")
	m.Revoke("web1")
	var log logLines
	connected, stop := dialOut(t, m, &log)
	deadline := time.Now().Add(soon)
	for !log.has("refused this agent's certificate") {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not say why:\n%s", log.text.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if len(connected) > 0 {
		t.Error("an agent that was refused counts as connected")
	}
}

// A master that accepts and says nothing does not keep an agent from stopping.
func TestDialOutStopsThoughTheMasterIsSilent(t *testing.T) {
	m := linktest.New(t, "web")
	_, stop := dialOut(t, m, io.Discard)
	conn := next(t, m.Reversed)
	defer conn.Close()
	begun := time.Now()
	stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

func TestDialOutStopsWhileItWaits(t *testing.T) {
	m := linktest.New(t, "web")
	m.Address = "127.0.0.1:1"
	var log logLines
	_, stop := dialOut(t, m, &log)
	deadline := time.Now().Add(soon)
	for !log.has("no connection to the master") && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	begun := time.Now()
	stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

func TestOneProcessADirectory(t *testing.T) {
	dir := t.TempDir()
	release, err := link.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := link.Lock(dir); !errs.Is(err, errs.Precondition) || errs.HintOf(err) == "" {
		t.Errorf("a second process: error = %v", err)
	}
	release()
	again, err := link.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestJoinedFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := link.LoadJoined(dir); !errs.Is(err, errs.NotFound) || errs.HintOf(err) == "" {
		t.Errorf("no file: error = %v", err)
	}
	for _, text := range []string{"", "{", `{"version":9}`} {
		if err := os.WriteFile(filepath.Join(dir, "joined.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := link.LoadJoined(dir); !errs.Is(err, errs.Corrupt) {
			t.Errorf("%q: error = %v", text, err)
		}
	}
}

func TestLocalHost(t *testing.T) {
	if got := link.LocalHost([]string{"127.0.0.1:9"}); got != "127.0.0.1" {
		t.Errorf("host = %q", got)
	}
	if got := link.LocalHost(nil); got != "" {
		t.Errorf("host = %q", got)
	}
}
