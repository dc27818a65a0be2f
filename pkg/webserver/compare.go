package webserver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// maxDiff bounds the lines of VhostDrift.
const maxDiff = 40

// VhostDrift says how a virtual host differs from what WriteVhost would write.
type VhostDrift struct {
	// Reason is empty if it does not differ.
	Reason string
	// Lines are those that would go ("- …") and come ("+ …"), in their order,
	// at most 40. What holds an environment is not shown.
	Lines []string
}

// CompareVhost compares the site's virtual host on disk with its template, and
// changes nothing.
func (s *Server) CompareVhost(site Site) (VhostDrift, error) {
	drift, err := s.compareVhost(site)
	if err != nil {
		return VhostDrift{}, fmt.Errorf("virtual host of %s: %w", site.Name, hideEnv(err, site.Env))
	}
	return drift, nil
}

func (s *Server) compareVhost(site Site) (VhostDrift, error) {
	if err := site.Validate(); err != nil {
		return VhostDrift{}, err
	}
	d, err := s.openDir()
	if err != nil {
		return VhostDrift{}, err
	}
	defer d.Close()
	state, err := s.mayReplace(d, site)
	if foreign, ok := errors.AsType[*ForeignVhostError](err); ok {
		return VhostDrift{Reason: foreign.Error() + "; it will be left as it is"}, nil
	}
	if err != nil {
		return VhostDrift{}, err
	}
	if keyed, err := d.exists(keyFile); err != nil || len(site.Env) > 0 && !keyed {
		return VhostDrift{Reason: fmt.Sprintf("%s does not give PHP the environment that the site needs", s.path(site.Name))}, err
	}
	want, err := s.RenderVhost(site)
	if err != nil {
		return VhostDrift{}, err
	}
	return s.differ(d, site, state, want)
}

func (s *Server) differ(d *vhostDir, site Site, state VhostState, want []byte) (VhostDrift, error) {
	have, err := d.read(site.Name + confSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return VhostDrift{}, err
	}
	switch {
	case !state.Exists:
		return VhostDrift{Reason: fmt.Sprintf("there is no virtual host %s", s.path(site.Name))}, nil
	case !bytes.Equal(have, want):
		return VhostDrift{Reason: fmt.Sprintf("%s differs from what the template makes of the site", s.path(site.Name)), Lines: diffLines(have, want)}, nil
	case state.Mode.Perm() != modeFor(site):
		return VhostDrift{Reason: fmt.Sprintf("%s has the mode %04o in place of %04o", s.path(site.Name), state.Mode.Perm(), modeFor(site))}, nil
	}
	return VhostDrift{}, nil
}

// diffLines lists the lines of one text that are not in the other. Lines that
// may hold values of an environment, and names of generations, are left out.
func diffLines(have, want []byte) (out []string) {
	old, now := shownLines(have), shownLines(want)
	for _, line := range old {
		if !slices.Contains(now, line) {
			out = append(out, "- "+line)
		}
	}
	for _, line := range now {
		if !slices.Contains(old, line) {
			out = append(out, "+ "+line)
		}
	}
	return out[:min(len(out), maxDiff)]
}

// generationLine holds the name of a generation, which changes with every line.
var generationLine = regexp.MustCompile(`\b[0-9a-f]{16}\b`)

func shownLines(text []byte) (out []string) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch word, _, _ := strings.Cut(line, " "); {
		case line == "" || strings.HasPrefix(line, "#"), word == "fastcgi_param", word == "SetEnv", generationLine.MatchString(line):
		default:
			out = append(out, line)
		}
	}
	return out
}
