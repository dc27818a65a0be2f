//go:build integration

package webserver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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

// TestRealPHPForgetsWithoutAReload is for when the web server's configuration
// does not pass its test, so that it cannot be reloaded.
func TestRealPHPForgetsWithoutAReload(t *testing.T) {
	eachReal(t, nil, func(t *testing.T, b *bed) {
		site := b.wordpressSite(t, "site", "old")
		stamp := time.Now().Add(-time.Hour) // PHP does not cache a file that is seconds old.
		if err := os.Chtimes(filepath.Join(site.Docroot, "wp-config.php"), stamp, stamp); err != nil {
			t.Fatal(err)
		}
		b.serve(t, site, "t1")
		for range 20 { // Every process has it.
			if r := b.get(t, ProbeRequest{Name: site.Name}); !strings.HasPrefix(string(r.Body), "front old") {
				t.Fatalf("%q", r.Body)
			}
		}
		b.write(t, "site/wp-config.php", fmt.Sprintf(wpConfig, "new"))
		if r := b.get(t, ProbeRequest{Name: site.Name}); !strings.HasPrefix(string(r.Body), "front old") {
			t.Fatalf("PHP did not cache the old file, so that this test shows nothing: %q", r.Body)
		}
		if r, err := b.ReloadPHP(t.Context()); err != nil || !r.PHP {
			t.Fatalf("%+v, %v", r, err)
		}
		for range 20 {
			if r := b.get(t, ProbeRequest{Name: site.Name}); !strings.HasPrefix(string(r.Body), "front new") {
				t.Fatalf("%q", r.Body)
			}
		}
	})
}
