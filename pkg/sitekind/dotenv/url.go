package dotenv

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// databaseURL is SCHEME://[USER[:PASSWORD]@]HOST[:PORT]/NAME[?QUERY], each
// part percent-encoded, as doctrine/dbal's DsnParser and Laravel's
// ConfigurationUrlParser take it apart.
var databaseURL = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+_-]*)://(?:([^:@/?#]*)(?::([^@/?#]*))?@)?(\[[0-9a-fA-F:.]+\]|[^:@/?#\[\]]*)(?::([0-9]{1,5}))?(?:/([^?#]*))?(\?[^#]*)?$`)

// errOtherServer is the error of a database that is none of MySQL or MariaDB.
var errOtherServer = errors.New("the database is none of MySQL or MariaDB, which alone can be backed up")

// parseURL takes an address apart. Errors hold nothing of it.
func parseURL(text string) (sitekind.Settings, error) {
	m := databaseURL.FindStringSubmatch(text)
	if m == nil {
		return sitekind.Settings{}, errors.New("the address is no SCHEME://USER:PASSWORD@HOST:PORT/NAME; what is special in it must be percent-encoded")
	}
	if !isMySQL(m[1]) {
		return sitekind.Settings{}, errOtherServer
	}
	var parts [4]string
	for i, text := range []string{m[2], m[3], m[4], m[6]} {
		plain, err := url.PathUnescape(text)
		if err != nil {
			return sitekind.Settings{}, errors.New("the address has a percent sign that begins no encoding")
		}
		parts[i] = plain
	}
	s := sitekind.Settings{User: parts[0], Password: sitekind.NewSecret(parts[1]), Host: strings.Trim(parts[2], "[]"), Name: parts[3]}
	s.Port, _ = strconv.Atoi(m[5]) // Five digits at most.
	query, err := url.ParseQuery(strings.TrimPrefix(m[7], "?"))
	if err != nil || s.Port > 65535 {
		return sitekind.Settings{}, errors.New("the address has a port or a query that cannot be read")
	}
	s.Socket, s.Charset = query.Get("unix_socket"), query.Get("charset")
	return s, nil
}

func isMySQL(driver string) bool {
	switch driver {
	case "mysql", "mysql2", "mariadb", "mysqli", "pdo-mysql", "pdo_mysql":
		return true
	}
	return false
}

// formatURL writes settings into an address and keeps its scheme and query. Of
// a socket it keeps what is there.
func formatURL(old string, s sitekind.Settings) (string, error) {
	m := databaseURL.FindStringSubmatch(old)
	now, err := parseURL(old)
	if err != nil {
		return "", err
	}
	if s.Socket != now.Socket {
		return "", errors.New("the socket stands in the query of the address; change it there")
	}
	host := s.Host
	switch {
	case strings.Contains(host, ":") && s.Port == 0:
		host = "[" + host + "]"
	case s.Port != 0:
		host = net.JoinHostPort(host, strconv.Itoa(s.Port))
	}
	out := m[1] + "://" + encode(s.User) + ":" + encode(s.Password.Reveal()) + "@" + host + "/" + encode(s.Name) + m[7]
	again, err := parseURL(out)
	if err != nil || again != (sitekind.Settings{Host: s.Host, Port: s.Port, Socket: s.Socket, Name: s.Name, User: s.User, Password: s.Password, Charset: now.Charset}) {
		return "", errors.New("the values do not fit into an address")
	}
	return out, nil
}

// encode encodes everything but letters, digits, and - _ . ~ (RFC 3986, 2.3).
func encode(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
