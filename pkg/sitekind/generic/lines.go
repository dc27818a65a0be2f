package generic

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// linesFile is a settings file of the format lines.
type linesFile struct {
	place sitekind.Place
	name  string
	data  []byte
}

func openLines(p sitekind.Place, name string) (*linesFile, error) {
	data, err := sitekind.ReadFile(p, name)
	if err != nil {
		return nil, err
	}
	return &linesFile{place: p, name: name, data: data}, nil
}

// setting is a value in the file.
type setting struct {
	text string
	line int
	// start and end delimit the value in the file, without its quotes.
	start, end int
	// quote is 0 for a bare value.
	quote byte
}

var (
	// bareValue and quotedValue hold what every program that reads such files
	// takes literally.
	bareValue   = regexp.MustCompile(`^[A-Za-z0-9_/.][A-Za-z0-9_/.:@+=,~-]*$|^$`)
	quotedValue = regexp.MustCompile(`^[\x20-\x7e]*$`)
)

// fits says whether the text can stand in the place of the value.
func (s setting) fits(text string) bool {
	if s.quote == 0 {
		return bareValue.MatchString(text)
	}
	return quotedValue.MatchString(text) && !strings.ContainsAny(text, "\\$`"+string(s.quote))
}

// Get implements settingsFile.
func (f *linesFile) Get(key string) (string, error) {
	s, err := find(f.name, f.data, key)
	return s.text, err
}

// Set implements settingsFile.
func (f *linesFile) Set(values map[string]string) error {
	data := f.data
	for _, key := range slices.Sorted(maps.Keys(values)) {
		s, err := find(f.name, data, key)
		if err != nil {
			return err
		}
		if s.text == values[key] {
			continue
		}
		if !s.fits(values[key]) {
			return &sitekind.SettingsError{Problem: sitekind.Unwritable, File: f.name, Line: s.line,
				What: fmt.Sprintf("the new value of %s has characters that not every program reads alike here", key)}
		}
		data = slices.Concat(data[:s.start], []byte(values[key]), data[s.end:])
	}
	if bytes.Equal(data, f.data) {
		return nil
	}
	for key, text := range values {
		if s, err := find(f.name, data, key); err != nil || s.text != text {
			return &sitekind.SettingsError{Problem: sitekind.Unwritable, File: f.name,
				What: key + " does not read back as it was written", Err: err}
		}
	}
	return sitekind.ReplaceFile(f.place, f.name, data)
}

// find looks for the one line that gives the key a value.
func find(name string, data []byte, key string) (setting, error) {
	pattern, err := regexp.Compile(`(?m)^[ \t]*(?:export[ \t]+)?["']?` + regexp.QuoteMeta(key) + `["']?[ \t]*[=:][ \t]*([^\r\n]*?)[ \t]*\r?$`)
	if err != nil {
		return setting{}, fmt.Errorf("settings in %s: key %q: %w", name, key, err)
	}
	found := pattern.FindAllSubmatchIndex(data, 2)
	problem := &sitekind.SettingsError{File: name}
	switch len(found) {
	case 0:
		problem.Problem, problem.What = sitekind.Missing, key+" is not there"
		return setting{}, problem
	case 2:
		problem.Problem, problem.Line = sitekind.Ambiguous, lineOf(data, found[1][2])
		problem.What = key + " is there twice; keep one"
		return setting{}, problem
	}
	s := setting{start: found[0][2], end: found[0][3], line: lineOf(data, found[0][2])}
	if err := s.parse(data); err != nil {
		problem.Problem, problem.Line, problem.What = sitekind.NotLiteral, s.line, key+" "+err.Error()
		return setting{}, problem
	}
	return s, nil
}

func lineOf(data []byte, at int) int { return 1 + bytes.Count(data[:at], []byte("\n")) }

// parse finds the value in the rest of its line: a quoted one and perhaps a
// comment, or a bare one.
func (s *setting) parse(data []byte) error {
	rest := string(data[s.start:s.end])
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		return s.parseQuoted(rest)
	}
	if at := strings.IndexAny(rest, "#;"); at >= 0 && isBlank(data[s.start+at-1]) {
		rest = strings.TrimRight(rest[:at], " \t")
		s.end = s.start + len(rest)
		if rest == "" { // A new value must not touch the comment.
			s.start, s.end = s.start-1, s.end-1
		}
	}
	if strings.ContainsAny(rest, "\\$`\"'#;") {
		return errors.New("has characters that not every program reads alike; put it in quotes")
	}
	s.text = rest
	return nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func (s *setting) parseQuoted(rest string) error {
	s.quote = rest[0]
	text, after, closed := strings.Cut(rest[1:], rest[:1])
	after = strings.TrimLeft(strings.TrimPrefix(strings.TrimLeft(after, " \t"), ","), " \t")
	switch {
	case !closed:
		return errors.New("has a quote that does not close in its line")
	case after != "" && after[0] != '#' && after[0] != ';':
		return errors.New("has something after its quotes")
	case strings.ContainsAny(text, "\\`") || s.quote == '"' && strings.Contains(text, "$"):
		return errors.New("has an escape or a variable, which not every program reads alike")
	}
	s.text, s.start, s.end = text, s.start+1, s.start+1+len(text)
	return nil
}
