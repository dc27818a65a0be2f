package archive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	archivev1 "github.com/sitekeep/sitekeep/proto/sitekeep/archive/v1"
)

// Reader reads a tarball of ours through its index. Its methods may be used from
// several goroutines. It holds neither the list of entries nor that of frames.
type Reader struct {
	data   io.ReaderAt // tree and glue frames
	dump   io.ReaderAt // dump frames: the same file, unless the tarball is unfinished
	closer io.Closer
	size   int64
	format Format

	index    *index
	trailer  trailer
	digest   Hash
	manifest *archivev1.Manifest
	counts   Counts
}

// Counts says how much is in a tarball.
type Counts struct {
	Frames, Entries, Sections int64
	// PlainBytes is the length of the tar stream.
	PlainBytes int64
}

// Open reads and checks trailer and index of a tarball of size bytes, and so its
// digest. It fails with [ErrNoIndex], [ErrCorrupt] or [ErrVersion]. Frames are
// checked when they are read.
func Open(r io.ReaderAt, size int64) (*Reader, error) {
	t, err := readTrailer(r, size)
	if err != nil {
		return nil, err
	}
	if err := checkRegion(r, &t); err != nil {
		return nil, err
	}
	payload := &carried{src: r, format: t.format, offset: t.indexOffset, payload: t.payload}
	x, err := newIndex(payload, t.payload)
	if err != nil {
		return nil, err
	}
	rd := &Reader{data: r, dump: r, size: size, format: t.format, trailer: t, index: x}
	if err := rd.load(true); err != nil {
		return nil, corruptAt(t.indexOffset, "index: %v", err)
	}
	return rd, nil
}

// checkRegion compares the index as it stands in the file with the trailer's hash.
func checkRegion(r io.ReaderAt, t *trailer) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(r, t.indexOffset, t.indexLength)); err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	if Hash(sum.Sum(nil)) != t.region {
		return corruptAt(t.indexOffset, "the index differs from the hash in the trailer")
	}
	return nil
}

// OpenFile opens a tarball by name; Close closes it.
func OpenFile(name string) (*Reader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open tarball: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open tarball: %w", err), f.Close())
	}
	r, err := Open(f, st.Size())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tarball %s: %w", name, err), f.Close())
	}
	r.closer = f
	return r, nil
}

// Close closes a file that OpenFile opened. After Open it does nothing.
func (r *Reader) Close() error {
	if r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// Format returns the tarball's format.
func (r *Reader) Format() Format { return r.format }

// Size returns the file's size in bytes.
func (r *Reader) Size() int64 { return r.size }

// Digest returns the SHA-256 over the index.
func (r *Reader) Digest() Hash { return r.digest }

// Manifest returns a copy of the manifest.
func (r *Reader) Manifest() *archivev1.Manifest {
	return proto.Clone(r.manifest).(*archivev1.Manifest)
}

// WalkStarted returns when the walk began that the tarball was made of, by the
// clock of the machine that was read; long ago if that is not recorded.
func (r *Reader) WalkStarted() time.Time { return r.manifest.GetWalkStartedAt().AsTime() }

// Counts returns how much is in the tarball.
func (r *Reader) Counts() Counts { return r.counts }

// loader is the state of the one pass over the index that opening takes.
type loader struct {
	r        *Reader
	sum      hash.Hash
	complete bool // the index has its manifest and its end
	end      *archivev1.IndexEnd
	last     FrameInfo
	after    []byte
}

// load reads the whole index once: it notes where blocks begin, checks that the
// frames cover the file without a gap, and compares counts and digest.
func (r *Reader) load(complete bool) error {
	l := &loader{r: r, sum: sha256.New(), complete: complete}
	if err := l.blocks(); err != nil {
		return err
	}
	r.digest = Hash(l.sum.Sum(nil))
	if !complete {
		return nil
	}
	return l.finish()
}

func (l *loader) blocks() error {
	var buf blockBuffer
	x := l.r.index
	frames := uint64(0)
	for offset := int64(0); offset < x.length; {
		b, err := x.readBlock(offset, &buf)
		if err != nil {
			return err
		}
		b.firstFrame, b.after = frames, string(l.after)
		x.blocks = append(x.blocks, b)
		l.sum.Write(buf.plain)
		if frames, err = eachRecord(buf.plain, frames, l.record); err != nil {
			return fmt.Errorf("block at %d: %w", offset, err)
		}
		offset = b.end()
	}
	return nil
}

func (l *loader) record(rec record) error {
	if l.end != nil {
		return errors.New("records behind the end mark")
	}
	c := &l.r.counts
	switch rec.field {
	case fieldFrame:
		return l.frame(rec)
	case fieldEntry:
		c.Entries++
		if _, site := rec.name(); l.last.Kind == KindTree {
			l.after = append(l.after[:0], site...)
		}
	case fieldSection:
		c.Sections++
	case fieldManifest:
		l.r.manifest = new(archivev1.Manifest)
		return unmarshal(rec.body, l.r.manifest, "manifest")
	case fieldEnd:
		l.end = new(archivev1.IndexEnd)
		return unmarshal(rec.body, l.end, "end mark")
	}
	return nil
}

func unmarshal(b []byte, m proto.Message, what string) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (l *loader) frame(rec record) error {
	f, err := rec.frameInfo()
	if err != nil {
		return err
	}
	if l.complete && f.Offset != l.last.End() {
		return fmt.Errorf("frame %d begins at %d, the one before it ends at %d", f.Number, f.Offset, l.last.End())
	}
	l.last = f
	l.r.counts.Frames++
	l.r.counts.PlainBytes += f.PlainLength
	return nil
}

func (l *loader) finish() error {
	r, c := l.r, l.r.counts
	switch {
	case l.end == nil || r.manifest == nil:
		return errors.New("it has no manifest or no end mark")
	case l.last.End() != r.trailer.indexOffset:
		return fmt.Errorf("the last frame ends at %d, the index begins at %d", l.last.End(), r.trailer.indexOffset)
	case l.end.GetFrames() != uint64(c.Frames) || l.end.GetEntries() != uint64(c.Entries),
		l.end.GetSections() != uint64(c.Sections) || l.end.GetPlainLength() != uint64(c.PlainBytes):
		return errors.New("counts in its end mark differ from what it holds")
	case r.digest != r.trailer.digest:
		return errors.New("it differs from the digest in the trailer")
	}
	return nil
}

// Frames yields the frames in the order of the file.
func (r *Reader) Frames() iter.Seq2[FrameInfo, error] {
	return func(yield func(FrameInfo, error) bool) {
		for rec, err := range r.index.records(0) {
			if err == nil && rec.field != fieldFrame {
				continue
			}
			f, err := decodeIf(rec, err, (*record).frameInfo)
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// Entries yields the entries in the order of the tarball: the site as it was
// walked, then the dump.
func (r *Reader) Entries() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var decoder EntryDecoder
		for rec, err := range r.index.records(0) {
			if err == nil && rec.field != fieldEntry {
				continue
			}
			var e Entry
			if err == nil {
				err = rec.entry(&decoder, &e)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Sections yields the sections of the dump in its order.
func (r *Reader) Sections() iter.Seq2[Section, error] {
	return func(yield func(Section, error) bool) {
		last := uint64(max(r.counts.Frames-1, 0))
		for rec, err := range r.index.records(r.index.blockOfFrame(last)) {
			if err == nil && rec.field != fieldSection {
				continue
			}
			s, err := decodeIf(rec, err, (*record).section)
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

func decodeIf[T any](rec record, err error, decode func(*record) (T, error)) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	v, err := decode(&rec)
	if err != nil {
		return v, corruptAt(-1, "index: %v", err)
	}
	return v, nil
}
