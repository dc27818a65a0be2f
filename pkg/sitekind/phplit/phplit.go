// Package phplit reads the plain values that a PHP file gives to constants
// and variables, and replaces them, without running PHP.
//
// It reads the file with PHP's lexical rules, so that comments, strings,
// heredocs and text outside of PHP are told from code, and follows the
// statements far enough to know which definitions are sure to be made. Values
// are literals: strings of every kind, concatenations of them, integers,
// true, false and null. What is computed, or made under a condition, is
// refused by name and line.
//
// It refuses to know what the constants mean, and does not evaluate anything.
// Errors never hold a value or another piece of the file.
package phplit

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem classifies an Error.
type Problem int

// The problems of an Error.
const (
	// Syntax: the file is not PHP that can be followed.
	Syntax Problem = iota + 1
	// Missing: nothing of that name is defined.
	Missing
	// NotLiteral: the value is computed.
	NotLiteral
	// Ambiguous: whether the value holds depends on what cannot be seen here.
	Ambiguous
)

// Error says what is wrong and where. It holds nothing of the file's values.
type Error struct {
	Problem Problem
	File    string
	// Line counts from 1; 0 if there is none.
	Line int
	What string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.What)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What)
}

// Type is the PHP type of a literal.
type Type int

// The types of a literal.
const (
	String Type = iota + 1
	Int
	Bool
	Null
)

// Value is a literal in a file.
type Value struct {
	Type Type
	// Text is the string's bytes, the integer in decimal, "1" or "" for true
	// and false, "" for null: what PHP makes of the value as a string.
	Text string
	Line int
	// start and end delimit the expression in the source.
	start, end int
}

// File is a parsed PHP file. It is not changed after Parse.
type File struct {
	name   string
	source []byte
	defs   []definition
	// included is where the first other file is included; -1 if none is.
	included int
	// jumps is the line of the first goto; 0 if there is none.
	jumps int
}

// certainty says whether a definition is made when the file runs.
type certainty int

const (
	always certainty = iota
	// ifUndefined: only when nothing has defined the constant before.
	ifUndefined
	// maybe: under some other condition, in a function, or in an expression
	// that is not followed.
	maybe
)

// definition is one place that defines a constant or assigns a variable.
type definition struct {
	// name is a constant's, or a variable's with its dollar sign.
	name string
	// anyName is true for a constant whose name is computed.
	anyName bool
	when    certainty
	line    int
	at      int
	// value is the literal; why says why there is none.
	value Value
	why   string
}

// Parse reads a PHP file. Name is for errors. A file that is not PHP that can
// be followed is an *Error with the problem Syntax.
func Parse(name string, source []byte) (*File, error) {
	tokens, err := lex(name, source)
	if err != nil {
		return nil, err
	}
	p := &parser{file: &File{name: name, source: source, included: -1}, tokens: tokens}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return p.file, nil
}

// Constant returns the value with which a constant is sure to be defined. A
// second definition has no effect in PHP, so the first one counts.
func (f *File) Constant(name string) (Value, error) {
	if err := f.followable(name); err != nil {
		return Value{}, err
	}
	for _, d := range f.defs {
		switch {
		case d.name != name && !d.anyName:
			continue
		case d.anyName:
			return Value{}, f.ambiguous(name, d.line, "a constant whose name is computed is defined before it")
		case d.when == maybe:
			return Value{}, f.ambiguous(name, d.line, "it is defined under a condition")
		case d.when == ifUndefined && f.included >= 0 && f.included < d.at:
			return Value{}, f.ambiguous(name, d.line, "a file that is included before may define it")
		}
		return f.literal(name, d)
	}
	return Value{}, f.missing(name)
}

// Variable returns the value that is last assigned to a variable, such as
// "$table_prefix", at the outermost level of the file.
func (f *File) Variable(name string) (Value, error) {
	if err := f.followable(name); err != nil {
		return Value{}, err
	}
	for _, d := range slices.Backward(f.defs) {
		switch {
		case d.name != name:
		case d.when != always:
			return Value{}, f.ambiguous(name, d.line, "it is assigned under a condition")
		default:
			return f.literal(name, d)
		}
	}
	return Value{}, f.missing(name)
}

func (f *File) followable(name string) error {
	if f.jumps > 0 {
		return f.ambiguous(name, f.jumps, "the file uses goto")
	}
	return nil
}

func (f *File) ambiguous(name string, line int, why string) error {
	return &Error{Ambiguous, f.name, line, fmt.Sprintf("the value of %s is not certain: %s", name, why)}
}

func (f *File) missing(name string) error {
	return &Error{Missing, f.name, 0, name + " is not defined"}
}

func (f *File) literal(name string, d definition) (Value, error) {
	if d.why != "" {
		return Value{}, &Error{NotLiteral, f.name, d.line, fmt.Sprintf("%s is not a plain value but %s", name, d.why)}
	}
	return d.value, nil
}

// Edit gives a value a new text.
type Edit struct {
	// Value was returned by Constant or Variable of the same File.
	Value Value
	// Text is any bytes. It is written as a PHP string.
	Text string
}

// Replace returns the source with the edits made and every other byte as it
// was. The edits must not overlap; each value may be given once.
func (f *File) Replace(edits ...Edit) ([]byte, error) {
	edits = slices.Clone(edits)
	slices.SortFunc(edits, func(a, b Edit) int { return cmp.Compare(a.Value.start, b.Value.start) })
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		if e.Value.start < at || e.Value.end <= e.Value.start || e.Value.end > len(f.source) {
			return nil, fmt.Errorf("%s: a value is replaced twice or is not of this file", f.name)
		}
		out.Write(f.source[at:e.Value.start])
		out.WriteString(Quote(e.Text))
		at = e.Value.end
	}
	out.Write(f.source[at:])
	return out.Bytes(), nil
}

// Quote writes bytes as a PHP string in single quotes, in which only the
// quote and the backslash are special.
func Quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
