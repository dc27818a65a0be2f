package dotenv

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
)

// dialect is the program that reads a .env file.
type dialect int

const (
	// vlucas is vlucas/phpdotenv 5, which Laravel uses.
	vlucas dialect = iota
	// symfony is symfony/dotenv.
	symfony
)

// entry is a line, or several, that gives a variable a value.
type entry struct {
	name string
	text string
	// why says why the value cannot be told; empty if it can.
	why  string
	line int
	// start and end delimit the value in the file, with its quotes.
	start, end int
}

// file is a parsed .env file. The last entry of a name counts.
type file struct {
	name    string
	data    []byte
	dialect dialect
	entries []entry
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// parse reads a file. What is no assignment is refused, as both programs do;
// a value that cannot be told is refused only when it is asked for.
func parse(name string, data []byte, d dialect) (*file, error) {
	f := &file{name: name, data: data, dialect: d}
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, f.problem(sitekind.Broken, 0, "it is not text")
	}
	for at := 0; at < len(data); {
		next, err := f.line(at)
		if err != nil {
			return nil, err
		}
		at = next
	}
	return f, nil
}

func (f *file) problem(p sitekind.Problem, line int, what string) error {
	return &sitekind.SettingsError{Problem: p, File: f.name, Line: line, What: what}
}

func (f *file) lineAt(at int) int { return 1 + bytes.Count(f.data[:at], []byte("\n")) }

// line reads the entry that begins in the line at a position, and returns
// where the next line begins.
func (f *file) line(at int) (next int, err error) {
	end := lineEnd(f.data, at)
	text := string(f.data[at:end])
	trimmed := strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	if trimmed == "" || trimmed[0] == '#' {
		return end + 1, nil
	}
	before, after, ok := strings.Cut(text, "=")
	name := strings.TrimSpace(strings.TrimPrefix(before, "\ufeff"))
	if rest, exported := strings.CutPrefix(name, "export"); exported && strings.TrimLeft(rest, " \t") != rest {
		name = strings.TrimSpace(rest)
		if !ok && variableName.MatchString(name) {
			return end + 1, nil // Exports what is set elsewhere.
		}
	}
	if !ok || !variableName.MatchString(name) {
		return 0, f.problem(sitekind.Broken, f.lineAt(at), "the line is no NAME=value")
	}
	e := entry{name: name, line: f.lineAt(at)}
	e.start = at + len(before) + 1 + len(after) - len(strings.TrimLeft(after, " \t"))
	next, err = f.value(&e, end)
	f.entries = append(f.entries, e)
	return next, err
}

// lineEnd returns where the line ends, without its CR, so that what follows is
// LF, CR LF or nothing.
func lineEnd(data []byte, at int) int {
	if n := bytes.IndexByte(data[at:], '\n'); n >= 0 {
		return at + n
	}
	return len(data)
}

// value reads the value that begins at the entry's start; end is its line's.
func (f *file) value(e *entry, end int) (next int, err error) {
	rest := string(f.data[e.start:end])
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		f.bare(e, rest)
		return end + 1, nil
	}
	closes := f.quoteEnd(e.start, rest[0])
	if closes < 0 {
		return 0, f.problem(sitekind.Broken, e.line, "a quote opens here and does not close")
	}
	e.end = closes + 1
	end = lineEnd(f.data, e.end)
	f.quoted(e, rest[0], string(f.data[e.start+1:closes]))
	if after := strings.TrimSpace(string(f.data[e.end:end])); after != "" && (after[0] != '#' || f.data[e.end] == '#') {
		e.why = "has something after its quotes"
	}
	return end + 1, nil
}

// quoteEnd returns where the quote that opens at a position closes; -1 for
// nowhere.
func (f *file) quoteEnd(open int, quote byte) int {
	for at := open + 1; at < len(f.data); at++ {
		switch c := f.data[at]; {
		case c == quote:
			return at
		case c == '\\' && quote == '"':
			at++
		}
	}
	return -1
}

// bare reads a value without quotes.
func (f *file) bare(e *entry, rest string) {
	text := rest
	if at := strings.IndexByte(rest, '#'); at >= 0 {
		if at > 0 && rest[at-1] != ' ' && rest[at-1] != '\t' {
			e.why = "has a # without quotes, which not every program reads alike; put it in quotes"
		}
		text = rest[:at]
	}
	text = strings.TrimRight(text, " \t\r")
	e.text, e.end = text, e.start+len(text)
	switch {
	case strings.ContainsAny(text, " \t\\\"'`"):
		e.why = "has characters that need quotes"
	case e.why == "":
		e.text, e.why = f.expand(text)
	}
}

func (f *file) quoted(e *entry, quote byte, body string) {
	switch {
	case quote == '\'' && f.dialect == vlucas && strings.ContainsAny(body, "\n"):
		e.why = "has single quotes over more than one line"
	case quote == '\'':
		e.text = body
	default:
		e.text, e.why = f.double(body)
	}
}

// double resolves escapes and variables in double quotes. Where the two
// programs are at odds with what is meant, the value is refused.
func (f *file) double(body string) (text, why string) {
	var out, plain strings.Builder
	flush := func() {
		if why == "" {
			var part string
			part, why = f.expand(plain.String())
			out.WriteString(part)
		}
		plain.Reset()
	}
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' || i+1 == len(body) {
			plain.WriteByte(body[i])
			continue
		}
		flush()
		i++
		c, ok := unescape(body[i], f.dialect)
		if !ok || f.dialect == symfony && body[i] == '\\' && strings.ContainsAny(next(body, i), `nr"$`) ||
			f.dialect == vlucas && body[i] == '\\' && next(body, i) == "" {
			return "", "has an escape that is not read as it is meant"
		}
		out.WriteByte(c)
	}
	flush()
	return out.String(), why
}

func next(body string, i int) string {
	if i+1 < len(body) {
		return body[i+1 : i+2]
	}
	return ""
}

func unescape(c byte, d dialect) (byte, bool) {
	switch {
	case c == '"' || c == '\\' || c == '$':
		return c, true
	case c == 'n':
		return '\n', true
	case c == 'r':
		return '\r', true
	case c == 't' && d == vlucas:
		return '\t', true
	}
	return 0, false
}

// reference is a variable in a value: ${NAME}, and for Symfony $NAME.
var reference = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z0-9_]+))`)

// expand puts in variables that the file has set before.
func (f *file) expand(text string) (string, string) {
	if !strings.Contains(text, "$") {
		return text, ""
	}
	why := ""
	out := reference.ReplaceAllStringFunc(text, func(ref string) string {
		name := strings.Trim(ref[1:], "{}")
		if ref[1] != '{' && f.dialect == vlucas {
			return ref
		}
		e, ok := f.find(name)
		if !ok || e.why != "" {
			why = "holds a variable that the file does not set before it"
		}
		return e.text
	})
	if left := reference.ReplaceAllString(text, ""); strings.Contains(left, "${") || strings.Contains(left, "$(") {
		why = "holds a variable or command that cannot be told"
	}
	return out, why
}

func (f *file) find(name string) (entry, bool) {
	for i := len(f.entries) - 1; i >= 0; i-- {
		if f.entries[i].name == name {
			return f.entries[i], true
		}
	}
	return entry{}, false
}

// get returns a variable's entry.
func (f *file) get(name string) (e entry, ok bool, err error) {
	e, ok = f.find(name)
	if ok && e.why != "" {
		return entry{}, false, f.problem(sitekind.NotLiteral, e.line, name+" "+e.why)
	}
	return e, ok, nil
}

var errNoForm = errors.New("no way of quoting is read alike for its characters")

// quote writes a value as both programs read it: bare if old, the first byte
// of the old value, is no quote and none is needed; as before if that can hold
// it; in single quotes; or in double quotes.
func quote(text, old string) (string, error) {
	switch {
	case !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\v\f"):
		return "", errNoForm
	case old != `"` && old != "'" && !strings.ContainsFunc(text, needsQuotes):
		return text, nil
	case old == `"` && !strings.ContainsAny(text, "\"\\$\n\r"):
		return `"` + text + `"`, nil
	case !strings.ContainsAny(text, "'\n\r"):
		return "'" + text + "'", nil
	case strings.Contains(text, `\`):
		return "", errNoForm
	}
	return `"` + strings.NewReplacer(`"`, `\"`, "$", `\$`, "\n", `\n`, "\r", `\r`).Replace(text) + `"`, nil
}

func needsQuotes(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_/.:@+=,~-?&%", r)
}
