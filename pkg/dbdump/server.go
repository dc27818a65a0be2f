package dbdump

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// TLSMode says how a TCP connection to the database server is protected.
// A socket never uses TLS.
type TLSMode string

// The TLS modes.
const (
	TLSPreferred TLSMode = ""         // TLS when the server offers it, its certificate unchecked
	TLSDisabled  TLSMode = "disabled" // never
	TLSRequired  TLSMode = "required" // or fail; the certificate is not checked
	TLSVerify    TLSMode = "verify"   // or fail; certificate and name are checked against CAFile or the system's CAs
)

// dialTimeout bounds how long a connection may take to be made.
const dialTimeout = 10 * time.Second

// defaultSockets are where Debian, Red Hat and the sources put the socket that
// stands for "localhost" in an option file without one.
var defaultSockets = []string{"/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"}

// Server says where a database server is and as whom to log in. Socket and
// Host exclude each other. Values given here win over those of DefaultsFile.
type Server struct {
	Socket       string // path of its Unix socket
	Host         string // name or address
	Port         int    // 0: 3306
	DefaultsFile string // an option file with a [client] group
	User         string // "": root
	Password     Secret
	TLS          TLSMode
	CAFile       string // PEM; for TLSVerify
}

// Address returns the socket's path or host:port, for messages.
func (s Server) Address() string {
	if s.Socket != "" || s.Host == "" {
		return s.Socket
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(s.port()))
}

func (s Server) port() int {
	if s.Port == 0 {
		return 3306
	}
	return s.Port
}

// resolve reads DefaultsFile and fills in defaults.
func (s Server) resolve() (Server, error) {
	const op = "read database settings"
	if s.DefaultsFile != "" {
		opts, err := readOptionFile(s.DefaultsFile)
		if err == nil {
			s, err = s.merge(opts)
		}
		if err != nil {
			return s, &Error{Op: op, Subject: s.DefaultsFile, Kind: KindInvalid, Err: err,
				Hint: "check mysql.defaults_file"}
		}
		if s.Socket == "" && s.Host == "" {
			s.Socket = firstSocket()
		}
	}
	if s.User == "" {
		s.User = "root"
	}
	return s, s.validate()
}

func firstSocket() string {
	for _, p := range defaultSockets {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}

// validate refuses settings that cannot work.
func (s Server) validate() error {
	var problem string
	switch {
	case s.Socket == "" && s.Host == "":
		problem = "neither a socket nor a host is given"
	case s.Socket != "" && s.Host != "":
		problem = "both a socket and a host are given"
	case s.Port < 0 || s.Port > 65535:
		problem = fmt.Sprintf("port %d is out of range", s.Port)
	case strings.ContainsRune(s.User+s.Host+s.Socket+s.Password.Reveal(), 0):
		problem = "a value holds a NUL byte"
	case s.TLS != TLSPreferred && s.TLS != TLSDisabled && s.TLS != TLSRequired && s.TLS != TLSVerify:
		problem = fmt.Sprintf("TLS mode %q is unknown", string(s.TLS))
	}
	if problem == "" {
		return nil
	}
	return failAs(KindInvalid, "read database settings", "", "give one of socket, host or defaults_file", "%s", problem)
}

// mostPacket is the most that max_allowed_packet can be, in bytes. The driver's own
// bound of 64 MiB is no server's: each tells what it takes.
const mostPacket = 1 << 30

// config returns the driver's settings for a resolved server.
func (s Server) config(database string) (*mysql.Config, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName = s.User, s.Password.Reveal(), database
	c.Net, c.Addr = "tcp", s.Address()
	if s.Socket != "" {
		c.Net = "unix"
	}
	c.Timeout = dialTimeout
	c.Logger = &mysql.NopLogger{}
	c.InterpolateParams = true
	c.MaxAllowedPacket = mostPacket
	c.Params = map[string]string{"sql_mode": "''"}
	if s.Socket != "" {
		return c, nil
	}
	return c, s.configTLS(c)
}

func (s Server) configTLS(c *mysql.Config) error {
	switch s.TLS {
	case TLSDisabled:
		return nil
	case TLSVerify:
		t := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
		c.TLS = t
		if s.CAFile == "" {
			return nil
		}
		pem, err := os.ReadFile(s.CAFile)
		if err == nil {
			t.RootCAs = x509.NewCertPool()
			if !t.RootCAs.AppendCertsFromPEM(pem) {
				err = errors.New("no certificate in it")
			}
		}
		if err != nil {
			return failAs(KindInvalid, "read database settings", s.CAFile, "give the CA of the database server in PEM", "%w", err)
		}
		return nil
	}
	c.TLS = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // the mode says so
	c.AllowFallbackToPlaintext = s.TLS == TLSPreferred
	return nil
}

// open returns a pool for a resolved server; nothing is dialled yet.
func (s Server) open(database string) (*sql.DB, error) {
	c, err := s.config(database)
	if err != nil {
		return nil, err
	}
	conn, err := mysql.NewConnector(c)
	if err != nil {
		return nil, failAs(KindInvalid, "read database settings", s.Address(), "", "%w", scrubErr(err, s.Password))
	}
	db := sql.OpenDB(conn)
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(1)
	db.SetConnMaxIdleTime(time.Minute)
	return db, nil
}

// Ping logs in as s says and selects database (if not empty).
func Ping(ctx context.Context, s Server, database string) error {
	const op = "log in to database"
	s, err := s.resolve()
	if err != nil {
		return err
	}
	db, err := s.open(database)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // nothing was written
	var one int
	if err := db.QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fail(op, fmt.Sprintf("%s as %s at %s", database, s.User, s.Address()), scrubErr(err, s.Password))
	}
	return nil
}
