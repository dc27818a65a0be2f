package archive

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"iter"
	"math"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sitekeep/sitekeep/pkg/archive/internal/twinhash"
)

// DumpOptions says how a [DumpFramer] works.
type DumpOptions struct {
	// Codec compresses. It must be set.
	Codec Codec
	// Workers is how many goroutines compress; 0 means one a processor.
	Workers int
	// Base, if not nil, is what an earlier tarball has: see [Reader.BaseDumpFrames].
	Base iter.Seq2[BaseDumpFrame, error]
	// Clock, if not nil, takes the place of time.Now.
	Clock func() time.Time
}

// maxKnownFrames bounds how many frames of a base are remembered: of 200 GB of
// SQL. Frames beyond them are sent anew.
const maxKnownFrames = 1 << 18

// DumpFramer turns a stream of SQL into dump frames. Its borders are at the
// ends of statements and depend on their content, so that a change moves only
// the borders beside it. Its methods are for one goroutine.
type DumpFramer struct {
	opts   DumpOptions
	line   *pipeline
	group  *errgroup.Group
	cancel context.CancelCauseFunc
	out    *emitter
	known  map[Hash]candidate

	buf       []byte
	statement int   // where the current statement begins in buf
	offset    int64 // of buf in the dump
	sum       hash.Hash
	section   *Section
	due       bool      // the frame ends here, if anything more comes
	ended     []Section // sections that end in buf
	started   time.Time
	closed    bool
}

// NewDumpFramer returns a framer that calls emit, one call at a time and in
// order, from a goroutine of its own. Close or Abort must be called.
func NewDumpFramer(ctx context.Context, opts DumpOptions, emit func(context.Context, Item) error) (*DumpFramer, error) {
	known, err := knownFrames(opts.Base)
	if err != nil {
		return nil, err
	}
	if _, err := ParseFormat(string(opts.Codec.format)); err != nil {
		return nil, err
	}
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	f := &DumpFramer{opts: opts, known: known, sum: sha256.New(), started: opts.Clock()}
	ctx, f.cancel = context.WithCancelCause(ctx)
	f.group, ctx = errgroup.WithContext(ctx)
	f.line = newPipeline(ctx, opts.Workers, dumpMost)
	f.out = &emitter{emit: emit, line: f.line}
	for range opts.Workers {
		f.group.Go(f.work)
	}
	f.group.Go(func() error { return f.out.run(ctx) })
	f.buf = f.line.buffer()
	return f, nil
}

func knownFrames(base iter.Seq2[BaseDumpFrame, error]) (map[Hash]candidate, error) {
	known := map[Hash]candidate{}
	if base == nil {
		return known, nil
	}
	for b, err := range base {
		if err != nil {
			return nil, fmt.Errorf("read the base: %w", err)
		}
		if len(known) == maxKnownFrames {
			break
		}
		known[b.PlainHash] = candidate{base: b.Base, number: b.Number, hash: b.PlainHash}
	}
	return known, nil
}

func (f *DumpFramer) work() error {
	c, err := newCompressor(f.opts.Codec, dumpMost)
	if err != nil {
		return err
	}
	return f.line.work(c, func(*job) {})
}

// BeginSection ends the section before and begins another. It is called between
// statements; bytes written before the first call belong to no section.
func (f *DumpFramer) BeginSection(kind SectionKind, name string) error {
	if f.closed {
		return fmt.Errorf("dump: %w", ErrClosed)
	}
	f.endSection()
	if f.due || len(f.buf) >= dumpShare {
		if err := f.cut(len(f.buf)); err != nil {
			return err
		}
	}
	f.section = &Section{Kind: kind, Name: name, Offset: f.position()}
	return nil
}

func (f *DumpFramer) position() int64 { return f.offset + int64(len(f.buf)) }

// endSection notes the section, unless nothing was written in it.
func (f *DumpFramer) endSection() {
	if s := f.section; s != nil && f.position() > s.Offset {
		s.Length = f.position() - s.Offset
		f.ended = append(f.ended, *s)
	}
	f.section = nil
}

// Write adds bytes of the current statement, its line end included. It keeps no
// reference to p. A statement may come in many pieces.
func (f *DumpFramer) Write(p []byte) (int, error) {
	if f.closed {
		return 0, fmt.Errorf("dump: %w", ErrClosed)
	}
	if f.due && len(p) > 0 {
		if err := f.cut(len(f.buf)); err != nil {
			return 0, err
		}
	}
	done := 0
	for {
		n := min(len(p)-done, dumpMost-len(f.buf))
		f.buf = append(f.buf, p[done:done+n]...)
		done += n
		if done == len(p) {
			return done, nil
		}
		if err := f.overflow(); err != nil {
			return done, err
		}
	}
}

// overflow cuts a full frame before the statement that it cannot hold whole, or
// within it if there is nothing before it.
func (f *DumpFramer) overflow() error {
	if f.statement > 0 {
		return f.cut(f.statement)
	}
	return f.cut(contentCut(f.buf))
}

// contentCut returns a place in the last quarter of b that depends on the bytes
// just before it alone: so what is inserted into a very large statement moves the
// cuts beside it and no others. The hash is a gear hash over 64 bytes.
func contentCut(b []byte) int {
	from := len(b) - len(b)/4
	best, at, h := uint64(0), len(b), uint64(0)
	for i := from - 64; i < len(b); i++ {
		h = h<<1 + (uint64(b[i])+1)*0x9e3779b97f4a7c15
		if i >= from && h > best {
			best, at = h, i+1
		}
	}
	return at
}

// EndStatement says that the bytes so far end with a whole statement, which has
// so many rows. Frames end at such places only, unless a single statement is
// larger than a frame may be.
func (f *DumpFramer) EndStatement(rows int64) error {
	if f.closed {
		return fmt.Errorf("dump: %w", ErrClosed)
	}
	if f.section != nil {
		f.section.Rows += rows
	}
	last := f.buf[f.statement:]
	f.statement = len(f.buf)
	f.due = len(f.buf) >= dumpLeast && endsFrame(last)
	return nil
}

// endsFrame reports whether a frame may end behind a statement: the more likely
// the longer it is.
func endsFrame(statement []byte) bool {
	const seen = 256
	if len(statement) >= dumpMean {
		return true
	}
	end := statement[max(len(statement)-seen, 0):]
	return pathHash(string(end)) < uint64(len(statement))*(math.MaxUint64/dumpMean)
}

// cut sends the first n bytes as a frame.
func (f *DumpFramer) cut(n int) error {
	f.due = false
	if n == 0 {
		return nil
	}
	next := append(f.line.buffer(), f.buf[n:]...)
	j := &job{kind: KindDump, plain: f.buf[:n], sections: f.ended, known: f.known, sum: sha256.New(), summed: n}
	twinhash.Write(f.sum, j.plain, j.sum, j.plain)
	f.buf, f.ended = next, nil
	f.offset += int64(n)
	f.statement = max(f.statement-n, 0)
	return f.line.put(j)
}

// Close ends the last section, waits until everything was emitted, and returns
// the closing summary. An error of emit comes back here at the latest.
func (f *DumpFramer) Close() (Summary, error) {
	if f.closed {
		return Summary{}, fmt.Errorf("dump: %w", ErrClosed)
	}
	f.endSection()
	err := f.cut(len(f.buf))
	if werr := f.stop(); werr != nil {
		err = werr
	}
	if err != nil {
		return Summary{}, fmt.Errorf("frame the dump: %w", err)
	}
	sum := f.out.summary
	sum.DumpHash = Hash(f.sum.Sum(nil))
	sum.StartedAt, sum.FinishedAt = f.started, f.opts.Clock()
	return sum, nil
}

// Abort stops without emitting more, and waits. After Close it does nothing.
func (f *DumpFramer) Abort() {
	if f.closed {
		return
	}
	f.cancel(ErrClosed)
	_ = f.stop() // it is ErrClosed, or what Write and Close have returned
}

func (f *DumpFramer) stop() error {
	f.closed = true
	f.line.end()
	err := f.group.Wait()
	f.cancel(ErrClosed)
	return err
}
