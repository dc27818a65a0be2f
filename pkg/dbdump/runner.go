package dbdump

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFD3 is what a pipe holds without a reader (pipe(7)).
	maxFD3 = 64 << 10
	// pipeSize lets a dump program run on while a sink is busy; it is what an
	// unprivileged process may ask for (/proc/sys/fs/pipe-max-size).
	pipeSize = 1 << 20
	// killGrace is how long a killed program may hold on to its pipes.
	killGrace = 5 * time.Second
)

// Runner runs the dump program; Exec is the real one.
type Runner interface {
	// LookPath finds a program by name, as exec.LookPath does.
	LookPath(name string) (string, error)
	// Run starts c, hands its standard output to c.Stdout while it runs, and
	// waits for it. When c.Stdout fails, or ctx ends, the process is killed.
	// It returns c.Stdout's error first, else the process's.
	Run(ctx context.Context, c Command) error
}

// Command is one run of a program.
type Command struct {
	Path   string
	Args   []string // without the program's name
	Env    []string // the whole environment
	FD3    []byte   // what the program reads from file descriptor 3; at most 64 KiB
	Stdout func(io.Reader) error
	Stderr io.Writer // drained while the program runs
}

// Exec runs programs of this machine, each in a process group of its own,
// which is killed as a whole.
type Exec struct{}

// LookPath is exec.LookPath.
func (Exec) LookPath(name string) (string, error) { return exec.LookPath(name) }

// Run implements Runner.
func (Exec) Run(ctx context.Context, c Command) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env, cmd.Stderr, cmd.WaitDelay = c.Env, c.Stderr, killGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	out, err := start(cmd, c.FD3)
	if err != nil {
		return err
	}
	release := context.AfterFunc(ctx, func() { _ = out.SetReadDeadline(time.Now()) })
	defer release()
	readErr := c.Stdout(out)
	if readErr != nil {
		stop()
	}
	closeErr := out.Close()
	waitErr := cmd.Wait()
	if err := context.Cause(ctx); err != nil && readErr == nil || errors.Is(readErr, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	if readErr != nil {
		return readErr
	}
	if waitErr != nil {
		return fmt.Errorf("%s: %w", c.Path, waitErr)
	}
	return closeErr
}

func killGroup(pid int) error {
	err := syscall.Kill(-pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// start starts cmd with fd3 readable on descriptor 3, and returns its standard output.
func start(cmd *exec.Cmd, fd3 []byte) (*os.File, error) {
	secrets, err := filledPipe(fd3)
	if err != nil {
		return nil, err
	}
	defer secrets.Close() //nolint:errcheck // the child has its own
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()                                           //nolint:errcheck // the child has its own
	_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, pipeSize) // a smaller pipe works too
	cmd.Stdout, cmd.ExtraFiles = w, []*os.File{secrets}
	if err := cmd.Start(); err != nil {
		r.Close() //nolint:errcheck // nothing was read
		return nil, err
	}
	return r, nil
}

// filledPipe returns the reading end of a pipe that holds b and then ends.
func filledPipe(b []byte) (*os.File, error) {
	if len(b) > maxFD3 {
		return nil, fmt.Errorf("settings of %d bytes do not fit in a pipe", len(b))
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = w.Write(b)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		r.Close() //nolint:errcheck // the other error counts
		return nil, err
	}
	return r, nil
}

// tail keeps the first and the last bytes written to it. It is not safe for
// concurrent use; exec writes from one goroutine and is waited for.
type tail struct {
	head, last []byte
	cut        bool
}

const tailHalf = 32 << 10

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if room := tailHalf - len(t.head); room > 0 {
		k := min(room, len(p))
		t.head = append(t.head, p[:k]...)
		p = p[k:]
	}
	t.last = append(t.last, p...)
	if over := len(t.last) - tailHalf; over > 0 {
		t.cut = true
		t.last = t.last[:copy(t.last, t.last[over:])]
	}
	return n, nil
}

// String returns what was kept.
func (t *tail) String() string {
	if !t.cut {
		return string(t.head) + string(t.last)
	}
	return string(t.head) + "\n[...]\n" + string(t.last)
}
