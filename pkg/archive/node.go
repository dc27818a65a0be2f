package archive

import (
	"crypto/sha256"
	"errors"
	"os/user"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// node is an entry of the site as the walk saw it.
type node struct {
	entry Entry // without content hash, attributes and offset
	links uint64
	// was, if not nil, is what the base has of an entry that seems unchanged and
	// is read all the same.
	was *Entry
	// instead, if not nil, is stored in place of the content.
	instead *Instead
}

// put lets a file be stored with another content.
func (n *node) put(in *Instead) {
	n.instead, n.entry.Size = in, int64(len(in.Content))
}

// stores reports whether the base's entry has the content that is stored in
// place of the file's, if there is one: that does not follow from the file's state.
func (n *node) stores(was *Entry) bool {
	return n.instead == nil || sha256.Sum256(n.instead.Content) == was.ContentHash
}

// unseen reports whether content differs from the base's although nothing else does.
func (n *node) unseen() bool {
	e, was := &n.entry, n.was
	if was == nil || n.instead != nil || !sameState(e, was) {
		return false
	}
	return e.ContentHash != was.ContentHash || e.Type == TypeSymlink && e.LinkTarget != was.LinkTarget
}

// unseenDetail is the text of a [WarnUnseen].
const unseenDetail = "its content is not the earlier backup's, though size, times and inode are: something changed it behind the file system's back"

func (n *node) name() string { return n.entry.Name() }

// large reports whether the node has slice frames of its own.
func (n *node) large() bool { return n.entry.Type == TypeRegular && n.entry.Size >= SmallFile }

// weight is about how many bytes the node has in the tar stream. It depends on
// nothing but path and size, and so do the borders of groups.
func (n *node) weight() int64 {
	w := int64(3*blockSize + len(n.entry.Path) + len(n.entry.LinkTarget))
	if n.entry.Type == TypeRegular {
		w += n.entry.Size + padTo(n.entry.Size, blockSize)
	}
	return w
}

// setStat fills in what a stat tells. It returns false for a type that has no entry.
func (e *Entry) setStat(st *unix.Stat_t, owners *ownerNames) bool {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type, e.Size = TypeRegular, st.Size
	case unix.S_IFDIR:
		e.Type = TypeDirectory
	case unix.S_IFLNK:
		e.Type = TypeSymlink
	default:
		return false
	}
	e.Mode = st.Mode & 0o7777
	e.UID, e.GID = st.Uid, st.Gid
	e.Uname, e.Gname = owners.user(st.Uid), owners.group(st.Gid)
	e.ModTime = time.Unix(st.Mtim.Unix()).UTC()
	e.ChangeTime = time.Unix(st.Ctim.Unix()).UTC()
	e.Inode, e.Device = st.Ino, uint64(st.Dev)
	return true
}

// sameStat reports whether two stats of a file are of the same state of it.
func sameStat(a, b *unix.Stat_t) bool {
	return a.Ino == b.Ino && a.Dev == b.Dev && a.Size == b.Size && a.Mtim == b.Mtim && a.Ctim == b.Ctim
}

// ownerNames knows the names of owners on this machine, each looked up once.
type ownerNames struct {
	mu     sync.Mutex
	users  map[uint32]string
	groups map[uint32]string
}

func newOwnerNames() *ownerNames {
	return &ownerNames{users: map[uint32]string{}, groups: map[uint32]string{}}
}

func (o *ownerNames) user(uid uint32) string {
	return o.cached(o.users, uid, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

func (o *ownerNames) group(gid uint32) string {
	return o.cached(o.groups, gid, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

// cached returns a name, which is empty if there is none.
func (o *ownerNames) cached(known map[uint32]string, id uint32, lookup func(string) (string, error)) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	name, ok := known[id]
	if !ok {
		name, _ = lookup(strconv.FormatUint(uint64(id), 10))
		known[id] = name
	}
	return name
}

// maxXattrBytes is how much of a file's attributes travels: readers of pax
// headers have bounds of their own, Go's is 1 MiB.
const maxXattrBytes = 256 << 10

// readXattrs returns the attributes of an open file that a restore brings back,
// by name. problem says why one is missing.
func readXattrs(fd int) (xattrs []Xattr, problem string) {
	names, err := xattrNames(fd)
	if err != nil {
		return nil, "its attributes cannot be listed: " + err.Error()
	}
	total := 0
	for _, name := range names {
		if !keptXattr(name) {
			continue
		}
		value, err := xattrValue(fd, name)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		total += len(name) + len(value)
		switch {
		case err != nil:
			problem = "attribute " + name + ": " + err.Error()
		case total > maxXattrBytes || strings.ContainsRune(name, '='):
			problem = "attribute " + name + " does not fit into a tar header"
		default:
			xattrs = append(xattrs, Xattr{Name: name, Value: value})
		}
	}
	sort.Slice(xattrs, func(i, j int) bool { return xattrs[i].Name < xattrs[j].Name })
	return xattrs, problem
}

// keptXattr reports whether an attribute belongs to the site: not to the
// machine, as labels of a security module do.
func keptXattr(name string) bool {
	return strings.HasPrefix(name, "user.") || name == aclAccessXattr || name == aclDefaultXattr || name == capabilityXattr
}

const capabilityXattr = "security.capability"

func xattrNames(fd int) ([]string, error) {
	size, err := unix.Flistxattr(fd, nil)
	if errors.Is(err, unix.ENOTSUP) || (err == nil && size == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	buf := make([]byte, size+1024)
	size, err = unix.Flistxattr(fd, buf)
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(buf[:size]), func(r rune) bool { return r == 0 }), nil
}

func xattrValue(fd int, name string) (string, error) {
	var small [256]byte
	n, err := unix.Fgetxattr(fd, name, small[:])
	if !errors.Is(err, unix.ERANGE) {
		return string(small[:max(n, 0)]), err
	}
	big := make([]byte, 64<<10) // XATTR_SIZE_MAX
	n, err = unix.Fgetxattr(fd, name, big)
	return string(big[:max(n, 0)]), err
}
