package archive

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// dumpSpool keeps the frames of a dump until the tree is complete. Frames lie in
// one nameless file, what is known of them in another; frames of a base are
// noted and not copied. A third lists every frame that came, for an attempt
// after this one.
type dumpSpool struct {
	opts *AssemblerOptions

	mu       sync.Mutex
	data     *os.File
	notes    *os.File
	buffered *bufio.Writer
	received *os.File // what index writes
	index    *indexWriter
	pos      int64
	lane     lane
	rows     int64
	bases    []*Reader
	cursor   cursor
	sections []Section
	summary  Summary
	failed   error
	done     bool
}

// spooledFrame is a note, of fixed size.
type spooledFrame struct {
	Source                      uint64 // 0: the spool; k: bases[k-1]
	Offset, Length, PlainLength int64
	Hash, PlainHash             Hash
}

func (d *dumpSpool) append(f *Frame) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(); err != nil {
		return err
	}
	note := spooledFrame{
		Offset: d.pos, Length: int64(len(f.Data)), PlainLength: f.PlainLength,
		Hash: f.Hash, PlainHash: f.PlainHash,
	}
	if _, err := d.data.WriteAt(f.Data, d.pos); err != nil {
		return d.fail(fmt.Errorf("spool the dump: %w", err))
	}
	info := FrameInfo{
		Kind: KindDump, Offset: note.Offset, Length: note.Length, PlainLength: note.PlainLength,
		Hash: note.Hash, PlainHash: note.PlainHash,
	}
	if err := d.index.frame(&info, nil); err != nil {
		return d.fail(fmt.Errorf("spool the dump: %w", err))
	}
	d.pos += note.Length
	if d.opts.Align > 0 {
		d.pos += padTo(d.pos, d.opts.Align)
	}
	return d.note(&note, f.Sections)
}

// begin makes the spools when the first frame comes.
func (d *dumpSpool) begin() error {
	switch {
	case d.done:
		return fmt.Errorf("assemble a tarball: %w", ErrClosed)
	case d.failed != nil:
		return fmt.Errorf("assemble a tarball: it failed before: %w", d.failed)
	case d.lane.closed:
		return errors.New("assemble a tarball: a dump frame came after the dump's summary")
	case d.data != nil:
		return nil
	}
	if err := d.openSpools(); err != nil {
		return d.fail(err)
	}
	d.buffered = bufio.NewWriter(d.notes)
	return nil
}

func (d *dumpSpool) openSpools() (err error) {
	for _, f := range []**os.File{&d.data, &d.notes, &d.received} {
		if *f, err = spoolFile(d.opts.SpoolDir); err != nil {
			return err
		}
	}
	d.index, err = newIndexWriter(d.received)
	return err
}

func (d *dumpSpool) fail(err error) error {
	d.failed = err
	return err
}

func (d *dumpSpool) note(n *spooledFrame, sections []Section) error {
	if err := binary.Write(d.buffered, binary.LittleEndian, n); err != nil {
		return d.fail(fmt.Errorf("spool the dump: %w", err))
	}
	for _, s := range sections {
		d.rows += s.Rows
	}
	d.sections = append(d.sections, sections...)
	d.lane.frames++
	d.lane.plain += n.PlainLength
	return nil
}

// reference notes dump frames of a base.
func (d *dumpSpool) reference(base *Reader, ref *Reference) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(); err != nil {
		return err
	}
	source := d.sourceOf(base)
	for n := ref.First; n < ref.First+ref.Count; n++ {
		f, err := d.cursor.frame(base, n)
		if err != nil {
			return d.fail(fmt.Errorf("base: %w", err))
		}
		if f.Kind != KindDump {
			return d.fail(fmt.Errorf("reference to a %s frame as a dump frame", f.Kind))
		}
		note := spooledFrame{
			Source: source, Offset: f.Offset, Length: f.Length, PlainLength: f.PlainLength,
			Hash: f.Hash, PlainHash: f.PlainHash,
		}
		if err := d.note(&note, ref.Sections); err != nil {
			return err
		}
		d.lane.references++
	}
	return nil
}

func (d *dumpSpool) sourceOf(base *Reader) uint64 {
	if base.dump == d.data {
		return 0
	}
	for i, b := range d.bases {
		if b == base {
			return uint64(i + 1)
		}
	}
	d.bases = append(d.bases, base)
	return uint64(len(d.bases))
}

// CloseDump says that the dump's frames are complete and compares what came with
// the framer's summary. A tarball may do without a dump.
func (a *Assembler) CloseDump(s Summary) error {
	d := &a.dump
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(); err != nil {
		return err
	}
	l := &d.lane
	if l.frames != s.Frames || l.references != s.References || l.plain != s.PlainBytes ||
		int64(len(d.sections)) != s.Sections || d.rows != s.Rows {
		return fmt.Errorf("%w: the dump's summary tells %d frames, %d references, %d bytes, %d sections and %d rows, but %d, %d, %d, %d and %d came",
			ErrIncomplete, s.Frames, s.References, s.PlainBytes, s.Sections, s.Rows, l.frames, l.references, l.plain, len(d.sections), d.rows)
	}
	if err := d.buffered.Flush(); err != nil {
		return d.fail(fmt.Errorf("spool the dump: %w", err))
	}
	l.closed = true
	d.summary = s
	return nil
}

// source returns the file that a note's frame lies in.
func (d *dumpSpool) source(n *spooledFrame) io.ReaderAt {
	if n.Source == 0 {
		return d.data
	}
	return d.bases[n.Source-1].dump
}

// each calls fn for every note in order.
func (d *dumpSpool) each(fn func(*spooledFrame) error) error {
	if d.notes == nil {
		return nil
	}
	r := bufio.NewReader(io.NewSectionReader(d.notes, 0, 1<<62))
	for range d.lane.frames {
		var n spooledFrame
		if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
			return fmt.Errorf("read the dump's spool: %w", err)
		}
		if err := fn(&n); err != nil {
			return err
		}
	}
	return nil
}

func (d *dumpSpool) close() {
	d.done = true
	d.cursor.close()
	for _, f := range []*os.File{d.data, d.notes, d.received} {
		if f != nil {
			_ = f.Close() // nothing in it is needed any more
		}
	}
}
