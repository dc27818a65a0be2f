package dbdump

import (
	"context"
	"fmt"
	"sync"
)

// job is what a worker does: the rows of an INSERT, or the keys of a table.
type job struct {
	order    order
	plan     *tablePlan
	keys     bool
	settings []order // those of the dump before it
}

// pool is the further sessions of an import, each with a worker. Methods belong
// to the goroutine that executes the dump.
type pool struct {
	im       *importer
	jobs     chan job
	sessions []*session
	workers  sync.WaitGroup
	rows     sync.WaitGroup // INSERTs under way
	keying   sync.WaitGroup // tables whose keys are being added

	cancel context.CancelFunc // ends what the workers do

	mu      sync.Mutex
	stopped bool
	failed  error
	number  int64 // of the failed statement
}

// startPool logs in n times.
func (im *importer) startPool(ctx context.Context, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	p := &pool{im: im, jobs: make(chan job), cancel: cancel}
	im.pool = p
	for range n {
		s, err := im.newSession(ctx)
		if err != nil {
			return err
		}
		p.sessions = append(p.sessions, s)
		p.workers.Go(func() { p.work(ctx, s) })
	}
	return nil
}

// stop waits for the workers and ends their sessions. After a failure rows
// under way are waited for, as an earlier statement may fail yet; keys are not.
// It returns the failure of the earliest statement.
func (p *pool) stop(failed bool) error {
	close(p.jobs)
	p.rows.Wait()
	if failed || p.err() != nil {
		p.mu.Lock()
		p.stopped = true
		p.mu.Unlock()
		p.cancel()
	}
	p.workers.Wait()
	p.cancel()
	return p.err()
}

// work does jobs until there are no more. After a failure they are only taken.
// It commits before it rests: a row that another worker is about to add may
// have to wait for that.
func (p *pool) work(ctx context.Context, s *session) {
	defer s.close()
	j, more := <-p.jobs
	for more {
		if p.err() == nil {
			p.noteOf(ctx, s, j.order.number, p.do(ctx, s, j))
		}
		var next job
		select {
		case next, more = <-p.jobs:
			p.done(j)
		default:
			p.noteOf(ctx, s, j.order.number, s.endure(ctx, s.commit(ctx, j.order.section)))
			p.done(j)
			next, more = <-p.jobs
		}
		j = next
	}
}

func (p *pool) done(j job) {
	if j.keys {
		p.keying.Done()
	} else {
		p.rows.Done()
	}
}

func (p *pool) do(ctx context.Context, s *session, j job) error {
	if err := s.catchUp(ctx, j.settings); err != nil {
		return err
	}
	if j.keys {
		return s.addKeys(ctx, j.plan)
	}
	return s.together(ctx, j.order.section, func() error { return s.rows(ctx, j.order, j.plan) })
}

// noteOf notes the failure of a session, whose locks nobody is to wait for.
func (p *pool) noteOf(ctx context.Context, s *session, number int64, err error) {
	if err == nil {
		return
	}
	p.note(number, err)
	_ = s.rollback(ctx) // a connection that is gone has none
}

// errDeadlock is ER_LOCK_DEADLOCK.
const errDeadlock = 1213

// note keeps the failure of the earliest statement. A deadlock, or a wait for a
// lock, may be only what another statement's failure has led to, and gives way to
// any other.
func (p *pool) note(number int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	earlier := number < p.number
	if p.failed != nil && isBrokenOff(err) != isBrokenOff(p.failed) {
		earlier = isBrokenOff(p.failed)
	}
	if p.failed == nil || earlier {
		p.failed, p.number = err, number
	}
}

func (p *pool) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// submit hands a job to the next free worker.
func (p *pool) submit(ctx context.Context, j job) error {
	if j.keys {
		p.keying.Add(1)
	} else {
		p.rows.Add(1)
	}
	select {
	case p.jobs <- j:
		return p.err()
	case <-ctx.Done():
		p.done(j)
		return fail(opImport, p.im.o.Database, context.Cause(ctx))
	}
}

// settle waits until all rows are in and committed.
func (p *pool) settle() error {
	p.rows.Wait()
	return p.err()
}

// settleKeys waits until all keys are added.
func (p *pool) settleKeys() error {
	p.keying.Wait()
	return p.err()
}

// kill ends on the server what a failed import may have left running there.
func (im *importer) kill(ctx context.Context, sessions []*session) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), detached)
	defer stop()
	for _, s := range sessions {
		_ = im.in.exec(ctx, fmt.Sprintf("KILL %d", s.id)) // it may be gone already
	}
}
