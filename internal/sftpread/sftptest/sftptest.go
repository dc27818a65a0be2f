// Package sftptest has an SFTP server on a loopback address, for tests of what reads from one.
package sftptest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
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
)

// Host is an SFTP server on a loopback Address.
type Host struct {
	*testing.T
	Address string
	Dir     string // of the test
	Keys    []ssh.Signer
	User    ed25519.PrivateKey // that may log in
	conns   sync.Map           // net.Conn, to be cut
	Logins  atomic.Int64       // keys that were shown
}

// New starts a server that ends with the test.
func New(t *testing.T) *Host {
	t.Helper()
	h := &Host{T: t, Dir: t.TempDir()}
	_, hostKey, err := ed25519.GenerateKey(rand.Reader)
	h.Must(err)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.Must(err)
	for _, key := range []any{hostKey, other} {
		s, err := ssh.NewSignerFromKey(key)
		h.Must(err)
		h.Keys = append(h.Keys, s)
	}
	_, h.User, err = ed25519.GenerateKey(rand.Reader)
	h.Must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	h.Must(err)
	h.Address = l.Addr().String()
	var served sync.WaitGroup
	t.Cleanup(func() { l.Close(); h.Cut(); served.Wait() })
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

// Must ends the test at an error.
func (h *Host) Must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// Cut breaks all connections.
func (h *Host) Cut() {
	h.conns.Range(func(c, _ any) bool { c.(net.Conn).Close(); return true })
}

func (h *Host) serve(raw net.Conn) {
	defer raw.Close()
	allowed, err := ssh.NewPublicKey(h.User.Public())
	if err != nil {
		return
	}
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		h.Logins.Add(1)
		if !bytes.Equal(key.Marshal(), allowed.Marshal()) {
			return nil, errors.New("not this key")
		}
		return &ssh.Permissions{}, nil
	}}
	for _, k := range h.Keys {
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

// File writes a file of the host and returns its address.
func (h *Host) File(data []byte) string {
	h.Helper()
	path := filepath.Join(h.Dir, "site.tar")
	h.Must(os.WriteFile(path, data, 0o600))
	return "sftp://somebody@" + h.Address + path
}

// Known writes a file of known hosts.
func (h *Host) Known(keys ...ssh.PublicKey) string {
	h.Helper()
	var lines strings.Builder
	for _, k := range keys {
		lines.WriteString(knownhosts.Line([]string{h.Address}, k) + "\n")
	}
	path := filepath.Join(h.Dir, "known_hosts")
	h.Must(os.WriteFile(path, []byte(lines.String()), 0o600))
	return path
}

// Identity writes a private key.
func (h *Host) Identity(key ed25519.PrivateKey, phrase string, mode os.FileMode) string {
	h.Helper()
	block, err := ssh.MarshalPrivateKey(key, "test")
	if phrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(phrase))
	}
	h.Must(err)
	path := filepath.Join(h.Dir, "key")
	h.Must(os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	h.Must(os.Chmod(path, mode))
	return path
}

// Agent serves a key on a socket.
func (h *Host) Agent(key ed25519.PrivateKey) string {
	h.Helper()
	ring := agent.NewKeyring()
	h.Must(ring.Add(agent.AddedKey{PrivateKey: key}))
	socket := filepath.Join(h.Dir, "agent")
	l, err := net.Listen("unix", socket)
	h.Must(err)
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
