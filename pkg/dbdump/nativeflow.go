package dbdump

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"
)

// part is a stretch of the dump that one connection reads. Several are read at
// once; they are handed out in order.
type part struct {
	subject string // the table or view it is of
	read    func(ctx context.Context, l *link, out *partWriter) error
	out     chan batch
}

// batch is statements on their way.
type batch struct {
	chunks []chunk
	buf    []byte // to be used again once the chunks were handed out
	// warning, if not nil, is what the operator should know of this part.
	warning *Warning
}

// partAhead is how many buffers, of about 1 MiB each, a part is read ahead, beside the one that is being filled. More is
// filled only in long dumps, now and then, and would have them take more memory than short ones.
const partAhead = 2

// flow reads all parts, each connection one at a time, and hands them out in
// order. A connection that is ahead waits when its part's buffers are full.
func (n *native) flow(ctx context.Context, s *snapshot, take func(chunk, *scanner) error) error {
	parts, err := n.plan(ctx, s.links[0])
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	defer s.interruptOn(ctx)()
	behind := max(1, len(s.links)-1) // parts, beside the one that is handed out
	queue, order := make(chan *part), make(chan *part, behind)
	// All that can be in use at once: what is ahead, one that each connection fills, and one that is handed out.
	free := &freeBuffers{most: partAhead*(behind+1) + len(s.links) + 1}
	g.Go(func() error { return feed(ctx, parts, queue, order) })
	brake := n.newThrottle()
	for _, l := range s.links {
		g.Go(func() error {
			for p := range queue {
				out := &partWriter{ctx: ctx, out: p.out, free: free, throttle: brake, pause: n.dump.o.Pause}
				if err := n.readPart(ctx, p, l, out); err != nil {
					return err
				}
				close(p.out)
			}
			return nil
		})
	}
	g.Go(func() error { return n.handOut(ctx, order, free, take) })
	return g.Wait()
}

// feed gives parts to the connections and, in the same order, to handOut.
func feed(ctx context.Context, parts []*part, queue, order chan<- *part) error {
	defer close(queue)
	defer close(order)
	for _, p := range parts {
		p.out = make(chan batch, partAhead)
		for _, to := range []chan<- *part{order, queue} {
			select {
			case to <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// handOut passes on what was read, part by part.
func (n *native) handOut(ctx context.Context, order <-chan *part, free *freeBuffers, take func(chunk, *scanner) error) error {
	lex := &scanner{}
	for p := range order {
		for {
			b, ok, err := receive(ctx, p.out)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if b.warning != nil {
				n.dump.warn.add(b.warning.Code, b.warning.Subject, b.warning.Message)
			}
			if err := handOutBatch(b, lex, take); err != nil {
				return err
			}
			if b.buf != nil {
				free.put(b.buf)
			}
		}
	}
	return ctx.Err()
}

func receive(ctx context.Context, from <-chan batch) (batch, bool, error) {
	select {
	case b, ok := <-from:
		return b, ok, nil
	case <-ctx.Done():
		return batch{}, false, ctx.Err()
	}
}

func handOutBatch(b batch, lex *scanner, take func(chunk, *scanner) error) error {
	for _, c := range b.chunks {
		if err := take(c, lex); err != nil {
			return err
		}
		if c.kind == chunkStatement && !c.insert {
			lex.noteSQLMode(c.statement())
		}
	}
	return nil
}

// partWriter takes what is read of one part.
type partWriter struct {
	ctx      context.Context
	out      chan<- batch
	free     *freeBuffers
	throttle *throttle
	pause    func(context.Context) error // may be nil
}

// send passes a batch on, and waits while the part is too far ahead.
func (w *partWriter) send(b batch) error {
	if err := w.throttle.wait(w.ctx); err != nil {
		return err
	}
	if w.pause != nil {
		if err := w.pause(w.ctx); err != nil {
			return err
		}
	}
	select {
	case w.out <- b:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// buffer returns an empty buffer for a statement.
func (w *partWriter) buffer() []byte { return w.free.get() }

// freeBuffers keeps buffers that were handed out, to be filled again. The last
// one to come is the first to go: it is the most likely to be in the
// processor's cache.
type freeBuffers struct {
	mu   sync.Mutex
	list [][]byte
	most int // that are kept
}

// get returns an empty buffer.
func (f *freeBuffers) get() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := len(f.list) - 1
	if last < 0 {
		return make([]byte, 0, blockSize)
	}
	b := f.list[last]
	f.list = f.list[:last]
	return b[:0]
}

// put takes a buffer that nobody uses any more. Those that an unusual row has made large are not kept.
func (f *freeBuffers) put(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) < f.most && cap(b) <= 2*blockSize {
		f.list = append(f.list, b)
	}
}

// script builds the statements around the rows.
type script struct {
	chunks  []chunk
	comment string // goes before the next statement
}

// say adds a comment or blank lines.
func (s *script) say(text string) { s.comment += text }

// add adds a statement with its terminator, e.g. ";\n".
func (s *script) add(statement, terminator string) {
	data := s.comment + statement + terminator
	s.chunks = append(s.chunks, chunk{
		data: []byte(data), first: true, last: true, body: len(s.comment), bodyEnd: len(s.comment) + len(statement),
	})
	s.comment = ""
}

// delimiter adds the client's command that changes the terminator.
func (s *script) delimiter(d string) {
	s.add("DELIMITER "+d, "\n")
	s.chunks[len(s.chunks)-1].kind = chunkDelimiter
}

// end adds the last comments of the dump.
func (s *script) end() {
	s.chunks = append(s.chunks, chunk{kind: chunkTrailing, data: []byte(s.comment), first: true, last: true, body: len(s.comment), bodyEnd: len(s.comment)})
}

// send passes on what was built.
func (s *script) send(w *partWriter) error {
	if len(s.chunks) == 0 {
		return nil
	}
	b := batch{chunks: s.chunks}
	s.chunks = nil
	return w.send(b)
}
