package intake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/store"
)

// scratchPrefix begins the names of scratch files and directories. It is that of no site's directory.
const scratchPrefix = ".intake-"

// CleanUp removes what a crash has left of imports in their directory. Call it before the first import.
func CleanUp(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, scratchPrefix+"*"))
	if err != nil {
		return fmt.Errorf("clean up after imports: %w", err)
	}
	for _, name := range left {
		if err := os.RemoveAll(name); err != nil {
			return fmt.Errorf("clean up after imports: %w", err)
		}
	}
	return nil
}

// spacer tells how much room is left.
type spacer interface {
	Free(ctx context.Context) (store.Space, error)
}

// room watches over the free bytes of the store's file system.
type room struct {
	store   spacer
	reserve int64
	left    int64 // that may be written before it is looked at again
}

// lookEvery is how many bytes are written between two looks at the file system. Others write, too.
const lookEvery = 16 << 20

// need says whether so many bytes fit.
func (r *room) need(ctx context.Context, bytes int64) error {
	free, err := r.store.Free(ctx)
	if err != nil {
		return err
	}
	if bytes > free.Bytes-r.reserve {
		return errs.New(errs.NoSpace, "free room on the store's file system, for instance with: sitekeep delete BACKUP",
			"what is in the tarball needs %d MiB or more; the store has %d MiB left, of which %d are kept in reserve",
			bytes>>20, free.Bytes>>20, r.reserve>>20)
	}
	r.left = min(lookEvery, free.Bytes-r.reserve)
	return nil
}

// take asks for bytes that are about to be written.
func (r *room) take(ctx context.Context, bytes int64) error {
	if bytes > r.left {
		if err := r.need(ctx, bytes); err != nil {
			return err
		}
	}
	r.left -= bytes
	return nil
}

// spool is a nameless file that grows as long as there is room.
type spool struct {
	ctx  context.Context //nolint:containedctx // an io.Writer has no other place for it, and a spool lives within one call
	file *os.File
	room *room
	size int64
}

// newSpool makes a spool that goes with the job.
func (j *job) newSpool(ctx context.Context) (*spool, error) {
	f, err := os.CreateTemp(j.deps.Dir, scratchPrefix+"*")
	if err != nil {
		return nil, scratchError(err)
	}
	j.later(func() { _ = f.Close() }) // nothing in it is needed any more
	if err := os.Remove(f.Name()); err != nil {
		return nil, fmt.Errorf("make a scratch file: %w", err)
	}
	return &spool{ctx: ctx, file: f, room: j.room}, nil
}

// Write appends.
func (s *spool) Write(p []byte) (int, error) {
	if err := s.room.take(s.ctx, int64(len(p))); err != nil {
		return 0, err
	}
	n, err := s.file.WriteAt(p, s.size)
	s.size += int64(n)
	return n, scratchError(err)
}

// scratchError gives an error of a scratch file its kind.
func scratchError(err error) error {
	var known *errs.Error
	if err = store.WriteError("a scratch file", err); err == nil || errors.As(err, &known) {
		return err
	}
	return errs.New(errs.Failed, "look at the disk of the store; dmesg may say what is wrong", "%w", err)
}
