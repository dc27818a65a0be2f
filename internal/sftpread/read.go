package sftpread

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Options say whom to trust and who to be.
type Options struct {
	// KnownHosts is the file with the keys of hosts, as ssh(1) keeps it. One that is not there knows no host.
	KnownHosts string
	// Identity is the file with a private key; empty: the keys of the agent.
	Identity string
	// AgentSocket is the agent's, as in SSH_AUTH_SOCK.
	AgentSocket string
	// Passphrase asks for that of a key.
	Passphrase func(prompt string) ([]byte, error)
}

// dialTimeout bounds connecting and logging in.
const dialTimeout = 30 * time.Second

// File is a file on another machine. Close it.
type File struct {
	file   *sftp.File
	client *sftp.Client
	conn   *ssh.Client
	stop   func() bool
	place  Location
	size   int64
	read   int64
}

// Open connects, checks the host's key, logs in and opens the file. ctx ends the whole: what is read after its end is an
// error. Errors are errs.Unreachable, errs.Permission, errs.NotFound or errs.Usage, with what to do next.
func Open(ctx context.Context, l Location, o Options) (*File, error) {
	conn, err := connect(ctx, l, o)
	if err != nil {
		return nil, err
	}
	f := &File{conn: conn, place: l, stop: context.AfterFunc(ctx, func() { _ = conn.Close() })}
	if f.client, err = sftp.NewClient(conn); err != nil {
		return nil, errors.Join(errs.New(errs.Failed, "look whether the host allows SFTP: Subsystem sftp in its sshd_config", "%s: start SFTP: %w", l, err), f.Close())
	}
	if err := f.open(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *File) open() (err error) {
	f.file, err = f.client.Open(f.place.Path)
	if err != nil {
		return f.fileError(err)
	}
	info, err := f.file.Stat()
	if err != nil {
		return f.fileError(err)
	}
	if !info.Mode().IsRegular() {
		return errs.New(errs.Usage, "name a file", "%s is not a regular file", f.place)
	}
	f.size = info.Size()
	return nil
}

func (f *File) fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errs.New(errs.NotFound, "list what is there with: sftp "+f.place.User+"@"+f.place.Host, "%s: there is no such file", f.place)
	case errors.Is(err, fs.ErrPermission):
		return errs.New(errs.Permission, "let "+f.place.User+" read it, or log in as somebody else", "%s: %s may not read it", f.place, f.place.User)
	}
	return errs.New(errs.Unreachable, "try again", "%s: %w", f.place, err)
}

// connect logs in. The host's key is compared before anything of ours is shown.
func connect(ctx context.Context, l Location, o Options) (*ssh.Client, error) {
	trust, err := newTrust(l, o.KnownHosts)
	if err != nil {
		return nil, err
	}
	auth, done, err := authenticate(ctx, o)
	if err != nil {
		return nil, err
	}
	defer done()
	raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", l.Address())
	if err != nil {
		return nil, unreachable(l, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	if err := raw.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, errors.Join(unreachable(l, err), raw.Close())
	}
	conn, channels, requests, err := ssh.NewClientConn(raw, l.Address(), &ssh.ClientConfig{
		User: l.User, Auth: []ssh.AuthMethod{auth}, HostKeyCallback: trust.check, HostKeyAlgorithms: trust.algorithms(),
	})
	if err != nil {
		_ = raw.Close() // it is closed already, mostly
		return nil, trust.explain(err)
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(unreachable(l, err), conn.Close())
	}
	return ssh.NewClient(conn, channels, requests), nil
}

func unreachable(l Location, err error) error {
	return errs.New(errs.Unreachable, "check host and port, and that sshd runs there", "%s cannot be reached: %w", l.Address(), err)
}

// Size is the file's length in bytes when it was opened.
func (f *File) Size() int64 { return f.size }

// Read reads on. An end before the file's own is errs.Unreachable, never io.EOF.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.file.Read(p)
	f.read += int64(n)
	switch {
	case err == nil, errors.Is(err, io.EOF) && f.read == f.size:
		return n, err
	case errors.Is(err, io.EOF):
		err = fmt.Errorf("it has %d bytes instead of %d: it was changed meanwhile", f.read, f.size)
	}
	return n, errs.New(errs.Unreachable, "begin again", "%s was cut off after %d bytes: %w", f.place, f.read, err)
}

// Close ends the connection.
func (f *File) Close() error {
	f.stop()
	if f.file != nil {
		_ = f.file.Close() // it was only read
	}
	if f.client != nil {
		_ = f.client.Close()
	}
	_ = f.conn.Close() // nothing is on its way
	return nil
}
