package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	memory = "/dev/shm"
	// What tests and linkers have in their temporary directories at a time, at most.
	scratchRoom = 4 << 30
	// What servers and tests need of memory beside that.
	scratchRest = 4 << 30
)

// Numbers of statfs(2).
const (
	tmpfsMagic = 0x01021994
	flagNoExec = 0x8
)

// scratch makes the directory for temporary files of tests: in memory, where
// the machine has plenty. A disk's file system spends more time on the many
// small files and syncs of the tests than the tests themselves; ext4 also looks
// for inodes that were not freed lately, for minutes after each removal. A test
// that needs a disk's file system makes one. The directory is "" if the user has
// set TMPDIR, or memory does not do: then tests use what they would use.
func scratch() (dir string, err error) {
	if os.Getenv("TMPDIR") != "" || !fits(memory) {
		return "", nil
	}
	dir, err = os.MkdirTemp(memory, "gotest-*")
	if err != nil {
		return "", fmt.Errorf("temporary directory in memory: %w", err)
	}
	if !hasAttributes(dir) {
		return "", os.Remove(dir)
	}
	return dir, os.Chmod(dir, 0o777|os.ModeSticky) // as /tmp: servers that run as nobody write there, too
}

// fits reports whether a file system is memory, has room, and runs programs.
func fits(path string) bool {
	var s syscall.Statfs_t
	if syscall.Statfs(path, &s) != nil || s.Type != tmpfsMagic || s.Flags&flagNoExec != 0 {
		return false
	}
	info, err := os.ReadFile("/proc/meminfo")
	return err == nil && int64(s.Bavail)*s.Bsize >= scratchRoom && available(string(info)) >= scratchRoom+scratchRest
}

// available is how many bytes programs can still take, by /proc/meminfo; see proc_meminfo(5).
func available(meminfo string) int64 {
	for line := range strings.Lines(meminfo) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemAvailable:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err == nil {
				return kib << 10
			}
		}
	}
	return 0
}

// hasAttributes reports whether files can have extended attributes of users: those of tmpfs can since Linux 6.6.
func hasAttributes(dir string) bool {
	return syscall.Setxattr(dir, "user.sitekeep", []byte("x"), 0) == nil && syscall.Removexattr(dir, "user.sitekeep") == nil
}

// within is the environment of a command whose temporary files belong in dir.
func within(dir string) []string {
	if dir == "" {
		return os.Environ()
	}
	return append(slices.Clip(os.Environ()), "TMPDIR="+dir)
}

// runIn runs go test with its temporary files in memory, if that does.
func runIn(test func(env []string) error, stderr io.Writer) error {
	dir, err := scratch()
	if err != nil {
		return err
	}
	if dir == "" {
		return test(within(""))
	}
	fmt.Fprintf(stderr, "gotest: TMPDIR=%s\n", dir)
	return errors.Join(test(within(dir)), os.RemoveAll(dir))
}
