package archive

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// The attributes that hold POSIX ACLs, and star's pax records for their text,
// which GNU tar and libarchive read.
const (
	aclAccessXattr  = "system.posix_acl_access"
	aclDefaultXattr = "system.posix_acl_default"
)

// aclRecord returns the pax record for an attribute, if it is an ACL.
func aclRecord(xattr string) (key string, ok bool) {
	switch xattr {
	case aclAccessXattr:
		return "SCHILY.acl.access", true
	case aclDefaultXattr:
		return "SCHILY.acl.default", true
	}
	return "", false
}

// The kernel's form of an ACL, include/uapi/linux/posix_acl_xattr.h: a version,
// then tag, permissions and id for each entry, all little-endian.
const (
	aclVersion   = 2
	aclEntrySize = 8
	aclHead      = 4
)

// aclTag returns the word for a tag, and whether an id belongs to it.
func aclTag(tag uint16) (word string, hasID, ok bool) {
	switch tag {
	case 0x01, 0x02:
		return "user", tag == 0x02, true
	case 0x04, 0x08:
		return "group", tag == 0x08, true
	case 0x10:
		return "mask", false, true
	case 0x20:
		return "other", false, true
	}
	return "", false, false
}

// aclText turns the kernel's form of an ACL into acl(5)'s, with numbers for names.
func aclText(value string) (string, bool) {
	b := []byte(value)
	if len(b) < aclHead || (len(b)-aclHead)%aclEntrySize != 0 || binary.LittleEndian.Uint32(b) != aclVersion {
		return "", false
	}
	var entries []string
	for b = b[aclHead:]; len(b) > 0; b = b[aclEntrySize:] {
		text, ok := aclEntry(b[:aclEntrySize])
		if !ok {
			return "", false
		}
		entries = append(entries, text)
	}
	return strings.Join(entries, ","), true
}

func aclEntry(b []byte) (string, bool) {
	word, hasID, ok := aclTag(binary.LittleEndian.Uint16(b))
	if !ok {
		return "", false
	}
	who := ""
	if hasID {
		who = strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b[4:])), 10)
	}
	perm := []byte("---")
	for i, bit := range []uint16{4, 2, 1} {
		if binary.LittleEndian.Uint16(b[2:])&bit != 0 {
			perm[i] = "rwx"[i]
		}
	}
	return word + ":" + who + ":" + string(perm), true
}
