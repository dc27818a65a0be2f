package staging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
	"github.com/sitekeep/sitekeep/internal/errs"
)

// Within calls f with the task's staging directory while no other call works
// in it. Where there is none it is made if create is set; otherwise f is not
// called, and that is no error. A directory that f leaves empty is removed.
func (s *Stager) Within(ctx context.Context, site *guard.Site, task string, create bool, f func(dir *os.Root) error) error {
	if err := guard.CheckTask(task); err != nil {
		return err
	}
	release, err := s.acquire(ctx, site, task)
	if err != nil {
		return err
	}
	defer release()
	a, err := open(site, task)
	if errs.Is(err, errs.NotFound) && !create {
		return nil
	}
	if err != nil {
		return err
	}
	defer a.close()
	if a.dir == nil && !create {
		return nil
	}
	if err := a.make(); err != nil {
		return err
	}
	return errors.Join(f(a.dir), a.removeEmpty())
}

// removeEmpty removes the staging directory if nothing is in it.
func (a *area) removeEmpty() error {
	err := a.parent.Remove(a.name)
	switch {
	case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, syscall.EEXIST), errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("remove staging directory: %w", err)
	}
	return syncDir(a.parent)
}
