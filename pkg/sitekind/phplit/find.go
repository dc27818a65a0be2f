package phplit

import (
	"errors"
	"slices"
	"strings"
)

// key is one key of an element that is assigned.
type key struct {
	text string
	// any is true when it is computed, or left out.
	any bool
}

// Found is a value and the file in which it stands.
type Found struct {
	Value Value
	File  *File
}

// Include is a place where another file is included.
type Include struct {
	// File is the name of the file that includes.
	File string
	Line int
	// Path is what its path is put together of, in order; nil if that cannot
	// be followed.
	Path []Part
	// Guarded says that it is included only if there is such a file.
	Guarded bool
	// Certain is false when it is included under some other condition.
	Certain bool
	at      int
}

// Part is a piece of a path.
type Part struct {
	// Text is a literal.
	Text string
	// Symbol is the source of what stands for another text, such as __DIR__ or
	// $app_root; empty for a literal.
	Symbol string
}

// Includes returns the files that this one includes, in order.
func (f *File) Includes() []Include { return slices.Clone(f.includes) }

func (f *File) includesBefore(at int) bool {
	return len(f.includes) > 0 && f.includes[0].at < at
}

// Open gives the file that is included, nil when there is none that matters.
// Its error ends Find.
type Open func(Include) (*File, error)

// Find returns the value that a variable, or the element under its keys, has
// at the end of the file, of whatever type. With open, files that it includes
// are followed where they are included; without, they are not looked at. That
// nothing of that name is there is an *Error with the problem Missing.
func (f *File) Find(open Open, name string, keys ...string) (Found, error) {
	return f.find(open, 0, wanted{name: name, keys: keys})
}

// FindArray is Find for the array that a new element can be put into: elements
// of it that are assigned by themselves do not count.
func (f *File) FindArray(open Open, name string, keys ...string) (Found, error) {
	found, err := f.find(open, 0, wanted{name, keys, true})
	if err == nil && found.Value.Type != Array {
		err = &Error{NotLiteral, found.File.name, found.Value.Line, title(name, keys) + " is no array"}
	}
	return found, err
}

// wanted is what is looked for.
type wanted struct {
	name string
	keys []string
	// array says that elements assigned by themselves are passed over.
	array bool
}

func (w wanted) by(d definition) bool {
	return d.name == w.name && overlap(d.keys, w.keys) && (!w.array || len(d.keys) <= len(w.keys))
}

func (f *File) find(open Open, depth int, w wanted) (Found, error) {
	name, keys := w.name, w.keys
	if err := f.followable(title(name, keys)); err != nil {
		return Found{}, err
	}
	if depth > maxIncludes {
		return Found{}, &Error{Ambiguous, f.name, 0, "files include each other too deeply"}
	}
	includes := f.includes
	if open == nil {
		includes = nil
	}
	for _, d := range slices.Backward(f.defs) {
		if !w.by(d) {
			continue
		}
		for ; len(includes) > 0 && includes[len(includes)-1].at > d.at; includes = includes[:len(includes)-1] {
			found, err := f.included(open, depth, includes[len(includes)-1], w)
			if !isMissing(err) {
				return found, err
			}
		}
		v, err := f.assigned(d, name, keys)
		return Found{v, f}, err
	}
	for _, include := range slices.Backward(includes) {
		if found, err := f.included(open, depth, include, w); !isMissing(err) {
			return found, err
		}
	}
	return Found{}, f.missing(title(name, keys))
}

// maxIncludes bounds how deep files may include others.
const maxIncludes = 8

// included looks into a file that is included.
func (f *File) included(open Open, depth int, include Include, w wanted) (Found, error) {
	name, keys := w.name, w.keys
	other, err := open(include)
	if err != nil {
		return Found{}, err
	}
	if other == nil {
		return Found{}, f.missing(title(name, keys))
	}
	found, err := other.find(open, depth+1, w)
	if err == nil && !include.Certain && !include.Guarded {
		return Found{}, f.ambiguous(title(name, keys), include.Line, "a file that sets it is included under a condition")
	}
	return found, err
}

func isMissing(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Problem == Missing
}

// overlap says whether an assignment to one element changes the other.
func overlap(assigned []key, wanted []string) bool {
	for i, k := range assigned[:min(len(assigned), len(wanted))] {
		if !k.any && k.text != wanted[i] {
			return false
		}
	}
	return true
}

// assigned returns what a definition makes of an element.
func (f *File) assigned(d definition, name string, keys []string) (Value, error) {
	name = title(name, keys)
	computed := slices.ContainsFunc(d.keys, func(k key) bool { return k.any })
	switch {
	case d.when == maybe || d.when == ifUndefined:
		return Value{}, f.ambiguous(name, d.line, "it is assigned under a condition, or changed")
	case computed:
		return Value{}, f.ambiguous(name, d.line, "an element whose key is computed is assigned")
	case len(d.keys) > len(keys):
		return Value{}, &Error{NotLiteral, f.name, d.line, name + " is put together of pieces"}
	case d.why != "":
		return f.literal(name, d)
	}
	v, err := f.element(name, d.value, keys[len(d.keys):])
	if err != nil {
		return Value{}, err
	}
	if d.when == ifEnvironment && !fromEnvironment(d.value) {
		return Value{}, f.ambiguous(name, d.line, "it is assigned only if the environment has a variable")
	}
	return v, nil
}

// fromEnvironment says whether a value, or an element of it, is one of the
// environment.
func fromEnvironment(v Value) bool {
	return v.Type == Environment || slices.ContainsFunc(v.items, func(it item) bool { return fromEnvironment(it.value) })
}

// title is how an element is called in errors: $a[b][c].
func title(name string, keys []string) string {
	if len(keys) == 0 {
		return name
	}
	return name + "[" + strings.Join(keys, "][") + "]"
}
