package backup

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/sitekeep/sitekeep/internal/catalogue"
	"github.com/sitekeep/sitekeep/internal/errs"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/internal/tasks"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// CheckSpec is the request of a check task.
type CheckSpec struct {
	IDs      []string // none: all
	ReadData bool     // decompress too
}

// Checks is the list of backups as checks need it.
type Checks interface {
	Backup(ctx context.Context, id string) (model.Backup, error)
	AllBackups(ctx context.Context, f catalogue.BackupFilter) iter.Seq2[model.Backup, error]
	MarkChecked(ctx context.Context, id string, at time.Time, problem string) error
}

// Checker reads backups back and compares every byte with its hash.
type Checker struct {
	Backups Checks
	Store   Opener
	Now     func() time.Time
}

// Handle is the handler of check tasks. One damaged backup keeps none of the others from being read.
func (c *Checker) Handle(ctx context.Context, t *tasks.Run) (any, error) {
	var spec CheckSpec
	if err := t.Spec(&spec); err != nil {
		return nil, err
	}
	good, bad := 0, 0
	for b, err := range c.chosen(ctx, spec.IDs) {
		if err != nil {
			return nil, err
		}
		problem, err := c.check(ctx, &b, spec.ReadData, t)
		if err != nil {
			return nil, err
		}
		if problem == "" {
			good++
		} else {
			bad++
		}
		if err := c.Backups.MarkChecked(ctx, b.ID, c.Now(), problem); err != nil && !errs.Is(err, errs.NotFound) {
			return nil, err
		}
	}
	t.Log(model.LevelInfo, "checked %d backups: %d intact, %d damaged", good+bad, good, bad)
	if bad > 0 {
		return nil, errs.New(errs.Corrupt, "make a new backup of the site now, and look at the disk; the log names what is damaged", "%d of %d backups are damaged", bad, good+bad)
	}
	return struct{}{}, nil
}

func (c *Checker) chosen(ctx context.Context, ids []string) iter.Seq2[model.Backup, error] {
	if len(ids) == 0 {
		return c.Backups.AllBackups(ctx, catalogue.BackupFilter{})
	}
	return func(yield func(model.Backup, error) bool) {
		for _, id := range ids {
			if !yield(c.Backups.Backup(ctx, id)) {
				return
			}
		}
	}
}

// check returns what is wrong with a backup, and an error only if the check itself must end.
func (c *Checker) check(ctx context.Context, b *model.Backup, readData bool, t *tasks.Run) (problem string, err error) {
	blob, err := c.Store.Open(ctx, b.ID, b.Format)
	if errs.Is(err, errs.NotFound) {
		t.Log(model.LevelError, "%s: the tarball is gone", b.ID)
		return "the tarball is gone", nil
	}
	if err != nil {
		return "", err
	}
	defer blob.Close()
	report, err := archive.Verify(ctx, readerAt(blob), blob.Size(), archive.VerifyOptions{
		ReadData: readData, Progress: func(done int64) { t.Progress("check "+b.ID, done, blob.Size(), 0) },
	})
	if err == nil && "sha256:"+report.Digest.String() != b.Digest {
		err = errors.New("its digest is not the one that was recorded: it is another tarball")
	}
	switch {
	case err == nil:
		t.Log(model.LevelInfo, "%s: intact, %d bytes in %d frames", b.ID, report.Size, report.Frames)
		return "", nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	}
	for _, p := range report.Problems {
		t.Log(model.LevelError, "%s: %v", b.ID, p)
	}
	if len(report.Problems) == 0 {
		t.Log(model.LevelError, "%s: %v", b.ID, err)
	}
	return err.Error(), nil
}
