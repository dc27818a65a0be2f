package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// PackerOptions says how a [Packer] works.
type PackerOptions struct {
	// Codec compresses. It must be set.
	Codec Codec
	// Workers is how many goroutines compress; 0 means one a processor.
	Workers int
	// NoDump is as in [SourceOptions].
	NoDump bool
	// Clock, if not nil, takes the place of time.Now.
	Clock func() time.Time
}

// Packer turns entries that lie in no directory, such as those of another tarball, into the tree frames that a [Source]
// would make of them. Its methods are for one goroutine.
type Packer struct {
	opts   PackerOptions
	line   *pipeline
	group  *errgroup.Group
	cancel context.CancelCauseFunc
	out    *emitter

	above   []string // the last entry's directories, and itself if it is one, from the root on
	last    string   // name of the last entry
	plain   []byte   // of the group frame in the making; nil: none
	entries []Entry  // in it
	weight  int64    // of them
	started time.Time
	closed  bool
}

// NewPacker returns a packer that calls emit, one call at a time and in order, from a goroutine of its own. Close or
// Abort must be called.
func NewPacker(ctx context.Context, opts PackerOptions, emit func(context.Context, Item) error) (*Packer, error) {
	if _, err := ParseFormat(string(opts.Codec.format)); err != nil {
		return nil, err
	}
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	p := &Packer{opts: opts, started: opts.Clock()}
	ctx, p.cancel = context.WithCancelCause(ctx)
	p.group, ctx = errgroup.WithContext(ctx)
	p.line = newPipeline(ctx, opts.Workers, SliceSize+sliceSlack)
	p.out = &emitter{emit: emit, line: p.line}
	for range opts.Workers {
		p.group.Go(p.work)
	}
	p.group.Go(func() error { return p.out.run(ctx) })
	return p, nil
}

func (p *Packer) work() error {
	c, err := newCompressor(p.opts.Codec, SliceSize+sliceSlack)
	if err != nil {
		return err
	}
	return p.line.work(c, func(*job) {})
}

// Add takes the next entry, in the order of [ComparePaths], the root first and every directory before what is in it.
// e.Path, and e.LinkTarget of a hard link, are names in the site; what only an index says is ignored. content has at
// least e.Size bytes for a regular file and is not used otherwise. It fails with [ErrUnsafe] for a name that leaves its
// directory or whose directory is not one, and with [ErrIncomplete] if content ends early.
func (p *Packer) Add(e Entry, content io.Reader) error {
	if p.closed {
		return fmt.Errorf("pack %q: %w", e.Path, ErrClosed)
	}
	if err := p.descend(&e); err != nil {
		return err
	}
	p.prepare(&e)
	if err := e.check(); err != nil {
		return err
	}
	n := &node{entry: e}
	if n.large() {
		return p.slices(&e, content)
	}
	return p.small(n, content)
}

// descend checks that an entry's name is the next one, and that its directory was added.
func (p *Packer) descend(e *Entry) error {
	name := e.Path
	if err := safeNames(e); err != nil {
		return err
	}
	if p.last != "" && ComparePaths(p.last, name) >= 0 {
		return fmt.Errorf("pack %q: it comes after %q", name, p.last)
	}
	p.last = name
	if name == "./" {
		if e.Type != TypeDirectory {
			return fmt.Errorf("the root is a %s: %w", e.Type, ErrUnsafe)
		}
		p.above = []string{name}
		return nil
	}
	parent := parentOf(name)
	for len(p.above) > 0 && p.above[len(p.above)-1] != parent {
		p.above = p.above[:len(p.above)-1]
	}
	if len(p.above) == 0 {
		return fmt.Errorf("%q lies in %q, which is not a directory: %w", name, parent, ErrUnsafe)
	}
	if e.Type == TypeDirectory {
		p.above = append(p.above, name)
	}
	return nil
}

func safeNames(e *Entry) error {
	names := []string{e.Path}
	if e.Type == TypeHardlink {
		names = append(names, e.LinkTarget)
	}
	for _, name := range names {
		clean, err := safePath(name)
		if err != nil {
			return err
		}
		if clean != name {
			return fmt.Errorf("name %q is not %q: %w", name, clean, ErrUnsafe)
		}
	}
	return nil
}

// prepare gives an entry its names in the tarball, and takes off what it cannot have.
func (p *Packer) prepare(e *Entry) {
	e.SitePath, e.ContentHash, e.Sparse, e.Span, e.Offset, e.Frame = "", Hash{}, false, 0, 0, 0
	e.ChangeTime, e.Inode, e.Device = time.Time{}, 0, 0 // so that no backup takes it for unchanged
	if e.Type != TypeRegular {
		e.Size = 0
	}
	if e.Type != TypeSymlink && e.Type != TypeHardlink {
		e.LinkTarget = ""
	}
	if p.opts.NoDump {
		return
	}
	if path := tarballPath(e.Path); path != e.Path {
		e.Path, e.SitePath = path, e.Path
	}
	if e.Type == TypeHardlink {
		e.LinkTarget = tarballPath(e.LinkTarget)
	}
}

// small adds an entry to the group frame.
func (p *Packer) small(n *node, content io.Reader) error {
	w := n.weight()
	if p.weight > 0 && p.weight+w > groupMost {
		if err := p.flush(); err != nil {
			return err
		}
	}
	if p.plain == nil {
		p.plain = p.line.buffer()
	}
	if err := p.append(&n.entry, content); err != nil {
		return err
	}
	p.weight += w
	if p.weight >= groupLeast && isBorder(n.entry.Path, w) {
		return p.flush()
	}
	return nil
}

func (p *Packer) append(e *Entry, content io.Reader) error {
	e.Offset = int64(len(p.plain))
	p.plain = appendHeader(p.plain, e, e.Size, p.opts.Codec.format)
	if e.Type == TypeRegular {
		start := len(p.plain)
		p.plain = appendRoom(p.plain, e.Size)
		if err := readAll(e, content, p.plain[start:]); err != nil {
			return err
		}
		e.ContentHash = sha256.Sum256(p.plain[start:])
		p.plain = appendZeros(p.plain, padTo(e.Size, blockSize))
	}
	p.entries = append(p.entries, *e)
	return nil
}

// readAll fills b with content.
func readAll(e *Entry, content io.Reader, b []byte) error {
	_, err := io.ReadFull(content, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("pack %q: %w: its content ends early", e.Name(), ErrIncomplete)
	}
	if err != nil {
		return fmt.Errorf("pack %q: %w", e.Name(), err)
	}
	return nil
}

// flush ends the group frame.
func (p *Packer) flush() error {
	if len(p.entries) == 0 {
		return nil
	}
	j := &job{kind: KindTree, plain: p.plain, entries: p.entries}
	p.plain, p.entries, p.weight = nil, nil, 0
	return p.line.put(j)
}

// slices cuts a large file into frames of its own: the first has the header, the last the padding and the entry.
func (p *Packer) slices(e *Entry, content io.Reader) error {
	if err := p.flush(); err != nil {
		return err
	}
	sum := sha256.New()
	plain := appendHeader(p.line.buffer(), e, e.Size, p.opts.Codec.format)
	for left := e.Size; ; plain = p.line.buffer() {
		size := min(left, SliceSize)
		start := len(plain)
		plain = appendRoom(plain, size)
		if err := readAll(e, content, plain[start:]); err != nil {
			return err
		}
		sum.Write(plain[start:])
		if left -= size; left == 0 {
			e.ContentHash = Hash(sum.Sum(nil))
			plain = appendZeros(plain, padTo(e.Size, blockSize))
			return p.line.put(&job{kind: KindTree, plain: plain, entries: []Entry{*e}})
		}
		e.Span++
		if err := p.line.put(&job{kind: KindTree, plain: plain}); err != nil {
			return err
		}
	}
}

// Close waits until everything was emitted, and returns the closing summary. An error of emit comes back here at the
// latest.
func (p *Packer) Close() (Summary, error) {
	if p.closed {
		return Summary{}, fmt.Errorf("pack: %w", ErrClosed)
	}
	err := p.flush()
	if werr := p.stop(); werr != nil {
		err = werr
	}
	if err != nil {
		return Summary{}, fmt.Errorf("pack: %w", err)
	}
	sum := p.out.summary
	sum.StartedAt, sum.FinishedAt = p.started, p.opts.Clock()
	return sum, nil
}

// Abort stops without emitting more, and waits. After Close it does nothing.
func (p *Packer) Abort() {
	if p.closed {
		return
	}
	p.cancel(ErrClosed)
	_ = p.stop() // it is ErrClosed, or what Add has returned
}

func (p *Packer) stop() error {
	p.closed = true
	p.line.end()
	err := p.group.Wait()
	p.cancel(ErrClosed)
	return err
}

// ScanForeign is [ScanTar] for a tarball of which nothing is known: the target of a hard link is given as its name in
// the site, and bytes behind the end of the tar stream that are not zero are [ErrCorrupt], because other programs would
// pass over a second archive there in silence.
func ScanForeign(ctx context.Context, r io.Reader, visit func(Entry, io.Reader) error) error {
	s := newTarStream(ctx, r)
	s.strict = true
	return s.each(func(e *Entry, content io.Reader) error {
		if e.Type == TypeHardlink {
			e.LinkTarget = s.siteTarget(e.LinkTarget)
		}
		return visit(*e, content)
	})
}

// zerosOnly takes what stands behind the end of a tar stream, where programs fill up to a record with zeros.
type zerosOnly struct{}

// Write fails if b is not all zeros.
func (zerosOnly) Write(b []byte) (int, error) {
	if strings.Trim(string(b), "\x00") != "" {
		return 0, corruptAt(-1, "there is something behind the end of the tar stream: another archive, or bytes that do not belong to it")
	}
	return len(b), nil
}
