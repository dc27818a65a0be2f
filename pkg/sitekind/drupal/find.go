package drupal

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/internal/phpfile"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
)

const (
	sitesFile  = "sites.php"
	defaultDir = "default"
)

// Find implements sitekind.Finder. A code base with one site is a site as a
// whole; of several sites, and of those that Aegir made, each is its directory
// sites/NAME. Which names lead to which is decided as Drupal does.
func (Kind) Find(ctx context.Context, p sitekind.Place, names []string) ([]sitekind.Found, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	docroot := p.InDocroot(".")
	core, err := findCore(p)
	if err != nil || core != docroot {
		return nil, err
	}
	m, err := openMultisite(p, docroot)
	if err != nil {
		return nil, err
	}
	if whole, err := m.whole(); err != nil || whole {
		return []sitekind.Found{{Root: m.project(), Names: names}}, err
	}
	return m.assign(names), nil
}

// multisite is a code base with its sites.
type multisite struct {
	place   sitekind.Place
	docroot string
	// dirs are the directories sites/NAME with settings, by NAME.
	dirs []string
	// links are symbolic links sites/NAME to one of them, as Aegir makes them
	// for aliases.
	links map[string]string
	// aliases is sites.php; nil if there is none that can be read.
	aliases *phpfile.Chain
}

func openMultisite(p sitekind.Place, docroot string) (*multisite, error) {
	m := &multisite{place: p, docroot: docroot, links: map[string]string{}}
	names, err := readNames(p, m.in("."))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := m.add(name); err != nil {
			return nil, err
		}
	}
	noIncludes := func(phplit.Include) (string, error) { return "", nil }
	if c, err := phpfile.OpenChain(p, m.in(sitesFile), noIncludes); err == nil {
		m.aliases = c
	}
	return m, nil
}

func (m *multisite) in(name string) string { return path.Join(m.docroot, "sites", name) }

func (m *multisite) add(name string) error {
	info, err := m.place.Root.Lstat(m.in(name))
	if err != nil {
		return err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		if target, err := m.place.Root.Readlink(m.in(name)); err == nil {
			m.links[name] = path.Base(target)
		}
		return nil
	}
	there, err := m.place.Exists(path.Join(m.in(name), settingsFile))
	if there {
		m.dirs = append(m.dirs, name)
	}
	return err
}

// whole says whether the code base is one site.
func (m *multisite) whole() (bool, error) {
	if len(m.dirs) != 1 {
		return len(m.dirs) == 0, nil
	}
	aegir, err := m.place.Exists(path.Join(m.in(m.dirs[0]), drushFile))
	return !aegir, err
}

// project is the directory of a code base: above the docroot if Composer laid
// it out so.
func (m *multisite) project() string {
	above := path.Dir(m.docroot)
	if m.docroot == "." || !slices.Contains([]string{"web", "docroot", "html"}, path.Base(m.docroot)) {
		return m.docroot
	}
	if found, err := m.place.Exists(path.Join(above, "composer.json")); err != nil || !found {
		return m.docroot
	}
	return above
}

// assign says which site each name leads to.
func (m *multisite) assign(names []string) []sitekind.Found {
	by := map[string][]string{}
	for _, name := range names {
		dir := m.dirOf(name)
		by[dir] = append(by[dir], name)
	}
	var out []sitekind.Found
	for _, dir := range m.dirs {
		found := sitekind.Found{Root: m.in(dir), Names: by[dir], Own: dir}
		if dir == defaultDir {
			found.Own = ""
		}
		// The name that its directory has is the main one.
		slices.SortStableFunc(found.Names, func(a, b string) int { return ownFirst(found.Own, a) - ownFirst(found.Own, b) })
		out = append(out, found)
	}
	return out
}

func ownFirst(own, name string) int {
	if name == own {
		return 0
	}
	return 1
}

// dirOf is DrupalKernel::findSitePath, without port and path: the longest end
// of the name that is a directory or stands in sites.php, else the default.
func (m *multisite) dirOf(name string) string {
	for rest, more := name, true; more; _, rest, more = strings.Cut(rest, ".") {
		dir := rest
		if m.aliases != nil {
			if v, err := m.aliases.Find("$sites", rest); err == nil && v.Value.Type == phplit.String {
				dir = v.Value.Text
			}
		}
		if target, ok := m.links[dir]; ok {
			dir = target
		}
		if slices.Contains(m.dirs, dir) {
			return dir
		}
	}
	return defaultDir
}
