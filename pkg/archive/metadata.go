package archive

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// setIDBits are the modes that let others act as a file's owner or group.
const setIDBits = unix.S_ISUID | unix.S_ISGID

// leave sets a directory's metadata.
func (x *extraction) leave(fd int, e *Entry) error {
	if err := x.metadata(fd, e); err != nil {
		return err
	}
	return setTime(fd, ".", e)
}

// metadata sets owner, mode and attributes of an open file or directory, in this
// order: a change of owner clears set-id bits and capabilities, and a change of
// mode touches the mask of an ACL. What is so already is left alone: looking is
// cheaper.
func (x *extraction) metadata(fd int, e *Entry) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("look at it: %w", err)
	}
	was := st.Mode & 0o7777
	if uid, gid, ok := x.ownerOf(e); ok && (uid != int(st.Uid) || gid != int(st.Gid)) {
		if err := x.chowned(e, unix.Fchown(fd, uid, gid)); err != nil {
			return err
		}
	}
	if mode := x.modeOf(e); mode != was || was&setIDBits != 0 {
		if err := unix.Fchmod(fd, mode); err != nil {
			return fmt.Errorf("set its mode: %w", err)
		}
	}
	for _, a := range e.Xattrs {
		x.setXattr(fd, e, a)
	}
	return nil
}

func (x *extraction) modeOf(e *Entry) uint32 {
	drop := uint32(setIDBits)
	if e.Type == TypeDirectory {
		drop = unix.S_ISUID // on a directory, S_ISGID only passes the group on
	}
	if !x.opts.DropSetID || e.Mode&drop == 0 {
		return e.Mode
	}
	x.warn(WarnSetID, e.Name(), fmt.Sprintf("set-id bits of mode %04o were dropped", e.Mode))
	return e.Mode &^ drop
}

func (x *extraction) setXattr(fd int, e *Entry, a Xattr) {
	if a.Name == capabilityXattr && x.opts.DropSetID {
		x.warn(WarnSetID, e.Name(), "capabilities were dropped")
		return
	}
	if err := unix.Fsetxattr(fd, a.Name, []byte(a.Value), 0); err != nil {
		x.warn(WarnMetadata, e.Name(), fmt.Sprintf("attribute %s cannot be set: %v", a.Name, err))
	}
}

// chowned judges a change of owner: who is not root may not, and is told once.
func (x *extraction) chowned(e *Entry, err error) error {
	if errors.Is(err, unix.EPERM) {
		x.warnOnce(WarnOwner, e.Name(), "owners cannot be set without root's rights; this and further entries belong to the user who extracts")
		return nil
	}
	if err != nil {
		return fmt.Errorf("set its owner: %w", err)
	}
	return nil
}

// ownerOf returns the numbers that an entry's owners have here.
func (x *extraction) ownerOf(e *Entry) (uid, gid int, ok bool) {
	switch x.opts.Owners {
	case OwnersKeep:
		return 0, 0, false
	case OwnersNumeric:
		return int(e.UID), int(e.GID), true
	}
	uid, known := x.owners.user(e.Uname)
	if !known {
		uid = int(e.UID)
		x.unknownOwner(e, "user", e.Uname, e.UID)
	}
	gid, known = x.owners.group(e.Gname)
	if !known {
		gid = int(e.GID)
		x.unknownOwner(e, "group", e.Gname, e.GID)
	}
	return uid, gid, true
}

func (x *extraction) unknownOwner(e *Entry, what, name string, id uint32) {
	if name == "" {
		return // it had no name there either
	}
	x.warnOnce(WarnOwner, e.Name(), fmt.Sprintf("%s %q is unknown here: its number %d is used", what, name, id))
}

// ownerNumbers knows the numbers of owners on this machine, each looked up once.
type ownerNumbers struct {
	mu            sync.Mutex
	users, groups map[string]int
}

func newOwnerNumbers() *ownerNumbers {
	return &ownerNumbers{users: map[string]int{}, groups: map[string]int{}}
}

func (o *ownerNumbers) user(name string) (int, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return numberOf(o.users, name, func() (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
}

func (o *ownerNumbers) group(name string) (int, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return numberOf(o.groups, name, func() (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

// maxOwnerNames bounds what a tarball can make us remember.
const maxOwnerNames = 4096

func numberOf(known map[string]int, name string, lookup func() (string, error)) (int, bool) {
	if name == "" {
		return 0, false
	}
	id, ok := known[name]
	if ok {
		return id, id >= 0
	}
	id = -1
	if text, err := lookup(); err == nil {
		if n, err := strconv.Atoi(text); err == nil {
			id = n
		}
	}
	if len(known) < maxOwnerNames {
		known[name] = id
	}
	return id, id >= 0
}
