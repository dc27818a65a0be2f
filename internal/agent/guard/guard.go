// Package guard is the allow-list of an agent: it alone decides which
// directories and databases a master may name, and opens them so that no
// symbolic link leads outside. It refuses to know what is done with them, and
// which databases a server keeps for itself is told to it.
package guard

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// StagingPrefix begins the names of the directories in which restores stage. No site may lie in one.
const StagingPrefix = ".sitekeep-"

const (
	hintRoots     = "add a directory above it to allow.roots in agent.yaml on that server and restart sitekeep-agent, or use another directory"
	hintDatabases = "add it to allow.databases in agent.yaml on that server and restart sitekeep-agent, or use another database"
)

var taskToken = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// List is an allow-list. It does not change.
type List struct {
	roots     []string
	databases []string
	system    func(database string) bool
}

// New makes an allow-list of clean absolute directories and of patterns of
// databases, as path.Match reads them. Databases of which system says true
// are refused whatever the patterns say.
func New(roots, databases []string, system func(database string) bool) *List {
	return &List{roots: roots, databases: databases, system: system}
}

// Roots returns the allowed directories. The caller does not change them.
func (l *List) Roots() []string { return l.roots }

// Databases returns the patterns. The caller does not change them.
func (l *List) Databases() []string { return l.databases }

// CheckTask refuses task tokens that could not be part of a file's name.
func CheckTask(task string) error {
	if !taskToken.MatchString(task) {
		return errs.New(errs.Usage, "use 1 to 64 letters, digits, hyphens and underscores", "task %q cannot be used", task)
	}
	return nil
}

// Database refuses a database that matches no pattern, and system databases.
func (l *List) Database(name string) error {
	if name == "" || len(name) > 64 || strings.ContainsRune(name, 0) {
		return errs.New(errs.Usage, "give a name of 1 to 64 characters", "database %q cannot be used", name)
	}
	if l.system(name) {
		return errs.New(errs.Permission, "use another database", "database %s belongs to the database server itself", name)
	}
	for _, pattern := range l.databases {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			return nil
		}
	}
	return errs.New(errs.Permission, hintDatabases, "database %s is not allowed on this server", name)
}

// Site returns a site whose directories are allowed; an empty docroot is the
// root. Nothing on disk is made or changed.
func (l *List) Site(ref model.SiteRef) (*Site, error) {
	if err := model.CheckSiteName(ref.Name); err != nil {
		return nil, err
	}
	if ref.Docroot == "" {
		ref.Docroot = ref.Root
	}
	root, err := l.locate("root", ref.Root)
	if err != nil {
		return nil, err
	}
	docroot, err := l.locate("docroot", ref.Docroot)
	if err != nil {
		return nil, err
	}
	if err := docroot.check(); err != nil {
		return nil, err
	}
	return &Site{SiteRef: ref, root: root, docroot: docroot}, nil
}

// locate finds the allowed directory that a path is below; the deepest one, because it confines most.
func (l *List) locate(what, p string) (location, error) {
	if !path.IsAbs(p) || path.Clean(p) != p || strings.ContainsRune(p, 0) {
		return location{}, errs.New(errs.Permission, "give an absolute path without . and .., such as /var/www/example.com",
			"%s %q is not a clean absolute path", what, p)
	}
	if strings.Contains(p, "/"+StagingPrefix) {
		return location{}, errs.New(errs.Permission, "use another directory", "%s %s lies in a staging directory", what, p)
	}
	found := location{what: what, path: p}
	for _, root := range l.roots {
		if below(root, p) && len(root) > len(found.allowed) {
			found.allowed = root
		}
	}
	if found.allowed == "" {
		return location{}, errs.New(errs.Permission, hintRoots, "%s %s is not below a directory that is allowed on this server", what, p)
	}
	found.rel, _ = filepath.Rel(found.allowed, p)
	return found, nil
}

// below reports whether p lies in dir and is not dir itself. Both are clean.
func below(dir, p string) bool {
	return len(p) > len(dir)+1 && strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}
