package intake

import (
	"context"
	"path"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// root is the name of a tarball's own directory.
const root = "./"

// shape is how a tarball is laid out.
type shape struct {
	top   string // the directory that is the site's: "./" or "./a/b"
	chain []string
	// frozen says that chain gets no longer: something else was seen beside its last directory, or in it.
	frozen bool
	rooted bool // there is an entry for the tarball's own directory, so that it is the site's
	count  int
	links  links
	pages  map[string]bool // directories with an index.php
}

// ordinary are directories of sites: one of them alone in a tarball is not the site.
var ordinary = map[string]bool{
	"files": true, "private": true, "modules": true, "themes": true, "libraries": true, "vendor": true,
	"wp-content": true, "wp-admin": true, "wp-includes": true,
}

// survey looks through the entries for what the site's directory is, and chooses the dump.
func (j *job) survey(ctx context.Context) error {
	t := &j.tree
	t.links, t.pages = links{}, map[string]bool{}
	for r, err := range j.entries.last(func(record) {}) {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = t.visit(&r)
		}
		if err != nil {
			return err
		}
	}
	if t.count == 0 && len(j.maybe) == 0 {
		return errs.New(errs.Precondition, "check what the file is", "there is nothing in the tarball")
	}
	t.top = root
	if n := len(t.chain); n > 0 && !t.rooted && j.manifest == nil {
		t.top = t.chain[n-1]
	}
	if err := j.chooseDump(); err != nil {
		return err
	}
	return t.links.resolve(j.entries)
}

// visit takes the next entry, in the order of names.
func (t *shape) visit(r *record) error {
	t.count++
	name := r.entry.Path
	if name == root {
		t.rooted = true
		return nil
	}
	if path.Base(name) == "index.php" && strings.Count(name, "/") <= maxStrip+2 {
		t.pages[parentOf(name)] = true
	}
	t.follow(name, r.entry.Type == archive.TypeDirectory)
	return t.links.note(r)
}

// follow keeps the chain of directories that hold everything, each with nothing beside it.
func (t *shape) follow(name string, directory bool) {
	for len(t.chain) > 0 && !strings.HasPrefix(name, t.chain[len(t.chain)-1]+"/") {
		t.chain, t.frozen = t.chain[:len(t.chain)-1], true
	}
	above := root
	if n := len(t.chain); n > 0 {
		above = t.chain[n-1]
	}
	if t.frozen || len(t.chain) == maxStrip {
		return
	}
	next, deeper := firstBelow(above, name)
	if !deeper && !directory || ordinary[path.Base(next)] {
		t.frozen = true
		return
	}
	t.chain = append(t.chain, next)
	if deeper { // no entry describes the directory
		t.follow(name, directory)
	}
}

// firstBelow returns the first name below a directory on the way to a name, and whether that goes on.
func firstBelow(dir, name string) (next string, deeper bool) {
	prefix := strings.TrimSuffix(dir, "/") + "/"
	first, _, deeper := strings.Cut(strings.TrimPrefix(name, prefix), "/")
	return prefix + first, deeper
}

// parentOf gives "./a" of "./a/b", and "./" of "./a".
func parentOf(name string) string {
	i := strings.LastIndexByte(name, '/')
	if i <= 1 {
		return root
	}
	return name[:i]
}

// inSite returns the name below the site's directory; false if it is above or beside it.
func (t *shape) inSite(name string) (string, bool) {
	switch {
	case t.top == root:
		return name, true
	case name == t.top:
		return root, true
	}
	rest, ok := strings.CutPrefix(name, t.top+"/")
	return root + rest, ok
}

// isAbove reports whether a directory is the site's, or above it.
func (t *shape) isAbove(dir string) bool {
	return dir == root || dir == t.top || strings.HasPrefix(t.top, dir+"/")
}

// usualDocroots are where the kinds of site keep what is served.
var usualDocroots = []string{"web", "docroot", "public", "html", "public_html", "htdocs"}

// docroot returns the directory that is served, relative to the site's; "" for that itself.
func (t *shape) docroot() string {
	if t.pages[t.top] {
		return ""
	}
	for _, name := range usualDocroots {
		if t.pages[strings.TrimSuffix(t.top, "/")+"/"+name] {
			return name
		}
	}
	return ""
}

// chooseDump finds the dump among the files that may be it, beside the site's files or above them, and gives the others
// back to the site.
func (j *job) chooseDump() error {
	chosen, err := j.pickDump()
	if err != nil {
		return err
	}
	for i, r := range j.maybe {
		switch {
		case i == chosen:
			r := r
			j.dump = &dumpSource{name: path.Base(r.entry.Path), data: j.contentOf(&r)}
		case j.isStale(&r):
			j.warn.add("%q is left out: the dump is %q", r.entry.Path, j.dump.name)
		default:
			if _, ok := j.tree.inSite(r.entry.Path); !ok {
				j.warn.add("%q is left out: it lies beside the site's directory %q", r.entry.Path, j.tree.top)
				continue
			}
			if err := j.entries.add(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// isStale reports whether a file is a dump by its name, while another one counts.
func (j *job) isStale(r *record) bool {
	return j.dump != nil && j.manifest == nil && rank(r) < others && j.tree.isAbove(parentOf(r.entry.Path))
}

// The ranks of files that may be the dump, the best first: as ours and Aegir's are called, the same packed, any other.
const (
	exact = iota
	named
	others
)

func rank(r *record) int {
	switch base := path.Base(r.entry.Path); base {
	case "database.sql":
		return exact
	case "database" + dumpSuffix(base):
		return named
	}
	return others
}

const none = -1

// pickDump returns the number of the file that is the dump: database.sql in whatever packing, or the only one.
func (j *job) pickDump() (int, error) {
	if j.dump != nil || j.manifest != nil && j.manifest.GetDump() == nil {
		return none, nil
	}
	var found [others + 1][]int
	for i := range j.maybe {
		if r := &j.maybe[i]; j.tree.isAbove(parentOf(r.entry.Path)) {
			found[rank(r)] = append(found[rank(r)], i)
		}
	}
	for _, same := range found {
		switch len(same) {
		case 0:
			continue
		case 1:
			return same[0], nil
		}
		return none, errs.New(errs.Precondition, "say which one with: --dump FILE", "more than one file in it may be the dump: %q and %q",
			j.maybe[same[0]].entry.Path, j.maybe[same[1]].entry.Path)
	}
	return none, nil
}
