package webserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sampleSite is what a template is tried with.
const sampleSite = "example.com"

// CheckTemplates tries every template that an operator has put into the
// template directory, and says what is wrong with each. It writes nothing.
func (s *Server) CheckTemplates() error {
	if s.cfg.TemplateDir == "" {
		return nil
	}
	entries, err := os.ReadDir(s.cfg.TemplateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("template_dir: %s does not exist; create it, or remove the key", s.cfg.TemplateDir)
	}
	if err != nil {
		return fmt.Errorf("template_dir: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if name, ok := s.templateFor(e.Name()); ok {
			errs = append(errs, s.checkTemplate(e.Name(), name))
		}
	}
	return errors.Join(errs...)
}

// templateFor says for which site a file is the template.
func (s *Server) templateFor(file string) (site string, ok bool) {
	base, ok := strings.CutSuffix(file, ".tmpl")
	middle, ours := strings.CutPrefix(base, "vhost-"+s.kind.Name())
	if !ok || !ours {
		return "", false
	}
	if middle == "" {
		return sampleSite, true
	}
	return strings.CutPrefix(middle, "-")
}

func (s *Server) checkTemplate(file, name string) error {
	path := filepath.Join(s.cfg.TemplateDir, file)
	if err := validateName(name); err != nil {
		return fmt.Errorf("template %s: %w", path, err)
	}
	text, err := readBounded(path)
	if err != nil {
		return fmt.Errorf("template: %w", err)
	}
	v, err := s.view(Site{Name: name, Docroot: "/srv/" + name, PHP: s.cfg.RunsPHP()})
	if err != nil {
		return fmt.Errorf("template %s: %w", path, err)
	}
	v.Generation = shortHash(text)
	v.MarkerPath = markerDirectory + v.Generation
	if _, err := s.execute(path, text, v); err != nil {
		return fmt.Errorf("template %s: %w", path, err)
	}
	return nil
}
