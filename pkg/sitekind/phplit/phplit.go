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
	// Array has elements, which Find reaches.
	Array
	// Environment is a value that the environment of the web server gives:
	// getenv('X'), $_SERVER['X'], $_ENV['X'].
	Environment
)

// Value is a literal in a file, or a value of the environment.
type Value struct {
	Type Type
	// Text is the string's bytes, the integer in decimal, "1" or "" for true
	// and false, "" for null: what PHP makes of the value as a string. Of a
	// value of the environment it is the default that is written beside it.
	Text string
	// Env is the variable's name in the environment.
	Env  string
	Line int
	// items are an array's; open is where its bracket has opened.
	items []item
	open  int
	// start and end delimit the expression in the source.
	start, end int
}

// File is a parsed PHP file. It is not changed after Parse.
type File struct {
	name   string
	source []byte
	defs   []definition
	// includes are in the order of the file.
	includes []Include
	// jumps is the line of the first goto; 0 if there is none.
	jumps int
}

// certainty says whether a definition is made when the file runs.
type certainty int

const (
	always certainty = iota
	// ifUndefined: only when nothing has defined the constant before.
	ifUndefined
	// ifEnvironment: only when the environment has a variable, which says
	// nothing but that its values are there.
	ifEnvironment
	// maybe: under some other condition, in a function, or in an expression
	// that is not followed.
	maybe
)

// definition is one place that defines a constant or assigns a variable.
type definition struct {
	// name is a constant's, or a variable's with its dollar sign, or that of a
	// constant of a class with two colons before it.
	name string
	// keys lead to the element that is assigned; nil for the whole.
	keys []key
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
	p := &parser{file: &File{name: name, source: source}, tokens: tokens}
	if err := p.parse(); err != nil {
		return nil, err
	}
	return p.file, nil
}

// Returned is the name under which Find knows what a file returns.
const Returned = "return"

// Name is the name that Parse was given.
func (f *File) Name() string { return f.name }

// Constant returns the value with which a constant is sure to be defined. A
// second definition has no effect in PHP, so the first one counts.
func (f *File) Constant(name string) (Value, error) {
	v, err := f.constant(name)
	return f.plain(name, v, err)
}

func (f *File) constant(name string) (Value, error) {
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
		case d.when == ifUndefined && f.includesBefore(d.at):
			return Value{}, f.ambiguous(name, d.line, "a file that is included before may define it")
		}
		return f.literal(name, d)
	}
	return Value{}, f.missing(name)
}

// Variable returns the value that is last assigned to a variable, such as
// "$table_prefix", at the outermost level of the file. Other files that it
// includes are not looked at; Find does that.
func (f *File) Variable(name string) (Value, error) {
	found, err := f.Find(nil, name)
	return f.plain(name, found.Value, err)
}

// ClassConstant returns a constant of a class in the file, whatever the class.
func (f *File) ClassConstant(name string) (Value, error) {
	for _, d := range f.defs {
		if d.name == "::"+name {
			v, err := f.literal(name, d)
			return f.plain(name, v, err)
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

// plain refuses what is no scalar that stands in the file.
func (f *File) plain(name string, v Value, err error) (Value, error) {
	switch {
	case err != nil:
		return Value{}, err
	case v.Type == Array:
		return Value{}, &Error{NotLiteral, f.name, v.Line, name + " is not a plain value but an array"}
	case v.Type == Environment:
		return Value{}, &Error{NotLiteral, f.name, v.Line, fmt.Sprintf("%s is not a plain value but read from the environment (%s)", name, v.Env)}
	}
	return v, nil
}

// Edit gives a value a new text.
type Edit struct {
	// Value was returned by Constant, Variable or Find of the same File.
	Value Value
	// Text is any bytes. It is written as a PHP string.
	Text string
	// Key, if it is not empty, says that Value is an array that gets a new
	// element with that key.
	Key string
	// Null writes null in place of the text.
	Null bool
}

func (e Edit) literal() string {
	if e.Null {
		return "NULL"
	}
	return Quote(e.Text)
}

// place says which bytes are replaced, and by what.
func (f *File) place(e Edit) (start, end int, text string) {
	switch {
	case e.Key == "":
		return e.Value.start, e.Value.end, e.literal()
	case len(e.Value.items) == 0:
		return e.Value.open, e.Value.open, Quote(e.Key) + " => " + e.literal()
	}
	at := e.Value.items[len(e.Value.items)-1].end
	return at, at, f.separator(e.Value) + Quote(e.Key) + " => " + e.literal()
}

// Replace returns the source with the edits made and every other byte as it
// was. The edits must not overlap; each value may be given once.
func (f *File) Replace(edits ...Edit) ([]byte, error) {
	edits = slices.Clone(edits)
	begin := func(e Edit) int { start, _, _ := f.place(e); return start }
	slices.SortStableFunc(edits, func(a, b Edit) int { return cmp.Compare(begin(a), begin(b)) })
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		start, end, text := f.place(e)
		if start < at || end < start || end > len(f.source) || e.Key == "" && end == start {
			return nil, fmt.Errorf("%s: a value is replaced twice or is not of this file", f.name)
		}
		out.Write(f.source[at:start])
		out.WriteString(text)
		at = end
	}
	out.Write(f.source[at:])
	return out.Bytes(), nil
}

// Quote writes bytes as a PHP string in single quotes, in which only the
// quote and the backslash are special.
func Quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
