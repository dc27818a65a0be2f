package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/dbdump"
	"github.com/sitekeep/sitekeep/pkg/sitekind"
	agentv1 "github.com/sitekeep/sitekeep/proto/sitekeep/agent/v1"
)

// settingsToProto leaves the password out: it never leaves the agent.
func settingsToProto(s sitekind.Settings, file string) *agentv1.DatabaseSettings {
	host, err := sitekind.FormatAddress(s.Host, s.Port, s.Socket)
	if err != nil { // it has no form in one string; the host is what people know it by
		host = s.Host
	}
	return &agentv1.DatabaseSettings{Host: host, Name: s.Name, User: s.User, File: file}
}

// settingsFromProto reads the new credentials for a staged tree. Without a host the site keeps the address that it has.
func settingsFromProto(p *agentv1.DatabaseSettings, password string) (sitekind.Settings, error) {
	s := sitekind.Settings{Name: p.GetName(), User: p.GetUser(), Password: sitekind.NewSecret(password)}
	if s.Name == "" || s.User == "" {
		return s, errs.New(errs.Usage, "give name and user", "the new settings are not complete")
	}
	var err error
	if s.Host, s.Port, s.Socket, err = sitekind.ParseAddress(p.GetHost()); err != nil {
		return s, errs.New(errs.Usage, "give host, host:port or host:/socket", "database host %q: %w", p.GetHost(), err)
	}
	return s, nil
}

// cloakedText says where the credentials are that the settings do not hold.
func cloakedText(s sitekind.Settings) string {
	var names []string
	for _, pair := range s.Env.Pairs(s) {
		names = append(names, pair.Name)
	}
	return fmt.Sprintf("the settings read the database's credentials from the web server's environment (%s)", strings.Join(names, ", "))
}

// checkAddress accepts host:port alone: the master does not choose files.
func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" || strings.HasPrefix(host, "/") {
		return errs.New(errs.Usage, "set mysql.advertise in agent.yaml of the database server", "%q is not host:port of a database server", address)
	}
	return nil
}

// probeDatabase logs in as the site does, counts what it sees, and says what it may not do.
func probeDatabase(ctx context.Context, s sitekind.Settings) (tables int64, missing []string, err error) {
	server, err := siteServer(s)
	if err != nil {
		return 0, nil, err
	}
	in, err := dbdump.Open(ctx, server, dbdump.Options{})
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	info, err := in.Inspect(ctx, s.Name)
	if err == nil && !info.Exists {
		err = fmt.Errorf("database %s does not exist, or its user may not see it", s.Name)
	}
	if err == nil {
		missing, err = in.MissingPrivileges(ctx, s.Name)
	}
	return int64(len(info.Tables)), missing, err
}

// siteServer is the database server as a PHP program finds it: localhost without a port means a socket.
func siteServer(s sitekind.Settings) (dbdump.Server, error) {
	server := dbdump.Server{User: s.User, Password: dbdump.NewSecret(s.Password.Reveal())}
	switch {
	case !s.HasAddress():
		return server, errors.New("the settings name no address of the database server; name it in the site's .sitekeep.yaml")
	case s.Socket != "":
		server.Socket = s.Socket
	case s.Host == "localhost" && s.Port == 0:
		socket, err := localSocket()
		server.Socket = socket
		return server, err
	default:
		server.Host, server.Port = s.Host, s.Port
	}
	return server, nil
}

// localSocket finds the socket that PHP uses for localhost: Debian's, Red Hat's, and the compiled-in one of mysqlnd.
func localSocket() (string, error) {
	sockets := []string{"/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"}
	for _, path := range sockets {
		if info, err := os.Stat(path); err == nil && info.Mode().Type() == os.ModeSocket {
			return path, nil
		}
	}
	return "", fmt.Errorf("the settings name localhost, and there is no socket %s; start the database server, or name host:port in the settings",
		strings.Join(sockets, ", "))
}

// problemOf writes an error with its hint as one sentence.
func problemOf(err error) string {
	if err == nil {
		return ""
	}
	if hint := dbdump.HintOf(err); hint != "" {
		return err.Error() + "; " + hint
	}
	return err.Error()
}

// modeBits are permission, set-id and sticky bits as chmod writes them.
func modeBits(m os.FileMode) uint32 {
	bits := uint32(m.Perm())
	for flag, bit := range map[os.FileMode]uint32{os.ModeSetuid: 0o4000, os.ModeSetgid: 0o2000, os.ModeSticky: 0o1000} {
		if m&flag != 0 {
			bits |= bit
		}
	}
	return bits
}
