package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

var errNotDirectory = errors.New("is not a directory")

// DirInode returns the inode of a directory in parent, 0 if there is nothing
// of that name. A link, whatever it leads to, or a file is an error.
func DirInode(parent *os.Root, name string) (uint64, error) {
	info, err := parent.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !info.IsDir() {
		return 0, fmt.Errorf("%s %w (%s)", name, errNotDirectory, info.Mode().Type())
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s: no inode number on this system", name)
	}
	return stat.Ino, nil
}
