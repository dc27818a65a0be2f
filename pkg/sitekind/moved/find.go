package moved

import (
	"slices"
	"strings"
)

// hostMarks are what stands before a host: in an address, in JSON whose slashes
// are escaped, and in an address that is part of another one.
var hostMarks = []string{"//", `\/\/`, "%2F%2F", "%2f%2f"}

// finder looks for what has moved.
type finder struct {
	names []Pair
	paths []Pair // as they are, and as JSON escapes them
	below []Pair // the relative ones, the same
	again bool
}

func newFinder(m Move) *finder {
	f := &finder{names: m.Names, again: m.Again}
	for _, p := range m.Paths {
		f.paths = append(f.paths, p, Pair{escaped(p.Old), escaped(p.New)})
	}
	for _, p := range m.Relative {
		f.below = append(f.below, p, Pair{escaped(p.Old), escaped(p.New)})
	}
	return f
}

// escaped writes slashes as PHP's json_encode does.
func escaped(text string) string { return strings.ReplaceAll(text, "/", `\/`) }

// sameLength reports whether no replacement changes a length.
func (f *finder) sameLength() bool {
	for _, list := range [][]Pair{f.names, f.paths, f.below} {
		for _, p := range list {
			if len(p.Old) != len(p.New) {
				return false
			}
		}
	}
	return true
}

// touches reports whether there is anything to look for: also in a text that holds others, whose own rules are not known here.
func (f *finder) touches(text string) bool {
	for _, p := range append(slices.Clone(f.paths), f.below...) {
		if strings.Contains(text, p.Old) {
			return true
		}
	}
	low := strings.ToLower(text)
	for _, p := range f.names {
		if strings.Contains(low, strings.ToLower(p.Old)) {
			return true
		}
	}
	return false
}

func (f *finder) replace(text string) string {
	if name, ok := f.whole(text); ok {
		return name
	}
	var out strings.Builder
	from := 0
	for i := 0; i < len(text); {
		n, with := f.at(text, i)
		if n == 0 {
			i++
			continue
		}
		out.WriteString(text[from:i])
		out.WriteString(with)
		i += n
		from = i
	}
	out.WriteString(text[from:])
	return out.String()
}

// whole says what stands for a text that is a name and nothing else. Domains of
// cookies begin with a dot.
func (f *finder) whole(text string) (string, bool) {
	bare := strings.TrimPrefix(text, ".")
	for _, p := range f.names {
		if strings.EqualFold(bare, p.Old) {
			return text[:len(text)-len(bare)] + p.New, true
		}
	}
	return "", false
}

// at says how many bytes at a place are to be replaced, and with what; 0 if none.
func (f *finder) at(text string, i int) (n int, with string) {
	if n, with := f.directory(text, i, f.below, beginsBelow); n > 0 {
		return n, with
	}
	if c := text[i]; c != '/' && c != '\\' && c != '%' {
		return 0, ""
	}
	if n, with := f.directory(text, i, f.paths, begins); n > 0 {
		return n, with
	}
	for _, mark := range hostMarks {
		if strings.HasPrefix(text[i:], mark) {
			if n, with := f.host(text[i+len(mark):]); n > 0 {
				return len(mark) + n, mark + with
			}
		}
	}
	return 0, ""
}

// directory says which of the directories, or something below it, stands at a place.
func (f *finder) directory(text string, i int, list []Pair, begins func(before string) bool) (n int, with string) {
	is := func(path string) bool {
		return strings.HasPrefix(text[i:], path) && begins(text[:i]) && ends(text[i+len(path):])
	}
	for _, p := range list {
		switch {
		case f.again && strings.HasPrefix(p.New, p.Old) && is(p.New):
			return 0, ""
		case is(p.Old):
			return len(p.Old), p.New
		}
	}
	return 0, ""
}

// host says how long the name is that a text begins with. Case does not matter
// in names.
func (f *finder) host(text string) (n int, with string) {
	for _, p := range f.names {
		if len(text) >= len(p.Old) && strings.EqualFold(text[:len(p.Old)], p.Old) && ends(text[len(p.Old):]) {
			return len(p.Old), p.New
		}
	}
	return 0, ""
}

// begins reports whether a path can begin behind a text: not within a longer one, but behind a scheme.
func begins(before string) bool {
	if before == "" || strings.HasSuffix(before, "://") || strings.HasSuffix(before, `:\/\/`) {
		return true
	}
	last := before[len(before)-1]
	return !ofName(last) && last != '.' && last != '/' && last != '\\'
}

// beginsBelow reports whether a relative path can begin behind a text: also within a longer one, at the begin of a name.
func beginsBelow(before string) bool {
	return before == "" || !ofName(before[len(before)-1]) && before[len(before)-1] != '.'
}

// ends reports whether a name ends before a text. A dot ends it where it is that of a sentence.
func ends(after string) bool {
	switch {
	case after == "":
		return true
	case after[0] == '.':
		return len(after) == 1 || !ofName(after[1])
	}
	return !ofName(after[0])
}

// ofName reports whether a byte may be part of a host's or a file's name. Those
// of other letters are.
func ofName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c >= 0x80
}
