package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/sitekeep/sitekeep/test/bed"
)

// isolated says to the program that it runs in namespaces of its own.
const isolated = "SITEKEEP_CHAOS_ISOLATED"

// isolate runs this program again in a network and with mounts of its own, so
// that firewall rules, full disks and what else it does to them end with it and
// reach nobody. The two programs are built before, where there is a network.
// It returns that program's exit status.
func isolate(ctx context.Context) (status int, err error) {
	bin, err := bed.Build()
	if err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "sk-chaos-bin-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, path := range map[string]string{"sitekeep": bin.Master, "sitekeep-agent": bin.Agent} {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			return 1, err
		}
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), isolated+"=1", "SITEKEEP_BIN="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(1, exit.ExitCode()), nil
	}
	return 0, err
}

// furnish gives the new namespaces what the old ones had: a loopback, and
// mounts that are seen from nowhere else.
func furnish(ctx context.Context) error {
	// Shared again, but only within: what is unmounted here must go from the views that parts of a cluster have, too,
	// or its file system lives on in them.
	for _, argv := range [][]string{{"mount", "--make-rprivate", "/"}, {"mount", "--make-rshared", "/"}, {"ip", "link", "set", "lo", "up"}} {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", argv[0], err, out)
		}
	}
	return nil
}

// apart runs f in namespaces of its own and returns the exit status.
func apart(f func(ctx context.Context) int) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	status, err := 1, error(nil)
	if os.Getenv(isolated) == "" {
		status, err = isolate(ctx)
	} else if err = furnish(ctx); err == nil {
		status = f(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		status = 1
	}
	return status
}
