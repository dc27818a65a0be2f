package hook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// trusted refuses a path that anybody but root and the agent's user could
// change, or put another in place of: the same is asked of every directory
// around it, as sshd asks it of keys (StrictModes, sshd_config(5)). The path is
// absolute, has no links and is top or below it. Above top a directory may be
// like /tmp: with the sticky bit nobody replaces what is another's.
func trusted(path, top string) error {
	for {
		if err := ownedAlone(path, len(path) < len(top)); err != nil {
			return err
		}
		if path == "/" {
			return nil
		}
		path = filepath.Dir(path)
	}
}

func ownedAlone(path string, maySticky bool) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New(path + ": its owner is not known on this system")
	}
	if stat.Uid != 0 && int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, who could change what runs", path, stat.Uid)
	}
	sticky := maySticky && info.Mode()&os.ModeSticky != 0
	if info.Mode()&0o022 != 0 && !sticky {
		return fmt.Errorf("%s may be changed by others (mode %04o)", path, info.Mode().Perm())
	}
	return nil
}
