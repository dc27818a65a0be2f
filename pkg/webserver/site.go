package webserver

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// Site says what a managed virtual host serves.
type Site struct {
	// Name is the site's main domain. It names the files.
	Name string
	// Aliases are further domains; "*.example.com" is allowed.
	Aliases []string
	// Docroot is the absolute directory that is served.
	Docroot string
	// Root is the site's absolute directory: the docroot, above it, or in it.
	Root string
	// Kind is the site's kind, such as "wordpress"; it chooses the rules for
	// upload directories. A kind that is not known here gets the general ones.
	Kind string
	// PHP says whether *.php are run. Otherwise they are not served at all.
	PHP bool
	// Env is what PHP sees in its environment when it runs the site, such as
	// the credentials of its database. The virtual host's file is then readable
	// for its owner alone, and no error shows a value.
	Env []EnvVar
	// Overwrite allows to replace a virtual host that was edited by hand or
	// that is not ours. Otherwise that is a *ForeignVhostError.
	Overwrite bool
}

// EnvVar is one variable of a site's environment.
type EnvVar struct{ Name, Value string }

// String hides the value, for whoever prints one.
func (v EnvVar) String() string { return v.Name + "=(hidden)" }

// GoString hides the value too.
func (v EnvVar) GoString() string { return v.String() }

// Labels as in RFC 1123, and underscores, which real zones have.
var (
	domainPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)
	envPattern    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	kindPattern   = regexp.MustCompile(`^[a-z0-9_-]*$`)
	tokenPattern  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// maxDomain is the longest domain name, RFC 1035 section 2.3.4.
const maxDomain = 253

func validateName(name string) error {
	if len(name) > maxDomain || !domainPattern.MatchString(name) {
		return fmt.Errorf("site name %q is not a domain name; write international names in their xn-- form", name)
	}
	return nil
}

func validateAlias(alias string) error {
	name := strings.TrimPrefix(alias, "*.")
	if len(alias) > maxDomain || !domainPattern.MatchString(name) {
		return fmt.Errorf("alias %q is not a domain name; write international names in their xn-- form", alias)
	}
	return nil
}

func validateToken(token string) error {
	if !tokenPattern.MatchString(token) {
		return fmt.Errorf("token %q is not 1 to 64 letters, digits, '-' or '_'", token)
	}
	return nil
}

func validateNameToken(name, token string) error {
	return errors.Join(validateName(name), validateToken(token))
}

// Validate reports what is wrong with the site. What a kind of web server
// cannot write into its configuration is found when it is rendered.
func (s Site) Validate() error {
	errs := []error{validateName(s.Name), validateDirectory("docroot", s.Docroot)}
	if s.Root != "" {
		errs = append(errs, validateDirectory("root", s.Root))
	}
	if !kindPattern.MatchString(s.Kind) {
		errs = append(errs, fmt.Errorf("site kind %q is not lower-case letters, digits, '-' or '_'", s.Kind))
	}
	for _, a := range s.Aliases {
		errs = append(errs, validateAlias(a))
	}
	return errors.Join(append(errs, validateEnv(s.Env))...)
}

func validateEnv(env []EnvVar) error {
	seen := map[string]bool{}
	var errs []error
	for _, v := range env {
		if !envPattern.MatchString(v.Name) || seen[v.Name] || strings.HasPrefix(v.Name, "HTTP_") {
			errs = append(errs, fmt.Errorf("environment variable %q is not letters, digits and '_', begins with HTTP_, or is there twice", v.Name))
		}
		seen[v.Name] = true
	}
	return errors.Join(errs...)
}

func validateDirectory(what, dir string) error {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || dir == "/" {
		return fmt.Errorf("%s %q is not a clean absolute path below /", what, dir)
	}
	return nil
}
