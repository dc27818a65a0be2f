package webconf

import (
	"errors"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// directive is one of nginx, with what stands in its block.
type directive struct {
	name  string
	args  []string
	block []directive
	file  string
	line  int
}

func (d directive) arg(n int) string {
	if n >= len(d.args) {
		return ""
	}
	return d.args[n]
}

// Nginx reads the configuration whose main file is given by its absolute path.
func Nginx(main string) Result {
	r := &nginxReader{files: &files{}, base: filepath.Dir(main), vars: map[string]string{}}
	r.http(r.file(main, 0), "")
	return r.result(r.vhosts)
}

type nginxReader struct {
	*files
	// base is what includes are relative to: the main file's directory.
	base string
	// vars are those of geo blocks that only have a default.
	vars   map[string]string
	vhosts []Vhost
}

// file reads a file and those that it includes, in their places.
func (r *nginxReader) file(name string, depth int) []directive {
	data, ok := r.read(name)
	if !ok {
		return nil
	}
	p := &nginxParser{nginxReader: r, lex: nginxLexer{data: data, line: 1}, name: name, depth: depth}
	list, err := p.block(0)
	if err != nil {
		r.warnf(name, p.lex.line, "%v; what follows in this file is not looked at", err)
	}
	return list
}

type nginxParser struct {
	*nginxReader
	lex   nginxLexer
	name  string
	depth int
}

var errBrace = errors.New("a brace closes nothing")

// block reads directives up to the brace that closes it, or to the end of the
// file outside of any. With an error it returns what came before.
func (p *nginxParser) block(depth int) (list []directive, err error) {
	if depth > maxDepth {
		return nil, errors.New("blocks are nested too deeply")
	}
	for {
		d, end, err := p.directive(depth)
		switch {
		case err != nil:
			return append(list, d...), err
		case end && depth == 0 && p.lex.at < len(p.lex.data):
			return list, errBrace
		case end:
			return list, nil
		}
		list = append(list, d...)
	}
}

// directive reads one, or what an include brings. End says that the block ends.
func (p *nginxParser) directive(depth int) (list []directive, end bool, err error) {
	words, mark, err := p.words()
	if err != nil {
		return nil, false, err
	}
	if len(words) == 0 {
		switch {
		case mark == ';':
			return nil, false, nil
		case mark == '}' && depth == 0:
			return nil, false, errBrace
		case mark == 0 && depth > 0:
			return nil, false, errEnd
		case mark == '{':
			return nil, false, errors.New("a block has no name")
		}
		return nil, true, nil
	}
	d := directive{name: words[0].text, file: p.name, line: words[0].line}
	for _, w := range words[1:] {
		d.args = append(d.args, w.text)
	}
	switch {
	case mark == '}' || mark == 0:
		return nil, false, errEnd
	case mark == ';' && d.name == "include":
		return p.include(d), false, nil
	case mark == '{' && strings.HasSuffix(d.name, "_by_lua_block"):
		return nil, false, p.lex.skipBlock()
	case mark == '{':
		d.block, err = p.block(depth + 1)
	}
	return []directive{d}, false, err
}

// words reads up to the next mark; at the end of the file the mark is 0.
func (p *nginxParser) words() (words []token, mark byte, err error) {
	for {
		t, ok, err := p.lex.next()
		if err != nil || !ok || t.mark != 0 {
			return words, t.mark, err
		}
		words = append(words, t)
	}
}

func (p *nginxParser) include(d directive) (list []directive) {
	pattern := d.arg(0)
	if pattern == "" || strings.Contains(pattern, "$") {
		return nil
	}
	if p.depth == maxDepth {
		p.warnf(p.name, d.line, "files include each other too deeply")
		return nil
	}
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(p.base, pattern)
	}
	for _, name := range p.glob(p.name, d.line, pattern) {
		list = append(list, p.file(name, p.depth+1)...)
	}
	return list
}

// http looks for servers, in the http block and wherever it stands.
func (r *nginxReader) http(list []directive, root string) {
	for _, d := range list {
		switch {
		case d.name == "root":
			root = d.arg(0)
		case d.name == "geo" && len(d.block) == 1 && d.block[0].name == "default":
			r.vars[strings.TrimPrefix(d.arg(0), "$")] = d.block[0].arg(0)
		}
	}
	for _, d := range list {
		switch d.name {
		case "http":
			r.http(d.block, root)
		case "server":
			r.server(d, root)
		}
	}
}

// server reads one virtual host. Inherited is the root of the http block.
func (r *nginxReader) server(d directive, inherited string) {
	v := Vhost{File: d.file, Line: d.line}
	s := &nginxServer{nginxReader: r, vhost: &v, vars: map[string]string{}, root: inherited, rootLine: d.line}
	for _, in := range d.block {
		s.take(in)
	}
	if s.front != "" {
		s.root, s.rootLine = s.front, s.frontLine
	}
	for _, in := range d.block {
		s.environment(in, 0)
	}
	if s.root != "" && !s.leaves {
		dir, _ := s.expand(s.root)
		r.setDocroot(&v, dir, "", s.rootLine)
	}
	r.vhosts = append(r.vhosts, v)
}

// nginxServer is a server block that is being read.
type nginxServer struct {
	*nginxReader
	vhost    *Vhost
	vars     map[string]string
	root     string
	rootLine int
	// own says that the server itself has a root. Without, that of "location /"
	// is taken: front.
	own       bool
	front     string
	frontLine int
	// leaves says that every request is answered without a file.
	leaves bool
}

func (s *nginxServer) take(d directive) {
	switch d.name {
	case "server_name":
		for _, name := range d.args {
			s.addName(s.vhost, name, d.line)
		}
	case "root":
		s.root, s.rootLine, s.own = d.arg(0), d.line, true
		s.front = ""
	case "set":
		if value, known := s.expand(d.arg(1)); known {
			s.vars[strings.TrimPrefix(d.arg(0), "$")] = value
		}
	case "return":
		s.leaves = true
	case "location":
		if !s.own && slices.Equal(d.args, []string{"/"}) {
			s.takeFront(d)
		}
	}
}

func (s *nginxServer) takeFront(d directive) {
	for _, in := range d.block {
		if in.name == "root" {
			s.front, s.frontLine = in.arg(0), in.line
		}
	}
}

// environment collects fastcgi_param, which stands mostly in a location.
func (s *nginxServer) environment(d directive, depth int) {
	if d.name == "fastcgi_param" && len(d.args) >= 2 {
		if value, known := s.expand(d.args[1]); known {
			s.vhost.setEnv(d.args[0], value)
		}
		return
	}
	if depth < maxDepth && d.name == "location" {
		for _, in := range d.block {
			s.environment(in, depth+1)
		}
	}
}

var nginxVariable = regexp.MustCompile(`\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))`)

// expand puts in the variables that are the same for every request. Known is
// false when there are others, which stay as they are.
func (s *nginxServer) expand(text string) (expanded string, known bool) {
	known = true
	expanded = nginxVariable.ReplaceAllStringFunc(text, func(v string) string {
		value, ok := s.variable(strings.Trim(v, "${}"))
		if !ok {
			known = false
			return v
		}
		return value
	})
	return expanded, known
}

func (s *nginxServer) variable(name string) (value string, ok bool) {
	if value, ok = s.vars[name]; ok {
		return value, true
	}
	if value, ok = s.nginxReader.vars[name]; ok {
		return value, true
	}
	names := s.vhost.Names
	if len(names) > 0 && (name == "server_name" || len(names) == 1 && (name == "host" || name == "http_host")) {
		return names[0], true
	}
	return "", false
}
