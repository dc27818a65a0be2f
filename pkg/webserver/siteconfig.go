package webserver

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// SiteConfig is what an operator sets for one site. Field names in YAML are
// those below sites in the section webserver of agent.yaml.
type SiteConfig struct {
	// Name is the site's main domain.
	Name string `yaml:"name"`
	// TLSCertificate and TLSKey are absolute PEM files; the first holds the
	// chain too. With them the site is served on Config.ListenTLS.
	TLSCertificate string `yaml:"tls_certificate"`
	TLSKey         string `yaml:"tls_key"`
	// HTTPSRedirect sends visitors of http to https.
	HTTPSRedirect bool `yaml:"https_redirect"`
	// CanonicalRedirect sends visitors of an alias to Name.
	CanonicalRedirect bool `yaml:"canonical_redirect"`
	// MaintenancePage takes the place of Config.MaintenancePage.
	MaintenancePage string `yaml:"maintenance_page"`
}

// siteConfig returns what is set for a site; the zero value for nothing.
func (c Config) siteConfig(name string) SiteConfig {
	for _, s := range c.Sites {
		if s.Name == name {
			return s
		}
	}
	return SiteConfig{Name: name}
}

// maintenancePage is the 503 page of a site; empty for the built-in one.
func (c Config) maintenancePage(name string) string {
	if page := c.siteConfig(name).MaintenancePage; page != "" {
		return page
	}
	return c.MaintenancePage
}

// hasPages says whether any site has a 503 page of its own.
func (c Config) hasPages() bool {
	return c.MaintenancePage != "" || slices.ContainsFunc(c.Sites, func(s SiteConfig) bool { return s.MaintenancePage != "" })
}

// RunsPHP says whether sites run PHP.
func (c Config) RunsPHP() bool { return c.ModPHP || c.PHPFPM != "" }

func (c Config) validateModPHP() error {
	switch {
	case !c.ModPHP:
		return nil
	case c.Kind != (apache{}).Name():
		return fmt.Errorf("mod_php: %q has no such module; give php_fpm", c.Kind)
	case c.PHPFPM != "":
		return errors.New("mod_php: excludes php_fpm; keep one")
	}
	return nil
}

func (c Config) validateSites() error {
	var errs []error
	seen := map[string]bool{}
	for i, s := range c.Sites {
		key := fmt.Sprintf("sites[%d]", i)
		if err := validateName(s.Name); err != nil {
			errs = append(errs, fmt.Errorf("%s.name: %w", key, err))
		}
		if seen[s.Name] {
			errs = append(errs, fmt.Errorf("%s.name: %s stands there twice; remove one", key, s.Name))
		}
		seen[s.Name] = true
		errs = append(errs, s.validate(key, len(c.ListenTLS) > 0))
	}
	return errors.Join(errs...)
}

func (s SiteConfig) validate(key string, tls bool) error {
	var errs []error
	for _, f := range []struct{ field, path string }{
		{".tls_certificate", s.TLSCertificate}, {".tls_key", s.TLSKey}, {".maintenance_page", s.MaintenancePage},
	} {
		errs = append(errs, absolute(key+f.field, f.path, false))
	}
	switch {
	case (s.TLSCertificate == "") != (s.TLSKey == ""):
		errs = append(errs, fmt.Errorf("%s.tls_key: give both tls_certificate and tls_key, or none", key))
	case s.TLSCertificate != "" && !tls:
		errs = append(errs, fmt.Errorf(`%s.tls_certificate: needs listen_tls; give a port, such as "443"`, key))
	case s.HTTPSRedirect && s.TLSCertificate == "":
		errs = append(errs, fmt.Errorf("%s.https_redirect: needs tls_certificate and tls_key", key))
	}
	return errors.Join(errs...)
}

// page takes the 503 page apart into its directory and its name after a slash.
func page(path string) (dir, file string) {
	if path == "" {
		return "", ""
	}
	return filepath.Dir(path), "/" + filepath.Base(path)
}
