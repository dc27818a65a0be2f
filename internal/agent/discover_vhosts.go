package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/sitekeep/sitekeep/pkg/webserver"
)

// findServed tells of the sites of virtual hosts. Several virtual hosts of one directory, such as those for http and
// https, are one site or, where the kind has many in one directory, share it.
func (f *siteFinder) findServed(ctx context.Context) error {
	if f.web == nil {
		return f.warn("agent.yaml of server %s has no section webserver: sites are found by their directories alone", f.opts.Name)
	}
	vhosts, warnings := f.web.Vhosts()
	f.vhosts = vhosts
	for _, w := range warnings {
		if err := f.warn("%s", w); err != nil {
			return err
		}
	}
	groups, err := f.byDocroot(vhosts)
	if err != nil {
		return err
	}
	for _, d := range groups {
		if err := f.search(ctx, *d); err != nil {
			return err
		}
	}
	return nil
}

// byDocroot puts virtual hosts of one directory together, in the order of the configuration.
func (f *siteFinder) byDocroot(vhosts []webserver.FoundVhost) (groups []*served, err error) {
	by := map[string]*served{}
	for _, v := range vhosts {
		if len(hostNames(v.Names)) == 0 || v.Docroot == "" {
			continue
		}
		real, err := filepath.EvalSymlinks(v.Docroot)
		if err != nil {
			if err := f.warn("%s:%d: the directory of %s is not there: %v", v.File, v.Line, v.Names[0], cause(err)); err != nil {
				return nil, err
			}
			continue
		}
		d := by[real]
		if d == nil {
			d = &served{docroot: real}
			by[real], groups = d, append(groups, d)
			f.docroots[real] = true
		}
		d.add(v)
	}
	return groups, nil
}

func (d *served) add(v webserver.FoundVhost) {
	d.vhosts = append(d.vhosts, v)
	for _, name := range v.Names {
		if !slices.Contains(d.names, name) {
			d.names = append(d.names, name)
		}
	}
	if v.Docroot == d.docroot {
		return
	}
	if d.above == "" {
		d.above, d.linked = releases(filepath.Clean(v.Docroot))
	}
	if moved := "its docroot " + v.Docroot + " is reached over a symbolic link to " + d.docroot +
		"; if deployments move that link, add it with the directory that holds the link as root"; d.above == "" && !slices.Contains(d.warnings, moved) {
		d.warnings = append(d.warnings, moved)
	}
}

// releases finds the directory that holds a whole application as Capistrano and Deployer lay it out: a link in it, mostly
// called current, leads to one of the directories in its releases/. Then all of it is the site: what releases share
// (shared/.env) belongs to it, and a deployment that moves the link does not make another site. Empty if there is none.
func releases(docroot string) (above, linked string) {
	for dir := docroot; path.Dir(dir) != dir; dir = path.Dir(dir) {
		target, err := os.Readlink(dir)
		if err != nil {
			continue
		}
		above = path.Dir(dir)
		if !path.IsAbs(target) {
			target = path.Join(above, target)
		}
		if path.Dir(path.Clean(target)) == path.Join(above, "releases") {
			return above, docroot
		}
	}
	return "", ""
}

// cause is an error of a file without the path.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e
	}
	return err
}
