package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/webserver"
)

func (d *decoder) validate() {
	d.validateAllow(d.cfg.Allow)
	if m := d.cfg.MySQL; m != nil {
		d.validateServer(m)
		d.validateTLS(m)
		d.validateLogin(m)
		d.validateDump(m.Dump)
		if m.Import.MaxThreadsRunning < 0 {
			d.fault("mysql.import.max_threads_running", "%d is negative; give 0 for no limit", m.Import.MaxThreadsRunning)
		}
	}
	if w := d.cfg.Webserver; w != nil {
		d.validateWebserver(w.Validate())
	}
	if h := d.cfg.Hooks; h != nil {
		d.validateHooks(h)
	}
}

// maxHookTimeout keeps a typing error from holding a site for ever.
const maxHookTimeout = 24 * time.Hour

func (d *decoder) validateHooks(h *Hooks) {
	d.absolute("hooks.directory", h.Directory, "/etc/sitekeep/hooks")
	if h.Timeout < time.Second || h.Timeout > maxHookTimeout {
		d.fault("hooks.timeout", "%s is not between 1s and %s; give one such as 10m", h.Timeout, maxHookTimeout)
	}
	if h.User == "" {
		return
	}
	if _, err := user.Lookup(h.User); err != nil {
		d.fault("hooks.user", "%v; name an account of this machine, or leave it empty for the owner of the site's directory", err)
	}
}

func (d *decoder) validateAllow(a Allow) {
	for i, root := range a.Roots {
		key := fmt.Sprintf("allow.roots[%d]", i)
		d.absolute(key, root, "/var/www")
		if root == "/" {
			d.fault(key, "the whole machine cannot be allowed; name the directory that holds the sites, such as /var/www")
		}
		if slices.Contains(a.Roots[:i], root) {
			d.fault(key, "%s stands there twice; remove one", root)
		}
	}
	for i, pattern := range a.Databases {
		key := fmt.Sprintf("allow.databases[%d]", i)
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			d.fault(key, "%q is not a pattern; give a name, or one with * such as \"site_*\"", pattern)
		}
	}
}

func (d *decoder) absolute(key, p, example string) {
	if !filepath.IsAbs(p) || filepath.Clean(p) != p || strings.ContainsRune(p, 0) {
		d.fault(key, "%q is not a clean absolute path; give one such as %s", p, example)
	}
}

func (d *decoder) validateServer(m *MySQL) {
	given := 0
	for _, s := range []string{m.Socket, m.Host, m.DefaultsFile} {
		if s != "" {
			given++
		}
	}
	switch {
	case given == 0:
		d.fault("mysql", "says not where the server is; give socket, host or defaults_file")
	case given > 1:
		d.fault("mysql", "socket, host and defaults_file exclude each other; keep one")
	}
	if m.Socket != "" {
		d.absolute("mysql.socket", m.Socket, "/run/mysqld/mysqld.sock")
	}
	if m.Port < 0 || m.Port > 65535 {
		d.fault("mysql.port", "%d is not a port; give one such as 3306", m.Port)
	}
	if m.Port != 0 && m.Socket != "" {
		d.fault("mysql.port", "a socket has no port; remove it, or give host in place of socket")
	}
	if host, port, err := net.SplitHostPort(m.Advertise); m.Advertise != "" && (err != nil || host == "" || port == "") {
		d.fault("mysql.advertise", "%q is not host:port; give what web servers use, such as db1.example.com:3306", m.Advertise)
	}
}

func (d *decoder) validateTLS(m *MySQL) {
	switch m.TLS {
	case "", "disabled", "required", "verify":
	default:
		d.fault("mysql.tls", "%q is unknown; give disabled, required or verify, or leave it empty", m.TLS)
	}
	if m.TLS != "" && m.Socket != "" {
		d.fault("mysql.tls", "a socket has no TLS; remove it, or give host in place of socket")
	}
	if m.TLSCA == "" {
		return
	}
	if m.TLS != "verify" {
		d.fault("mysql.tls_ca", "nothing is checked against it; give tls: verify, or remove it")
	}
	d.absolute("mysql.tls_ca", m.TLSCA, "/etc/sitekeep/mysql-ca.pem")
	d.readable("mysql.tls_ca", m.TLSCA)
}

func (d *decoder) validateDump(m Dump) {
	if m.Engine != "" && m.Engine != "native" && m.Engine != "client" {
		d.fault("mysql.dump.engine", "%q is unknown; give native or client, or leave it empty", m.Engine)
	}
	if m.Parallel < 0 || m.Parallel > maxParallel {
		d.fault("mysql.dump.parallel", "%d is not a number of connections; give 0 to %d", m.Parallel, maxParallel)
	}
	if m.MaxThreadsRunning < 0 {
		d.fault("mysql.dump.max_threads_running", "%d is negative; give 0 for no limit", m.MaxThreadsRunning)
	}
	for i, p := range m.StructureOnly {
		if _, err := path.Match(p, ""); err != nil {
			d.fault(fmt.Sprintf("mysql.dump.structure_only[%d]", i), "%q is not a pattern; give one such as cache_*", p)
		}
	}
}

// maxParallel bounds the connections of one dump: a server has 151 by default.
const maxParallel = 16

func (d *decoder) validateLogin(m *MySQL) {
	if m.DefaultsFile != "" {
		d.absolute("mysql.defaults_file", m.DefaultsFile, "/etc/sitekeep/mysql.cnf")
		d.readable("mysql.defaults_file", m.DefaultsFile)
	}
	if m.PasswordFile == "" {
		return
	}
	d.absolute("mysql.password_file", m.PasswordFile, "/etc/sitekeep/mysql.password")
	if err := checkPasswordFile(m.PasswordFile); err != nil {
		d.fault("mysql.password_file", "%s; %s", strings.TrimPrefix(err.Error(), "mysql.password_file: "), errs.HintOf(err))
	}
}

func (d *decoder) readable(key, p string) {
	f, err := os.Open(p)
	if err != nil {
		d.fault(key, "%v; create it, or correct the path", err)
		return
	}
	_ = f.Close()
}

// checkPasswordFile refuses a file that is not there, too large, or that anybody may read.
func checkPasswordFile(p string) error {
	const key = "mysql.password_file"
	info, err := os.Stat(p)
	switch {
	case err != nil:
		return errs.New(errs.Precondition, "write the password to it, mode 0600", "%s: %w", key, err)
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		return errs.New(errs.Precondition, "write nothing but the password to a file", "%s: %s is not such a file", key, p)
	case info.Mode().Perm()&0o027 != 0:
		return errs.New(errs.Permission, "if nobody has read it: chmod 600 "+p,
			"%s: %s may be read or changed by others (mode %04o)", key, p, info.Mode().Perm())
	}
	return nil
}

// validateWebserver finds the lines of faults that begin with the name of their key.
func (d *decoder) validateWebserver(err error) {
	for _, e := range leaves(err) {
		key, text, ok := strings.Cut(e.Error(), ": ")
		field, _, _ := strings.Cut(key, "[") // "sites[0].name" is below sites
		if _, known := fieldsOf(reflect.TypeFor[webserver.Config]())[field]; !ok || !known {
			key, text = "", e.Error()
		}
		d.fault(strings.TrimSuffix("webserver."+key, "."), "%s", text)
	}
}

// leaves takes joined errors apart.
func leaves(err error) []error {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, leaves(e)...)
	}
	return list
}
