//go:build integration

package dbdump

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// mariadb is a private MariaDB server on a loopback address.
type mariadb struct {
	dir    string
	host   string
	port   int
	socket string
	cmd    *exec.Cmd
}

var (
	sharedOnce sync.Once
	shared     *mariadb
	sharedErr  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.stop()
	}
	os.Exit(code)
}

// bed returns the server that all tests share.
func bed(t testing.TB) *mariadb {
	t.Helper()
	sharedOnce.Do(func() { shared, sharedErr = startMariaDB("--innodb-buffer-pool-size=256M") })
	if sharedErr != nil {
		t.Fatal(sharedErr)
	}
	return shared
}

// unprivileged runs a program as nobody if we are root.
func unprivileged(name string, args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		return exec.Command(name, args...)
	}
	return exec.Command("setpriv", append([]string{"--reuid=nobody", "--regid=nogroup", "--clear-groups", name}, args...)...)
}

func startMariaDB(flags ...string) (*mariadb, error) {
	dir, err := os.MkdirTemp("", "dbdump")
	if err != nil {
		return nil, err
	}
	if err := exec.Command("chown", "nobody", dir).Run(); err != nil && os.Geteuid() == 0 {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // nobody's server lies in it
		return nil, err
	}
	m := &mariadb{dir: dir, host: "127.0.0.77", socket: filepath.Join(dir, "s.sock")}
	if m.port, err = freePort(m.host); err != nil {
		return nil, err
	}
	out, err := unprivileged("mariadb-install-db", "--no-defaults", "--datadir="+dir+"/data",
		"--auth-root-authentication-method=normal", "--skip-test-db").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("install: %w: %s", err, out)
	}
	return m, m.start(flags...)
}

func freePort(host string) (int, error) {
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (m *mariadb) start(flags ...string) error {
	args := []string{
		"--no-defaults", "--datadir=" + m.dir + "/data", "--socket=" + m.socket, "--pid-file=" + m.dir + "/pid",
		"--bind-address=" + m.host, "--port=" + strconv.Itoa(m.port), "--innodb-log-file-size=64M",
		"--skip-name-resolve", "--log-error=" + m.dir + "/err.log", "--event-scheduler=OFF",
	}
	return m.launch(unprivileged("mariadbd", append(args, flags...)...))
}

// launch starts the server's program and waits until it answers.
func (m *mariadb) launch(cmd *exec.Cmd) error {
	m.cmd = cmd
	if err := m.cmd.Start(); err != nil {
		return err
	}
	for range 1200 {
		if Ping(context.Background(), m.server(), "") == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.stop()
	log, _ := os.ReadFile(m.dir + "/err.log")
	return fmt.Errorf("%s does not come up: %s", cmd.Path, log)
}

// stop kills the server and removes its directory.
func (m *mariadb) stop() {
	m.kill()
	os.RemoveAll(m.dir)
}

func (m *mariadb) kill() {
	_ = m.cmd.Process.Kill()
	_ = m.cmd.Wait()
}

func (m *mariadb) server() Server { return Server{Socket: m.socket} }

// open logs in as the administrator.
func (m *mariadb) open(t testing.TB, s Server, o Options) *Instance {
	t.Helper()
	in, err := Open(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	return in
}

// load feeds a file to the mariadb client.
func (m *mariadb) load(t testing.TB, database, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("mariadb", "--no-defaults", "-uroot", "-S", m.socket, database)
	cmd.Stdin = f
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("load %s: %v: %s", path, err, out)
	}
}

// exec runs statements as the administrator.
func (m *mariadb) exec(t testing.TB, queries ...string) {
	t.Helper()
	db := m.db(t, "")
	for _, q := range queries {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func (m *mariadb) db(t testing.TB, database string) *sql.DB {
	t.Helper()
	s, err := m.server().resolve()
	if err != nil {
		t.Fatal(err)
	}
	db, err := s.open(database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// fresh makes an empty database that goes with the test.
func (m *mariadb) fresh(t testing.TB, name, charset string) {
	t.Helper()
	m.exec(t, "DROP DATABASE IF EXISTS "+QuoteIdent(name), "CREATE DATABASE "+QuoteIdent(name)+" CHARACTER SET "+charset)
	t.Cleanup(func() { m.exec(t, "DROP DATABASE IF EXISTS "+QuoteIdent(name)) })
}

// memory is a sink that keeps everything.
type memory struct {
	bytes.Buffer
	sections []Section
	fail     error
	onData   func()
}

func (m *memory) BeginSection(s Section) error {
	m.sections = append(m.sections, s)
	return nil
}

func (m *memory) Statement(b []byte, _ bool, _ int64) error {
	if m.onData != nil {
		m.onData()
	}
	m.Write(b)
	return m.fail
}
