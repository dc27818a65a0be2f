package drupal

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/internal/phpfile"
)

const (
	settingsFile = "settings.php"
	localFile    = "local.settings.php" // Aegir's
	drushFile    = "drushrc.php"        // Aegir's
)

// Where Drupal says its version: 8 and later, 7, and 6, which is only told
// from the others to be refused by name.
const (
	coreOf8 = "core/lib/Drupal.php"
	coreOf7 = "includes/bootstrap.inc"
	coreOf6 = "modules/system/system.module"
)

// layout is where the parts of a site lie. Paths are relative to Root.
type layout struct {
	// core is the code base's directory; empty if it is outside.
	core string
	// dir is the directory of the site: sites/NAME.
	dir string
	// exists says whether settings.php is there.
	exists bool
	// aegir says whether drushrc.php is there.
	aegir bool
	// others are more sites of the code base, when none is the one that is meant.
	others []string
}

func (l layout) settings() string { return path.Join(l.dir, settingsFile) }

func (l layout) found() bool { return l.core != "" || l.exists || l.aegir }

// look finds the parts of a site.
func look(p sitekind.Place) (layout, error) {
	core, err := findCore(p)
	if err != nil {
		return layout{}, err
	}
	l := layout{core: core, dir: p.InSite(".")}
	if core != "" && !below(l.dir, path.Join(core, "sites")) {
		if err := l.choose(p); err != nil {
			return layout{}, err
		}
	}
	l.exists, err = p.Exists(l.settings())
	if err != nil {
		return layout{}, err
	}
	if l.aegir, err = p.Exists(path.Join(l.dir, drushFile)); err != nil {
		return layout{}, err
	}
	if core == "" && l.exists && !l.aegir {
		l.exists, err = looksLikeDrupal(p, l.settings())
	}
	return l, err
}

func below(name, dir string) bool { return strings.HasPrefix(name+"/", dir+"/") || dir == "." }

// findCore returns the code base's directory: the docroot, or a usual one in
// the site's directory.
func findCore(p sitekind.Place) (string, error) {
	for _, dir := range []string{p.InDocroot("."), p.InSite("web"), p.InSite("docroot"), p.InSite("html")} {
		for _, file := range []string{coreOf8, coreOf7, coreOf6} {
			found, err := p.Exists(path.Join(dir, file))
			if err != nil || found {
				return dir, err
			}
		}
	}
	return "", nil
}

// choose finds the one site of a whole code base.
func (l *layout) choose(p sitekind.Place) error {
	sites := path.Join(l.core, "sites")
	l.dir = path.Join(sites, "default")
	names, err := readNames(p, sites)
	if err != nil {
		return err
	}
	var found []string
	for _, name := range names {
		there, err := p.Exists(path.Join(sites, name, settingsFile))
		if err != nil {
			return err
		}
		if there {
			found = append(found, path.Join(sites, name))
		}
	}
	switch len(found) {
	case 0:
	case 1:
		l.dir = found[0]
	default:
		l.others = found
	}
	return nil
}

func readNames(p sitekind.Place, dir string) ([]string, error) {
	d, err := p.Root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	return names, err
}

// looksLikeDrupal tells Drupal's settings.php from that of another program.
func looksLikeDrupal(p sitekind.Place, name string) (bool, error) {
	data, err := sitekind.ReadFile(p, name)
	if _, refused := errors.AsType[*sitekind.SettingsError](err); refused {
		return false, nil
	}
	text := string(data)
	return strings.Contains(text, "$databases") || strings.Contains(text, "$db_url"), err
}

// usable says why settings cannot be looked for.
func (l layout) usable() error {
	problem := &sitekind.SettingsError{File: l.settings()}
	switch {
	case len(l.others) > 1:
		problem.Problem = sitekind.Ambiguous
		problem.What = "the code base has more than one site: " + strings.Join(l.others, ", ") +
			"; give one of them as the site's root, and the code base as its docroot"
	case !l.exists:
		problem.Problem, problem.What = sitekind.Missing, "there is no such file of Drupal's"
	default:
		return nil
	}
	return problem
}

// version returns Drupal's version, empty if it cannot be read.
func (l layout) version(p sitekind.Place) string {
	if l.core == "" {
		return ""
	}
	if f, err := phpfile.Open(p, path.Join(l.core, coreOf8)); err == nil {
		version, _ := f.ClassConstant("VERSION")
		return version
	}
	for _, file := range []string{coreOf7, coreOf6} {
		if f, err := phpfile.Open(p, path.Join(l.core, file)); err == nil {
			if version := f.Optional("VERSION"); version != "" {
				return version
			}
		}
	}
	return ""
}
