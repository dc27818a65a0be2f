package drupal

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sitekeep/sitekeep/pkg/sitekind"
	"github.com/sitekeep/sitekeep/pkg/sitekind/phplit"
)

// sitePath is a path in a site of some code base: sites/NAME/REST.
var sitePath = regexp.MustCompile(`(?:^|/)sites/([^/]+)/(.+)$`)

// follow finds the file that settings include. A file outside of the site that
// is included only if it is there belongs to the host, such as Aegir's
// global.inc: it is taken for one that does not set a site's database.
func (d *database) follow(i phplit.Include) (string, error) {
	name, outside, ok := d.resolve(i)
	switch {
	case !ok:
		return "", unknown(i, "a file whose path is computed is included, and may set the database")
	case outside && i.Guarded:
		return "", nil
	case outside:
		return "", unknown(i, "a file outside of the site is included, and may set the database")
	}
	found, err := d.place.Exists(name)
	if err != nil || !found {
		return "", err
	}
	return name, nil
}

func unknown(i phplit.Include, what string) error {
	return &sitekind.SettingsError{Problem: sitekind.Ambiguous, File: i.File, Line: i.Line,
		What: what + "; set the database behind it, or include a file of the site's own directory by a plain path"}
}

// resolve returns a path relative to Root. Ok is false when it cannot be
// followed.
func (d *database) resolve(i phplit.Include) (name string, outside, ok bool) {
	if len(i.Path) == 0 {
		return "", false, false
	}
	base, text := "", ""
	for n, part := range i.Path {
		switch part.Symbol {
		case "":
			text += part.Text
		case "__DIR__", "dirname(__FILE__)":
			base, text, ok = path.Dir(i.File), "", n == 0
		case "$site_path", "conf_path()", "$conf_path":
			base, text, ok = d.layout.dir, "", true
		case "DRUPAL_ROOT", "$app_root":
			base, text, ok = d.layout.core, "", n == 0
		default:
			return "", false, false
		}
		if part.Symbol != "" && !ok {
			return "", false, false
		}
	}
	return d.locate(i, base, text)
}

// locate puts a path below the directory of its symbol, if it has one.
func (d *database) locate(i phplit.Include, base, text string) (name string, outside, ok bool) {
	if m := sitePath.FindStringSubmatch(text); m != nil && d.own(m[1], base) {
		base, text = d.layout.dir, "/"+m[2]
	}
	switch {
	case base != "":
		name = path.Join(base, text)
	case path.IsAbs(text):
		return "", true, true
	case d.layout.core != "":
		name = path.Join(d.layout.core, text)
		if found, err := d.place.Exists(name); err != nil || !found {
			name = path.Join(path.Dir(i.File), text)
		}
	default:
		name = path.Join(path.Dir(i.File), text)
	}
	return name, !filepath.IsLocal(name), true
}

// own says whether sites/NAME is the site's own directory. Where the code base
// is out of sight every name is, but that of what all sites share.
func (d *database) own(name, base string) bool {
	if base == d.layout.dir || name == "all" || strings.Contains(name, "..") {
		return false
	}
	return d.layout.core == "" || name == path.Base(d.layout.dir)
}
