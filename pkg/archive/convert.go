package archive

import (
	"fmt"
	"time"

	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// EntryToProto returns e as the index and the wire have it. Frame is not in it.
// [AppendEntry] writes the same with less work.
func EntryToProto(e *Entry) *archivev1.Entry {
	p := &archivev1.Entry{
		Path: []byte(e.Path), SitePath: []byte(e.SitePath),
		Type: archivev1.EntryType(e.Type), Mode: e.Mode, Uid: e.UID, Gid: e.GID,
		Uname: []byte(e.Uname), Gname: []byte(e.Gname),
		Size: uint64(e.Size), Inode: e.Inode, Device: e.Device,
		LinkTarget: []byte(e.LinkTarget), Offset: uint64(e.Offset), Span: e.Span, Sparse: e.Sparse,
		MtimeSeconds: e.ModTime.Unix(), MtimeNanos: uint32(e.ModTime.Nanosecond()),
	}
	p.CtimeSeconds, p.CtimeNanos = splitTime(e.ChangeTime)
	if !e.ContentHash.IsZero() {
		p.ContentHash = e.ContentHash[:]
	}
	for _, x := range e.Xattrs {
		p.Xattrs = append(p.Xattrs, &archivev1.Xattr{Name: []byte(x.Name), Value: []byte(x.Value)})
	}
	return p
}

// EntryFromProto reads what EntryToProto writes. It fails if a field cannot be.
func EntryFromProto(p *archivev1.Entry) (Entry, error) {
	e := Entry{
		Path: string(p.GetPath()), SitePath: string(p.GetSitePath()),
		Type: EntryType(p.GetType()), Mode: p.GetMode(), UID: p.GetUid(), GID: p.GetGid(),
		Uname: string(p.GetUname()), Gname: string(p.GetGname()),
		Size: int64(p.GetSize()), Inode: p.GetInode(), Device: p.GetDevice(),
		LinkTarget: string(p.GetLinkTarget()), Offset: int64(p.GetOffset()), Span: p.GetSpan(), Sparse: p.GetSparse(),
		ModTime:    time.Unix(p.GetMtimeSeconds(), int64(p.GetMtimeNanos())).UTC(),
		ChangeTime: joinTime(p.GetCtimeSeconds(), p.GetCtimeNanos()),
	}
	for _, x := range p.GetXattrs() {
		e.Xattrs = append(e.Xattrs, Xattr{Name: string(x.GetName()), Value: string(x.GetValue())})
	}
	if err := setHash(&e.ContentHash, p.GetContentHash(), true); err != nil {
		return Entry{}, fmt.Errorf("entry %q: content hash: %w", e.Path, err)
	}
	return e, e.check()
}

// SectionToProto returns s as the index and the wire have it.
func SectionToProto(s *Section) *archivev1.Section {
	return &archivev1.Section{
		Kind: string(s.Kind), Name: []byte(s.Name), Offset: uint64(s.Offset), Length: uint64(s.Length),
		Rows: uint64(s.Rows), Frame: s.Frame, FrameOffset: uint64(s.FrameOffset),
	}
}

// SectionFromProto reads what SectionToProto writes. It fails if a field cannot be.
func SectionFromProto(p *archivev1.Section) (Section, error) {
	s := Section{
		Kind: SectionKind(p.GetKind()), Name: string(p.GetName()),
		Offset: int64(p.GetOffset()), Length: int64(p.GetLength()), Rows: int64(p.GetRows()),
		Frame: p.GetFrame(), FrameOffset: int64(p.GetFrameOffset()),
	}
	if s.Offset < 0 || s.Length < 0 || s.Rows < 0 || s.FrameOffset < 0 || s.Offset+s.Length < 0 {
		return Section{}, fmt.Errorf("section %s %q: a number is out of range", s.Kind, s.Name)
	}
	return s, nil
}

// TotalsToProto returns t as the manifest and the wire have it.
func TotalsToProto(t *Totals) *archivev1.Totals {
	return &archivev1.Totals{
		Entries: uint64(t.Entries), Files: uint64(t.Files), Directories: uint64(t.Directories),
		Symlinks: uint64(t.Symlinks), Hardlinks: uint64(t.Hardlinks), Bytes: uint64(t.Bytes),
	}
}

// TotalsFromProto reads what TotalsToProto writes.
func TotalsFromProto(p *archivev1.Totals) Totals {
	return Totals{
		Entries: int64(p.GetEntries()), Files: int64(p.GetFiles()), Directories: int64(p.GetDirectories()),
		Symlinks: int64(p.GetSymlinks()), Hardlinks: int64(p.GetHardlinks()), Bytes: int64(p.GetBytes()),
	}
}

func frameToProto(f *FrameInfo) *archivev1.FrameRecord {
	return &archivev1.FrameRecord{
		Kind: kindToProto(f.Kind), Offset: uint64(f.Offset), Length: uint64(f.Length),
		Padding: uint64(f.Padding), PlainLength: uint64(f.PlainLength),
		Hash: f.Hash[:], PlainHash: f.PlainHash[:],
	}
}

func frameFromProto(p *archivev1.FrameRecord) (FrameInfo, error) {
	f := FrameInfo{
		Kind: Kind(p.GetKind()), Offset: int64(p.GetOffset()), Length: int64(p.GetLength()),
		Padding: int64(p.GetPadding()), PlainLength: int64(p.GetPlainLength()),
	}
	if err := setHash(&f.Hash, p.GetHash(), false); err != nil {
		return f, fmt.Errorf("frame's hash: %w", err)
	}
	if err := setHash(&f.PlainHash, p.GetPlainHash(), false); err != nil {
		return f, fmt.Errorf("frame's plain hash: %w", err)
	}
	return f, f.check()
}

func kindToProto(k Kind) archivev1.FrameKind { return archivev1.FrameKind(k) }

// check refuses what no writer of ours makes, so that arithmetic and allocation
// that depend on it are safe.
func (f *FrameInfo) check() error {
	switch {
	case f.Kind < KindTree || f.Kind > KindGlue:
		return fmt.Errorf("frame of %s", f.Kind)
	case f.Offset < 0 || f.Length <= 0 || f.Length > MaxDataLength:
		return fmt.Errorf("frame at %d with length %d", f.Offset, f.Length)
	case f.Padding < 0 || f.Padding > maxPadding:
		return fmt.Errorf("frame with %d bytes of padding", f.Padding)
	case f.PlainLength < 0 || f.PlainLength > MaxPlainLength:
		return fmt.Errorf("frame with plain length %d", f.PlainLength)
	}
	return nil
}

// maxPadding is above the largest alignment and the largest empty member.
const maxPadding = 128 << 10

func (e *Entry) check() error {
	switch {
	case len(e.Path) < 2 || e.Path[:2] != "./":
		return fmt.Errorf("entry %q: its path does not begin with ./", e.Path)
	case e.Type < TypeRegular || e.Type > TypeHardlink:
		return fmt.Errorf("entry %q: %s", e.Path, e.Type)
	case e.Size < 0 || e.Offset < 0 || e.Offset > MaxPlainLength:
		return fmt.Errorf("entry %q: size %d, offset %d", e.Path, e.Size, e.Offset)
	case e.Mode&^07777 != 0:
		return fmt.Errorf("entry %q: mode %o", e.Path, e.Mode)
	}
	return nil
}

func setHash(h *Hash, b []byte, optional bool) error {
	if len(b) == 0 && optional {
		return nil
	}
	if len(b) != len(h) {
		return fmt.Errorf("%d bytes instead of %d", len(b), len(h))
	}
	copy(h[:], b)
	return nil
}

func splitTime(t time.Time) (int64, uint32) {
	if t.IsZero() {
		return 0, 0
	}
	return t.Unix(), uint32(t.Nanosecond())
}

// joinTime returns the zero Time for 0, 0: the one instant that is lost so is
// that of an absent time.
func joinTime(sec int64, nsec uint32) time.Time {
	if sec == 0 && nsec == 0 {
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}
