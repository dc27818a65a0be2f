package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// maxDepth is how many directories deep a site may be. Each level holds a
	// descriptor.
	maxDepth = 1000
	// maxLinks is how many names of hard-linked files are remembered at a time.
	maxLinks = 1 << 18
)

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
	links    map[inode]*firstName
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
	names, err := readNames(fd)
	if err != nil {
		return fmt.Errorf("read the site's root: %w", err)
	}
	if err := w.node("./", &st); err != nil {
		return err
	}
	return w.children(fd, "./", names, 1)
}

// children visits what a directory holds.
func (w *walker) children(fd int, dir string, names []string, depth int) error {
	if w.opts.CacheDirTags && isCacheDir(fd, names) {
		names = []string{cacheDirTag}
	}
	prefix := dir
	if dir != "./" {
		prefix += "/"
	}
	for _, name := range names {
		if err := w.child(fd, prefix+name, name, depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) child(dir int, path, name string, depth int) error {
	if err := w.ctx.Err(); err != nil {
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
	names, err := readNames(fd)
	if err != nil {
		return w.warn(unreadable(path, err))
	}
	return w.children(fd, path, names, depth+1)
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
	if n.entry.Type == TypeRegular && n.links > 1 {
		if err := w.hardlink(n); err != nil {
			return err
		}
	}
	return w.visit(n)
}

// hardlink turns a further name of a file into a link to its first.
func (w *walker) hardlink(n *node) error {
	id := inode{n.entry.Device, n.entry.Inode}
	first := w.links[id]
	if first == nil {
		if len(w.links) >= maxLinks {
			return w.warn(Warning{WarnLimit, n.name(), "stored as a file of its own: too many hard links wait for their other names"})
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

// readNames returns the names in a directory, in order.
func readNames(fd int) ([]string, error) {
	var names []string
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			sort.Strings(names)
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// The mark of a cache directory, bford.info/cachedir.
const (
	cacheDirTag       = "CACHEDIR.TAG"
	cacheDirSignature = "Signature: 8a477f597d28d172789f06886806bc55"
)

func isCacheDir(fd int, names []string) bool {
	i := sort.SearchStrings(names, cacheDirTag)
	if i == len(names) || names[i] != cacheDirTag {
		return false
	}
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
