package webconf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Apache reads the configuration whose main file is given by its absolute
// path. Modules are taken for loaded. Variables are those that it defines and,
// as on Debian, those of the file envvars beside it.
func Apache(main string) Result {
	r := &apacheReader{files: &files{}, base: filepath.Dir(main), defined: map[string]string{}}
	r.envvars(filepath.Join(r.base, "envvars"))
	r.main.File = main
	r.file(main, 0)
	return r.finish()
}

type apacheReader struct {
	*files
	// base is ServerRoot, what paths are relative to.
	base    string
	defined map[string]string
	// main is what stands outside of every virtual host.
	main     apacheHost
	vhosts   []*apacheHost
	current  *apacheHost
	sections []section
}

// apacheHost is a virtual host that is being read.
type apacheHost struct {
	Vhost
	aliases []named
	root    string
	line    int // of root
	// leaves says that every request is redirected.
	leaves bool
}

type named struct {
	name string
	line int
}

// section is an open <X>.
type section struct {
	name string
	// skipped says that what is in it does not count.
	skipped bool
}

// envvars reads lines "export NAME=VALUE" of Debian's file; what a shell would
// have to work out stays unknown.
func (r *apacheReader) envvars(name string) {
	data, err := readBounded(name)
	if err != nil {
		return // Only Debian has one.
	}
	for line := range strings.Lines(string(data)) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "export ")
		key, value, assigned := strings.Cut(text, "=")
		value = strings.Trim(strings.ReplaceAll(value, "$SUFFIX", ""), `"'`)
		if ok && assigned && !strings.ContainsAny(value, "$`") {
			r.defined[key] = value
		}
	}
}

// file reads a file and those that it includes. Sections end with their file.
func (r *apacheReader) file(name string, depth int) {
	data, ok := r.read(name)
	if !ok {
		return
	}
	open := len(r.sections)
	for line, text := range logicalLines(string(data)) {
		r.line(name, line, text, depth)
	}
	for len(r.sections) > open {
		r.warnf(name, 0, "<%s> is not closed", r.sections[len(r.sections)-1].name)
		r.closeSection(r.sections[len(r.sections)-1].name)
	}
}

// logicalLines yields lines with their numbers, those that end in a backslash
// joined with the next, without comments and blanks around them.
func logicalLines(data string) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		number, first, joined := 0, 0, ""
		for line := range strings.Lines(data) {
			number++
			if joined == "" {
				first = number
			}
			line = strings.TrimRight(line, "\r\n")
			if cut, ok := strings.CutSuffix(line, `\`); ok && !strings.HasSuffix(cut, `\`) {
				joined += cut
				continue
			}
			text := strings.TrimSpace(joined + line)
			joined = ""
			if text != "" && text[0] != '#' && !yield(first, text) {
				return
			}
		}
		if text := strings.TrimSpace(joined); text != "" && text[0] != '#' {
			yield(first, text)
		}
	}
}

var apacheVariable = regexp.MustCompile(`\$\{([^}]+)\}`)

// expand puts in variables; Apache does it before it looks at the line.
func (r *apacheReader) expand(text string) string {
	return apacheVariable.ReplaceAllStringFunc(text, func(v string) string {
		if value, ok := r.defined[v[2:len(v)-1]]; ok {
			return value
		}
		return v
	})
}

func (r *apacheReader) skipped() bool {
	return len(r.sections) > 0 && r.sections[len(r.sections)-1].skipped
}

func (r *apacheReader) line(file string, line int, text string, depth int) {
	if name, ok := strings.CutPrefix(text, "</"); ok {
		r.closeSection(strings.ToLower(strings.TrimSuffix(name, ">")))
		return
	}
	words := apacheWords(r.expand(text))
	if len(words) == 0 {
		return
	}
	name := strings.ToLower(words[0])
	if section, ok := strings.CutPrefix(name, "<"); ok {
		r.openSection(file, line, strings.TrimSuffix(section, ">"), words[1:])
		return
	}
	if !r.skipped() {
		r.directive(file, line, name, words[1:], depth)
	}
}

// apacheWords takes a line apart as ap_getword_conf does (server/util.c).
func apacheWords(text string) (words []string) {
	for {
		text = strings.TrimLeft(text, " \t")
		if text == "" {
			return words
		}
		var word string
		if quote := text[0]; quote == '"' || quote == '\'' {
			word, text = apacheQuoted(text[1:], quote)
		} else if i := strings.IndexAny(text, " \t"); i >= 0 {
			word, text = text[:i], text[i:]
		} else {
			word, text = text, ""
		}
		words = append(words, word)
	}
}

func apacheQuoted(text string, quote byte) (word, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text) && (text[i+1] == quote || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		case c == quote:
			return b.String(), text[i+1:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

func (r *apacheReader) openSection(file string, line int, name string, args []string) {
	s := section{name: name, skipped: r.skipped() || !r.holds(name, strings.TrimSuffix(strings.Join(args, " "), ">"))}
	switch {
	case s.skipped:
	case name == "virtualhost":
		r.current = &apacheHost{Vhost: Vhost{File: file, Line: line}}
	case name == "macro":
		s.skipped = true
		r.warnf(file, line, "a macro is not followed; sites that it writes are found by their directories alone")
	}
	if len(r.sections) < 10*maxDepth {
		r.sections = append(r.sections, s)
	}
}

// holds says whether the condition of a section is true.
func (r *apacheReader) holds(name, condition string) bool {
	condition, not := strings.CutPrefix(strings.Trim(condition, `" `), "!")
	holds := true
	switch name {
	case "ifdefine":
		_, holds = r.defined[condition]
	case "iffile":
		_, err := os.Stat(condition)
		holds = err == nil
	case "else", "elseif":
		return false
	case "ifmodule":
	default:
		return true
	}
	return holds != not
}

func (r *apacheReader) closeSection(name string) {
	n := len(r.sections)
	if n == 0 {
		return
	}
	s := r.sections[n-1]
	r.sections = r.sections[:n-1]
	if s.name == "virtualhost" && !s.skipped && r.current != nil {
		r.vhosts = append(r.vhosts, r.current)
		r.current = nil
	}
	if s.name != name {
		r.closeSection(name)
	}
}

func (r *apacheReader) directive(file string, line int, name string, args []string, depth int) {
	arg := ""
	if len(args) > 0 {
		arg = args[0]
	}
	switch name {
	case "define":
		r.defined[arg] = strings.Join(args[min(1, len(args)):], " ")
	case "undefine":
		delete(r.defined, arg)
	case "serverroot":
		r.base = arg
	case "include", "includeoptional":
		r.include(file, line, arg, depth, name == "includeoptional")
	case "use":
		r.warnf(file, line, "a macro is not followed; sites that it writes are found by their directories alone")
	case "virtualdocumentroot":
		r.warnf(file, line, "many hosts are served by a pattern of directories, of which nothing is known")
	default:
		r.host(file).take(line, name, args)
	}
}

func (r *apacheReader) host(file string) *apacheHost {
	if r.current != nil {
		return r.current
	}
	if r.main.root == "" {
		r.main.File = file
	}
	return &r.main
}

// take reads what a virtual host, or the main server, says of itself.
func (h *apacheHost) take(line int, name string, args []string) {
	switch {
	case len(args) == 0:
	case name == "servername":
		h.aliases = append([]named{{hostOf(args[0]), line}}, h.aliases...)
	case name == "serveralias":
		for _, a := range args {
			h.aliases = append(h.aliases, named{a, line})
		}
	case name == "documentroot":
		h.root, h.line = args[0], line
	case name == "setenv":
		h.setEnv(args[0], strings.Join(args[1:min(2, len(args))], ""))
	case name == "redirect" || name == "redirectpermanent" || name == "redirecttemp":
		h.leaves = h.leaves || len(args) > 1 && args[len(args)-2] == "/"
	}
}

// hostOf takes the name out of [SCHEME://]NAME[:PORT].
func hostOf(text string) string {
	if _, after, ok := strings.Cut(text, "://"); ok {
		text = after
	}
	name, _, _ := strings.Cut(text, ":")
	return name
}

// include reads the files of a pattern; of a directory all files in it.
func (r *apacheReader) include(file string, line int, pattern string, depth int, optional bool) {
	switch {
	case pattern == "" || strings.Contains(pattern, "${"):
		r.warnf(file, line, "an include holds a variable that is not known here")
		return
	case depth == maxDepth:
		r.warnf(file, line, "files include each other too deeply")
		return
	case !filepath.IsAbs(pattern):
		pattern = filepath.Join(r.base, pattern)
	}
	for _, name := range r.glob(file, line, pattern) {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && optional:
		case err == nil && info.IsDir():
			r.directory(name, depth+1)
		default:
			r.file(name, depth+1)
		}
	}
}

func (r *apacheReader) directory(dir string, depth int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		r.warnf(dir, 0, "the directory cannot be listed: %v", plain(err))
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir() && depth < maxDepth:
			r.directory(name, depth+1)
		case !e.IsDir():
			r.file(name, depth+1)
		}
	}
}

// finish makes virtual hosts of what was read. Those without a directory serve
// that of the main server, which is one itself only if there are no others.
func (r *apacheReader) finish() Result {
	hosts := r.vhosts
	if len(hosts) == 0 {
		hosts = []*apacheHost{&r.main}
	}
	var out []Vhost
	for _, h := range hosts {
		for _, n := range h.aliases {
			r.addName(&h.Vhost, n.name, n.line)
		}
		root, line := h.root, h.line
		if root == "" {
			root, line = r.main.root, h.Line
		}
		if root != "" && !h.leaves {
			r.setDocroot(&h.Vhost, root, r.base, line)
		}
		out = append(out, h.Vhost)
	}
	return r.result(out)
}
