package sftpread

import (
	"context"
	"errors"
	"net"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/sitekeep/sitekeep/internal/errs"
)

const hintKey = "start an agent and add a key (eval \"$(ssh-agent)\"; ssh-add), or give one with --identity FILE"

// authenticate returns how to log in. done is called when that is over.
func authenticate(ctx context.Context, o Options) (auth ssh.AuthMethod, done func(), err error) {
	if o.Identity != "" {
		key, err := readKey(o)
		if err != nil {
			return nil, nil, err
		}
		return ssh.PublicKeys(key), func() {}, nil
	}
	if o.AgentSocket == "" {
		return nil, nil, errs.New(errs.Usage, hintKey, "there is no key to log in with: no agent runs (SSH_AUTH_SOCK), and no --identity is given")
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", o.AgentSocket)
	if err != nil {
		return nil, nil, errs.New(errs.Usage, hintKey, "the agent of SSH_AUTH_SOCK cannot be reached: %w", err)
	}
	return ssh.PublicKeysCallback(agent.NewClient(conn).Signers), func() { _ = conn.Close() }, nil
}

// readKey reads a private key, which nobody else may be able to read, and asks for its passphrase if it has one.
func readKey(o Options) (ssh.Signer, error) {
	f, err := os.Open(o.Identity)
	if err != nil {
		return nil, errs.New(errs.Usage, hintKey, "read the private key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxKey) {
		err = errors.New("it is no file with a key")
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, errs.New(errs.Usage, "take it back: chmod 600 "+quote(o.Identity), "others may read the private key %s (mode %04o)", o.Identity, info.Mode().Perm())
	}
	text := make([]byte, maxKey)
	n := 0
	if err == nil {
		n, err = f.ReadAt(text[:info.Size()], 0)
	}
	if err != nil {
		return nil, errs.New(errs.Usage, hintKey, "read the private key %s: %w", o.Identity, err)
	}
	return parseKey(o, text[:n])
}

// maxKey is more than any private key has, in bytes.
const maxKey = 64 << 10

func parseKey(o Options, text []byte) (ssh.Signer, error) {
	key, err := ssh.ParsePrivateKey(text)
	var sealed *ssh.PassphraseMissingError
	if errors.As(err, &sealed) && o.Passphrase != nil {
		phrase, err := o.Passphrase("Passphrase of " + o.Identity + ": ")
		if err != nil {
			return nil, err
		}
		key, err = ssh.ParsePrivateKeyWithPassphrase(text, phrase)
		if err != nil {
			return nil, errs.New(errs.Permission, "try again", "the passphrase does not open %s", o.Identity)
		}
		return key, nil
	}
	if errors.As(err, &sealed) {
		return nil, errs.New(errs.Usage, "run the command on a terminal, or add the key to an agent: ssh-add "+quote(o.Identity),
			"the private key %s has a passphrase, and there is no terminal to ask for it", o.Identity)
	}
	if err != nil {
		return nil, errs.New(errs.Usage, "give the private key, not the public one", "%s is not a private key: %w", o.Identity, err)
	}
	return key, nil
}
