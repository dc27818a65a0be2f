package guard

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
)

// Site is a site whose directories have passed the allow-list.
type Site struct {
	model.SiteRef
	root, docroot location
}

// location is a path and the allowed directory it lies below.
type location struct {
	what    string // "root" or "docroot"
	path    string
	allowed string
	rel     string // path relative to allowed, never "."
}

// Base returns the name of the site's directory in its parent.
func (s *Site) Base() string { return path.Base(s.Root) }

// OpenParent opens the directory in which the site's directory lies. If it is
// missing, the error is NotFound. The caller closes it.
func (s *Site) OpenParent() (*os.Root, error) { return s.root.open(path.Dir(s.root.rel)) }

// MakeParent is OpenParent, and makes what is missing between the allowed
// directory and the site's.
func (s *Site) MakeParent() (*os.Root, error) {
	allowed, err := s.root.openAllowed()
	if err != nil {
		return nil, err
	}
	defer allowed.Close()
	if err := allowed.MkdirAll(path.Dir(s.root.rel), 0o755); err != nil {
		return nil, s.root.refuse(err)
	}
	return s.OpenParent()
}

// OpenRoot opens the site's directory, which must be a directory and no link.
// If it is missing, the error is NotFound. The caller closes it.
func (s *Site) OpenRoot() (*os.Root, error) {
	parent, err := s.OpenParent()
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if _, err := s.LiveInode(parent); err != nil {
		return nil, err
	}
	root, err := parent.OpenRoot(s.Base())
	if err != nil {
		return nil, s.root.refuse(err)
	}
	return root, nil
}

// LiveInode returns the inode of the site's directory in its parent, 0 if there is nothing.
// Anything but a directory is an error.
func (s *Site) LiveInode(parent *os.Root) (uint64, error) {
	inode, err := DirInode(parent, s.Base())
	if errors.Is(err, errNotDirectory) {
		return 0, errs.New(errs.Precondition, "name the directory itself as the site's root, not a link to it",
			"root %s: %w", s.Root, err)
	}
	return inode, err
}

// OpenDocroot opens the directory that the web server serves. The caller closes it.
func (s *Site) OpenDocroot() (*os.Root, error) { return s.docroot.open(s.docroot.rel) }

// RootInDocroot returns the root relative to the docroot if it lies in it ("." if they are the same).
func (s *Site) RootInDocroot() (string, bool) { return within(s.Docroot, s.Root) }

// DocrootInRoot returns the docroot relative to the root if it lies in it ("." if they are the same).
func (s *Site) DocrootInRoot() (string, bool) { return within(s.Root, s.Docroot) }

func within(dir, p string) (string, bool) {
	rel, err := filepath.Rel(dir, p)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", false
	}
	return rel, true
}

// Room opens the deepest directory on the way to the site's parent that is there,
// to ask how much room its file system has. The caller closes it.
func (s *Site) Room() (*os.Root, error) {
	for dir := path.Dir(s.root.rel); ; dir = path.Dir(dir) {
		root, err := s.root.open(dir)
		if err == nil || dir == "." || !errs.Is(err, errs.NotFound) {
			return root, err
		}
	}
}

// check refuses a path that leads out of its allowed directory through a link. One that is not there passes.
func (l location) check() error {
	allowed, err := l.openAllowed()
	if errs.Is(err, errs.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer allowed.Close()
	if _, err := allowed.Stat(l.rel); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l.refuse(err)
	}
	return nil
}

func (l location) openAllowed() (*os.Root, error) {
	root, err := os.OpenRoot(l.allowed)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errs.New(errs.NotFound, "create it, or correct allow.roots in agent.yaml and restart sitekeep-agent",
			"allowed directory %s does not exist", l.allowed)
	}
	if err != nil {
		return nil, l.refuse(err)
	}
	return root, nil
}

// open walks down from the allowed directory, so that no link leads out of it.
func (l location) open(rel string) (*os.Root, error) {
	allowed, err := l.openAllowed()
	if err != nil || rel == "." {
		return allowed, err
	}
	defer allowed.Close()
	root, err := allowed.OpenRoot(rel)
	if err != nil {
		return nil, l.refuse(err)
	}
	return root, nil
}

// refuse tells what is missing from what may not be entered: a link that leads outside, or what the agent's user cannot read.
func (l location) refuse(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errs.New(errs.NotFound, "look at "+l.path+" on that server", "%s %s: %w", l.what, l.path, err)
	}
	return errs.New(errs.Permission,
		"name the real directory, without links that lead out of "+l.allowed+" (allow.roots in agent.yaml) or to absolute paths, and see that the agent's user may enter it",
		"%s %s: %w", l.what, l.path, err)
}
