// Package webconf reads the configuration files of nginx and Apache for the
// virtual hosts in them: their names, the directory that each serves, and what
// environment it gives to PHP. Includes are followed from the main file, as the
// web server follows them. Nothing is run and nothing is changed.
//
// What cannot be read or understood is a warning with its place and never an
// error: one broken file does not hide a thousand sites. Warnings hold nothing
// of a file but names of directives and of hosts.
//
// It refuses to know what a site is, and which directories matter.
package webconf

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Vhost is one virtual host as the configuration has it.
type Vhost struct {
	// File and Line say where it begins.
	File string
	Line int
	// Names are host names in lower case, the main one first; those that stand
	// for many hosts (wildcards, patterns) and for none are left out.
	Names []string
	// Docroot is the absolute directory that it serves; empty if it serves
	// none, as one that redirects or is a proxy.
	Docroot string
	// Env are the variables that it gives to PHP. The last of a name counts.
	Env []EnvVar
}

// EnvVar is one variable. It prints without its value.
type EnvVar struct{ Name, Value string }

// String hides the value.
func (v EnvVar) String() string { return v.Name + "=(hidden)" }

// GoString hides the value too.
func (v EnvVar) GoString() string { return v.String() }

// Result is what a configuration says.
type Result struct {
	Vhosts []Vhost
	// Warnings are sentences that begin with FILE or FILE:LINE.
	Warnings []string
}

// Bounds of what is read, so that no configuration uses up the machine.
const (
	maxFiles   = 20_000
	maxFile    = 4 << 20   // bytes of one file
	maxAll     = 128 << 20 // bytes of all of them
	maxDepth   = 20        // of includes, and of blocks in blocks
	maxWarning = 200
)

// files reads files within the bounds and collects warnings.
type files struct {
	count    int
	bytes    int64
	full     bool
	warnings []string
}

func (f *files) warnf(file string, line int, format string, args ...any) {
	where := file
	if line > 0 {
		where = fmt.Sprintf("%s:%d", file, line)
	}
	text := where + ": " + fmt.Sprintf(format, args...)
	switch {
	case slices.Contains(f.warnings, text):
	case len(f.warnings) == maxWarning:
		f.warnings = append(f.warnings, "there are more warnings than these")
	case len(f.warnings) < maxWarning:
		f.warnings = append(f.warnings, text)
	}
}

// read returns a file's bytes; what cannot be read is a warning.
func (f *files) read(name string) (data []byte, ok bool) {
	if f.count++; f.count > maxFiles || f.bytes > maxAll {
		if !f.full {
			f.full = true
			f.warnf(name, 0, "the configuration is larger than %d files or %d MiB; this file and what comes after it is not looked at", maxFiles, maxAll>>20)
		}
		return nil, false
	}
	data, err := readBounded(name)
	if err != nil {
		f.warnf(name, 0, "it cannot be read: %v", plain(err))
		return nil, false
	}
	f.bytes += int64(len(data))
	return data, true
}

// plain is the cause of an error without the path, which stands before it.
func plain(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// readBounded reads a regular file, and never waits on a pipe.
func readBounded(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	}
	return data, err
}

// glob returns the files that a pattern of an include matches, in order. One
// without wildcards that is not there is returned, so that reading it says so.
func (f *files) glob(file string, line int, pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		f.warnf(file, line, "the pattern of an include cannot be understood")
	}
	dir := filepath.Dir(pattern)
	if len(names) == 0 && !strings.ContainsAny(dir, "*?[") {
		f.readable(file, line, dir)
	}
	return names
}

// readable warns of a directory that matches nothing because it may not be listed.
func (f *files) readable(file string, line int, dir string) {
	d, err := os.Open(dir)
	if err == nil {
		_, err = d.Readdirnames(1)
		_ = d.Close()
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, fs.ErrNotExist) {
		f.warnf(file, line, "the directory %s of an include cannot be listed: %v", dir, plain(err))
	}
}

// addName takes a name of a virtual host if it is that of one host.
func (f *files) addName(v *Vhost, name string, line int) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	switch {
	case name == "" || name == "_" || name == "localhost" || isAddress(name):
	case strings.HasPrefix(name, "~"):
		f.warnf(v.File, line, "a name is a regular expression, and its sites are found by their directories alone")
	case strings.HasPrefix(name, "."):
		f.warnf(v.File, line, "the name %s stands for all its subdomains too, of which nothing is known", printable(name))
		f.addName(v, name[1:], line)
	case strings.ContainsAny(name, "*?"):
		f.warnf(v.File, line, "the name %s stands for many hosts, of which nothing is known", printable(name))
	case strings.Contains(name, "$"):
		f.warnf(v.File, line, "a name holds a variable that is not known here")
	case !slices.Contains(v.Names, name):
		v.Names = append(v.Names, name)
	}
}

// isAddress says whether a name is an IP address, with brackets or without.
func isAddress(name string) bool {
	return strings.Contains(name, ":") || strings.Trim(name, "0123456789.") == ""
}

// printable keeps a name in a warning to letters that cannot move a cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s[:min(len(s), 100)])
}

// setEnv gives a variable its last value.
func (v *Vhost) setEnv(name, value string) {
	for i := range v.Env {
		if v.Env[i].Name == name {
			v.Env[i].Value = value
			return
		}
	}
	v.Env = append(v.Env, EnvVar{name, value})
}

// setDocroot takes a directory, or says why not.
func (f *files) setDocroot(v *Vhost, dir, base string, line int) {
	switch {
	case strings.Contains(dir, "$") || strings.Contains(dir, "%{"):
		f.warnf(v.File, line, "the directory that is served holds a variable that is not known here")
		return
	case !filepath.IsAbs(dir) && base == "":
		f.warnf(v.File, line, "the directory %s is relative to where the web server was started; write it as an absolute path", printable(dir))
		return
	case !filepath.IsAbs(dir):
		dir = filepath.Join(base, dir)
	}
	v.Docroot = filepath.Clean(dir)
}

func (f *files) result(vhosts []Vhost) Result {
	slices.SortStableFunc(vhosts, func(a, b Vhost) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return Result{Vhosts: vhosts, Warnings: f.warnings}
}
