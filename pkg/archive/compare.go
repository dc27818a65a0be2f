package archive

import (
	"archive/tar"
	"strings"
)

// compareHeader says in what a tar header differs from an entry of the index,
// or nothing.
func compareHeader(h *tar.Header, e *Entry) string {
	mode, _ := readComment(h.PAXRecords["comment"], headerType(h), uint32(h.Mode))
	switch {
	case headerPath(h) != e.Path:
		return "path"
	case headerType(h) != e.Type:
		return "type"
	case mode != e.Mode || h.Mode>>12 != 0:
		return "mode"
	case h.Uid != int(e.UID) || h.Gid != int(e.GID) || h.Uname != e.Uname || h.Gname != e.Gname:
		return "owner"
	case e.Type == TypeRegular && h.Size != e.Size:
		return "size"
	case !h.ModTime.Equal(e.ModTime):
		return "time"
	case h.Linkname != e.LinkTarget:
		return "link target"
	}
	for _, x := range e.Xattrs {
		if h.PAXRecords[paxXattr+x.Name] != x.Value {
			return "attribute " + x.Name
		}
	}
	return ""
}

// headerPath returns a header's name as entries have it: without a slash at the end.
func headerPath(h *tar.Header) string {
	if p := strings.TrimRight(h.Name, "/"); p != "." {
		return p
	}
	return "./"
}

func headerType(h *tar.Header) EntryType {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return TypeRegular
	case tar.TypeDir:
		return TypeDirectory
	case tar.TypeSymlink:
		return TypeSymlink
	case tar.TypeLink:
		return TypeHardlink
	}
	return 0
}
