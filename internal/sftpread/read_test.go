package sftpread_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/sftpread"
	"github.com/sitekeep/sitekeep/internal/sftpread/sftptest"
)

// at writes a file of the host and tells where it is.
func at(t *testing.T, h *sftptest.Host, data []byte) sftpread.Location {
	t.Helper()
	l, err := sftpread.Parse(h.File(data))
	h.Must(err)
	return l
}

func TestRead(t *testing.T) {
	h := sftptest.New(t)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	l := at(t, h, data)
	for name, o := range map[string]sftpread.Options{
		"identity":                 {KnownHosts: h.Known(h.Keys[0].PublicKey()), Identity: h.Identity(h.User, "", 0o600)},
		"agent":                    {KnownHosts: h.Known(h.Keys[0].PublicKey()), AgentSocket: h.Agent(h.User)},
		"only the second is known": {KnownHosts: h.Known(h.Keys[1].PublicKey()), Identity: h.Identity(h.User, "", 0o600)},
	} {
		if name == "only the second is known" {
			o.KnownHosts = h.Known(h.Keys[1].PublicKey())
		} else {
			h.Known(h.Keys[0].PublicKey())
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
		h.Must(f.Close())
	}
}

func TestPassphrase(t *testing.T) {
	h := sftptest.New(t)
	l := at(t, h, []byte("x"))
	o := sftpread.Options{KnownHosts: h.Known(h.Keys[0].PublicKey()), Identity: h.Identity(h.User, "open", 0o600)}
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
			h.Must(f.Close())
		} else if strings.Contains(err.Error(), phrase) {
			t.Errorf("the passphrase is told: %v", err)
		}
	}
}

// Whom we do not know, and what is in the place of whom we know, sees nothing of ours.
func TestHosts(t *testing.T) {
	h := sftptest.New(t)
	l := at(t, h, []byte("x"))
	stranger := sftptest.New(t)
	missing := filepath.Join(h.Dir, "none")
	revoked := filepath.Join(h.Dir, "revoked")
	h.Must(os.WriteFile(revoked, []byte("@revoked * "+string(ssh.MarshalAuthorizedKey(h.Keys[0].PublicKey()))+"@revoked * "+string(ssh.MarshalAuthorizedKey(h.Keys[1].PublicKey()))), 0o600))
	broken := filepath.Join(h.Dir, "broken")
	h.Must(os.WriteFile(broken, []byte("host ssh-ed25519 !!!\n"), 0o600))
	for _, c := range []struct {
		name, known string
		kind        errs.Kind
		text, hint  string
	}{
		{"no file", missing, errs.Permission, "is not known: it shows the key", "compare the fingerprint"},
		{"unknown", h.Known(), errs.Permission, "SHA256:", ">> '" + h.Dir},
		{"changed", h.Known(stranger.Keys[0].PublicKey()), errs.Permission, "has changed", "ssh-keygen -R '["},
		{"revoked", revoked, errs.Permission, "revoked", "do not connect"},
		{"broken", broken, errs.Usage, "known hosts", "--known-hosts"},
	} {
		o := sftpread.Options{KnownHosts: c.known, Identity: h.Identity(h.User, "", 0o600)}
		if c.name == "changed" {
			h.Known(stranger.Keys[0].PublicKey())
		}
		_, err := sftpread.Open(t.Context(), l, o)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) || !strings.Contains(errs.HintOf(err), c.hint) || h.Logins.Load() > 0 {
			t.Errorf("%s: %v, hint %q", c.name, err, errs.HintOf(err))
		}
	}
}

func TestRefusals(t *testing.T) {
	h := sftptest.New(t)
	l := at(t, h, []byte("x"))
	known := h.Known(h.Keys[0].PublicKey())
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	h.Must(err)
	good := func() sftpread.Options {
		return sftpread.Options{KnownHosts: known, Identity: h.Identity(h.User, "", 0o600)}
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	h.Must(err)
	h.Must(closed.Close())
	for _, c := range []struct {
		name   string
		change func(*sftpread.Location, *sftpread.Options)
		kind   errs.Kind
	}{
		{"no key", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity = "" }, errs.Usage},
		{"no agent", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity, o.AgentSocket = "", h.Dir+"/none" }, errs.Usage},
		{"no such key", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity = h.Dir + "/none" }, errs.Usage},
		{"no key in it", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity = known }, errs.Usage},
		{"others may read it", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity = h.Identity(h.User, "", 0o640) }, errs.Usage},
		{"another key", func(_ *sftpread.Location, o *sftpread.Options) { o.Identity = h.Identity(stranger, "", 0o600) }, errs.Permission},
		{"no file", func(l *sftpread.Location, _ *sftpread.Options) { l.Path += "x" }, errs.NotFound},
		{"a directory", func(l *sftpread.Location, _ *sftpread.Options) { l.Path = h.Dir }, errs.Usage},
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
	for name, cut := range map[string]func(*sftptest.Host, context.CancelFunc){
		"connection": func(h *sftptest.Host, _ context.CancelFunc) { h.Cut() },
		"file": func(h *sftptest.Host, _ context.CancelFunc) {
			h.Must(os.Truncate(filepath.Join(h.Dir, "site.tar"), 1<<20))
		},
		"context": func(_ *sftptest.Host, stop context.CancelFunc) { stop() },
	} {
		h := sftptest.New(t)
		ctx, stop := context.WithCancel(t.Context())
		f, err := sftpread.Open(ctx, at(t, h, make([]byte, 4<<20)), sftpread.Options{KnownHosts: h.Known(h.Keys[0].PublicKey()), Identity: h.Identity(h.User, "", 0o600)})
		h.Must(err)
		_, err = io.ReadFull(f, make([]byte, 64<<10))
		h.Must(err)
		cut(h, stop)
		if n, err := io.Copy(io.Discard, f); !errs.Is(err, errs.Unreachable) || !strings.Contains(err.Error(), "cut off after") {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
		h.Must(f.Close())
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
