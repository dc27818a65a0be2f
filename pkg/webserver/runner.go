package webserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Runner runs a command to its end and returns what it wrote to standard
// output and standard error together, bounded. An error is returned for a
// command that cannot be started, ends with a status other than 0, or is
// still running when ctx ends; in the last case the command is killed first.
type Runner interface {
	Run(ctx context.Context, argv []string) (output []byte, err error)
}

// maxOutput bounds what is kept of a command's output.
const maxOutput = 16 << 10

// killDelay is how long the output of a killed command is waited for.
const killDelay = 2 * time.Second

// ExecRunner runs commands of this machine, with no standard input and in a
// process group of their own, which is killed as a whole.
type ExecRunner struct{}

// Run implements Runner.
func (ExecRunner) Run(ctx context.Context, argv []string) ([]byte, error) {
	if len(argv) == 0 {
		return nil, errors.New("empty command")
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	out := &boundedBuffer{limit: maxOutput}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killDelay
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil // It ended with 0 and left a child that holds its output.
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return out.bytes(), err
}

// boundedBuffer keeps the first bytes that are written to it and takes the
// rest without keeping it, so that the writer never blocks. The buffer is not
// embedded: its ReadFrom would go around the bound.
type boundedBuffer struct {
	kept  bytes.Buffer
	limit int
	lost  bool
}

// Write implements io.Writer; it always takes all of p.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	keep := min(len(p), b.limit-b.kept.Len())
	b.kept.Write(p[:keep])
	b.lost = b.lost || keep < len(p)
	return len(p), nil
}

func (b *boundedBuffer) bytes() []byte {
	if b.lost {
		return append(b.kept.Bytes(), "\n[more output left out]"...)
	}
	return b.kept.Bytes()
}
