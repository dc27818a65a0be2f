package dbdump

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// ObservedHost returns the address under which the database server at addr
// (host:port, or the path of a socket) sees this machine. It needs no account:
// it tries to log in as a user that does not exist and reads the refusal.
func ObservedHost(ctx context.Context, addr string) (string, error) {
	const op = "ask database server how it sees us"
	user, err := unknownUser()
	if err != nil {
		return "", fail(op, addr, err)
	}
	s, err := serverAt(addr)
	if err != nil {
		return "", err
	}
	s.User = user
	db, err := s.open("")
	if err != nil {
		return "", err
	}
	defer db.Close() //nolint:errcheck // nothing was written
	host, err := refusedHost(ctx, db, user)
	if err != nil {
		return "", fail(op, addr, err)
	}
	return host, nil
}

// unknownUser is a name that no account has.
func unknownUser() (string, error) {
	b := make([]byte, 8)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return "probe_" + hex.EncodeToString(b), nil
}

func serverAt(addr string) (Server, error) {
	if strings.HasPrefix(addr, "/") {
		return Server{Socket: addr}.resolve()
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		host, port = addr, "3306"
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return Server{}, failAs(KindInvalid, "read database address", addr, "give host:port", "port %q is no number", port)
	}
	return Server{Host: host, Port: n}.resolve()
}

// refusedHost logs in and returns the host that the refusal names. A server
// with an anonymous user lets us in, and is asked.
func refusedHost(ctx context.Context, db *sql.DB, user string) (string, error) {
	var current string
	err := db.QueryRowContext(ctx, "SELECT USER()").Scan(&current)
	if err == nil {
		return current[strings.LastIndexByte(current, '@')+1:], nil
	}
	var me *mysql.MySQLError
	if errors.As(err, &me) {
		if host := hostInRefusal(me, user); host != "" {
			return host, nil
		}
	}
	return "", err
}

// hostInRefusal reads errors 1045 and 1698 "Access denied for user 'u'@'host' ..."
// and 1130 "Host 'host' is not allowed ...", whatever their language.
func hostInRefusal(me *mysql.MySQLError, user string) string {
	rest := ""
	switch me.Number {
	case 1045, 1698:
		_, rest, _ = strings.Cut(me.Message, user+"'@'")
	case 1130:
		_, rest, _ = strings.Cut(me.Message, "'")
	}
	host, _, ok := strings.Cut(rest, "'")
	if !ok {
		return ""
	}
	return host
}
