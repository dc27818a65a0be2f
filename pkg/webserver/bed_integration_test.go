//go:build integration

package webserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bed is a real web server and a real php-fpm of a test, unprivileged, on an
// address and in a directory of their own.
type bed struct {
	*Server
	dir    string
	vhosts string
	listen []string
	fpm    string
}

// realRow starts one kind of web server for the tests.
type realRow struct {
	name  string
	kind  string
	start func(t *testing.T, b *bed) (test, reload []string)
	// modPHP has the web server run PHP itself.
	modPHP bool
}

func realRows() []realRow {
	return []realRow{
		{name: "nginx", kind: "nginx", start: startNginx},
		{name: "apache-fpm", kind: "apache", start: startApacheEvent},
		{name: "apache-mod_php", kind: "apache", start: startApachePrefork, modPHP: true},
	}
}

func eachReal(t *testing.T, edit func(*Config), test func(t *testing.T, b *bed)) {
	for _, row := range realRows() {
		t.Run(row.name, func(t *testing.T) { test(t, newBed(t, row, edit)) })
	}
}

func newBed(t *testing.T, row realRow, edit func(*Config)) *bed {
	t.Helper()
	b := &bed{dir: publicDir(t)}
	b.vhosts = filepath.Join(b.dir, "vhosts")
	b.mkdir(t, "vhosts")
	b.mkdir(t, "tmp")
	b.listen = []string{freeAddress(t, "127.0.0.21"), freeAddress(t, "[::1]")}
	cfg := Config{Kind: row.kind, VhostDir: b.vhosts, Listen: b.listen, ModPHP: row.modPHP, WebGroup: "nogroup"}
	if !row.modPHP {
		b.fpm = "unix:" + b.startFPM(t)
		cfg.PHPFPM = b.fpm
	}
	cfg.TestCommand, cfg.ReloadCommand = row.start(t, b)
	if edit != nil {
		edit(&cfg)
	}
	var err error
	if b.Server, err = New(cfg, Deps{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// publicDir is a directory that a server running as nobody can enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sitekeep-web-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (b *bed) mkdir(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if uid, gid, ok := nobody(t); ok {
		if err := os.Chown(path, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func (b *bed) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// nobody is the user that servers run as when the test runs as root.
func nobody(t *testing.T) (uid, gid uint32, root bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	id, err1 := strconv.ParseUint(u.Uid, 10, 32)
	group, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return uint32(id), uint32(group), true
}

// freeAddress returns an address with a port that was free a moment ago.
func freeAddress(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// daemon runs a server in the foreground, as nobody, until the test ends.
func (b *bed) daemon(t *testing.T, argv ...string) {
	t.Helper()
	var as *syscall.Credential
	if uid, gid, ok := nobody(t); ok {
		as = &syscall.Credential{Uid: uid, Gid: gid}
	}
	b.run(t, as, argv)
}

// rootDaemon is daemon for a server that changes its user itself.
func (b *bed) rootDaemon(t *testing.T, argv ...string) {
	t.Helper()
	b.run(t, nil, argv)
}

func (b *bed) run(t *testing.T, as *syscall.Credential, argv []string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	log := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	// Apache passes a SIGTERM on to its whole process group.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			errorLog, _ := os.ReadFile(filepath.Join(b.dir, "tmp/error.log"))
			t.Logf("%s: %s\n%s", argv[0], log, errorLog[max(0, len(errorLog)-4000):])
		}
	})
}

func (b *bed) startFPM(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(b.dir, "fpm.sock")
	b.write(t, "fpm.conf", fmt.Sprintf("[global]\nerror_log = %[1]s/tmp/fpm.log\ndaemonize = no\n[www]\nlisten = %[2]s\n"+
		"pm = static\npm.max_children = 2\ncatch_workers_output = yes\n"+
		"php_admin_value[opcache.validate_timestamps] = 0\n", b.dir, socket))
	if uid, gid, ok := nobody(t); ok {
		if err := os.Chown(b.dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	b.daemon(t, fpmProgram(t), "-F", "-y", filepath.Join(b.dir, "fpm.conf"))
	eventually(t, "php-fpm listens", func() bool { return canDial("unix", socket) })
	return socket
}

// fpmProgram finds php-fpm, whose name has its version on Debian.
func fpmProgram(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/sbin/php-fpm*")
	if err != nil || len(found) == 0 {
		t.Fatalf("php-fpm is not installed: %v", err)
	}
	return found[len(found)-1]
}

func startNginx(t *testing.T, b *bed) (test, reload []string) {
	conf := filepath.Join(b.dir, "nginx.conf")
	var temp strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&temp, "  %s_temp_path %s/tmp/%s;\n", kind, b.dir, kind)
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user nobody nogroup;"
	}
	b.write(t, "nginx.conf", fmt.Sprintf(`daemon off; %[5]s
worker_processes 2;
pid %[1]s/tmp/nginx.pid;
error_log %[1]s/tmp/error.log;
events {}
http {
  access_log off;
  # What an operator may have set, and what must not hide changes.
  open_file_cache max=1000 inactive=60s;
  open_file_cache_valid 60s;
%[2]s  server { listen %[3]s default_server; listen %[4]s default_server; return 421; }
  include %[1]s/vhosts/*.conf;
}
`, b.dir, temp.String(), b.listen[0], b.listen[1], user))
	argv := []string{"nginx", "-p", b.dir, "-c", conf, "-e", filepath.Join(b.dir, "tmp/error.log")}
	b.rootDaemon(t, argv...)
	eventually(t, "nginx listens", func() bool { return canDial("tcp", b.listen[0]) })
	return append(argv[:len(argv):len(argv)], "-t"), append(argv[:len(argv):len(argv)], "-s", "reload")
}

func canDial(network, address string) bool {
	conn, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// serve writes a virtual host and waits until it is served.
func (b *bed) serve(t *testing.T, site Site, token string) {
	t.Helper()
	if r, err := b.WriteVhost(t.Context(), site, token); err != nil || !r.Reload.PHP {
		t.Fatalf("%+v, %v", r, err)
	}
	b.wait(t, site.Name)
}

func (b *bed) wait(t *testing.T, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := b.WaitServing(ctx, name); err != nil {
		t.Fatal(err)
	}
}

// get asks over every listen address, which must all answer alike.
func (b *bed) get(t *testing.T, req ProbeRequest) ProbeResult {
	t.Helper()
	var results []ProbeResult
	for _, entry := range b.Listens() {
		req.Listen = entry
		r, err := b.Probe(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
		if r.Status != results[0].Status || string(r.Body) != string(results[0].Body) {
			t.Errorf("%s: %d %q, and %s: %d %q", results[0].Address, results[0].Status, results[0].Body, r.Address, r.Status, r.Body)
		}
	}
	return results[0]
}
