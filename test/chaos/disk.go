package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sitekeep/sitekeep/test/bed"
)

// place is a directory on a file system of its own.
func (r *rig) place(name string) (dir, room string) {
	switch name {
	case "web":
		return r.webs[0].Root, webRoom
	case "db":
		return filepath.Join(r.db.Dir, "data"), databaseRoom
	}
	return r.master.DataDir, storeRoom
}

func remount(dir string, flags uintptr, options string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT|flags, options); err != nil {
		return fmt.Errorf("remount %s with %s: %w", dir, options, err)
	}
	return nil
}

// spare is what a full file system has left, so that what grows while it is
// being filled does not keep it from being so.
const spare = 64 << 10

// full takes the room of a file system away, whatever is free.
func full(name string) func(context.Context, *rig) (func() error, error) {
	return func(_ context.Context, r *rig) (func() error, error) {
		dir, room := r.place(name)
		return func() error { return remount(dir, 0, room) }, again(func() error {
			var st unix.Statfs_t
			if err := unix.Statfs(dir, &st); err != nil {
				return err
			}
			return remount(dir, 0, fmt.Sprintf("size=%d", (st.Blocks-st.Bfree)*uint64(st.Bsize)+spare))
		})
	}
}

// restartDatabase ends the database server in order and starts it again. InnoDB
// of MariaDB 10.11 has log records of a tablespace whose file it could not make
// on a full disk, and after a crash refuses to start over them: that is the
// server's, and must not meet the next fault.
func restartDatabase(ctx context.Context, r *rig) error {
	return errors.Join(r.db.Stop(), r.db.Start(ctx))
}

// noInodes takes the inodes of a file system away that are not used.
func noInodes(name string) func(context.Context, *rig) (func() error, error) {
	return func(_ context.Context, r *rig) (func() error, error) {
		dir, _ := r.place(name)
		return func() error { return remount(dir, 0, "nr_inodes=200000") }, again(func() error {
			var st unix.Statfs_t
			if err := unix.Statfs(dir, &st); err != nil {
				return err
			}
			return remount(dir, 0, fmt.Sprintf("nr_inodes=%d", st.Files-st.Ffree+2))
		})
	}
}

// readOnly makes a file system one that cannot be written, as soon as no file
// on it is open for writing.
func readOnly(name string) func(context.Context, *rig) (func() error, error) {
	return func(_ context.Context, r *rig) (func() error, error) {
		dir, room := r.place(name)
		return func() error { return remount(dir, 0, room) }, again(func() error { return remount(dir, unix.MS_RDONLY, room) })
	}
}

// again tries until it works: what is in use, or grows, refuses for a moment.
func again(try func() error) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		err := try()
		if err == nil || time.Now().After(deadline) || !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
}

// onXFS puts the web root on an XFS of its own, which can be made to fail.
func (r *rig) onXFS(ctx context.Context) error {
	image := r.image()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(image, 512<<20); err != nil {
		return err
	}
	if err := command(ctx, "mkfs.xfs", "-q", image); err != nil {
		return err
	}
	if err := r.mountXFS(ctx); err != nil {
		return err
	}
	r.OnClose(func() error { return bed.Unmount(r.webs[0].Root) })
	return os.Chown(r.webs[0].Root, bed.Nobody, bed.Nogroup)
}

func (r *rig) image() string { return filepath.Join(r.Dir(), "web.xfs") }

func (r *rig) mountXFS(ctx context.Context) error {
	return command(ctx, "mount", "-o", "loop", r.image(), r.webs[0].Root)
}

func command(ctx context.Context, argv ...string) error {
	if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", argv[0], err, out)
	}
	return nil
}

// inputOutput shuts the web root's XFS down, as a disk that dies does: each
// access ends with EIO. It is mended by mounting it again. What was not synced
// is lost then, as it is with a power cut.
func inputOutput(ctx context.Context, r *rig) (func() error, error) {
	root := r.webs[0].Root
	if err := command(ctx, "xfs_io", "-x", "-c", "shutdown -f", root); err != nil {
		return nil, err
	}
	return func() error {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(again(func() error { return unix.Unmount(root, 0) }), r.mountXFS(ctx))
	}, nil
}
