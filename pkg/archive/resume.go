package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// attempt is what came of a tree before its stream broke. Its frames lie in the
// file from the first byte on, and stay there when the next attempt refers to
// them in the same order.
type attempt struct {
	*Reader
	file   *os.File // the tarball
	spool  *os.File // of its index
	reused bitmap   // frames that an earlier tarball gave
	next   uint64   // the first frame that the next attempt has not met in its place

	cleared bool     // something else was written behind the frames that stayed
	split   int64    // from here on frames lie in side
	side    *os.File // nil: nothing was left that had to make room
}

// ReadAt reads a frame's bytes, wherever they are now. No frame lies on both sides of the split.
func (t *attempt) ReadAt(p []byte, off int64) (int, error) {
	return t.fileOf(off).ReadAt(p, off)
}

func (t *attempt) fileOf(off int64) *os.File {
	if t.side != nil && off >= t.split {
		return t.side
	}
	return t.file
}

func (t *attempt) close() {
	if t == nil {
		return
	}
	_ = t.spool.Close() // nothing in them is needed any more
	if t.side != nil {
		_ = t.side.Close()
	}
}

// bitmap is a set of frame numbers.
type bitmap []uint64

func (b *bitmap) set(n uint64) {
	for uint64(len(*b)) <= n/64 {
		*b = append(*b, 0)
	}
	(*b)[n/64] |= 1 << (n % 64)
}

func (b bitmap) has(n uint64) bool { return n/64 < uint64(len(b)) && b[n/64]&(1<<(n%64)) != 0 }

// SuspendTree begins the tree anew after its stream broke. It returns a reader
// over every tree frame that has come so far, in this attempt or in one before:
// the partial base of [ResumeFrames], to whose frames references may be appended
// as to those of an earlier tarball. They cost nothing as long as they come in the order of
// the broken attempt. The reader's index can be read until the next SuspendTree, Finish or
// Abort; it has no manifest.
func (a *Assembler) SuspendTree() (*Reader, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.open(); err != nil {
		return nil, err
	}
	if err := a.suspendTree(); err != nil {
		return nil, a.fail(fmt.Errorf("suspend the tree: %w", err))
	}
	return a.earlier.Reader, nil
}

func (a *Assembler) suspendTree() error {
	if err := a.keepRest(); err != nil {
		return err
	}
	if err := a.index.flush(); err != nil {
		return err
	}
	spool, err := spoolFile(a.opts.SpoolDir)
	if err != nil {
		return err
	}
	index, err := newIndexWriter(spool)
	if err != nil {
		return errors.Join(err, spool.Close())
	}
	t := &attempt{file: a.opts.File, spool: a.spool, reused: a.reused}
	t.Reader, err = unfinished(t, a.spool, a.index.payload, a.pos, a.opts.Codec.format)
	if err != nil {
		return errors.Join(err, spool.Close())
	}
	a.cursor.close()
	a.earlier.close()
	a.earlier, a.spool, a.index, a.reused = t, spool, index, nil
	a.pos, a.copied, a.shared, a.last, a.ownDump = 0, 0, 0, "", false
	a.tree = lane{}
	return nil
}

// unfinished reads an index that has neither manifest nor end.
func unfinished(data io.ReaderAt, spool *os.File, payload, size int64, format Format) (*Reader, error) {
	x, err := newIndex(spool, payload)
	if err != nil {
		return nil, err
	}
	r := &Reader{data: data, dump: data, size: size, format: format, index: x}
	return r, r.load(false)
}

// keepRest adds the frames that the attempt before had behind the place where
// this one broke: a connection may break again before it has come as far.
func (a *Assembler) keepRest() error {
	if a.earlier == nil {
		return nil
	}
	var open []FrameInfo // of a file whose entry has not come yet
	for f, err := range a.earlier.listed(a.earlier.next) {
		switch {
		case err != nil:
			return err
		case len(f.Entries) == 0:
			open = append(open, f.FrameInfo)
			continue
		case a.last == "" || ComparePaths(f.Entries[0].Name(), a.last) > 0:
			if err := a.takeBackAll(append(open, f.FrameInfo), f.Entries); err != nil {
				return err
			}
		}
		open = open[:0]
	}
	return a.takeBackAll(open, nil)
}

// takeBackAll takes frames back, the last of them with the entries that end in it.
func (a *Assembler) takeBackAll(frames []FrameInfo, entries []Entry) error {
	for i := range frames {
		var ending []Entry
		if i == len(frames)-1 {
			ending = entries
		}
		if err := a.takeBack(frames[i], ending); err != nil {
			return err
		}
	}
	return nil
}

// takeBack takes a frame of the attempt before. It stays where it is if it is the next one there.
func (a *Assembler) takeBack(f FrameInfo, entries []Entry) error {
	t := a.earlier
	reused := t.reused.has(f.Number)
	if !t.cleared && f.Number == t.next && f.Offset == a.pos {
		t.next++
		a.pos = f.End()
	} else if err := a.copyBack(&f); err != nil {
		return err
	}
	if reused {
		a.copied += f.Length + f.Padding
		a.reused.set(uint64(a.index.counts.Frames))
	}
	return a.list(&f, entries)
}

// copyBack copies a frame of the attempt before to the end of the file.
func (a *Assembler) copyBack(f *FrameInfo) error {
	if err := a.makeRoom(); err != nil {
		return err
	}
	copied, shared := a.copied, a.shared
	run := span{src: a.earlier.fileOf(f.Offset), offset: f.Offset, length: f.Length}
	f.Offset = a.pos
	if err := a.copyRun(&run); err != nil {
		return err
	}
	a.copied, a.shared = copied, shared
	return a.pad(f)
}

// makeRoom puts aside what the attempt before has behind the end, once something
// else comes there: it may be referred to later, and is gone when the tarball is finished.
func (a *Assembler) makeRoom() error {
	t := a.earlier
	if t == nil || t.cleared {
		return nil
	}
	t.cleared = true
	a.synced = a.pos
	if rest := t.size - a.pos; rest > 0 {
		side, err := spoolFile(a.opts.SpoolDir)
		if err != nil {
			return err
		}
		t.side, t.split = side, a.pos
		if _, err := copySpan(side, a.pos, span{src: t.file, offset: a.pos, length: rest}, a.opts.Align); err != nil {
			return fmt.Errorf("put frames aside: %w", err)
		}
	}
	if err := t.file.Truncate(a.pos); err != nil {
		return fmt.Errorf("put frames aside: %w", err)
	}
	return nil
}

// SuspendDump begins the dump anew after its stream broke: the snapshot that it
// was read from is gone. It returns a reader over the dump frames that have come
// so far, in this attempt or in one before, for [Reader.BaseDumpFrames] and for
// references. It is valid until Finish or Abort.
func (a *Assembler) SuspendDump() (*Reader, error) {
	d := &a.dump
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.begin(); err != nil {
		return nil, err
	}
	r, err := d.suspend()
	if err != nil {
		return nil, d.fail(fmt.Errorf("suspend the dump: %w", err))
	}
	return r, nil
}

func (d *dumpSpool) suspend() (*Reader, error) {
	if err := d.index.flush(); err != nil {
		return nil, err
	}
	if err := d.notes.Truncate(0); err != nil {
		return nil, err
	}
	if _, err := d.notes.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	d.buffered.Reset(d.notes)
	d.cursor.close()
	d.lane, d.rows, d.sections = lane{}, 0, nil
	return unfinished(d.data, d.received, d.index.payload, d.pos, d.opts.Codec.format)
}
