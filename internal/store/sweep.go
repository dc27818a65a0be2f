package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sitekeep/sitekeep/internal/errs"
)

// maxReported bounds the lists of a Report.
const maxReported = 1000

// sweep is what one Sweep has found so far.
type sweep struct {
	Report
	dir              string
	listed, unlisted int
	remove           []string    // in order, below the store's directory
	restore          [][2]string // renames: the mark of a tarball that has lost its name
}

// Sweep cleans up after a crash. Call it before anything else uses the store.
// Of a backup that was in the making it removes everything, unless known says
// that it is listed; a removal that had begun is finished if the backup is not
// listed, and else taken back. A complete tarball without such a mark was
// acknowledged once: it is never removed, but reported if it is not listed. If
// none of the tarballs is listed, the catalogue was lost: then Sweep removes
// nothing at all and says so with errs.Precondition. Lists in the report end
// after 1000 entries.
func (l *Local) Sweep(ctx context.Context, known Known) (Report, error) {
	s := &sweep{dir: l.dir}
	err := l.eachSite(ctx, func(_ string, files []file) error { return s.judgeSite(ctx, known, files) })
	if err != nil {
		return Report{}, fmt.Errorf("look through the store: %w", err)
	}
	if s.listed == 0 && s.unlisted > 0 {
		return s.Report, errs.New(errs.Precondition, "put a copy of catalogue.db back into the data directory, or make the list out of the store with: sitekeep catalogue rebuild; the tarballs were not touched, and tar reads them without it",
			"the catalogue lists none of the %d backups in %s", s.unlisted, l.dir)
	}
	if err := l.carryOut(ctx, s); err != nil {
		return s.Report, fmt.Errorf("clean up the store: %w", WriteError(l.dir, err))
	}
	return s.Report, nil
}

// judgeSite judges the files of a site id by id.
func (s *sweep) judgeSite(ctx context.Context, known Known, files []file) error {
	byID := map[string][]file{}
	var ids []string
	for _, f := range files {
		if byID[f.id] == nil {
			ids = append(ids, f.id)
		}
		byID[f.id] = append(byID[f.id], f)
	}
	for _, id := range ids {
		listed, err := known(ctx, id)
		if err != nil {
			return err
		}
		if err := s.judge(listed, byID[id]); err != nil {
			return err
		}
	}
	return nil
}

// judge decides about all files of one id.
func (s *sweep) judge(listed bool, files []file) error {
	of := map[what][]file{}
	for _, f := range files {
		of[f.what] = append(of[f.what], f)
	}
	marks := append(of[isMade], of[isGoing]...)
	complete := len(of[isTarball]) > 0
	if !complete && len(marks) == 0 && len(of[isSidecar]) > 0 && len(s.Missing) < maxReported {
		s.Missing = append(s.Missing, files[0].id)
	}
	switch {
	case listed:
		s.listed++
		s.keep(complete, of)
		return nil
	case len(marks) > 0:
		s.drop(of[isTarball], of[isSidecar], of[isScratch], marks)
		return nil
	}
	s.drop(of[isScratch])
	return s.report(of[isTarball])
}

// keep leaves a listed backup, without marks and scratch. A mark that is all
// that is left of the tarball gives it back its name.
func (s *sweep) keep(complete bool, of map[what][]file) {
	marks := append(of[isGoing], of[isMade]...)
	if !complete && len(marks) > 0 {
		f := marks[0]
		s.restore = append(s.restore, [2]string{f.path(), filepath.Join(f.site, f.id+"."+f.format)})
		marks = marks[1:]
	}
	s.drop(of[isScratch], marks)
}

func (s *sweep) drop(groups ...[]file) {
	for _, group := range groups {
		for _, f := range group {
			s.remove = append(s.remove, f.path())
		}
	}
}

// report notes complete tarballs that are not listed.
func (s *sweep) report(tarballs []file) error {
	for _, f := range tarballs {
		s.unlisted++
		if len(s.Unlisted) >= maxReported {
			continue
		}
		info, err := os.Lstat(filepath.Join(s.dir, f.path()))
		if err != nil {
			return err
		}
		s.Unlisted = append(s.Unlisted, Entry{ID: f.id, Format: f.format, Size: info.Size()})
	}
	return nil
}

func (l *Local) carryOut(ctx context.Context, s *sweep) error {
	dirs := map[string]bool{}
	for _, r := range s.restore {
		if err := os.Rename(filepath.Join(l.dir, r[0]), filepath.Join(l.dir, r[1])); err != nil {
			return err
		}
		dirs[filepath.Dir(r[0])] = true
	}
	for _, name := range s.remove {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := removeAll(filepath.Join(l.dir, name)); err != nil {
			return err
		}
		dirs[filepath.Dir(name)] = true
		if len(s.Removed) < maxReported {
			s.Removed = append(s.Removed, name)
		}
	}
	var all error
	for dir := range dirs {
		all = errors.Join(all, l.syncDir(filepath.Join(l.dir, dir)))
	}
	return all
}
