package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sync"
)

// AssemblerOptions says where an [Assembler] writes.
type AssemblerOptions struct {
	// File takes the tarball. It is empty, open for reading and writing, and
	// stays the caller's to close, rename or remove.
	File *os.File
	// SpoolDir is where nameless temporary files are made: on File's file system,
	// best its directory.
	SpoolDir string
	// Codec must be that of the frames.
	Codec Codec
	// Align pads frames to a multiple of so many bytes, a power of two from 512 to
	// 32768, so that a file system can share their blocks; 0 means no padding. See
	// [ProbeSharedBlocks].
	Align int64
}

func (o *AssemblerOptions) check() error {
	if o.File == nil {
		return errors.New("assemble a tarball: no file")
	}
	if _, err := ParseFormat(string(o.Codec.format)); err != nil {
		return err
	}
	if o.Align != 0 && (o.Align < blockSize || o.Align > maxAlign || o.Align&(o.Align-1) != 0) {
		return fmt.Errorf("assemble a tarball: alignment %d is not a power of two from %d to %d", o.Align, blockSize, maxAlign)
	}
	st, err := o.File.Stat()
	if err != nil {
		return fmt.Errorf("assemble a tarball: %w", err)
	}
	if st.Size() != 0 {
		return fmt.Errorf("assemble a tarball: %s is not empty", o.File.Name())
	}
	return nil
}

// Result describes a finished tarball.
type Result struct {
	// Size of the file in bytes, and SHA-256 over its index.
	Size   int64
	Digest Hash
	Counts
	// NewBytes came as frames or were made here; CopiedBytes came from a base, and
	// SharedBytes of them share blocks with it.
	NewBytes, CopiedBytes, SharedBytes int64
}

// Assembler makes a tarball from frames. Tree frames and dump frames may come at
// the same time from two goroutines; frames of one kind come in order.
type Assembler struct {
	opts AssemblerOptions

	mu     sync.Mutex // tree frames, file and index
	index  *indexWriter
	spool  *os.File // of the index
	pos    int64
	synced int64
	copied int64
	shared int64
	tree   lane
	cursor cursor
	failed error
	done   bool
	// earlier, if not nil, is what came before the stream broke; reused are the
	// frames so far that an earlier tarball gave, last the last entry's name.
	earlier *attempt
	reused  bitmap
	last    string
	// ownDump says that a file of the site is called as the dump would be.
	ownDump bool

	summary Summary // of the tree, once closed
	dump    dumpSpool
}

// lane sums up what came of one kind, to be compared with the summary.
type lane struct {
	Totals
	frames, references, plain int64
	closed                    bool
}

// NewAssembler begins a tarball.
func NewAssembler(opts AssemblerOptions) (*Assembler, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	spool, err := spoolFile(opts.SpoolDir)
	if err != nil {
		return nil, err
	}
	index, err := newIndexWriter(spool)
	if err != nil {
		return nil, errors.Join(err, spool.Close())
	}
	a := &Assembler{opts: opts, index: index, spool: spool}
	a.dump.opts = &a.opts
	return a, nil
}

// Append adds a frame, of the tree or of the dump. It compares the frame's bytes
// with its hash and keeps no reference to it.
func (a *Assembler) Append(ctx context.Context, f Frame) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkFrame(&f); err != nil {
		return fmt.Errorf("append %s frame: %w", f.Kind, err)
	}
	switch f.Kind {
	case KindTree:
		return a.appendTree(&f)
	case KindDump:
		return a.dump.append(&f)
	}
	return fmt.Errorf("append %s frame: only tree and dump frames are sent", f.Kind)
}

func checkFrame(f *Frame) error {
	info := FrameInfo{Kind: f.Kind, Length: int64(len(f.Data)), PlainLength: f.PlainLength}
	if err := info.check(); err != nil {
		return err
	}
	if sha256.Sum256(f.Data) != f.Hash {
		return corruptAt(-1, "its bytes differ from their hash")
	}
	return nil
}

func (a *Assembler) appendTree(f *Frame) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.open(); err != nil {
		return err
	}
	if err := a.place(f); err != nil {
		return a.fail(err)
	}
	a.tree.frames++
	a.tree.plain += f.PlainLength
	return nil
}

func (a *Assembler) open() error {
	if a.done {
		return fmt.Errorf("assemble a tarball: %w", ErrClosed)
	}
	if a.failed != nil {
		return fmt.Errorf("assemble a tarball: it failed before: %w", a.failed)
	}
	if a.tree.closed {
		return errors.New("assemble a tarball: a tree frame came after the tree's summary")
	}
	return nil
}

// fail notes that file and index may not agree any more.
func (a *Assembler) fail(err error) error {
	a.failed = err
	return err
}

// place writes a frame at the end of the file and into the index.
func (a *Assembler) place(f *Frame) error {
	if err := a.makeRoom(); err != nil {
		return err
	}
	info := FrameInfo{
		Kind: f.Kind, Offset: a.pos, Length: int64(len(f.Data)), PlainLength: f.PlainLength,
		Hash: f.Hash, PlainHash: f.PlainHash,
	}
	if err := a.write(f.Data); err != nil {
		return err
	}
	if err := a.pad(&info); err != nil {
		return err
	}
	return a.list(&info, f.Entries)
}

// list writes a frame and the entries that end in it into the index.
func (a *Assembler) list(info *FrameInfo, entries []Entry) error {
	for i := range entries {
		e := &entries[i]
		if err := e.check(); err != nil {
			return err
		}
		if e.Span > uint64(a.index.counts.Frames) {
			return fmt.Errorf("entry %q begins before the first frame", e.Path)
		}
		if info.Kind == KindTree {
			a.tree.add(e)
			a.ownDump = a.ownDump || e.Path == DumpPath
			a.last = e.Name()
		}
	}
	return a.index.frame(info, entries)
}

func (t *Totals) add(e *Entry) {
	t.Entries++
	switch e.Type {
	case TypeRegular:
		t.Files++
		t.Bytes += e.Size
	case TypeDirectory:
		t.Directories++
	case TypeSymlink:
		t.Symlinks++
	case TypeHardlink:
		t.Hardlinks++
	}
}

// pad brings the end of the file to the alignment and notes by how much.
func (a *Assembler) pad(info *FrameInfo) error {
	info.Padding = paddingFor(a.opts.Codec.format, a.pos, a.opts.Align)
	return a.write(appendPadding(nil, a.opts.Codec.format, info.Padding))
}

func (a *Assembler) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := a.opts.File.WriteAt(b, a.pos); err != nil {
		return fmt.Errorf("write tarball: %w", err)
	}
	a.pos += int64(len(b))
	a.writeBehind()
	return nil
}

// CloseTree says that the site's frames are complete and compares what came with
// the source's summary. A tarball may do without a tree.
func (a *Assembler) CloseTree(s Summary) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.open(); err != nil {
		return err
	}
	t := &a.tree
	if t.frames != s.Frames || t.references != s.References || t.plain != s.PlainBytes || t.Totals != s.Totals {
		return fmt.Errorf("%w: the source's summary tells %d frames, %d entries and %d bytes, but %d, %d and %d came",
			ErrIncomplete, s.Frames, s.Entries, s.PlainBytes, t.frames, t.Entries, t.plain)
	}
	t.closed = true
	a.summary = s
	return nil
}
