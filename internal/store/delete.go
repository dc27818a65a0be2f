package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// removal is a Delete on its way.
type removal struct {
	store    *Local
	dir, id  string
	tarballs []string
	marks    []string
}

// Delete removes a backup. It first marks the tarball, durably; then calls
// forget, which takes the backup off the list; then removes tarball and
// sidecar. If forget fails the backup stays; that it fails with errs.NotFound
// counts as done. After a crash Sweep finishes the removal if forget took
// effect, and else takes the mark back. A store that is so full that there is
// no room for the mark is emptied without. Delete may be repeated, and
// succeeds if there is nothing to remove.
func (l *Local) Delete(ctx context.Context, id string, forget func(context.Context) error) error {
	dir, err := l.siteDir(id)
	if err != nil {
		return err
	}
	r := &removal{store: l, dir: dir, id: id}
	err = r.mark()
	if err == nil {
		l.reached("marked")
		err = forget(ctx)
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return errors.Join(fmt.Errorf("delete backup %s: %w", id, err), removeAll(r.marks...))
	}
	l.reached("forgotten")
	if err := r.remove(); err != nil {
		return fmt.Errorf("delete backup %s: %w", id, WriteError("the store", err))
	}
	return nil
}

// mark gives the tarballs of the id their second name. Normally there is one tarball.
func (r *removal) mark() error {
	for _, format := range formats() {
		tarball := filepath.Join(r.dir, r.id+"."+format)
		err := os.Link(tarball, tarball+markGoing)
		if errors.Is(err, fs.ErrNotExist) && !exists(tarball+markGoing) {
			continue
		}
		full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
		if err != nil && !full && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return WriteError("the mark", err)
		}
		r.tarballs = append(r.tarballs, tarball)
		r.marks = append(r.marks, tarball+markGoing)
	}
	if len(r.marks) == 0 {
		return nil
	}
	return WriteError("the mark", r.store.syncDir(r.dir))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// remove removes the marks last, so that Sweep knows what was going on.
func (r *removal) remove() error {
	if err := removeAll(r.tarballs...); err != nil {
		return err
	}
	r.store.reached("tarball removed")
	if err := removeAll(filepath.Join(r.dir, r.id+sidecarSuffix)); err != nil {
		return err
	}
	r.store.reached("sidecar removed")
	if err := removeAll(r.marks...); err != nil {
		return err
	}
	if err := r.store.syncDir(r.dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil // a site without a directory has nothing to delete
}
