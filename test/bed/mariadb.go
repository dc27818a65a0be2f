package bed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"
)

// MariaDB is a running server. Its root has a password and may log in through
// the socket and over TCP from 127.0.0.1, which is what a client on loopback
// has for an address whatever the server's own.
type MariaDB struct {
	*Process
	Addr     netip.AddrPort
	Socket   string // path
	Password string // of root
	Dir      string // of the part; data/ is in it
	root     *sql.DB
}

// MariaDB starts a server named for the part, such as "db1", on an address of
// its own. More arguments of mariadbd may follow.
func (b *Bed) MariaDB(ctx context.Context, name string, args ...string) (*MariaDB, error) {
	template, err := b.mariadbTemplate(ctx)
	if err != nil {
		return nil, err
	}
	return b.MariaDBFrom(ctx, name, template, args...)
}

// MariaDBFrom is [Bed.MariaDB] over a copy of a data directory that a server
// of the bed left when it stopped.
func (b *Bed) MariaDBFrom(ctx context.Context, name, data string, args ...string) (*MariaDB, error) {
	dir, err := b.part(name)
	if err != nil {
		return nil, err
	}
	addr, err := FreePort(b.IP())
	if err != nil {
		return nil, err
	}
	m := &MariaDB{Addr: addr, Dir: dir, Socket: filepath.Join(dir, "s.sock"), Password: Secret()}
	if len(m.Socket) > 107 {
		return nil, fmt.Errorf("socket path %s is longer than the 107 bytes of a Unix address: choose a shorter directory", m.Socket)
	}
	if err := layMariaDB(ctx, m, data); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if m.root, err = m.open("unix", m.Socket, ""); err != nil {
		return nil, err
	}
	m.Process, err = b.Run(ctx, Service{
		Name: name, Argv: append(m.argv(), args...), Dir: dir, Nobody: true,
		Stop:  syscall.SIGTERM,
		Ready: func(ctx context.Context, _ *Process) error { return m.root.PingContext(ctx) },
	})
	b.onClose(func() error {
		// A server that was stopped before answers no farewell.
		_ = m.root.Close()
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Accounts are the test's own from here on, over restarts too.
	return m, os.Truncate(m.initFile(), 0)
}

func (m *MariaDB) argv() []string {
	return []string{
		"mariadbd", "--no-defaults",
		"--datadir=" + filepath.Join(m.Dir, "data"),
		"--socket=" + m.Socket,
		"--pid-file=" + filepath.Join(m.Dir, "pid"),
		"--tmpdir=" + filepath.Join(m.Dir, "tmp"),
		"--init-file=" + m.initFile(),
		"--bind-address=" + m.Addr.Addr().String(),
		fmt.Sprintf("--port=%d", m.Addr.Port()),
		"--skip-name-resolve", "--max-allowed-packet=64M",
		"--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
	}
}

// layMariaDB makes the data directory from a template, and the file that gives
// root its password before the first client is let in.
func layMariaDB(ctx context.Context, m *MariaDB, template string) error {
	if err := CopyTree(ctx, template, filepath.Join(m.Dir, "data")); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(m.Dir, "tmp"), 0o700); err != nil {
		return err
	}
	init := "DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root' AND Host NOT IN ('localhost', '127.0.0.1');\nFLUSH PRIVILEGES;\n" +
		"ALTER USER root@localhost IDENTIFIED BY '" + m.Password + "', root@127.0.0.1 IDENTIFIED BY '" + m.Password + "';\n"
	if err := os.WriteFile(m.initFile(), []byte(init), 0o600); err != nil {
		return err
	}
	return chownNobody(m.Dir, filepath.Join(m.Dir, "tmp"), m.initFile())
}

// ReplaceMariaDB puts an empty server with the same address and the same root
// in the place of one: all its databases and users are gone.
func (b *Bed) ReplaceMariaDB(ctx context.Context, m *MariaDB) error {
	template, err := b.mariadbTemplate(ctx)
	if err != nil {
		return err
	}
	if err := m.Stop(); err != nil {
		return err
	}
	data := filepath.Join(m.Dir, "data")
	old, err := filepath.Glob(data + "/*")
	if err != nil {
		return err
	}
	for _, path := range append(old, filepath.Join(m.Dir, "tmp")) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if err := layMariaDB(ctx, m, template); err != nil {
		return fmt.Errorf("%s: %w", m.Name(), err)
	}
	if err := m.Start(ctx); err != nil {
		return err
	}
	return os.Truncate(m.initFile(), 0)
}

func (m *MariaDB) initFile() string { return filepath.Join(m.Dir, "init.sql") }

func (b *Bed) mariadbTemplate(ctx context.Context) (string, error) {
	version, err := run(ctx, exec.CommandContext(ctx, "mariadbd", "--no-defaults", "--version"))
	if err != nil {
		return "", fmt.Errorf("%w: is mariadb-server installed? scripts/install-deps installs it", err)
	}
	return b.Cached(ctx, "mariadb-1-"+shortHash(version), func(ctx context.Context, dir string) error {
		if err := chownNobody(dir); err != nil {
			return err
		}
		cmd := asNobody(exec.CommandContext(ctx, "mariadb-install-db", "--no-defaults", "--datadir="+dir,
			"--auth-root-authentication-method=normal", "--skip-test-db", "--innodb-log-file-size=16M"))
		_, err := run(ctx, cmd)
		return err
	})
}

// open makes a pool as root. Session variables stay the server's own.
func (m *MariaDB) open(network, addr, database string) (*sql.DB, error) {
	return m.OpenAs(network, addr, "root", m.Password, database)
}

// OpenAs makes a pool of connections as some user; network is "unix" or "tcp".
// The caller closes it.
func (m *MariaDB) OpenAs(network, addr, user, password, database string) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = network, addr, user, password, database
	c.MaxAllowedPacket = 64 << 20
	c.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("%s as %s: %w", addr, user, err)
	}
	return sql.OpenDB(connector), nil
}

// Root is a pool of connections as root through the socket; the bed closes it.
func (m *MariaDB) Root() *sql.DB { return m.root }

// Exec runs statements as root, one after the other.
func (m *MariaDB) Exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := m.root.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%.200s: %w", s, err)
		}
	}
	return nil
}

// CreateDatabase makes a database, and a user that owns it from everywhere a
// web server on loopback appears to come from.
func (m *MariaDB) CreateDatabase(ctx context.Context, database, user, password string) error {
	return m.Exec(ctx,
		"CREATE DATABASE "+Ident(database)+" CHARACTER SET utf8mb4",
		"CREATE USER "+quote(user)+"@'127.0.0.1' IDENTIFIED BY "+quote(password),
		"GRANT ALL PRIVILEGES ON "+Ident(strings.NewReplacer("_", `\_`, "%", `\%`).Replace(database))+".* TO "+quote(user)+"@'127.0.0.1'")
}

// Import feeds SQL text into a database with the mariadb client, as root.
func (m *MariaDB) Import(ctx context.Context, database string, dump io.Reader) error {
	cmd, end, err := m.client(ctx, "mariadb", database)
	if err != nil {
		return err
	}
	defer end()
	cmd.Stdin = dump
	if _, err := run(ctx, cmd); err != nil {
		return fmt.Errorf("import into %s: %w", database, err)
	}
	return nil
}

// Dump writes a database with mariadb-dump, routines and events included.
func (m *MariaDB) Dump(ctx context.Context, database string, to io.Writer) error {
	cmd, end, err := m.client(ctx, "mariadb-dump", "--single-transaction", "--quick", "--routines", "--events", database)
	if err != nil {
		return err
	}
	defer end()
	cmd.Stdout = to
	if _, err := run(ctx, cmd); err != nil {
		return fmt.Errorf("dump of %s: %w", database, err)
	}
	return nil
}

// client prepares a client program that reads its credentials from an
// inherited descriptor.
func (m *MariaDB) client(ctx context.Context, program string, args ...string) (*exec.Cmd, func(), error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", program, err)
	}
	// A pipe holds 64 KiB: this never blocks.
	_, err = fmt.Fprintf(w, "[client]\nuser=root\npassword=%s\nsocket=%s\n", m.Password, m.Socket)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", program, err), r.Close())
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"--defaults-extra-file=/dev/fd/3"}, args...)...)
	cmd.ExtraFiles = []*os.File{r}
	return cmd, func() { _ = r.Close() }, nil
}

// Ident quotes a name for SQL.
func Ident(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(text) + "'"
}

func shortHash(text []byte) string {
	sum := sha256.Sum256(bytes.TrimSpace(text))
	return hex.EncodeToString(sum[:6])
}
