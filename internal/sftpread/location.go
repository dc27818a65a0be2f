// Package sftpread reads one file from another machine over SFTP. It trusts no host whose key it does not know, takes no
// password, and refuses to know what is in the file.
package sftpread

import (
	"net"
	"net/url"
	"os/user"
	"path"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// Scheme begins the addresses of files that this package reads.
const Scheme = "sftp://"

const defaultPort = "22"

// Location is a file on another machine.
type Location struct {
	User string
	Host string // a name or an address, IPv6 without brackets
	Port string
	Path string // absolute, but for "~/" at its beginning, which is taken off: then it is relative to where one logs in
}

// Parse reads sftp://[USER@]HOST[:PORT]/PATH. "/~/" at the beginning of the path stands for where one logs in. Without a
// user it is that of this process. Errors are errs.Usage and never hold a password.
func Parse(text string) (Location, error) {
	const hint = "write sftp://[user@]host[:port]/path; what is special in it as %20"
	u, err := url.Parse(text)
	if err != nil || u.Scheme+"://" != Scheme {
		return Location{}, errs.New(errs.Usage, hint, "the address of the file cannot be read")
	}
	if _, given := u.User.Password(); given {
		return Location{}, errs.New(errs.Usage, "take the password out, and change it: others may have seen it; log in with a key: ssh-agent, or --identity FILE",
			"the address has a password in it, which ends up in the shell's history and in the list of processes")
	}
	l := Location{User: u.User.Username(), Host: u.Hostname(), Port: u.Port(), Path: u.Path}
	if rest, ok := strings.CutPrefix(l.Path, "/~/"); ok {
		l.Path = rest
	}
	if l.Port == "" {
		l.Port = defaultPort
	}
	port, err := strconv.ParseUint(l.Port, 10, 16)
	if err != nil || port == 0 || l.Host == "" || strings.HasPrefix(l.Host, "-") || u.RawQuery != "" || u.Fragment != "" {
		return Location{}, errs.New(errs.Usage, hint, "the address of the file cannot be read")
	}
	if l.Path == "" || strings.HasSuffix(l.Path, "/") {
		return Location{}, errs.New(errs.Usage, hint, "the address names no file")
	}
	if l.User == "" {
		me, err := user.Current()
		if err != nil {
			return Location{}, errs.New(errs.Usage, "write sftp://user@host/path", "as whom to log in is not known: %w", err)
		}
		l.User = me.Username
	}
	return l, nil
}

// Name is the file's own name.
func (l Location) Name() string { return path.Base(l.Path) }

// Address is host and port, as net.Dial takes them.
func (l Location) Address() string { return net.JoinHostPort(l.Host, l.Port) }

// String is the location without anything secret.
func (l Location) String() string {
	return (&url.URL{Scheme: "sftp", User: url.User(l.User), Host: l.Address(), Path: "/" + strings.TrimPrefix(l.Path, "/")}).String()
}
