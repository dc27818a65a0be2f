package staging

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sync/errgroup"
)

const (
	// removers is how many directories are emptied at the same time: each file takes its directory's lock, and waits for
	// the file system's journal.
	removers = 4
	// removedAtOnce is how many names of a directory are in memory.
	removedAtOnce = 1024
)

// removeFiles removes all files of a tree that is about to be removed, from several directories at the same time. What
// fails, or comes in between, is found by that removal. It follows no link.
func removeFiles(tree *os.Root) {
	var g errgroup.Group
	g.SetLimit(removers)
	_ = fs.WalkDir(tree.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			g.Go(func() error { return removeFilesIn(tree, path) })
		}
		return nil
	})
	_ = g.Wait()
}

func removeFilesIn(tree *os.Root, path string) error {
	dir, err := tree.OpenRoot(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	list, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer list.Close()
	for {
		entries, err := list.ReadDir(removedAtOnce)
		for _, e := range entries {
			if !e.IsDir() {
				_ = dir.Remove(e.Name())
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
