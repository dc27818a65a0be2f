package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// spread is how changes lie in a site.
type spread int

const (
	scattered spread = iota // at random
	together                // files next to each other, rows too
)

// changedShare is one part in so many of files, and of rows.
const changedShare = 100

// churnFiles overwrites some bytes of 1 % of the site's files, sizes kept.
func (w *world) churnFiles(how spread) error {
	files, err := w.siteFiles(how)
	if err != nil {
		return err
	}
	n := len(files) / changedShare
	if how == together {
		first := w.rand.IntN(len(files) - n)
		files = files[first : first+n]
	} else {
		w.rand.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		files = files[:n]
	}
	for _, path := range files {
		if err := w.touch(path); err != nil {
			return err
		}
	}
	return nil
}

// change has files be other than before for good, and waits until no backup
// can overlook it.
func (w *world) change(ctx context.Context, how spread) error {
	w.changes++
	if err := w.churnFiles(how); err != nil {
		return fmt.Errorf("change files: %w", err)
	}
	return settle(ctx)
}

// siteFiles are the site's files in the order of a walk, those that make its
// page left out. Files that change together are code, as an update has them.
func (w *world) siteFiles(how spread) ([]string, error) {
	var files []string
	err := filepath.WalkDir(w.site, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && how == together && e.Name() == "uploads" {
			return fs.SkipDir
		}
		if e.Type().IsRegular() && !w.makesPage(path) {
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// makesPage says whether the site's page needs this file.
func (w *world) makesPage(path string) bool {
	return filepath.Dir(path) == w.site && (strings.HasPrefix(filepath.Base(path), "wp-") || filepath.Base(path) == "index.php")
}

func (w *world) touch(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mark := fmt.Appendf(nil, "// changed %016x\n", w.rand.Uint64())
	_, err = f.WriteAt(mark, max(0, info.Size()/2-int64(len(mark))))
	return err
}

// churnRows turns round the text of 1 % of the rows; k chooses which.
func (w *world) churnRows(ctx context.Context, how spread, k int) error {
	database, err := w.database()
	if err != nil {
		return err
	}
	for _, t := range []struct{ table, id, set string }{
		{"wp_posts", "ID", "post_content = REVERSE(post_content)"},
		{"wp_postmeta", "meta_id", "meta_value = REVERSE(meta_value)"},
		{"wp_comments", "comment_ID", "comment_content = REVERSE(comment_content)"},
		{"wp_term_relationships", "object_id", "term_order = term_order + 1"},
		{"watchdog", "wid", "message = REVERSE(message)"},
	} {
		where := fmt.Sprintf("%s %% %d = %d", t.id, changedShare, k%changedShare)
		if how == together {
			where = fmt.Sprintf("%s DIV %d = %d", t.id, rowsOf(t.table)/changedShare, k%changedShare)
		}
		if err := w.db.Exec(ctx, fmt.Sprintf("UPDATE %s.%s SET %s WHERE %s", database, t.table, t.set, where)); err != nil {
			return err
		}
	}
	return nil
}

func rowsOf(name string) int {
	for _, t := range corpusTables() {
		if t.name == name {
			return t.rows
		}
	}
	return 0
}

// settle waits until a change can no longer hide inside the clock's step of a
// backup that begins now.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(2 * time.Second):
		return nil
	}
}
