package webserver

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// DefaultCommandTimeout bounds each of the test and reload commands when
// Config.CommandTimeout is zero.
const DefaultCommandTimeout = 30 * time.Second

// Config describes one web server. Field names in YAML are those of the
// section webserver in agent.yaml.
type Config struct {
	// Kind names a kind of web server, see KindNames.
	Kind string `yaml:"kind"`
	// VhostDir is an absolute directory whose *.conf the web server includes.
	VhostDir string `yaml:"vhost_dir"`
	// Listen lists what managed virtual hosts listen on: "80",
	// "127.0.0.11:8080", "[::]:80".
	Listen []string `yaml:"listen"`
	// TestCommand checks the configuration; a status other than 0 is a failure.
	TestCommand []string `yaml:"test_command"`
	// ReloadCommand makes the running web server take the configuration.
	ReloadCommand []string `yaml:"reload_command"`
	// WebGroup is the group under which the web server reads sites.
	WebGroup string `yaml:"web_group"`
	// PHPFPM is where php-fpm listens: "unix:/run/php/php-fpm.sock" or
	// "127.0.0.1:9000". Empty: no site runs PHP.
	PHPFPM string `yaml:"php_fpm"`
	// ModPHP says that the web server runs PHP itself, which Apache can. It
	// excludes PHPFPM.
	ModPHP bool `yaml:"mod_php"`
	// PHPReloadCommand makes PHP forget compiled files. Empty: the agent asks
	// PHPFPM to reset its opcode cache instead.
	PHPReloadCommand []string `yaml:"php_reload_command"`

	// TemplateDir is an absolute directory with templates that take the place
	// of the embedded ones: vhost-KIND.tmpl for all sites of this server,
	// vhost-KIND-NAME.tmpl for one. Empty: embedded only.
	TemplateDir string `yaml:"template_dir"`
	// MaintenancePage is an absolute HTML file shown with the status 503.
	// The web server must be able to read it. Empty: a short built-in page.
	MaintenancePage string `yaml:"maintenance_page"`
	// MaintenanceAllow lists addresses and prefixes that see a site although
	// it is in maintenance: "192.0.2.7", "2001:db8::/32".
	MaintenanceAllow []string `yaml:"maintenance_allow"`
	// ListenTLS lists what managed virtual hosts with a certificate listen on
	// besides, such as "443".
	ListenTLS []string `yaml:"listen_tls"`
	// ConfigFile is the web server's main configuration file, an absolute path.
	// Its virtual hosts are how sites are discovered. Empty: the usual place of
	// the kind.
	ConfigFile string `yaml:"config_file"`
	// Sites are settings of single sites.
	Sites []SiteConfig `yaml:"sites"`
	// CommandTimeout bounds each command. Zero: DefaultCommandTimeout.
	CommandTimeout time.Duration `yaml:"command_timeout"`
}

// Validate reports everything that is wrong with the configuration, each
// problem beginning with the name of its field in agent.yaml.
func (c Config) Validate() error {
	_, kindErr := kindByName(c.Kind)
	_, listenErr := parseListens(c.Listen)
	_, allowErr := parseAllow(c.MaintenanceAllow)
	_, tlsErr := parseListensTLS(c.ListenTLS)
	return errors.Join(
		kindErr,
		tlsErr,
		c.validateModPHP(),
		c.validateSites(),
		absolute("vhost_dir", c.VhostDir, true),
		listenErr,
		command("test_command", c.TestCommand, true),
		command("reload_command", c.ReloadCommand, true),
		command("php_reload_command", c.PHPReloadCommand, false),
		validateFPM(c.PHPFPM),
		absolute("template_dir", c.TemplateDir, false),
		absolute("maintenance_page", c.MaintenancePage, false),
		absolute("config_file", c.ConfigFile, false),
		allowErr,
	)
}

func absolute(field, path string, required bool) error {
	switch {
	case path == "" && !required:
		return nil
	case path == "":
		return fmt.Errorf("%s: is empty; give an absolute path", field)
	case !filepath.IsAbs(path) || filepath.Clean(path) != path:
		return fmt.Errorf("%s: %q is not a clean absolute path", field, path)
	}
	return nil
}

func command(field string, argv []string, required bool) error {
	switch {
	case len(argv) == 0 && required:
		return fmt.Errorf("%s: is empty; give a program and its arguments", field)
	case len(argv) > 0 && argv[0] == "":
		return fmt.Errorf("%s: the program's name is empty", field)
	}
	return nil
}

func validateFPM(address string) error {
	if address == "" {
		return nil
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return absolute("php_fpm", path, true)
	}
	if _, err := netip.ParseAddrPort(address); err != nil {
		return fmt.Errorf("php_fpm: %q is neither unix:/path nor ADDRESS:PORT", address)
	}
	return nil
}

// listen is one address that virtual hosts listen on. An invalid (zero)
// address stands for every IPv4 address.
type listen struct {
	addr netip.Addr
	port uint16
}

// String writes the address as nginx and Apache both read it.
func (l listen) String() string {
	if !l.addr.IsValid() {
		return strconv.Itoa(int(l.port))
	}
	return netip.AddrPortFrom(l.addr, l.port).String()
}

// dial is where a client on the same machine reaches it.
func (l listen) dial() string {
	addr := l.addr
	switch {
	case !addr.IsValid() || addr == netip.IPv4Unspecified():
		addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case addr == netip.IPv6Unspecified():
		addr = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(addr, l.port).String()
}

func parseListen(s string) (listen, error) {
	text := strings.TrimPrefix(s, "*:")
	if port, err := strconv.ParseUint(text, 10, 16); err == nil && port > 0 {
		return listen{port: uint16(port)}, nil
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil || ap.Port() == 0 || ap.Addr().Zone() != "" {
		return listen{}, fmt.Errorf("listen: %q is neither a port nor ADDRESS:PORT (IPv6 in brackets)", s)
	}
	return listen{addr: ap.Addr(), port: ap.Port()}, nil
}

func parseListens(entries []string) ([]listen, error) {
	if len(entries) == 0 {
		return nil, errors.New(`listen: is empty; give a port or an address, such as "80"`)
	}
	var (
		out  []listen
		errs []error
		seen = map[listen]bool{}
	)
	for _, e := range entries {
		l, err := parseListen(e)
		if err == nil && seen[l] {
			err = fmt.Errorf("listen: %q is there twice", e)
		}
		seen[l] = true
		out, errs = append(out, l), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// parseListensTLS is parseListens for the field listen_tls, which may be empty.
func parseListensTLS(entries []string) ([]listen, error) {
	var (
		out  []listen
		errs []error
	)
	for _, e := range entries {
		l, err := parseListens([]string{e})
		if err != nil {
			errs = append(errs, fmt.Errorf("listen_tls: %q is neither a port nor ADDRESS:PORT (IPv6 in brackets)", e))
		}
		out = append(out, l...)
	}
	return out, errors.Join(errs...)
}

func parseAllow(entries []string) ([]netip.Prefix, error) {
	var (
		out  []netip.Prefix
		errs []error
	)
	for _, e := range entries {
		p, err := parsePrefix(e)
		out, errs = append(out, p), append(errs, err)
	}
	return out, errors.Join(errs...)
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("maintenance_allow: %q is neither an address nor a prefix", s)
	}
	return p.Masked(), nil
}
