package webserver

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

// retryAfter is what a site in maintenance gives as Retry-After, in seconds.
const retryAfter = 60

// builtinPage is what a site in maintenance shows where no page is set, and
// fallbackPage a file with it, for a web server that has no other way to show
// it in place of a page that is gone.
const (
	builtinPage  = "<!DOCTYPE html><title>Maintenance</title><h1>Down for maintenance</h1><p>This site will be back in a moment.</p>"
	fallbackPage = "sitekeep-maintenance.html"
)

// maxRendered bounds a virtual host that a template makes.
const maxRendered = maxVhost / 2

// view is what a template sees. Strings that come from outside are quoted, or
// were checked to need no quotes.
type view struct {
	// ServerNames are the site's name and aliases, each once.
	ServerNames []string
	Listen      []string
	// Certificate and Key are the site's, quoted; empty without TLS. ListenTLS
	// is what it then listens on besides.
	Certificate, Key string
	ListenTLS        []string
	// HTTPS says that visitors of http are sent to https, at HTTPSPort, which
	// is empty or ":" and a port.
	HTTPS     bool
	HTTPSPort string
	// Canonical is the name that visitors of aliases are sent to; may be empty.
	Canonical string
	// Env is the site's environment, its values quoted.
	Env []EnvVar
	// SiteKind is the site's kind, such as "wordpress".
	SiteKind string
	PHP      bool
	// ModPHP says that the web server runs PHP itself.
	ModPHP bool
	// Docroot is quoted.
	Docroot string
	// FPM is where php-fpm listens, quoted.
	FPM string
	// FlagFile exists while the site is in maintenance, quoted.
	FlagFile string
	// PassPrefix and a probe's pass make the name of a file that exists while
	// that pass is good, quoted.
	PassPrefix string
	// PageDirectory and PageFile make up the 503 page, quoted; PageFile begins
	// with a slash. Both are empty without one.
	PageDirectory, PageFile string
	// The same as they are, for the functions that quote for a special place.
	RawDocroot, RawFPM, RawFlagFile, RawPassPrefix, RawPage, RawFallbackPage string
	// PageText is the built-in page, and RawFallbackPage a file that holds it.
	PageText string
	// Allow are the prefixes that see a site in maintenance.
	Allow         []string
	AllowVariable string
	// RetryAfter is in seconds.
	RetryAfter int
	// Generation names what the virtual host is made from.
	Generation string
	// MarkerPath is where the running server tells its generation.
	MarkerPath string
}

const markerDirectory = "/.well-known/sitekeep/"

// RenderVhost returns the site's virtual host as WriteVhost would write it.
func (s *Server) RenderVhost(site Site) ([]byte, error) {
	if err := site.Validate(); err != nil {
		return nil, fmt.Errorf("virtual host: %w", err)
	}
	v, err := s.view(site)
	if err != nil {
		return nil, fmt.Errorf("virtual host of %s: %w", site.Name, err)
	}
	source, text, err := s.template(site.Name)
	if err != nil {
		return nil, fmt.Errorf("virtual host of %s: %w", site.Name, err)
	}
	if v.Generation, err = s.generation(v, text); err != nil {
		return nil, fmt.Errorf("virtual host of %s: %w", site.Name, err)
	}
	v.MarkerPath = markerDirectory + v.Generation
	body, err := s.execute(source, text, v)
	if err != nil {
		return nil, fmt.Errorf("virtual host of %s: template %s: %w", site.Name, source, err)
	}
	return seal(site.Name, v.Generation, body), nil
}

func (s *Server) view(site Site) (view, error) {
	if site.PHP && !s.cfg.RunsPHP() {
		return view{}, errors.New("the site runs PHP and the agent has no php_fpm; set it in agent.yaml")
	}
	q := quoter{kind: s.kind}
	v := view{
		ServerNames: unique(append([]string{site.Name}, site.Aliases...)),
		Listen:      texts(s.listens),
		SiteKind:    site.Kind,
		PHP:         site.PHP,
		ModPHP:      s.cfg.ModPHP,
		Docroot:     q.quote(site.Docroot),
		RawDocroot:  site.Docroot,
		Env:         q.env(site.Env),
		RetryAfter:  retryAfter,
	}
	if site.PHP && s.cfg.PHPFPM != "" {
		v.FPM, v.RawFPM = q.quote(s.cfg.PHPFPM), s.cfg.PHPFPM
	}
	s.viewMaintenance(&v, &q, site.Name)
	s.viewTLS(&v, &q, site)
	return v, errors.Join(q.errs...)
}

// viewMaintenance fills in what the piece "maintenance" needs.
func (s *Server) viewMaintenance(v *view, q *quoter, name string) {
	v.RawFlagFile, v.RawPassPrefix = s.flagPath(name), filepath.Join(s.cfg.VhostDir, name+passMark)
	v.FlagFile, v.PassPrefix = q.quote(v.RawFlagFile), q.quote(v.RawPassPrefix)
	v.PageText, v.RawFallbackPage = builtinPage, filepath.Join(s.cfg.VhostDir, fallbackPage)
	if v.RawPage = s.cfg.maintenancePage(name); v.RawPage != "" {
		dir, file := page(v.RawPage)
		v.PageDirectory, v.PageFile = q.quote(dir), q.quote(file)
	}
	for _, p := range s.allow {
		v.Allow = append(v.Allow, p.String())
	}
	// Equal lists share a name, so that a thousand sites need one variable.
	v.AllowVariable = "sitekeep_allow_" + shortHash(strings.Join(v.Allow, " "))
}

// viewTLS fills in certificate and redirects.
func (s *Server) viewTLS(v *view, q *quoter, site Site) {
	own := s.cfg.siteConfig(site.Name)
	if own.CanonicalRedirect {
		v.Canonical = strings.ToLower(site.Name)
	}
	if own.TLSCertificate == "" {
		return
	}
	v.Certificate, v.Key = q.quote(own.TLSCertificate), q.quote(own.TLSKey)
	v.ListenTLS, v.HTTPS = texts(s.listensTLS), own.HTTPSRedirect
	if port := s.listensTLS[0].port; port != 443 {
		v.HTTPSPort = fmt.Sprintf(":%d", port)
	}
}

func texts(listens []listen) []string {
	var out []string
	for _, l := range listens {
		out = append(out, l.String())
	}
	return out
}

// quoter quotes values and keeps the errors for the end.
type quoter struct {
	kind Kind
	errs []error
}

func (q *quoter) quote(text string) string {
	quoted, err := q.kind.Quote(text)
	q.errs = append(q.errs, err)
	return quoted
}

func (q *quoter) env(env []EnvVar) []EnvVar {
	var out []EnvVar
	for _, v := range env {
		quoted, err := q.kind.QuoteEnv(v.Value)
		if err != nil {
			q.errs = append(q.errs, fmt.Errorf("environment variable %s: %w", v.Name, err))
		}
		out = append(out, EnvVar{Name: v.Name, Value: quoted})
	}
	return out
}

func unique(names []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, name := range names {
		if key := strings.ToLower(name); !seen[key] {
			seen[key] = true
			out = append(out, key)
		}
	}
	return out
}

// template returns the text of the template for a site and where it is from.
func (s *Server) template(name string) (source, text string, err error) {
	if s.cfg.TemplateDir == "" {
		return "embedded", s.kind.Template(), nil
	}
	prefix := filepath.Join(s.cfg.TemplateDir, "vhost-"+s.kind.Name())
	for _, path := range []string{prefix + "-" + name + ".tmpl", prefix + ".tmpl"} {
		text, err := readBounded(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return path, text, err
	}
	return "embedded", s.kind.Template(), nil
}

// execute fills in a template, which may use the pieces of the embedded one.
func (s *Server) execute(source, text string, v view) ([]byte, error) {
	t, err := s.pieces()
	if err == nil && source != "embedded" {
		t, err = t.New(filepath.Base(source)).Parse(text)
	}
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&limitWriter{&out, maxRendered}, v); err != nil {
		return nil, err
	}
	if !bytes.Contains(out.Bytes(), []byte(v.MarkerPath)) || !bytes.Contains(out.Bytes(), []byte(filepath.Base(v.RawFlagFile))) {
		return nil, errors.New(`leaves out maintenance; write {{template "maintenance" .}} where a site's rules stand`)
	}
	return out.Bytes(), nil
}

// pieces parses the embedded template.
func (s *Server) pieces() (*template.Template, error) {
	return template.New("embedded").Option("missingkey=error").Funcs(template.FuncMap{
		"join":  strings.Join,
		"last":  func(list []string) string { return list[len(list)-1] },
		"quote": s.kind.Quote,
	}).Funcs(s.kind.Funcs()).Parse(s.kind.Template())
}

// generation names what a virtual host is made from: equal inputs, equal
// names. Everybody may ask for it, so that the environment goes into it under
// a key: nobody can find out by trying what a secret is.
func (s *Server) generation(v view, text string) (string, error) {
	name := fmt.Sprintf("%#v", v) + "\x00" + text
	if len(v.Env) == 0 {
		return shortHash(name), nil
	}
	key, err := s.environmentKey()
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	for _, e := range v.Env {
		fmt.Fprintf(mac, "%q=%q\n", e.Name, e.Value)
	}
	return shortHash(name + "\x00" + string(mac.Sum(nil))), nil
}

// environmentKey returns the key of this directory of virtual hosts, and makes
// it at its first use.
func (s *Server) environmentKey() ([]byte, error) {
	d, err := s.openDir()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	key, err := d.read(keyFile)
	if err == nil && len(key) >= 26 {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", keyFile, err)
	}
	key = []byte(rand.Text())
	if err := d.replace(keyFile, keyFile+".sitekeep-tmp", key, secretMode); err != nil {
		return nil, fmt.Errorf("write %s: %w", keyFile, err)
	}
	return key, nil
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:8])
}

// sealPattern is the first line of a managed virtual host. The hash is over
// everything after that line.
var sealPattern = regexp.MustCompile(`^# Managed by Sitekeep: site (\S+), generation ([0-9a-f]{16}), sha256 ([0-9a-f]{64})$`)

// seal puts a line before a virtual host by which it is known as ours.
func seal(name, generation string, body []byte) []byte {
	body = append([]byte("# Changes made here are lost; they belong into a template.\n"), body...)
	line := fmt.Sprintf("# Managed by Sitekeep: site %s, generation %s, sha256 %s\n", name, generation, hashOf(body))
	return append([]byte(line), body...)
}

// readSeal says whether the bytes are a virtual host of ours, and untouched.
func readSeal(data []byte) VhostState {
	line, body, _ := bytes.Cut(data, []byte("\n"))
	m := sealPattern.FindSubmatch(line)
	if m == nil {
		return VhostState{}
	}
	return VhostState{Managed: true, Generation: string(m[2]), Edited: string(m[3]) != hashOf(body)}
}
