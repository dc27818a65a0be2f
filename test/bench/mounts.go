package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// mountsEnv says that this process has mounts of its own.
const mountsEnv = "SITEKEEP_BENCH_MOUNTS"

// ownMounts begins this program anew in a mount namespace of its own: whatever
// ends it, SIGKILL included, the kernel takes its mounts and loop devices away.
func ownMounts() error {
	if os.Getenv(mountsEnv) != "" || os.Geteuid() != 0 {
		return nil
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	argv := append([]string{unshare, "--mount", "--propagation", "private", "--", self}, os.Args[1:]...)
	return fmt.Errorf("mounts: %s: %w", unshare, syscall.Exec(unshare, argv, append(os.Environ(), mountsEnv+"=1")))
}

// mount calls mount(8), and umount when the row ends: lazily, because after an
// interruption an agent may still be reading there.
func (w *world) mount(ctx context.Context, on string, args ...string) error {
	if err := newMeter().run(tool(ctx, nil, append(append([]string{"mount"}, args...), on)...)); err != nil {
		return err
	}
	w.atRowEnd(func() error { return newMeter().run(tool(context.Background(), nil, "umount", "--lazy", on)) })
	return nil
}

// mountXFS makes an XFS of the given size in a sparse file and mounts it on a
// directory that exists, until the row ends. Its blocks can be shared.
func (w *world) mountXFS(ctx context.Context, on string, size int64) error {
	dir, err := w.part("loop")
	if err != nil {
		return err
	}
	image := filepath.Join(dir, fmt.Sprintf("%d.xfs", len(w.undo)))
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	if err := newMeter().run(tool(ctx, nil, "mkfs.xfs", "-q", "-m", "reflink=1", image)); err != nil {
		return err
	}
	return w.mount(ctx, on, "-o", "loop", image)
}

// mountTmpfs makes a file system of the given size in memory.
func (w *world) mountTmpfs(ctx context.Context, on string, size int64) error {
	return w.mount(ctx, on, "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "tmpfs")
}

// usedBytes is what df calls used, once all is written.
func usedBytes(dir string) (int64, error) {
	syscall.Sync()
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize, nil
}
