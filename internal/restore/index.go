package restore

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/sitekeep/sitekeep/internal/backup"
	"github.com/sitekeep/sitekeep/internal/model"
	"github.com/sitekeep/sitekeep/pkg/archive"
)

// treeIndex is what an agent compares a live tree with; see archive.Delta.
type treeIndex interface {
	WalkStarted() time.Time
	BaseFrames(base uint32) iter.Seq2[archive.BaseFrame, error]
}

// index is the tarball's, with what the site's newest backup has seen of the live files: since an earlier restore they are
// not the ones that the tarball was made of, although most have the same content. The newest backup only saves reading
// files: one that cannot be used is told of, and no hindrance. The caller calls closeIndex.
func (r *run) index(ctx context.Context, t *backup.Tarball) (index treeIndex, closeIndex func()) {
	none := func() {}
	if !slices.ContainsFunc(r.basis.Site.WebServers, r.basis.stands) || r.basis.Part == Drill {
		return t, none
	}
	newest, err := r.openNewest(ctx)
	if err != nil {
		r.missNewest(err)
	}
	if newest == nil {
		return t, none
	}
	return archive.Seen{Reader: t.Reader, Newer: newest.Reader, Lost: r.missNewest}, func() { _ = newest.Close() }
}

// openNewest opens the newest backup; nil if that is the one that is restored.
func (r *run) openNewest(ctx context.Context) (*backup.Tarball, error) {
	b, err := r.backups.Newest(ctx, r.basis.Site.Name)
	if err != nil || b == nil || b.ID == r.basis.Backup {
		return nil, err
	}
	return r.backups.Open(ctx, b)
}

func (r *run) missNewest(err error) {
	r.log.Log(model.LevelWarn, "the newest backup does not tell which live files are unchanged, so they are read: %v", err)
}
