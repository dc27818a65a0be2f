package webserver

import (
	"bytes"
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

// maxRendered bounds a virtual host that a template makes.
const maxRendered = maxVhost / 2

// view is what a template sees. Strings that come from outside are quoted, or
// were checked to need no quotes.
type view struct {
	// ServerNames are the site's name and aliases, each once.
	ServerNames []string
	Listen      []string
	// SiteKind is the site's kind, such as "wordpress".
	SiteKind string
	PHP      bool
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
	v.Generation = generation(v, text)
	v.MarkerPath = markerDirectory + v.Generation
	body, err := s.execute(source, text, v)
	if err != nil {
		return nil, fmt.Errorf("virtual host of %s: template %s: %w", site.Name, source, err)
	}
	return seal(site.Name, v.Generation, body), nil
}

func (s *Server) view(site Site) (view, error) {
	if site.PHP && s.cfg.PHPFPM == "" {
		return view{}, errors.New("the site runs PHP and the agent has no php_fpm; set it in agent.yaml")
	}
	var errs []error
	quote := func(text string) string {
		quoted, err := s.kind.Quote(text)
		errs = append(errs, err)
		return quoted
	}
	v := view{
		ServerNames: unique(append([]string{site.Name}, site.Aliases...)),
		SiteKind:    site.Kind,
		PHP:         site.PHP,
		Docroot:     quote(site.Docroot),
		FlagFile:    quote(s.flagPath(site.Name)),
		PassPrefix:  quote(filepath.Join(s.cfg.VhostDir, site.Name+passMark)),
		RetryAfter:  retryAfter,
	}
	if site.PHP {
		v.FPM = quote(s.cfg.PHPFPM)
	}
	if page := s.cfg.MaintenancePage; page != "" {
		v.PageDirectory, v.PageFile = quote(filepath.Dir(page)), quote("/"+filepath.Base(page))
	}
	for _, l := range s.listens {
		v.Listen = append(v.Listen, l.String())
	}
	for _, p := range s.allow {
		v.Allow = append(v.Allow, p.String())
	}
	// Equal lists share a name, so that a thousand sites need one variable.
	v.AllowVariable = "sitekeep_allow_" + shortHash(strings.Join(v.Allow, " "))
	return v, errors.Join(errs...)
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
	t, err := template.New("embedded").Option("missingkey=error").Funcs(template.FuncMap{
		"join":  strings.Join,
		"quote": s.kind.Quote,
	}).Parse(s.kind.Template())
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
	if !bytes.Contains(out.Bytes(), []byte(v.MarkerPath)) || !bytes.Contains(out.Bytes(), []byte(v.FlagFile)) {
		return nil, errors.New(`leaves out maintenance; write {{template "maintenance" .}} where a site's rules stand`)
	}
	return out.Bytes(), nil
}

// generation names what a virtual host is made from: equal inputs, equal names.
func generation(v view, text string) string {
	return shortHash(fmt.Sprintf("%#v", v) + "\x00" + text)
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
