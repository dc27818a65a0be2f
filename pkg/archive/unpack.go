package archive

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// unpackWorkers is how many goroutines decompress one stream.
const unpackWorkers = 2

// unpacker decompresses frames in parallel and gives their plain bytes in order.
// put and end are for one goroutine, Read for another.
type unpacker struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	ordered chan *packed
	todo    chan *packed
	free    chan *packed
	workers sync.WaitGroup
	number  int64

	current *packed
	rest    []byte
}

// packed is a frame on its way through an unpacker.
type packed struct {
	frame  Frame
	number int64
	data   []byte
	plain  []byte
	err    error
	done   chan struct{}
}

func newUnpacker(ctx context.Context, format Format) (*unpacker, error) {
	decs := make([]*decompressor, unpackWorkers)
	for i := range decs {
		dec, err := newDecompressor(format)
		if err != nil {
			return nil, err
		}
		decs[i] = dec
	}
	const depth = unpackWorkers + 1
	u := &unpacker{
		ordered: make(chan *packed, depth), todo: make(chan *packed), free: make(chan *packed, 2*depth),
	}
	u.ctx, u.cancel = context.WithCancelCause(ctx)
	for _, dec := range decs {
		u.workers.Go(func() { u.work(dec) })
	}
	return u, nil
}

func (u *unpacker) work(dec *decompressor) {
	defer dec.close()
	for p := range u.todo {
		p.plain, p.err = dec.plain(p.plain, &p.frame)
		if p.err != nil {
			p.err = &CorruptError{Offset: -1, Frame: p.number, Paths: entryNames(p.frame.Entries), Detail: p.err.Error()}
		}
		close(p.done)
	}
}

func entryNames(entries []Entry) []string {
	names := make([]string, len(entries))
	for i := range entries {
		names[i] = entries[i].Name()
	}
	return names
}

// put copies a frame and queues it.
func (u *unpacker) put(ctx context.Context, f *Frame) error {
	info := FrameInfo{Kind: f.Kind, Length: int64(len(f.Data)), PlainLength: f.PlainLength}
	if err := info.check(); err != nil {
		return err
	}
	p := u.fresh()
	p.data = append(p.data[:0], f.Data...)
	p.frame, p.number, p.done = *f, u.number, make(chan struct{})
	p.frame.Data = p.data
	u.number++
	for _, queue := range []chan *packed{u.ordered, u.todo} {
		select {
		case queue <- p:
		case <-u.ctx.Done():
			return context.Cause(u.ctx)
		case <-ctx.Done():
			u.cancel(context.Cause(ctx)) // the frame may be queued only half
			return context.Cause(ctx)
		}
	}
	return nil
}

func (u *unpacker) fresh() *packed {
	select {
	case p := <-u.free:
		return p
	default:
		return new(packed)
	}
}

// end says that no frame comes any more.
func (u *unpacker) end() {
	close(u.todo)
	close(u.ordered)
}

// wait waits for the workers, after end.
func (u *unpacker) wait() { u.workers.Wait() }

// Read reads plain bytes.
func (u *unpacker) Read(b []byte) (int, error) {
	for len(u.rest) == 0 {
		if err := u.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(b, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

func (u *unpacker) advance() error {
	if u.current != nil {
		select {
		case u.free <- u.current:
		default:
		}
		u.current = nil
	}
	p, err := u.take()
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
	if p.err != nil {
		return p.err
	}
	u.current, u.rest = p, p.plain
	return nil
}

func (u *unpacker) take() (*packed, error) {
	select {
	case p, ok := <-u.ordered:
		if !ok {
			return nil, io.EOF
		}
		return p, nil
	case <-u.ctx.Done():
		return nil, context.Cause(u.ctx)
	}
}

// PlainReader reads what frames decompress to, checked against their hashes.
type PlainReader struct {
	unpacker *unpacker
	feeder   sync.WaitGroup
	err      error // of next
}

// NewPlainReader returns a reader over frames; next returns io.EOF after the
// last one, and the Data of a frame is used until the next call only. Close must
// be called.
func NewPlainReader(ctx context.Context, format Format, next func() (Frame, error)) (*PlainReader, error) {
	u, err := newUnpacker(ctx, format)
	if err != nil {
		return nil, err
	}
	p := &PlainReader{unpacker: u}
	p.feeder.Go(func() {
		defer u.end()
		p.err = p.feed(next)
	})
	return p, nil
}

func (p *PlainReader) feed(next func() (Frame, error)) error {
	for {
		f, err := next()
		if err == io.EOF { //nolint:errorlint // io.EOF within another error is a failure, not the end
			return nil
		}
		if err == nil {
			err = p.unpacker.put(p.unpacker.ctx, &f)
		}
		if err != nil {
			return err
		}
	}
}

// Read reads plain bytes. It returns what next returned if that was not io.EOF.
func (p *PlainReader) Read(b []byte) (int, error) {
	n, err := p.unpacker.Read(b)
	if err != io.EOF { //nolint:errorlint // as in feed
		return n, err
	}
	p.feeder.Wait()
	if p.err != nil {
		return 0, fmt.Errorf("read frames: %w", p.err)
	}
	return 0, io.EOF
}

// Close stops reading and waits for a call of next that is under way.
func (p *PlainReader) Close() error {
	p.unpacker.cancel(ErrClosed)
	p.feeder.Wait()
	p.unpacker.wait()
	return nil
}
