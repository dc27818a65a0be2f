package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/sftpread/sftptest"
	pb "github.com/sitekeep/sitekeep/proto/sitekeep/v1"
)

// A tarball on another machine comes through whole, with its size, and one that is cut off on the way is an error.
func TestTarballOverSFTP(t *testing.T) {
	h := sftptest.New(t)
	data := bytes.Repeat([]byte("tarball "), 1<<17)
	address := h.File(data)
	a := newApp(stdio{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	socket := h.Agent(h.User)
	a.getenv = func(name string) string {
		return map[string]string{"SSH_AUTH_SOCK": socket, "HOME": filepath.Join(h.Dir, "home")}[name]
	}
	if _, err := a.openTarball(t.Context(), address, &tarballFlags{}); !errs.Is(err, errs.Permission) || !strings.Contains(errs.HintOf(err), "/home/.ssh/known_hosts") {
		t.Errorf("nothing is known: %v, hint %q", err, errs.HintOf(err))
	}
	for name, o := range map[string]*tarballFlags{
		"agent":    {knownHosts: h.Known(h.Keys[0].PublicKey())},
		"identity": {knownHosts: h.Known(h.Keys[0].PublicKey()), identity: h.Identity(h.User, "", 0o600)},
	} {
		tar, err := a.openTarball(t.Context(), address, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := io.ReadAll(tar)
		if err != nil || !bytes.Equal(got, data) || tar.size != int64(len(data)) || tar.name != "site.tar" {
			t.Errorf("%s: %d bytes of %d of %q, %v", name, len(got), tar.size, tar.name, err)
		}
		h.Must(tar.Close())
	}
	tar, err := a.openTarball(t.Context(), address, &tarballFlags{knownHosts: h.Known(h.Keys[0].PublicKey())})
	h.Must(err)
	h.Cut()
	sent := 0
	u := &uploader{show: a.newDisplay(false).view(""), send: func(m *pb.ImportBackupRequest) error { sent += len(m.GetData()); return nil }}
	if err := u.file("upload", tar); !errs.Is(err, errs.Unreachable) || sent >= len(data) {
		t.Errorf("cut off after %d bytes: %v", sent, err)
	}
	h.Must(tar.Close())
}
