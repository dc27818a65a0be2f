package backup

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// Waits between two attempts at a stream that broke.
const (
	firstWait = time.Second
	lastWait  = 30 * time.Second
	// safetyRetry bounds them for a site that waits in maintenance for its restore.
	safetyRetry = time.Minute
)

// stream is one of a backup's two: the site's files or its dump. It breaks and goes on without the other.
type stream struct {
	j      *job
	what   string // "files" or "database"
	server string
	call   func(ctx context.Context) error // one attempt, up to the closing summary
	keep   func() error                    // makes what has come the base of the next attempt
	again  bool                            // an attempt was given up because what it read had changed

	bases []*archive.Reader // that references name by number; may hold nil
	ours  error             // what our own side could not do: no attempt mends that

	began  bool  // something has come
	frames int64 // of this attempt
	bytes  int64 // that came in this attempt
	kept   int64 // that came in all
	best   int64 // frames that an attempt has got to
	failed int   // attempts since the last that got on
	since  time.Time
}

// run makes attempts until one comes to its end, fails for a reason that does not pass, or too long none got on. What
// changed while it was read (errs.Changed) is read once more.
func (s *stream) run(ctx context.Context) error {
	for {
		s.frames, s.bytes = 0, 0
		s.j.counts.begin(s.what)
		err := s.call(ctx)
		next := s.pause
		switch {
		case err == nil:
			return nil
		case s.mayBeReadAgain(ctx, err):
			next = s.readAgain
		case !s.mayPass(ctx, err):
			return err
		}
		if err := s.keep(); err != nil {
			return s.j.storeError(err)
		}
		if err := next(ctx, err); err != nil {
			return err
		}
	}
}

// mayBeReadAgain reports whether err says that what was read changed meanwhile, for the first time: a site that alters its
// tables all the time is not dumped over and over.
func (s *stream) mayBeReadAgain(ctx context.Context, err error) bool {
	return !s.again && s.ours == nil && ctx.Err() == nil && errs.Is(err, errs.Changed)
}

// readAgain has the next attempt begin at once.
func (s *stream) readAgain(_ context.Context, cause error) error {
	s.again = true
	s.j.log.Log(model.LevelWarn, "the %s changed while %s read it, reading it again as a whole; what has not changed is not sent again: %v", s.what, s.server, cause)
	return nil
}

// mayPass reports whether a stream that failed with err may go on. One that never began is left to the queue, which tries
// the whole task again.
func (s *stream) mayPass(ctx context.Context, err error) bool {
	return s.began && s.ours == nil && ctx.Err() == nil && errs.Temporary(err) && s.j.retryFor() > 0
}

func (j *job) retryFor() time.Duration {
	if j.q.Salvage {
		return min(j.deps.RetryFor, safetyRetry)
	}
	return j.deps.RetryFor
}

// pause waits before the next attempt, or gives up: with cause, if that was long enough, or with the context's end.
func (s *stream) pause(ctx context.Context, cause error) error {
	now, bound := s.j.deps.Now(), s.j.retryFor()
	if s.since.IsZero() || s.frames > s.best {
		s.best, s.failed, s.since = s.frames, 0, now
	}
	left := bound - now.Sub(s.since)
	if left <= 0 {
		return errs.GaveUp(fmt.Errorf("gave up after %s without getting on; %s of the %s had come: %w", bound, mib(s.kept), s.what, cause))
	}
	wait := min(backoff(s.failed), left)
	s.failed++
	s.j.log.Log(model.LevelWarn, "connection to %s lost after %s of the %s, trying again in %s; %s are kept: %v",
		s.server, mib(s.bytes), s.what, wait.Round(time.Millisecond), mib(s.kept), cause)
	return s.j.wait(ctx, wait)
}

// backoff doubles with every failure; half of it is chance, so that many streams do not come back at once.
func backoff(failures int) time.Duration {
	d := lastWait
	if failures < 5 {
		d = firstWait << failures
	}
	return d/2 + rand.N(d/2+1)
}

func (j *job) wait(ctx context.Context, d time.Duration) error {
	if j.deps.Wait != nil {
		return j.deps.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// emit takes one item.
func (s *stream) emit(ctx context.Context, it archive.Item) error {
	if err := s.take(ctx, it); err != nil {
		s.ours = s.j.storeError(err)
		return s.ours
	}
	return nil
}

func (s *stream) take(ctx context.Context, it archive.Item) error {
	s.began = true
	switch {
	case it.Frame != nil:
		if err := s.j.assembler.Append(ctx, *it.Frame); err != nil {
			return err
		}
		s.frames++
		s.bytes += int64(len(it.Frame.Data))
		s.kept += int64(len(it.Frame.Data))
		s.progress(it.Frame.PlainLength, int64(len(it.Frame.Entries)))
	case it.Reference != nil:
		if err := s.j.assembler.AppendReference(ctx, s.base(it.Reference.Base), *it.Reference); err != nil {
			return err
		}
		s.frames += int64(it.Reference.Count)
		s.progress(int64(it.Reference.Count)*archive.SliceSize/4, 0)
	case it.Warning != nil:
		s.j.warn(it.Warning)
	}
	return nil
}

// base returns the reader that a reference names; nil, which the assembler refuses, if there is none.
func (s *stream) base(n uint32) *archive.Reader {
	if uint64(n) >= uint64(len(s.bases)) {
		return nil
	}
	return s.bases[n]
}

func (s *stream) progress(bytes, files int64) {
	j := s.j
	done, seen := j.counts.add(s.what, bytes, files)
	j.log.Progress("read "+j.what(), min(done, max(j.lastPlain, done)), max(j.lastPlain, done), seen)
}
