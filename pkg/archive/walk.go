package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// maxDepth is how many directories deep a site may be. Each level holds a descriptor.
const maxDepth = 1000

// walkLimits bound a walk's memory.
type walkLimits struct {
	// names is how many names of one directory are held at a time.
	names int
	// links is how many hard-linked files are remembered that have names to come.
	links int
}

// usualLimits take 2 MB for the usual names of a directory and 20 MB for links.
func usualLimits() walkLimits { return walkLimits{names: 1 << 15, links: 1 << 17} }

// walker visits a site in the order of ComparePaths. Besides the descriptors and
// the names of the directories on the way it keeps only the files whose further
// names have not come yet.
type walker struct {
	ctx      context.Context
	root     *beneath
	opts     *SourceOptions
	excludes excludes
	owners   *ownerNames
	visit    func(*node) error
	warn     func(Warning) error
	limits   walkLimits
	links    map[inode]*firstName
	full     bool // links has been full
	dirents  []byte
}

type inode struct{ device, number uint64 }

// firstName is the first name of a file that has several.
type firstName struct {
	path string // in the tarball
	left uint64 // names that have not come yet
}

// walk visits the root and everything below it.
func (w *walker) walk() error {
	fd, err := w.root.open("./", openDir)
	if err != nil {
		return fmt.Errorf("read the site's root: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("read the site's root: %w", err)
	}
	names := newNameRun(fd, w.limits.names, w.buffer())
	if _, err := names.next(); err != nil {
		return fmt.Errorf("read the site's root: %w", err)
	}
	if err := w.node("./", &st); err != nil {
		return err
	}
	return w.children("./", names, 1)
}

// buffer returns what directories are read with.
func (w *walker) buffer() []byte {
	if w.dirents == nil {
		w.dirents = make([]byte, 32<<10)
	}
	return w.dirents
}

// children visits what a directory holds, of which the first names are known.
func (w *walker) children(dir string, names *nameRun, depth int) error {
	prefix := dir
	if dir != "./" {
		prefix += "/"
	}
	if w.opts.CacheDirTags && isCacheDir(names.fd) {
		return w.child(names.fd, prefix+cacheDirTag, cacheDirTag, depth)
	}
	for len(names.name) > 0 {
		for i := range names.name {
			name := names.at(i)
			if err := w.child(names.fd, prefix+name, name, depth); err != nil {
				return err
			}
		}
		if _, err := names.next(); err != nil {
			return w.warn(unreadable(dir, fmt.Errorf("what is behind %q in it: %w", names.last, err)))
		}
	}
	return nil
}

func (w *walker) child(dir int, path, name string, depth int) error {
	if err := w.opts.pause(w.ctx); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return w.warn(unreadable(path, err))
	}
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if w.excludes.match(path, isDir) {
		return nil
	}
	if err := w.node(path, &st); err != nil || !isDir {
		return err
	}
	return w.descend(dir, path, name, depth)
}

func (w *walker) descend(dir int, path, name string, depth int) error {
	if depth >= maxDepth {
		return w.warn(Warning{WarnLimit, path, fmt.Sprintf("left out what is in it: more than %d directories deep", maxDepth)})
	}
	fd, err := openAt(dir, name, openDir)
	if err != nil {
		return w.warn(unreadable(path, err))
	}
	defer unix.Close(fd)
	names := newNameRun(fd, w.limits.names, w.buffer())
	if _, err := names.next(); err != nil {
		return w.warn(unreadable(path, err))
	}
	return w.children(path, names, depth+1)
}

// unreadable returns the warning for an entry that is left out because of err.
func unreadable(path string, err error) Warning {
	if errors.Is(err, unix.ENOENT) {
		return Warning{WarnVanished, path, "it was gone when it was to be read"}
	}
	return Warning{WarnUnreadable, path, "left out: " + err.Error()}
}

// node makes an entry of a stat and visits it.
func (w *walker) node(path string, st *unix.Stat_t) error {
	n := &node{links: st.Nlink}
	n.entry.Path = path
	if !w.opts.NoDump {
		n.entry.Path = tarballPath(path)
	}
	if n.entry.Path != path {
		n.entry.SitePath = path
	}
	if !n.entry.setStat(st, w.owners) {
		return w.warn(Warning{WarnSpecial, path, "left out: it is a socket, a pipe or a device"})
	}
	if in := w.instead(path, &n.entry); in != nil {
		n.put(in)
	}
	if n.entry.Type == TypeRegular && n.links > 1 {
		if err := w.hardlink(n); err != nil {
			return err
		}
	}
	return w.visit(n)
}

// instead finds what is stored in place of a file's content; nil: nothing.
func (w *walker) instead(path string, e *Entry) *Instead {
	if e.Type != TypeRegular {
		return nil
	}
	for i := range w.opts.Instead {
		if in := &w.opts.Instead[i]; in.Path == path || in.Device == e.Device && in.Inode == e.Inode {
			return in
		}
	}
	return nil
}

// hardlink turns a further name of a file into a link to its first.
func (w *walker) hardlink(n *node) error {
	id := inode{n.entry.Device, n.entry.Inode}
	first := w.links[id]
	if first == nil {
		if len(w.links) >= w.limits.links {
			return w.tooManyLinks(n)
		}
		w.links[id] = &firstName{path: n.entry.Path, left: n.links - 1}
		return nil
	}
	n.entry.Type, n.entry.Size, n.entry.LinkTarget = TypeHardlink, 0, first.path
	if first.left--; first.left == 0 {
		delete(w.links, id)
	}
	return nil
}

// tooManyLinks warns, once, that names of a file become files of their own.
func (w *walker) tooManyLinks(n *node) error {
	if w.full {
		return nil
	}
	w.full = true
	return w.warn(Warning{WarnLimit, n.name(), fmt.Sprintf(
		"this and further files may be stored once for each of their names: %d files wait for other names, which may be outside of the site", w.limits.links)})
}

// The mark of a cache directory, bford.info/cachedir.
const (
	cacheDirTag       = "CACHEDIR.TAG"
	cacheDirSignature = "Signature: 8a477f597d28d172789f06886806bc55"
)

func isCacheDir(fd int) bool {
	tag, err := openAt(fd, cacheDirTag, openRead)
	if err != nil {
		return false
	}
	defer unix.Close(tag)
	head := make([]byte, len(cacheDirSignature))
	n, err := readAt(tag, head, 0)
	return err == nil && bytes.Equal(head[:n], []byte(cacheDirSignature))
}

// parentOf returns the directory of a path of the site.
func parentOf(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 1 {
		return "./"
	}
	return path[:i]
}
