package bed

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

//go:embed conf
var confFiles embed.FS

// Web is a web server on an address of its own: nginx before php-fpm, or Apache
// with mod_php, which has neither of their processes.
type Web struct {
	Nginx, PHP *Process
	Server     *Process // nginx or Apache
	Addr       netip.AddrPort
	Dir        string // of the part
	Root       string // where sites lie; it plays the part of /var/www
	VhostDir   string // for Sitekeep's managed vhosts; *.conf in it are read first
	OwnVhosts  string // the bed's own vhosts of sites
	FPMSocket  string // path

	bed    *Bed
	name   string
	apache bool
}

// Web starts nginx and php-fpm for a part, such as "web1".
func (b *Bed) Web(ctx context.Context, name string) (*Web, error) {
	w, err := b.layWeb(name)
	if err != nil {
		return nil, err
	}
	if err := w.configure(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if w.PHP, err = w.startPHP(ctx); err != nil {
		return nil, err
	}
	w.Nginx, err = b.Run(ctx, Service{
		Name: name + "-nginx", Argv: append([]string{"nginx"}, w.nginxArgs()...), Dir: w.Dir,
		Nobody: true, Stop: syscall.SIGTERM, Ready: Dialer("tcp", w.Addr.String()),
		Logs: []string{filepath.Join(w.Dir, "error.log"), filepath.Join(w.Dir, "access.log")},
	})
	w.Server = w.Nginx
	return w, err
}

func (w *Web) configure() error {
	return errors.Join(
		render(w.configFile(), "nginx.conf.tmpl", w, 0o644),
		render(filepath.Join(w.Dir, "fpm.conf"), "fpm.conf.tmpl", w, 0o644))
}

func (w *Web) startPHP(ctx context.Context) (*Process, error) {
	found, err := filepath.Glob("/usr/sbin/php-fpm[0-9]*")
	if err != nil || len(found) == 0 {
		return nil, errors.New("php-fpm is not installed: scripts/install-deps installs it")
	}
	return w.bed.Run(ctx, Service{
		Name: w.name + "-php", Argv: []string{found[len(found)-1], "-F", "-y", filepath.Join(w.Dir, "fpm.conf")},
		Dir: w.Dir, Nobody: true, Stop: syscall.SIGTERM, Ready: Dialer("unix", w.FPMSocket),
		Logs: []string{filepath.Join(w.Dir, "fpm.log")},
	})
}

func (w *Web) nginxArgs() []string {
	// -e keeps nginx from its compiled-in error log before it has read its own.
	return []string{"-p", w.Dir, "-e", filepath.Join(w.Dir, "error.log"), "-c", filepath.Join(w.Dir, "nginx.conf")}
}

// TestCommand is the command that tests the configuration, as agent.yaml wants
// it. It runs as nobody, so that no log becomes root's.
func (w *Web) TestCommand() []string {
	if w.apache {
		return append(w.apacheArgs(), "-t")
	}
	return w.asNobody("nginx", append(w.nginxArgs(), "-t")...)
}

// ReloadCommand makes the web server read its configuration again.
func (w *Web) ReloadCommand() []string {
	if w.apache {
		return append(w.apacheArgs(), "-k", "graceful")
	}
	return w.asNobody("nginx", append(w.nginxArgs(), "-s", "reload")...)
}

// PHPReloadCommand makes php-fpm forget what its opcache holds.
func (w *Web) PHPReloadCommand() []string {
	return []string{"/bin/sh", "-c", "kill -USR2 $(cat " + filepath.Join(w.Dir, "fpm.pid") + ")"}
}

func (w *Web) asNobody(program string, args ...string) []string {
	return append([]string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", program}, args...)
}

// Reload tests the configuration, makes nginx read it again, and waits until
// no worker with the old one accepts connections: nginx's own reload command
// returns before that.
func (w *Web) Reload(ctx context.Context) error {
	if w.apache {
		return w.reloadApache(ctx)
	}
	old, err := children(w.Nginx.Pid())
	if err != nil {
		return fmt.Errorf("reload %s: %w", w.name, err)
	}
	for _, argv := range [][]string{w.TestCommand(), w.ReloadCommand()} {
		if _, err := run(ctx, exec.CommandContext(ctx, argv[0], argv[1:]...)); err != nil {
			return fmt.Errorf("reload %s: %w", w.name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for slices.ContainsFunc(old, accepts) {
		if err := pause(ctx); err != nil {
			return fmt.Errorf("reload %s: old workers %v still accept: %w", w.name, old, err)
		}
	}
	return nil
}

// accepts says whether an nginx worker still takes connections; its title says
// when it does no more.
func accepts(pid int) bool {
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && len(title) > 0 && !strings.Contains(string(title), "is shutting down")
}

// children are the processes whose parent is pid.
func children(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			return nil, fmt.Errorf("children of %d: %w", pid, err)
		}
		pids = append(pids, child)
	}
	return pids, nil
}

// ReloadPHP empties the opcache and waits until php-fpm answers again.
func (w *Web) ReloadPHP(ctx context.Context) error {
	if w.apache {
		return w.reloadApache(ctx)
	}
	argv := w.PHPReloadCommand()
	if _, err := run(ctx, exec.CommandContext(ctx, argv[0], argv[1:]...)); err != nil {
		return fmt.Errorf("reload php of %s: %w", w.name, err)
	}
	return w.PHP.waitReady(ctx)
}

// Get asks this server for a page of a site by its name, following no
// redirect, and returns status, header and body.
func (w *Web) Get(ctx context.Context, site, path string) (*Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.Addr.String()+path, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s%s: %w", site, path, err)
	}
	req.Host = site
	return w.do(&http.Client{}, req)
}

// Response is what a server said, read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

func (w *Web) do(client *http.Client, req *http.Request) (*Response, error) {
	client.Timeout = readyTimeout
	client.Transport = &http.Transport{DisableKeepAlives: true}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", w.name, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: read %s: %w", w.name, req.URL, err)
	}
	return &Response{Status: res.StatusCode, Header: res.Header, Body: string(body)}, nil
}

// Dialer makes a [Service] ready when somebody accepts connections at addr.
func Dialer(network, addr string) func(context.Context, *Process) error {
	return func(ctx context.Context, _ *Process) error {
		d := net.Dialer{Timeout: time.Second}
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// render writes a file from a template of conf/.
func render(path, name string, data any, mode os.FileMode) error {
	t, err := template.ParseFS(confFiles, "conf/"+name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var text strings.Builder
	if err := t.Execute(&text, data); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := os.WriteFile(path, []byte(text.String()), mode); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}
