package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/sitekeep/sitekeep/internal/agent/guard"
)

const (
	// searchDepth is how many directories below an allowed one are looked into.
	searchDepth = 4
	// maxDirectories bounds the search below one allowed directory.
	maxDirectories = 50_000
)

// findUnserved tells of sites below the allowed directories that no virtual host serves, or none that can be read.
func (f *siteFinder) findUnserved(ctx context.Context) error {
	for _, allowed := range f.guard.Roots() {
		root, err := os.OpenRoot(allowed)
		if err != nil {
			if err := f.warn("allowed directory %s: %v", allowed, cause(err)); err != nil {
				return err
			}
			continue
		}
		w := &siteWalker{siteFinder: f, root: root, allowed: allowed}
		err = errors.Join(w.directory(ctx, ".", 0), root.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

// siteWalker looks below one allowed directory. Links are not followed.
type siteWalker struct {
	*siteFinder
	root    *os.Root
	allowed string
	seen    int
}

// siteMarks are files that a known program has in the directory that is served, or in the one above it.
var siteMarks = []string{"wp-load.php", "wp-config.php", "core/lib/Drupal.php", "includes/bootstrap.inc", "artisan", "bin/console", "symfony.lock", ".env"}

func (w *siteWalker) directory(ctx context.Context, name string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.seen++; w.seen > maxDirectories {
		if w.seen == maxDirectories+1 {
			return w.warn("below %s are more than %d directories; the rest was not looked at", w.allowed, maxDirectories)
		}
		return nil
	}
	full := filepath.Join(w.allowed, name)
	if name != "." {
		if w.docroots[full] || w.roots[full] {
			return nil // found already, with all that is in it
		}
		if w.marked(name) {
			return w.candidate(ctx, full)
		}
	}
	if depth == searchDepth {
		return nil
	}
	return w.below(ctx, name, depth)
}

func (w *siteWalker) below(ctx context.Context, name string, depth int) error {
	d, err := w.root.Open(name)
	if err != nil {
		return w.warn("%s: %v", filepath.Join(w.allowed, name), cause(err))
	}
	entries, err := d.ReadDir(-1)
	_ = d.Close()
	if err != nil && !errors.Is(err, io.EOF) {
		return w.warn("%s: %v", filepath.Join(w.allowed, name), cause(err))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || e.Name() == "node_modules" || e.Name() == "vendor" {
			continue
		}
		if err := w.directory(ctx, path.Join(name, e.Name()), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *siteWalker) marked(name string) bool {
	return slices.ContainsFunc(siteMarks, func(mark string) bool {
		_, err := w.root.Lstat(path.Join(name, mark))
		return err == nil
	})
}

// candidate looks into a directory that bears a mark. It, or a usual one in it, is what would be served.
func (w *siteWalker) candidate(ctx context.Context, full string) error {
	docroot := full
	for _, below := range []string{"public", "web"} {
		if info, err := os.Lstat(filepath.Join(full, below)); err == nil && info.IsDir() {
			docroot = filepath.Join(full, below)
			break
		}
	}
	if w.docroots[docroot] {
		return nil
	}
	return w.search(ctx, served{docroot: docroot})
}

// treeSize adds up the bytes of the regular files of a site, hard links once. What it cannot look at is an error, and
// the rest is counted.
func treeSize(ctx context.Context, site *guard.Site) (int64, error) {
	root, err := site.OpenRoot()
	if err != nil {
		return 0, err
	}
	defer root.Close()
	var total int64
	var missed error
	links := map[uint64]bool{}
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			missed = fmt.Errorf("%s: %w", validName(name), cause(err))
			return nil
		case !e.Type().IsRegular():
			return nil
		}
		total += sizeOf(e, links)
		return nil
	})
	return total, errors.Join(err, missed)
}

func sizeOf(e fs.DirEntry, links map[uint64]bool) int64 {
	info, err := e.Info()
	if err != nil {
		return 0 // it has just gone
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		if links[stat.Ino] {
			return 0
		}
		links[stat.Ino] = true
	}
	return info.Size()
}
