package agent

import (
	"context"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// TestKindsOfStorageErrors: what a broken file system answers is told apart from what an operator has forbidden, wherever
// on the way it got another kind.
func TestKindsOfStorageErrors(t *testing.T) {
	answer := func(err error) error {
		_, err = storageUnary(t.Context(), nil, nil, func(context.Context, any) (any, error) { return nil, treeError(err) })
		return err
	}
	for cause, want := range map[syscall.Errno]errs.Kind{
		syscall.EIO: errs.Storage, syscall.EROFS: errs.Storage, syscall.EUCLEAN: errs.Storage,
		syscall.EACCES: errs.Permission, syscall.ENOSPC: errs.NoSpace, syscall.ENOENT: errs.NotFound, syscall.EINVAL: errs.Failed,
	} {
		err := answer(fmt.Errorf("site: %w", &fs.PathError{Op: "rename", Path: "x", Err: cause}))
		if !errs.Is(err, want) || want == errs.Storage && errs.HintOf(err) == "" {
			t.Errorf("%v became %v, hint %q", cause, errs.KindOf(err), errs.HintOf(err))
		}
	}
	if err := answer(nil); err != nil {
		t.Error(err)
	}
}
