package sftpread

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// trust knows the keys of one host.
type trust struct {
	place Location
	file  string
	known ssh.HostKeyCallback
	shown ssh.PublicKey // what the host has shown
	wrong error         // why it was refused
}

func newTrust(l Location, file string) (*trust, error) {
	t := &trust{place: l, file: file}
	known, err := knownhosts.New(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.known = func(string, net.Addr, ssh.PublicKey) error { return &knownhosts.KeyError{} }
	case err != nil:
		return nil, errs.New(errs.Usage, "mend the file, or give another one with --known-hosts FILE", "read the known hosts: %w", err)
	default:
		t.known = known
	}
	return t, nil
}

// check is an ssh.HostKeyCallback.
func (t *trust) check(host string, remote net.Addr, key ssh.PublicKey) error {
	t.shown = key
	t.wrong = t.known(host, remote, key)
	return t.wrong
}

// nowhere is the address of no host: names count, not addresses.
type nowhere struct{}

func (nowhere) Network() string { return "tcp" }
func (nowhere) String() string  { return "0.0.0.0:0" }

// algorithms are those of the keys that are known of the host: it is to show one of these, or a host with several would
// seem to be another one. Nil, if none is known.
func (t *trust) algorithms() []string {
	none, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var unlike *knownhosts.KeyError
	if !errors.As(t.known(t.place.Address(), nowhere{}, none), &unlike) {
		return nil
	}
	var out []string
	for _, k := range unlike.Want {
		names := []string{k.Key.Type()}
		if k.Key.Type() == ssh.KeyAlgoRSA {
			names = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, name := range names {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// explain says what a failed login means, and what to do next.
func (t *trust) explain(err error) error {
	var unlike *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case t.wrong == nil && t.shown == nil:
		return unreachable(t.place, err)
	case t.wrong == nil:
		return errs.New(errs.Permission, fmt.Sprintf("look which keys you have with: ssh-add -l; put one of them into authorized_keys of %s there, or give another one with --identity FILE", t.place.User),
			"%s does not let %s in: %w", t.place.Address(), t.place.User, err)
	case errors.As(t.wrong, &revoked):
		return errs.New(errs.Permission, "do not connect; ask who runs the host", "the key of %s is marked as revoked in %s", t.place.Address(), t.file)
	case errors.As(t.wrong, &unlike) && len(unlike.Want) > 0:
		return errs.New(errs.Permission, fmt.Sprintf("ask who runs the host; if it has a new key: ssh-keygen -R %s -f %s; then: %s", quote(knownhosts.Normalize(t.place.Address())), quote(t.file), t.scan()),
			"the key of %s has changed, or another machine answers in its place: it shows %s, which is not the one in %s line %d",
			t.place.Address(), t.fingerprint(), unlike.Want[0].Filename, unlike.Want[0].Line)
	}
	return errs.New(errs.Permission, "compare the fingerprint with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there); if it is right: "+t.scan(),
		"the host %s is not known: it shows the key %s", t.place.Address(), t.fingerprint())
}

func (t *trust) fingerprint() string {
	return t.shown.Type() + " " + ssh.FingerprintSHA256(t.shown)
}

// scan is the command that adds the very key that was shown.
func (t *trust) scan() string {
	return "echo " + quote(knownhosts.Line([]string{t.place.Address()}, t.shown)) + " >> " + quote(t.file)
}

// quote makes a word for a shell.
func quote(s string) string {
	out := []byte{'\''}
	for i := range len(s) {
		if s[i] == '\'' {
			out = append(out, `'\'`...)
		}
		out = append(out, s[i])
	}
	return string(append(out, '\''))
}
