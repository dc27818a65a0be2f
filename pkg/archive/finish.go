package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// endBlocks is how many zero bytes end a tar stream.
const endBlocks = 2 * blockSize

// dumpMode is the mode of ./database.sql.
const dumpMode = 0o600

// Finish writes the dump, the end of the tar stream, the index with the manifest
// and the trailer, and syncs the file. It fails with [ErrIncomplete] if frames
// came that no summary closed. totals, walk_started_at and dump.bytes of the
// manifest are filled in from the summaries. Afterwards only Abort may be called.
func (a *Assembler) Finish(ctx context.Context, m *archivev1.Manifest) (Result, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dump.mu.Lock()
	defer a.dump.mu.Unlock()
	if err := a.complete(m); err != nil {
		return Result{}, err
	}
	m = a.fillManifest(m)
	if err := a.endTar(ctx, m.GetCreatedAt().AsTime()); err != nil {
		return Result{}, a.fail(err)
	}
	digest, err := a.writeIndex(m)
	if err != nil {
		return Result{}, a.fail(err)
	}
	if err := a.opts.File.Sync(); err != nil {
		return Result{}, a.fail(fmt.Errorf("sync tarball: %w", err))
	}
	a.release()
	return Result{
		Size: a.pos, Digest: digest, Counts: a.index.counts,
		NewBytes: a.pos - a.copied, CopiedBytes: a.copied, SharedBytes: a.shared,
	}, nil
}

// complete says whether everything that was begun was also closed.
func (a *Assembler) complete(m *archivev1.Manifest) error {
	d := &a.dump
	switch {
	case a.done:
		return fmt.Errorf("finish a tarball: %w", ErrClosed)
	case a.failed != nil || d.failed != nil:
		return fmt.Errorf("finish a tarball: it failed before: %w", errors.Join(a.failed, d.failed))
	case a.tree.frames > 0 && !a.tree.closed:
		return fmt.Errorf("finish a tarball: %w: no summary closed the site's files", ErrIncomplete)
	case d.lane.frames > 0 && !d.lane.closed:
		return fmt.Errorf("finish a tarball: %w: no summary closed the dump", ErrIncomplete)
	case a.ownDump && d.lane.closed:
		return fmt.Errorf("finish a tarball: the site's own %s has the name of the dump: make its frames without NoDump", DumpPath)
	case m.GetDump() != nil && !d.lane.closed:
		return fmt.Errorf("finish a tarball: %w: the manifest tells of a dump that did not come", ErrIncomplete)
	}
	return nil
}

func (a *Assembler) fillManifest(m *archivev1.Manifest) *archivev1.Manifest {
	m = proto.Clone(m).(*archivev1.Manifest)
	if m == nil {
		m = new(archivev1.Manifest)
	}
	if a.tree.closed {
		m.WalkStartedAt = timestamppb.New(a.summary.StartedAt)
		m.Totals = TotalsToProto(&a.tree.Totals)
	}
	if a.dump.lane.closed {
		if m.Dump == nil {
			m.Dump = new(archivev1.Dump)
		}
		m.Dump.Bytes = uint64(a.dump.lane.plain)
	}
	return m
}

// endTar writes the dump, if there is one, and the end of the tar stream.
func (a *Assembler) endTar(ctx context.Context, created time.Time) error {
	glue, err := newCompressor(a.opts.Codec, 64<<10)
	if err != nil {
		return err
	}
	if !a.dump.lane.closed {
		return a.placeGlue(glue, make([]byte, endBlocks), nil)
	}
	e := Entry{
		Path: DumpPath, Type: TypeRegular, Mode: dumpMode, Uname: "root", Gname: "root",
		Size: a.dump.lane.plain, ModTime: created, ContentHash: a.dump.summary.DumpHash,
		Span: uint64(a.dump.lane.frames) + 1,
	}
	if err := a.placeGlue(glue, appendHeader(nil, &e, e.Size, a.opts.Codec.format), nil); err != nil {
		return err
	}
	if err := a.placeDump(ctx); err != nil {
		return err
	}
	return a.placeGlue(glue, make([]byte, padTo(e.Size, blockSize)+endBlocks), []Entry{e})
}

func (a *Assembler) placeGlue(c *compressor, plain []byte, entries []Entry) error {
	f, err := c.frame(KindGlue, nil, plain)
	if err != nil {
		return err
	}
	f.Entries = entries
	return a.place(&f)
}

// placeDump copies the dump's frames from spool and bases, and tells its
// sections where they begin.
func (a *Assembler) placeDump(ctx context.Context) error {
	d := &a.dump
	locate := locator{sections: d.sections}
	err := d.each(func(n *spooledFrame) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		locate.frame(uint64(a.index.counts.Frames), n.PlainLength)
		return a.placeSpooled(n)
	})
	if err != nil {
		return err
	}
	return locate.finish()
}

func (a *Assembler) placeSpooled(n *spooledFrame) error {
	info := FrameInfo{
		Kind: KindDump, Offset: a.pos, Length: n.Length, PlainLength: n.PlainLength,
		Hash: n.Hash, PlainHash: n.PlainHash,
	}
	copied, shared := a.copied, a.shared
	if err := a.copyRun(&span{src: a.dump.source(n), offset: n.Offset, length: n.Length, stored: n.Source != 0}); err != nil {
		return err
	}
	if n.Source == 0 {
		a.copied, a.shared = copied, shared // it came as a frame
	}
	if err := a.pad(&info); err != nil {
		return err
	}
	return a.list(&info, nil)
}

// locator finds the frame in which each section begins.
type locator struct {
	sections []Section
	next     int
	start    int64 // of the frame, in the dump
}

func (l *locator) frame(number uint64, length int64) {
	end := l.start + length
	for l.next < len(l.sections) {
		s := &l.sections[l.next]
		if s.Offset < l.start || s.Offset >= end {
			break
		}
		s.Frame, s.FrameOffset = number, s.Offset-l.start
		l.next++
	}
	l.start = end
}

// finish checks that every section lies in the dump. Only those at its very end
// have no frame that they could begin in.
func (l *locator) finish() error {
	for i, s := range l.sections {
		if s.Offset < 0 || s.Length < 0 || s.Offset+s.Length > l.start || (i >= l.next && s.Offset != l.start) {
			return fmt.Errorf("section %s %q at %d with %d bytes is not in the dump, or out of order", s.Kind, s.Name, s.Offset, s.Length)
		}
	}
	return nil
}

// writeIndex writes the rest of the index, its carriers and the trailer.
func (a *Assembler) writeIndex(m *archivev1.Manifest) (Hash, error) {
	for i := range a.dump.sections {
		if err := a.index.section(&a.dump.sections[i]); err != nil {
			return Hash{}, err
		}
	}
	if err := a.index.close(m); err != nil {
		return Hash{}, err
	}
	t := trailer{
		format: a.opts.Codec.format, indexOffset: a.pos,
		payload: a.index.payload, plain: a.index.plain, digest: a.index.digest(),
	}
	if err := a.writeCarriers(&t); err != nil {
		return Hash{}, err
	}
	return t.digest, a.write(t.encode())
}

func (a *Assembler) writeCarriers(t *trailer) error {
	each := carrierPayload(t.format)
	payload, sum := make([]byte, each), sha256.New()
	for off := int64(0); off < t.payload; off += each {
		piece := payload[:min(each, t.payload-off)]
		if _, err := io.ReadFull(io.NewSectionReader(a.spool, off, int64(len(piece))), piece); err != nil {
			return fmt.Errorf("read the index's spool: %w", err)
		}
		carrier := appendCarrier(nil, t.format, tagIndex, piece)
		sum.Write(carrier)
		if err := a.write(carrier); err != nil {
			return err
		}
	}
	t.indexLength, t.region = a.pos-t.indexOffset, Hash(sum.Sum(nil))
	return nil
}

// Abort gives up and frees the spools. After Finish it does nothing. The caller
// removes the file.
func (a *Assembler) Abort() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dump.mu.Lock()
	defer a.dump.mu.Unlock()
	a.release()
}

func (a *Assembler) release() {
	if a.done {
		return
	}
	a.done = true
	a.cursor.close()
	a.earlier.close()
	a.dump.close()
	_ = a.spool.Close() // nothing in it is needed any more
}
