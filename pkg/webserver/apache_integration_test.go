//go:build integration

package webserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func startApacheEvent(t *testing.T, b *bed) (test, reload []string) {
	return startApache(t, b, "mpm_event", "proxy", "proxy_fcgi")
}

func startApachePrefork(t *testing.T, b *bed) (test, reload []string) {
	return startApache(t, b, "mpm_prefork", filepath.Base(phpModule(t)))
}

// phpModule finds mod_php, whose name has its version on Debian.
func phpModule(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/apache2/modules/libphp*.so")
	if err != nil || len(found) == 0 {
		t.Fatalf("mod_php is not installed: %v", err)
	}
	return found[len(found)-1]
}

// startApache starts Apache as root, as it is run on servers, with children
// that run as nobody.
func startApache(t *testing.T, b *bed, modules ...string) (test, reload []string) {
	t.Helper()
	var conf strings.Builder
	modules = append(modules, "alias", "authz_core", "authz_host", "autoindex", "dir", "env", "headers", "mime", "rewrite", "ssl")
	for _, m := range modules {
		if strings.HasPrefix(m, "libphp") {
			fmt.Fprintf(&conf, "LoadModule php_module /usr/lib/apache2/modules/%s\n", m)
			continue
		}
		fmt.Fprintf(&conf, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", m, m)
	}
	fmt.Fprintf(&conf, "ServerRoot %[1]s\nServerName localhost\nPidFile %[1]s/tmp/apache.pid\nErrorLog %[1]s/tmp/error.log\n"+
		"DefaultRuntimeDir %[1]s/tmp\nMutex file:%[1]s/tmp default\nTypesConfig /etc/mime.types\nGracefulShutdownTimeout 5\n", b.dir)
	if os.Geteuid() == 0 {
		conf.WriteString("User nobody\nGroup nogroup\n")
	}
	if modules[0] == "mpm_prefork" {
		fmt.Fprintf(&conf, "StartServers 2\nMinSpareServers 2\nMaxSpareServers 4\nphp_admin_value opcache.validate_timestamps 0\n")
	}
	for _, l := range b.listen {
		fmt.Fprintf(&conf, "Listen %s\n", l)
	}
	fmt.Fprintf(&conf, "<Directory />\nAllowOverride None\nRequire all denied\n</Directory>\n"+
		"<VirtualHost %s>\nServerName default.invalid\nRewriteEngine On\nRewriteRule ^ - [R=421,L]\n</VirtualHost>\n"+
		"IncludeOptional %s/vhosts/*.conf\n", strings.Join(b.listen, " "), b.dir)
	b.write(t, "apache.conf", conf.String())
	argv := []string{"/usr/sbin/apache2", "-f", filepath.Join(b.dir, "apache.conf")}
	b.rootDaemon(t, append(argv[:len(argv):len(argv)], "-DFOREGROUND")...)
	eventually(t, "Apache listens", func() bool { return canDial("tcp", b.listen[0]) })
	return append(argv[:len(argv):len(argv)], "-t"), append(argv[:len(argv):len(argv)], "-k", "graceful")
}
