package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"

	"golang.org/x/sys/unix"
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

// writeBehind lets the kernel begin to write what has come, so that the sync at
// the end finds little to do. It is a hint: errors show at the sync.
func (a *Assembler) writeBehind() {
	const step = 16 << 20
	if a.pos-a.synced < step {
		return
	}
	_ = unix.SyncFileRange(int(a.opts.File.Fd()), a.synced, a.pos-a.synced, unix.SYNC_FILE_RANGE_WRITE)
	a.synced = a.pos
}

// AppendReference adds frames that base has. The reader stays the caller's, and
// open until Finish or Abort.
func (a *Assembler) AppendReference(ctx context.Context, base *Reader, ref Reference) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkReference(base, &ref, a.opts.Codec.format); err != nil {
		return err
	}
	if ref.Kind == KindDump {
		return a.dump.reference(base, &ref)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.open(); err != nil {
		return err
	}
	if err := a.splice(base, &ref); err != nil {
		return a.fail(err)
	}
	return nil
}

func checkReference(base *Reader, ref *Reference, f Format) error {
	if base == nil {
		return fmt.Errorf("reference to base %d, which is not there", ref.Base)
	}
	if base.format != f {
		return fmt.Errorf("reference into a %s tarball from a %s one", base.format, f)
	}
	if ref.Kind != KindTree && ref.Kind != KindDump {
		return fmt.Errorf("reference to %s frames", ref.Kind)
	}
	frames := uint64(base.counts.Frames)
	if ref.Count == 0 || ref.First >= frames || ref.Count > frames-ref.First {
		return fmt.Errorf("reference to frames %d to %d of a base with %d", ref.First, ref.First+ref.Count, frames)
	}
	if (ref.Override || len(ref.Sections) > 0) && ref.Count != 1 {
		return errors.New("reference to several frames with entries or sections of its own")
	}
	return nil
}

// splice copies frames of a base and lists them anew. Neighbours whose padding
// suits are copied as one run.
func (a *Assembler) splice(base *Reader, ref *Reference) error {
	run := span{src: base.data}
	for n := ref.First; n < ref.First+ref.Count; n++ {
		f, err := a.cursor.frame(base, n)
		if err != nil {
			return fmt.Errorf("base: %w", err)
		}
		if f.Kind != KindTree {
			return fmt.Errorf("reference to a %s frame as a tree frame", f.Kind)
		}
		if err := a.extend(&run, &f.FrameInfo); err != nil {
			return err
		}
		entries := f.Entries
		if ref.Override {
			entries = ref.Entries
		}
		if err := a.list(&f.FrameInfo, entries); err != nil {
			return err
		}
		a.tree.frames++
		a.tree.references++
		a.tree.plain += f.PlainLength
	}
	return a.copyRun(&run)
}

// extend adds a frame to the run that will be copied, turns its place into that
// in the new tarball, and gives it the padding that it needs there. If that is
// not the padding it has, the run ends with it.
func (a *Assembler) extend(run *span, f *FrameInfo) error {
	if run.length == 0 {
		run.offset = f.Offset
	}
	had, at := f.Padding, a.pos+run.length
	f.Offset = at
	f.Padding = paddingFor(a.opts.Codec.format, at+f.Length, a.opts.Align)
	run.length += f.Length
	if f.Padding == had {
		run.length += had
		return nil
	}
	if err := a.copyRun(run); err != nil {
		return err
	}
	return a.write(appendPadding(nil, a.opts.Codec.format, f.Padding))
}

// copyRun copies a run to the end of the file and makes it empty.
func (a *Assembler) copyRun(run *span) error {
	if run.length == 0 {
		return nil
	}
	shared, err := copySpan(a.opts.File, a.pos, *run, a.opts.Align)
	if err != nil {
		return err
	}
	a.pos += run.length
	a.copied += run.length
	a.shared += shared
	a.writeBehind()
	run.length = 0
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

// cursor reads frames of a base, which are mostly asked for in their order.
type cursor struct {
	base *Reader
	at   uint64 // number of the next frame
	next func() (listedFrame, error, bool)
	stop func()
}

// frame returns frame n of base with its entries, valid until the next call.
func (c *cursor) frame(base *Reader, n uint64) (listedFrame, error) {
	if c.next == nil || c.base != base || c.at != n {
		c.close()
		c.base, c.at = base, n
		c.next, c.stop = iter.Pull2(base.listed(n))
	}
	f, err, ok := c.next()
	if err != nil {
		return listedFrame{}, err
	}
	if !ok {
		return listedFrame{}, fmt.Errorf("it has no frame %d", n)
	}
	c.at++
	return f, nil
}

func (c *cursor) close() {
	if c.stop != nil {
		c.stop()
	}
	*c = cursor{}
}
