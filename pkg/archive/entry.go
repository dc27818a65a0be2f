package archive

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// EntryType is the type of an entry.
type EntryType uint8

// The types of entries.
const (
	TypeRegular EntryType = iota + 1
	TypeDirectory
	TypeSymlink
	TypeHardlink
)

// String returns the type's name.
func (t EntryType) String() string {
	switch t {
	case TypeRegular:
		return "file"
	case TypeDirectory:
		return "directory"
	case TypeSymlink:
		return "symlink"
	case TypeHardlink:
		return "hardlink"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Xattr is an extended attribute.
type Xattr struct{ Name, Value string }

// Entry is a file, directory or link of the tarball.
type Entry struct {
	// Path in the tarball, raw bytes, beginning with "./"; the root is "./".
	Path string
	// SitePath is the path in the site where it is not Path, otherwise empty.
	SitePath string
	Type     EntryType
	// Mode is the permission, set-id and sticky bits (07777).
	Mode         uint32
	UID, GID     uint32
	Uname, Gname string
	// Size of a regular file, holes included.
	Size    int64
	ModTime time.Time
	// ChangeTime is the inode's; the zero Time makes the next backup read the entry again.
	ChangeTime    time.Time
	Inode, Device uint64
	// LinkTarget is what a symbolic link holds, or the Path that a hard link names.
	LinkTarget string
	Xattrs     []Xattr
	// ContentHash is over a regular file's content, zero otherwise.
	ContentHash Hash
	// Sparse says that holes are left out of the tarball.
	Sparse bool
	// Offset is where the entry begins in the plain bytes of its first frame.
	Offset int64
	// Span is how many frames before its last one it begins: 0 unless it is sliced.
	Span uint64
	// Frame is the number of its first frame, in what a [Reader] returns.
	Frame uint64
}

// Name returns the path in the site.
func (e *Entry) Name() string {
	if e.SitePath != "" {
		return e.SitePath
	}
	return e.Path
}

// DumpPath is the dump's name in a tarball. A file of the site with that name
// travels under another one, see [Source].
const DumpPath = "./database.sql"

// reservedSuffix makes room for the dump: a top-level name that is the dump's,
// followed by n of these, has n+1 of them in the tarball.
const reservedSuffix = "~site"

// tarballPath returns the name that a path of the site has in a tarball with a dump.
func tarballPath(site string) string {
	top, rest, below := strings.Cut(strings.TrimPrefix(site, "./"), "/")
	if !isReserved(top) {
		return site
	}
	if below {
		return "./" + top + reservedSuffix + "/" + rest
	}
	return "./" + top + reservedSuffix
}

// isReserved reports whether a top-level name is the dump's, followed by any
// number of reserved suffixes.
func isReserved(top string) bool {
	rest, ok := strings.CutPrefix(top, strings.TrimPrefix(DumpPath, "./"))
	for ok && rest != "" {
		rest, ok = strings.CutPrefix(rest, reservedSuffix)
	}
	return ok
}

// ComparePaths orders paths as a [Source] walks: byte by byte, with '/' before
// every other byte, so that a directory's contents follow it directly.
func ComparePaths(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		if a[i] == '/' {
			return -1
		}
		if b[i] == '/' {
			return 1
		}
		return cmp.Compare(a[i], b[i])
	}
	return cmp.Compare(len(a), len(b))
}
