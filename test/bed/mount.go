package bed

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// OnTmpfs moves a directory, with what is in it, onto a file system of its own
// in memory, under the same path: options are those of tmpfs, such as
// "size=48m". What uses the directory must have been stopped. The bed unmounts
// it when it closes.
func (b *Bed) OnTmpfs(ctx context.Context, dir, options string, uid, gid int) error {
	aside := dir + ".aside"
	if err := os.Rename(dir, aside); err != nil {
		return fmt.Errorf("tmpfs for %s: %w", dir, err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("tmpfs for %s: %w", dir, err)
	}
	options += fmt.Sprintf(",mode=0755,uid=%d,gid=%d", uid, gid)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", dir, err)
	}
	b.onClose(func() error { return Unmount(dir) })
	if err := CopyTree(ctx, aside, dir); err != nil {
		return err
	}
	return os.RemoveAll(aside)
}

// Unmount takes a file system away, at once for those who look and as soon as
// nobody uses it in truth. What is not mounted is no error.
func Unmount(dir string) error {
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && err != unix.EINVAL {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// view is what a part sees in place of what is there.
type view struct{ at, dir string }

// Shadow has the processes of a part that start from now on see dir at a path
// where others see something else, in mount namespaces of their own: so two web
// servers of one cluster have different directories of the same name. The part
// is named as when it was started, an agent's without "agent-".
func (b *Bed) Shadow(part, at, dir string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.views[part] = view{at: at, dir: dir}
}

// elsewhere is the command of a service in its part's view. Only root can
// mount, so that one who runs as nobody becomes that afterwards.
func (b *Bed) elsewhere(s Service) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	part, _, _ := strings.Cut(strings.TrimPrefix(s.Name, "agent-"), "-")
	v, ok := b.views[part]
	if !ok {
		return s.Argv
	}
	argv := []string{"unshare", "--mount", "--propagation", "slave", "sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, v.dir, v.at}
	if s.Nobody {
		argv = append(argv, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
	}
	return append(argv, s.Argv...)
}
