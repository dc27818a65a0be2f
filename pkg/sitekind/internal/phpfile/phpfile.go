// Package phpfile reads and replaces settings in PHP files of a site. It knows
// no names of settings.
package phpfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
)

// File is a parsed PHP file of a site.
type File struct {
	place  sitekind.Place
	name   string
	parsed *phplit.File
}

// Open reads and parses a file. Name is relative to the place's Root.
func Open(p sitekind.Place, name string) (*File, error) {
	data, err := sitekind.ReadFile(p, name)
	if err != nil {
		return nil, err
	}
	parsed, err := phplit.Parse(name, data)
	if err != nil {
		return nil, settingsError(name, err)
	}
	return &File{place: p, name: name, parsed: parsed}, nil
}

// Get returns the value of a constant, or of a variable if the key begins
// with a dollar sign.
func (f *File) Get(key string) (string, error) {
	v, err := get(f.parsed, key)
	if err != nil {
		return "", settingsError(f.name, err)
	}
	return v.Text, nil
}

// ClassConstant returns a constant of a class in the file.
func (f *File) ClassConstant(name string) (string, error) {
	v, err := f.parsed.ClassConstant(name)
	if err != nil {
		return "", settingsError(f.name, err)
	}
	return v.Text, nil
}

// Optional is Get for a setting that may be missing or computed; it is then
// empty.
func (f *File) Optional(key string) string {
	text, err := f.Get(key)
	if err != nil {
		return ""
	}
	return text
}

func get(f *phplit.File, key string) (phplit.Value, error) {
	if strings.HasPrefix(key, "$") {
		return f.Variable(key)
	}
	return f.Constant(key)
}

// Set writes the values that differ from what is in the file, all at once, and
// nothing if none does. Before the file is replaced, the new text is read back.
func (f *File) Set(values map[string]string) error {
	var edits []phplit.Edit
	for _, key := range slices.Sorted(maps.Keys(values)) {
		v, err := get(f.parsed, key)
		if err != nil {
			return settingsError(f.name, err)
		}
		if text := values[key]; v.Text != text {
			edits = append(edits, phplit.Edit{Value: v, Text: text})
		}
	}
	if len(edits) == 0 {
		return nil
	}
	data, err := f.parsed.Replace(edits...)
	if err == nil {
		err = readsBack(f.name, data, values)
	}
	if err != nil {
		return &sitekind.SettingsError{Problem: sitekind.Unwritable, File: f.name,
			What: "the new values cannot be put in", Err: err}
	}
	return sitekind.ReplaceFile(f.place, f.name, data)
}

func readsBack(name string, data []byte, values map[string]string) error {
	parsed, err := phplit.Parse(name, data)
	if err != nil {
		return err
	}
	for key, text := range values {
		if v, err := get(parsed, key); err != nil || v.Text != text {
			return errors.Join(err, fmt.Errorf("%s does not read back as it was written", key))
		}
	}
	return nil
}

// settingsError translates an error of phplit.
func settingsError(name string, err error) error {
	if e, ok := errors.AsType[*sitekind.SettingsError](err); ok {
		return e
	}
	e, ok := errors.AsType[*phplit.Error](err)
	if !ok {
		return fmt.Errorf("settings in %s: %w", name, err)
	}
	if e.File != "" {
		name = e.File
	}
	out := &sitekind.SettingsError{File: name, Line: e.Line, What: e.What}
	switch e.Problem {
	case phplit.Missing:
		out.Problem = sitekind.Missing
	case phplit.NotLiteral:
		out.Problem, out.What = sitekind.NotLiteral, e.What+"; write it as a plain string"
	case phplit.Ambiguous:
		out.Problem, out.What = sitekind.Ambiguous, e.What+"; define it once, without conditions"
	default:
		out.Problem, out.What = sitekind.Broken, "the file is broken: "+e.What
	}
	return out
}
