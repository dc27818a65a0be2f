// Package phpserial replaces texts, such as host names and paths, in values as
// PHP programs keep them in databases: in plain text, in what PHP's
// serialize() writes, whose lengths it corrects, in serialised values that are
// strings of others, and in JSON, whose slashes may be escaped. What is not
// valid is not touched. The format is that of ext/standard/var.c.
//
// It refuses to know databases, and what the texts mean.
package phpserial

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxDepth bounds how deep values may nest; what nests deeper is not touched.
const maxDepth = 200

// Rewriter replaces texts. It may be used at the same time by many.
type Rewriter struct {
	finds    func(text string) bool
	replaces func(text string) string
	// sameLength says that no replacement changes a length.
	sameLength bool
}

// NewFunc returns a Rewriter for whoever finds texts by rules of its own.
// replaces is called with contents of strings for which finds is true;
// sameLength says that it never changes a length.
func NewFunc(finds func(text string) bool, replaces func(text string) string, sameLength bool) *Rewriter {
	return &Rewriter{finds: finds, replaces: replaces, sameLength: sameLength}
}

// New returns a Rewriter. Pairs are the old and the new text by turns; where
// two old ones fit at a place, the one that is given first counts. In JSON, new
// texts must need no escape but that of slashes. New panics on an odd number
// of arguments, as strings.NewReplacer does; an empty old text is ignored.
func New(pairs ...string) *Rewriter {
	if len(pairs)%2 != 0 {
		panic("phpserial: odd number of texts")
	}
	var texts, old []string
	sameLength := true
	for i := 0; i < len(pairs); i += 2 {
		from, to := pairs[i], pairs[i+1]
		if from == "" {
			continue
		}
		texts, old = append(texts, from, to), append(old, from)
		if e := slashes(from); e != from {
			texts, old = append(texts, e, slashes(to)), append(old, e)
		}
		sameLength = sameLength && len(from) == len(to) && len(slashes(from)) == len(slashes(to))
	}
	finds := func(text string) bool {
		return slices.ContainsFunc(old, func(o string) bool { return strings.Contains(text, o) })
	}
	return NewFunc(finds, strings.NewReplacer(texts...).Replace, sameLength)
}

// slashes escapes slashes as PHP's json_encode does.
func slashes(text string) string { return strings.ReplaceAll(text, "/", `\/`) }

// Rewrite returns a value with the texts replaced, and whether that changed it.
// A value that looks like a serialised one and is none, because it was cut or
// its lengths are wrong, is returned as it is, and so is a text that has pieces
// of one in it: replacing in them would break them.
func (r *Rewriter) Rewrite(value string) (string, bool) {
	if !r.finds(value) {
		return value, false
	}
	out := r.text(value, 0)
	return out, out != value
}

// text rewrites the contents of a string.
func (r *Rewriter) text(value string, depth int) string {
	if !r.finds(value) {
		return value
	}
	if looksSerialised(value) {
		p := &parser{rewriter: r, in: value, depth: depth}
		if p.value() && p.at == len(value) {
			return p.out.String()
		}
		return value
	}
	if pieces.MatchString(value) && !r.sameLength {
		return value
	}
	return r.replaces(value)
}

// pieces finds serialised strings within another text, such as a session, or
// with escaped quotes in JSON.
var pieces = regexp.MustCompile(`s:[0-9]+:\\*"`)

// looksSerialised says whether a text begins and ends as a serialised array,
// object or string: the values that hold texts.
func looksSerialised(v string) bool {
	if len(v) < 4 || v[1] != ':' || v[len(v)-1] != ';' && v[len(v)-1] != '}' {
		return false
	}
	return strings.IndexByte("asOCE", v[0]) >= 0 && v[2] >= '0' && v[2] <= '9'
}

// parser copies a serialised value and rewrites its strings. Its methods
// return false where the value is not valid.
type parser struct {
	rewriter *Rewriter
	in       string
	at       int
	depth    int
	out      bytes.Buffer
}

// value copies one value.
func (p *parser) value() bool {
	if p.depth++; p.depth > maxDepth {
		return false
	}
	defer func() { p.depth-- }()
	if p.at+1 >= len(p.in) {
		return false
	}
	switch p.in[p.at] {
	case 'N':
		return p.copy("N;")
	case 'b', 'i', 'd', 'r', 'R':
		return p.scalar()
	case 's':
		return p.str(true) && p.copy(";")
	case 'E':
		return p.name("E") && p.copy(";")
	case 'a':
		n, ok := p.count("a:")
		return ok && p.copy(":{") && p.values(2*n) && p.copy("}")
	case 'O':
		if !p.name("O") || !p.copy(":") {
			return false
		}
		n, ok := p.count("")
		return ok && p.copy(":{") && p.values(2*n) && p.copy("}")
	}
	return false // C: what a class has written itself, in a form of its own.
}

func (p *parser) values(n int) bool {
	for i := range n {
		if i%2 == 0 && (p.at >= len(p.in) || p.in[p.at] != 'i' && p.in[p.at] != 's') {
			return false // A key.
		}
		if i%2 == 0 && p.in[p.at] == 's' {
			if !p.str(false) || !p.copy(";") {
				return false
			}
		} else if !p.value() {
			return false
		}
	}
	return true
}

// copy takes a fixed text.
func (p *parser) copy(text string) bool {
	if !strings.HasPrefix(p.in[p.at:], text) {
		return false
	}
	p.at += len(text)
	p.out.WriteString(text)
	return true
}

// scalar copies T:NUMBER;
func (p *parser) scalar() bool {
	end := strings.IndexByte(p.in[p.at:], ';')
	if end < 3 || p.in[p.at+1] != ':' {
		return false
	}
	number := p.in[p.at+2 : p.at+end]
	if strings.Trim(number, "0123456789+-.eEINFA") != "" {
		return false
	}
	return p.copy(p.in[p.at : p.at+end+1])
}

// digits reads a length.
func (p *parser) digits() (int, bool) {
	end := p.at
	for end < len(p.in) && p.in[end] >= '0' && p.in[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(p.in[p.at:end])
	if err != nil || n > len(p.in) || end-p.at > 1 && p.in[p.at] == '0' {
		return 0, false
	}
	p.at = end
	return n, true
}

// count copies a prefix and a number of elements, which stays the same.
func (p *parser) count(prefix string) (int, bool) {
	if !p.copy(prefix) {
		return 0, false
	}
	n, ok := p.digits()
	p.out.WriteString(strconv.Itoa(n))
	return n, ok
}

// str copies s:LENGTH:"BYTES". Keys of arrays and names of properties are
// looked up by programs as they are, and a whole text there is no address:
// they are kept.
func (p *parser) str(rewrite bool) bool {
	body, ok := p.sized("s")
	if !ok {
		return false
	}
	if rewrite {
		body = p.rewriter.text(body, p.depth)
	}
	p.write("s", body)
	return true
}

// name copies O:LENGTH:"CLASS" or E:LENGTH:"CLASS:CASE".
func (p *parser) name(kind string) bool {
	body, ok := p.sized(kind)
	p.write(kind, body)
	return ok
}

func (p *parser) write(kind, body string) {
	p.out.WriteString(kind + ":" + strconv.Itoa(len(body)) + `:"` + body + `"`)
}

// sized reads KIND:LENGTH:"BYTES" and copies nothing.
func (p *parser) sized(kind string) (string, bool) {
	if !p.skip(kind + ":") {
		return "", false
	}
	n, ok := p.digits()
	if !ok || !p.skip(`:"`) || p.at+n > len(p.in) {
		return "", false
	}
	body := p.in[p.at : p.at+n]
	p.at += n
	return body, p.skip(`"`)
}

func (p *parser) skip(text string) bool {
	if !strings.HasPrefix(p.in[p.at:], text) {
		return false
	}
	p.at += len(text)
	return true
}
