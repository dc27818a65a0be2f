package store

import (
	"context"
	"os"
	"path/filepath"
)

// Acknowledged visits the complete tarballs by site and id. Those that carry a mark, because they were in the making or going
// when a master ended, are visited with marked set: Sweep decides about them. An error ends it.
func (l *Local) Acknowledged(ctx context.Context, visit func(e Entry, marked bool) error) error {
	return l.eachSite(ctx, func(_ string, files []file) error {
		marked := map[string]bool{}
		for _, f := range files {
			marked[f.id] = marked[f.id] || f.what == isMade || f.what == isGoing
		}
		for _, f := range files {
			if f.what != isTarball {
				continue
			}
			info, err := os.Lstat(filepath.Join(l.dir, f.path()))
			if err != nil {
				return err
			}
			if err := visit(Entry{ID: f.id, Format: f.format, Size: info.Size()}, marked[f.id]); err != nil {
				return err
			}
		}
		return nil
	})
}
