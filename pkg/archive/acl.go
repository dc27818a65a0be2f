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

var aclRecords = map[string]string{
	aclAccessXattr:  "SCHILY.acl.access",
	aclDefaultXattr: "SCHILY.acl.default",
}

// The kernel's form of an ACL, include/uapi/linux/posix_acl_xattr.h: a version,
// then tag, permissions and id for each entry, all little-endian.
const (
	aclVersion   = 2
	aclEntrySize = 8
	aclHead      = 4
)

var aclTags = map[uint16]struct {
	word string
	id   bool
}{
	0x01: {"user", false}, 0x02: {"user", true}, 0x04: {"group", false},
	0x08: {"group", true}, 0x10: {"mask", false}, 0x20: {"other", false},
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
	tag, ok := aclTags[binary.LittleEndian.Uint16(b)]
	if !ok {
		return "", false
	}
	who := ""
	if tag.id {
		who = strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b[4:])), 10)
	}
	perm := []byte("---")
	for i, bit := range []uint16{4, 2, 1} {
		if binary.LittleEndian.Uint16(b[2:])&bit != 0 {
			perm[i] = "rwx"[i]
		}
	}
	return tag.word + ":" + who + ":" + string(perm), true
}
