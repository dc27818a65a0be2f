package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
)

// VerifyOptions says how thorough [Verify] is.
type VerifyOptions struct {
	// ReadData decompresses, and compares tar headers and contents with the index
	// too. Without it every byte of the file is still read and compared.
	ReadData bool
	// Progress, if not nil, is called with the bytes read so far.
	Progress func(done int64)
}

// VerifyReport is the outcome of a check.
type VerifyReport struct {
	Counts
	Size   int64
	Digest Hash
	// Problems are the first 100 of them.
	Problems []*CorruptError
	// Found is how many problems there are.
	Found int64
}

const maxProblems = 100

// Verify reads every byte of a tarball and compares it with the index. The
// report names each damaged frame and its entries. The error is nil only for an
// intact tarball: otherwise it is the first problem, or [ErrNoIndex], or why the
// file could not be read. A tarball of ours that was cut has no index; then the
// report names the frame and the entry where it ends.
func Verify(ctx context.Context, r io.ReaderAt, size int64, opts VerifyOptions) (VerifyReport, error) {
	rd, err := Open(r, size)
	if err != nil {
		return diagnose(ctx, r, size, opts, err)
	}
	return rd.Verify(ctx, opts)
}

// Verify reads every byte of the open tarball and compares it with the index,
// which Open has checked.
func (r *Reader) Verify(ctx context.Context, opts VerifyOptions) (VerifyReport, error) {
	dec, err := newDecompressor(r.format)
	if err != nil {
		return VerifyReport{}, err
	}
	defer dec.close()
	next, stop := iter.Pull2(r.listed(0))
	defer stop()
	v := &verifier{ctx: ctx, r: r, opts: opts, dec: dec, next: next}
	v.report = VerifyReport{Counts: r.counts, Size: r.size, Digest: r.digest}
	err = v.frames()
	if err == nil && v.report.Found > 0 {
		err = v.report.Problems[0]
	}
	return v.report, err
}

// verifier goes through the frames once, each read, and the tar stream in them.
type verifier struct {
	ctx    context.Context
	r      *Reader
	opts   VerifyOptions
	dec    *decompressor
	next   func() (listedFrame, error, bool)
	report VerifyReport

	frame    listedFrame
	data     []byte
	plain    []byte
	rest     []byte          // plain bytes that were not looked at yet
	good     bool            // the frame is what the index says
	nameless []*CorruptError // problems in slices whose entry has not come yet
}

func (v *verifier) problem(p *CorruptError) {
	v.report.Found++
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, p)
	}
}

// frames goes through all frames.
func (v *verifier) frames() error {
	for {
		ok, err := v.advance()
		if err != nil || !ok {
			return err
		}
		if !v.opts.ReadData {
			continue
		}
		if err := v.entries(); err != nil {
			return err
		}
	}
}

// advance reads the next frame and compares it. Damage is a problem, not an error.
func (v *verifier) advance() (bool, error) {
	if err := v.ctx.Err(); err != nil {
		return false, err
	}
	f, err, ok := v.next()
	if err != nil || !ok {
		return false, err
	}
	v.frame, v.rest = f, nil
	v.good, err = v.check()
	if err == nil && v.opts.Progress != nil {
		v.opts.Progress(f.End())
	}
	v.settleNames()
	return true, err
}

func (v *verifier) check() (bool, error) {
	f := &v.frame.FrameInfo
	var err error
	v.data, err = v.r.read(v.data, f)
	if err != nil {
		return false, v.damaged(err)
	}
	if err := v.padding(); err != nil {
		return false, v.damaged(err)
	}
	if !v.opts.ReadData {
		return true, nil
	}
	whole := Frame{Data: v.data, PlainLength: f.PlainLength, PlainHash: f.PlainHash}
	if v.plain, err = v.dec.plain(v.plain, &whole); err != nil {
		return false, v.damaged(corruptFrame(*f, "%v", err))
	}
	v.rest = v.plain
	return true, nil
}

// damaged notes damage, with the entries of the frame. Other errors it returns.
func (v *verifier) damaged(err error) error {
	var c *CorruptError
	if !errors.As(err, &c) {
		return err
	}
	v.problem(c)
	if len(v.frame.Entries) == 0 {
		v.nameless = append(v.nameless, c)
		return nil
	}
	c.Paths = entryNames(v.frame.Entries)
	return nil
}

// settleNames names the entry whose slices were damaged before it came.
func (v *verifier) settleNames() {
	if len(v.frame.Entries) == 0 {
		return
	}
	e := &v.frame.Entries[0]
	for _, c := range v.nameless {
		if uint64(c.Frame) >= e.Frame {
			c.Paths = []string{e.Name()}
		}
	}
	v.nameless = v.nameless[:0]
}

// padding compares the padding with what it must be.
func (v *verifier) padding() error {
	f := &v.frame.FrameInfo
	if f.Padding == 0 {
		return nil
	}
	got := make([]byte, f.Padding)
	if _, err := io.ReadFull(io.NewSectionReader(v.r.data, f.Offset+f.Length, f.Padding), got); err != nil {
		return fmt.Errorf("read the padding of frame %d: %w", f.Number, err)
	}
	if f.Padding < overhead(v.r.format) || !bytes.Equal(got, appendPadding(nil, v.r.format, f.Padding)) {
		return corruptFrame(*f, "its padding is not as it was written")
	}
	return nil
}

// entries compares the tar entries that begin in the frame with the index. An
// entry in slices, and the dump, go on into the frames that follow.
func (v *verifier) entries() error {
	if !v.good {
		return v.skipUnit()
	}
	if v.isEnd(v.rest) {
		v.rest = nil
		return nil
	}
	for i := range max(len(v.frame.Entries), 1) {
		err := v.entry(i)
		if errors.Is(err, errBadFrame) {
			return v.skipUnit()
		}
		if err != nil {
			return err
		}
	}
	if len(v.rest) > 0 && !v.isEnd(v.rest) {
		v.problem(corruptFrame(v.frame.FrameInfo, "%d bytes in it belong to no entry", len(v.rest)))
	}
	return nil
}

// isEnd reports whether b is the end of the tar stream.
func (v *verifier) isEnd(b []byte) bool {
	last := int64(v.frame.Number) == v.report.Frames-1
	return last && len(b) == endBlocks && len(bytes.Trim(b, "\x00")) == 0
}

var errBadFrame = errors.New("bad frame")

// skipUnit goes on to the frame in which the entry of a damaged one ends.
func (v *verifier) skipUnit() error {
	for len(v.frame.Entries) == 0 {
		ok, err := v.advance()
		if err != nil || !ok {
			return err
		}
	}
	return nil
}

// entry reads one tar entry and compares it with what the index tells of the
// i-th entry of the frame that it ends in.
func (v *verifier) entry(i int) error {
	info, offset := v.frame.FrameInfo, int64(len(v.plain)-len(v.rest))
	chain := &chainReader{v: v}
	h, hash, err := readEntry(chain)
	if errors.Is(err, errBadFrame) || v.ctx.Err() != nil {
		return err
	}
	if i >= len(v.frame.Entries) {
		v.problem(corruptFrame(info, "an entry in it is not in the index"))
		return errBadFrame
	}
	e := &v.frame.Entries[i]
	diff := ""
	switch {
	case err != nil:
		diff = err.Error()
	case e.Frame != info.Number || e.Offset != offset:
		diff = "the tar stream has it elsewhere than the index"
	case hash != e.ContentHash:
		diff = "its content differs from its hash"
	default:
		if field := compareHeader(h, e); field != "" {
			diff = "its tar header differs from the index in its " + field
		}
	}
	if diff == "" {
		return nil
	}
	p := corruptFrame(info, "%s", diff)
	p.Paths = []string{e.Name()}
	v.problem(p)
	return errBadFrame
}

// readEntry reads a header and its content with the padding.
func readEntry(chain *chainReader) (*tar.Header, Hash, error) {
	t := tar.NewReader(chain)
	h, err := t.Next()
	if err != nil {
		return nil, Hash{}, chain.cause(fmt.Errorf("no tar header: %w", err))
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, onlyReader{t}); err != nil {
		return nil, Hash{}, chain.cause(fmt.Errorf("its content ends early: %w", err))
	}
	if _, err := io.CopyN(io.Discard, onlyReader{chain}, padTo(chain.n, blockSize)); err != nil {
		return nil, Hash{}, chain.cause(fmt.Errorf("its padding ends early: %w", err))
	}
	if headerType(h) != TypeRegular {
		return h, Hash{}, nil
	}
	return h, Hash(sum.Sum(nil)), nil
}

// chainReader reads on from the verifier's frame into those that follow, as long
// as no entry ends in the one that it leaves.
type chainReader struct {
	v   *verifier
	n   int64
	err error
}

// Read reads plain bytes.
func (c *chainReader) Read(b []byte) (int, error) {
	for len(c.v.rest) == 0 {
		if err := c.advance(); err != nil {
			c.err = err
			return 0, err
		}
	}
	n := copy(b, c.v.rest)
	c.v.rest = c.v.rest[n:]
	c.n += int64(n)
	return n, nil
}

func (c *chainReader) advance() error {
	if len(c.v.frame.Entries) > 0 {
		return io.EOF
	}
	ok, err := c.v.advance()
	switch {
	case err != nil:
		return err
	case !ok:
		return io.EOF
	case !c.v.good:
		return errBadFrame
	}
	return nil
}

// cause returns why reading ended, if that was not the end of the entry's frames.
func (c *chainReader) cause(err error) error {
	if c.err != nil && !errors.Is(c.err, io.EOF) {
		return c.err
	}
	return err
}
