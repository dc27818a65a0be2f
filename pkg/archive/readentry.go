package archive

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"strings"
)

// Lookup returns the entry with a path in the tarball; "./" before it may be
// left out. It fails with [ErrNotFound].
func (r *Reader) Lookup(path string) (Entry, error) {
	path = "./" + strings.TrimPrefix(strings.Trim(path, "/"), "./")
	if path == "./." {
		path = "./"
	}
	names := []string{path}
	if name, ok := unreserved(path); ok {
		names = append(names, name)
	}
	for _, name := range names {
		e, err := r.find(path, r.index.blockOfPath(name), name)
		if !errors.Is(err, ErrNotFound) {
			return e, err
		}
	}
	if path == DumpPath && r.counts.Frames > 0 {
		return r.find(path, r.index.blockOfFrame(uint64(r.counts.Frames-1)), "")
	}
	return Entry{}, fmt.Errorf("%q: %w", path, ErrNotFound)
}

// unreserved returns the name in the site that a path stands for in a tarball with a dump.
func unreserved(path string) (string, bool) {
	top, rest, below := strings.Cut(strings.TrimPrefix(path, "./"), "/")
	name, ok := strings.CutSuffix(top, reservedSuffix)
	if !ok || !isReserved(name) {
		return "", false
	}
	if below {
		return "./" + name + "/" + rest, true
	}
	return "./" + name, true
}

// find looks for a path from a block on, up to where name must have come if it
// is not empty.
func (r *Reader) find(path string, from int, name string) (Entry, error) {
	for rec, err := range r.index.records(from) {
		if err != nil {
			return Entry{}, err
		}
		if rec.field != fieldEntry {
			continue
		}
		p, site := rec.name()
		if string(p) == path {
			var e Entry
			err := rec.entry(new(EntryDecoder), &e)
			return e, err
		}
		if name != "" && ComparePaths(string(site), name) > 0 {
			break
		}
	}
	return Entry{}, fmt.Errorf("%q: %w", path, ErrNotFound)
}

// plainStream reads the plain bytes of consecutive frames. It reads a frame when
// its bytes are asked for and not before.
type plainStream struct {
	ctx    context.Context
	r      *Reader
	dec    *decompressor
	next   func() (FrameInfo, error, bool)
	stop   func()
	data   []byte
	buffer []byte
	rest   []byte // of buffer
}

// plainFrom returns the plain bytes of frames first to last.
func (r *Reader) plainFrom(ctx context.Context, first, last uint64) (*plainStream, error) {
	dec, err := newDecompressor(r.format)
	if err != nil {
		return nil, err
	}
	next, stop := iter.Pull2(r.infos(first, last))
	return &plainStream{ctx: ctx, r: r, dec: dec, next: next, stop: stop}, nil
}

// infos yields frames first to last.
func (r *Reader) infos(first, last uint64) iter.Seq2[FrameInfo, error] {
	return func(yield func(FrameInfo, error) bool) {
		for rec, err := range r.index.records(r.index.blockOfFrame(first)) {
			if err == nil && (rec.field != fieldFrame || rec.frame < first) {
				continue
			}
			if err == nil && rec.frame > last {
				return
			}
			f, err := decodeIf(rec, err, (*record).frameInfo)
			if !yield(f, err) || err != nil {
				return
			}
		}
	}
}

// Read reads plain bytes.
func (p *plainStream) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if err := p.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *plainStream) advance() error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	info, err, ok := p.next()
	if err != nil {
		return err
	}
	if !ok {
		return io.EOF
	}
	if p.data, err = p.r.read(p.data, &info); err != nil {
		return err
	}
	f := Frame{Data: p.data, PlainLength: info.PlainLength, PlainHash: info.PlainHash}
	if p.buffer, err = p.dec.plain(p.buffer, &f); err != nil {
		return corruptFrame(info, "%v", err)
	}
	p.rest = p.buffer
	return nil
}

// discard passes over n bytes.
func (p *plainStream) discard(n int64) error {
	if _, err := io.CopyN(io.Discard, onlyReader{p}, n); err != nil {
		return fmt.Errorf("go to byte %d of a frame: %w", n, err)
	}
	return nil
}

func (p *plainStream) close() {
	p.stop()
	p.dec.close()
}

// OpenEntry opens the content of a regular file, or of the file that a hard link
// names, and reads no frames but those it lies in. Bytes are checked; read to the
// end for the check of the content's hash. It fails with [ErrNotRegular].
func (r *Reader) OpenEntry(ctx context.Context, e Entry) (io.ReadCloser, error) {
	if e.Type == TypeHardlink {
		target, err := r.Lookup(e.LinkTarget)
		if err != nil {
			return nil, fmt.Errorf("target of hard link %q: %w", e.Path, err)
		}
		e = target
	}
	if e.Type != TypeRegular {
		return nil, fmt.Errorf("%q is a %s: %w", e.Path, e.Type, ErrNotRegular)
	}
	p, err := r.plainFrom(ctx, e.Frame, e.Frame+e.Span)
	if err != nil {
		return nil, err
	}
	er := &entryReader{stream: p, entry: e, sum: sha256.New()}
	if err := er.begin(); err != nil {
		p.close()
		return nil, withPaths(err, []Entry{e})
	}
	return er, nil
}

// entryReader reads one entry's content.
type entryReader struct {
	stream *plainStream
	tar    *tar.Reader
	entry  Entry
	sum    hash.Hash
}

func (e *entryReader) begin() error {
	if err := e.stream.discard(e.entry.Offset); err != nil {
		return err
	}
	e.tar = tar.NewReader(e.stream)
	h, err := e.tar.Next()
	if err == io.EOF || errors.Is(err, tar.ErrHeader) {
		return corruptAt(-1, "no tar header where the index says: %v", err)
	}
	if err != nil {
		return fmt.Errorf("open %q: %w", e.entry.Path, err)
	}
	if diff := compareHeader(h, &e.entry); diff != "" {
		return corruptAt(-1, "the tar header differs from the index in its %s", diff)
	}
	return nil
}

// Read reads content and checks its hash at the end.
func (e *entryReader) Read(b []byte) (int, error) {
	n, err := e.tar.Read(b)
	e.sum.Write(b[:n])
	if err == io.EOF && Hash(e.sum.Sum(nil)) != e.entry.ContentHash {
		return n, withPaths(corruptAt(-1, "content differs from its hash"), []Entry{e.entry})
	}
	if err != nil && err != io.EOF {
		return n, withPaths(fmt.Errorf("read %q: %w", e.entry.Path, err), []Entry{e.entry})
	}
	return n, err
}

// Close frees what the reader holds.
func (e *entryReader) Close() error {
	e.stream.close()
	return nil
}

// OpenDump opens the whole dump. It fails with [ErrNotFound] if there is none.
func (r *Reader) OpenDump(ctx context.Context) (io.ReadCloser, error) {
	if r.manifest.GetDump() == nil {
		return nil, fmt.Errorf("dump: %w", ErrNotFound)
	}
	e, err := r.Lookup(DumpPath)
	if err != nil {
		return nil, err
	}
	return r.OpenEntry(ctx, e)
}

// OpenSection opens the SQL of one section.
func (r *Reader) OpenSection(ctx context.Context, s Section) (io.ReadCloser, error) {
	p, err := r.plainFrom(ctx, s.Frame, uint64(max(r.counts.Frames-1, 0)))
	if err != nil {
		return nil, err
	}
	if s.Length == 0 {
		return sectionReader{io.LimitReader(p, 0), p}, nil
	}
	if err := p.discard(s.FrameOffset); err != nil {
		p.close()
		return nil, err
	}
	return sectionReader{&exactReader{p, s.Length}, p}, nil
}

type sectionReader struct {
	io.Reader
	stream *plainStream
}

// Close frees what the reader holds.
func (s sectionReader) Close() error {
	s.stream.close()
	return nil
}

// exactReader reads n bytes; an end before that is an error.
type exactReader struct {
	r io.Reader
	n int64
}

// Read reads at most what is left.
func (e *exactReader) Read(b []byte) (int, error) {
	if e.n == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(b[:min(int64(len(b)), e.n)])
	e.n -= int64(n)
	if err == io.EOF && e.n > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
