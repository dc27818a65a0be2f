package archive

import (
	"encoding/hex"
	"fmt"
	"time"
)

// Hash is a SHA-256 digest.
type Hash [32]byte

// String returns the hash in lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether the hash is absent.
func (h Hash) IsZero() bool { return h == Hash{} }

// ParseHash reads what String writes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return Hash{}, fmt.Errorf("hash %q: want %d hexadecimal digits", s, 2*len(h))
	}
	copy(h[:], b)
	return h, nil
}

// Kind says what a frame carries.
type Kind uint8

// The kinds of frames.
const (
	KindTree Kind = iota + 1 // headers and contents of the site's files
	KindDump                 // SQL of ./database.sql
	KindGlue                 // tar structure that the assembler makes
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case KindTree:
		return "tree"
	case KindDump:
		return "dump"
	case KindGlue:
		return "glue"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Frame is one independently compressed piece of a tarball on its way.
type Frame struct {
	Kind Kind
	// Data is the compressed bytes: exactly one zstd frame or gzip member. Who
	// receives a frame in a callback may use Data until the callback returns.
	Data []byte
	// PlainLength is how many bytes Data decompresses to.
	PlainLength int64
	// Hash and PlainHash are over Data and over what it decompresses to.
	Hash, PlainHash Hash
	// Entries end in this frame, in the order of the tarball. Only in tree frames,
	// and none in one whose file goes on in the next frame.
	Entries []Entry
	// Sections end in this frame. Only in dump frames.
	Sections []Section
}

// FrameInfo is what the index says of a frame.
type FrameInfo struct {
	// Number counts from 0 in the order of the file.
	Number uint64
	Kind   Kind
	// Offset in the file and Length of the compressed bytes; Padding bytes follow.
	Offset, Length, Padding int64
	PlainLength             int64
	Hash, PlainHash         Hash
}

// End returns the offset behind the frame and its padding.
func (f FrameInfo) End() int64 { return f.Offset + f.Length + f.Padding }

// Reference stands for frames that a base has already.
type Reference struct {
	// Kind is KindTree or KindDump.
	Kind Kind
	// Base tells several bases apart; it is what [BaseFrame] had.
	Base uint32
	// First is the number of the first frame in the base, Count how many
	// consecutive ones are meant.
	First, Count uint64
	// Override says that Entries take the place of those that the base lists for
	// the frame; Count is 1 then. It happens when bytes are the same and metadata
	// that only the index has (inode, ctime) is not.
	Override bool
	Entries  []Entry
	// Sections end in this frame of the new dump. Count is 1 then.
	Sections []Section
}

// BaseFrame is a tree frame of a base, as the index lists it, for a [Source].
type BaseFrame struct {
	// Base is copied to references.
	Base uint32
	// Number of the frame in that base.
	Number      uint64
	PlainLength int64
	PlainHash   Hash
	// Entries that end in the frame, in the order of the walk. What yields frames
	// may use their memory for the next frame's.
	Entries []Entry
}

// BaseDumpFrame is a dump frame of a base, for a [DumpFramer].
type BaseDumpFrame struct {
	Base      uint32
	Number    uint64
	PlainHash Hash
}

// SectionKind says what the statements of a section make. Readers accept words
// other than those below.
type SectionKind string

// Kinds of sections.
const (
	SectionHead     SectionKind = "head"     // session settings before everything else
	SectionTable    SectionKind = "table"    // structure of a table
	SectionData     SectionKind = "data"     // rows of a table
	SectionView     SectionKind = "view"     // a view
	SectionTrigger  SectionKind = "trigger"  // triggers of the table in Name
	SectionRoutine  SectionKind = "routine"  // functions and procedures
	SectionEvent    SectionKind = "event"    // scheduled events
	SectionSequence SectionKind = "sequence" // a sequence
	SectionTail     SectionKind = "tail"     // session settings after everything else, end mark
)

// Section is a run of statements of a dump.
type Section struct {
	Kind SectionKind
	// Name of the object; for triggers, of the table. Any bytes.
	Name string
	// Offset in the dump, and Length, in bytes.
	Offset, Length int64
	Rows           int64
	// Frame and FrameOffset say where the section begins, in what a [Reader]
	// returns. Elsewhere they are 0.
	Frame       uint64
	FrameOffset int64
}

// WarningKind says what went wrong with an entry.
type WarningKind string

// Kinds of warnings.
const (
	WarnChanged    WarningKind = "changed"    // changed while it was read
	WarnVanished   WarningKind = "vanished"   // was gone when it was to be read; left out
	WarnUnreadable WarningKind = "unreadable" // could not be read; left out, or filled with zeros
	WarnSpecial    WarningKind = "special"    // socket, fifo or device; left out
	WarnMetadata   WarningKind = "metadata"   // an attribute could not be read or restored
	WarnOwner      WarningKind = "owner"      // an owner's name is unknown here, or owners cannot be set
	WarnSetID      WarningKind = "setid"      // set-id bits or capabilities were dropped
	WarnUnseen     WarningKind = "unseen"     // content differs from the base's, and nothing else does
	WarnLimit      WarningKind = "limit"      // too deep, or more than a bound of the format
)

// Warning names an entry that is not in the tarball, or not on disk, as it was.
type Warning struct {
	Kind WarningKind
	// Path in the site, beginning with "./".
	Path   string
	Detail string
}

// String returns the warning as one line.
func (w Warning) String() string {
	return fmt.Sprintf("%q: %s: %s", w.Path, w.Kind, w.Detail)
}

// Item is one thing that a [Source] or a [DumpFramer] emits. Exactly one field is set.
type Item struct {
	Frame     *Frame
	Reference *Reference
	Warning   *Warning
}

// Totals are sums over entries of the site.
type Totals struct {
	Entries, Files, Directories, Symlinks, Hardlinks int64
	// Bytes in regular files, holes included.
	Bytes int64
}

// Summary closes the stream of a [Source] or of a [DumpFramer]. A stream without
// one is incomplete.
type Summary struct {
	Totals
	// Frames counts all frames, those in references included.
	Frames int64
	// References counts frames that were sent as references.
	References int64
	// PlainBytes is the length of the tar stream, or of the dump.
	PlainBytes int64
	// SentBytes is the compressed length of the frames that were sent.
	SentBytes int64
	// ReadBytes is how much was read from files; what was compared first, and had
	// changed, counts twice.
	ReadBytes int64
	// Sections and Rows are those of a dump, and DumpHash is over all of it.
	Sections, Rows int64
	DumpHash       Hash
	Warnings       int64
	// StartedAt and FinishedAt are by the clock of the machine that read.
	StartedAt, FinishedAt time.Time
}
