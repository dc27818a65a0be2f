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
	place   int // in the order of the dump
	queued  int // batches in out; lead's
}

// batch is statements on their way.
type batch struct {
	chunks []chunk
	buf    []byte // to be used again once the chunks were handed out
	// warning, if not nil, is what the operator should know of this part.
	warning *Warning
}

// mostAhead is how many buffers, of about 1 MiB each, the part that is handed out is ahead, beside the one that is being
// filled. The one behind it has one less, and so on: a part whose turn it is should be nearly read, or all connections but
// one wait for it.
const mostAhead = 3

// lead keeps parts from being read too far ahead of what is handed out.
type lead struct {
	mu    sync.Mutex
	moved sync.Cond
	place int // of the part that is handed out
	most  int // buffers that this one may be ahead
}

func newLead(connections int) *lead {
	a := &lead{most: min(mostAhead, connections+1)}
	a.moved.L = &a.mu
	return a
}

// take waits until a part may have one more batch; with the context's error if that ends.
func (a *lead) take(ctx context.Context, p *part) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p.queued >= max(1, a.most-(p.place-a.place)) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.moved.Wait()
	}
	p.queued++
	return ctx.Err()
}

// change notes what has been handed out.
func (a *lead) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	a.moved.Broadcast()
}

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
	ahead := newLead(len(s.links))
	defer context.AfterFunc(ctx, func() { ahead.change(func() {}) })()
	// All that can be in use at once: what is ahead, one that each connection fills, and one that is handed out.
	free := &freeBuffers{most: len(s.links) + 1}
	for i := range behind + 1 {
		free.most += max(1, ahead.most-i)
	}
	g.Go(func() error { return feed(ctx, parts, queue, order, ahead.most) })
	brake := n.newThrottle()
	for _, l := range s.links {
		g.Go(func() error {
			for p := range queue {
				out := &partWriter{ctx: ctx, part: p, ahead: ahead, free: free, throttle: brake, pause: n.dump.o.Pause}
				if err := n.readPart(ctx, p, l, out); err != nil {
					return err
				}
				close(p.out)
			}
			return nil
		})
	}
	g.Go(func() error { return n.handOut(ctx, order, ahead, free, take) })
	return g.Wait()
}

// feed gives parts to the connections and, in the same order, to handOut.
func feed(ctx context.Context, parts []*part, queue, order chan<- *part, most int) error {
	defer close(queue)
	defer close(order)
	for i, p := range parts {
		p.out, p.place = make(chan batch, most), i
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
func (n *native) handOut(ctx context.Context, order <-chan *part, ahead *lead, free *freeBuffers, take func(chunk, *scanner) error) error {
	lex := &scanner{}
	for p := range order {
		ahead.change(func() { ahead.place = p.place })
		for {
			b, ok, err := receive(ctx, p.out)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			ahead.change(func() { p.queued-- })
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
	part     *part
	ahead    *lead
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
	if err := w.ahead.take(w.ctx, w.part); err != nil {
		return err
	}
	w.part.out <- b // has room for all that may be ahead
	return nil
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
