package sftpread_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/sftpread"
)

// host is an SFTP server on a loopback address.
type host struct {
	*testing.T
	address string
	dir     string // of the test
	keys    []ssh.Signer
	user    ed25519.PrivateKey // that may log in
	conns   sync.Map           // net.Conn, to be cut
	logins  atomic.Int64       // keys that were shown
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{T: t, dir: t.TempDir()}
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	h.must(err)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	for _, key := range []any{hostKey, other} {
		s, err := ssh.NewSignerFromKey(key)
		h.must(err)
		h.keys = append(h.keys, s)
	}
	_, h.user, err = ed25519.GenerateKey(rand.Reader)
	h.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	h.address = l.Addr().String()
	var served sync.WaitGroup
	t.Cleanup(func() { l.Close(); h.cut(); served.Wait() })
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			h.conns.Store(conn, true)
			served.Go(func() { h.serve(conn) })
		}
	})
	return h
}

func (h *host) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *host) cut() {
	h.conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
}

func (h *host) serve(raw net.Conn) {
	defer raw.Close()
	allowed, err := ssh.NewPublicKey(h.user.Public())
	if err != nil {
		return
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		h.logins.Add(1)
		if !bytes.Equal(key.Marshal(), allowed.Marshal()) {
			return nil, errors.New("not this key")
		}
		return &ssh.Permissions{}, nil
	}}
	for _, k := range h.keys {
		config.AddHostKey(k)
	}
	conn, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range requests {
				_ = r.Reply(r.Type == "subsystem", nil)
			}
		}()
		if s, err := sftp.NewServer(channel, sftp.ReadOnly()); err == nil {
			_ = s.Serve() // until the client goes
		}
		channel.Close()
	}
}

// file writes a file of the host.
func (h *host) file(data []byte) sftpread.Location {
	h.Helper()
	path := filepath.Join(h.dir, "site.tar")
	h.must(os.WriteFile(path, data, 0o600))
	l, err := sftpread.Parse("sftp://somebody@" + h.address + path)
	h.must(err)
	return l
}

// known writes a file of known hosts.
func (h *host) known(keys ...ssh.PublicKey) string {
	h.Helper()
	var lines strings.Builder
	for _, k := range keys {
		lines.WriteString(knownhosts.Line([]string{h.address}, k) + "\n")
	}
	path := filepath.Join(h.dir, "known_hosts")
	h.must(os.WriteFile(path, []byte(lines.String()), 0o600))
	return path
}

// identity writes a private key.
func (h *host) identity(key ed25519.PrivateKey, phrase string, mode os.FileMode) string {
	h.Helper()
	block, err := ssh.MarshalPrivateKey(key, "test")
	if phrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(phrase))
	}
	h.must(err)
	path := filepath.Join(h.dir, "key")
	h.must(os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	h.must(os.Chmod(path, mode))
	return path
}

// agent serves a key on a socket.
func (h *host) agent(key ed25519.PrivateKey) string {
	h.Helper()
	ring := agent.NewKeyring()
	h.must(ring.Add(agent.AddedKey{PrivateKey: key}))
	socket := filepath.Join(h.dir, "agent")
	l, err := net.Listen("unix", socket)
	h.must(err)
	h.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, conn); conn.Close() }()
		}
	}()
	return socket
}

func TestRead(t *testing.T) {
	h := newHost(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	l := h.file(data)
	for name, o := range map[string]sftpread.Options{
		"identity":                 {KnownHosts: h.known(h.keys[0].PublicKey()), Identity: h.identity(h.user, "", 0o600)},
		"agent":                    {KnownHosts: h.known(h.keys[0].PublicKey()), AgentSocket: h.agent(h.user)},
		"only the second is known": {KnownHosts: h.known(h.keys[1].PublicKey()), Identity: h.identity(h.user, "", 0o600)},
	} {
		if name == "only the second is known" {
			o.KnownHosts = h.known(h.keys[1].PublicKey())
		} else {
			h.known(h.keys[0].PublicKey())
		}
		f, err := sftpread.Open(t.Context(), l, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, data) || f.Size() != int64(len(data)) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), f.Size(), err)
		}
		h.must(f.Close())
	}
}

func TestPassphrase(t *testing.T) {
	h := newHost(t)
	l := h.file([]byte("x"))
	o := sftpread.Options{KnownHosts: h.known(h.keys[0].PublicKey()), Identity: h.identity(h.user, "open", 0o600)}
	if _, err := sftpread.Open(t.Context(), l, o); !errs.Is(err, errs.Usage) || !strings.Contains(errs.HintOf(err), "ssh-add") {
		t.Errorf("nobody to ask: %v", err)
	}
	for phrase, want := range map[string]bool{"open": true, "shut": false} {
		o.Passphrase = func(string) ([]byte, error) { return []byte(phrase), nil }
		f, err := sftpread.Open(t.Context(), l, o)
		if (err == nil) != want {
			t.Errorf("%s: %v", phrase, err)
		}
		if err == nil {
			h.must(f.Close())
		} else if strings.Contains(err.Error(), phrase) {
			t.Errorf("the passphrase is told: %v", err)
		}
	}
}

// Whom we do not know, and what is in the place of whom we know, sees nothing of ours.
func TestHosts(t *testing.T) {
	h := newHost(t)
	l := h.file([]byte("x"))
	stranger := newHost(t)
	missing := filepath.Join(h.dir, "none")
	revoked := filepath.Join(h.dir, "revoked")
	h.must(os.WriteFile(revoked, []byte("@revoked * "+string(ssh.MarshalAuthorizedKey(h.keys[0].PublicKey()))+"@revoked * "+string(ssh.MarshalAuthorizedKey(h.keys[1].PublicKey()))), 0o600))
	broken := filepath.Join(h.dir, "broken")
	h.must(os.WriteFile(broken, []byte("host ssh-ed25519 !!!\n"), 0o600))
	for _, c := range []struct {
		name, known string
		kind        errs.Kind
		text, hint  string
	}{
		{"no file", missing, errs.Permission, "is not known: it shows the key", "compare the fingerprint"},
		{"unknown", h.known(), errs.Permission, "SHA256:", ">> '" + h.dir},
		{"changed", h.known(stranger.keys[0].PublicKey()), errs.Permission, "has changed", "ssh-keygen -R '["},
		{"revoked", revoked, errs.Permission, "revoked", "do not connect"},
		{"broken", broken, errs.Usage, "known hosts", "--known-hosts"},
	} {
		o := sftpread.Options{KnownHosts: c.known, Identity: h.identity(h.user, "", 0o600)}
		if c.name == "changed" {
			h.known(stranger.keys[0].PublicKey())
		}
		_, err := sftpread.Open(t.Context(), l, o)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) || !strings.Contains(errs.HintOf(err), c.hint) || h.logins.Load() > 0 {
			t.Errorf("%s: %v, hint %q", c.name, err, errs.HintOf(err))
		}
	}
}

func TestRefusals(t *testing.T) {
	h := newHost(t)
	l := h.file([]byte("x"))
	known := h.known(h.keys[0].PublicKey())
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	h.must(err)
	good := func() sftpread.Options {
		return sftpread.Options{KnownHosts: known, Identity: h.identity(h.user, "", 0o600)}
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	h.must(closed.Close())
	for _, c := range []struct {
		name   string
		change func(*sftpread.Location, *sftpread.Options)
		kind   errs.Kind
	}{
		{"no key", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity = "" }, errs.Usage},
		{"no agent", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity, o.AgentSocket = "", h.dir+"/none" }, errs.Usage},
		{"no such key", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity = h.dir + "/none" }, errs.Usage},
		{"no key in it", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity = known }, errs.Usage},
		{"others may read it", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity = h.identity(h.user, "", 0o640) }, errs.Usage},
		{"another key", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity = h.identity(stranger, "", 0o600) }, errs.Permission},
		{"no file", func(l *sftpread.Location, _ *sftpread.Options) { l.Path += "x" }, errs.NotFound},
		{"a directory", func(l *sftpread.Location, _ *sftpread.Options) { l.Path = h.dir }, errs.Usage},
		{"nobody there", func(l *sftpread.Location, _ *sftpread.Options) {
			_, l.Port, _ = net.SplitHostPort(closed.Addr().String())
		}, errs.Unreachable},
	} {
		where, o := l, good()
		c.change(&where, &o)
		_, err := sftpread.Open(t.Context(), where, o)
		if !errs.Is(err, c.kind) || errs.HintOf(err) == "" {
			t.Errorf("%s: %v (%v), hint %q", c.name, err, errs.KindOf(err), errs.HintOf(err))
		}
	}
}

// A connection that breaks is an error, and so is a file that gets shorter.
func TestCut(t *testing.T) {
	for name, cut := range map[string]func(*host, context.CancelFunc){
		"connection": func(h *host, _ context.CancelFunc) { h.cut() },
		"file":       func(h *host, _ context.CancelFunc) { h.must(os.Truncate(filepath.Join(h.dir, "site.tar"), 1<<20)) },
		"context":    func(_ *host, stop context.CancelFunc) { stop() },
	} {
		h := newHost(t)
		ctx, stop := context.WithCancel(t.Context())
		f, err := sftpread.Open(ctx, h.file(make([]byte, 4<<20)), sftpread.Options{KnownHosts: h.known(h.keys[0].PublicKey()), Identity: h.identity(h.user, "", 0o600)})
		h.must(err)
		_, err = io.ReadFull(f, make([]byte, 64<<10))
		h.must(err)
		cut(h, stop)
		if n, err := io.Copy(io.Discard, f); !errs.Is(err, errs.Unreachable) || !strings.Contains(err.Error(), "cut off after") {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		h.must(f.Close())
		stop()
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]sftpread.Location{
		"sftp://me@example.com/srv/a.tar":        {User: "me", Host: "example.com", Port: "22", Path: "/srv/a.tar"},
		"sftp://me@example.com:2222/~/a%20b.tar": {User: "me", Host: "example.com", Port: "2222", Path: "a b.tar"},
		"sftp://me@[2001:db8::1]:2222/srv/a.tar": {User: "me", Host: "2001:db8::1", Port: "2222", Path: "/srv/a.tar"},
	} {
		if got, err := sftpread.Parse(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"sftp://me:s3cret@h/a", "sftp://me:@h/a", "sftp:///a", "sftp://h", "sftp://h/", "sftp://h/dir/", "sftp://h:0/a", "sftp://h:99999/a",
		"sftp://h/a?x=s3cret", "sftp://h/a#b", "sftp://-oProxyCommand=x/a", "http://h/a", "sftp://%zz/a"} {
		_, err := sftpread.Parse(text)
		if !errs.Is(err, errs.Usage) || errs.HintOf(err) == "" || strings.Contains(err.Error()+errs.HintOf(err), "s3cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if l, err := sftpread.Parse("sftp://h/a"); err != nil || l.User == "" || l.String() != "sftp://"+l.User+"@h:22/a" {
		t.Errorf("%+v, %v", l, err)
	}
}
