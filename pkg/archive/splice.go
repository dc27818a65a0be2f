package archive

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

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
	again := a.earlier != nil && base == a.earlier.Reader
	if !again {
		if err := a.makeRoom(); err != nil {
			return err
		}
	}
	run := span{src: base.data, stored: true}
	for n := ref.First; n < ref.First+ref.Count; n++ {
		f, err := a.cursor.frame(base, n)
		if err != nil {
			return fmt.Errorf("base: %w", err)
		}
		if f.Kind != KindTree {
			return fmt.Errorf("reference to a %s frame as a tree frame", f.Kind)
		}
		if ref.Override {
			f.Entries = ref.Entries
		}
		if again {
			err = a.takeBack(f.FrameInfo, f.Entries)
		} else {
			err = a.spliceFrame(&run, &f)
		}
		if err != nil {
			return err
		}
		a.tree.frames++
		a.tree.references++
		a.tree.plain += f.PlainLength
	}
	return a.copyRun(&run)
}

// spliceFrame adds a frame of an earlier tarball to the run that will be copied, and to the index.
func (a *Assembler) spliceFrame(run *span, f *listedFrame) error {
	if err := a.extend(run, &f.FrameInfo); err != nil {
		return err
	}
	a.reused.set(uint64(a.index.counts.Frames))
	return a.list(&f.FrameInfo, f.Entries)
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

// copyRun copies a run to the end of the file and makes it empty. Where blocks
// may be shared that is one step, otherwise as many as keep the page cache small.
func (a *Assembler) copyRun(run *span) error {
	step := int64(cacheStep)
	if a.opts.Align > 0 {
		step = run.length
	}
	for run.length > 0 {
		piece := *run
		piece.length = min(run.length, step)
		shared, err := copySpan(a.opts.File, a.pos, piece, a.opts.Align)
		if err != nil {
			return err
		}
		dropCopied(&piece)
		a.pos += piece.length
		a.copied += piece.length
		a.shared += shared
		a.writeBehind()
		run.offset, run.length = run.offset+piece.length, run.length-piece.length
	}
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
