package staging

import (
	"io/fs"
	"os"
)

// openUp gives the owner back every right on the directories of a tree that
// is about to be removed, or worked on further. What fails is found by that.
func openUp(tree *os.Root) {
	_ = fs.WalkDir(tree.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil
		}
		_ = tree.Chmod(path, dirMode)
		return nil
	})
}
