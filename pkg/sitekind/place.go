package sitekind

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxSettings bounds the size of a settings file, in bytes.
const MaxSettings = 1 << 20

// maxLinks bounds how many links lead to a settings file.
const maxLinks = 10

// tempPrefix begins the names of files that are being written. Managed virtual
// hosts do not serve them.
const tempPrefix = ".sitekeep-"

// InSite returns a path in the site's directory as one relative to Root.
func (p Place) InSite(name string) string { return path.Join(".", p.Site, name) }

// InDocroot returns a path in the docroot as one relative to Root.
func (p Place) InDocroot(name string) string {
	if p.Docroot == "" {
		return p.InSite(name)
	}
	return path.Join(".", p.Docroot, name)
}

// Exists says whether there is a file, directory or link; where a link leads
// does not matter.
func (p Place) Exists(name string) (bool, error) {
	_, err := p.Root.Lstat(name)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return false, nil
	}
	if _, why := Resolve(p.Root, path.Dir(name)); why != nil {
		return false, why // a directory on the way is a link that is not followed
	}
	return false, err
}

// ReadFile reads a settings file of at most MaxSettings bytes. A file that is
// not there, too large, not regular, or outside Root is a *SettingsError.
func ReadFile(p Place, name string) ([]byte, error) {
	name, err := Resolve(p.Root, name)
	if err != nil {
		return nil, err
	}
	f, err := openRegular(p.Root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxSettings+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > MaxSettings {
		return nil, refused(name, fmt.Sprintf("the file is larger than %d bytes", MaxSettings), nil)
	}
	return data, nil
}

// ReplaceFile gives a settings file new contents, at once and durably, and
// keeps its owner, mode and extended attributes. Its time of modification is
// new, so that caches notice; its directory's stays what it was, see KeepTime.
// Where the name is a link within Root, the file it leads to is replaced.
func ReplaceFile(p Place, name string, data []byte) error {
	name, err := Resolve(p.Root, name)
	if err != nil {
		return err
	}
	if p.Replace != nil {
		return p.Replace(name, data)
	}
	old, err := openRegular(p.Root, name)
	if err != nil {
		return err
	}
	defer old.Close()
	err = KeepTime(p.Root, p.Notes, path.Dir(name), func() error {
		temp := path.Join(path.Dir(name), tempPrefix+path.Base(name)+".tmp")
		if err := p.Root.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := writeLike(p.Root, temp, old, data); err != nil {
			return errors.Join(err, p.Root.Remove(temp))
		}
		if err := p.Root.Rename(temp, name); err != nil {
			return errors.Join(err, p.Root.Remove(temp))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}

// Resolve follows the links on the way to a name, one after the other, and
// returns the name of what they lead to: where a directory is a link, such as
// current of Capistrano, ".." in a link below it is relative to where that
// leads. A link to an absolute path is refused even if that lies within: in the
// staged tree of a restore it would lead to the live one. Errors are
// *SettingsError.
func Resolve(root *os.Root, name string) (string, error) {
	rest, links := strings.Split(path.Clean(name), "/"), 0
	at := "."
	for len(rest) > 0 {
		next := path.Join(at, rest[0])
		if !filepath.IsLocal(next) {
			return "", leadsOut(name)
		}
		info, err := root.Lstat(next)
		if err != nil {
			return "", lookup(name, err)
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at, rest = next, rest[1:]
			continue
		}
		target, err := root.Readlink(next)
		if err != nil {
			return "", lookup(name, err)
		}
		if links++; links > maxLinks {
			return "", refused(name, "too many links lead to it", nil)
		}
		if path.IsAbs(target) {
			return "", refused(name, fmt.Sprintf("%s is a link to an absolute path; make it relative, which is the same in every copy of the site", next), nil)
		}
		rest = append(strings.Split(path.Clean(target), "/"), rest[1:]...)
	}
	return at, nil
}

func leadsOut(name string) error {
	return refused(name, "it is a link that leads out of the site; put the file itself there, or give the directory that holds both as the site's root", nil)
}

// lookup says what it means that a file cannot be looked at. Besides what it
// says itself, that is mostly a link on the way that leads out of the site.
func lookup(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return &SettingsError{Problem: Missing, File: name, What: "there is no such file"}
	}
	return refused(name, "it cannot be opened in the site", err)
}

func refused(name, what string, err error) error {
	return &SettingsError{Problem: Refused, File: name, What: what, Err: err}
}

// openRegular opens a regular file, and never waits on a pipe.
func openRegular(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, lookup(name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = refused(name, "it is not a regular file", nil)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// writeLike writes a new file with the owner, mode and extended attributes of
// an old one. Nobody else can open it before it is like the old one.
func writeLike(root *os.Root, name string, old *os.File, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = copyOwnerAndMode(f, old)
	}
	if err == nil {
		err = copyXattrs(f, old)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func copyOwnerAndMode(to, from *os.File) error {
	var want, have unix.Stat_t
	err := errors.Join(unix.Fstat(int(from.Fd()), &want), unix.Fstat(int(to.Fd()), &have))
	if err != nil {
		return err
	}
	if want.Uid != have.Uid || want.Gid != have.Gid {
		if err := unix.Fchown(int(to.Fd()), int(want.Uid), int(want.Gid)); err != nil {
			return fmt.Errorf("keep the owner %d:%d: %w", want.Uid, want.Gid, err)
		}
	}
	return unix.Fchmod(int(to.Fd()), want.Mode&0o7777)
}

// copyXattrs keeps access control lists and attributes. Labels of security
// modules are for the system to give, so that those may fail.
func copyXattrs(to, from *os.File) error {
	names, err := listXattrs(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		value, err := getXattr(from, name)
		if err == nil {
			err = unix.Fsetxattr(int(to.Fd()), name, value, 0)
		}
		if err != nil && !strings.HasPrefix(name, "security.") {
			return fmt.Errorf("keep the extended attribute %s: %w", name, err)
		}
	}
	return nil
}

// maxXattr is the most that Linux keeps in one attribute or list, in bytes:
// XATTR_SIZE_MAX and XATTR_LIST_MAX in linux/limits.h.
const maxXattr = 64 << 10

func listXattrs(f *os.File) ([]string, error) {
	buf := make([]byte, maxXattr)
	n, err := unix.Flistxattr(int(f.Fd()), buf)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	return strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 }), nil
}

func getXattr(f *os.File, name string) ([]byte, error) {
	buf := make([]byte, maxXattr)
	n, err := unix.Fgetxattr(int(f.Fd()), name, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

func syncDirectory(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", name, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
