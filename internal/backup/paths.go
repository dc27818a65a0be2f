package backup

import (
	"context"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// maxPaths bounds how many paths a selection may come to: each is one rename, and a line in the journal.
const maxPaths = 10000

// Selection is a part of a site's files.
type Selection struct {
	Paths   []string // "./a/b", in the order of the walk; none lies below another
	Entries uint64   // they and what is below them
	Bytes   uint64
}

// SelectPaths finds what names and globs (path.Match) mean in the site's files. A directory means all that is below it.
// One that matches nothing is errs.NotFound.
func (t *Tarball) SelectPaths(ctx context.Context, id string, patterns []string) (Selection, error) {
	s := selecting{patterns: make([]string, len(patterns)), literal: make([]bool, len(patterns)), hit: make([]bool, len(patterns))}
	for i, p := range patterns {
		s.patterns[i] = "./" + strings.TrimPrefix(path.Clean("/"+p), "/")
		if s.patterns[i] == "./" {
			return Selection{}, errs.New(errs.Usage, "restore all files with --files-only", "the path %q is the whole site", p)
		}
		if _, err := path.Match(s.patterns[i], ""); err != nil {
			return Selection{}, errs.New(errs.Usage, "write it as in a shell: *, ?, [a-z]", "the path %q: %w", p, err)
		}
	}
	for e, err := range t.siteEntries(ctx) {
		if err != nil {
			return Selection{}, err
		}
		if i := slices.Index(s.patterns, e.Name()); i >= 0 {
			s.literal[i] = true
		}
	}
	for e, err := range t.siteEntries(ctx) {
		if err == nil {
			err = s.take(&e)
		}
		if err != nil {
			return Selection{}, err
		}
	}
	if i := slices.Index(s.hit, false); i >= 0 {
		return Selection{}, errs.New(errs.NotFound, "see what is there with: sitekeep ls -R "+id, "nothing in backup %s matches %q", id, patterns[i])
	}
	return s.out, nil
}

// siteEntries yields the entries of the site, without the dump.
func (t *Tarball) siteEntries(ctx context.Context) iter.Seq2[archive.Entry, error] {
	dump := t.Manifest().GetDump() != nil
	return func(yield func(archive.Entry, error) bool) {
		for e, err := range t.Entries() {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil && dump && e.Path == archive.DumpPath {
				continue
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

type selecting struct {
	patterns []string
	literal  []bool // it is a name in the site, and so no glob
	hit      []bool
	out      Selection
}

// take looks at one entry. What lies below a directory follows it directly.
func (s *selecting) take(e *archive.Entry) error {
	name, chosen := e.Name(), false
	for i, p := range s.patterns {
		ok := name == p
		if !ok && !s.literal[i] {
			ok, _ = path.Match(p, name) // its syntax was checked
		}
		s.hit[i] = s.hit[i] || ok
		chosen = chosen || ok
	}
	below := len(s.out.Paths) > 0 && strings.HasPrefix(name, s.out.Paths[len(s.out.Paths)-1]+"/")
	if !chosen && !below {
		return nil
	}
	s.out.Entries++
	if e.Type == archive.TypeRegular {
		s.out.Bytes += uint64(e.Size)
	}
	if below {
		return nil
	}
	s.out.Paths = append(s.out.Paths, name)
	if len(s.out.Paths) > maxPaths {
		return errs.New(errs.Usage, "name the directories that hold them", "the paths match more than %d files", maxPaths)
	}
	return nil
}

// PathFrames yields what an agent needs to make paths, and tells which paths it must extract for that: besides those
// asked for, the files that hard links among them name.
func (t *Tarball) PathFrames(ctx context.Context, paths []string) ([]string, iter.Seq2[*archive.Frame, error], error) {
	match := Below(paths)
	wanted := func(e archive.Entry) bool { return match(e.Name()) }
	targets, err := t.LinkTargets(wanted)
	if err != nil {
		return nil, nil, err
	}
	all := slices.Concat(paths, targets)
	with := Below(all)
	return all, pointers(t.SelectFrames(ctx, func(e archive.Entry) bool { return with(e.Name()) })), nil
}

// Below reports whether a name is one of the paths, lies below one, or is a directory above one.
func Below(paths []string) func(name string) bool {
	chosen, above := map[string]bool{}, map[string]bool{"./": true}
	for _, p := range paths {
		chosen[p] = true
		for dir := parentOf(p); dir != ""; dir = parentOf(dir) {
			above[dir] = true
		}
	}
	return func(name string) bool {
		found := above[name]
		for ; name != "" && !found; name = parentOf(name) {
			found = chosen[name]
		}
		return found
	}
}

// parentOf gives "./a" of "./a/b", and nothing of "./a".
func parentOf(name string) string {
	i := strings.LastIndexByte(name, '/')
	if i <= 1 {
		return ""
	}
	return name[:i]
}

// Covers reports whether a name is one of the paths or lies below one.
func Covers(paths []string) func(name string) bool {
	chosen := map[string]bool{}
	for _, p := range paths {
		chosen[p] = true
	}
	return func(name string) bool {
		for ; name != ""; name = parentOf(name) {
			if chosen[name] {
				return true
			}
		}
		return false
	}
}
