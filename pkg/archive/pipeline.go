package archive

import (
	"context"
	"crypto/sha256"
	"hash"
)

// sliceSlack is room for what a frame holds beside SliceSize bytes of content.
const sliceSlack = 16 << 10

// candidate is a frame of a base that a new frame may turn out to be equal to.
type candidate struct {
	base   uint32
	number uint64
	plain  int64
	hash   Hash
}

// job is a piece of the tarball in the making. What a planner puts in is
// turned by a worker into what an emitter sends.
type job struct {
	nodes      []*node     // of a group frame, to be read
	had        *unit       // one frame of a base with the same entries; may be nil
	plain      []byte      // of any other frame, ready
	sum        hash.Hash   // over plain's first bytes, if it is set
	summed     int         // how many those are
	kind       Kind        // of the frame
	candidates []candidate // of frames that it may equal
	known      map[Hash]candidate

	entries  []Entry
	sections []Section
	warnings []Warning
	read     int64 // bytes read from files

	reference *Reference // frames of a base
	skipped   int64      // plain bytes in them
	totals    Totals

	frame *Frame
	err   error
	done  chan struct{}
}

// pipeline carries jobs from one planner through some workers to one emitter, in
// the planner's order. What is on it, and so its memory, is bounded.
type pipeline struct {
	ctx     context.Context
	ordered chan *job
	todo    chan *job
	free    chan []byte
	size    int
}

func newPipeline(ctx context.Context, workers, bufferSize int) *pipeline {
	depth := workers + 2
	return &pipeline{
		ctx: ctx, size: bufferSize,
		ordered: make(chan *job, depth), todo: make(chan *job), free: make(chan []byte, 2*depth),
	}
}

// buffer returns an empty buffer, a used one if there is one.
func (l *pipeline) buffer() []byte {
	select {
	case b := <-l.free:
		return b[:0]
	default:
		return make([]byte, 0, l.size)
	}
}

// recycle takes a buffer back.
func (l *pipeline) recycle(b []byte) {
	if cap(b) < l.size || cap(b) > 2*l.size {
		return
	}
	select {
	case l.free <- b:
	default:
	}
}

// put adds a job for a worker.
func (l *pipeline) put(j *job) error {
	j.done = make(chan struct{})
	if err := l.queue(j); err != nil {
		return err
	}
	select {
	case l.todo <- j:
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

// putDone adds a job that needs no worker.
func (l *pipeline) putDone(j *job) error {
	j.done = make(chan struct{})
	close(j.done)
	return l.queue(j)
}

func (l *pipeline) queue(j *job) error {
	select {
	case l.ordered <- j:
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

// end says that no job comes any more.
func (l *pipeline) end() {
	close(l.todo)
	close(l.ordered)
}

// work does jobs until the line ends: build fills in the plain bytes, if they
// are not there, and then they are compared with the base and compressed.
func (l *pipeline) work(c *compressor, build func(*job)) error {
	for j := range l.todo {
		build(j)
		j.pack(c, l)
		close(j.done)
	}
	return nil
}

// pack turns plain bytes into a frame, or into a reference if a base has them.
func (j *job) pack(c *compressor, l *pipeline) {
	defer func() {
		l.recycle(j.plain)
		j.plain = nil
	}()
	if len(j.plain) == 0 {
		return
	}
	hash := j.plainHash()
	j.skipped = int64(len(j.plain))
	if cand, ok := j.equal(hash); ok {
		j.reference = &Reference{
			Kind: j.kind, Base: cand.base, First: cand.number, Count: 1,
			Override: j.kind == KindTree, Entries: j.entries, Sections: j.sections,
		}
		return
	}
	data, err := c.compress(l.buffer(), j.plain)
	if err != nil {
		j.err = err
		return
	}
	j.frame = &Frame{
		Kind: j.kind, Data: data, PlainLength: int64(len(j.plain)), Hash: sha256.Sum256(data), PlainHash: hash,
		Entries: j.entries, Sections: j.sections,
	}
}

// plainHash returns the hash over the plain bytes, of which some may have been
// hashed with their contents.
func (j *job) plainHash() Hash {
	if j.sum == nil {
		return sha256.Sum256(j.plain)
	}
	j.sum.Write(j.plain[j.summed:])
	return Hash(j.sum.Sum(nil))
}

// equal returns a frame of a base with the same plain bytes.
func (j *job) equal(hash Hash) (candidate, bool) {
	for _, c := range j.candidates {
		if c.hash == hash {
			return c, true
		}
	}
	c, ok := j.known[hash]
	return c, ok
}

// emitter sends what comes off a pipeline.
type emitter struct {
	emit    func(context.Context, Item) error
	line    *pipeline
	summary Summary
}

// run emits until the line ends. If it ends because of an error elsewhere, the
// jobs left on it are dropped.
func (e *emitter) run(ctx context.Context) error {
	for j := range e.line.ordered {
		select {
		case <-j.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := e.send(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

func (e *emitter) send(ctx context.Context, j *job) error {
	if j.err != nil {
		return j.err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	s := &e.summary
	s.ReadBytes += j.read
	for i := range j.warnings {
		s.Warnings++
		if err := e.emit(ctx, Item{Warning: &j.warnings[i]}); err != nil {
			return err
		}
	}
	switch {
	case j.reference != nil:
		return e.sendReference(ctx, j)
	case j.frame != nil:
		return e.sendFrame(ctx, j)
	}
	return nil
}

func (e *emitter) sendReference(ctx context.Context, j *job) error {
	s := &e.summary
	s.Frames += int64(j.reference.Count)
	s.References += int64(j.reference.Count)
	s.PlainBytes += j.skipped
	s.addTotals(&j.totals)
	s.addEntries(j.entries)
	s.addSections(j.sections)
	return e.emit(ctx, Item{Reference: j.reference})
}

func (e *emitter) sendFrame(ctx context.Context, j *job) error {
	s := &e.summary
	s.Frames++
	s.PlainBytes += j.frame.PlainLength
	s.SentBytes += int64(len(j.frame.Data))
	s.addEntries(j.entries)
	s.addSections(j.sections)
	err := e.emit(ctx, Item{Frame: j.frame})
	e.line.recycle(j.frame.Data)
	return err
}

func (s *Summary) addEntries(entries []Entry) {
	for i := range entries {
		s.add(&entries[i])
	}
}

func (s *Summary) addSections(sections []Section) {
	for _, sec := range sections {
		s.Sections++
		s.Rows += sec.Rows
	}
}

func (t *Totals) addTotals(o *Totals) {
	t.Entries += o.Entries
	t.Files += o.Files
	t.Directories += o.Directories
	t.Symlinks += o.Symlinks
	t.Hardlinks += o.Hardlinks
	t.Bytes += o.Bytes
}
