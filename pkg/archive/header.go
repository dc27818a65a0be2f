package archive

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The layout of a header block: POSIX.1-2017, pax, "ustar Interchange Format".
const (
	nameField   = 100
	prefixField = 155
	ownerField  = 32
	maxOctal7   = 1<<21 - 1
	maxOctal11  = 1<<33 - 1
)

// The typeflags in use. 'L' and 'K' are GNU's, for long names that no pax record
// may hold because they are not UTF-8.
const (
	flagRegular, flagHardlink, flagSymlink, flagDirectory = '0', '1', '2', '5'
	flagPax, flagLongName, flagLongLink                   = 'x', 'L', 'K'
)

// sitePathComment begins the pax comment of an entry whose name in the site
// differs. A comment is the one record that every tar program passes over silently.
const sitePathComment = "SITEKEEP.path="

// modeComment stands before it where the header's mode is not the entry's: see headerMode.
const (
	modeComment = "SITEKEEP.mode="
	ownerWrite  = 0o200
)

// headerMode is what a header says of an entry's mode. Who unpacks as the user that owns everything afterwards, as Aegir
// does with .tar.gz, cannot write into a directory without the owner's write bit: there such directories have it.
func headerMode(e *Entry, f Format) uint32 {
	if f == TarGzip && e.Type == TypeDirectory {
		return e.Mode | ownerWrite
	}
	return e.Mode
}

// comment is what only our own programs read, and empty mostly. The path comes last: it may hold anything.
func comment(e *Entry, f Format) string {
	var parts []string
	if headerMode(e, f) != e.Mode {
		parts = append(parts, fmt.Sprintf("%s%04o", modeComment, e.Mode))
	}
	if e.SitePath != "" {
		parts = append(parts, sitePathComment+e.SitePath)
	}
	return strings.Join(parts, " ")
}

// readComment takes a comment apart. Without a mode of ours that fits the header's, mode is the header's.
func readComment(text string, t EntryType, header uint32) (mode uint32, site string) {
	mode = header
	if rest, ok := strings.CutPrefix(text, modeComment); ok && t == TypeDirectory {
		octal, after, _ := strings.Cut(rest, " ")
		if v, err := strconv.ParseUint(octal, 8, 12); err == nil && uint32(v)|ownerWrite == header {
			mode, text = uint32(v), after
		}
	}
	site, _ = strings.CutPrefix(text, sitePathComment)
	if len(site) == len(text) {
		site = ""
	}
	return mode, site
}

func typeflag(t EntryType) byte {
	switch t {
	case TypeDirectory:
		return flagDirectory
	case TypeSymlink:
		return flagSymlink
	case TypeHardlink:
		return flagHardlink
	}
	return flagRegular
}

// paxRecords is a list of records "LENGTH KEY=VALUE\n".
type paxRecords []byte

func (p *paxRecords) add(key, value string) {
	n := len(key) + len(value) + len(" =\n")
	total := n + decimalDigits(n)
	if decimalDigits(total) > decimalDigits(n) {
		total = n + decimalDigits(total)
	}
	*p = strconv.AppendInt(*p, int64(total), 10)
	*p = append(*p, ' ')
	*p = append(*p, key...)
	*p = append(*p, '=')
	*p = append(*p, value...)
	*p = append(*p, '\n')
}

func decimalDigits(n int) int { return len(strconv.Itoa(n)) }

// appendHeader appends everything that stands before an entry's content: long
// names, pax records and the header block. stored is the length of the content
// as it follows; it differs from e.Size only for sparse files.
func appendHeader(dst []byte, e *Entry, stored int64, f Format) []byte {
	var h ustar
	h.init(typeflag(e.Type), headerMode(e, f))
	h.octal(108, 8, int64(e.UID))
	h.octal(116, 8, int64(e.GID))
	h.octal(124, 12, stored)
	var pax paxRecords
	if text := comment(e, f); text != "" {
		pax.add("comment", text)
	}
	dst = h.setName(dst, &pax, e)
	dst = h.setLink(dst, &pax, e.LinkTarget)
	h.setOwners(&pax, e)
	h.setSize(&pax, stored)
	h.setTime(&pax, e.ModTime)
	addXattrs(&pax, e.Xattrs)
	if len(pax) > 0 {
		dst = appendSpecial(dst, flagPax, "./././@PaxHeader", pax)
	}
	return append(dst, h.sealed()...)
}

// appendSpecial appends a header of a type that carries its value as content.
func appendSpecial(dst []byte, flag byte, name string, value []byte) []byte {
	var h ustar
	h.init(flag, 0o644)
	h.text(0, nameField, name)
	h.octal(124, 12, int64(len(value)))
	dst = append(dst, h.sealed()...)
	dst = append(dst, value...)
	return appendZeros(dst, padTo(int64(len(value)), blockSize))
}

// padTo returns how many bytes bring n to a multiple of size.
func padTo(n, size int64) int64 { return (size - n%size) % size }

func appendZeros(dst []byte, n int64) []byte {
	for n > 0 {
		k := min(n, int64(len(zeros)))
		dst = append(dst, zeros[:k]...)
		n -= k
	}
	return dst
}

// appendRoom appends n bytes that the caller writes.
func appendRoom(dst []byte, n int64) []byte {
	return slices.Grow(dst, int(n))[:int64(len(dst))+n]
}

// zeros is never written to.
var zeros [4096]byte

// ustar is one header block.
type ustar [blockSize]byte

func (h *ustar) init(flag byte, mode uint32) {
	h[156] = flag
	copy(h[257:], "ustar\x0000")
	h.octal(100, 8, int64(mode))
	for _, numeric := range [][2]int{{108, 8}, {116, 8}, {124, 12}, {136, 12}, {329, 8}, {337, 8}} {
		h.octal(numeric[0], numeric[1], 0)
	}
}

// octal writes v into a field with a NUL behind it, and 0 if it has no room.
func (h *ustar) octal(at, size int, v int64) {
	if v < 0 || v >= 1<<(3*(size-1)) {
		v = 0
	}
	for i := at + size - 2; i >= at; i-- {
		h[i] = '0' + byte(v&7)
		v >>= 3
	}
	h[at+size-1] = 0
}

func (h *ustar) text(at, size int, s string) { copy(h[at:at+size], s) }

// sealed returns the block with its checksum: the sum of its bytes, the
// checksum's own taken for blanks.
func (h *ustar) sealed() []byte {
	copy(h[148:156], "        ")
	var sum int64
	for _, b := range h {
		sum += int64(b)
	}
	h.octal(148, 7, sum)
	return h[:]
}

// setName writes the name, as bytes in the header where they fit, because every
// program takes those as they are.
func (h *ustar) setName(dst []byte, pax *paxRecords, e *Entry) []byte {
	name := e.Path
	if e.Sparse {
		pax.add("GNU.sparse.major", "1")
		pax.add("GNU.sparse.minor", "0")
		pax.add("GNU.sparse.name", name)
		pax.add("GNU.sparse.realsize", strconv.FormatInt(e.Size, 10))
		name = "./GNUSparseFile.0/" + lastComponent(name, 64)
	}
	if e.Type == TypeDirectory && !strings.HasSuffix(name, "/") {
		name += "/"
	}
	if prefix, rest, ok := splitName(name); ok {
		h.text(0, nameField, rest)
		h.text(345, prefixField, prefix)
		return dst
	}
	h.text(0, nameField, name)
	return addLong(dst, pax, flagLongName, "path", name)
}

func (h *ustar) setLink(dst []byte, pax *paxRecords, target string) []byte {
	h.text(157, nameField, target)
	if len(target) <= nameField {
		return dst
	}
	return addLong(dst, pax, flagLongLink, "linkpath", target)
}

func addLong(dst []byte, pax *paxRecords, flag byte, key, value string) []byte {
	if utf8.ValidString(value) {
		pax.add(key, value)
		return dst
	}
	return appendSpecial(dst, flag, "././@LongLink", append([]byte(value), 0))
}

func lastComponent(path string, most int) string {
	base := path[strings.LastIndexByte(path, '/')+1:]
	return base[:min(len(base), most)]
}

// splitName cuts a name at a slash so that both parts fit into the header.
func splitName(name string) (prefix, rest string, ok bool) {
	if len(name) <= nameField {
		return "", name, true
	}
	if len(name) > prefixField+1+nameField {
		return "", "", false
	}
	from := max(len(name)-nameField-1, 1)
	for i := from; i <= min(prefixField, len(name)-2); i++ {
		if name[i] == '/' {
			return name[:i], name[i+1:], true
		}
	}
	return "", "", false
}

func (h *ustar) setOwners(pax *paxRecords, e *Entry) {
	if e.UID > maxOctal7 {
		pax.add("uid", strconv.FormatUint(uint64(e.UID), 10))
	}
	if e.GID > maxOctal7 {
		pax.add("gid", strconv.FormatUint(uint64(e.GID), 10))
	}
	h.setOwner(pax, 265, "uname", e.Uname)
	h.setOwner(pax, 297, "gname", e.Gname)
}

func (h *ustar) setOwner(pax *paxRecords, at int, key, name string) {
	if len(name) < ownerField {
		h.text(at, ownerField, name)
		return
	}
	pax.add(key, name)
}

func (h *ustar) setSize(pax *paxRecords, stored int64) {
	if stored > maxOctal11 {
		pax.add("size", strconv.FormatInt(stored, 10))
	}
}

func (h *ustar) setTime(pax *paxRecords, t time.Time) {
	sec, nsec := t.Unix(), t.Nanosecond()
	h.octal(136, 12, sec)
	if sec < 0 || sec > maxOctal11 || nsec != 0 {
		pax.add("mtime", paxTime(sec, nsec))
	}
}

// paxTime writes a time as seconds with a fraction, which for times before 1970
// is counted away from zero.
func paxTime(sec int64, nsec int) string {
	if nsec == 0 {
		return strconv.FormatInt(sec, 10)
	}
	sign := ""
	if sec < 0 {
		sign, sec, nsec = "-", -(sec + 1), 1e9-nsec
	}
	fraction := strconv.Itoa(1e9 + nsec)[1:]
	return sign + strconv.FormatInt(sec, 10) + "." + strings.TrimRight(fraction, "0")
}

func addXattrs(pax *paxRecords, xattrs []Xattr) {
	for _, x := range xattrs {
		key, isACL := aclRecord(x.Name)
		if text, ok := aclText(x.Value); ok && isACL {
			pax.add(key, text)
		}
		pax.add(paxXattr+x.Name, x.Value)
	}
}

// paxXattr is star's prefix for extended attributes, which GNU tar and libarchive read.
const paxXattr = "SCHILY.xattr."
