package webserver

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/sitekeep/sitekeep/pkg/webserver/webconf"
)

//go:embed apache.tmpl
var apacheTemplate string

// apache is the kind for Apache httpd 2.4 with mod_php or, through
// mod_proxy_fcgi, php-fpm. The directory of virtual hosts is to be included by
// the server's configuration, after every other virtual host. It needs the
// modules alias, authz_core, dir, headers, mime and rewrite, and env for a
// site with an environment; ssl for one with a certificate.
type apache struct{}

// Name implements Kind.
func (apache) Name() string { return "apache" }

// Template implements Kind.
func (apache) Template() string { return apacheTemplate }

// Quote implements Kind. In a quoted argument, Apache knows the backslash
// before quotes and backslashes. For "${", which begins the name of a defined
// variable, it has no escape.
func (apache) Quote(s string) (string, error) {
	if err := plainText(s); err != nil {
		return "", err
	}
	if strings.Contains(s, "${") {
		return "", fmt.Errorf("%q holds %q, which Apache cannot take literally; use another name", s, "${")
	}
	return apacheQuote(s), nil
}

// dollarName is the variable by which both kinds write a dollar sign in an
// environment.
const dollarName = "sitekeep_dollar"

func apacheQuote(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)
	return `"` + strings.ReplaceAll(s, "${", "${"+dollarName+"}{") + `"`
}

// QuoteEnv implements Kind. The template defines what stands for a dollar
// sign before a brace. A line of configuration ends at a newline,
// whatever stands around it.
func (apache) QuoteEnv(s string) (string, error) {
	if i := strings.IndexAny(s, "\x00\n\r"); i >= 0 {
		return "", fmt.Errorf("holds the byte %#02x, which Apache cannot take in an environment; choose another value", s[i])
	}
	return apacheQuote(s), nil
}

// Include implements Kind.
func (apache) Include(path string) string { return "Include " + apacheQuote(path) }

// Funcs implements Kind.
func (a apache) Funcs() template.FuncMap {
	return template.FuncMap{
		"addresses": apacheAddresses,
		"pattern":   func(s string) (string, error) { return a.Quote(directoryPattern(s)) },
		"expand":    func(s string) (string, error) { return a.Quote(escapeBytes(s, `\$%`)) },
		"expandWith": func(s, more string) (string, error) {
			return a.Quote(escapeBytes(s, `\$%`) + more)
		},
		"fcgi": fcgiHandler,
	}
}

// directoryPattern writes a path for <Directory>, which is a pattern as soon as
// it holds a wildcard, and else is compared byte by byte, backslashes too.
func directoryPattern(path string) string {
	if !strings.ContainsAny(path, "*?[") {
		return path
	}
	return strings.NewReplacer(`\`, `\\`, "*", "[*]", "?", "[?]", "[", "[[]").Replace(path)
}

// escapeBytes puts a backslash before each of some bytes, such as those that
// mod_rewrite would expand.
func escapeBytes(s, special string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(special, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// apacheAddresses writes listen addresses for <VirtualHost>, where only a star
// stands for every address, of both families.
func apacheAddresses(listens []string) []string {
	var out []string
	for _, l := range listens {
		port := l[strings.LastIndexByte(l, ':')+1:]
		switch strings.TrimSuffix(l, port) {
		case "", "0.0.0.0:", "[::]:":
			l = "*:" + port
		}
		if !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	return out
}

// fcgiHandler names php-fpm the way SetHandler wants it. The host of a socket
// only names the connection pool.
func fcgiHandler(address string) string {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "proxy:unix:" + path + "|fcgi://localhost"
	}
	return "proxy:fcgi://" + address
}

// Read implements Kind.
func (apache) Read(main string) webconf.Result { return webconf.Apache(main) }
